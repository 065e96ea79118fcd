"""A read that went bad on the disk is set aside by itself; the others go to the department without it."""

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from sync import outbox_file
from sync.batch import Batch, Receipt, SealedEpoch, SealedRead, SignedBatch, encode_payload
from sync.errors import OutboxCorruptError
from sync.outbox import Outbox, open_outbox
from tests.fakes import START, UNIT

FIRST, SECOND = SealedEpoch("first", UNIT, b"k" * 80), SealedEpoch("second", UNIT, b"l" * 80)
READS = ["r1", "r2", "r3", "r4"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "outbox.db"
    with open_outbox(path) as outbox:
        for name in READS:
            epoch = FIRST if name < "r3" else SECOND
            outbox.append([SealedRead(name, epoch.epoch_id, name.encode() * 20)], epoch, START)
    return path


def alter(path: Path, statement: str) -> None:
    """As a bad sector does: past every rule of the file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement)
        connection.commit()


def batch_of(outbox: Outbox) -> Batch | None:
    return outbox.make_batch(unit_id=UNIT, limit_reads=10, limit_bytes=10**6, now=START + timedelta(hours=9))


def sent(outbox: Outbox) -> list[str]:
    """Hand in all that is sent, and return the names."""
    names: list[str] = []
    while (batch := batch_of(outbox)) is not None:
        names += [read.read_id for read in batch.reads]
        outbox.accept(Receipt(batch.batch_id, UNIT, digest_of(batch), len(batch.reads), START), b"receipt")
    return names


def digest_of(batch: Batch) -> bytes:
    return SignedBatch(batch.batch_id, encode_payload(batch), b"").digest


@pytest.mark.parametrize(
    ("statement", "good"),
    [
        ("UPDATE reads SET sealed = x'00' WHERE read_id = 'r2'", ["r1", "r3", "r4"]),
        ("UPDATE reads SET read_id = 'rX' WHERE read_id = 'r2'", ["r1", "r3", "r4"]),
        ("UPDATE epochs SET sealed_key = x'00' WHERE epoch_id = 'first'", ["r3", "r4"]),
        ("UPDATE epochs SET epoch_id = 'third' WHERE epoch_id = 'first'", ["r3", "r4"]),
        ("UPDATE reads SET sealed = x'00'", []),
    ],
)
@pytest.mark.parametrize("batched", [False, True], ids=["waiting", "in a batch"])
def test_what_went_bad_is_set_aside_and_the_rest_goes(
    path: Path, statement: str, good: Sequence[str], batched: bool
) -> None:
    with open_outbox(path) as outbox:
        if batched:
            assert batch_of(outbox) is not None
    alter(path, statement)
    with open_outbox(path) as outbox:
        assert sent(outbox) == good
        counts = outbox.counts()
        assert (counts.queued, counts.acknowledged, counts.refused) == (0, len(good), 0)
        assert counts.damaged == 4 - len(good)
        assert counts.oldest is None, "no transfer brings it to the department: the officer is not told to"
        why = outbox._connection.execute("SELECT why FROM batches WHERE state = 'refused'").fetchall()
        assert why == [("its bytes changed on this unit's disk; replace the disk",)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE reads SET stored_hour = stored_hour + 1 WHERE read_id = 'r2'",
        "UPDATE reads SET digest = x'0102' WHERE read_id = 'r2'",
    ],
)
def test_what_does_not_travel_counts_until_the_batch_is_made(path: Path, statement: str) -> None:
    alter(path, statement)
    with open_outbox(path) as outbox:
        assert sent(outbox) == ["r1", "r3", "r4"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE batches SET made_at = 9000000000000000000",
        "UPDATE batches SET made_at = made_at + 1",
        "UPDATE batches SET batch_id = 'another'",
        "UPDATE batches SET batch_id = '/../no id'",
        "UPDATE batches SET digest = x'00'",
        "UPDATE batches SET unit_id = 'another'",
    ],
)
def test_of_a_batch_that_is_no_longer_what_it_was_every_read_goes_in_a_new_one(
    path: Path, statement: str
) -> None:
    with open_outbox(path) as outbox:
        before = batch_of(outbox)
    assert before is not None
    alter(path, statement)
    with open_outbox(path) as outbox:
        after = batch_of(outbox)
        assert after is not None
        assert after.batch_id != before.batch_id
        assert after.reads == before.reads
        assert sent(outbox) == READS
        assert outbox.counts().damaged == 0


def test_what_went_bad_is_tried_again_with_what_the_server_refused_and_holds_nothing_back(path: Path) -> None:
    alter(path, "UPDATE reads SET sealed = x'00' WHERE read_id = 'r2'")
    with open_outbox(path) as outbox:
        batch = batch_of(outbox)
        assert batch is not None
        outbox.set_aside(batch.batch_id, "refused")
        for _ in range(3):
            assert outbox.release_refused() in (3, 0)
            assert sent(outbox) in (["r1", "r3", "r4"], [])
        assert outbox.counts().damaged == 1


def test_on_a_stick_goes_what_is_sound(path: Path) -> None:
    with open_outbox(path) as outbox:
        assert batch_of(outbox) is not None
        outbox.append([SealedRead("r5", "second", b"r5")], SECOND, START)
    alter(path, "UPDATE reads SET sealed = x'00' WHERE read_id IN ('r2', 'r5')")
    with open_outbox(path) as outbox:
        batches = list(outbox.open_batches(unit_id=UNIT, limit_reads=10, limit_bytes=10**6, now=START))
        assert [read.read_id for batch in batches for read in batch.reads] == ["r1", "r3", "r4"]
        assert outbox.counts().damaged == 2


def test_a_store_too_large_to_be_looked_through_at_a_start_is_opened_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(4)
    with open_outbox(path) as outbox:
        reads = [SealedRead(f"x{number}", "second", chance.randbytes(9000)) for number in range(2000)]
        outbox.append(reads, SECOND, START)
    # A page deep inside is gone: the whole look finds it, the short one leaves it for whoever meets it.
    content = bytearray(path.read_bytes())
    leaf = next(at for at in range(len(content) - 500 * 4096, 0, -4096) if content[at] == 0x0D)
    content[leaf : leaf + 4096] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(OutboxCorruptError):
        open_outbox(path)
    monkeypatch.setattr(outbox_file, "CHECK_S", 0.0)
    with open_outbox(path) as outbox:
        assert outbox.counts().queued == 2004
        with pytest.raises(OutboxCorruptError), outbox.condemning():
            sent(outbox)
    with pytest.raises(OutboxCorruptError, match="while in use"):
        open_outbox(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE epochs SET sealed_key = x'00' WHERE epoch_id = 'first'",
        "UPDATE epochs SET unit_id = 'another' WHERE epoch_id = 'first'",
        "UPDATE epochs SET epoch_id = 'fierst' WHERE epoch_id = 'first'",
    ],
)
def test_the_second_copy_of_a_key_stands_in_for_the_first(path: Path, statement: str) -> None:
    """As a bad bit on the table's page does, which leaves the index as it was."""
    with closing(sqlite3.connect(path)) as connection:
        # Without the index the statement alters the table alone; then the index comes back as it was.
        connection.execute("PRAGMA writable_schema = ON")
        schema = connection.execute(
            "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema WHERE name = 'epochs_again'"
        ).fetchone()
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'epochs_again'")
        connection.commit()
    alter(path, statement)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", schema)
        connection.commit()
    with open_outbox(path) as outbox:
        assert sorted(sent(outbox)) == READS
        assert outbox.counts().damaged == 0


def test_a_read_whose_own_epoch_went_bad_is_found_the_right_one(path: Path) -> None:
    alter(path, "UPDATE reads SET epoch = 77 WHERE read_id = 'r2'")
    with open_outbox(path) as outbox:
        assert sorted(sent(outbox)) == READS


def test_what_is_really_another_units_stays_and_is_not_called_bad(path: Path) -> None:
    foreign = SealedEpoch("foreign", "unit-99", b"m" * 80)
    with open_outbox(path) as outbox:
        outbox.append([SealedRead("theirs", "foreign", b"x" * 50)], foreign, START)
        assert sent(outbox) == READS
        assert (outbox.counts().queued, outbox.counts().damaged) == (1, 0)
