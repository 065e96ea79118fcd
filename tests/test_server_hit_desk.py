"""Batches of hits that come by MQTT: one unit gone mad leaves the others their room."""

from collections import Counter
from datetime import datetime
from threading import Event

import pytest

from server.errors import StoreUnavailableError
from server.hit_desk import MOST_OF_ONE, MOST_WAITING, HitDesk
from server.intake import Intake
from sync.batch import SignedBatch
from sync.hit_message import encode_hits
from tests.departments import NOW


class SlowIntake(Intake):
    """A department whose database hangs until it is let go."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.taken: Counter[str] = Counter()
        self.fails_for = ""

    def take_told(self, unit_id: str, signed: SignedBatch, now: datetime) -> bytes:
        assert self.go_on.wait(10)
        if unit_id == self.fails_for:
            raise StoreUnavailableError("the disk is full", retry_after_s=1)
        self.taken[unit_id] += 1
        return b"receipt"


@pytest.fixture
def intake() -> SlowIntake:
    return SlowIntake()


def message(number: int) -> bytes:
    return encode_hits(SignedBatch(f"batch-{number}", b"payload", bytes(64)))


def test_one_unit_fills_no_more_than_its_share(intake: SlowIntake) -> None:
    desk = HitDesk(intake, lambda: NOW)
    for number in range(MOST_WAITING * 3):
        desk.put("mad", message(number))
    desk.put("sane", message(0))
    answered: Counter[str] = Counter()
    desk.start(lambda unit_id, receipt: answered.update([unit_id]))
    intake.go_on.set()
    desk.stop()
    assert intake.taken == answered == {"mad": MOST_OF_ONE, "sane": 1}


def test_its_share_is_free_again_once_it_was_taken_or_refused(intake: SlowIntake) -> None:
    desk = HitDesk(intake, lambda: NOW)
    intake.go_on.set()
    for fails_for, taken in (("mad", 0), ("", MOST_OF_ONE)):
        intake.fails_for = fails_for
        for number in range(MOST_OF_ONE + 1):
            desk.put("mad", message(number))
        desk.start(lambda unit_id, receipt: None)
        desk.stop()
        assert intake.taken["mad"] == taken


def test_all_units_together_have_a_bound(intake: SlowIntake) -> None:
    desk = HitDesk(intake, lambda: NOW)
    for number in range(MOST_WAITING + 10):
        desk.put(f"unit-{number}", message(number))
    intake.go_on.set()
    desk.start(lambda unit_id, receipt: None)
    desk.stop()
    assert sum(intake.taken.values()) == MOST_WAITING
