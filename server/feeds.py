"""What each source lists: brought by one person, and where most of it would go, approved by another.

feeds/<feed>.jsonl       what one source lists, whole
pending/<number>.jsonl   what it would list once the import of that number is approved
incoming/                what is being read
"""

import io
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, Engine, insert, select, update

from hotlist_cache.entry import Entry
from hotlist_cache.errors import HotlistError
from hotlist_cache.importing import Change
from server.audit import Deed, append
from server.database import reading, writing
from server.errors import HotlistRefusedError
from server.feed_files import Written, move, read_entries, write_changed, write_complete
from server.feed_report import Delivery, ImportReport, report_of
from server.files import replacing
from server.hotlist_deeds import place_of
from server.losses import lines_gone
from server.pending import Pending, all_pending, drop_pending, pending_for, pending_of, put_pending
from server.tables import hotlist_feeds

URGENT_FEED = "urgent"
"""What such feeds list stands on the urgent list too, which units fetch first: Amber alerts."""
URGENT_LOSS = 20
"""So many entries of an urgent feed one person may take away."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class FeedState:
    """How a feed stands, for a page."""

    feed: str
    source: str
    """The name of the format it last came in; empty: it is not known."""
    entries: int
    imported_at: datetime
    """Aware UTC."""
    imported_by: str
    """Empty: it is not known."""
    approved_loss: int
    """Entries that went, with a second person's approval, since the last snapshot."""
    pending: Pending | None = None
    """An import of it that waits for approval."""


class Feeds:
    """The feeds on disk. One writer at a time: the command line."""

    def __init__(self, engine: Engine, folder: Path, least_share: float) -> None:
        """A feed of whose entries less than *least_share* would stay waits for approval: see `losses`."""
        self._engine = engine
        self._folder = folder
        self._least_share = least_share

    def replace(
        self, feed: str, entries: Iterable[Entry], *, actor: str, now: datetime, delivery: Delivery | None
    ) -> ImportReport:
        """Let *entries* be all that *feed* lists from now on; see `Hotlists.replace_feed`."""
        return self._bring(feed, lambda file: write_complete(file, entries), actor, now, delivery)

    def change(
        self, feed: str, changes: Iterable[Change], *, actor: str, now: datetime, delivery: Delivery | None
    ) -> ImportReport:
        """Do *changes* to what *feed* lists; see `Hotlists.change_feed`."""
        with reading(self._engine) as connection:
            waiting = pending_for(connection, feed)
        if waiting:
            # They would be done to a list that is not the one the source thinks we hold.
            raise HotlistRefusedError(
                f"feed {feed}: an import is pending as {waiting[0].pending_id}: approve or reject it first"
            )
        return self._bring(
            feed, lambda file: write_changed(file, self._file(feed), changes), actor, now, delivery
        )

    def approve(self, pending: Pending, *, actor: str, now: datetime) -> None:
        """Let the import that waits as *pending* be applied, as *actor* approved."""
        assert pending.feed is not None
        held = self._held(pending.pending_id)
        if not held.is_file():
            raise HotlistRefusedError(f"{pending.what}: its file is gone; reject it and import it again")
        with writing(self._engine) as connection:
            pending_of(connection, pending.pending_id)  # nobody decided it meanwhile
            move(held, self._file(pending.feed))
            self._note(connection, report_of(pending.detail), loss=pending.gone)
            drop_pending(connection, pending, "hotlist.approve", actor=actor, now=now)
            superseded = self._supersede(connection, pending.feed, actor, now)
        self.forget(pending, *superseded)

    def forget(self, *pending: Pending) -> None:
        """Remove the files of what does not wait any more."""
        for each in pending:
            self._held(each.pending_id).unlink(missing_ok=True)

    def states(self) -> list[FeedState]:
        """Return how every feed stands, by name."""
        with reading(self._engine) as connection:
            return states_in(connection)

    def files(self, feeds: Iterable[FeedState]) -> dict[str, Path]:
        """Return where what each of *feeds* lists stands; a file that is there is never changed."""
        return {state.feed: self._file(state.feed) for state in feeds}

    def entries(self, feeds: Iterable[FeedState]) -> Iterator[Entry]:
        """Yield all that *feeds* list. Raises HotlistRefusedError if one is missing or damaged."""
        for state in feeds:
            path = self._file(state.feed)
            if not path.is_file():
                raise HotlistRefusedError(f"{path.name} is missing: import feed {state.feed} again")
            yield from read_entries(path)

    def _bring(
        self,
        feed: str,
        write: Callable[[BinaryIO], Written],
        actor: str,
        now: datetime,
        delivery: Delivery | None,
    ) -> ImportReport:
        if not _NAME.fullmatch(feed):
            raise HotlistRefusedError(f"feed {feed!r}: use 1 to 64 of a-z, 0-9 and hyphens")
        delivery = delivery or Delivery(io.BytesIO(), "", "")
        draft = self._folder / "incoming" / f"{feed}.{secrets.token_hex(8)}.jsonl"
        try:
            with reading(self._engine) as connection:
                known = _counted(connection, feed)
            with replacing(draft) as file:
                written = write(file)
            gone = 0 if known is None else self._gone(feed, known[0], draft)
            with writing(self._engine) as connection:
                if _counted(connection, feed) != known:
                    raise HotlistRefusedError(f"feed {feed} was imported meanwhile: import it again")
                before = None if known is None else known[0]
                report = delivery.report(feed, before, written, gone=gone, actor=actor, now=now)
                superseded = self._supersede(connection, feed, actor, now)
                report = self._take(connection, draft, report)
        except (HotlistError, HotlistRefusedError) as error:
            with writing(self._engine) as connection:
                detail = {"feed": feed, "file": delivery.name, "source": delivery.source, "why": str(error)}
                append(
                    connection,
                    Deed(actor, "hotlist.import", outcome="refused", source=place_of(actor), detail=detail),
                    now,
                )
            raise
        finally:
            draft.unlink(missing_ok=True)
        self.forget(*superseded)
        return report

    def _gone(self, feed: str, before: int, draft: Path) -> int:
        """Count of the *before* entries of *feed* those that do not stay in *draft*."""
        path = self._file(feed)
        # Where nothing is left to compare with, nothing is known to stay.
        return lines_gone(path, draft) if path.is_file() else before

    def _take(self, connection: Connection, draft: Path, report: ImportReport) -> ImportReport:
        """Apply the import, or hold it where it loses too much."""
        actor, now = report.imported_by, report.imported_at
        before, gone = report.before or 0, report.gone or 0
        # An Amber alert ends as it began, by one person and at once.
        few = is_urgent(report.feed) and gone <= URGENT_LOSS
        if before - gone < before * self._least_share and not few:
            detail = report.detail()
            pending = put_pending(
                connection,
                report.feed,
                detail,
                before=before,
                after=report.after,
                actor=actor,
                now=now,
            )
            move(draft, self._held(pending.pending_id))
            return replace(report, pending_id=pending.pending_id)
        move(draft, self._file(report.feed))
        self._note(connection, report, loss=None)
        append(connection, Deed(actor, "hotlist.import", source=place_of(actor), detail=report.detail()), now)
        return report

    def _note(self, connection: Connection, report: ImportReport, *, loss: int | None) -> None:
        """Note that an import was applied; *loss*: what of it another person approved, None: nothing."""
        state = next((each for each in states_in(connection) if each.feed == report.feed), None)
        row = {
            "entries": report.after,
            "imported_at": report.imported_at,
            "source": report.source,
            "imported_by": report.imported_by,
        }
        if state is None:
            connection.execute(insert(hotlist_feeds).values(feed=report.feed, **row))
            return
        # What has come may be what was lost: else a later loss would pass as the one that was approved.
        change = -(report.come or 0) if loss is None else loss
        row["approved_loss"] = max(0, state.approved_loss + change)
        connection.execute(update(hotlist_feeds).where(hotlist_feeds.c.feed == report.feed).values(row))

    def _supersede(self, connection: Connection, feed: str, actor: str, now: datetime) -> list[Pending]:
        """End what waits on the state that *feed* had: an older import of it, and any publication."""
        ended = [*pending_for(connection, feed), *pending_for(connection, None)]
        for pending in ended:
            drop_pending(connection, pending, "hotlist.supersede", actor=actor, now=now)
        return ended

    def _file(self, feed: str) -> Path:
        return self._folder / "feeds" / f"{feed}.jsonl"

    def _held(self, pending_id: int) -> Path:
        return self._folder / "pending" / f"{pending_id}.jsonl"


def is_urgent(feed: str) -> bool:
    """Whether *feed* is one of the urgent ones: called "urgent", or "urgent-" and more."""
    return feed.split("-", maxsplit=1)[0] == URGENT_FEED


def states_in(connection: Connection) -> list[FeedState]:
    """Return how every feed stands in the caller's transaction, by name."""
    waiting = {pending.feed: pending for pending in all_pending(connection)}
    return [
        FeedState(
            row.feed,
            row.source or "",
            row.entries,
            row.imported_at,
            row.imported_by or "",
            row.approved_loss,
            waiting.get(row.feed),
        )
        for row in connection.execute(select(hotlist_feeds).order_by(hotlist_feeds.c.feed))
    ]


def _counted(connection: Connection, feed: str) -> tuple[int, datetime] | None:
    row = connection.execute(
        select(hotlist_feeds.c.entries, hotlist_feeds.c.imported_at).where(hotlist_feeds.c.feed == feed)
    ).first()
    return None if row is None else (row.entries, row.imported_at)
