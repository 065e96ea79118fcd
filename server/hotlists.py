"""Hotlists: feeds come in as entries, a signed snapshot goes out.

hotlists/feeds/, pending/, incoming/    what the sources list: see `feeds`
hotlists/<sequence>.snapshot            a list that was published whole, never changed again
hotlists/<sequence>.delta               the change that leads to it from the one before
hotlists/basis/                         what the newest was made of: see `basis`

A long list is published as a change to the one before, if that is a small one; units hold the one before, or
take the last whole one and the changes since.

Where most of a feed or of the whole list would go, whatever else would come, one person asks and another
approves. An approved loss of a feed is then the published list's own: it is not asked for twice.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Connection, Engine, func, insert, select, update

from hotlist_cache.entry import Entry
from hotlist_cache.importing import Change
from hotlist_cache.publishing import EVERYTHING, Carried, Issue
from server.audit import Deed, append
from server.database import reading, writing
from server.errors import HotlistRefusedError
from server.feed_report import Delivery, ImportReport
from server.feeds import Feeds, FeedState, is_urgent, states_in
from server.hotlist_deeds import place_of
from server.keys import DepartmentKeys
from server.making import Made, Making
from server.pending import Pending, all_pending, drop_pending, pending_for, pending_of, put_pending
from server.tables import hotlist_feeds, hotlist_snapshots

LEAST_SHARE = 0.5
"""A list that keeps less of the one before than this counts as truncated until a second person approves."""


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot that units may fetch."""

    sequence: int
    sha256: str
    """Of the file that units fetch, hexadecimal: the list, or the change as which alone it travels."""
    bytes: int
    entries: int
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Standing:
    """What a publication starts from. Nothing of it may have changed when it ends."""

    newest: Published | None
    most: int
    """Entries of the longest list that a unit may still hold."""
    feeds: tuple[FeedState, ...]

    @property
    def approved_loss(self) -> int:
        return sum(feed.approved_loss for feed in self.feeds)


class Hotlists:
    """The department's lists on disk. One writer at a time: the command line."""

    def __init__(
        self, engine: Engine, folder: Path, least_share: float = LEAST_SHARE, carried: Carried = EVERYTHING
    ) -> None:
        """What would keep less than *least_share* of its entries, in [0, 1], waits for approval; *carried* is
        what units are given of an entry."""
        self._engine = engine
        self._folder = folder
        self._least_share = least_share
        self._feeds = Feeds(engine, folder, least_share)
        self._making = Making(folder, self._feeds, carried)

    def replace_feed(
        self,
        feed: str,
        entries: Iterable[Entry],
        *,
        actor: str,
        now: datetime,
        delivery: Delivery | None = None,
    ) -> ImportReport:
        """Let *entries* be all that *feed* lists from now on, and return what became of them.

        Nothing is published by this. *entries* is read once, through the *delivery* they come from if there
        is one, and may be long; an entry given twice is held once. If the feed would lose too much, it stays
        as it is, and the import waits for approval: the report then says under which number.

        Raises HotlistRefusedError, and leaves the feed as it was, if its name cannot be one.
        """
        return self._feeds.replace(feed, entries, actor=actor, now=now, delivery=delivery)

    def change_feed(
        self,
        feed: str,
        changes: Iterable[Change],
        *,
        actor: str,
        now: datetime,
        delivery: Delivery | None = None,
    ) -> ImportReport:
        """Do *changes* to what *feed* lists, in their order. For the rest see `replace_feed`.

        Raises HotlistRefusedError also if an import of the feed waits for approval, if the feed is damaged,
        or if the changes are too many.
        """
        return self._feeds.change(feed, changes, actor=actor, now=now, delivery=delivery)

    def feeds(self) -> list[FeedState]:
        """Return how every feed stands, by name."""
        return self._feeds.states()

    def urgent_entries(self) -> Iterator[Entry]:
        """Yield all that the urgent feeds list: those called "urgent", or "urgent-" and more.

        Raises HotlistRefusedError if one is damaged.
        """
        states = [each for each in self._feeds.states() if is_urgent(each.feed)]
        yield from self._feeds.entries(states)

    def entries_of(self, state: FeedState) -> Iterator[Entry]:
        """Yield all that one feed lists. Raises HotlistRefusedError if it is missing or damaged."""
        return self._feeds.entries([state])

    def feed_files(self) -> list[tuple[str, Path]]:
        """Return each feed's name and the file of what it lists; a file that is there is never changed."""
        return list(self._feeds.files(self._feeds.states()).items())

    def pending(self) -> list[Pending]:
        """Return all that waits for approval, the oldest first."""
        with reading(self._engine) as connection:
            return all_pending(connection)

    def approve(
        self, pending_id: int, keys: DepartmentKeys, *, actor: str, now: datetime
    ) -> Published | None:
        """Apply what waits under *pending_id*; return the snapshot if it is a publication.

        Raises HotlistRefusedError if nothing waits there, if *actor* asked for it, or if it cannot be applied
        any more.
        """
        with reading(self._engine) as connection:
            pending = pending_of(connection, pending_id)
        try:
            pending.require_another(actor)
        except HotlistRefusedError:
            with writing(self._engine) as connection:
                detail = {"pending_id": pending_id, "asked_by": pending.asked_by}
                append(
                    connection,
                    Deed(actor, "hotlist.approve", outcome="refused", source=place_of(actor), detail=detail),
                    now,
                )
            raise
        if pending.feed is not None:
            self._feeds.approve(pending, actor=actor, now=now)
            return None
        expires_at = datetime.fromisoformat(pending.detail["expires_at"])
        if expires_at <= now:
            raise HotlistRefusedError(f"{pending.what} would have expired: reject it and publish again")
        wanted: int | None = pending.detail["sequence"]
        return self._publish(
            keys, expires_at=expires_at, actor=actor, now=now, wanted=wanted, approval=pending
        )

    def reject(self, pending_id: int, *, actor: str, now: datetime) -> Pending:
        """Throw away what waits under *pending_id*. Who asked for it may do that, too.

        Raises HotlistRefusedError if nothing waits there.
        """
        with writing(self._engine) as connection:
            pending = pending_of(connection, pending_id)
            drop_pending(connection, pending, "hotlist.reject", actor=actor, now=now)
        self._feeds.forget(pending)
        return pending

    def publish(
        self,
        keys: DepartmentKeys,
        *,
        expires_at: datetime,
        actor: str,
        now: datetime,
        sequence: int | None = None,
        whole: bool = False,
    ) -> Published:
        """Sign all feeds as the next snapshot and return it. Units fetch it from then on.

        *sequence* may leave numbers out: after a restored backup, units hold a higher one than is known here.
        *whole*: make a long list whole though a change would do, for the time that takes.

        Raises HotlistRefusedError, and publishes nothing, if there is nothing to publish, the sequence was
        used, or more was lost than approved imports account for: the publication then waits for approval
        itself.
        """
        return self._publish(keys, expires_at=expires_at, actor=actor, now=now, wanted=sequence, whole=whole)

    def newest(self) -> Published | None:
        """Return the snapshot in force, or None if none was published yet."""
        with reading(self._engine) as connection:
            return _newest(connection)

    def path_of(self, sequence: int) -> Path | None:
        """Return the file of a list that was published whole, or None if it is not published or is gone."""
        return self._of_published(sequence, self._making.whole_file(sequence))

    def change_of(self, sequence: int) -> Path | None:
        """Return the file of the change that leads to a published list, or None if there is none."""
        return self._of_published(sequence, self._making.change_file(sequence))

    def _of_published(self, sequence: int, path: Path) -> Path | None:
        with reading(self._engine) as connection:
            known = connection.execute(
                select(hotlist_snapshots.c.sequence).where(hotlist_snapshots.c.sequence == sequence)
            ).first()
        return path if known is not None and path.is_file() else None

    def _publish(
        self,
        keys: DepartmentKeys,
        *,
        expires_at: datetime,
        actor: str,
        now: datetime,
        wanted: int | None,
        whole: bool = False,
        approval: Pending | None = None,
    ) -> Published:
        with reading(self._engine) as connection:
            standing = _standing(connection)
        if not standing.feeds:
            raise HotlistRefusedError("no feed was imported: run `alpr-server hotlist import` first")
        newest = standing.newest
        least = 1 if newest is None else newest.sequence + 1
        sequence = least if wanted is None else wanted
        if sequence < least:
            raise HotlistRefusedError(f"sequence {sequence} was used: the next free one is {least}")
        made = self._making.make(
            Issue(sequence, now, expires_at),
            standing.feeds,
            newest_sequence=0 if newest is None else newest.sequence,
            # Measured against every list there ever was: a unit may come back from the garage with one that
            # is long since replaced, and must take this one, though it missed the approved step.
            enough=standing.most * max(self._least_share, LEAST_SHARE),
            key=keys.hotlist,
            whole=whole,
        )
        published = _published(made)
        before = 0 if newest is None else newest.entries
        # Where the list before is gone from the disk, its length is all there is to compare with.
        gone = max(0, before - published.entries) if made.gone is None else made.gone
        if approval is not None and published.entries != approval.after:
            raise HotlistRefusedError(
                f"{approval.what} would now hold {published.entries} entries, not {approval.after}: "
                "reject it and publish again"
            )
        if approval is None and newest is not None:
            accounted = newest.entries - gone + standing.approved_loss
            if accounted < newest.entries * self._least_share:
                asked = {"expires_at": expires_at.isoformat(), "sequence": wanted, "gone": gone}
                self._hold(asked, newest.entries, published.entries, actor=actor, now=now)
        self._making.store(made, standing.feeds)
        with writing(self._engine) as connection:
            if _standing(connection) != standing:
                raise HotlistRefusedError("a feed or the list was changed meanwhile: publish again")
            if approval is not None:
                pending_of(connection, approval.pending_id)  # nobody decided it meanwhile
                drop_pending(connection, approval, "hotlist.approve", actor=actor, now=now)
            for pending in pending_for(connection, None):
                drop_pending(connection, pending, "hotlist.supersede", actor=actor, now=now)
            row = {each.name: getattr(published, each.name) for each in fields(published)}
            connection.execute(insert(hotlist_snapshots).values(row))
            connection.execute(update(hotlist_feeds).values(approved_loss=0))
            detail = {
                "sequence": sequence,
                "entries": published.entries,
                "before": None if newest is None else newest.entries,
                "gone": gone,
                "come": published.entries - before + gone,
                "approved_loss": standing.approved_loss,
                "sha256": published.sha256,
            }
            append(connection, Deed(actor, "hotlist.publish", source=place_of(actor), detail=detail), now)
        self._making.forget_before(sequence)
        return published

    def _hold(
        self, asked: dict[str, str | int | None], before: int, after: int, *, actor: str, now: datetime
    ) -> NoReturn:
        """Raises HotlistRefusedError, always: the publication waits for approval from now on."""
        with writing(self._engine) as connection:
            for older in pending_for(connection, None):
                drop_pending(connection, older, "hotlist.supersede", actor=actor, now=now)
            pending = put_pending(connection, None, asked, before=before, after=after, actor=actor, now=now)
        raise HotlistRefusedError(pending.told)


def _published(made: Made) -> Published:
    header, data = made.header, made.travels
    digest = hashlib.sha256(data).hexdigest()
    return Published(header.sequence, digest, len(data), header.count, header.issued_at, header.expires_at)


def _standing(connection: Connection) -> _Standing:
    most = connection.execute(select(func.max(hotlist_snapshots.c.entries))).scalar()
    return _Standing(_newest(connection), most or 0, tuple(states_in(connection)))


def _newest(connection: Connection) -> Published | None:
    row = connection.execute(
        select(hotlist_snapshots).order_by(hotlist_snapshots.c.sequence.desc()).limit(1)
    ).first()
    return None if row is None else Published(*row)
