"""Reads that are no hit and are never to be sent: gone with their time, whatever happens to the unit."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.keeper import Follow
from edge.pipeline import ReadWithHits
from sync.config import RetentionConfig
from sync.outbox import open_outbox
from tests.fakes import UNIT, a_read
from tests.windows import STORAGE_KEY, UnitStore, opened_by_thief

NEW_HAMPSHIRE = RetentionConfig(non_hit_window_min=3, transfer_non_hits=False)
PLATE, OTHER = "7ABC123", "8XYZ987"


@pytest.fixture
def unit(tmp_path: Path) -> UnitStore:
    return UnitStore(tmp_path, NEW_HAMPSHIRE)


def passing(unit: UnitStore) -> int:
    """How many such reads the file holds."""
    found = unit.outbox._connection.execute("SELECT count(*) FROM passing_reads").get
    assert isinstance(found, int)
    return found


def batched(unit: UnitStore) -> list[str]:
    batch = unit.outbox.make_batch(unit_id=UNIT, limit_reads=100, limit_bytes=10**7, now=unit.clock.now().utc)
    return [] if batch is None else [read.read_id for read in batch.reads]


def test_read_without_a_hit_is_found_for_three_minutes_and_then_nowhere(unit: UnitStore) -> None:
    read_id = unit.keep(PLATE)
    unit.pass_time(100)
    assert unit.find(PLATE) == [read_id]
    unit.pass_time(80)
    assert (unit.find(PLATE), passing(unit)) == ([], 0)
    assert unit.keeper.health.destroyed == 1
    unit.stop()


def test_it_is_in_no_batch_and_the_transfer_clock_does_not_know_it(unit: UnitStore) -> None:
    unit.keep(PLATE)
    counts = unit.keeper.counts
    assert (counts.queued, counts.oldest, batched(unit)) == (0, None, [])
    hit = unit.keep(OTHER, hit=True)
    assert (unit.keeper.counts.queued, batched(unit)) == (1, [hit])
    unit.stop()


def test_correction_of_a_hit_goes_with_it(unit: UnitStore) -> None:
    hit = unit.keep(PLATE, hit=True)
    correction = unit.keep(OTHER, revises=hit)
    unit.keep("8XYZ988", revises="another-read")
    assert unit.keeper.counts.queued == 2
    assert [read.read_id for read in unit.acknowledge().reads] == [hit, correction]
    unit.stop()


def test_power_cut_leaves_what_nobody_can_open(unit: UnitStore) -> None:
    for number in range(3):
        unit.keep(f"7ABC12{number}")
    assert passing(unit) == 3
    # No department's key is asked here: there is no sealed key for it to open.
    assert opened_by_thief(unit.folder, [STORAGE_KEY], [b""]) == set()
    assert unit.outbox._connection.execute("SELECT count(*) FROM epochs").get == 0
    unit.window.close()
    unit.outbox.close()
    unit.start()  # as after the cut: the secrets were in memory alone
    assert (passing(unit), unit.find("*"), unit.keeper.health.destroyed) == (0, [], 3)
    unit.stop()


def test_bytes_of_what_was_destroyed_are_not_in_the_file(unit: UnitStore) -> None:
    unit.keep(PLATE)
    sealed = unit.outbox._connection.execute("SELECT sealed FROM passing_reads").get
    assert isinstance(sealed, bytes)
    unit.pass_time(181)
    unit.stop()
    assert all(sealed[:64] not in path.read_bytes() for path in unit.folder.glob("outbox.db*"))


def test_window_of_no_minutes_stores_nothing_at_all(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path, replace(NEW_HAMPSHIRE, non_hit_window_min=0))
    unit.keep(PLATE)
    assert (unit.keeper.health.stored, unit.keeper.health.destroyed, passing(unit)) == (0, 1, 0)
    unit.stop()


def test_what_was_stored_before_the_rule_is_still_sent(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path, RetentionConfig())
    before = unit.keep(PLATE)
    unit.keeper.handle(Follow(NEW_HAMPSHIRE))
    unit.keep(OTHER)
    unit.pass_time(200)
    assert (unit.keeper.counts.queued, batched(unit)) == (1, [before])
    assert unit.keeper.health.destroyed == 1
    unit.stop()


def test_shorter_window_holds_at_once_for_what_is_stored_and_a_longer_one_does_not(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path, RetentionConfig(local_window_h=24))
    old = unit.keep(PLATE)
    unit.keeper.handle(Follow(RetentionConfig(local_window_h=2)))
    unit.pass_time(3600)
    assert unit.find(PLATE) == [old]
    unit.keeper.handle(Follow(RetentionConfig(local_window_h=24)))
    unit.pass_time(3700)
    assert unit.find(PLATE) == []
    unit.restart()
    assert unit.find(PLATE) == []
    unit.stop()


def test_shorter_window_of_reads_without_a_hit_holds_for_those_that_are_stored_and_for_no_hit(
    tmp_path: Path,
) -> None:
    unit = UnitStore(tmp_path, replace(NEW_HAMPSHIRE, non_hit_window_min=60))
    unit.keep(PLATE)
    hit = unit.keep(OTHER, hit=True)
    unit.keeper.handle(Follow(NEW_HAMPSHIRE))
    unit.pass_time(181)
    assert (unit.find("*"), passing(unit), unit.keeper.health.destroyed) == ([hit], 0, 1)
    unit.stop()


def test_hit_that_shares_the_window_of_other_reads_keeps_its_own(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path, RetentionConfig(non_hit_window_min=24 * 60, transfer_non_hits=False))
    unit.keep(PLATE)
    hit = unit.keep(OTHER, hit=True)
    assert len(unit.slots.alive) == 1
    unit.keeper.handle(Follow(NEW_HAMPSHIRE))
    unit.pass_time(181)
    assert hit in unit.find("*")
    unit.stop()


def test_window_that_is_taken_away_ends_at_once(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path, RetentionConfig(local_window_h=24))
    unit.keep(PLATE)
    unit.keeper.handle(Follow(RetentionConfig(local_window_h=0)))
    assert unit.find(PLATE) == []
    assert (unit.slots.alive, unit.keeper.counts.queued) == ((), 1)
    assert opened_by_thief(unit.folder, [STORAGE_KEY], [b""]) == set()
    unit.stop()


def test_outbox_forgets_passing_reads_with_their_slot_alone(unit: UnitStore) -> None:
    unit.keep(PLATE)
    (slot,) = unit.outbox.window_slots()
    assert unit.outbox.forget([slot + 1]) == 0
    assert unit.outbox.forget([slot]) == 1
    assert unit.outbox.window_slots() == frozenset()
    unit.stop()
    with open_outbox(unit.folder / "outbox.db") as again:
        assert again.counts().queued == 0


def test_its_key_is_sealed_to_nobody(unit: UnitStore) -> None:
    read = a_read()
    now = unit.clock.now()
    never_sent = unit.keeper._sealing.seal_passing(ReadWithHits(read, ()), now)
    assert never_sent is not None
    assert never_sent.epoch.sealed_key == b""
    assert unit.keeper._sealing.seal(ReadWithHits(read, ()), now).epoch.sealed_key != b""
    unit.stop()
