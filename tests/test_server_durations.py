"""Durations are read as people write them, and written so that they are read the same."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.durations import parse_duration, spoken, written


@pytest.mark.parametrize(
    ("text", "duration", "words"),
    [
        ("3 min", timedelta(minutes=3), "3 minutes"),
        ("180min", timedelta(hours=3), "3 hours"),
        (" 24 h ", timedelta(days=1), "1 day"),
        ("21 d", timedelta(days=21), "21 days"),
    ],
)
def test_a_duration_is_understood_and_said(text: str, duration: timedelta, words: str) -> None:
    assert parse_duration(text) == duration
    assert spoken(duration) == words


@pytest.mark.parametrize(
    "text", ["", "3", "min", "3 m", "-3 min", "0 min", "1.5 h", "3 mo", "9999999 d", "٣ min"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write a whole number|at least 1 min"):
        parse_duration(text)


@given(st.integers(1, 36_500 * 1440))
def test_what_is_written_is_read_the_same(minutes: int) -> None:
    duration = timedelta(minutes=minutes)
    assert parse_duration(written(duration)) == duration


@given(st.text(max_size=12))
def test_no_text_does_anything_but_be_a_duration_or_be_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_duration(text) >= timedelta(minutes=1)
