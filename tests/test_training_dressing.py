"""Frames dressed for the detector: what is drawn stays where its label says."""

import numpy as np
import pytest

pytest.importorskip("PIL", reason="the renderer needs Pillow: pip install pillow")

from training.detector.dressing import Wardrobe
from training.fonts import faces

BOX = np.array([100, 60, 180, 90], np.float32)


@pytest.fixture(scope="module")
def wardrobe() -> Wardrobe:
    return Wardrobe(seed=1, plates=12, letterings=12)


def test_a_rendered_plate_fills_the_labelled_box_and_nothing_else(wardrobe: Wardrobe) -> None:
    street = np.full((160, 240, 3), 90, np.uint8)
    dressed = wardrobe.cover(np.random.default_rng(2), street, BOX)
    changed = np.argwhere((dressed != street).any(axis=2))
    top, left = changed.min(axis=0)
    bottom, right = changed.max(axis=0)
    assert (street == 90).all(), "the frame itself is not written to"
    assert np.allclose([left, top, right, bottom], BOX, atol=4)


def test_a_box_too_small_for_a_plate_is_left_as_it_is(wardrobe: Wardrobe) -> None:
    street = np.full((160, 240, 3), 90, np.uint8)
    tiny = np.array([10, 10, 18, 13], np.float32)
    assert wardrobe.cover(np.random.default_rng(2), street, tiny) is street


@pytest.mark.skipif(not faces(), reason="no typeface of training.fonts is installed: lettering needs one")
def test_lettering_never_meets_a_plate(wardrobe: Wardrobe) -> None:
    drawn = 0
    for seed in range(40):
        piece = np.full((200, 300, 3), 90, np.uint8)
        wardrobe.letter(np.random.default_rng(seed), piece, BOX[np.newaxis])
        assert (piece[60:90, 100:180] == 90).all()
        drawn += int((piece != 90).any())
    assert drawn > 20
