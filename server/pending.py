"""What loses too much to be done by one person: it waits until another one approves or rejects it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from server.audit import Deed, append, same_person
from server.errors import HotlistRefusedError
from server.hotlist_deeds import place_of
from server.tables import hotlist_pending


@dataclass(frozen=True, slots=True)
class Pending:
    """An import of a feed or, of no feed, a publication."""

    pending_id: int
    """Never given again."""
    feed: str | None
    asked_by: str
    asked_at: datetime
    """Aware UTC."""
    before: int
    """Entries that are listed."""
    after: int
    """Entries that would be."""
    detail: Mapping[str, Any] = field(repr=False)
    """Of an import: its report, as `feed_report.report_of` takes it. Of a publication: what was asked for."""

    @property
    def what(self) -> str:
        """What a person calls it."""
        return "the publication" if self.feed is None else f"the import of feed {self.feed}"

    @property
    def gone(self) -> int:
        """Entries that are listed and would not stay."""
        counted = self.detail.get("gone")
        return max(0, self.before - self.after) if counted is None else int(counted)

    @property
    def come(self) -> int:
        """Entries that would be listed and are not."""
        return self.after - self.before + self.gone

    @property
    def told(self) -> str:
        """What whoever asked for it is told."""
        return (
            f"{self.what} would take it from {self.before} to {self.after} entries ({self.gone} go, "
            f"{self.come} come), so nothing was changed: check the source; if it is right, a person other "
            f"than {self.asked_by} approves it with `alpr-server hotlist approve {self.pending_id}`"
        )

    def require_another(self, actor: str) -> None:
        """Raises HotlistRefusedError if *actor* is who asked for it."""
        if same_person(actor, self.asked_by):
            raise HotlistRefusedError(
                f"{self.what}, pending as {self.pending_id}, was asked for by {self.asked_by}: "
                "another person must approve it"
            )


def put_pending(
    connection: Connection,
    feed: str | None,
    detail: Mapping[str, Any],
    *,
    before: int,
    after: int,
    actor: str,
    now: datetime,
) -> Pending:
    """Keep what *actor* asked for until it is decided, and note it in the access log."""
    row = {"feed": feed, "asked_by": actor, "asked_at": now, "before": before, "after": after}
    result = connection.execute(insert(hotlist_pending).values(**row, detail=json.dumps(detail)))
    assert result.inserted_primary_key is not None
    pending = Pending(result.inserted_primary_key[0], feed, actor, now, before, after, detail)
    append(connection, Deed(actor, "hotlist.hold", source=place_of(actor), detail=_noted(pending)), now)
    return pending


def drop_pending(connection: Connection, pending: Pending, action: str, *, actor: str, now: datetime) -> None:
    """Let *pending* wait no longer, and note who ended that by which *action*."""
    connection.execute(delete(hotlist_pending).where(hotlist_pending.c.pending_id == pending.pending_id))
    append(connection, Deed(actor, action, source=place_of(actor), detail=_noted(pending)), now)


def pending_of(connection: Connection, pending_id: int) -> Pending:
    """Return what waits under *pending_id*. Raises HotlistRefusedError if nothing does."""
    found = _select(connection, hotlist_pending.c.pending_id == pending_id)
    if not found:
        raise HotlistRefusedError(
            f"nothing is pending under {pending_id}: see `alpr-server hotlist pending` for what is"
        )
    return found[0]


def pending_for(connection: Connection, feed: str | None) -> list[Pending]:
    """Return what waits of *feed*; None: of publications."""
    return _select(
        connection, hotlist_pending.c.feed.is_(None) if feed is None else hotlist_pending.c.feed == feed
    )


def all_pending(connection: Connection) -> list[Pending]:
    """Return all that waits, the oldest first."""
    return _select(connection)


def _select(connection: Connection, *where: ColumnElement[bool]) -> list[Pending]:
    rows = connection.execute(select(hotlist_pending).where(*where).order_by(hotlist_pending.c.pending_id))
    return [Pending(**{**row._asdict(), "detail": json.loads(row.detail)}) for row in rows]


def _noted(pending: Pending) -> dict[str, Any]:
    return {
        "pending_id": pending.pending_id,
        "feed": pending.feed,
        "asked_by": pending.asked_by,
        "before": pending.before,
        "after": pending.after,
        "asked": dict(pending.detail),
    }
