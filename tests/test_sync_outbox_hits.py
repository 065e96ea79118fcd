"""Hits go first: in batches of their own, whatever waits since when."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sync import outbox_file
from sync.batch import Batch, SealedEpoch, SealedRead
from sync.outbox import Outbox, open_outbox
from tests.fakes import START, UNIT

EPOCH = SealedEpoch("epoch-1", UNIT, b"k" * 80)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with open_outbox(tmp_path / "outbox.db") as opened:
        yield opened


def keep(outbox: Outbox, *names: str, hits: bool = False) -> None:
    reads = [SealedRead(name, EPOCH.epoch_id, name.encode()) for name in names]
    outbox.append(reads, EPOCH, START, hits=names if hits else ())


def batch(outbox: Outbox, hits: bool | None = None, *, reads: int = 100) -> list[str]:
    made = whole(outbox, hits, reads=reads)
    return [] if made is None else [read.read_id for read in made.reads]


def whole(outbox: Outbox, hits: bool | None = None, *, reads: int = 100) -> Batch | None:
    return outbox.make_batch(
        unit_id=UNIT, limit_reads=reads, limit_bytes=10**6, now=START + timedelta(days=1), hits=hits
    )


def test_hits_go_before_reads_that_wait_for_longer(outbox: Outbox) -> None:
    keep(outbox, "old-1", "old-2")
    keep(outbox, "hit-1", "hit-2", hits=True)
    assert batch(outbox) == ["hit-1", "hit-2"]
    assert (outbox.counts().queued, outbox.counts().hits) == (4, 2)


def test_hits_go_before_a_batch_that_was_made_already_and_that_keeps_its_bytes(outbox: Outbox) -> None:
    keep(outbox, "old-1", "old-2")
    before = whole(outbox)
    keep(outbox, "hit-1", hits=True)
    assert batch(outbox) == ["hit-1"]
    assert whole(outbox, False) == before


def test_each_kind_is_batched_alone(outbox: Outbox) -> None:
    keep(outbox, "old-1")
    keep(outbox, "hit-1", hits=True)
    keep(outbox, "old-2")
    assert (batch(outbox, True), batch(outbox, False)) == (["hit-1"], ["old-1", "old-2"])
    assert batch(outbox, True) == ["hit-1"]  # until its receipt


def test_where_no_hit_waits_none_is_given(outbox: Outbox) -> None:
    keep(outbox, "old-1")
    assert batch(outbox, True) == []
    assert batch(outbox) == ["old-1"]


def test_refused_hits_stay_hits_in_their_new_batch(outbox: Outbox) -> None:
    keep(outbox, "old-1")
    keep(outbox, "hit-1", hits=True)
    made = whole(outbox, True)
    assert made is not None
    outbox.set_aside(made.batch_id, "no")
    assert (batch(outbox, True), outbox.counts().hits) == ([], 0)
    outbox.release_refused()
    assert (batch(outbox, True), outbox.counts().hits) == (["hit-1"], 1)


def test_stick_takes_all_of_both_kinds(outbox: Outbox) -> None:
    keep(outbox, "old-1", "old-2")
    keep(outbox, "hit-1", hits=True)
    found = outbox.open_batches(unit_id=UNIT, limit_reads=1, limit_bytes=10**6, now=START)
    assert [read.read_id for each in found for read in each.reads] == ["hit-1", "old-1", "old-2"]


def test_outbox_of_before_there_were_hits_first_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outbox.db"
    with monkeypatch.context() as older:
        older.setattr(outbox_file, "MIGRATIONS", outbox_file.MIGRATIONS[:2])
        connection = outbox_file.connect(path)
        outbox_file.configure(connection)
        outbox_file.migrate(connection, "outbox")
        connection.execute("INSERT INTO epochs VALUES (1, 'e', ?, x'00')", (UNIT,))
        connection.execute(
            "INSERT INTO reads (read_id, epoch, stored_hour, sealed) VALUES ('old', 1, 1, x'01')"
        )
        connection.close()
    with open_outbox(path) as outbox:
        assert (batch(outbox), outbox.counts().hits) == (["old"], 0)


def test_asking_for_hits_does_not_go_through_all_that_waits(outbox: Outbox) -> None:
    """Before each batch of a month's backlog it is asked whether a hit waits."""
    epoch = SealedEpoch("many", UNIT, b"k" * 80)
    outbox.append([SealedRead(f"many-{number}", "many", b"x" * 50) for number in range(5000)], epoch, START)
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    outbox._connection.set_progress_handler(count, 1)
    assert outbox.make_batch(unit_id=UNIT, limit_reads=10, limit_bytes=10**6, now=START, hits=True) is None
    outbox._connection.set_progress_handler(None)
    assert 0 < steps < 1000, "of SQLite's machine: a read gone through takes some ten"
