"""What is looked at: all of a frame always, and finely where far plates stand, for a look's pixels or so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer import Box
from recognizer.views import READABLE_PX, Lookout, View, whole

SIDE = 512
FAR = 2 * READABLE_PX - 1
"""The widest plate that tells where the band is."""


def window(lookout: Lookout, width: int = 1920, height: int = 1080) -> View:
    """The fine view of the next frame, which must have one."""
    _, fine = lookout.views(width, height)
    return fine


def covers(view: View, box: Box) -> bool:
    inside = view.window
    return inside.left <= box.left and box.right <= inside.right


def pixels_of(view: View) -> float:
    """How many pixels of the input the view fills."""
    scale = view.input_px / max(view.window.width, view.window.height)
    return view.window.width * view.window.height * scale**2


sizes = st.tuples(st.integers(16, 4096), st.integers(16, 4096))


@given(sizes, st.integers(1, 30))
def test_every_frame_is_looked_at_as_a_whole(size: tuple[int, int], frames: int) -> None:
    lookout = Lookout(SIDE)
    for _ in range(frames):
        first, *_ = lookout.views(*size)
        assert first.window == Box(0, 0, *size)
        assert first.trusts(Box(0, 0, *size)), "the whole frame has no inner edge"


@given(sizes, st.lists(st.integers(0, 4000), max_size=40))
def test_no_view_reaches_beyond_the_frame_or_the_input(size: tuple[int, int], heights: list[int]) -> None:
    width, height = size
    lookout = Lookout(SIDE)
    for y in heights:
        for view in lookout.views(width, height):
            assert 0 <= view.window.left < view.window.right <= width
            assert 0 <= view.window.top < view.window.bottom <= height
            assert view.input_px <= SIDE
        lookout.found([Box(0, min(y, height), 30, min(y + 8, height))], height)


def test_a_720p_frame_is_looked_at_once_and_fully() -> None:
    assert Lookout(SIDE).views(1280, 720) == (whole(1280, 720, SIDE),)


def test_a_larger_input_needs_no_window_in_a_larger_frame() -> None:
    assert len(Lookout(768).views(1920, 1080)) == 1
    assert len(Lookout(SIDE).views(1920, 1080)) == 2


@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (1920, 1080), (2560, 1440), (3840, 2160)])
def test_both_views_together_fill_little_more_than_one_full_look(width: int, height: int) -> None:
    coarse, fine = Lookout(SIDE).views(width, height)
    assert pixels_of(coarse) + pixels_of(fine) <= 1.15 * pixels_of(whole(width, height, SIDE))


def test_the_narrowest_readable_plate_is_wide_enough_to_be_found_in_the_window() -> None:
    fine = window(Lookout(SIDE))
    assert READABLE_PX * fine.input_px / fine.window.width >= 16


@pytest.mark.parametrize("width", [1344, 1920, 2560, 3840])
def test_a_plate_anywhere_across_the_band_is_inside_a_window_soon(width: int) -> None:
    lookout = Lookout(SIDE)
    height = width * 9 // 16
    views = [window(lookout, width, height) for _ in range(12)]
    middle = height // 2
    for left in range(0, width - READABLE_PX):
        plate = Box(left, middle - 5, left + READABLE_PX, middle + 5)
        assert any(view.trusts(plate) and covers(view, plate) for view in views)


def test_the_middle_where_the_road_comes_from_is_looked_at_every_second_frame() -> None:
    lookout = Lookout(SIDE)
    middle = Box(940, 535, 980, 545)
    lefts = [window(lookout).window.left for _ in range(8)]
    assert lefts == [448, 0, 448, 896] * 2
    for _ in range(8):
        assert window(lookout).trusts(middle) or window(lookout).trusts(middle)


def test_a_plate_that_the_window_may_have_cut_in_two_is_not_believed() -> None:
    fine = window(Lookout(SIDE))
    edges = fine.window
    assert not fine.trusts(Box(edges.left + 3, 530, edges.left + 60, 550)), "left"
    assert not fine.trusts(Box(edges.right - 60, 530, edges.right - 3, 550)), "right"
    assert not fine.trusts(Box(900, edges.top + 3, 960, edges.top + 20)), "top"
    assert not fine.trusts(Box(900, edges.bottom - 20, 960, edges.bottom - 3)), "bottom"
    assert fine.trusts(Box(edges.left + 5, 530, edges.left + 60, 550))


def test_a_plate_at_the_edge_of_the_frame_itself_is_believed() -> None:
    lookout = Lookout(SIDE)
    _, left = window(lookout), window(lookout)
    assert left.window.left == 0
    assert left.trusts(Box(0, 530, 50, 550))


def test_a_near_plate_is_not_believed_of_the_window_but_of_the_whole_frame() -> None:
    coarse, fine = Lookout(SIDE).views(1920, 1080)
    near = Box(700, 500, 1000, 580)
    assert coarse.trusts(near)
    assert not fine.trusts(near)


def test_the_band_starts_in_the_middle_and_follows_the_far_plates() -> None:
    lookout = Lookout(SIDE)
    assert window(lookout).window.top == 540 - 160
    for _ in range(200):
        lookout.found([Box(900, 695, 960, 705)], 1080)
    assert window(lookout).window.top == pytest.approx(700 - 160, abs=2)


def test_a_single_plate_elsewhere_hardly_moves_the_band() -> None:
    lookout = Lookout(SIDE)
    lookout.found([Box(900, 40, 960, 60)], 1080)
    assert window(lookout).window.top >= 540 - 160 - 30


def test_near_plates_do_not_say_where_the_band_is() -> None:
    lookout = Lookout(SIDE)
    for _ in range(200):
        lookout.found([Box(900, 900, 900 + FAR + 1, 940)], 1080)
    assert window(lookout).window.top == 540 - 160


def test_the_band_is_learnt_as_a_share_so_that_a_camera_may_change_its_size() -> None:
    lookout = Lookout(SIDE)
    for _ in range(200):
        lookout.found([Box(900, 695, 960, 705)], 1080)
    assert window(lookout, 3840, 2160).window.top == pytest.approx(1400 - 160, abs=4)
