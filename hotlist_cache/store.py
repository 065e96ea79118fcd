"""The list in force, on the unit's disk.

Two sealed files: the list, and the header of the newest list ever accepted. The second is what an older list
is measured against, so that removing the first does not let an older one in. Both are replaced whole. They
are written in this order: a cut between them leaves a list newer than the header, which the next `load`
mends; the other way round it would leave a list older than the header, and that must stay the mark of one
put back.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hotlist_cache.config import HotlistConfig
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from hotlist_cache.snapshot import (
    Buffer,
    Snapshot,
    SnapshotHeader,
    open_snapshot,
    read_header,
    verify_snapshot,
)

LIST_NAME = "hotlist.sealed"
NEWEST_NAME = "hotlist-newest.sealed"


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
        self._newest_file = folder / NEWEST_NAME
        self._storage_key = storage_key
        self._keys = tuple(keys)
        self._config = config
        self._disk: Disk = RealDisk() if disk is None else disk
        self.newest: SnapshotHeader | None = None
        """Of the newest list ever accepted; None if there was none, or before `load`."""

    def load(self) -> Snapshot | None:
        """Return the list on disk, whatever its age; None if none was ever installed.

        Raises SnapshotRejectedError if there is no whole, newest list: the unit then has NO LIST until one is
        installed. What does not open was set aside beside, with ".damaged" behind its name. Raises OSError if
        the disk fails.
        """
        self.newest = None
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
            snapshot = open_snapshot(self._opened(self._list), keys=self._keys)
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
        return snapshot

    def install(self, data: Buffer, now: datetime) -> Snapshot:
        """Return the list in *data* once it is verified, sealed and durable; it is then the one in force.

        *data* must not change from here on. Installing the list in force again is allowed.

        Raises SnapshotRejectedError if it may not replace the list in force, OSError if the disk fails or is
        full. The list in force then stays; after an OSError the next `load` finds it or the new one, whole.
        """
        snapshot = verify_snapshot(data, keys=self._keys, now=now, in_force=self.newest, config=self._config)
        write_sealed(self._disk, self._list, memoryview(data), self._storage_key, LIST_NAME)
        self._remember(snapshot)
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
