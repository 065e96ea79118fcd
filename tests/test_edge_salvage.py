"""A unit whose store was damaged takes the sound reads back while it goes on recording."""

import shutil
from collections import namedtuple
from pathlib import Path
from queue import Queue

import pytest

from edge.config import Config, UnitConfig
from edge.doctor import Verdict, examine
from edge.keeper import Keeper, NextBatch
from sync.outbox import quarantine
from sync.sqlite_pages import PAGE_BYTES
from tests.windows import UnitStore

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def unit(tmp_path: Path) -> UnitStore:
    """A unit with thirty reads, at the start after its store was found damaged."""
    unit = UnitStore(tmp_path)
    for number in range(30):
        unit.keep(f"7ABC{number:03}", hit=number == 7)
    unit.stop()
    path = tmp_path / "outbox.db"
    content = bytearray(path.read_bytes())
    content[:PAGE_BYTES] = bytes(PAGE_BYTES)
    path.write_bytes(content)
    quarantine(path)
    unit.start()
    return unit


def salvage_on(keeper: Keeper, most: int = 1000) -> None:
    for _ in range(most):
        keeper.salvage_step()


def test_reads_of_a_damaged_store_go_to_the_department_and_new_ones_too(unit: UnitStore) -> None:
    unit.keeper.salvage_step()
    new = unit.keep("8XYZ999")
    salvage_on(unit.keeper)
    assert unit.keeper.health.salvaged == 30
    assert (unit.keeper.counts.queued, unit.keeper.counts.hits) == (31, 1)
    sent = [read.read_id for _ in range(2) for read in unit.acknowledge().reads]
    assert len(sent) == 31
    assert new in sent
    assert sorted(each.name for each in unit.folder.glob("outbox.db.*")) == ["outbox.db.salvaged-1"]
    unit.stop()


def test_it_goes_on_at_the_next_start_where_it_was_broken_off(unit: UnitStore) -> None:
    salvage_on(unit.keeper, 1)
    unit.restart()
    salvage_on(unit.keeper)
    assert unit.keeper.counts.queued == 30
    unit.restart()
    assert unit.keeper._salvaging is None
    unit.stop()


def test_where_room_is_short_what_is_yet_to_come_has_it(
    unit: UnitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = unit.retention.image_reserve_bytes - 1
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))
        salvage_on(unit.keeper)
    assert unit.keeper.health.salvaged == 0
    assert (unit.folder / "outbox.db.damaged-1").exists()
    unit.restart()
    salvage_on(unit.keeper)
    assert unit.keeper.health.salvaged == 30
    unit.stop()


def test_a_file_that_is_gone_meanwhile_ends_it_and_not_the_unit(unit: UnitStore) -> None:
    (unit.folder / "outbox.db.damaged-1").unlink()
    salvage_on(unit.keeper)
    assert unit.keeper.health.salvaged == 0
    assert unit.keep("8XYZ999")
    assert unit.keeper.counts.queued == 1
    unit.stop()


def test_technician_is_told_of_a_read_that_went_bad(unit: UnitStore) -> None:
    salvage_on(unit.keeper)
    unit.outbox._connection.execute("UPDATE reads SET sealed = x'00' WHERE sequence = 5")
    unit.keeper.handle(NextBatch(Queue(), hits=False))
    unit.pass_time(61)
    assert unit.keeper.health.damaged == unit.keeper.counts.damaged == 1
    unit.stop()


def test_doctor_says_what_is_damaged_and_what_may_be_deleted(unit: UnitStore) -> None:
    """As `alpr-edge check` prints it."""

    def told() -> list[tuple[Verdict, str]]:
        state = UnitConfig("unit-07", unit.folder, unit.folder / "keys", unit.folder)
        findings = [each for each in examine(Config(unit=state, cameras=())) if each.subject == "store"]
        return [(each.verdict, each.text) for each in findings]

    assert told() == [
        (Verdict.OK, "0 reads wait for transfer"),
        (
            Verdict.WARNING,
            "outbox.db.damaged-1: sound reads are yet to be taken back; start the daemon, and make room",
        ),
    ]
    salvage_on(unit.keeper)
    unit.outbox._connection.execute("UPDATE reads SET sealed = x'00' WHERE sequence = 5")
    unit.keeper.handle(NextBatch(Queue(), hits=False))
    assert told() == [
        (Verdict.OK, "29 reads wait for transfer"),
        (Verdict.FAILURE, "1 reads went bad on the disk and cannot be opened; replace the disk"),
        (
            Verdict.WARNING,
            "outbox.db.salvaged-1: a damaged store, gone through; delete it once its reads are transferred",
        ),
    ]
    unit.stop()
