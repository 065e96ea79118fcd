"""Reads drawn at random for a person to judge: how well plates are read, hit or not.

Drawing writes each read down before it is shown, so that nobody can draw until they like what they see, and
what was drawn and never judged is counted too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest
from random import SystemRandom
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, func, insert, select

from hotlist_cache.verification import Disposition
from server.actors import Actor, recorded
from server.audit_period import Period
from server.database import reading
from server.dispositions import Said, Verdict, facts_of, write
from server.errors import HitRefusedError, NotPermittedError
from server.hit_tables import dispositions
from server.records import StoredRead, get_read
from server.tables import reads

MOST_DRAWN = 50
LONGEST = timedelta(days=31)
_PIECE = timedelta(hours=6)
_SPARE = 200
"""Drawn beyond what is asked for, in place of reads that turn out to be corrected."""
PURPOSE = "quality-assurance"
VERDICTS = (
    Verdict.AS_READ.value,
    Disposition.MISREAD.value,
    Disposition.WRONG_JURISDICTION.value,
    Verdict.NOT_TOLD.value,
)
"""What may be said of a read that was drawn."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one person drew and did not judge yet."""

    read: StoredRead | None
    """The next one; None where nothing waits."""
    left: int
    gone: int
    """Drawn, but purged before anybody judged them."""


def draw(
    engine: Engine, period: Period, count: int, *, unit_id: str = "", actor: Actor, now: datetime
) -> int:
    """Draw up to *count* reads of a period for *actor* to judge, of *unit_id* alone unless it is ""; return
    how many there were.

    Raises HitRefusedError with what to tell the person.
    """
    detail: dict[str, Any] = {
        "unit": unit_id[:63],
        "from": period.start.isoformat(),
        "until": period.end.isoformat(),
    }
    try:
        _check(actor, period, count)
        shuffled = _shuffled(engine, period, 4 * count + _SPARE, unit_id)
    except (HitRefusedError, NotPermittedError):
        shuffled = []  # refused, and written down, below
    with recorded(engine, actor, "sample.draw", detail, now) as connection:
        _check(actor, period, count)
        ids = _fresh(connection, shuffled)[:count]
        found = [read for read_id in ids if (read := get_read(connection, read_id)) is not None]
        for read in found:
            connection.execute(
                insert(dispositions).values(
                    **facts_of(read),
                    hit_id="",
                    judged_at=now,
                    judged_by=actor.name,
                    purpose=actor.purpose.code,
                    case_number=actor.purpose.case_number,
                    verdict=Verdict.DRAWN.value,
                    outcome="",
                    differences="",
                    true_state="",
                    note="",
                )
            )
        detail["drawn"] = [read.read_id for read in found]
    return len(found)


def waiting(connection: Connection, person: str) -> Waiting:
    """Return what *person* drew and did not judge yet, the first drawn first."""
    last = (
        select(func.max(dispositions.c.number).label("number"))
        .where(dispositions.c.hit_id == "")
        .group_by(dispositions.c.read_id)
        .subquery()
    )
    rows: Sequence[str] = (
        connection.execute(
            select(dispositions.c.read_id)
            .join(last, and_(last.c.number == dispositions.c.number))
            .where(dispositions.c.verdict == Verdict.DRAWN.value, dispositions.c.judged_by == person)
            .order_by(dispositions.c.number)
        )
        .scalars()
        .all()
    )
    gone = 0
    for read_id in rows:
        read = get_read(connection, read_id)
        if read is not None:
            return Waiting(read, len(rows) - gone, gone)
        gone += 1
    return Waiting(None, 0, gone)


def judge(engine: Engine, read_id: str, said: Said, actor: Actor, now: datetime) -> int:
    """Write down what *actor* says of a read that was drawn; return its number.

    Raises HitRefusedError with what to tell the person.
    """
    detail = {"read": read_id[:64], "verdict": said.verdict[:24]}
    with recorded(engine, actor, "sample.judge", detail, now) as connection:
        _require(actor)
        if said.verdict not in VERDICTS:
            raise HitRefusedError(f"pick one of: {', '.join(VERDICTS)}")
        read = get_read(connection, read_id)
        drawn = select(dispositions.c.number).where(
            dispositions.c.read_id == read_id, dispositions.c.hit_id == ""
        )
        if read is None or connection.execute(drawn.limit(1)).first() is None:
            raise HitRefusedError("this read was not drawn, or is purged by now")
        return write(connection, read, "", said, verdict=said.verdict, actor=actor, now=now)


def _require(actor: Actor) -> None:
    if actor.role is not None and not actor.role.sees_reads:
        raise NotPermittedError("A technician looks after the equipment: reads are not shown.")
    if actor.purpose.code != PURPOSE:
        raise HitRefusedError("a sample is drawn and judged for the purpose “Quality assurance” alone")


def _check(actor: Actor, period: Period, count: int) -> None:
    _require(actor)
    if not 1 <= count <= MOST_DRAWN:
        raise HitRefusedError(f"draw 1 to {MOST_DRAWN} reads")
    if period.end > period.start + LONGEST:
        raise HitRefusedError(f"a period has at most {LONGEST.days} days")


def _shuffled(engine: Engine, period: Period, most: int, unit_id: str) -> list[str]:
    """Return *most* reads of a period, drawn at random and in a random order."""
    chance = SystemRandom()

    def numbered() -> Iterator[tuple[float, str]]:
        start = period.start
        # Millions of reads, in pieces and not under the lock: units hand in meanwhile.
        while start < period.end:
            end = min(start + _PIECE, period.end)
            statement = select(reads.c.read_id).where(reads.c.settled_at >= start, reads.c.settled_at < end)
            if unit_id:
                statement = statement.where(reads.c.unit_id == unit_id)
            with reading(engine) as connection:
                fresh = statement.where(reads.c.read_id.not_in(_drawn_before()))
                ids = connection.execute(fresh).scalars().all()
            yield from ((chance.random(), read_id) for read_id in ids)
            start = end

    return [read_id for _, read_id in nsmallest(most, numbered())]


def _fresh(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Return those of *ids* that may be drawn, in their order."""
    # A read that was drawn before stays as it was judged; a corrected one is no read that anybody goes by.
    later = reads.alias()
    found = connection.execute(
        select(reads.c.read_id).where(
            reads.c.read_id.in_(ids),
            reads.c.read_id.not_in(_drawn_before()),
            ~select(later.c.read_id).where(later.c.revises == reads.c.read_id).exists(),
        )
    )
    fresh = set(found.scalars())
    return [read_id for read_id in ids if read_id in fresh]


def _drawn_before() -> Select[tuple[str]]:
    return select(dispositions.c.read_id).where(dispositions.c.hit_id == "")
