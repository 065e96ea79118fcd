"""The list in force, on the unit's disk.

Three sealed files, each replaced whole: a list; the journal, which holds the changes that were applied to it
since; and the header of the newest list ever accepted. The list in force is the first with the second. The
journal is small, so that a change of one entry does not write the whole list anew; when it would grow beyond
a bound, the list in force is written whole and the journal removed. A journal that is for another list than
the one beside it was left by a cut in between, or there is a newer whole list: it is not looked at.

The newest header is what an older list is measured against, so that removing the others does not let an
older one in. It is written after them: a cut in between leaves a list newer than the header, which the next
`load` mends; the other way round it would leave a list older than the header, and that must stay the mark of
one put back.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hotlist_cache.config import HotlistConfig
from hotlist_cache.delta import Delta, DeltaNotForThisListError, read_chain, read_delta
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from hotlist_cache.snapshot import (
    Buffer,
    Snapshot,
    SnapshotHeader,
    open_stored,
    read_header,
    verify_date,
    verify_snapshot,
    verify_successor,
)

LIST_NAME = "hotlist.sealed"
JOURNAL_NAME = "hotlist-journal.sealed"
NEWEST_NAME = "hotlist-newest.sealed"
JOURNAL_BYTES = 64 * 1024
"""Of changes: a hundred of one entry each, or one of 15,000, for which a start takes half a second more."""
_LENGTH_BYTES = 4


class HotlistStore:
    """Keeps one list in a folder of its own state. One process and one thread at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        storage_key: bytes,
        keys: Sequence[Ed25519PublicKey],
        config: HotlistConfig,
        disk: Disk | None = None,
    ) -> None:
        """*folder* exists; *storage_key* is of 32 bytes; *keys* are those whose signature is accepted.

        Opens nothing yet: call `load` before `install`.
        """
        self._list = folder / LIST_NAME
        self._journal_file = folder / JOURNAL_NAME
        self._newest_file = folder / NEWEST_NAME
        self._storage_key = storage_key
        self._keys = tuple(keys)
        self._config = config
        self._disk: Disk = RealDisk() if disk is None else disk
        self.newest: SnapshotHeader | None = None
        """Of the newest list ever accepted; None if there was none, or before `load`."""
        self._in_force: Snapshot | None = None
        self._journal: list[bytes] = []

    def load(self) -> Snapshot | None:
        """Return the list on disk, whatever its age; None if none was ever installed.

        Raises SnapshotRejectedError if there is no whole, newest list: the unit then has NO LIST until one is
        installed. What does not open was set aside beside, with ".damaged" behind its name. Raises OSError if
        the disk fails.
        """
        self.newest = self._in_force = None
        self._journal = []
        damaged = ""
        try:
            # Its seal is enough: who signed it may have been replaced, and its sequence must still count.
            self.newest = read_header(self._opened(self._newest_file))
        except FileNotFoundError:
            pass
        except (SealedFileDamagedError, SnapshotRejectedError):
            # Not fatal by itself: the list, if whole, says as much. Without both, any signed list is taken
            # that has not expired, as on a new unit.
            damaged = self._set_aside(self._newest_file)
        try:
            snapshot = self._changed(open_stored(self._opened(self._list), keys=self._keys))
        except FileNotFoundError:
            if (missing := self._missing(damaged)) is not None:
                raise missing from None
            return None
        except (SealedFileDamagedError, SnapshotRejectedError) as error:
            name = self._set_aside(self._list)
            raise SnapshotRejectedError(
                f"NO LIST: the one on disk was set aside as {name} ({error}); fetch the list again"
            ) from None
        header = snapshot.header
        if self.newest is not None and header != self.newest and header.sequence <= self.newest.sequence:
            name = self._set_aside(self._list)
            raise SnapshotRejectedError(
                f"NO LIST: list {header.sequence} lay on disk though {self.newest.sequence} was accepted; "
                f"it was set aside as {name}; fetch the list again"
            )
        if header != self.newest:
            self._remember(snapshot)
        self._in_force = snapshot
        return snapshot

    def install(self, data: Buffer, now: datetime) -> Snapshot:
        """Return the list in *data* once it is verified, sealed and durable; it is then the one in force.

        Installing the list in force again is allowed.

        Raises SnapshotRejectedError if it may not replace the list in force, OSError if the disk fails or is
        full. The list in force then stays; after an OSError the next `load` finds it or the new one, whole.
        """
        snapshot = verify_snapshot(data, keys=self._keys, now=now, in_force=self.newest, config=self._config)
        self._write_whole(snapshot)
        self._remember(snapshot)
        return snapshot

    def install_delta(self, data: Buffer, now: datetime) -> Snapshot:
        """Return the list that the change *data* makes of the one in force: see `install_deltas`."""
        return self.install_deltas([data], now)

    def install_deltas(self, deltas: Sequence[Buffer], now: datetime) -> Snapshot:
        """Return what *deltas*, in their order, make of the list in force, once it is verified and durable.

        It is then the one in force. A unit that was off for long takes all that it missed in one step. Call
        `load` or `install` before.

        Raises DeltaNotForThisListError if there is no list, one of *deltas* is missing or they are for
        another list; SnapshotRejectedError if the result may not replace the list in force; OSError if the
        disk fails or is full. The list in force then stays, and the whole list is to be fetched; after an
        OSError the next `load` finds it or the new one.
        """
        from hotlist_cache.applying import apply_chain  # arrays, only where there is a change

        if self._in_force is None:
            raise DeltaNotForThisListError("hotlist: a delta, but there is no list; fetch the whole list")
        chain = read_chain(self._in_force.header, deltas, self._keys)
        if not chain:
            return self._in_force
        self._verify(self._in_force.header, chain, now)
        snapshot = apply_chain(self._in_force, chain)
        journal = [*self._journal, *map(bytes, deltas)]
        if sum(map(len, journal)) > JOURNAL_BYTES:
            self._write_whole(snapshot)
        else:
            content = b"".join(len(data).to_bytes(_LENGTH_BYTES, "big") + data for data in journal)
            write_sealed(self._disk, self._journal_file, memoryview(content), self._storage_key, JOURNAL_NAME)
            self._journal = journal
        self._remember(snapshot)
        self._in_force = snapshot
        return snapshot

    def added(self, deltas: Sequence[Buffer]) -> list[str]:
        """Return the plates and partial plates that *deltas* add, each a change that this store has
        installed."""
        from hotlist_cache.applying import added_patterns

        return [pattern for data in deltas for pattern in added_patterns(read_delta(data, self._keys))]

    def _verify(self, in_force: SnapshotHeader, chain: Sequence[Delta], now: datetime) -> None:
        for delta in chain:
            verify_successor(delta.header, in_force, self._config)
            in_force = delta.header
        verify_date(in_force, now, self._config)

    def _write_whole(self, snapshot: Snapshot) -> None:
        write_sealed(self._disk, self._list, snapshot.stored, self._storage_key, LIST_NAME)
        self._journal = []
        self._in_force = snapshot
        # What is listed no longer must not stay in it. That it is gone need not be durable.
        self._disk.remove(self._journal_file)

    def _changed(self, base: Snapshot) -> Snapshot:
        """Return *base* with the changes of the journal, if it has any for it."""
        from hotlist_cache.applying import apply_chain  # arrays, only where there is a change

        try:
            deltas = _cut(self._opened(self._journal_file))
            snapshot = apply_chain(base, read_chain(base.header, deltas, self._keys))
        except (FileNotFoundError, DeltaNotForThisListError):
            return base
        except (SealedFileDamagedError, SnapshotRejectedError):
            # What the journal held is lost: the list beside is then older than the newest, and set aside too.
            self._set_aside(self._journal_file)
            return base
        self._journal = deltas
        return snapshot

    def _remember(self, snapshot: Snapshot) -> None:
        header = memoryview(snapshot.signed_header)
        write_sealed(self._disk, self._newest_file, header, self._storage_key, NEWEST_NAME)
        self.newest = snapshot.header

    def _opened(self, path: Path) -> bytearray:
        return read_sealed(path, self._storage_key, path.name)

    def _missing(self, damaged: str) -> SnapshotRejectedError | None:
        if self.newest is not None:
            return SnapshotRejectedError(
                f"NO LIST: list {self.newest.sequence} was accepted but is gone; fetch the list again"
            )
        if damaged:
            return SnapshotRejectedError(
                f"NO LIST: the record of the newest one was set aside as {damaged}; fetch the list again"
            )
        return None

    def _set_aside(self, path: Path) -> str:
        aside = path.with_name(path.name + ".damaged")
        self._disk.rename(path, aside)
        self._disk.sync_folder(path.parent)
        return aside.name


def _cut(content: bytearray) -> list[bytes]:
    """Return the deltas that lie one after another in *content*, each behind its length."""
    deltas, start = [], 0
    while start < len(content):
        end = start + _LENGTH_BYTES
        length = int.from_bytes(content[start:end], "big")
        deltas.append(bytes(content[end : end + length]))
        start = end + length
    return deltas
