"""Remove old reads while units hand in new ones: in short steps, or on PostgreSQL whole months at once.

What is a hit, corrects one or was corrected by one never goes by this way, nor what the caller keeps. Who may
order it, and what is certified of it, is `retention`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.exc import OperationalError

from server.database import is_postgresql, reading, writing
from server.errors import StoreUnavailableError
from server.partitions import PARTITIONED, month_end, month_names
from server.tables import evidence, hits, reads

STEP_READS = 500
"""So many reads go in one transaction: units hand in batches meanwhile."""
_LOCK_TIMEOUT = "200ms"
"""No longer are others kept waiting by a month that cannot be taken out at once."""
_LOCK_TRIES = 50

Keep = Callable[[Connection], ColumnElement[bool]]
"""Gives the condition on `reads` that is true of all that must stay, and null of none: `holds.held`."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One short transaction of a purge."""

    gone: int
    after: tuple[datetime, str] | None
    """Where the next step begins; None: nothing is left."""


def purge_step(
    engine: Engine,
    before: datetime,
    keep: Keep,
    *,
    after: tuple[datetime, str] | None = None,
    most: int = STEP_READS,
) -> Step:
    """Remove the next reads that settled before *before*, oldest first, at most *most* of them.

    *after* is that of the step before; None begins anew, which is always safe.
    Raises StoreUnavailableError, and has removed nothing then.
    """
    with writing(engine) as connection:
        due = and_(reads.c.settled_at < before, not_(is_hit()), not_(keep(connection)))
        if after is not None:
            due = and_(
                due, reads.c.settled_at >= after[0], tuple_(reads.c.settled_at, reads.c.read_id) > after
            )
        found = connection.execute(
            select(reads.c.read_id, reads.c.settled_at)
            .where(due)
            .order_by(reads.c.settled_at, reads.c.read_id)
            .limit(most)
        ).all()
        if not found:
            return Step(0, None)
        ids = [row.read_id for row in found]
        first, last = found[0], found[-1]
        for table in (evidence, reads):
            its_own: ColumnElement[bool] = table.c.read_id.in_(ids)
            if is_postgresql(connection):
                # Then only the months of these reads are looked through.
                its_own = and_(its_own, table.c.settled_at.between(first.settled_at, last.settled_at))
            connection.execute(delete(table).where(its_own))
        return Step(len(found), (last.settled_at, last.read_id))


def drop_months(engine: Engine, before: datetime, keep: Keep) -> dict[date, int]:
    """Take out each whole month before *before* in which nothing must stay; return how many reads each had.

    On SQLite, and for months that others hold for long, nothing is done: `purge_step` serves for them.
    """
    if engine.dialect.name != "postgresql":
        return {}
    with reading(engine) as connection:
        months = month_names(connection)
    dropped = {}
    for month, suffix in months:
        if datetime.combine(month_end(month), datetime.min.time(), UTC) > before:
            break
        try:
            count = _drop(engine, month, suffix, keep)
        except StoreUnavailableError as error:
            if not isinstance(error.__cause__, OperationalError) or error.__cause__.connection_invalidated:
                raise
            _log.warning("month is in use", month=suffix)
            continue
        if count is not None:
            dropped[month] = count
    return dropped


def is_hit() -> ColumnElement[bool]:
    """Whether a read is a hit, corrects one, or was corrected by one: they are evidence together."""
    other = reads.alias()
    own = exists().where(hits.c.read_id == reads.c.read_id)
    corrects = exists().where(hits.c.read_id == reads.c.revises)
    corrected = exists().where(and_(other.c.revises == reads.c.read_id, other.c.read_id == hits.c.read_id))
    return or_(own, corrects, corrected)


def _drop(engine: Engine, month: date, suffix: str, keep: Keep) -> int | None:
    """Return how many reads went with the month, None if something in it must stay."""
    start, end = (datetime.combine(day, datetime.min.time(), UTC) for day in (month, month_end(month)))
    within = and_(reads.c.settled_at >= start, reads.c.settled_at < end)
    with writing(engine) as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        # A read of this month that comes in now waits, so that nothing changes between the look and the end.
        for table in PARTITIONED:
            connection.exec_driver_sql(f"LOCK TABLE {table}_{suffix} IN SHARE MODE")
        stays = select(reads.c.read_id).where(within, or_(is_hit(), keep(connection))).limit(1)
        if connection.execute(stays).first() is not None:
            return None
        count = connection.execute(select(func.count()).select_from(reads).where(within)).scalar_one()
        connection.exec_driver_sql(
            "DELETE FROM read_ids WHERE settled_at >= %s AND settled_at < %s",
            (start.replace(tzinfo=None), end.replace(tzinfo=None)),
        )
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        for table in PARTITIONED:
            _detach(connection, table, suffix)
            connection.exec_driver_sql(f"DROP TABLE {table}_{suffix}")
    return count


def _detach(connection: Connection, table: str, suffix: str) -> None:
    """Raises OperationalError if others held the table each time it was tried."""
    for last in (False,) * (_LOCK_TRIES - 1) + (True,):
        point = connection.begin_nested()
        try:
            connection.exec_driver_sql(f"ALTER TABLE {table} DETACH PARTITION {table}_{suffix}")
        except OperationalError:
            point.rollback()
            if last:
                raise
        else:
            point.commit()
            return
