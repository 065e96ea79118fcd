"""How many plates are found by their width in a 1080p frame, on real pictures shrunk to where the plate is
that wide.

No labelled collection has full-HD street frames. So validation frames are scaled down, never up, until one of
their plates has the wanted width, and several are laid on one 1920 x 1080 canvas whose ground is other
pictures without plates. Every plate on the canvas has a known box. What this keeps of a far plate is its size
on the sensor; haze, motion and the sharpening of small cameras are not in it, and pasted edges are, so the
figures compare detectors and say where recall falls, not how many plates of a street are found.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from training.detector.frames import Boxes, LabelledFrame, Pixels, read_negatives, read_set, unsqueezed
from training.detector.measure import iou

WIDTH_PX, HEIGHT_PX = 1920, 1080
WIDTHS_PX = (16, 24, 32, 48, 64, 96, 192)
"""Edges of the bins; the last is as good as open, for no plate is laid wider."""
SOURCES = ("openlpr_faisal", "ro_robertlucian", "kaggle_cars433", "us_reddit_plat", "openimages_useu")
FRAMES, SEED = 200, 1080
_PASTED = 4
"""Pictures tried a canvas: more and the far ones would lie edge to edge."""
_GROUND_PX = 540
"""Height of the ground's tiles."""
_GAP_PX = 8
_TRIES = 12

Detect = Callable[[Pixels], Boxes]
"""Takes a BGR frame, gives (n, 4): left, top, right, bottom, in that frame's pixels, the surest first."""


@dataclass(frozen=True, slots=True)
class WidthRecall:
    """The plates of one bin, and how many of them were found."""

    least_px: int
    below_px: int
    plates: int
    recall_50: float
    """At an overlap of 0.5."""
    recall_30: float

    @property
    def bin(self) -> str:
        """What the bin is called."""
        return f"{self.least_px}+ px" if self.below_px == WIDTHS_PX[-1] else (
            f"{self.least_px}-{self.below_px} px"
        )  # fmt: skip


def recall_by_width(frames: Iterable[tuple[Pixels, Boxes]], detect: Detect) -> tuple[WidthRecall, ...]:
    """Return the recall of *detect* on (frame, (n, 4) boxes) in each bin of WIDTHS_PX that has a plate.

    Widths are pixels of the frame as given: give frames of 1920 x 1080. Plates outside all bins count
    nowhere.
    """
    widths: list[float] = []
    best: list[tuple[bool, bool]] = []
    for pixels, plates in frames:
        overlaps = iou(detect(pixels).reshape(-1, 4), plates.reshape(-1, 4))
        strict, loose = met(overlaps, 0.5), met(overlaps, 0.3)
        widths += [float(box[2] - box[0]) for box in plates]
        best += [(k in strict, k in loose) for k in range(len(plates))]
    found = []
    for least, below in pairwise(WIDTHS_PX):
        inside = [pair for width, pair in zip(widths, best, strict=True) if least <= width < below]
        if inside:
            strict_share, loose_share = (sum(pair[k] for pair in inside) / len(inside) for k in (0, 1))
            found.append(WidthRecall(least, below, len(inside), strict_share, loose_share))
    return tuple(found)


def met(overlaps: Boxes, least: float) -> set[int]:
    """Return which columns (plates) of *overlaps* are met by a row (box) of their own, best overlap first."""
    rest, found = overlaps.copy(), set()
    while rest.size:
        row, column = np.unravel_index(int(rest.argmax()), rest.shape)
        if rest[row, column] < least:
            break
        found.add(int(column))
        rest[row, :] = rest[:, column] = -1.0
    return found


def distant_frames(count: int = FRAMES, seed: int = SEED) -> Iterator[tuple[Pixels, Boxes]]:
    """Give *count* canvases made of the shared folder's validation frames, always the same for one *seed*."""
    sources = [unsqueezed(frame) for name in SOURCES for frame in read_set(name, "val")]
    return lay(sources, [frame.pixels for frame in read_negatives()], count, seed)


def lay(
    sources: Sequence[LabelledFrame], grounds: Sequence[Pixels], count: int, seed: int
) -> Iterator[tuple[Pixels, Boxes]]:
    """Give *count* canvases of *sources* on *grounds*, each with the boxes of all plates on it.

    The wanted widths go through the bins in turn, so that each bin gets about as many plates.
    """
    rng = np.random.default_rng(seed)
    bins = list(pairwise(WIDTHS_PX))
    turn = 0
    for _ in range(count):
        canvas = _ground(rng, grounds)
        taken: list[tuple[int, int, int, int]] = []
        plates: list[Boxes] = []
        for _ in range(_PASTED):
            least, below = bins[turn % len(bins)]
            turn += 1
            shrunk = _shrunk(rng, sources, float(rng.uniform(least, below)))
            if shrunk is None:
                continue
            place = _free_place(rng, shrunk[0].shape, taken)
            if place is None:
                continue
            (picture, boxes), (left, top) = shrunk, place
            height, width = picture.shape[:2]
            canvas[top : top + height, left : left + width] = picture
            taken.append((left, top, left + width, top + height))
            plates.append(boxes + np.array([left, top, left, top], np.float32))
        yield canvas, np.concatenate([*plates, np.zeros((0, 4), np.float32)])


def _shrunk(
    rng: np.random.Generator, sources: Sequence[LabelledFrame], width_px: float
) -> tuple[Pixels, Boxes] | None:
    """Return a frame scaled so that one of its plates is *width_px* wide; None if none fits the canvas."""
    for index in rng.permutation(len(sources))[: 4 * _TRIES]:
        frame = sources[int(index)]
        if not len(frame.boxes):
            continue
        box = frame.boxes[int(rng.integers(len(frame.boxes)))]
        scale = width_px / float(box[2] - box[0])
        height, width = (max(1, round(side * scale)) for side in frame.pixels.shape[:2])
        if scale <= 1.0 and height <= HEIGHT_PX and width <= WIDTH_PX:
            picture = cv2.resize(frame.pixels, (width, height), interpolation=cv2.INTER_AREA)
            return np.asarray(picture, np.uint8), np.asarray(frame.boxes * scale, np.float32)
    return None


def _free_place(
    rng: np.random.Generator, shape: tuple[int, ...], taken: Sequence[tuple[int, int, int, int]]
) -> tuple[int, int] | None:
    height, width = shape[:2]
    for _ in range(_TRIES):
        left = int(rng.integers(WIDTH_PX - width + 1))
        top = int(rng.integers(HEIGHT_PX - height + 1))
        if all(
            left >= right + _GAP_PX
            or left + width + _GAP_PX <= other
            or top >= bottom + _GAP_PX
            or top + height + _GAP_PX <= upper
            for other, upper, right, bottom in taken
        ):
            return left, top
    return None


def _ground(rng: np.random.Generator, grounds: Sequence[Pixels]) -> Pixels:
    """Return a canvas tiled with *grounds*; grey where there are none."""
    canvas = np.full((HEIGHT_PX, WIDTH_PX, 3), 114, np.uint8)
    if not grounds:
        return canvas
    for top in range(0, HEIGHT_PX, _GROUND_PX):
        left = 0
        while left < WIDTH_PX:
            picture = grounds[int(rng.integers(len(grounds)))]
            width = max(1, round(picture.shape[1] * _GROUND_PX / picture.shape[0]))
            tile = cv2.resize(picture, (width, _GROUND_PX), interpolation=cv2.INTER_LINEAR)
            canvas[top : top + _GROUND_PX, left : left + width] = tile[:, : WIDTH_PX - left]
            left += width
    return canvas
