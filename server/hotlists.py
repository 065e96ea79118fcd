"""Hotlists: feeds come in as entries, a signed snapshot goes out.

hotlists/feeds/<feed>.jsonl     what one source listed, whole; importing it again replaces it
hotlists/<sequence>.snapshot    what was published, never changed again
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.snapshot import encode_snapshot, verify_header
from recognizer.plate import Jurisdiction
from server.audit import Deed, append
from server.database import reading, writing
from server.errors import HotlistRefusedError
from server.files import replacing
from server.keys import DepartmentKeys
from server.tables import hotlist_feeds, hotlist_snapshots

LEAST_SHARE = 0.5
"""A list that keeps less of the one before than this is taken for truncated unless a person approves it."""
_FEED = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot that units may fetch."""

    sequence: int
    sha256: str
    """Of the whole file, hexadecimal."""
    bytes: int
    entries: int
    issued_at: datetime
    expires_at: datetime


class Hotlists:
    """The department's lists on disk. One writer at a time: the command line."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder

    def replace_feed(
        self, feed: str, entries: Iterable[Entry], *, actor: str, now: datetime, approve_shrink: bool = False
    ) -> int:
        """Let *entries* be all that *feed* lists from now on, and return how many they are.

        Nothing is published by this. *entries* is read once and may be long.

        Raises HotlistRefusedError, and leaves the feed as it was, if its name cannot be one or if it lost
        more than half of its entries and nobody approved that.
        """
        if not _FEED.fullmatch(feed):
            raise HotlistRefusedError(f"feed {feed!r}: use 1 to 64 of a-z, 0-9 and hyphens")
        with reading(self._engine) as connection:
            before = connection.execute(
                select(hotlist_feeds.c.entries).where(hotlist_feeds.c.feed == feed)
            ).scalar()
        count = 0
        with replacing(self._feeds / f"{feed}.jsonl") as file:
            for entry in entries:
                file.write(_line(entry))
                count += 1
            _require_no_loss(f"feed {feed}", before, count, approve_shrink)
        with writing(self._engine) as connection:
            row = {"entries": count, "imported_at": now}
            if before is None:
                connection.execute(insert(hotlist_feeds).values(feed=feed, **row))
            else:
                connection.execute(update(hotlist_feeds).where(hotlist_feeds.c.feed == feed).values(row))
            detail = {"feed": feed, "entries": count, "before": before, "shrink_approved": approve_shrink}
            append(connection, Deed(actor, "hotlist.import", detail=detail), now)
        return count

    def publish(
        self,
        keys: DepartmentKeys,
        *,
        expires_at: datetime,
        actor: str,
        now: datetime,
        approve_shrink: bool = False,
        sequence: int | None = None,
    ) -> Published:
        """Sign all feeds as the next snapshot and return it. Units fetch it from then on.

        *sequence* may leave numbers out: after a restored backup, units hold a higher one than is known here.

        Raises HotlistRefusedError, and publishes nothing, if there is nothing to publish, the sequence was
        used, or more than half of the entries went and nobody approved that.
        """
        if not (feeds := sorted(self._feeds.glob("*.jsonl"))):
            raise HotlistRefusedError("no feed was imported: run `alpr-server hotlist import` first")
        newest = self.newest()
        least = 1 if newest is None else newest.sequence + 1
        sequence = least if sequence is None else sequence
        if sequence < least:
            raise HotlistRefusedError(f"sequence {sequence} was used: the next free one is {least}")
        data = encode_snapshot(
            (entry for feed in feeds for entry in _entries(feed)),
            sequence=sequence,
            issued_at=now,
            expires_at=expires_at,
            key=keys.hotlist,
            shrink_approved=approve_shrink,
        )
        header, _ = verify_header(data, [keys.hotlist.public_key()])
        _require_no_loss("the list", None if newest is None else newest.entries, header.count, approve_shrink)
        published = Published(
            sequence,
            hashlib.sha256(data).hexdigest(),
            len(data),
            header.count,
            header.issued_at,
            header.expires_at,
        )
        with replacing(self._file(sequence)) as file:
            file.write(data)
        with writing(self._engine) as connection:
            if _newest_sequence(connection) != (None if newest is None else newest.sequence):
                raise HotlistRefusedError("another snapshot was published meanwhile: publish again")
            row = {field.name: getattr(published, field.name) for field in fields(published)}
            connection.execute(insert(hotlist_snapshots).values(row))
            detail = {"sequence": sequence, "entries": header.count, "sha256": published.sha256}
            append(connection, Deed(actor, "hotlist.publish", detail=detail), now)
        return published

    def newest(self) -> Published | None:
        """Return the snapshot in force, or None if none was published yet."""
        with reading(self._engine) as connection:
            row = connection.execute(
                select(hotlist_snapshots).order_by(hotlist_snapshots.c.sequence.desc()).limit(1)
            ).first()
        return None if row is None else Published(*row)

    def path_of(self, sequence: int) -> Path | None:
        """Return the file of a published snapshot, or None if it is not published or is gone."""
        with reading(self._engine) as connection:
            known = connection.execute(
                select(hotlist_snapshots.c.sequence).where(hotlist_snapshots.c.sequence == sequence)
            ).first()
        path = self._file(sequence)
        return path if known is not None and path.is_file() else None

    @property
    def _feeds(self) -> Path:
        return self._folder / "feeds"

    def _file(self, sequence: int) -> Path:
        return self._folder / f"{sequence}.snapshot"


def _require_no_loss(what: str, before: int | None, count: int, approved: bool) -> None:
    if before is not None and count < before * LEAST_SHARE and not approved:
        raise HotlistRefusedError(
            f"{what} would shrink from {before} to {count} entries: check the source, or approve with "
            "--approve-shrink; nothing was changed"
        )


def _newest_sequence(connection: Connection) -> int | None:
    return connection.execute(select(func.max(hotlist_snapshots.c.sequence))).scalar()


def _line(entry: Entry) -> bytes:
    values: list[Any] = [getattr(entry, field.name) for field in fields(entry)]
    # Times are the only values of an entry that JSON cannot hold.
    return json.dumps(values, default=datetime.isoformat).encode() + b"\n"


def _entries(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                entry_id, pattern, jurisdiction, list_name, reason, priority, *rest = json.loads(line)
                vehicle, case_number, source, effective, expires = rest
                yield Entry(
                    entry_id,
                    pattern,
                    jurisdiction and Jurisdiction(jurisdiction),
                    list_name,
                    reason,
                    Priority(priority),
                    vehicle,
                    case_number,
                    source,
                    effective and datetime.fromisoformat(effective),
                    expires and datetime.fromisoformat(expires),
                )
            except ValueError:
                # No cause: it might quote the line, which holds a plate.
                raise HotlistRefusedError(
                    f"{path.name}: line {number} is damaged; import the feed again"
                ) from None
