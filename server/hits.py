"""The department's queue of hits: high priority first, and of each priority the newest first."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from hotlist_cache.entry import Priority
from hotlist_cache.verification import Ladder
from server.dispositions import Judged, judged_of
from server.hit_answers import STANDINGS, ladders_of
from server.list_visibility import WITHHELD, ListVisibility
from server.records import StoredRead, get_reads
from server.tables import hits, units

HITS_PER_PAGE = 20
MOST_PAGES = 10_000
MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class HitQuery:
    """Which hits are asked for; empty fields do not narrow."""

    standing: str = "open"
    """One of `STANDINGS`, "contradicted" (the department says another thing than the car did), or "all"."""
    list_name: str = ""
    unit_id: str = ""
    priority: int = 0
    """0 for any."""
    since: datetime | None = None
    """Aware UTC."""
    until: datetime | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """What narrows it, as the access log keeps it."""
        return {
            "standing": self.standing,
            "list": self.list_name,
            "unit": self.unit_id,
            "priority": Priority(self.priority).name.lower() if self.priority else "",
            "from": "" if self.since is None else self.since.isoformat(),
            "until": "" if self.until is None else self.until.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Place:
    """One character place, as read and as listed."""

    read: str = field(repr=False)
    listed: str = field(repr=False)
    sure: float
    """The reader's confidence in its character, in [0, 1]."""

    @property
    def differs(self) -> bool:
        """Whether another character is listed, also one that looks the same."""
        return self.read != self.listed


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit with its read, and what came of it."""

    read: StoredRead
    hit_id: str
    entry_id: str
    pattern: str = field(repr=False)
    """"" where the person may not see what the list says."""
    list_name: str
    kind: str
    form: str
    state: str
    differing: tuple[int, ...]
    snapshot_sequence: int
    list_issued_at: datetime
    outcome: str
    """What it was to the officer: "hit", "possible hit" or "none" (not told)."""
    text_probability: float | None
    priority: Priority
    standing: str
    car_disposition: str
    """"" while the car said none."""
    disposition: str
    """The one that counts; "" while there is none."""
    ladder: Ladder
    judged: tuple[Judged, ...]
    """What the department said, oldest first; the last one counts."""

    @property
    def contradicted(self) -> bool:
        """Whether department and car say different things."""
        return bool(self.car_disposition) and self.disposition != self.car_disposition

    @property
    def officer(self) -> str:
        """Who answered last in the car; "" if nobody did."""
        return self.ladder.answers[-1].by if self.ladder.answers else ""

    @property
    def places(self) -> tuple[Place, ...]:
        """Character by character; empty where the listed plate is partial or of another length."""
        read = self.read
        text = read.plate
        if self.form == "prefix first":
            text = read.prefix + read.plate
        elif self.form == "prefix last":
            text = read.plate + read.prefix
        if len(text) != len(self.pattern) or not text or "?" in self.pattern or "*" in self.pattern:
            return ()
        sure = list(read.confidences)
        if self.form == "prefix first":
            sure = [read.prefix_confidence] * len(read.prefix) + sure
        elif self.form == "prefix last":
            sure += [read.prefix_confidence] * len(read.prefix)
        return tuple(Place(*each) for each in zip(text, self.pattern, sure, strict=False))

    @property
    def list_age(self) -> str:
        """How old the list was when the plate was seen."""
        hours = max(0.0, (self.read.settled_at - self.list_issued_at).total_seconds() / 3600)
        return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"


def find_hits(connection: Connection, query: HitQuery, limit: int, offset: int) -> list[Hit]:
    """Return the hits that *query* asks for, high priority first, then newest first; with their ladders."""
    rows = connection.execute(
        _narrowed(query)
        .order_by(hits.c.priority.desc(), hits.c.settled_at.desc(), hits.c.read_id, hits.c.hit_id)
        .limit(limit)
        .offset(offset)
    ).all()
    return _hits(connection, rows)


def get_hit(connection: Connection, read_id: str, hit_id: str) -> Hit | None:
    """Return one hit, or None if it is not held."""
    wanted = hits.c.read_id == read_id, hits.c.hit_id == hit_id
    return next(iter(_hits(connection, connection.execute(select(hits).where(*wanted)).all())), None)


def visible(hit: Hit, lists: ListVisibility, role: str) -> Hit:
    """Return *hit* as a person of *role* is shown it."""
    if not lists.hides(hit.list_name, role):
        return replace(hit, read=lists.read_for(hit.read, role))
    read = lists.read_for(hit.read, role)
    return replace(
        hit,
        read=read,
        list_name=WITHHELD,
        pattern="",
        entry_id="",
        differing=(),
        kind="withheld",
        form="plate",
        state="withheld",
        text_probability=None,
    )


def hit_ids(connection: Connection, read_id: str) -> list[str]:
    """Return the ids of the hits of one read."""
    wanted = select(hits.c.hit_id).where(hits.c.read_id == read_id).order_by(hits.c.hit_id)
    return list(connection.execute(wanted).scalars())


def standings(connection: Connection) -> dict[str, int]:
    """Return how many hits stand where, each counted up to `MOST_COUNTED`: more is not counted out."""
    found = {}
    for name in STANDINGS:
        some = select(hits.c.hit_id).where(hits.c.standing == name).limit(MOST_COUNTED).subquery()
        found[name] = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return found


def list_names(connection: Connection) -> list[str]:
    """Return the kinds of lists that hits were of, by name."""
    found: list[str] = []
    # From one name to the next by the index; DISTINCT would run through every hit.
    following = select(func.min(hits.c.list_name))
    name = connection.execute(following).scalar()
    while name is not None:
        found.append(name)
        name = connection.execute(following.where(hits.c.list_name > name)).scalar()
    return found


def unit_ids(connection: Connection) -> list[str]:
    """Return the ids of all units."""
    return list(connection.execute(select(units.c.unit_id).order_by(units.c.unit_id)).scalars())


def day_of(text: str, *, ends: bool = False) -> datetime | None:
    """Return the moment a day "2026-03-01" begins or *ends*, UTC; None for "".

    Raises ValueError, with what to tell the person.
    """
    if not text.strip():
        return None
    try:
        day = datetime.combine(date.fromisoformat(text.strip()), time(), UTC)
        return day + timedelta(days=1) if ends else day
    except (ValueError, OverflowError):
        raise ValueError("Write a day as 2026-03-01.") from None


def _narrowed(query: HitQuery) -> Select[Any]:
    statement = select(hits)
    if query.standing == "contradicted":
        statement = statement.where(hits.c.car_disposition != hits.c.disposition)
    elif query.standing != "all":
        statement = statement.where(hits.c.standing == query.standing)
    if query.list_name:
        statement = statement.where(hits.c.list_name == query.list_name)
    if query.unit_id:
        statement = statement.where(hits.c.unit_id == query.unit_id)
    if query.priority:
        statement = statement.where(hits.c.priority == query.priority)
    if query.since is not None:
        statement = statement.where(hits.c.settled_at >= query.since)
    if query.until is not None:
        statement = statement.where(hits.c.settled_at < query.until)
    return statement


def _hits(connection: Connection, rows: Sequence[Row[Any]]) -> list[Hit]:
    """Return the hits in *rows* with their reads and what came of them; none whose read is gone."""
    found = get_reads(connection, {row.read_id: row.settled_at for row in rows})
    rows = [row for row in rows if row.read_id in found]
    ladders = ladders_of(connection, [(row.unit_id, row.hit_id, row.read_id) for row in rows])
    judged = judged_of(connection, list(found))
    return [
        Hit(
            read=found[row.read_id],
            hit_id=row.hit_id,
            entry_id=row.entry_id,
            # Of a damaged read the hit may be what is wrong.
            pattern="" if found[row.read_id].damaged else row.pattern,
            list_name=row.list_name,
            kind=row.kind,
            form=row.form or "plate",
            state=row.state,
            differing=() if found[row.read_id].damaged else tuple(json.loads(row.differing)),
            snapshot_sequence=row.snapshot_sequence,
            list_issued_at=row.list_issued_at,
            outcome=row.outcome or "hit",
            text_probability=row.text_probability,
            priority=Priority(row.priority or Priority.MEDIUM),
            standing=row.standing,
            car_disposition=row.car_disposition or "",
            disposition=row.disposition or "",
            ladder=ladders[row.unit_id, row.hit_id, row.read_id],
            judged=judged.get((row.read_id, row.hit_id), ()),
        )
        for row in rows
    ]
