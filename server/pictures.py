"""Pictures leave the database for a store of their own some hours after they came, and come back when shown.

A batch is always stored whole in the database: a receipt never waits for a bucket, and never depends on one.
Afterwards `move_out` carries pictures out, step by step. At no moment is a picture in neither place, and no
picture stays outside of which no read knows:

    note the names → put the pictures outside → in one transaction: let the rows point there, strike the notes

Whatever cuts this off leaves notes, and what a note names is destroyed outside unless a row points to it. A
purge writes notes in the transaction that removes the reads, so pictures outside go by the same way.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, Table, and_, delete, insert, or_, select, update

from server.database import reading, writing
from server.errors import SettingsInvalidError
from server.integrity import part_of
from server.picture_s3 import S3Store
from server.picture_store import (
    FolderStore,
    PictureKey,
    PictureLostError,
    PictureStore,
    PictureStoreError,
    picture_key,
)
from server.records import StoredRead
from server.settings import PictureSettings
from server.tables import contexts, evidence, picture_notes

STEP_PICTURES = 200
_AT_ONCE = 16
"""Pictures on their way at a time: a bucket answers slowly, and takes many at once."""
_OLD_NOTE = timedelta(hours=1)
"""A mover that has not struck its notes after so long was cut off."""


Fetch = Callable[[str, str], bytes]
"""`Pictures.fetch`."""


@dataclass(frozen=True, slots=True)
class NoStore:
    """Where nothing is set: no picture moves, and one that moved before is missed with a clear word."""

    def put(self, name: str, content: bytes) -> None:
        """See `PictureStore`."""
        raise self._error()

    def get(self, name: str) -> bytes:
        """See `PictureStore`."""
        raise self._error()

    def remove(self, names: Sequence[str]) -> None:
        """See `PictureStore`."""
        if names:
            raise self._error()

    def names(self) -> Iterator[str]:
        """See `PictureStore`."""
        return iter(())

    def _error(self) -> PictureStoreError:
        return PictureStoreError("pictures lie outside, but [pictures] url is empty: set it as it was")


@dataclass(frozen=True, slots=True)
class Found:
    """What `check` found."""

    held: int
    """Pictures that reads point to."""
    missing: tuple[str, ...]
    """Of those, the names the store does not hold."""
    stray: tuple[str, ...]
    """Names the store holds that no read and no note points to."""


class Pictures:
    """The pictures of one department outside its database. May be used by several threads."""

    def __init__(self, engine: Engine, store: PictureStore, key: PictureKey, after: timedelta) -> None:
        """Pictures of reads that settled longer than *after* ago move to *store*."""
        self._engine, self._store, self._key, self._after = engine, store, key, after

    def move_out(self, now: datetime, most: int = STEP_PICTURES) -> int:
        """Carry at most *most* pictures out; return how many. 0: none is left to be moved now.

        Raises PictureStoreError, StoreUnavailableError: then they stay where they are.
        """
        if isinstance(self._store, NoStore):
            return 0
        # One kind after the other, so that of each only its own rows are in memory.
        return self._move(evidence, now, most) or self._move(contexts, now, most)

    def _move(self, table: Table, now: datetime, most: int) -> int:
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(table.c.read_id, table.c.jpeg, table.c.settled_at)
                .where(table.c.object.is_(None), table.c.settled_at < now - self._after)
                .order_by(table.c.settled_at)
                .limit(most)
            ).all()
        if not rows:
            return 0
        names = {row.read_id: self._key.name_of(row.read_id, row.jpeg) for row in rows}
        with writing(self._engine) as connection:
            doomed = _doomed(connection, list(names.values()))
            # What a sweep is about to destroy is put there again once it is gone.
            rows = [row for row in rows if names[row.read_id] not in doomed]
            note(connection, [names[row.read_id] for row in rows], now)

        def carry(read_id: str, jpeg: bytes) -> None:
            name = names[read_id]
            self._store.put(name, self._key.seal(name, jpeg))

        with ThreadPoolExecutor(_AT_ONCE) as carriers:
            list(carriers.map(carry, (row.read_id for row in rows), (row.jpeg for row in rows)))
        moved, purged = list[str](), list[str]()
        with writing(self._engine) as connection:
            for row in rows:
                # On PostgreSQL the time leads to the month's table.
                its_own = and_(
                    table.c.read_id == row.read_id,
                    table.c.settled_at == row.settled_at,
                    table.c.object.is_(None),
                )
                name = names[row.read_id]
                # Purged in between, it has no row: its note stays, and the picture goes with the next sweep.
                found = connection.execute(
                    update(table).where(its_own).values(jpeg=b"", object=name)
                ).rowcount
                (moved if found else purged).append(name)
            _strike(connection, moved)
            connection.execute(
                update(picture_notes).where(picture_notes.c.name.in_(purged)).values(purged=True)
            )
        return len(moved)

    def sweep(self, now: datetime, most: int = 1000) -> int:
        """Destroy outside what notes name and no read points to; return how many names were dealt with.

        Raises PictureStoreError, StoreUnavailableError: then the notes stay.
        """
        with writing(self._engine) as connection:
            # What a mover noted a moment ago may be on its way: it strikes its notes itself.
            ripe = or_(picture_notes.c.purged, picture_notes.c.noted_at < now - _OLD_NOTE)
            names = set(connection.execute(select(picture_notes.c.name).where(ripe).limit(most)).scalars())
            pointed = _pointed(connection, names)
            _strike(connection, pointed)
            # Doomed from here on: no mover takes such a name before it is gone.
            connection.execute(
                update(picture_notes).where(picture_notes.c.name.in_(names - pointed)).values(purged=True)
            )
        if gone := sorted(names - pointed):
            # Outside of any transaction: a bucket may take its time.
            self._store.remove(gone)
            with writing(self._engine) as connection:
                _strike(connection, gone)
        return len(names)

    def fetch(self, read_id: str, name: str) -> bytes:
        """Return the picture that moved out as *name*, a JPEG.

        Raises PictureLostError, PictureStoreError.
        """
        jpeg = self._key.open(name, self._store.get(name))
        if self._key.name_of(read_id, jpeg) != name:
            raise PictureLostError(f"picture {name} in the store is another one")
        return jpeg

    def filled(self, reads: Sequence[StoredRead]) -> list[StoredRead]:
        """Return *reads* with their pictures in `evidence`, fetched at once.

        Where one cannot be had, `picture_problem` says so, for the page.
        """

        def fill(read: StoredRead) -> StoredRead:
            if read.picture_name is None:
                return read
            try:
                jpeg = self.fetch(read.read_id, read.picture_name)
                if read.picture_part and part_of(jpeg) != read.picture_part:
                    # It was damaged before it left the database.
                    raise PictureLostError(f"picture {read.picture_name} is not the one that came in")
                return replace(read, evidence=jpeg)
            except PictureLostError:
                return replace(
                    read, picture_problem="The picture is lost: the store does not hold it as it was."
                )
            except PictureStoreError:
                return replace(read, picture_problem="The store of pictures does not answer now.")

        if all(read.picture_name is None for read in reads):
            return list(reads)
        with ThreadPoolExecutor(_AT_ONCE) as fetchers:
            return list(fetchers.map(fill, reads))

    def check(self) -> Found:
        """Compare what reads point to with what the store holds. Raises PictureStoreError.

        It holds all names in memory: 100 bytes a picture.
        """
        held = set(self._store.names())
        with reading(self._engine) as connection:
            # After the store was listed: what was moved meanwhile is then at most stray, not missing.
            pointed = {
                name
                for table in (evidence, contexts)
                for name in connection.execute(
                    select(table.c.object).where(table.c.object.is_not(None))
                ).scalars()
            }
            noted = set(connection.execute(select(picture_notes.c.name)).scalars())
        missing = sorted(name for name in pointed - held if not self._holds(name))
        return Found(len(pointed), tuple(missing), tuple(sorted(held - pointed - noted)))

    def _holds(self, name: str) -> bool:
        # Listed before it was put, perhaps: asked for by name.
        try:
            self._store.get(name)
        except PictureLostError:
            return False
        return True


def note(connection: Connection, names: Sequence[str], now: datetime, *, purged: bool = False) -> None:
    """Note in the caller's transaction that what is held outside as *names* may have no read.

    *purged*: it certainly has none, and is destroyed with the next `sweep`.
    """
    if not names:
        return
    connection.execute(delete(picture_notes).where(picture_notes.c.name.in_(names)))
    connection.execute(
        insert(picture_notes), [{"name": name, "noted_at": now, "purged": purged} for name in names]
    )


def outstanding(connection: Connection) -> bool:
    """Whether pictures of purged reads still lie outside."""
    return (
        connection.execute(select(picture_notes.c.name).where(picture_notes.c.purged).limit(1)).first()
        is not None
    )


@cache
def open_pictures(engine: Engine, settings: PictureSettings, keys: Path) -> Pictures:
    """Return the pictures outside the database as *settings* say.

    Raises SettingsInvalidError naming what does not fit, PictureStoreError if the bucket does not answer.
    """
    if not settings.url:
        return Pictures(engine, NoStore(), PictureKey(b""), timedelta(0))
    url = urlsplit(settings.url)
    store: PictureStore
    if url.scheme == "file" and url.path.startswith("/") and not url.netloc:
        store = FolderStore(Path(url.path))
    elif url.scheme == "s3" and url.netloc:
        prefix = url.path.strip("/")
        store = S3Store(url.netloc, f"{prefix}/" if prefix else "", settings.endpoint)
    else:
        raise SettingsInvalidError('[pictures] url: write it as "file:///folder" or "s3://bucket/prefix"')
    return Pictures(engine, store, picture_key(keys), timedelta(hours=settings.after_hours))


def _pointed(connection: Connection, names: Collection[str]) -> set[str]:
    return {
        name
        for table in (evidence, contexts)
        for name in connection.execute(select(table.c.object).where(table.c.object.in_(names))).scalars()
    }


def _doomed(connection: Connection, names: Collection[str]) -> set[str]:
    its = and_(picture_notes.c.name.in_(names), picture_notes.c.purged)
    return set(connection.execute(select(picture_notes.c.name).where(its)).scalars())


def _strike(connection: Connection, names: Collection[str]) -> None:
    connection.execute(delete(picture_notes).where(picture_notes.c.name.in_(names)))
