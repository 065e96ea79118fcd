"""Wrong passwords, counted on the disk: switching the unit off and on opens no lock."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import structlog

from edge.errors import LogUnwritableError
from edge.page_config import PageConfig
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from sync import wire
from sync.errors import WireFormatError

LOCKOUTS_NAME = "page-lockouts.sealed"
NOBODY = ""
"""The name under which attempts on names of no roster are counted: they cost the same time."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Count:
    failures: int
    locked_until: datetime | None


class Lockouts:
    """Not for several threads."""

    def __init__(
        self, folder: Path, storage_key: bytes, config: PageConfig, disk: Disk | None = None
    ) -> None:
        """*folder* exists."""
        self._path = folder / LOCKOUTS_NAME
        self._key = storage_key
        self._config = config
        self._disk: Disk = RealDisk() if disk is None else disk
        self._counts = self._read()

    def locked(self, name: str, now: datetime) -> bool:
        """Whether *name* is locked at *now* (aware UTC)."""
        until = self._counts.get(self._label(name), _Count(0, None)).locked_until
        return until is not None and now < until

    def fail(self, name: str, now: datetime) -> bool:
        """Count a wrong password; return whether the name is locked from now on. Raises LogUnwritableError.

        While it is locked nothing is added, and the file is written all the same: the time must not tell.
        """
        if self.locked(name, now):
            self._put(name, self._counts[self._label(name)])
            return True
        failures = self._counts.get(self._label(name), _Count(0, None)).failures + 1
        locks = failures >= self._config.lockout_failures
        until = now + timedelta(minutes=self._config.lockout_min) if locks else None
        # The count starts anew after a lock: each further lock takes as many attempts as the first.
        self._put(name, _Count(0 if locks else failures, until))
        return locks

    def forgive(self, name: str) -> None:
        """Begin to count anew: the password was right. Raises LogUnwritableError."""
        if self._label(name) in self._counts:
            self._put(name, _Count(0, None))

    def _put(self, name: str, count: _Count) -> None:
        self._counts[self._label(name)] = count
        parts = [
            [label, each.failures, None if each.locked_until is None else wire.seconds(each.locked_until)]
            for label, each in self._counts.items()
        ]
        try:
            write_sealed(self._disk, self._path, memoryview(wire.dumps(parts)), self._key, LOCKOUTS_NAME)
        except OSError as error:
            # Not counted on the disk is not counted: nobody gets further for it.
            raise LogUnwritableError(
                f"wrong passwords cannot be counted ({error.strerror}); nobody can log in until they can"
            ) from error

    def _label(self, name: str) -> bytes:
        return hmac.digest(self._key, b"alpr-edge lockout v1\x00" + name.encode(), sha256)

    def _read(self) -> dict[bytes, _Count]:
        try:
            parts = wire.loads(bytes(read_sealed(self._path, self._key, LOCKOUTS_NAME)), "lockouts")
            return {
                wire.octets(label): _Count(
                    wire.whole(failures), None if until is None else wire.from_seconds(until)
                )
                for label, failures, until in parts
            }
        except FileNotFoundError:
            return {}
        except (SealedFileDamagedError, WireFormatError, OSError, TypeError, ValueError) as error:
            log.error("lockouts.unread", why=type(error).__name__)
            return {}
