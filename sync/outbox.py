"""Sealed reads on disk until the department's receipt, and the rule by which they leave.

    append ──▶ queued ──make_batch──▶ open ──accept──▶ acknowledged ──purge──▶ gone
                ▲ └─── gone bad on the disk ──┐ └──set_aside──▶ refused
                │                             └───────────────────┤
                └──────────── cut, release_refused ───────────────┘

A read with a receipt stays while the unit itself can open it, for its local window (`sync.window`), and no
longer: what only the department can open is held there.

Hits go first, in batches of their own. Reads that are never sent (`append_passing`) leave with the window and
count nowhere here: no department's key opens them.

An `Outbox` is used by one thread. Another process may open the same file (a technician's command with a
stick): each call is one transaction. Everything it says has happened is on the disk.
"""

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw

from sync import outbox_file, outbox_window, wire
from sync.batch import MAX_BATCH_BYTES, Batch, Receipt, SealedEpoch, SealedRead
from sync.errors import OutboxCorruptError, ReceiptInvalidError
from sync.outbox_batches import DAMAGED, Batching, read_digest
from sync.outbox_file import quarantine
from sync.outbox_window import WindowPart

__all__ = ["Counts", "Outbox", "open_outbox", "quarantine"]

PURGE_READS = 1000
"""Most reads that one `purge` takes away: the writer must be free again soon."""
KEPT_FREE_PAGES = 4096
"""Free pages (4 KiB each) kept in the file for the next reads; more are given back to the file system."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many reads the unit holds, by what became of them."""

    queued: int
    """Waiting for a receipt, whether or not in a batch already."""
    acknowledged: int
    """With a receipt, still inside the local window."""
    refused: int
    """In batches the server refused; a person must act."""
    damaged: int
    """Gone bad on the disk: nobody can open them, and a person must replace it."""
    hits: int
    """How many of `queued` are hits, which go first."""
    oldest: datetime | None
    """When the oldest read without a receipt was stored, aware UTC, rounded down to the hour; None where
    there is none. What the 30-day clock runs from: for refused reads too, but not for damaged ones, which no
    transfer brings to the department."""


def open_outbox(path: Path) -> "Outbox":
    """Return the outbox in the file *path*, made if it is not there.

    Raises OutboxCorruptError if it is damaged (then: `quarantine`, and open again), OutboxVersionError if it
    is newer than this program, DiskFullError if the disk does not let it be made.
    """
    connection = outbox_file.connect(path)
    try:
        return Outbox(connection, str(path))
    except BaseException:
        connection.close(True)
        raise


class Outbox:
    """The store over an open connection, which it owns from then on. Not for several threads."""

    def __init__(
        self,
        connection: apsw.Connection,
        name: str = "outbox",
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """*name* stands in error messages; *new_id* makes batch ids, random and unique for ever."""
        self._connection = connection
        self._name = name
        self._batching = Batching(connection, new_id)
        # Reads in no batch; None: to be counted. That takes tens of milliseconds for a 30-day backlog, and it
        # is asked for after every commit.
        self._unbatched: int | None = None
        self._version = 0
        with outbox_file.translated(name):
            outbox_file.configure(connection)
            outbox_file.migrate(connection, name)

    def __enter__(self) -> "Outbox":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. What was appended is on the disk already."""
        self._connection.close()

    def append(
        self,
        reads: Sequence[SealedRead],
        epoch: SealedEpoch,
        now: datetime,
        window: WindowPart | None = None,
        hits: Collection[str] = (),
    ) -> int:
        """Store *reads* of one *epoch* in one transaction: when this returns, a power cut loses none of them.
        Return how many of them were new.

        A read that is held already with the same bytes is not stored twice, so a caller may try again after
        any error. *now* is aware UTC. *window* is what lets the unit open and find them; None: nothing does.
        *hits* are the ids of those that are hits, and go first.

        Raises DiskFullError if there is no room; then none of *reads* was stored. Raises ValueError if a read
        is of another epoch, too large to travel, or differs from one held under its id.
        """
        for read in reads:
            wire.identifier(read.read_id)
            if read.epoch_id != epoch.epoch_id:
                raise ValueError(f"read {read.read_id} is of another epoch")
            if len(read.sealed) > MAX_BATCH_BYTES // 2:
                raise ValueError(f"read {read.read_id} is too large to travel")
        hour = wire.seconds(now) // 3600
        stored = 0
        with self._transaction():
            self._connection.execute(
                "INSERT INTO epochs (epoch_id, unit_id, sealed_key) VALUES (?, ?, ?)"
                " ON CONFLICT (epoch_id) DO NOTHING",
                (wire.identifier(epoch.epoch_id), wire.identifier(epoch.unit_id), epoch.sealed_key),
            )
            number = self._connection.execute(
                "SELECT number FROM epochs WHERE epoch_id = ?", (epoch.epoch_id,)
            ).get
            for read in reads:
                self._connection.execute(
                    "INSERT INTO reads (read_id, epoch, stored_hour, sealed, digest) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (read_id) DO NOTHING",
                    (read.read_id, number, hour, read.sealed, read_digest(read, epoch, hour)),
                )
                if (added := self._connection.changes()) and read.read_id in hits:
                    self._connection.execute(
                        "INSERT INTO hit_reads (read) VALUES (?)", (self._connection.last_insert_rowid(),)
                    )
                stored += added
                if not added and not self._holds(read):
                    raise ValueError(f"read {read.read_id} is held already with other bytes")
            if window is not None:
                outbox_window.add(self._connection, number, window)
        if self._unbatched is not None:
            self._unbatched += stored
        return stored

    def epochs(self) -> tuple[tuple[int, SealedEpoch], ...]:
        """Return the epochs of the reads that are held, by their numbers in this file."""
        with outbox_file.translated(self._name):
            rows: Any = self._connection.execute(
                "SELECT number, epoch_id, unit_id, sealed_key FROM epochs"
            ).fetchall()
        return tuple((number, SealedEpoch(*row)) for number, *row in rows)

    def append_passing(self, reads: Sequence[SealedRead], epoch: SealedEpoch, window: WindowPart) -> None:
        """Store *reads* of one *epoch* that are never sent: they go when the slot of *window* is forgotten.

        The epoch's key is sealed to nobody; what *window* holds alone opens them. Raises DiskFullError.
        """
        with self._transaction():
            outbox_window.add_passing(self._connection, epoch, reads, window)

    def make_batch(
        self,
        *,
        unit_id: str,
        limit_reads: int,
        limit_bytes: int,
        now: datetime,
        hits: bool | None = None,
    ) -> Batch | None:
        """Return the batch to send next, or None if nothing waits: one of hits before all others.

        *hits*: of hits alone, or of other reads alone; None: of either, and never of both.

        A batch that was made and neither acknowledged nor refused comes again, with the very same bytes once
        encoded, also after a crash. Otherwise a new one is made from the oldest reads of *unit_id*: at most
        *limit_reads* of them and *limit_bytes* sealed bytes, but at least one read.

        A read that went bad on the disk is set aside as if refused, and holds no other back. A batch that no
        longer has the bytes it was made with is over, and its sound reads go in a new one.
        """
        with self._transaction():
            for of_hits in (True, False) if hits is None else (hits,):
                while (number := self._batching.open_number(hits=of_hits)) is not None:
                    if (batch := self._again(number)) is not None:
                        return batch
                self._unbatched = None
                begun = self._batching.begin(
                    unit_id=unit_id, limit_reads=limit_reads, limit_bytes=limit_bytes, now=now, hits=of_hits
                )
                if begun is not None:
                    return begun[1]
            return None

    def open_batches(
        self, *, unit_id: str, limit_reads: int, limit_bytes: int, now: datetime
    ) -> Iterator[Batch]:
        """Yield every batch that waits for a receipt, and make new ones of all reads that are in none: for a
        stick, which takes all at once. For the rest see `make_batch`, which gives the same ones in turn.
        """
        after = 0
        while True:
            with self._transaction():
                batch = None
                while batch is None and (number := self._batching.open_number(after=after)) is not None:
                    after, batch = number, self._again(number)
                for of_hits in (True, False):
                    if batch is None:
                        self._unbatched = None
                        begun = self._batching.begin(
                            unit_id=unit_id,
                            limit_reads=limit_reads,
                            limit_bytes=limit_bytes,
                            now=now,
                            hits=of_hits,
                        )
                        if begun is not None:
                            after, batch = begun
            if batch is None:
                return
            yield batch

    def accept(self, receipt: Receipt, data: bytes) -> None:
        """Keep the verified *receipt*, whose bytes are *data*; its reads may leave once their window is over.

        A receipt that comes twice changes nothing; one of a batch that was given up counts for what of it is
        not on its way again. Raises ReceiptInvalidError if it is not that of a batch of this outbox, byte for
        byte and read for read.
        """
        with self._transaction():
            row = self._connection.execute(
                "SELECT number, unit_id, digest, reads, state FROM batches WHERE batch_id = ?",
                (receipt.batch_id,),
            ).fetchone()
            if row is None:
                raise ReceiptInvalidError(f"batch {receipt.batch_id}: receipt for a batch that is not held")
            if (receipt.unit_id, receipt.digest, receipt.reads) != row[1:4]:
                raise ReceiptInvalidError(f"batch {receipt.batch_id}: receipt does not cover the whole batch")
            if row[4] in ("acknowledged", "purged"):
                return
            if row[4] == "released":
                self._unbatched = None
                self._batching.receipt_after_all(row[0])
            self._connection.execute(
                "UPDATE batches SET state = 'acknowledged', why = NULL, receipt = ?, received_at = ?"
                " WHERE number = ?",
                (data, wire.seconds(receipt.received_at), row[0]),
            )

    def set_aside(self, batch_id: str, why: str) -> None:
        """Never send this open batch again: the server refused it, because of *why*. Its reads are kept."""
        with self._transaction():
            self._connection.execute(
                "UPDATE batches SET state = 'refused', why = ? WHERE batch_id = ? AND state = 'open'",
                (why, batch_id),
            )

    def cut(self, batch_id: str) -> bool:
        """Queue the reads of this open batch again, for smaller ones; return whether it was so: one of a
        single read cannot be cut. Its bytes are not sent again; the server knows by their ids what it may
        already hold."""
        self._unbatched = None
        with self._transaction():
            number = self._connection.execute(
                "SELECT number FROM batches WHERE batch_id = ? AND state = 'open' AND reads > 1", (batch_id,)
            ).get
            if number is None:
                return False
            self._batching.release(number)
        return True

    def release_refused(self) -> int:
        """Queue the reads of all refused batches again, for new batches; return how many.

        For when a person has removed the cause. The refused bytes themselves are never sent again.
        """
        self._unbatched = None
        with self._transaction():
            return self._batching.release_refused()

    def purge(self, *, early: bool = False) -> int:
        """Remove reads that have a receipt and that the unit itself can no longer open; return how many.

        *early* takes also those inside the local window: room is short. At most `PURGE_READS` go at a time,
        the oldest first. Their bytes are overwritten with zeros in the file. The receipts stay: they prove
        the transfer.
        """
        with outbox_file.translated(self._name):
            with outbox_file.transaction(self._connection):
                self._connection.execute(
                    "DELETE FROM reads WHERE sequence IN ("
                    " SELECT reads.sequence FROM batches JOIN reads ON reads.batch = batches.number"
                    " WHERE batches.state = 'acknowledged'"
                    " AND (? OR reads.epoch NOT IN (SELECT epoch FROM window_keys))"
                    " ORDER BY reads.sequence LIMIT ?)",
                    (early, PURGE_READS),
                )
                purged = self._connection.changes()
                if purged:
                    self._connection.execute(
                        "UPDATE batches SET state = 'purged' WHERE state = 'acknowledged'"
                        " AND NOT EXISTS (SELECT 1 FROM reads WHERE reads.batch = batches.number)"
                    )
                    self._connection.execute(
                        "DELETE FROM window_keys WHERE NOT EXISTS"
                        " (SELECT 1 FROM reads WHERE reads.epoch = window_keys.epoch)"
                    )
                    self._connection.execute(
                        "DELETE FROM epochs WHERE NOT EXISTS"
                        " (SELECT 1 FROM reads WHERE reads.epoch = epochs.number)"
                    )
            if purged:
                self._give_back()
        return purged

    def window_slots(self) -> frozenset[int]:
        """Return the slots of the local window of which anything is stored."""
        with outbox_file.translated(self._name):
            return outbox_window.slots(self._connection)

    def has_token(self, slot: int, token: bytes) -> bool:
        """Return whether *token* stands in the index of *slot*."""
        with outbox_file.translated(self._name):
            return outbox_window.has_token(self._connection, slot, token)

    def forget(self, slots: Collection[int]) -> int:
        """Remove the wrapped keys and the index of *slots*. Their reads stay, for the department to open; but
        those that are never sent go, their bytes overwritten with zeros: return how many."""
        if not slots:
            return 0
        with outbox_file.translated(self._name):
            with outbox_file.transaction(self._connection):
                destroyed = outbox_window.forget(self._connection, slots)
            self._give_back()
        return destroyed

    def counts(self) -> Counts:
        """Return how many reads are held, and since when the oldest without a receipt waits."""
        with outbox_file.translated(self._name):
            # Another process put reads into batches: what was counted is no longer so.
            if (version := self._connection.pragma("data_version")) != self._version:
                self._version, self._unbatched = version, None
            if self._unbatched is None:
                counted: Any = self._connection.execute("SELECT count(*) FROM reads WHERE batch IS NULL").get
                self._unbatched = counted
            oldest_unbatched = self._connection.execute(
                "SELECT min(stored_hour) FROM reads WHERE batch IS NULL"
            ).get
            rows: Any = self._connection.execute(
                "SELECT iif(why IS ?, 'damaged', state) AS now, count(*), min(stored_hour) FROM batches"
                " JOIN reads ON reads.batch = batches.number"
                " WHERE state IN ('open', 'acknowledged', 'refused') GROUP BY now",
                (DAMAGED,),
            )
            batched = {state: (count, oldest) for state, count, oldest in rows}
            hits: Any = self._connection.execute(
                "SELECT count(*) FROM hit_reads JOIN reads ON reads.sequence = hit_reads.read"
                " WHERE batch IS NULL OR batch IN (SELECT number FROM batches WHERE state = 'open')"
            ).get
        travelling, oldest_travelling = batched.get("open", (0, None))
        refused, oldest_refused = batched.get("refused", (0, None))
        hours = [h for h in (oldest_unbatched, oldest_travelling, oldest_refused) if h is not None]
        return Counts(
            queued=self._unbatched + travelling,
            acknowledged=batched.get("acknowledged", (0, None))[0],
            refused=refused,
            damaged=batched.get("damaged", (0, None))[0],
            hits=hits,
            oldest=self._at_hour(min(hours)) if hours else None,
        )

    def receipts(self) -> tuple[tuple[str, bytes], ...]:
        """Return batch id and receipt bytes of every acknowledged batch, in order: the proof of transfer."""
        with outbox_file.translated(self._name):
            rows: list[Any] = self._connection.execute(
                "SELECT batch_id, receipt FROM batches WHERE receipt IS NOT NULL ORDER BY number"
            ).fetchall()
        return tuple((batch_id, receipt) for batch_id, receipt in rows)

    @contextmanager
    def condemning(self) -> Iterator[None]:
        """If the file proves damaged inside, note it: the next `open_outbox` raises OutboxCorruptError."""
        try:
            yield
        except OutboxCorruptError:
            if self._connection.filename:
                outbox_file.condemn(Path(self._connection.filename))
            raise

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with outbox_file.translated(self._name), outbox_file.transaction(self._connection):
            yield

    def _again(self, number: int) -> Batch | None:
        batch = self._batching.again(number)
        if batch is None:
            self._unbatched = None
        return batch

    def _at_hour(self, hour: int) -> datetime:
        try:
            return datetime.fromtimestamp(hour * 3600, UTC)
        except (ValueError, OverflowError, OSError):
            raise OutboxCorruptError(f"{self._name}: a read has no time; set the file aside") from None

    def _holds(self, read: SealedRead) -> bool:
        held = self._connection.execute("SELECT sealed FROM reads WHERE read_id = ?", (read.read_id,)).get
        return bool(held == read.sealed)

    def _give_back(self) -> None:
        # What was deleted is zeroed in the file but may stand in the WAL until that is written back and cut.
        surplus = self._connection.pragma("freelist_count") - KEPT_FREE_PAGES
        if surplus > 0:
            self._connection.execute(f"PRAGMA incremental_vacuum({surplus:d})").fetchall()
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
