"""The local window's part of the outbox file: wrapped epoch keys and the blind index, by slot."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from sync import outbox_file
from sync.batch import SealedEpoch, SealedRead


@dataclass(frozen=True, slots=True)
class WindowPart:
    """What lets the unit itself open and find reads of one epoch, stored together with them."""

    slot: int
    wrapped: bytes = field(repr=False)
    """As `EpochSealer.wrapped` gave it."""
    rows: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """Token and sealed card of each row of the index."""


@dataclass(frozen=True, slots=True)
class HeldRead:
    """A sealed read with what opens it inside the window."""

    read: SealedRead
    epoch: SealedEpoch
    slot: int
    wrapped: bytes = field(repr=False)


def add(connection: apsw.Connection, epoch: int, part: WindowPart) -> None:
    """Store *part* of the epoch *number*, inside a transaction of the caller's; again is no error."""
    connection.execute(
        "INSERT INTO window_keys (epoch, slot, wrapped) VALUES (?, ?, ?) ON CONFLICT (epoch) DO NOTHING",
        (epoch, part.slot, part.wrapped),
    )
    _add_rows(connection, part)


def slots(connection: apsw.Connection) -> frozenset[int]:
    """Return every slot of which anything is stored."""
    # Each next slot is asked of the index: SELECT DISTINCT would read every row of it.
    rows: Any = connection.execute(
        "WITH RECURSIVE held (slot) AS (SELECT min(slot) FROM window_index UNION ALL"
        " SELECT (SELECT min(slot) FROM window_index WHERE slot > held.slot) FROM held"
        " WHERE held.slot IS NOT NULL)"
        " SELECT slot FROM held WHERE slot IS NOT NULL UNION SELECT slot FROM window_keys"
        " UNION SELECT slot FROM passing_reads"
    )
    return frozenset(slot for (slot,) in rows)


def add_passing(
    connection: apsw.Connection, epoch: SealedEpoch, reads: Sequence[SealedRead], part: WindowPart
) -> None:
    """Store *reads* of *epoch*, which are never sent, with what opens and finds them, inside a transaction of
    the caller's; again is no error."""
    connection.executemany(
        "INSERT INTO passing_reads (read_id, slot, epoch_id, unit_id, wrapped, sealed)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (read_id) DO NOTHING",
        [
            (read.read_id, part.slot, epoch.epoch_id, epoch.unit_id, part.wrapped, read.sealed)
            for read in reads
        ],
    )
    _add_rows(connection, part)


def forget(connection: apsw.Connection, gone: Collection[int]) -> int:
    """Remove everything of the slots *gone*, inside a transaction of the caller's; return how many reads that
    are never sent went with them."""
    destroyed = 0
    for slot in gone:
        connection.execute("DELETE FROM window_keys WHERE slot = ?", (slot,))
        connection.execute("DELETE FROM window_index WHERE slot = ?", (slot,))
        connection.execute("DELETE FROM passing_reads WHERE slot = ?", (slot,))
        destroyed += connection.changes()
    return destroyed


def has_token(connection: apsw.Connection, slot: int, token: bytes) -> bool:
    """Return whether *token* stands in the index."""
    found = connection.execute(
        "SELECT 1 FROM window_index WHERE slot = ? AND token = ?", (slot, token)
    ).fetchone()
    return found is not None


class WindowTables:
    """Looks things up in the outbox file over a connection of its own that cannot write. For one thread at a
    time. No call leaves a transaction open: the writer's checkpoints wait for nobody."""

    def __init__(self, path: Path) -> None:
        """Raises DiskFullError or OutboxCorruptError if *path*, which the writer has open, does not open."""
        self._name = str(path)
        with outbox_file.translated(self._name):
            self._connection = apsw.Connection(self._name, flags=apsw.SQLITE_OPEN_READONLY)
            self._connection.set_busy_timeout(outbox_file.BUSY_TIMEOUT_MS)
            self._connection.pragma("mmap_size", 0)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def card(self, slot: int, token: bytes) -> bytes | None:
        """Return the sealed card that stands under *token*; None if there is none."""
        with outbox_file.translated(self._name):
            found: bytes | None = self._connection.execute(
                "SELECT card FROM window_index WHERE slot = ? AND token = ?", (slot, token)
            ).get
        return found

    def read(self, read_id: str) -> HeldRead | None:
        """Return the read *read_id*; None if it is not held any more, or its epoch is closed to the unit."""
        with outbox_file.translated(self._name):
            row: Any = self._connection.execute(
                "SELECT sealed, epoch_id, unit_id, sealed_key, slot, wrapped FROM reads"
                " JOIN epochs ON epochs.number = reads.epoch"
                " JOIN window_keys ON window_keys.epoch = reads.epoch"
                " WHERE read_id = ?1"
                " UNION ALL SELECT sealed, epoch_id, unit_id, x'', slot, wrapped FROM passing_reads"
                " WHERE read_id = ?1",
                (read_id,),
            ).fetchall()
        if not row:
            return None
        sealed, epoch_id, unit_id, sealed_key, slot, wrapped = row[0]
        epoch = SealedEpoch(epoch_id, unit_id, sealed_key)
        return HeldRead(SealedRead(read_id, epoch_id, sealed), epoch, slot, wrapped)


def _add_rows(connection: apsw.Connection, part: WindowPart) -> None:
    connection.executemany(
        "INSERT INTO window_index (slot, token, card) VALUES (?, ?, ?) ON CONFLICT (slot, token) DO NOTHING",
        [(part.slot, token, card) for token, card in part.rows],
    )
