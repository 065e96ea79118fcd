"""Far plates are counted by their width in the full frame."""

from itertools import pairwise

import numpy as np

from training.detector.distant import HEIGHT_PX, WIDTH_PX, WIDTHS_PX, lay, met, recall_by_width
from training.detector.frames import Boxes, LabelledFrame, Pixels

CANVAS = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
RED = (0, 0, 255)


def boxes(*rows: tuple[float, float, float, float]) -> Boxes:
    return np.array(rows, np.float32).reshape(-1, 4)


def source(plate_px: int) -> LabelledFrame:
    """A dark picture of 640 x 480 with one red plate of *plate_px* by half of it."""
    pixels = np.full((480, 640, 3), 20, np.uint8)
    pixels[200 : 200 + plate_px // 2, 100 : 100 + plate_px] = RED
    return LabelledFrame("drawn", pixels, boxes((100, 200, 100 + plate_px, 200 + plate_px // 2)), False)


def test_recall_is_told_for_each_width_apart() -> None:
    frame = (CANVAS, boxes((100, 100, 120, 110), (300, 100, 322, 110), (600, 100, 650, 125)))

    def wide_ones(pixels: Pixels) -> Boxes:
        return boxes((600, 100, 650, 125), (301, 100, 322, 110))

    far, near = recall_by_width([frame, frame], wide_ones)
    assert (far.bin, far.plates, far.recall_50) == ("16-24 px", 4, 0.5)
    assert (near.bin, near.plates, near.recall_50) == ("48-64 px", 2, 1.0)


def test_loose_box_counts_at_the_lower_overlap_only() -> None:
    [found] = recall_by_width([(CANVAS, boxes((0, 0, 40, 20)))], lambda _: boxes((0, 0, 100, 20)))
    assert (found.recall_50, found.recall_30) == (0.0, 1.0)


def test_frame_in_which_nothing_is_found_counts() -> None:
    [found] = recall_by_width([(CANVAS, boxes((0, 0, 40, 20)))], lambda _: boxes())
    assert (found.plates, found.recall_30) == (1, 0.0)


def test_last_bin_is_open_and_plates_below_the_first_count_nowhere() -> None:
    plates = boxes((0, 0, 100, 50), (300, 0, 310, 5))
    [found] = recall_by_width([(CANVAS, plates)], lambda _: plates)
    assert (found.bin, found.plates) == ("96+ px", 1)


def test_one_box_meets_one_plate_only() -> None:
    overlaps = np.array([[0.6, 0.7], [0.5, 0.1]], np.float32)
    assert met(overlaps, 0.5) == {0, 1}
    assert met(overlaps[:1], 0.5) == {1}
    assert met(np.zeros((0, 2), np.float32), 0.3) == set()


def test_laid_plates_stand_where_their_boxes_say_at_the_wanted_widths() -> None:
    canvases = list(lay([source(200)], [np.full((300, 400, 3), 90, np.uint8)], 12, seed=1))
    assert len(canvases) == 12
    widths = []
    for pixels, plates in canvases:
        assert pixels.shape == (HEIGHT_PX, WIDTH_PX, 3)
        for left, top, right, bottom in plates:
            widths.append(right - left)
            middle = pixels[round((top + bottom) / 2), round((left + right) / 2)]
            assert tuple(middle) == RED
    assert len(widths) > 36
    for least, below in pairwise(WIDTHS_PX):
        assert sum(least <= width < below for width in widths) >= 4, f"plates of {least} to {below} px"


def test_same_seed_gives_the_same_canvases() -> None:
    one, two, other = (
        next(lay([source(200)], [], 1, seed))[1] for seed in (5, 5, 6)
    )  # fmt: skip
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_pictures_are_never_blown_up() -> None:
    # The plate is 20 px wide: it can stand in the first bin only.
    plates = np.concatenate([found for _, found in lay([source(20)], [], 12, seed=2)])
    assert len(plates)
    assert float((plates[:, 2] - plates[:, 0]).max()) < 20.01
