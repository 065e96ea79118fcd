"""Reads in the department's database, found again by time, unit, place or plate."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Executable,
    Integer,
    Row,
    Select,
    Subquery,
    and_,
    literal_column,
    null,
    or_,
    select,
    union,
    union_all,
)

from recognizer.plate import fold, normalise
from server.alike import likeness, texts_alike
from server.database import is_postgresql
from server.errors import StoreDamagedError
from server.ground import METRES_PER_DEGREE
from server.integrity import DAMAGED, jpeg_fits, picture_part, row_fits
from server.partitions import spans
from server.tables import batches, evidence, hits, reads

RARE_CHARACTERS = 3
"""So many known characters are in few plates. With fewer, the newest reads soon fill a page."""
MOST_ALIKE = 500
"""Reads among which the likeliest of a search for look-alikes are chosen: the newest."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredHit:
    """A hit as a page shows it."""

    list_name: str
    kind: str
    state: str
    pattern: str = field(repr=False)
    differing: tuple[int, ...]
    snapshot_sequence: int
    list_issued_at: datetime
    form: str
    """"plate", "prefix first" or "prefix last": what of the read met the entry."""
    outcome: str
    """"hit", "possible hit" or "none" (recorded, not told): what it was to the officer."""
    text_probability: float | None
    """That the plate bore the listed text; None from a unit that did not say."""
    state_probability: float | None
    """That it was of the listed state, if it bore the listed text."""


@dataclass(frozen=True, slots=True)
class StoredRead:
    """A read as a page shows it."""

    read_id: str
    unit_id: str
    camera: str
    plate: str = field(repr=False)
    confidences: tuple[float, ...] = field(repr=False)
    """One per character of `plate`."""
    confidence: float
    jurisdiction: str | None
    jurisdiction_confidence: float | None
    first_seen_at: datetime
    settled_at: datetime
    time_quality: str
    latitude_deg: float | None = field(repr=False)
    longitude_deg: float | None = field(repr=False)
    accuracy_m: float | None
    speed_mps: float | None
    frames: int
    batch_id: str
    evidence: bytes = field(repr=False)
    """JPEG; empty where the unit had no room for it, and where it lies outside the database."""
    hits: tuple[StoredHit, ...]
    prefix: str = field(repr=False)
    """Letters stacked beside the plate's characters; "" where there are none, or none legible."""
    prefix_confidence: float
    revises: str | None
    """Id of the read that this one corrects, which may not be held."""
    revised_by: str | None
    """Id of the read that corrects this one."""
    incident: str = ""
    """Number of the incident around which the unit canvassed."""
    likeness: float | None = None
    """Where look-alikes were searched: how likely it is of the plate that was asked for."""
    picture_name: str | None = None
    """Of a picture outside the database: `pictures` fetches it."""
    picture_problem: str = ""
    """Why it could not be fetched, or is not shown."""
    picture_part: bytes = field(default=b"", repr=False)
    """By which a fetched picture is known to be the one that came in (`integrity`); empty: not known."""
    intact: bool | None = None
    """Whether the database holds it as it came in. False: it was damaged, and what it says is left out. None:
    it is of before reads had digests, and is not checked."""

    @property
    def damaged(self) -> bool:
        """Whether it must not be acted on."""
        return self.intact is False

    @property
    def state_likely(self) -> bool:
        """Whether the state is likelier than all others together; less is listed as unknown."""
        return self.jurisdiction_confidence is not None and self.jurisdiction_confidence >= 0.5


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """Which reads are asked for; empty fields do not narrow."""

    plate: str = field(default="", repr=False)
    """As typed: "?" stands for one character, "*" for any run."""
    anywhere: bool = False
    """The plate may stand anywhere in the text."""
    unit_id: str = ""
    hits_only: bool = False
    camera: str = ""
    since: datetime | None = None
    """Settled at this moment or later, aware UTC."""
    until: datetime | None = None
    place: "Place | None" = field(default=None, repr=False)
    """Reads without a place are in none."""
    incident: str = ""
    alike: bool = False
    """The whole plate, or what a reader could have taken it for: `alike` says which texts those are."""


@dataclass(frozen=True, slots=True)
class Place:
    """A circle on the ground, WGS 84; the square around it is searched."""

    latitude_deg: float
    longitude_deg: float
    radius_m: float

    @property
    def sides(self) -> tuple[float, float, float, float]:
        """South, north, west and east of the square, degrees."""
        height = self.radius_m / METRES_PER_DEGREE
        width = height / max(math.cos(math.radians(self.latitude_deg)), 0.01)
        return (
            self.latitude_deg - height,
            self.latitude_deg + height,
            self.longitude_deg - width,
            self.longitude_deg + width,
        )


def find_reads(
    connection: Connection, query: ReadQuery, limit: int, offset: int, *, pictures: bool = True
) -> list[StoredRead]:
    """Return reads that *query* asks for, newest first; without *pictures* their evidence is left empty.

    One that was damaged in the database says so and nothing else. Raises StoreDamagedError if one of them
    cannot even be read.

    O and 0, and I and 1, are taken as the same character, as several states print and file them alike.
    Look-alikes come likeliest first, of the `MOST_ALIKE` newest. Raises ValueError, with what to tell the
    person, if look-alikes are asked for of what is no whole plate.
    """
    if query.alike:
        return _likeliest(connection, query, limit, offset, pictures=pictures)
    pattern = plate_pattern(query)
    if not is_postgresql(connection) or not ("_" in pattern or "%" in pattern):
        shown = _page(connection, query, limit, offset, pictures=pictures)
        return _with_hits(connection, shown, pictures=pictures)
    # A part of a plate may be in thousands of reads. From the newest month backwards, until the page is full:
    # the others are then not looked up.
    wanted, found = offset + limit, list[Row[Any]]()
    for since, until in spans(connection, query.since, query.until):
        month = replace(query, since=since, until=until)
        found += _page(connection, month, wanted - len(found), 0, pictures=pictures)
        if len(found) >= wanted:
            break
    return _with_hits(connection, found[offset:], pictures=pictures)


def get_read(connection: Connection, read_id: str) -> StoredRead | None:
    """Return one read, or None if it is not held; a damaged one as `find_reads` does."""
    one = select(reads).where(reads.c.read_id == read_id).subquery()
    found = _rows(connection, _with_evidence(connection, one))
    return next(iter(_with_hits(connection, found)), None)


def get_reads(connection: Connection, times: Mapping[str, datetime]) -> dict[str, StoredRead]:
    """Return by their ids those of the reads that are held; *times* says of each id when it settled.

    Damaged ones are as `find_reads` returns them.
    """
    if not times:
        return {}
    # With the times, PostgreSQL looks into the reads' own months alone.
    wanted = reads.c.read_id.in_(list(times)), reads.c.settled_at.in_(sorted(set(times.values())))
    found = _rows(connection, _with_evidence(connection, select(reads).where(*wanted).subquery()))
    return {read.read_id: read for read in _with_hits(connection, found)}


def plate_pattern(query: ReadQuery) -> str:
    """Return the LIKE pattern for the plate asked for, "" for any.

    Only A-Z, 0-9, "_" and "%" can stand in it, so no character of it needs escaping.
    """
    pattern = ""
    for character in query.plate:
        if character == "?":
            pattern += "_"
        elif character == "*":
            pattern += "%"
        else:
            pattern += fold(normalise(character))
    return f"%{pattern}%" if query.anywhere and pattern else pattern


def _likeliest(
    connection: Connection, query: ReadQuery, limit: int, offset: int, *, pictures: bool
) -> list[StoredRead]:
    texts = texts_alike(query.plate).texts
    forms = (reads.c.plate_folded, reads.c.prefix_first_folded, reads.c.prefix_last_folded)
    columns = (reads.c.read_id, reads.c.positions, *forms, reads.c.settled_at)
    # One form after the other, and sorted only then: PostgreSQL would rather go through all reads by their
    # time than ask a plate index some hundred times.
    fits = union(
        *(_narrowed(select(*columns).where(form.in_(texts)), query, embedded=False) for form in forms)
    ).cte("fits")
    fits = fits.prefix_with("MATERIALIZED", dialect="postgresql")
    found = _rows(connection, select(fits).order_by(fits.c.settled_at.desc()).limit(MOST_ALIKE))
    likely = {row.read_id: _likeness(query.plate, row, texts) for row in found}
    # Sorting is stable: of the equally likely the newest comes first.
    wanted = sorted(likely, key=lambda read_id: -likely[read_id])[offset : offset + limit]
    one = select(reads).where(reads.c.read_id.in_(wanted)).subquery()
    none = (null().label("jpeg"), null().label("object"))
    rows = _rows(connection, _with_evidence(connection, one) if pictures else select(one, *none))
    by_id = {read.read_id: read for read in _with_hits(connection, rows, pictures=pictures)}
    return [replace(by_id[read_id], likeness=likely[read_id]) for read_id in wanted]


def _likeness(plate: str, row: Row[Any], texts: Collection[str]) -> float:
    try:
        return max(likeness(plate, text, row.positions) for text in tuple(row)[2:5] if text in texts)
    except (ValueError, TypeError, LookupError):
        return 1.0  # damaged: it stands first, and says so


def _page(
    connection: Connection, query: ReadQuery, limit: int, offset: int, *, pictures: bool
) -> Sequence[Row[Any]]:
    narrowed = (
        _narrowed(select(reads), query, embedded=not is_postgresql(connection))
        .order_by(reads.c.settled_at.desc(), reads.c.read_id)
        .limit(limit)
        .offset(offset)
    ).subquery()
    # Pictures are joined to what is shown, not to all that was found.
    none = (null().label("jpeg"), null().label("object"))
    joined = _with_evidence(connection, narrowed) if pictures else select(narrowed, *none)
    return _rows(connection, joined.order_by(narrowed.c.settled_at.desc(), narrowed.c.read_id))


def _rows(connection: Connection, statement: Executable) -> Sequence[Row[Any]]:
    try:
        return connection.execute(statement).all()
    except (ValueError, TypeError):
        # A time that is none, in whichever of the rows: which one, the check finds out.
        raise StoreDamagedError("a read among those that were asked for") from None


def _narrowed(statement: Select[Any], query: ReadQuery, *, embedded: bool) -> Select[Any]:
    pattern = plate_pattern(query)
    forms = (reads.c.plate_folded, reads.c.prefix_first_folded, reads.c.prefix_last_folded)
    if query.alike:
        pass  # `_likeliest` asks for the texts
    elif "_" in pattern or "%" in pattern:
        if embedded and len(pattern.replace("_", "").replace("%", "")) >= RARE_CHARACTERS:
            statement = statement.where(_by_covering_indexes(forms, pattern))
        else:
            statement = statement.where(or_(*(form.like(pattern) for form in forms)))
    elif pattern:
        # Not LIKE: equality uses the indexes.
        statement = statement.where(or_(*(form == pattern for form in forms)))
    if query.incident:
        statement = statement.where(reads.c.incident == query.incident)
    if query.unit_id:
        statement = statement.where(reads.c.unit_id == query.unit_id)
    if query.camera:
        statement = statement.where(reads.c.camera == query.camera)
    if query.since is not None:
        statement = statement.where(reads.c.settled_at >= query.since)
    if query.until is not None:
        statement = statement.where(reads.c.settled_at <= query.until)
    if query.place is not None:
        south, north, west, east = query.place.sides
        statement = statement.where(
            reads.c.latitude_deg.between(south, north), reads.c.longitude_deg.between(west, east)
        )
    if query.hits_only:
        statement = statement.where(reads.c.read_id.in_(select(hits.c.read_id)))
    return statement


def _by_covering_indexes(forms: Sequence[Column[Any]], pattern: str) -> ColumnElement[bool]:
    """Return a condition for which SQLite runs through its plate indexes, an eighth of the table, alone."""
    row = literal_column("rowid", Integer)
    found = (select(row).select_from(reads).where(form.is_not(None), form.like(pattern)) for form in forms)
    return literal_column("reads.rowid", Integer).in_(union_all(*found))


def _with_evidence(connection: Connection, found: Subquery) -> Select[Any]:
    its_own = evidence.c.read_id == found.c.read_id
    if is_postgresql(connection):
        # Then only the month's own pictures are looked through.
        its_own = and_(its_own, evidence.c.settled_at == found.c.settled_at)
    return select(found, evidence.c.jpeg, evidence.c.object).outerjoin_from(found, evidence, its_own)


def _with_hits(
    connection: Connection, found: Sequence[Row[Any]], *, pictures: bool = True
) -> list[StoredRead]:
    by_read: dict[str, list[Row[Any]]] = {row.read_id: [] for row in found}
    for hit in _rows(connection, select(hits).where(hits.c.read_id.in_(list(by_read)))):
        by_read[hit.read_id].append(hit)
    corrections = connection.execute(
        select(reads.c.unit_id, reads.c.revises, reads.c.read_id).where(reads.c.revises.in_(list(by_read)))
    )
    # A unit corrects its own reads alone.
    revised_by = {(row.unit_id, row.revises): row.read_id for row in corrections}
    lacking = _lacking(connection, [row for row in found if row.row_digest is None])
    shown = []
    for row in found:
        its_hits = by_read[row.read_id]
        if row.row_digest is None:
            intact = False if row.batch_id in lacking else None
        else:
            intact = row_fits(row, its_hits) and (
                not pictures or jpeg_fits(picture_part(row.row_digest), row.jpeg, row.object)
            )
        if intact is False:
            # No plate, place or person: this goes to a log.
            _log.error("read damaged in the database", read=row.read_id, remedy="run `alpr-server check`")
            shown.append(_damaged_read(row))
        else:
            stored_hits = tuple(map(_stored_hit, its_hits))
            its_revision = revised_by.get((row.unit_id, row.read_id))
            shown.append(_stored_read(row, stored_hits, its_revision, intact=intact))
    return shown


def _lacking(connection: Connection, rows: Sequence[Row[Any]]) -> set[str]:
    """Return those batches of *rows*, which have no digest, whose reads all got one."""
    if not rows:
        return set()
    whole = batches.c.batch_id.in_({row.batch_id for row in rows}), batches.c.row_digest.is_not(None)
    return set(connection.execute(select(batches.c.batch_id).where(*whole)).scalars())


def _stored_hit(row: Row[Any]) -> StoredHit:
    return StoredHit(
        list_name=row.list_name,
        kind=row.kind,
        state=row.state,
        pattern=row.pattern,
        differing=tuple(json.loads(row.differing)),
        snapshot_sequence=row.snapshot_sequence,
        list_issued_at=row.list_issued_at,
        form=row.form or "plate",
        outcome=row.outcome or "hit",
        text_probability=row.text_probability,
        state_probability=row.state_probability,
    )


def _damaged_read(row: Row[Any]) -> StoredRead:
    """Return a read that says nothing but that it was damaged: any of it may be wrong."""
    return StoredRead(
        read_id=str(row.read_id),
        unit_id=str(row.unit_id),
        camera="",
        plate="",
        confidences=(),
        confidence=0.0,
        jurisdiction=None,
        jurisdiction_confidence=None,
        first_seen_at=row.first_seen_at,
        settled_at=row.settled_at,
        time_quality="",
        latitude_deg=None,
        longitude_deg=None,
        accuracy_m=None,
        speed_mps=None,
        frames=0,
        batch_id=str(row.batch_id),
        evidence=b"",
        hits=(),
        prefix="",
        prefix_confidence=0.0,
        revises=None,
        revised_by=None,
        picture_problem=DAMAGED,
        intact=False,
    )


def _stored_read(
    row: Row[Any], its_hits: tuple[StoredHit, ...], revised_by: str | None, *, intact: bool | None
) -> StoredRead:
    return StoredRead(
        read_id=row.read_id,
        unit_id=row.unit_id,
        camera=row.camera,
        plate=row.plate,
        confidences=tuple(position[0][1] for position in json.loads(row.positions) if position),
        confidence=row.confidence,
        jurisdiction=row.jurisdiction,
        jurisdiction_confidence=row.jurisdiction_confidence,
        first_seen_at=row.first_seen_at,
        settled_at=row.settled_at,
        time_quality=row.time_quality,
        latitude_deg=row.latitude_deg,
        longitude_deg=row.longitude_deg,
        accuracy_m=row.accuracy_m,
        speed_mps=row.speed_mps,
        frames=row.frames,
        batch_id=row.batch_id,
        evidence=row.jpeg or b"",
        hits=its_hits,
        prefix=row.prefix or "",
        prefix_confidence=row.prefix_confidence or 0.0,
        revises=row.revises,
        revised_by=revised_by,
        incident=row.incident or "",
        picture_name=row.object,
        picture_part=b"" if intact is None else picture_part(row.row_digest),
        intact=intact,
    )
