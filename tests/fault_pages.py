"""Database pages that a worn card or bad disk altered, in the unit's outbox and in the server's file."""

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recognizer.read import PlateRead
from server.checking import Checking, examine
from server.database import open_database
from server.intake import Intake
from sync.batch import Batch, Receipt, SignedBatch
from sync.config import SyncConfig
from sync.errors import OutboxCorruptError, RefusedError, SealBrokenError, WireFormatError
from sync.outbox import Outbox, open_outbox, quarantine
from sync.outbox_salvage import keep_dropped_log, salvage_all
from sync.record import encode_record
from sync.seal import EpochSealer
from sync.session import Session
from sync.upload import Upload
from tests.departments import a_department, a_unit
from tests.fakes import START, UNIT, FakeDepartment, a_hit
from tests.fault_outcome import Outcome, Watch
from tests.fault_unit import new_read

PAGE = 4096
_FRAME = 24 + PAGE


@dataclass(slots=True)
class Found:
    """What became of the trials."""

    set_aside: int = 0
    salvaged: int = 0
    of: int = 0
    """Reads that were in the files set aside."""
    bad: int = 0
    logs: int = 0
    log_lost: int = 0
    refused: int = 0
    unharmed: int = 0
    lost: int = 0
    twice: int = 0
    silent: int = 0
    of_others: set[str] = field(default_factory=set)


def outbox_pages(times: int = 600, seed: int = 10) -> Outcome:
    """Damage a copy of an outbox *times* times, open it as the unit does, and transfer what is left."""
    watch, chance, found = Watch(), random.Random(seed), Found()
    key = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        department = FakeDepartment(key)
        made = _outbox(folder / "outbox.db", department, key)
        whole, log = _crashed(folder / "outbox.db", made, department)
        for number in range(times):
            path = folder / f"trial-{number}" / "outbox.db"
            path.parent.mkdir()
            in_log = chance.random() < 0.4
            path.write_bytes(whole if in_log else damaged(whole, chance))
            # Not the last frame: whatever is wrong with that looks like a writing that the power cut tore.
            torn = damaged(log[:-_FRAME], chance) + log[-_FRAME:]
            path.with_name("outbox.db-wal").write_bytes(torn if in_log else log)
            _trial(path, made, department, key, found)
            shutil.rmtree(path.parent)
    note = (
        f"{found.set_aside} files set aside, {found.salvaged} of their {found.of} reads taken back; in "
        f"{found.bad} some reads held back as bad; {found.logs} logs of which SQLite would have dropped "
        f"commits, {found.log_lost} reads lost with them; {found.refused} refused by the server; "
        f"{found.unharmed} did no harm"
    )
    return Outcome(
        "altered bytes and pages in the outbox",
        times,
        found.lost,
        found.twice,
        found.silent,
        note,
        watch.seconds,
    )


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Return *whole* with a page gone or with some bits turned over."""
    return page_gone(whole, chance) if chance.random() < 0.6 else bits_turned(whole, chance)


def page_gone(whole: bytes, chance: random.Random) -> bytes:
    """Return *whole* with one page zeroed, filled with noise, or with another in its place."""
    content = bytearray(whole)
    pages = len(content) // PAGE
    page = chance.randrange(pages) * PAGE
    other = chance.randrange(pages) * PAGE
    fill = (bytes(PAGE), chance.randbytes(PAGE), whole[other : other + PAGE])
    content[page : page + PAGE] = chance.choice(fill)
    return bytes(content)


def bits_turned(whole: bytes, chance: random.Random) -> bytes:
    """Return *whole* with 1, 4 or 32 bits turned over."""
    content = bytearray(whole)
    for _ in range(chance.choice((1, 1, 4, 32))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def _outbox(path: Path, department: FakeDepartment, key: Ed25519PrivateKey) -> dict[str, PlateRead]:
    """Make an outbox with reads in each state; return those without a receipt that counts."""
    made: dict[str, PlateRead] = {}
    with open_outbox(path) as outbox:
        for _ in range(6):
            sealer = EpochSealer(UNIT, department.seal_key.public_key())
            reads = [new_read(600) for _ in range(10)]
            made |= {each.read_id: each for each in reads}
            sealed = [sealer.seal(each.read_id, encode_record(UNIT, each, ())) for each in reads]
            outbox.append(sealed, sealer.epoch, START, hits=[reads[0].read_id])
        upload = _upload(outbox, department, key, [])
        for _ in range(3):
            assert upload.step().receipt is not None
        outbox.purge()
    return made


def _crashed(path: Path, made: dict[str, PlateRead], department: FakeDepartment) -> tuple[bytes, bytes]:
    """Store some more, and return the file and its log as a power cut leaves them; *made* takes them up."""
    connection = apsw.Connection(str(path))
    with Outbox(connection) as outbox:
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        for _ in range(4):
            sealer = EpochSealer(UNIT, department.seal_key.public_key())
            reads = [new_read(600) for _ in range(5)]
            made |= {each.read_id: each for each in reads}
            for each in reads:
                outbox.append([sealer.seal(each.read_id, encode_record(UNIT, each, ()))], sealer.epoch, START)
        return path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()


def _trial(
    path: Path, made: dict[str, PlateRead], before: FakeDepartment, key: Ed25519PrivateKey, found: Found
) -> None:
    department = FakeDepartment(key)
    department.seal_key, department.receipt_key = before.seal_key, before.receipt_key
    department.records = dict(before.records)
    department._receipts = dict(before._receipts)
    refusals: list[str] = []
    left: set[str] = set()
    bad = 0
    waiting = 0
    told = False
    log_damaged = keep_dropped_log(path)
    found.logs += log_damaged
    try:
        with open_outbox(path) as outbox, outbox.condemning():
            for _ in salvage_all(path, outbox) or ():
                pass
            bad = _drive(outbox, department, key, refusals)
            waiting = outbox.counts().queued
            left = _held(outbox)
    except OutboxCorruptError:
        told = True
        # As systemd does: the unit is started again. It must find the file damaged then, and not for ever.
        try:
            open_outbox(path).close()
            found.silent += 1
        except OutboxCorruptError:
            before_it = set(department.records)
            quarantine(path)
            with open_outbox(path) as outbox:
                for _ in salvage_all(path, outbox) or ():
                    pass
                _drive(outbox, department, key, refusals)
                left = _held(outbox)
            found.of += len(set(made) - before_it)
            found.salvaged += len(set(department.records) - before_it)
    found.set_aside += told
    found.bad += bool(bad)
    found.refused += bool(refusals)
    missing = set(made) - set(department.records) - left
    wrong = sum(
        read_id in made and record.read.plate != made[read_id].plate
        for read_id, record in department.records.items()
    )
    strangers = set(department.records) - set(made)
    if log_damaged and not told:
        found.log_lost += len(missing)
    if told or refusals or bad or log_damaged:
        missing = set()  # told of, and every byte there was is kept
    else:
        found.unharmed += not missing
    found.silent += bool(waiting)  # neither sent nor told: it would wait for ever
    found.lost += len(missing)
    found.silent += bool(wrong or strangers)


def _drive(outbox: Outbox, department: FakeDepartment, key: Ed25519PrivateKey, refusals: list[str]) -> int:
    """Transfer all that can be; return how many reads were found bad."""
    outbox.purge()
    upload = _upload(outbox, department, key, refusals)
    for _ in range(60):
        exchanged = upload.step()
        if exchanged.receipt is None and exchanged.error is None:
            break
        outbox.purge()
    return outbox.counts().damaged


def _held(outbox: Outbox) -> set[str]:
    rows: list[Any] = outbox._connection.execute("SELECT CAST(read_id AS BLOB) FROM reads").fetchall()
    return {bytes(row[0]).decode("utf-8", "replace") for row in rows}


def _upload(
    outbox: Outbox, department: FakeDepartment, key: Ed25519PrivateKey, refusals: list[str]
) -> Upload:
    moments = iter(range(10**6))
    return Upload(
        Session(SyncConfig(), lambda: 0.5),
        _Store(outbox, refusals),
        _Judge(department),
        unit_id=UNIT,
        unit_key=key,
        department=department.receipt_key.public_key(),
        clock=lambda: START + timedelta(hours=2 * next(moments)),
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Fills `Transport`: the department's in-memory judge, its errors as the server answers them."""

    department: FakeDepartment

    def send(self, batch: SignedBatch) -> bytes:
        """Return the receipt, or raise RefusedError as for a 422."""
        try:
            return self.department.send(batch)
        except (SealBrokenError, WireFormatError) as error:
            raise RefusedError(str(error), status=422) from error


@dataclass(frozen=True, slots=True)
class _Store:
    outbox: Outbox
    refusals: list[str]

    def next_batch(self) -> Batch | None:
        return self.outbox.make_batch(unit_id=UNIT, limit_reads=7, limit_bytes=10**6, now=START)

    def accept(self, receipt: Receipt, data: bytes) -> None:
        self.outbox.accept(receipt, data)

    def set_aside(self, batch_id: str, why: str) -> None:
        self.refusals.append(why)
        self.outbox.set_aside(batch_id, why)

    def cut(self, batch_id: str, limit_bytes: int) -> bool:
        return self.outbox.cut(batch_id)


def server_pages(times: int = 400, seed: int = 11) -> Outcome:
    """Damage one page of a copy of the server's SQLite file *times* times, and check it."""
    return _server("pages of the server's SQLite file gone", page_gone, times, seed)


def server_bits(times: int = 400, seed: int = 14) -> Outcome:
    """Turn bits over in a copy of the server's SQLite file *times* times, and check it."""
    return _server("bits of the server's SQLite file turned over", bits_turned, times, seed)


def _server(fault: str, damage: Callable[[bytes, random.Random], bytes], times: int, seed: int) -> Outcome:
    """Everything is compared with what it was wherever `alpr-server check` finds nothing."""
    watch, chance = Watch(), random.Random(seed)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        department = a_department(folder / "department")
        unit = a_unit(department, folder / "unit")
        intake = Intake(department.engine, department.keys, folder / "quarantine")
        for _ in range(20):
            taken = [new_read(1500) for _ in range(10)]
            intake.take(unit.peer, unit.batch(taken, [a_hit(taken[0])], incident="26-0042"), START)
        department.engine.dispose()
        key = department.keys.receipt.public_key()
        whole = (folder / "department" / "department.sqlite").read_bytes()
        right = _rows(folder / "department" / "department.sqlite")
        told = unharmed = silent = 0
        altered: set[str] = set()
        elsewhere: set[str] = set()
        for number in range(times):
            path = folder / f"trial-{number}.sqlite"
            path.write_bytes(damage(whole, chance))
            if check(path, key):
                told += 1
            else:
                differing = _differing(right, path)
                altered |= differing & KEPT
                elsewhere |= differing - KEPT
                silent += bool(differing & KEPT)
                unharmed += not differing & KEPT
            path.unlink()
    where = f"; silent in {', '.join(sorted(altered))}" if altered else ""
    where += f"; not looked at: {', '.join(sorted(elsewhere))}" if elsewhere else ""
    return Outcome(
        fault,
        times,
        0,
        0,
        silent,
        f"{told} found, {unharmed} changed nothing that was taken{where}",
        watch.seconds,
    )


def check(path: Path, key: Ed25519PublicKey) -> str:
    """Return what `alpr-server check` finds first in a department's file, or nothing."""
    engine = open_database(path)
    try:
        found = examine(Checking(engine, key), START).findings
    finally:
        engine.dispose()
    return str(found[0]) if found else ""


KEPT = {"reads", "evidence", "contexts", "hits", "batches", "audit"}
"""What units handed in, and the access log. The check looks at the other tables' structure alone."""


def _rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all that is in a file, by its tables."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: connection.execute(f"SELECT * FROM {name} NOT INDEXED ORDER BY rowid").fetchall()
            for (name,) in tables
        }


def _differing(right: dict[str, list[tuple[object, ...]]], path: Path) -> set[str]:
    """Return the tables in which a file is not as it was."""
    try:
        rows = _rows(path)
    except (sqlite3.DatabaseError, UnicodeError) as error:
        return {"reads", type(error).__name__}
    return {name for name in right.keys() | rows.keys() if rows.get(name) != right.get(name)}
