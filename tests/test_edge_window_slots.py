"""Slots begin, end and survive a restart; neither a clock nor a disk that errs lengthens their life."""

from datetime import timedelta
from pathlib import Path

import pytest

from edge.errors import WindowLostError
from edge.window_file import SlotFile
from edge.window_slots import RETRY_AFTER_NS, Slots
from sync import wire
from sync.config import RetentionConfig
from tests.clocks import FakeClock

HOUR = 3600
KEY = bytes(range(32))


def slots_in(folder: Path, clock: FakeClock, **retention: float) -> Slots:
    return Slots(RetentionConfig(**retention), SlotFile(folder / "window.keys", KEY, None), clock.now())  # type: ignore[arg-type]  # numbers and bools alone


def test_reads_of_one_hour_share_a_slot_and_those_of_the_next_do_not(tmp_path: Path) -> None:
    clock = FakeClock()
    slots = slots_in(tmp_path, clock)
    first = slots.at(clock.now(), hit=True)
    clock.advance(HOUR - 1)
    assert slots.at(clock.now(), hit=False) == first
    clock.advance(1)
    second = slots.at(clock.now(), hit=False)
    assert second is not None and first is not None
    assert second.ends == first.ends + HOUR
    assert slots.alive == (second, first)


def test_slot_is_on_the_disk_before_anything_can_hang_on_it(tmp_path: Path) -> None:
    clock = FakeClock()
    slot = slots_in(tmp_path, clock).at(clock.now(), hit=True)
    assert slots_in(tmp_path, clock).alive == (slot,)


def test_slot_of_minutes_and_one_of_hours_that_end_together_are_not_one(tmp_path: Path) -> None:
    clock = FakeClock()
    slots = slots_in(tmp_path, clock, non_hit_window_min=60)
    kept = slots.at(clock.now(), hit=True)
    clock.advance(23 * HOUR)
    fleeting = slots.at(clock.now(), hit=False)
    assert kept is not None and fleeting is not None
    assert (kept.ends, kept != fleeting) == (fleeting.ends, True)
    assert slots_in(tmp_path, clock).alive == (kept,)


def test_slot_made_while_the_clock_was_years_ahead_ends_one_window_after_the_next_start(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    clock.start += timedelta(days=20_000)
    slots_in(tmp_path, clock).at(clock.now(), hit=True)
    clock.start -= timedelta(days=20_000)
    again = slots_in(tmp_path, clock)
    (slot,) = again.alive
    assert slot.ends == wire.seconds(clock.now().utc) + 24 * HOUR
    # And the next start does not begin to count anew.
    clock.advance(20 * HOUR)
    third = slots_in(tmp_path, clock)
    assert third.alive == (slot,)
    clock.advance(4 * HOUR)
    assert third.expire(clock.now())
    assert not third.alive


def test_shorter_window_in_the_profile_holds_for_what_is_there(tmp_path: Path) -> None:
    clock = FakeClock()
    slots_in(tmp_path, clock).at(clock.now(), hit=True)
    (slot,) = slots_in(tmp_path, clock, local_window_h=3).alive
    assert slot.ends == wire.seconds(clock.now().utc) + 3 * HOUR


def test_file_that_does_not_open_is_begun_anew_and_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock()
    slots_in(tmp_path, clock).at(clock.now(), hit=True)
    other = Slots(RetentionConfig(), SlotFile(tmp_path / "window.keys", bytes(32), None), clock.now())
    assert (other.alive, other.error) == ((), "")
    assert "does not open" in capsys.readouterr().out
    assert slots_in(tmp_path, clock).alive == ()


def test_profile_may_keep_the_window_in_memory_alone(tmp_path: Path) -> None:
    clock = FakeClock()
    slots_in(tmp_path, clock).at(clock.now(), hit=True)
    fleeting = slots_in(tmp_path, clock, window_outlives_restart=False)
    assert fleeting.alive == ()
    assert SlotFile(tmp_path / "window.keys", KEY, None).load() == ()
    assert fleeting.at(clock.now(), hit=True) is not None
    assert SlotFile(tmp_path / "window.keys", KEY, None).load() == ()


class Failing(SlotFile):
    """A file whose disk refuses while `fails`."""

    fails = True
    written = 0

    def replace(self, slots: object) -> None:
        self.written += 1
        if self.fails:
            raise WindowLostError("the TPM does not answer")
        super().replace(slots)  # type: ignore[arg-type]  # passed through


def test_disk_that_refuses_leaves_the_window_in_memory_and_is_tried_again_after_a_minute(
    tmp_path: Path,
) -> None:
    clock, file = FakeClock(), Failing(tmp_path / "window.keys", KEY, None)
    slots = Slots(RetentionConfig(), file, clock.now())
    slot = slots.at(clock.now(), hit=True)
    assert slot is not None and slots.alive == (slot,)
    assert "TPM" in slots.error
    file.fails = False
    assert not slots.expire(clock.now())
    assert file.written == 1
    clock.advance(RETRY_AFTER_NS / 1e9)
    slots.expire(clock.now())
    assert slots.error == ""
    assert slots_in(tmp_path, clock).alive == (slot,)


def test_disk_that_refuses_to_destroy_is_told_and_tried_again(tmp_path: Path) -> None:
    clock, file = FakeClock(), Failing(tmp_path / "window.keys", KEY, None)
    file.fails = False
    slots = Slots(RetentionConfig(), file, clock.now())
    slots.at(clock.now(), hit=True)
    file.fails = True
    clock.advance(25 * HOUR)
    assert slots.expire(clock.now())
    assert not slots.alive and slots.error
    file.fails = False
    clock.advance(60)
    slots.expire(clock.now())
    assert slots.error == ""
    assert file.load() == ()
