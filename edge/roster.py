"""The roster on the unit: who may log in, sealed at rest, newer ones only.

What is brought here was verified against the department's publication; this keeps it, and refuses an older
one once more.
"""

from pathlib import Path

import structlog

from edge.errors import RosterRefusedError
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from sync.errors import WireFormatError
from sync.roster import Roster, decode_roster

ROSTER_NAME = "roster.sealed"

log = structlog.get_logger(__name__)


class RosterStore:
    """One thread installs; others read `roster`, which is replaced whole."""

    def __init__(self, folder: Path, storage_key: bytes, disk: Disk | None = None) -> None:
        """*folder* exists. A damaged file counts as none: the next publication brings it again."""
        self.roster: Roster | None = None
        """In force; None: the unit has none, and nobody can log in."""
        self._path = folder / ROSTER_NAME
        self._key = storage_key
        self._disk: Disk = RealDisk() if disk is None else disk
        try:
            self.roster = decode_roster(bytes(read_sealed(self._path, storage_key, ROSTER_NAME)))
        except FileNotFoundError:
            pass
        except (SealedFileDamagedError, WireFormatError, OSError) as error:
            log.error("roster.unread", why=str(error))

    @property
    def version(self) -> int:
        """Of the roster in force; 0: none."""
        return 0 if self.roster is None else self.roster.version

    def install(self, data: bytes) -> Roster:
        """Put the roster in *data* in force, once it is on the disk, and return it.

        Raises RosterRefusedError if it is none or not newer, OSError if the disk fails; the one held stays.
        """
        try:
            roster = decode_roster(data)
        except WireFormatError as error:
            raise RosterRefusedError(f"{error}; the roster held stays") from error
        if roster.version <= self.version:
            raise RosterRefusedError(f"roster {roster.version} is not newer than {self.version}, which stays")
        write_sealed(self._disk, self._path, memoryview(data), self._key, ROSTER_NAME)
        self.roster = roster
        log.info("roster.installed", version=roster.version, users=len(roster.users))
        return roster
