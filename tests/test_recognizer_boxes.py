"""Two boxes on one plate are one; two plates side by side stay two."""

from hypothesis import given
from hypothesis import strategies as st

from recognizer import Box
from recognizer.boxes import covered, distinct

edges = st.tuples(st.integers(0, 50), st.integers(0, 50))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, top = draw(edges)
    width, height = draw(edges)
    return Box(left, top, left + width, top + height)


def test_of_two_boxes_on_one_plate_the_surer_is_kept() -> None:
    assert distinct([Box(0, 0, 40, 10), Box(2, 1, 41, 10)], [0.6, 0.9]) == [1]


def test_a_fragment_inside_a_surer_box_is_dropped() -> None:
    assert distinct([Box(0, 0, 100, 20), Box(60, 0, 105, 20)], [0.9, 0.8]) == [0]


def test_plates_side_by_side_are_both_kept_the_surer_first() -> None:
    assert distinct([Box(0, 0, 40, 10), Box(42, 0, 80, 10)], [0.6, 0.9]) == [1, 0]


@given(st.lists(st.tuples(boxes(), st.floats(0, 1)), max_size=8))
def test_what_is_kept_stays_when_asked_again(found: list[tuple[Box, float]]) -> None:
    kept = distinct([box for box, _ in found], [confidence for _, confidence in found])
    again = distinct([found[index][0] for index in kept], [found[index][1] for index in kept])
    assert again == list(range(len(kept)))


@given(boxes(), boxes())
def test_covering_is_mutual_and_a_share(one: Box, other: Box) -> None:
    assert covered(one, other) == covered(other, one)
    assert 0.0 <= covered(one, other) <= 1.0
