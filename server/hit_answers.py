"""What officers answered on hits in their cars, as the units' signed logs bring it to the department.

The answers stand inside signed entries, which no database can ask. `catch_up` takes the new ones out, once
each, and tells the queue. A log may come before its hits: such answers wait. The signed entries remain the
proof; `alpr-server audit unit` verifies them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, and_, delete, func, insert, or_, select, update

from hotlist_cache.verification import ANSWERS, Answer, Disposition, Ladder, Rung
from server.database import reading, writing
from server.hit_tables import dispositions, hit_answers, hit_log_heads
from server.tables import hits, unit_log_entries, unit_logs
from sync.access_log import LogBrokenError, LogRecord, read_entry

OPEN, VERIFIED, CLOSED = "open", "verified", "closed"
STANDINGS = (OPEN, VERIFIED, CLOSED)

_AT_ONCE = 2000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _New:
    """A log with entries that were not gone through yet."""

    unit_id: str
    beginning: int
    after: int
    """The number of the last one that was."""
    newest: int


def standing_of(disposition: str | None, outcome: str) -> str:
    """Return where a hit stands: a confirmed one is closed once its outcome is told."""
    if not disposition:
        return OPEN
    return VERIFIED if disposition == Disposition.CONFIRMED and not outcome else CLOSED


def catch_up(engine: Engine) -> None:
    """Take what the units' logs brought since the last time into the queue. Nothing is written if nothing
    came."""
    with reading(engine) as connection:
        new, waits = _new(connection), _can_be_told(connection)
    if not new and not waits:
        return
    with writing(engine) as connection:
        # Asked again under the lock: another one may have gone through it meanwhile.
        for log in _new(connection):
            _go_through(connection, log)
        _tell(connection)


Key = tuple[str, str, str]
"""Of a hit: its unit, its id, and its read's."""


def ladder_of(connection: Connection, key: Key) -> Ladder:
    """Return the ladder that was climbed in the car, oldest answer first."""
    return ladders_of(connection, [key])[key]


def ladders_of(connection: Connection, keys: Sequence[Key]) -> dict[Key, Ladder]:
    """Return the ladders of some hits, an empty one where nobody answered."""
    rows = connection.execute(
        select(hit_answers)
        .where(hit_answers.c.hit_id.in_({hit_id for _, hit_id, _ in keys}))
        .order_by(hit_answers.c.beginning, hit_answers.c.sequence)
    ).all()
    found: dict[Key, list[Answer]] = {key: [] for key in keys}
    for row in rows:
        answer = Answer(Rung(row.rung), row.answer, row.answered_by, row.answered_at)
        for (unit_id, hit_id, read_id), answers in found.items():
            # A unit of an older version did not name the read.
            if (unit_id, hit_id) == (row.unit_id, row.hit_id) and row.read_id in (read_id, ""):
                answers.append(answer)
    return {key: Ladder(tuple(answers)) for key, answers in found.items()}


def _new(connection: Connection) -> list[_New]:
    newest = (
        select(func.max(unit_log_entries.c.sequence))
        .where(
            unit_log_entries.c.unit_id == unit_logs.c.unit_id,
            unit_log_entries.c.beginning == unit_logs.c.beginning,
        )
        .scalar_subquery()
    )
    rows = connection.execute(
        select(unit_logs.c.unit_id, unit_logs.c.beginning, hit_log_heads.c.sequence, newest.label("newest"))
        .outerjoin_from(
            unit_logs,
            hit_log_heads,
            and_(
                hit_log_heads.c.unit_id == unit_logs.c.unit_id,
                hit_log_heads.c.beginning == unit_logs.c.beginning,
            ),
        )
        .order_by(unit_logs.c.unit_id, unit_logs.c.beginning)
    )
    found = [_New(row.unit_id, row.beginning, row.sequence or 0, row.newest or 0) for row in rows]
    return [each for each in found if each.newest > each.after]


def _go_through(connection: Connection, log: _New) -> None:
    table = unit_log_entries.c
    rows = connection.execute(
        select(table.sequence, table.data, table.signature)
        .where(
            table.unit_id == log.unit_id,
            table.beginning == log.beginning,
            table.sequence > log.after,
            table.action == "hit.verify",
            table.outcome == "success",
        )
        .order_by(table.sequence)
    ).all()
    found = [made for row in rows if (made := _answer(log, row)) is not None]
    for start in range(0, len(found), _AT_ONCE):
        connection.execute(insert(hit_answers), found[start : start + _AT_ONCE])
    key = {"unit_id": log.unit_id, "beginning": log.beginning}
    connection.execute(delete(hit_log_heads).filter_by(**key))
    connection.execute(insert(hit_log_heads).values(**key, sequence=log.newest))


def _answer(log: _New, row: Row[int, bytes, bytes]) -> dict[str, Any] | None:
    try:
        entry = read_entry(LogRecord(row.data, row.signature))
        rung, answer = Rung(entry.detail.get("rung", "")), entry.detail.get("answer", "")
        if answer not in ANSWERS[rung] or not entry.detail.get("hit"):
            raise ValueError
    except (LogBrokenError, ValueError):
        # The log's own check names the entry too; the queue must not stop for it.
        _log.error(
            "ALARM: answer on a hit not understood",
            unit=log.unit_id,
            log=log.beginning,
            sequence=row.sequence,
        )
        return None
    return {
        "unit_id": log.unit_id,
        "beginning": log.beginning,
        "sequence": row.sequence,
        "hit_id": entry.detail["hit"],
        "read_id": entry.detail.get("read", ""),
        "rung": rung.value,
        "answer": answer,
        "answered_by": entry.actor,
        "answered_at": entry.at,
        "waiting": rung is Rung.DISPOSITION,
    }


def _its_hit() -> Any:
    return and_(
        hits.c.unit_id == hit_answers.c.unit_id,
        hits.c.hit_id == hit_answers.c.hit_id,
        or_(hit_answers.c.read_id == "", hits.c.read_id == hit_answers.c.read_id),
    )


def _can_be_told(connection: Connection) -> bool:
    """Whether a disposition waits whose hit has come."""
    found = select(hit_answers.c.sequence).join(hits, _its_hit()).where(hit_answers.c.waiting.is_(True))
    return connection.execute(found.limit(1)).first() is not None


def _tell(connection: Connection) -> None:
    rows = connection.execute(
        select(hit_answers, hits.c.read_id.label("its_read"))
        .join(hits, _its_hit())
        .where(hit_answers.c.waiting.is_(True))
        .order_by(hit_answers.c.unit_id, hit_answers.c.beginning, hit_answers.c.sequence)
    ).all()
    for row in rows:
        key = hits.c.read_id == row.its_read, hits.c.hit_id == row.hit_id
        values = {"car_disposition": row.answer}
        # What the department said counts, whenever the car said what.
        if not _judged(connection, row.its_read, row.hit_id):
            values |= {"disposition": row.answer, "standing": standing_of(row.answer, "")}
        connection.execute(update(hits).where(*key).values(values))
    _no_longer_waiting(connection, rows)


def _judged(connection: Connection, read_id: str, hit_id: str) -> bool:
    wanted = dispositions.c.read_id == read_id, dispositions.c.hit_id == hit_id
    return connection.execute(select(dispositions.c.number).where(*wanted).limit(1)).first() is not None


def _no_longer_waiting(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    for row in rows:
        connection.execute(
            update(hit_answers)
            .where(
                hit_answers.c.unit_id == row.unit_id,
                hit_answers.c.beginning == row.beginning,
                hit_answers.c.sequence == row.sequence,
            )
            .values(waiting=False)
        )
