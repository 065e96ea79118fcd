"""What the unit tells the department of itself, and when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.presence import HTTPS_EVERY_S, HTTPS_SOONEST_S, REFUSED_WAIT_S, RENEW_EVERY_S, Equipment, Presence
from edge.status import HotlistHealth, StoreHealth
from sync.errors import RefusedError, SyncError, UnreachableError
from sync.unit_status import UnitStatus, decode_status
from tests.clocks import FakeClock
from tests.pages import STATUS

EQUIPPED = Equipment("0.1.0", "plates", "0123456789ab", "ba9876543210")


class Told:
    """Fills what sends; fails when it is told to."""

    def __init__(self) -> None:
        self.documents: list[bytes] = []
        self.error: SyncError | None = None

    def __call__(self, document: bytes) -> None:
        self.documents.append(document)
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 3, 2, 23, 0, tzinfo=UTC))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def presence(clock: FakeClock, told: Told) -> Presence:
    return Presence(EQUIPPED, clock, told)


def decoded(presence: Presence) -> UnitStatus:
    status = decode_status(presence.document)
    assert status is not None
    return status


def test_the_document_says_how_the_unit_is(presence: Presence, clock: FakeClock) -> None:
    presence.see(replace(STATUS, hotlist=HotlistHealth(12, 5, 5.0, publication_version=7)), clock.now())
    status = decoded(presence)
    assert (status.software, status.detector, status.list_sequence) == ("0.1.0", "0123456789ab", 12)
    assert (status.publication, status.queued, status.level) == (7, 120, "warn")
    assert [(c.name, c.state, c.reopened) for c in status.cameras][1] == ("rear", "lost", 2)
    assert status.started_at == clock.now().utc - timedelta(seconds=60)
    assert status.faults == ("camera rear: gone",) and status.fault_count == 1


def test_a_number_that_moves_is_told_after_a_minute(presence: Presence, clock: FakeClock) -> None:
    presence.see(STATUS, clock.now())
    first = presence.document
    clock.advance(RENEW_EVERY_S - 1)
    presence.see(replace(STATUS, reads=500), clock.now())
    assert presence.document == first
    clock.advance(1)
    presence.see(replace(STATUS, reads=500), clock.now())
    assert decoded(presence).reads_today == 500


def test_what_a_person_would_act_on_is_told_at_once(presence: Presence, clock: FakeClock) -> None:
    presence.see(STATUS, clock.now())
    clock.advance(1)
    presence.see(replace(STATUS, store=StoreHealth(recording=False)), clock.now())
    assert not decoded(presence).recording


def test_a_new_day_in_utc_counts_from_its_beginning(presence: Presence, clock: FakeClock) -> None:
    presence.see(replace(STATUS, reads=100, hits=3), clock.now())
    assert (decoded(presence).reads_today, decoded(presence).hits_today) == (100, 3)
    clock.advance(3600)
    presence.see(replace(STATUS, reads=140, hits=4), clock.now())
    assert decoded(presence).day.day == 3
    assert (decoded(presence).reads_today, decoded(presence).hits_today) == (40, 1)


def test_nothing_goes_by_https_while_a_broker_has_it(
    presence: Presence, clock: FakeClock, told: Told
) -> None:
    presence.see(STATUS, clock.now())
    presence.bring(told=True)
    assert not told.documents
    presence.bring(told=False)
    assert told.documents == [presence.document]


def test_before_the_first_status_nothing_is_sent(presence: Presence, told: Told) -> None:
    presence.bring(told=False)
    assert not told.documents


def test_https_is_told_every_five_minutes(presence: Presence, clock: FakeClock, told: Told) -> None:
    presence.see(STATUS, clock.now())
    presence.bring(told=False)
    clock.advance(HTTPS_EVERY_S - 1)
    presence.bring(told=False)
    assert len(told.documents) == 1
    clock.advance(1)
    presence.bring(told=False)
    assert len(told.documents) == 2


def test_a_change_goes_sooner_but_not_at_each_flicker(
    presence: Presence, clock: FakeClock, told: Told
) -> None:
    for second in range(int(HTTPS_SOONEST_S) * 2):
        presence.see(replace(STATUS, store=StoreHealth(recording=second % 2 == 0)), clock.now())
        presence.bring(told=False)
        clock.advance(1)
    assert 2 <= len(told.documents) <= 3


def test_an_unreachable_server_is_tried_again_after_five_minutes(
    presence: Presence, clock: FakeClock, told: Told
) -> None:
    told.error = UnreachableError("not there")
    presence.see(STATUS, clock.now())
    presence.bring(told=False)
    clock.advance(HTTPS_EVERY_S)
    presence.bring(told=False)
    assert len(told.documents) == 2


def test_a_refusal_is_left_alone_for_an_hour(presence: Presence, clock: FakeClock, told: Told) -> None:
    told.error = RefusedError("too old", status=404)
    presence.see(STATUS, clock.now())
    presence.bring(told=False)
    for _ in range(int(REFUSED_WAIT_S / 60) - 1):
        clock.advance(60)
        presence.see(replace(STATUS, store=StoreHealth(recording=False)), clock.now())
        presence.bring(told=False)
    assert len(told.documents) == 1
    clock.advance(60)
    presence.bring(told=False)
    assert len(told.documents) == 2
