"""The 30-day clock."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.transfer_clock import TransferLevel, transfer_clock
from tests.fakes import START


@pytest.mark.parametrize(
    ("days", "level", "days_left"),
    [
        (0.0, TransferLevel.OK, 30.0),
        (20.9, TransferLevel.OK, 9.1),
        (21.0, TransferLevel.WARN_21, 9.0),
        (24.9, TransferLevel.WARN_21, 5.1),
        (25.0, TransferLevel.WARN_25, 5.0),
        (28.0, TransferLevel.WARN_28, 2.0),
        (29.99, TransferLevel.WARN_28, 0.01),
        (30.0, TransferLevel.OVERDUE, 0.0),
        (400.0, TransferLevel.OVERDUE, 0.0),
    ],
)
def test_the_level_rises_on_its_day(days: float, level: TransferLevel, days_left: float) -> None:
    clock = transfer_clock(START, START + timedelta(days=days))
    assert clock.level is level
    assert clock.days_left == pytest.approx(days_left)


def test_nothing_waiting_is_the_full_time() -> None:
    clock = transfer_clock(None, START)
    assert (clock.level, clock.days_left, clock.oldest) == (TransferLevel.OK, 30.0, None)


def test_a_clock_set_back_gives_no_more_than_the_full_time() -> None:
    assert transfer_clock(START, START - timedelta(days=100)).days_left == 30.0


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_time_never_makes_it_less_urgent(first_s: int, more_s: int) -> None:
    def at(seconds: int) -> datetime:
        return START + timedelta(seconds=seconds)

    earlier, later = transfer_clock(START, at(first_s)), transfer_clock(START, at(first_s + more_s))
    assert later.level >= earlier.level
    assert 0 <= later.days_left <= earlier.days_left <= 30
