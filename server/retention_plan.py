"""What the rules would let go at one moment: a dry run, in which no read is touched."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, exists, func, or_, select

from server.database import is_postgresql, reading, writing
from server.holds import held, refresh
from server.retention_clock import arrived, sure_of_time
from server.retention_values import Rules
from server.tables import hits, reads


@dataclass(frozen=True, slots=True)
class Month:
    """Of one month: how many would go, and how many holds keep."""

    name: str
    """As 2026-03."""
    go: int
    held: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rules would destroy at one moment."""

    others_before: datetime
    """Reads that are no hits and were made before this go. Aware UTC."""
    hits_before: datetime
    others: int
    hits: int
    oldest: datetime | None
    """Of those that would go."""
    newest: datetime | None
    held: int
    """Reads old enough that a legal hold keeps."""
    months: tuple[Month, ...] = ()
    """Of those old enough, the oldest first."""


def plan(engine: Engine, rules: Rules, now: datetime) -> Plan:
    """Return what would go now. No read is touched."""
    with writing(engine) as connection:
        refresh(connection)
    # Apart from the other block: counting a year of reads must not keep units from handing in theirs.
    with reading(engine) as connection:
        return _plan(connection, now - rules.others, now - rules.hits)


def due(connection: Connection, others_before: datetime, hits_before: datetime) -> ColumnElement[bool]:
    """Return the condition on `reads` that is true of what is old enough, held or not.

    A read's own time counts where it can be believed; else it is as old as its arrival: what a unit with a
    dead clock made yesterday, and dated 1980, is kept as long as all else.
    """
    before = case((is_hit(), hits_before), else_=others_before)
    # The later of the two as a bound of its own: by it SQLite takes the index of times, twelve times as fast.
    return and_(
        reads.c.settled_at < max(others_before, hits_before),
        reads.c.settled_at < before,
        or_(sure_of_time(connection), arrived(before)),
    )


def is_hit() -> ColumnElement[bool]:
    """Whether a read is a hit, corrects one, or was corrected by one: they are evidence together."""
    other = reads.alias()
    own = exists().where(hits.c.read_id == reads.c.read_id)
    corrects = exists().where(hits.c.read_id == reads.c.revises)
    corrected = exists().where(and_(other.c.revises == reads.c.read_id, other.c.read_id == hits.c.read_id))
    return or_(own, corrects, corrected)


def _plan(connection: Connection, others_before: datetime, hits_before: datetime) -> Plan:
    month = (
        func.to_char(reads.c.settled_at, "YYYY-MM")
        if is_postgresql(connection)
        else func.strftime("%Y-%m", reads.c.settled_at)
    )
    # Joined at once: looked up for each of a year's reads it would take PostgreSQL three times as long.
    other = reads.alias("correction")
    corrections = select(other.c.revises).where(other.c.revises.is_not(None)).distinct().subquery()
    old = (
        select(
            month.label("month"),
            is_hit().label("hit"),
            held(connection, corrections.c.revises.is_not(None)).label("kept"),
            reads.c.settled_at.label("settled_at"),
        )
        .select_from(reads.outerjoin(corrections, corrections.c.revises == reads.c.read_id))
        .where(due(connection, others_before, hits_before))
        .subquery()
    )
    columns = (old.c.month, old.c.hit, old.c.kept)
    rows = connection.execute(
        select(
            *columns,
            func.count().label("count"),
            func.min(old.c.settled_at).label("oldest"),
            func.max(old.c.settled_at).label("newest"),
        ).group_by(*columns)
    ).all()
    go = [row for row in rows if not row.kept]
    months = {row.month: [0, 0] for row in sorted(rows, key=lambda row: str(row.month))}
    for row in rows:
        months[row.month][bool(row.kept)] += int(row[3])
    return Plan(
        others_before,
        hits_before,
        sum(int(row[3]) for row in go if not row.hit),
        sum(int(row[3]) for row in go if row.hit),
        min((row.oldest for row in go), default=None),
        max((row.newest for row in go), default=None),
        sum(int(row[3]) for row in rows if row.kept),
        tuple(Month(name, *counts) for name, counts in months.items()),
    )
