"""Take files from the folders that sources put them into: `[[feed]]`.

A file is taken once it has not changed for `SETTLED`; names that begin with "." or end in ".part" or ".tmp"
are still being written. What was imported is removed, as the feed holds it now; what was refused goes to
`refused/` beside it, for a person to look at, and its reason to the access log and the page.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from hotlist_cache.errors import HotlistError
from server.department import Department, publish_urgent
from server.errors import HotlistRefusedError, ServerError, SettingsInvalidError
from server.feed_report import ImportReport
from server.feed_settings import WatchedFeed
from server.feeds import is_urgent
from server.list_imports import import_file
from server.list_publishing import publish_list
from server.local_publishing import LASTING, SERVER_ACTOR

SETTLED = timedelta(seconds=30)
REFUSED = "refused"
_UNFINISHED = (".part", ".tmp", ".filepart")
_log = structlog.get_logger(__name__)


class Watching:
    """Looks into the folders when their time has come. Not for several threads at once."""

    def __init__(self, department: Department) -> None:
        self._department = department
        self._due: dict[str, datetime] = {}

    def step(self, now: datetime) -> list[ImportReport]:
        """Import what waits in the folders that are due, and return what was imported.

        One folder's failure stops no other; it is logged, and tried again at the folder's next time.
        """
        reports = []
        for feed in self._department.settings.feed:
            if now < self._due.get(feed.name, now):
                continue
            self._due[feed.name] = now + timedelta(minutes=feed.every_min)
            try:
                reports += take_waiting(self._department, feed, actor=SERVER_ACTOR, now=now)
            except (ServerError, HotlistError, OSError) as error:
                _log.error("feed not taken", feed=feed.name, why=_why(error))
        return reports


def take_waiting(
    department: Department, feed: WatchedFeed, *, actor: str, now: datetime
) -> list[ImportReport]:
    """Import every file that waits for *feed*, the oldest first, and publish if it says so.

    Raises OSError if the folder cannot be read or written, HotlistRefusedError if publishing is refused, and
    what else publishing raises; files that were taken stay taken.
    """
    reports = []
    for path in waiting_files(feed.folder, now):
        try:
            with open(path, "rb", buffering=0, opener=_not_a_link) as file:
                report = import_file(
                    department, file, path.name[:128], feed=feed.name, how=feed.how, actor=actor, now=now
                )
        except (HotlistRefusedError, HotlistError, SettingsInvalidError) as error:
            _set_apart(path, now)
            _log.error("list refused", feed=feed.name, why=str(error), kept_in=REFUSED)
            continue
        path.unlink()
        reports.append(report)
        _log.info(
            "list imported",
            feed=feed.name,
            entries=report.after,
            refused=sum(each.count for each in report.refused),
            waits=report.pending_id is not None,
        )
        # Two imports of a feed at one time could not be told apart by the one that publishes.
        now += timedelta(microseconds=1)
    if feed.publish and any(report.pending_id is None for report in reports):
        _publish(department, feed, actor, now)
    return reports


def waiting_files(folder: Path, now: datetime) -> Sequence[Path]:
    """Return the files in *folder* that are whole, the oldest first. Raises OSError if it cannot be read."""
    found = []
    for path in folder.iterdir():
        if path.name.startswith(".") or path.suffix.lower() in _UNFINISHED:
            continue
        if path.is_symlink() or not path.is_file():
            continue  # a link could lead to a file that the source may not read itself
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if now - changed >= SETTLED:
            found.append((changed, path.name, path))
    return [path for *_, path in sorted(found)]


def refused_files(folder: Path) -> int:
    """Return how many files lie set apart in *folder*, refused."""
    try:
        return sum(path.is_file() for path in (folder / REFUSED).iterdir())
    except OSError:
        return 0


def _not_a_link(path: str, flags: int) -> int:
    # It was none when it was found; whoever may write there may have changed that since.
    return os.open(path, flags | os.O_NOFOLLOW)


def _set_apart(path: Path, now: datetime) -> None:
    apart = path.parent / REFUSED
    apart.mkdir(mode=0o700, exist_ok=True)
    path.replace(apart / f"{now:%Y%m%d-%H%M%S-%f}-{path.name}")


def _publish(department: Department, feed: WatchedFeed, actor: str, now: datetime) -> None:
    expires_at = now + LASTING
    if is_urgent(feed.name):
        publish_urgent(department, actor, expires_at, now)
    else:
        publish_list(department, expires_at=expires_at, actor=actor, now=now)


def _why(error: Exception) -> str:
    # Of the operating system's errors the text alone: their path may be a file's name with a plate in it.
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
