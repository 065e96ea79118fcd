"""Slots, tokens and cards: what a read leaves in the index, and for how long it can be found."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera.fix import Fix
from recognizer.plate import Plate
from sync.errors import SealBrokenError
from sync.window import (
    Card,
    cells_near,
    index_rows,
    labels,
    metres_between,
    new_slot,
    place_cell,
    slot_end,
)
from tests.fakes import a_read

NOW = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
CARD = Card("read-1", Plate("7ABC123"), Plate("CB"), "front", NOW)
PLACES = st.tuples(st.floats(-84, 84), st.floats(-179, 179))


@given(st.integers(0, 4 * 10**9), st.integers(1, 366 * 86400))
def test_slot_ends_within_the_window_and_not_before_three_quarters_of_it(now_s: int, window_s: int) -> None:
    left = slot_end(now_s, window_s) - now_s
    assert left <= window_s
    assert left > math.ceil(window_s * 0.75) - 1


@given(st.integers(0, 10**9), st.integers(2 * 3600, 366 * 86400))
def test_two_windows_never_have_more_slots_than_their_file_holds(start: int, window_s: int) -> None:
    from edge.window_file import MOST_SLOTS

    ends = {slot_end(start + window_s * n // 500, window_s) for n in range(501)}
    assert 2 * len(ends) <= MOST_SLOTS


def test_card_comes_back_and_every_card_has_the_same_length() -> None:
    slot = new_slot(0)
    sealed = slot.seal_card(b"token", CARD)
    assert slot.open_card(b"token", sealed) == CARD
    other = Card("read-1", Plate("A1"), Plate(""), "left", NOW)
    assert len(slot.seal_card(b"token", other)) == len(sealed)


def test_card_opens_under_its_own_token_and_slot_alone() -> None:
    slot = new_slot(0)
    sealed = slot.seal_card(b"token", CARD)
    for opener, token, data in (
        (slot, b"other", sealed),
        (new_slot(0), b"token", sealed),
        (slot, b"token", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (slot, b"token", b""),
    ):
        with pytest.raises(SealBrokenError):
            opener.open_card(token, data)


def test_tokens_of_labels_counts_and_slots_are_all_different() -> None:
    slots = [new_slot(0) for _ in range(3)]
    tokens = {s.token(label, n) for s in slots for label in (b"plate:A1", b"plate:A", b"1") for n in range(9)}
    assert len(tokens) == 3 * 3 * 9
    assert slots[0].token(b"plate:A1", 3) == slots[0].token(b"plate:A1", 3)


def test_read_is_counted_under_each_of_its_labels() -> None:
    read, asked = a_read(plate="7ABC123"), []
    rows = index_rows(new_slot(0), read, lambda slot, label: asked.append(label) or 0)  # type: ignore[func-returns-value]  # append gives None
    assert asked == list(labels(read))
    assert len(rows) == len(asked) == 3


@given(PLACES, st.floats(10, 2000), st.floats(0, 2 * math.pi), st.floats(0, 1))
def test_every_place_in_a_circle_lies_in_one_of_its_cells(
    centre: tuple[float, float], radius_m: float, course: float, share: float
) -> None:
    latitude = centre[0] + math.cos(course) * share * radius_m / 111_195
    east_m = math.sin(course) * share * radius_m
    longitude = centre[1] + east_m / (111_195 * math.cos(math.radians(centre[0])))
    if metres_between(Fix(NOW, latitude, longitude), *centre) <= radius_m:
        assert place_cell(latitude, longitude) in set(cells_near(*centre, radius_m))


@given(PLACES)
def test_cell_is_about_150_m_wide(place: tuple[float, float]) -> None:
    latitude, longitude = place
    assert place_cell(latitude + 0.0028, longitude)[0] >= place_cell(latitude, longitude)[0] + 2
    degrees = 150.0 / (111_195 * math.cos(math.radians(latitude)))
    one, other = place_cell(latitude, longitude), place_cell(latitude, longitude + 2.1 * degrees)
    assert 1 <= other[1] - one[1] <= 3


def test_secret_plate_and_prefix_are_not_shown_by_repr() -> None:
    shown = repr(new_slot(0)) + repr(CARD)
    assert "secret" not in shown and "7ABC123" not in shown and "CB" not in shown
