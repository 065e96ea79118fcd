"""A department in memory, and invented values to send to it."""

import itertools
from collections import deque
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from camera.fix import Fix
from camera.frame import Moment, TimeQuality
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.hit import HotlistHit, ListAge, MatchKind, StateMatch
from recognizer.plate import Jurisdiction, normalise
from recognizer.read import Box, JurisdictionOpinion, PlateRead
from sync.batch import Receipt, SignedBatch, decode_batch, encode_receipt
from sync.errors import RefusedError, TooSlowError, UnreachableError
from sync.record import Record, decode_record
from sync.seal import EpochOpener

UNIT = "unit-07"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Fate(Enum):
    """What becomes of one exchange."""

    ACKNOWLEDGED = auto()
    UNREACHABLE = auto()
    """Nothing arrives."""
    REFUSED = auto()
    """It arrives, is understood, and is not taken."""
    TOO_SLOW = auto()
    """The server hangs up before it is whole."""
    RECEIPT_LOST = auto()
    """The batch is taken, and the answer does not come back."""
    RECEIPT_ALTERED = auto()
    """The batch is taken, and one bit of the answer is turned over."""
    RECEIPT_OF_ANOTHER = auto()
    """The batch is taken, and the answer is a good receipt for an earlier one."""


class FakeDepartment:
    """Fills `sync.upload.Transport`. Verifies, opens and holds as the server does, in memory.

    `fates` tells what becomes of the next exchanges, in order; those after it are acknowledged.
    """

    def __init__(self, unit_key: Ed25519PrivateKey) -> None:
        self.seal_key = X25519PrivateKey.generate()
        self.receipt_key = Ed25519PrivateKey.generate()
        self.fates: deque[Fate] = deque()
        self.records: dict[str, Record] = {}
        self.exchanges = 0
        self._unit_key = unit_key.public_key()
        self._receipts: dict[str, tuple[bytes, bytes]] = {}

    def send(self, batch: SignedBatch) -> bytes:
        """Take *batch* and answer, as the next fate has it."""
        self.exchanges += 1
        fate = self.fates.popleft() if self.fates else Fate.ACKNOWLEDGED
        if fate is Fate.UNREACHABLE:
            raise UnreachableError("the fake server is not there")
        if fate is Fate.TOO_SLOW:
            raise TooSlowError("the fake server has waited long enough")
        if fate is Fate.REFUSED:
            raise RefusedError("the fake server says no", status=422)
        earlier = [receipt for held, (_, receipt) in self._receipts.items() if held != batch.batch_id]
        receipt = self._take(batch)
        if fate is Fate.RECEIPT_LOST:
            raise UnreachableError("the fake server's answer was lost")
        if fate is Fate.RECEIPT_ALTERED:
            return receipt[:-1] + bytes([receipt[-1] ^ 1])
        if fate is Fate.RECEIPT_OF_ANOTHER and earlier:
            return earlier[-1]
        return receipt

    def _take(self, signed: SignedBatch) -> bytes:
        batch = decode_batch(signed, self._unit_key)
        held = self._receipts.get(signed.batch_id)
        if held is not None:
            if held[0] != signed.digest:
                raise RefusedError("known with other bytes", status=409)
            return held[1]
        openers = {epoch.epoch_id: EpochOpener(epoch, self.seal_key) for epoch in batch.epochs}
        for read in batch.reads:
            record = decode_record(openers[read.epoch_id].open(read))
            assert (record.unit_id, record.read.read_id) == (batch.unit_id, read.read_id)
            assert self.records.setdefault(read.read_id, record) == record
        receipt = Receipt(batch.batch_id, batch.unit_id, signed.digest, len(batch.reads), batch.made_at)
        data = encode_receipt(receipt, self.receipt_key)
        self._receipts[signed.batch_id] = (signed.digest, data)
        return data


_numbers = itertools.count(1)


def a_read(
    read_id: str | None = None, plate: str = "TEST123", evidence: bytes = b"\xff\xd8a picture\xff\xd9"
) -> PlateRead:
    """Return an invented read with every field set."""
    number = next(_numbers)
    moment = Moment(START + timedelta(seconds=number), number * 10**9, "boot-a", TimeQuality.GPS)
    return PlateRead(
        read_id=read_id or f"read-{number:06d}",
        camera="front",
        plate=normalise(plate),
        positions=tuple(((c, 0.9), ("", 0.05)) for c in plate),
        confidence=0.9,
        jurisdiction=JurisdictionOpinion(Jurisdiction("US-CA"), 0.8),
        first_seen=moment,
        settled=moment,
        box=Box(10, 20, 110, 50),
        frames=4,
        evidence=evidence,
        fix=Fix(moment.utc, 0.25, -30.5, 13.0, 90.0, None),
    )


def a_hit(read: PlateRead) -> HotlistHit:
    """Return an invented hit of *read*."""
    entry = Entry(
        "entry-1", str(read.plate), Jurisdiction("US-CA"), "Stolen vehicle", "stolen", Priority.HIGH
    )
    age = ListAge(3, START - timedelta(hours=2))
    return HotlistHit("hit-1", read, entry, MatchKind.EXACT, StateMatch.SAME, (), age)
