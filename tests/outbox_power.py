"""A unit's outbox at work, recorded: reads stored, batched, acknowledged, purged, and their window's keys."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw

from sync.batch import Receipt, SealedEpoch, SealedRead, SignedBatch, encode_payload
from sync.outbox import Outbox
from sync.outbox_window import WindowPart
from tests.fakes import START, UNIT
from tests.power import Event, Outcome, Recorder, campaign

DATABASE = "outbox.db"


@dataclass(frozen=True, slots=True)
class Stored:
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Travelling:
    batch_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Receipted:
    batch_id: str
    reads: tuple[str, ...]


def worked(rounds: int, synchronous: str = "FULL", seed: int = 1) -> list[Event]:
    """Return what an outbox at work wrote, and what it promised, in *rounds* rounds."""
    chance = random.Random(seed)
    with TemporaryDirectory() as name, _recorder() as recorder:
        connection = apsw.Connection(str(Path(name) / DATABASE), vfs="recording")
        numbers = iter(range(10**6))
        outbox = Outbox(connection, new_id=lambda: f"batch-{next(numbers)}")
        connection.execute(f"PRAGMA synchronous = {synchronous}").fetchall()
        connection.execute("PRAGMA wal_autocheckpoint = 20").fetchall()  # often, so that cuts hit it
        for number in range(rounds):
            _round(outbox, recorder, chance, number)
        outbox.close()
        return recorder.events


def cut_outbox(events: list[Event], count: int, seed: int = 1) -> Outcome:
    """Cut the power *count* times and look each time."""
    with TemporaryDirectory(dir="/dev/shm") as name:
        return campaign(events, count, Path(name), _look, database=DATABASE, seed=seed)


def _round(outbox: Outbox, recorder: Recorder, chance: random.Random, number: int) -> None:
    epoch = SealedEpoch(f"epoch-{number // 8}", UNIT, b"k" * 80)
    reads = [
        SealedRead(f"read-{number}-{i}", epoch.epoch_id, chance.randbytes(chance.randrange(200, 6000)))
        for i in range(chance.randrange(1, 5))
    ]
    slot = number // 8
    rows = tuple((chance.randbytes(16), chance.randbytes(60)) for _ in reads)
    now = START + timedelta(seconds=number)
    outbox.append(reads, epoch, now, WindowPart(slot, chance.randbytes(40), rows))
    recorder.said(Stored(tuple(read.read_id for read in reads)))
    if number % 3 == 2:
        batch = outbox.make_batch(unit_id=UNIT, limit_reads=6, limit_bytes=10**6, now=now)
        assert batch is not None
        digest = SignedBatch(batch.batch_id, encode_payload(batch), b"").digest
        recorder.said(Travelling(batch.batch_id, digest))
        if chance.random() < 0.8:
            receipt = Receipt(batch.batch_id, UNIT, digest, len(batch.reads), now)
            outbox.accept(receipt, b"receipt of " + batch.batch_id.encode())
            recorder.said(Receipted(batch.batch_id, tuple(read.read_id for read in batch.reads)))
    if number % 8 == 7:
        outbox.forget([slot - 1])
        outbox.purge()


def _look(path: Path, said: list[object]) -> str:
    stored: set[str] = set()
    receipted: set[str] = set()
    acknowledged: set[str] = set()
    batches: dict[str, bytes] = {}
    for what in said:
        match what:
            case Stored(ids):
                stored.update(ids)
            case Travelling(batch_id, digest):
                batches[batch_id] = digest
            case Receipted(batch_id, ids):
                acknowledged.add(batch_id)
                receipted.update(ids)
    if not path.exists():
        return "lost" if stored else ""
    try:
        connection = apsw.Connection(str(path))
        try:
            if connection.execute("PRAGMA integrity_check(1)").get != "ok":
                return "corrupt"
            if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'reads'").get:
                return "lost" if stored else ""
            held = [row[0] for row in connection.execute("SELECT read_id FROM reads")]
            rows: Any = connection.execute("SELECT batch_id, digest, receipt FROM batches").fetchall()
        finally:
            connection.close(True)
    except apsw.Error:
        return "corrupt"
    known = {batch_id: digest for batch_id, digest, _ in rows}
    receipts = {batch_id for batch_id, _, receipt in rows if receipt is not None}
    if len(held) != len(set(held)):
        return "twice"
    # A read may only be gone once its receipt is on record.
    if not stored - receipted <= set(held) or not acknowledged <= receipts:
        return "lost"
    if any(known.get(batch_id) != digest for batch_id, digest in batches.items()):
        return "lost"
    return ""


@contextmanager
def _recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    try:
        yield recorder
    finally:
        recorder.unregister()
