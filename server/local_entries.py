"""What the department does with units' local entries: see them, offer one to all units, refuse it.

A person decides; `local_publishing` brings about what follows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select, update

from hotlist_cache.entry import Priority
from server.audit import Deed, append
from server.database import writing
from server.errors import HotlistRefusedError
from server.hotlist_deeds import place_of
from server.local_books import OFFERED, REFUSED, WITHDRAWN
from server.tables import local_entries, local_suppressions


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """A local entry as the department holds it."""

    unit_id: str
    entry_id: str
    pattern: str = field(repr=False)
    jurisdiction: str | None
    priority: Priority
    officer: str
    purpose: str
    case_number: str
    expires_at: datetime
    state: str
    decided_by: str
    until: datetime | None
    """When it ends for other units; None: it was never offered."""


@dataclass(frozen=True, slots=True)
class KnownSuppression:
    """A suppression as the department holds it."""

    unit_id: str
    suppression_id: str
    plate: str = field(repr=False)
    entry_id: str
    officer: str
    reason: str
    expires_at: datetime
    supervisor: str
    state: str


def known(
    engine: Engine, *, actor: str, now: datetime, everything: bool = False, officer: str = ""
) -> tuple[list[KnownEntry], list[KnownSuppression]]:
    """Return what units hold now, by unit; with *everything* also what is over or withdrawn, of *officer*
    alone if one is named. *actor* saw it: the access log says so."""
    with writing(engine) as connection:
        entries = [
            KnownEntry(
                row.unit_id,
                row.entry_id,
                row.pattern,
                row.jurisdiction,
                Priority(row.priority),
                row.officer,
                row.purpose,
                row.case_number,
                row.expires_at,
                row.state,
                row.decided_by or "",
                row.until,
            )
            for row in _rows(connection, local_entries, now, everything, officer)
        ]
        suppressions = [
            KnownSuppression(
                row.unit_id,
                row.suppression_id,
                row.plate,
                row.entry_id,
                row.officer,
                row.reason,
                row.expires_at,
                row.supervisor,
                row.state,
            )
            for row in _rows(connection, local_suppressions, now, everything, officer)
        ]
        detail = {"entries": len(entries), "suppressions": len(suppressions)}
        append(connection, Deed(actor, "local_entry.list", source=place_of(actor), detail=detail), now)
    return entries, suppressions


def offer(
    engine: Engine, unit_id: str, entry_id: str, *, until: datetime | None, actor: str, now: datetime
) -> datetime:
    """Let a unit's entry be listed for all units until *until* (aware UTC), or as long as its officer meant
    it; return when it ends. Units are given it by `local_publishing`.

    Raises HotlistRefusedError if there is none, if it is over or withdrawn, if *until* is not before its own
    end, or if *actor* is the officer who added it.
    """
    with writing(engine) as connection:
        row = _entry(connection, unit_id, entry_id)
        problem = None
        ends = row.expires_at if until is None else until
        if row.state == WITHDRAWN:
            problem = "was removed by its officer"
        elif row.state == OFFERED or row.feed is not None:
            problem = "is on a list already: refuse it first, and offer it again once it is withdrawn"
        elif row.expires_at <= now:
            problem = "is over"
        elif not now < ends <= row.expires_at:
            problem = (
                f"ends by itself at {row.expires_at:%Y-%m-%dT%H:%MZ}: --until must be before, and to come"
            )
        elif row.officer.strip().casefold() in _names(actor):
            problem = "was added by you: somebody else must offer it"
        _note(connection, row, "offer", problem, actor=actor, now=now, until=ends, state=OFFERED)
    if problem is not None:
        raise HotlistRefusedError(f"local entry {entry_id} of {unit_id} {problem}")
    return ends


def refuse(engine: Engine, unit_id: str, entry_id: str, *, actor: str, now: datetime) -> None:
    """Let a unit's entry be that unit's alone; one that was offered is withdrawn by `local_publishing`.

    Raises HotlistRefusedError if there is none, or if it was removed by its officer.
    """
    with writing(engine) as connection:
        row = _entry(connection, unit_id, entry_id)
        problem = "was removed by its officer" if row.state == WITHDRAWN else None
        _note(connection, row, "refuse", problem, actor=actor, now=now, state=REFUSED)
    if problem is not None:
        raise HotlistRefusedError(f"local entry {entry_id} of {unit_id} {problem}")


def _entry(connection: Connection, unit_id: str, entry_id: str) -> Row[Any]:
    table = local_entries
    row = connection.execute(
        select(table).where(table.c.unit_id == unit_id, table.c.entry_id == entry_id)
    ).first()
    if row is None:
        raise HotlistRefusedError(
            f"unit {unit_id} has no local entry {entry_id}; see `alpr-server hotlist local list`"
        )
    return row


def _note(
    connection: Connection,
    row: Row[Any],
    deed: str,
    problem: str | None,
    *,
    actor: str,
    now: datetime,
    **values: object,
) -> None:
    """Decide on an entry, unless there is a *problem*; either is in the access log."""
    detail = {"unit": row.unit_id, "entry": row.entry_id, "officer": row.officer}
    if problem is None:
        table = local_entries
        connection.execute(
            update(table)
            .where(table.c.unit_id == row.unit_id, table.c.entry_id == row.entry_id)
            .values(decided_by=actor, decided_at=now, **values)
        )
    else:
        detail["why"] = problem
    outcome = "success" if problem is None else "refused"
    case_number = row.case_number[:64]
    append(
        connection,
        Deed(
            actor,
            f"local_entry.{deed}",
            outcome,
            case_number=case_number,
            source=place_of(actor),
            detail=detail,
        ),
        now,
    )


def _names(actor: str) -> set[str]:
    """Return how the person *actor* may have called themselves on a unit."""
    name = actor.casefold()
    return {name, name.removeprefix("console:")}


def _rows(
    connection: Connection, table: Any, now: datetime, everything: bool, officer: str
) -> Sequence[Row[Any]]:
    query = select(table).order_by(table.c.unit_id, table.c.added_at)
    if officer:
        query = query.where(func.lower(func.trim(table.c.officer)) == officer.strip().lower())
    if not everything:
        query = query.where(table.c.state != WITHDRAWN, table.c.expires_at > now)
    return connection.execute(query).all()
