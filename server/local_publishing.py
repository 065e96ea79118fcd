"""Give units what the department offers of local entries, and take it from them when it is over.

The command calls `bring` at once, and the running server again and again: an entry whose unit looks for it no
more, or whose time is over, is withdrawn from its feed and the list published without it.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, or_, select, update

from hotlist_cache.entry import Entry, Priority
from recognizer.plate import Jurisdiction
from server.database import reading, writing
from server.department import Department, publish_urgent
from server.errors import ServerError
from server.hotlists import Hotlists
from server.list_publishing import publish_list
from server.local_books import OFFERED
from server.tables import hotlist_feeds, local_entries

FEEDS = {Priority.HIGH: "urgent-local", Priority.MEDIUM: "local", Priority.LOW: "local"}
URGENT, ORDINARY = FEEDS[Priority.HIGH], FEEDS[Priority.LOW]
LASTING = timedelta(days=7)
"""How long a list is good that was published for a local entry alone; as `hotlist publish` has it."""
AGAIN_AFTER = timedelta(minutes=1)
"""When the server tries again what it could not publish."""
SERVER_ACTOR = "server"

_log = structlog.get_logger(__name__)


def bring(department: Department, *, actor: str, now: datetime) -> bool:
    """Publish what units' local entries call for; return whether that was anything. Several processes may.

    Raises HotlistRefusedError, StoreUnavailableError and what publishing raises: what is still due stays due.
    """
    if not _due(_concerned(department.engine), now):
        return False
    with _alone(department.folder.hotlists):
        _write_feeds(department, actor, now)
        urgent = _publish_urgent(department, actor, now)
        return _publish_list(department, actor, now) or urgent


class Bringing:
    """`bring` as the running server does it, which waits after a failure. Not for several threads at once."""

    def __init__(self, department: Department) -> None:
        self._department = department
        self._not_before: datetime | None = None

    def step(self, now: datetime) -> None:
        """Publish what is due; a failure is logged, and tried again after a while."""
        if self._not_before is not None and now < self._not_before:
            return
        self._not_before = None
        try:
            bring(self._department, actor=SERVER_ACTOR, now=now)
        except ServerError as error:
            self._not_before = now + AGAIN_AFTER
            _log.error("local entries not published", why=str(error))


def _write_feeds(department: Department, actor: str, now: datetime) -> None:
    """Let the feeds list what is offered, and nothing else."""
    # Nothing here is a truncated delivery: each entry that goes was removed by its officer, refused, or over.
    hotlists = Hotlists(
        department.engine, department.folder.hotlists, least_share=0.0, carried=department.carried
    )
    for feed in (URGENT, ORDINARY):
        rows = _concerned(department.engine)
        stands = {(row.unit_id, row.entry_id) for row in rows if row.feed == feed}
        wanted = [row for row in rows if _feed_of(row, now) == feed]
        listed = {(row.unit_id, row.entry_id) for row in wanted}
        if listed == stands:
            continue
        hotlists.replace_feed(feed, map(_listed, wanted), actor=actor, now=now)
        with writing(department.engine) as connection:
            for key in stands - listed:
                _mark(connection, key, feed=None)
            for key in listed - stands:
                _mark(connection, key, feed=feed, listed_at=now)
            # So that the list may lose them, too: else it would wait for a second person.
            loss = max(0, len(stands) - len(listed))
            connection.execute(
                update(hotlist_feeds)
                .where(hotlist_feeds.c.feed == feed)
                .values(approved_loss=hotlist_feeds.c.approved_loss + loss)
            )


def _publish_urgent(department: Department, actor: str, now: datetime) -> bool:
    rows = _concerned(department.engine)
    due = [row for row in rows if URGENT in (row.feed, row.published) and row.feed != row.published]
    if not due:
        return False
    ends = [row.until for row in rows if row.feed == URGENT]
    publish_urgent(department, actor, max([now + LASTING, *ends]), now)
    newest = department.hotlists.newest()
    with writing(department.engine) as connection:
        for row in due:
            key = (row.unit_id, row.entry_id)
            if row.feed == URGENT:
                _mark(connection, key, published=URGENT)
                continue
            # The long list holds what the urgent feeds listed when it was last published.
            listed_at = row.listed_at.replace(microsecond=0)
            also_there = newest is not None and newest.issued_at >= listed_at
            _mark(connection, key, published=ORDINARY if also_there else None)
    return True


def _publish_list(department: Department, actor: str, now: datetime) -> bool:
    due = [
        row
        for row in _concerned(department.engine)
        if ORDINARY in (row.feed, row.published) and row.feed != row.published
    ]
    hotlists = department.hotlists
    if not due or any(pending.feed is None for pending in hotlists.pending()):
        return False  # what waits for approval holds these too, and is not replaced behind that person's back
    newest = hotlists.newest()
    # The department's other sources do not become more current by this.
    lasting = newest is not None and newest.expires_at > now + timedelta(hours=1)
    expires_at = newest.expires_at if newest is not None and lasting else now + LASTING
    publish_list(department, expires_at=expires_at, actor=actor, now=now)
    with writing(department.engine) as connection:
        for row in due:
            _mark(connection, (row.unit_id, row.entry_id), published=row.feed)
    return True


def _listed(row: Row[Any]) -> Entry:
    """Return the entry as other units are given it: with the id it has on its own, and without a name."""
    return Entry(
        entry_id=row.entry_id,
        pattern=row.pattern,
        jurisdiction=row.jurisdiction and Jurisdiction(row.jurisdiction),
        list_name=f"Local entry of {row.unit_id}",
        reason=row.purpose,
        priority=Priority(row.priority),
        case_number=row.case_number,
        source=row.unit_id,
        effective=row.added_at.replace(microsecond=0),
        expires=row.until.replace(microsecond=0),
    )


def _due(rows: Sequence[Row[Any]], now: datetime) -> bool:
    return any(_feed_of(row, now) != row.feed or row.feed != row.published for row in rows)


def _feed_of(row: Row[Any], now: datetime) -> str | None:
    """Return the feed that shall list the entry at *now*."""
    return FEEDS[Priority(row.priority)] if row.state == OFFERED and now < row.until else None


def _concerned(engine: Engine) -> Sequence[Row[Any]]:
    """Return the entries that are listed, or are to be."""
    table = local_entries
    with reading(engine) as connection:
        return connection.execute(
            select(table)
            .where(or_(table.c.state == OFFERED, table.c.feed.is_not(None), table.c.published.is_not(None)))
            .order_by(table.c.unit_id, table.c.entry_id)
        ).all()


def _mark(connection: Connection, key: tuple[str, str], **values: object) -> None:
    table = local_entries
    connection.execute(
        update(table).where(table.c.unit_id == key[0], table.c.entry_id == key[1]).values(values)
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other thread or process brings local entries, then let none while the block runs."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "local.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
