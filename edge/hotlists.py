"""The list in force on this unit: loaded at the start, replaced when the department publishes a newer one."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import structlog

from edge.clock import Clock
from edge.status import HotlistHealth
from hotlist_cache.config import HotlistConfig
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.match import Hotlist
from hotlist_cache.snapshot import Snapshot
from hotlist_cache.store import HotlistStore
from sync.errors import RefusedError, SyncError
from sync.notice import HotlistNotice

LOOK_EVERY_S = 900.0
"""How often the server is asked where no broker tells; hotlists are renewed a few times a day."""
RETRY_AFTER_S = 60.0

log = structlog.get_logger(__name__)


class Fetches(Protocol):
    """Where lists come from: HTTPS, or a test's folder."""

    def fetch_hotlist_notice(self) -> HotlistNotice | None: ...

    def fetch_hotlist(self, notice: HotlistNotice, into: Path) -> None: ...


class HotlistDesk:
    """Used by one thread at a time: the starting one, then the upload thread."""

    def __init__(
        self,
        store: HotlistStore,
        config: HotlistConfig,
        clock: Clock,
        *,
        scratch: Path,
        put_in_force: Callable[[Hotlist | None], None],
    ) -> None:
        """*scratch* is a folder for a download on its way; *put_in_force* hands a list to the pipeline."""
        self.last_error = ""
        self._store = store
        self._config = config
        self._clock = clock
        self._scratch = scratch
        self._put_in_force = put_in_force
        self._issued_at: datetime | None = None
        self._sequence = 0
        self._entries = 0
        self._look_at_ns = 0

    @property
    def sequence(self) -> int:
        """Of the list in force; 0: none."""
        return self._sequence

    def load(self) -> None:
        """Put the list on disk in force; without a whole one the unit has none, and says so."""
        try:
            snapshot = self._store.load()
        except SnapshotRejectedError as error:
            self.last_error = str(error)
            log.error("hotlist.none", why=str(error))
            snapshot = None
        if snapshot is None:
            self._put_in_force(None)
        else:
            self._use(snapshot)

    def look_soon(self) -> None:
        """Ask the server at the next `work`: a notice came."""
        self._look_at_ns = 0

    def work(self, source: Fetches) -> float:
        """Fetch a newer list if it is time to look; return how many seconds nothing will be due.

        Whatever fails, the list in force stays.
        """
        now = self._clock.now()
        if now.monotonic_ns < self._look_at_ns:
            return (self._look_at_ns - now.monotonic_ns) / 1e9
        wait_s = LOOK_EVERY_S
        try:
            notice = source.fetch_hotlist_notice()
            if notice is not None and notice.sequence > self._sequence:
                self._fetch(source, notice, now.utc)
            self.last_error = ""
        except (SyncError, SnapshotRejectedError, OSError) as error:
            wait_s = LOOK_EVERY_S if isinstance(error, RefusedError) else RETRY_AFTER_S
            self.last_error = str(error)
            log.warning("hotlist.kept", why=str(error), sequence=self._sequence)
        self._look_at_ns = self._clock.now().monotonic_ns + int(wait_s * 1e9)
        return wait_s

    def health(self, now: datetime) -> HotlistHealth:
        """How the list stands at *now* (aware UTC)."""
        if self._issued_at is None:
            return HotlistHealth(last_error=self.last_error or "no hotlist yet: connect to the department")
        age = now - self._issued_at
        return HotlistHealth(
            sequence=self._sequence,
            entries=self._entries,
            age_h=age / timedelta(hours=1),
            stale=age > timedelta(hours=self._config.max_age_h),
            last_error=self.last_error,
        )

    def _fetch(self, source: Fetches, notice: HotlistNotice, now: datetime) -> None:
        download = self._scratch / "hotlist.download"
        try:
            source.fetch_hotlist(notice, download)
            data = download.read_bytes()
        finally:
            # In the clear, signed but not sealed: it must not outlive this call.
            download.unlink(missing_ok=True)
        self._use(self._store.install(data, now))
        log.info("hotlist.installed", sequence=self._sequence, entries=self._entries)

    def _use(self, snapshot: Snapshot) -> None:
        self._put_in_force(Hotlist(snapshot, self._config, lambda: secrets.token_hex(16)))
        self._issued_at = snapshot.header.issued_at
        self._sequence = snapshot.header.sequence
        self._entries = snapshot.header.count
