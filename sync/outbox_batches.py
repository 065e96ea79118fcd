"""Which reads of the outbox travel together, and how one that went bad on the disk is told from the others.

Each read is stored with a digest of all that the department needs to open it. A batch is made of reads that
still are what was stored: one bad sector holds back the reads it lies under, and no others.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apsw

from sync import wire
from sync.batch import Batch, SealedEpoch, SealedRead, SignedBatch, encode_payload

DAMAGED = "its bytes changed on this unit's disk; replace the disk"
"""Why a read is set aside that is no longer what was stored."""

# A backlog of 30 days is not gone through for the few hits: they are looked for from their own table. By
# sequence and not by the hour: a wall clock set back would let later reads go before earlier ones. Where no
# epoch is found a page went bad: it is looked into.
_UNBATCHED_HITS = (
    "SELECT sequence, length(sealed) FROM hit_reads CROSS JOIN reads ON sequence = read"
    " LEFT JOIN epochs ON epochs.number = reads.epoch"
    " WHERE batch IS NULL AND ifnull(unit_id = ?, 1) ORDER BY read LIMIT ?"
)
_UNBATCHED_OTHERS = (
    "SELECT sequence, length(sealed) FROM reads INDEXED BY reads_unbatched"
    " LEFT JOIN epochs ON epochs.number = reads.epoch"
    " WHERE batch IS NULL AND ifnull(unit_id = ?, 1) AND sequence NOT IN (SELECT read FROM hit_reads)"
    " ORDER BY sequence LIMIT ?"
)
_OF_ANOTHER_UNIT = (
    "SELECT sequence FROM reads INDEXED BY reads_unbatched JOIN epochs ON epochs.number = reads.epoch"
    " WHERE batch IS NULL AND unit_id <> ? ORDER BY sequence LIMIT ?"
)
# The second copy, read from the index alone.
_EPOCH_AGAIN = "SELECT epoch_id, unit_id, sealed_key FROM epochs INDEXED BY epochs_again WHERE number = ?"
_EPOCH = "SELECT epoch_id, unit_id, sealed_key FROM epochs NOT INDEXED WHERE number = ?"
_ANY_EPOCH = "SELECT epoch_id, unit_id, sealed_key FROM epochs INDEXED BY epochs_again"


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
        if hits:
            return None  # other reads may wait in thousands, and are not gone through for this
        # Nothing waits but what stands under another unit's name: is it another's, or did the name go bad?
        strange = [each for (each,) in self._connection.execute(_OF_ANOTHER_UNIT, (unit_id, limit_reads))]
        good = [each for each in self._sound(strange, unit_id, made_at) if each.epoch.unit_id == unit_id]
        if not good:
            return None
        batch = _batch(self._new_id(), unit_id, made_at, good)
        return self._insert(batch, [each.sequence for each in good]), batch

    def again(self, number: int) -> Batch | None:
        """Return the open batch *number* with the bytes it was made with; None where they are no longer.

        Then that batch is over: its bad reads are set aside, and the sound ones wait for a new one. The
        server knows by their ids what it may already hold.
        """
        row: Any = self._connection.execute(
            "SELECT batch_id, unit_id, made_at, digest FROM batches WHERE number = ?", (number,)
        ).fetchone()
        batch_id, unit_id, seconds, digest = row
        sequences = self._members(number)
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

    def release(self, number: int) -> int:
        """Queue the reads of batch *number* again; return how many. Its own bytes are never sent again."""
        self._connection.execute("UPDATE reads SET was = batch, batch = NULL WHERE batch = ?", (number,))
        released: int = self._connection.changes()
        self._connection.execute("UPDATE batches SET state = 'released' WHERE number = ?", (number,))
        return released

    def receipt_after_all(self, number: int) -> None:
        """The receipt of batch *number* came, which was given up: the department holds its reads.

        Those of them that are on their way again stay there: the department knows them.
        """
        self._connection.execute(
            "UPDATE reads SET batch = was, was = NULL WHERE was = ? AND (batch IS NULL"
            " OR batch IN (SELECT number FROM batches WHERE state = 'refused'))",
            (number,),
        )

    def release_refused(self) -> int:
        """Queue the reads again that the server refused, and those gone bad that are as they were after all;
        return how many."""
        released = 0
        rows: Any = self._connection.execute(
            "SELECT number, why FROM batches WHERE state = 'refused'"
        ).fetchall()
        for number, why in rows:
            if why != DAMAGED:
                released += self.release(number)
                continue
            for sequence in self._members(number):
                if self._is_sound(sequence):
                    self._connection.execute("UPDATE reads SET batch = NULL WHERE sequence = ?", (sequence,))
                    released += 1
        return released

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

    def _is_sound(self, sequence: int) -> bool:
        try:
            return self._stored(sequence)[1]
        except (TypeError, AttributeError):
            return False

    def _members(self, number: int) -> list[int]:
        rows: Any = self._connection.execute(
            "SELECT sequence FROM reads WHERE batch = ? ORDER BY sequence", (number,)
        )
        return [sequence for (sequence,) in rows]

    def _stored(self, sequence: int) -> tuple[_Stored, bool]:
        """Return a read, and whether it is what was stored: of before there were digests, as far as is
        known."""
        row: Any = self._connection.execute(
            "SELECT read_id, stored_hour, sealed, digest, epoch FROM reads WHERE sequence = ?", (sequence,)
        ).fetchone()
        read_id, stored_hour, sealed, digest, number = row
        first = None
        for epoch in self._epochs(number):
            stored = _Stored(sequence, SealedRead(read_id, epoch.epoch_id, sealed), epoch)
            if digest is None or digest == read_digest(stored.read, epoch, stored_hour):
                return stored, True
            first = first or stored
        if first is None:
            raise TypeError("a read of no epoch")
        return first, False

    def _epochs(self, number: int) -> Iterator[SealedEpoch]:
        """Yield the epoch *number* as its table has it, then as its copy has it, then every other: which one
        a read is of may itself have gone bad."""
        for query, values in ((_EPOCH, (number,)), (_EPOCH_AGAIN, (number,)), (_ANY_EPOCH, ())):
            rows: Any = self._connection.execute(query, values).fetchall()
            for row in rows:
                yield SealedEpoch(*row)

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
