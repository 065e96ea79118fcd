"""Damage that SQLite's own check does not find, and the order of reads while the wall clock jumps."""

from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from sync.batch import SealedEpoch, SealedRead
from sync.errors import OutboxCorruptError
from sync.outbox import Outbox, open_outbox, quarantine
from tests.fakes import START, UNIT

EPOCH = SealedEpoch("epoch", UNIT, b"k")


def keep(outbox: Outbox, read_id: str, hours: float = 0.0) -> None:
    outbox.append([SealedRead(read_id, "epoch", b"sealed")], EPOCH, START + timedelta(hours=hours))


def batch_in(outbox: Outbox) -> list[str]:
    made = outbox.make_batch(unit_id=UNIT, limit_reads=10, limit_bytes=10**6, now=START)
    return [] if made is None else [read.read_id for read in made.reads]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE reads SET read_id = CAST(x'b8b8' AS TEXT)",
        "UPDATE epochs SET epoch_id = CAST(x'b8b8' AS TEXT)",
    ],
)
def test_damage_found_in_use_is_set_aside_at_the_next_start_and_not_met_for_ever(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "outbox.db"
    with open_outbox(path) as outbox:
        keep(outbox, "one")
        batch_in(outbox)
    connection = apsw.Connection(str(path))
    connection.execute(damage).fetchall()
    connection.close()
    with open_outbox(path) as outbox, pytest.raises(OutboxCorruptError), outbox.condemning():
        batch_in(outbox)
    with pytest.raises(OutboxCorruptError, match="found damaged while in use"):
        open_outbox(path)
    aside = quarantine(path)
    assert aside.exists()
    with open_outbox(path) as fresh:
        assert batch_in(fresh) == []


def test_hour_that_cannot_be_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with open_outbox(path) as outbox:
        keep(outbox, "one")
        outbox._connection.execute("UPDATE reads SET stored_hour = 1000000000000")
        with pytest.raises(OutboxCorruptError):
            outbox.counts()


def test_reads_go_in_the_order_they_came_although_the_clock_was_set_back(tmp_path: Path) -> None:
    with open_outbox(tmp_path / "outbox.db") as outbox:
        keep(outbox, "first", hours=10_000)
        keep(outbox, "second", hours=-10_000)
        keep(outbox, "third")
        assert batch_in(outbox) == ["first", "second", "third"]
