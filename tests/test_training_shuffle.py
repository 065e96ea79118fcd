"""A real plate whose characters change places says what it is then labelled with."""

import numpy as np
import numpy.typing as npt
import pytest

from training.plates import RenderedPlate, render_plate
from training.reader.shuffle import Cells, Image, shuffled


@pytest.fixture
def plate_and_cells() -> tuple[RenderedPlate, Cells]:
    plate = render_plate(np.random.default_rng(5), "DE", height_px=80)
    centres = np.array([[(left + right) / 2, (top + bottom) / 2] for left, top, right, bottom in plate.boxes])
    centres[:, 1] = centres[:, 1].mean()
    pitch = np.diff(centres[:, 0])
    room = np.concatenate([pitch[:1], pitch, pitch[-1:]])
    half_height = max(bottom - top for _, top, _, bottom in plate.boxes) * 0.6
    return plate, Cells(centres, np.minimum(room[:-1], room[1:]) / 2, float(half_height))


def cell(picture: Image, cells: Cells, place: int) -> npt.NDArray[np.float64]:
    (x, y), half, high = cells.centres[place], cells.halves[place] * 0.7, cells.half_height * 0.7
    return np.asarray(picture[int(y - high) : int(y + high), int(x - half) : int(x + half)], float)


def test_each_changed_place_shows_the_character_it_is_labelled_with(
    plate_and_cells: tuple[RenderedPlate, Cells],
) -> None:
    plate, cells = plate_and_cells
    rng = np.random.default_rng(1)
    changed = 0
    for _ in range(40):
        altered, text = shuffled(rng, plate.image, cells, plate.text)
        assert len(text) == len(plate.text)
        for place, character in enumerate(text):
            if character == plate.text[place]:
                continue
            changed += 1
            now = cell(altered, cells, place)
            before = cell(plate.image, cells, place)
            assert np.abs(now - before).mean() > 8
    assert changed > 40


def test_characters_of_other_widths_do_not_take_each_others_place(
    plate_and_cells: tuple[RenderedPlate, Cells],
) -> None:
    plate, cells = plate_and_cells
    narrow = Cells(cells.centres, 2 * 1.5 ** np.arange(len(plate.text)), cells.half_height)
    altered, text = shuffled(np.random.default_rng(1), plate.image, narrow, plate.text)
    assert text == plate.text
    assert np.array_equal(altered, plate.image)


def test_equal_seeds_shuffle_equally(plate_and_cells: tuple[RenderedPlate, Cells]) -> None:
    plate, cells = plate_and_cells
    one, other = (shuffled(np.random.default_rng(9), plate.image, cells, plate.text) for _ in range(2))
    assert one[1] == other[1]
    assert np.array_equal(one[0], other[0])
