"""Batches that come twice, at once, out of order or altered, and receipts that are not the right one."""

import random
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from server.database import reading
from server.department import Department
from server.errors import BatchConflictError, NotPermittedError
from server.intake import Intake
from server.tables import reads
from sync.batch import Batch, Receipt, SignedBatch, decode_receipt, encode_receipt
from sync.config import SyncConfig
from sync.errors import SealBrokenError, WireFormatError
from sync.outbox import Outbox, open_outbox
from sync.record import encode_record
from sync.session import Session
from sync.upload import Upload
from tests.departments import NOW, Unit, a_department, a_unit
from tests.fault_outcome import Outcome, Watch
from tests.fault_unit import new_read

AT_ONCE = 10


def repeated(times: int = 40, seed: int = 7) -> Outcome:
    """Hand in *times* batches ten times each, at once and in any order; some hold the same reads."""
    watch, chance = Watch(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        department, unit, intake = _scene(Path(name))
        made = [[new_read(300) for _ in range(3)] for _ in range(times)]
        # Every fourth brings reads of the one before it again, in a batch of its own.
        sealed = [unit.batch(made[n] if n % 4 else made[n] + made[n - 1] * bool(n)) for n in range(times)]
        turns = [each for each in sealed for _ in range(AT_ONCE)]
        chance.shuffle(turns)
        turns = turns[: len(turns) // 2] + sorted(turns[len(turns) // 2 :], key=lambda each: each.batch_id)
        given: dict[str, set[bytes]] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for signed, data in zip(
                turns, pool.map(lambda s: intake.take(unit.peer, s, NOW), turns), strict=True
            ):
                decode_receipt(data, unit.receipt_key, signed, unit.unit_id)
                given.setdefault(signed.batch_id, set()).add(data)
        ids = {each.read_id for some in made for each in some}
        held = _held(department)
        silent = sum(len(some) != 1 for some in given.values()) + (len(given) != times)
        department.engine.dispose()
    lost, twice = len(ids - set(held)), len(held) - len(set(held))
    note = f"{times} batches, ten times each from ten threads"
    return Outcome(
        "batches twice, at once, in any order", len(turns), lost, twice, silent, note, watch.seconds
    )


def altered(times: int = 2000, seed: int = 8) -> Outcome:
    """Alter one byte of a batch at positions all over it: none is taken, and each is told of."""
    watch, chance = Watch(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        department, unit, intake = _scene(Path(name))
        signed = unit.batch([new_read(400) for _ in range(4)])
        whole = signed.signature + signed.payload
        step = max(1, len(whole) // times)
        positions = range(0, len(whole), step)
        silent = 0
        for at in positions:
            bad = bytearray(whole)
            bad[at] ^= 1 << chance.randrange(8)
            forged = SignedBatch(signed.batch_id, bytes(bad[64:]), bytes(bad[:64]))
            silent += _taken(intake, unit, forged)
        silent += _taken(intake, unit, replace(signed, batch_id="another"))
        held = _held(department)
        silent += len(held)
        intake.take(unit.peer, signed, NOW)
        lost = 4 - len(_held(department))
        department.engine.dispose()
    note = f"every {step} bytes of {len(whole):,}; the unaltered one is taken after all"
    return Outcome("a batch altered in one byte", len(positions) + 1, lost, 0, silent, note, watch.seconds)


def wrong_receipts(times: int = 300, seed: int = 9) -> Outcome:
    """Answer a unit with receipts that are not the right one: it keeps its reads, and says so."""
    watch, chance = Watch(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        department, unit, _ = _scene(Path(name))
        silent, lost, kinds = 0, 0, list(_forgeries(unit, department, chance))
        with closing(open_outbox(Path(name) / "outbox.db")) as outbox:
            made = [new_read(300) for _ in range(6)]
            sealer = unit.sealer()
            outbox.append(
                [sealer.seal(each.read_id, encode_record(unit.unit_id, each, ())) for each in made],
                sealer.epoch,
                NOW,
            )
            now = NOW
            upload = Upload(
                Session(SyncConfig(backoff_max_s=2.0), lambda: 0.5),
                _Store(outbox, unit.unit_id),
                _Liar(kinds),
                unit_id=unit.unit_id,
                unit_key=unit.signing_key,
                department=unit.receipt_key,
                clock=lambda: now,
            )
            for _ in range(times):
                now += timedelta(seconds=10)
                exchanged = upload.step()
                silent += exchanged.error is None
                outbox.purge()
                counts = outbox.counts()
                lost += len(made) - counts.queued
                silent += bool(outbox.receipts())
        department.engine.dispose()
    note = f"{len(kinds)} kinds: wrong key, batch, unit, count, digest, tag; replayed, altered, cut, long"
    return Outcome("receipts that are not the right one", times, lost, 0, silent, note, watch.seconds)


class _Liar:
    """Fills `Transport` with whatever is no receipt for the batch."""

    def __init__(self, kinds: Sequence[Callable[[SignedBatch], bytes]]) -> None:
        self._kinds, self._turn = kinds, 0

    def send(self, batch: SignedBatch) -> bytes:
        """Answer with the next lie."""
        self._turn += 1
        return self._kinds[self._turn % len(self._kinds)](batch)


@dataclass(frozen=True, slots=True)
class _Store:
    """Fills `Store` with an outbox of this thread."""

    outbox: Outbox
    unit_id: str

    def next_batch(self) -> Batch | None:
        return self.outbox.make_batch(unit_id=self.unit_id, limit_reads=6, limit_bytes=10**6, now=NOW)

    def accept(self, receipt: Receipt, data: bytes) -> None:
        self.outbox.accept(receipt, data)

    def set_aside(self, batch_id: str, why: str) -> None:
        raise AssertionError("nothing was refused")

    def cut(self, batch_id: str, limit_bytes: int) -> bool:
        return self.outbox.cut(batch_id)


def _forgeries(
    unit: Unit, department: Department, chance: random.Random
) -> "Sequence[Callable[[SignedBatch], bytes]]":
    right, stranger = department.keys.receipt, Ed25519PrivateKey.generate()
    earlier = unit.batch([new_read(100)])

    def word(batch: SignedBatch, **changes: object) -> Receipt:
        told = Receipt(batch.batch_id, unit.unit_id, batch.digest, 6, NOW)
        return replace(told, **changes)  # type: ignore[arg-type]

    def one_byte(batch: SignedBatch) -> bytes:
        data = bytearray(encode_receipt(word(batch), right))
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(data)

    replayed = encode_receipt(Receipt(earlier.batch_id, unit.unit_id, earlier.digest, 1, NOW), right)
    return (
        lambda batch: encode_receipt(word(batch), stranger),
        lambda batch: encode_receipt(word(batch, batch_id=earlier.batch_id), right),
        lambda batch: encode_receipt(word(batch, unit_id="unit-08"), right),
        lambda batch: encode_receipt(word(batch, digest=earlier.digest), right),
        lambda batch: encode_receipt(word(batch, reads=5), right),
        lambda batch: encode_receipt(word(batch, reads=7), right),
        lambda batch: replayed,
        one_byte,
        lambda batch: encode_receipt(word(batch), right)[: chance.randrange(1, 100)],
        lambda batch: encode_receipt(word(batch), right) + b"\0",
        lambda batch: b"",
        lambda batch: b"<html>captive portal</html>",
        lambda batch: batch.payload[:3000] + batch.signature,
        lambda batch: unit.signing_key.sign(batch.payload),
    )


def _scene(folder: Path) -> tuple[Department, Unit, Intake]:
    department = a_department(folder / "department")
    unit = a_unit(department, folder / "unit")
    return department, unit, Intake(department.engine, department.keys, folder / "quarantine")


def _taken(intake: Intake, unit: Unit, signed: SignedBatch) -> bool:
    try:
        intake.take(unit.peer, signed, NOW)
    except (SealBrokenError, WireFormatError, NotPermittedError, BatchConflictError):
        return False
    return True


def _held(department: Department) -> list[str]:
    with reading(department.engine) as connection:
        return list(connection.execute(select(reads.c.read_id)).scalars())
