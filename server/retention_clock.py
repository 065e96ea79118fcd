"""Whether the server's clock is to be believed by purges that run by themselves.

What such a purge destroys, the clock alone decides: a clock that jumps ten years ahead would let everything
go, and nothing brings it back. So the clock is believed only where three things agree with it, of which none
is the clock itself:

    its own past     since the last purge it went on by at most MOST_AHEAD: a jump is no passing of time. That
                     the server was off for longer looks the same, and a person must say which it was
    the units        a read whose time a unit's GPS or network time gave is younger than MOST_AHEAD, or a
                     person has said the date since
    the access log   its newest entry, by number, is not of later than now

The first holds even if units and server took a wrong time from the same source; the second even if the clock
creeps. One that went back is not believed either, though nothing would go: who set it must hear of it.

Nor is each read's own time believed. A unit whose clock stood in 1980 makes reads that are decades old at
once. A read that is not of a sure clock, or that came in later than transfer takes, or from a time yet to
come, is as old as its arrival.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, func, insert, or_, select, update

from camera.frame import TimeQuality
from server.actors import Actor, recorded
from server.database import is_postgresql, reading
from server.errors import RetentionRefusedError
from server.retention_tables import purge_clock
from server.tables import audit, batches, reads

MOST_AHEAD = timedelta(days=3)
"""A long weekend without a server, or without a car on the road, is no wrong clock."""
MOST_BEHIND = timedelta(minutes=1)
"""A clock that is put right goes back by seconds; daylight saving never touches UTC. No more than that: a
rule that was replaced must not be in force again."""
LONGEST_TRANSFER = timedelta(days=45)
"""Units hand in within 30 days (docs/policy.md, D .04)."""
_SURE = (TimeQuality.GPS.value, TimeQuality.SYNCHRONISED.value)
_ONLY = 1


class ClockDoubtfulError(RetentionRefusedError):
    """The clock is not believed: nothing was destroyed, and a person must look at it."""


@dataclass(frozen=True, slots=True)
class PurgeClock:
    """What is known of the clock. Times are aware UTC."""

    at: datetime
    """Up to when it was believed."""
    witnessed_at: datetime | None
    """The newest moment that a unit, or a person, bore witness of."""
    refused: str
    """Why it is not believed; empty: it is."""


def clock_in(connection: Connection) -> PurgeClock | None:
    """Return what is on record of the clock; None before the first purge that ran by itself."""
    row = connection.execute(select(purge_clock)).first()
    return None if row is None else PurgeClock(row.at, row.witnessed_at, row.refused)


def purge_clock_of(engine: Engine) -> PurgeClock | None:
    """The same in a transaction of its own."""
    with reading(engine) as connection:
        return clock_in(connection)


def believe(connection: Connection, now: datetime, since: datetime | None = None) -> PurgeClock:
    """Return the clock at *now*, if it is to be believed. *since*: when purging by itself began.

    Raises ClockDoubtfulError, saying why not. Nothing is written.
    """
    known = clock_in(connection)
    newest = connection.execute(select(audit.c.at).order_by(audit.c.sequence.desc()).limit(1)).scalar()
    if newest is not None and now < newest - MOST_BEHIND:
        raise ClockDoubtfulError(
            "the server's clock is behind the access log's newest entry: it was wrong then, or is now"
        )
    began = max((each for each in (since, None if known is None else known.at) if each), default=None)
    if known is not None and now < known.at - MOST_BEHIND:
        raise ClockDoubtfulError("the server's clock is behind the last purge: it was wrong then, or is now")
    # Before the first purge that runs by itself there is no past to hold it against: then the units alone
    # speak, and the person who approves.
    if since is not None and began is not None and now > began + MOST_AHEAD:
        raise ClockDoubtfulError(
            f"the server's clock went on by {(now - began).days} days since the last purge: "
            "it jumped, or the server was off"
        )
    witnesses = (None if known is None else known.witnessed_at, _newest_sure_read(connection, now))
    witnessed = max((each for each in witnesses if each), default=None)
    if witnessed is None or now > witnessed + MOST_AHEAD:
        raise ClockDoubtfulError(
            f"no unit handed in a read of a sure time in the last {MOST_AHEAD.days} days: "
            "nothing but the server's own clock says what time it is"
        )
    return PurgeClock(now, witnessed, "")


def keep(connection: Connection, clock: PurgeClock) -> None:
    """Put *clock* on record, in the caller's transaction."""
    values = {"at": clock.at, "witnessed_at": clock.witnessed_at, "refused": clock.refused[:512]}
    if connection.execute(update(purge_clock).values(values)).rowcount == 0:
        connection.execute(insert(purge_clock).values(clock_id=_ONLY, **values))


def confirm_clock(engine: Engine, today: date, *, actor: Actor, now: datetime) -> None:
    """Let the clock be believed from now on: a person says from a watch or a wall which day it is, UTC.

    Raises RetentionRefusedError if the server's clock says otherwise.
    """
    with recorded(engine, actor, "retention.confirm_clock", {"today": today.isoformat()}, now) as connection:
        if abs((now.date() - today).days) > 1:
            raise RetentionRefusedError(
                "the server's clock says another day: set it right (`timedatectl`), then say the date again"
            )
        keep(connection, PurgeClock(now, now, ""))


def overdue(connection: Connection, before: datetime, now: datetime) -> ColumnElement[bool]:
    """Return the condition on `reads` that is true of what is older than *before*, however its unit's clock
    went: see the top."""
    arrived_before = arrived(before)
    sure = sure_of_time(connection)
    return or_(
        and_(reads.c.settled_at < before, or_(arrived_before, sure)),
        and_(reads.c.settled_at > now + timedelta(days=1), arrived_before),
    )


def sure_of_time(connection: Connection) -> ColumnElement[bool]:
    """Return the condition on `reads` that is true where a read's own time can be believed."""
    if is_postgresql(connection):
        way: ColumnElement[float] = func.date_part("epoch", batches.c.received_at) - func.date_part(
            "epoch", reads.c.settled_at
        )
    else:
        way = (func.julianday(batches.c.received_at) - func.julianday(reads.c.settled_at)) * 86_400
    in_time = exists().where(batches.c.batch_id == reads.c.batch_id, way <= LONGEST_TRANSFER.total_seconds())
    return and_(reads.c.time_quality.in_(_SURE), in_time)


def arrived(before: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """Return the condition on `reads` that is true of what came in *before*."""
    return exists().where(batches.c.batch_id == reads.c.batch_id, batches.c.received_at < before)


def _newest_sure_read(connection: Connection, now: datetime) -> datetime | None:
    # Not of later than now: a unit whose clock is ahead bears no witness.
    found: datetime | None = connection.execute(
        select(reads.c.settled_at)
        .where(reads.c.settled_at <= now + MOST_BEHIND, reads.c.time_quality.in_(_SURE))
        .order_by(reads.c.settled_at.desc())
        .limit(1)
    ).scalar()
    return found
