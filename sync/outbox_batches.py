"""Which reads of the outbox travel together, and how one that went bad on the disk is told from the others.

Each read is stored with a digest of all that the department needs to open it. A batch is made of reads that
still are what was stored: one bad sector holds back the reads it lies under, and no others.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apsw

from sync import wire
from sync.batch import Batch, SealedEpoch, SealedRead, SignedBatch, encode_payload

DAMAGED = "its bytes changed on this unit's disk; replace the disk"
"""Why a read is set aside that is no longer what was stored."""

# A backlog of 30 days is not gone through for the few hits: they are looked for from their own table.
_UNBATCHED_HITS = (
    "SELECT sequence, length(sealed) FROM hit_reads CROSS JOIN reads ON sequence = read"
    " JOIN epochs ON epochs.number = reads.epoch"
    " WHERE batch IS NULL AND unit_id = ? ORDER BY read LIMIT ?"
)
# By sequence and not by the hour: a wall clock set back would let later reads go before earlier ones.
_UNBATCHED_OTHERS = (
    "SELECT sequence, length(sealed) FROM reads INDEXED BY reads_unbatched"
    " JOIN epochs ON epochs.number = reads.epoch"
    " WHERE batch IS NULL AND unit_id = ? AND sequence NOT IN (SELECT read FROM hit_reads)"
    " ORDER BY sequence LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A read as it stands in the file."""

    sequence: int
    read: SealedRead
    epoch: SealedEpoch


def read_digest(read: SealedRead, epoch: SealedEpoch, stored_hour: int) -> bytes:
    """Return 16 bytes that are others wherever *read*, its *epoch* or its hour (since 1970) are: against
    damage, not against a forger, whom the seals stop."""
    digest = hashlib.blake2b(digest_size=16)
    names = (read.read_id, epoch.epoch_id, epoch.unit_id, str(stored_hour))
    for part in (*(name.encode() for name in names), epoch.sealed_key, read.sealed):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


class Batching:
    """Makes and finds batches in an outbox file; every call is inside a transaction of the caller's."""

    def __init__(self, connection: apsw.Connection, new_id: Callable[[], str]) -> None:
        """*new_id* makes batch ids, unique for ever."""
        self._connection = connection
        self._new_id = new_id

    def open_number(self, *, hits: bool | None = None, after: int = 0) -> int | None:
        """Return the number of the oldest batch that waits for its receipt and comes later than number
        *after*: of hits, of other reads, or (None) of either."""
        number: int | None = self._connection.execute(
            "SELECT number FROM batches WHERE state = 'open' AND number > ?1 AND (?2 IS NULL OR ?2 = EXISTS"
            " (SELECT 1 FROM hit_reads JOIN reads ON sequence = read WHERE batch = number))"
            " ORDER BY number LIMIT 1",
            (after, hits),
        ).get
        return number

    def begin(
        self, *, unit_id: str, limit_reads: int, limit_bytes: int, now: datetime, hits: bool
    ) -> tuple[int, Batch] | None:
        """Make a batch of the oldest reads that are in none; return its number with it, or None where no
        sound read waits. For the limits see `Outbox.make_batch`."""
        if limit_reads < 1:
            raise ValueError("a batch holds at least one read")
        made_at = datetime.fromtimestamp(wire.seconds(now), UTC)
        while chosen := self._chosen(unit_id, limit_reads, limit_bytes, hits=hits):
            good = self._sound(chosen, unit_id, made_at)
            if good:
                batch = _batch(self._new_id(), unit_id, made_at, good)
                return self._insert(batch, [each.sequence for each in good]), batch
        return None

    def again(self, number: int) -> Batch | None:
        """Return the open batch *number* with the bytes it was made with; None where they are no longer.

        Then that batch is over: its bad reads are set aside, and the sound ones wait for a new one. The
        server knows by their ids what it may already hold.
        """
        row: Any = self._connection.execute(
            "SELECT batch_id, unit_id, made_at, digest FROM batches WHERE number = ?", (number,)
        ).fetchone()
        batch_id, unit_id, seconds, digest = row
        sequences = [
            sequence
            for (sequence,) in self._connection.execute(
                "SELECT sequence FROM reads WHERE batch = ? ORDER BY sequence", (number,)
            )
        ]
        try:
            made_at = datetime.fromtimestamp(seconds, UTC)
            batch = _batch(batch_id, unit_id, made_at, [self._stored(each)[0] for each in sequences])
            if _digest(batch) == digest:
                return batch
        except (TypeError, AttributeError, ValueError, OverflowError, OSError):
            pass  # no id, no time, no read: not what was written
        self.release(number)
        self._sound(sequences, unit_id, datetime.fromtimestamp(0, UTC))
        return None

    def release(self, number: int) -> None:
        """Queue the reads of batch *number* again; its own bytes are never sent again."""
        self._connection.execute("UPDATE reads SET batch = NULL WHERE batch = ?", (number,))
        self._connection.execute("UPDATE batches SET state = 'released' WHERE number = ?", (number,))

    def _chosen(self, unit_id: str, limit_reads: int, limit_bytes: int, *, hits: bool) -> list[int]:
        chosen: list[int] = []
        size = 0
        query = _UNBATCHED_HITS if hits else _UNBATCHED_OTHERS
        for sequence, length in self._connection.execute(query, (unit_id, limit_reads)):
            size += length or 0
            if chosen and size > limit_bytes:
                break
            chosen.append(sequence)
        return chosen

    def _sound(self, sequences: Collection[int], unit_id: str, made_at: datetime) -> list[_Stored]:
        """Return those reads that are what was stored; the others are set aside, as if refused."""
        sound: list[_Stored] = []
        bad: list[int] = []
        for sequence in sequences:
            try:
                stored, whole = self._stored(sequence)
            except (TypeError, AttributeError):
                whole = False  # a column is of another type: SQLite's own check does not see that either
            if whole:
                sound.append(stored)
            else:
                bad.append(sequence)
        if bad:
            aside = Batch(self._new_id(), unit_id, made_at, (), ())
            self._insert(aside, bad, "refused", DAMAGED)
        return sound

    def _stored(self, sequence: int) -> tuple[_Stored, bool]:
        """Return a read, and whether it is what was stored: of before there were digests, as far as is
        known."""
        row: Any = self._connection.execute(
            "SELECT read_id, stored_hour, sealed, digest, epoch_id, sealed_key, unit_id"
            " FROM reads JOIN epochs ON epochs.number = reads.epoch WHERE sequence = ?",
            (sequence,),
        ).fetchone()
        read_id, stored_hour, sealed, digest, epoch_id, sealed_key, unit_id = row
        read, epoch = SealedRead(read_id, epoch_id, sealed), SealedEpoch(epoch_id, unit_id, sealed_key)
        whole = digest is None or digest == read_digest(read, epoch, stored_hour)
        return _Stored(sequence, read, epoch), whole

    def _insert(
        self, batch: Batch, sequences: Collection[int], state: str = "open", why: str | None = None
    ) -> int:
        number: int = self._connection.execute(
            "INSERT INTO batches (batch_id, unit_id, made_at, digest, reads, state, why)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number",
            (
                batch.batch_id,
                batch.unit_id,
                wire.seconds(batch.made_at),
                _digest(batch),
                len(sequences),
                state,
                why,
            ),
        ).get
        self._connection.executemany(
            "UPDATE reads SET batch = ? WHERE sequence = ?", [(number, sequence) for sequence in sequences]
        )
        return number


def _batch(batch_id: str, unit_id: str, made_at: datetime, stored: Sequence[_Stored]) -> Batch:
    epochs = {each.epoch.epoch_id: each.epoch for each in stored}
    return Batch(batch_id, unit_id, made_at, tuple(epochs.values()), tuple(each.read for each in stored))


def _digest(batch: Batch) -> bytes:
    return SignedBatch(batch.batch_id, encode_payload(batch), b"").digest
