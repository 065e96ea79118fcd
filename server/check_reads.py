"""Reads, some at a time: is each what came in, with its hits, its pictures, its batch and its unit?"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Integer, Row, Table, and_, literal_column, or_, select, update

from server.check_structure import lost_by_indexes
from server.check_values import Finding, UnreadableError, asked
from server.database import is_postgresql, writing
from server.integrity import digest_of, jpeg_fits, part_of, picture_part, row_fits, scene_part
from server.picture_store import PictureLostError, PictureStoreError
from server.pictures import Fetch
from server.tables import batches, contexts, evidence, hits, reads, units

STEP_READS = 200
"""With their pictures some megabytes."""
_ROW = literal_column("reads.rowid", Integer)
_Key = Any
"""What leads to a read without reading it: in SQLite its row's number, else when it settled and its id."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What one step found."""

    after: str | None
    """Where the next step begins; None: no read is left."""
    reads: int
    unchecked: int
    """Those of before reads had digests."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    """All that the database holds of one read."""

    row: Row[Any]
    hits: Sequence[Row[Any]]
    picture: Row[Any] | None
    scene: Row[Any] | None
    batch: Any
    """A row with its digest alone; None if there is none."""
    unit_known: bool


def look(engine: Engine, after: str | None, *, adopt: Fetch | None = None, most: int = STEP_READS) -> Looked:
    """Look at the *most* reads that follow *after*.

    With *adopt*, which fetches pictures from outside, reads of before get a digest of what they are now.
    Raises StoreUnavailableError.
    """
    try:
        keys = asked(engine, lambda connection: _keys(connection, after, most))
    except UnreadableError as error:
        return Looked(None, 0, 0, (Finding("reads cannot be gone through", str(error)),))
    if not keys:
        return Looked(None, 0, 0, ())
    following = _text(keys[-1])
    if after is not None and isinstance(keys[-1], int) and max(keys) <= int(after):
        return Looked(None, 0, 0, (Finding("reads are not in their order", f"row {after}"),))
    findings: list[Finding] = []
    unchecked, whole = 0, list[_Held]()
    for held in _all_held(engine, keys, findings):
        problem = _problem(held)
        if problem:
            findings.append(Finding(problem, str(held.row.read_id)))
        elif held.row.row_digest is None:
            unchecked += 1
            whole.append(held)
    if adopt is not None and whole:
        unchecked -= _adopt(engine, whole, adopt)
    if engine.dialect.name == "sqlite":
        findings += _unfound(engine, min(keys), max(keys))
    return Looked(following, len(keys), unchecked, tuple(findings))


def _keys(connection: Connection, after: str | None, most: int) -> list[_Key]:
    if not is_postgresql(connection):
        numbers = select(_ROW).select_from(reads).order_by(_ROW).limit(most)
        if after is not None:
            numbers = numbers.where(int(after) < _ROW)
        return list(connection.execute(numbers).scalars())
    following = select(reads.c.settled_at, reads.c.read_id)
    if after is not None:
        text, read_id = json.loads(after)
        at = datetime.fromisoformat(text)
        later = or_(reads.c.settled_at > at, and_(reads.c.settled_at == at, reads.c.read_id > read_id))
        # The first condition leads into the months that are left.
        following = following.where(reads.c.settled_at >= at, later)
    ordered = following.order_by(reads.c.settled_at, reads.c.read_id).limit(most)
    return [tuple(row) for row in connection.execute(ordered)]


def _text(key: _Key) -> str:
    return str(key) if isinstance(key, int) else json.dumps([key[0].isoformat(), key[1]])


def _all_held(engine: Engine, keys: Sequence[_Key], findings: list[Finding]) -> list[_Held]:
    try:
        return asked(engine, lambda connection: _held(connection, keys))
    except UnreadableError:
        pass
    # One of them cannot be read: each by itself.
    found = []
    for key in keys:
        try:
            found += asked(engine, lambda connection, key=key: _held(connection, [key]))  # type: ignore[misc] # its own of each
        except UnreadableError as error:
            which = f"row {key}" if isinstance(key, int) else key[1]
            findings.append(Finding(f"read cannot be read ({error})", which))
    return found


def _held(connection: Connection, keys: Sequence[_Key]) -> list[_Held]:
    if is_postgresql(connection):
        wanted = and_(
            reads.c.read_id.in_([key[1] for key in keys]),
            reads.c.settled_at.between(keys[0][0], keys[-1][0]),
        )
    else:
        wanted = _ROW.in_(keys)
    rows = connection.execute(select(reads).where(wanted)).all()
    ids = [row.read_id for row in rows]
    its_hits = defaultdict(list)
    for hit in connection.execute(select(hits).where(hits.c.read_id.in_(ids))):
        its_hits[hit.read_id].append(hit)
    times = None
    if is_postgresql(connection) and rows:
        times = min(row.settled_at for row in rows), max(row.settled_at for row in rows)
    pictures = _pictures(connection, evidence, ids, times)
    scenes = _pictures(connection, contexts, ids, times)
    wanted_batches = batches.c.batch_id.in_({row.batch_id for row in rows})
    known = {
        row.batch_id: row
        for row in connection.execute(select(batches.c.batch_id, batches.c.row_digest).where(wanted_batches))
    }
    enrolled = set(
        connection.execute(
            select(units.c.unit_id).where(units.c.unit_id.in_({row.unit_id for row in rows}))
        ).scalars()
    )
    return [
        _Held(
            row,
            its_hits.get(row.read_id, ()),
            pictures.get(row.read_id),
            scenes.get(row.read_id),
            known.get(row.batch_id),
            row.unit_id in enrolled,
        )
        for row in rows
    ]


def _pictures(
    connection: Connection, table: Table, ids: Collection[str], times: tuple[datetime, datetime] | None
) -> dict[str, Row[Any]]:
    wanted = select(table).where(table.c.read_id.in_(ids))
    if times is not None:
        wanted = wanted.where(table.c.settled_at.between(*times))
    return {row.read_id: row for row in connection.execute(wanted)}


def _problem(held: _Held) -> str:
    """Return what is wrong with a read; nothing of one without a digest, if its batch has none either."""
    row, kept = held.row, held.row.row_digest
    if held.batch is None:
        return "read whose batch is gone"
    if not held.unit_known:
        return "read whose unit is gone"
    if kept is None:
        return "read without its digest" if held.batch.row_digest is not None else ""
    if not row_fits(row, held.hits):
        return "read is not as it came in"
    for word, picture, part in (
        ("picture", held.picture, picture_part(kept)),
        ("scene", held.scene, scene_part(kept)),
    ):
        jpeg, name = (None, None) if picture is None else (picture.jpeg, picture.object)
        if not jpeg_fits(part, jpeg, name) or (picture is not None and picture.settled_at != row.settled_at):
            return f"{word} of a read is not as it came in"
    return ""


def _unfound(engine: Engine, first: int, last: int) -> list[Finding]:
    def lost(connection: Connection) -> list[Finding]:
        found = lost_by_indexes(connection, reads, first, last)
        return [Finding(f"index {name} does not lead to a read", f"row {number}") for name, number in found]

    try:
        return asked(engine, lost)
    except UnreadableError as error:
        return [Finding("indexes of reads cannot be asked", str(error))]


def _adopt(engine: Engine, whole: Sequence[_Held], fetch: Fetch) -> int:
    """Give reads a digest of what they are now; return how many got one."""
    made = []
    for held in whole:
        try:
            parts = [_part(held, each, fetch) for each in (held.picture, held.scene)]
            made.append((held.row, digest_of(held.row, held.hits, *parts)))
        except (PictureLostError, PictureStoreError):
            continue  # not at hand: another time
        except (TypeError, ValueError, AttributeError, OverflowError):
            continue  # damaged before it had a digest: it stays without
    with writing(engine) as connection:
        for row, digest in made:
            its_own = and_(
                reads.c.read_id == row.read_id,
                reads.c.settled_at == row.settled_at,
                reads.c.row_digest.is_(None),
            )
            connection.execute(update(reads).where(its_own).values(row_digest=digest))
    return len(made)


def _part(held: _Held, picture: Row[Any] | None, fetch: Callable[[str, str], bytes]) -> bytes:
    if picture is None:
        return b""
    jpeg = picture.jpeg if picture.object is None else fetch(held.row.read_id, picture.object)
    return part_of(jpeg)
