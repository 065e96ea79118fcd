"""Entries that a list's owner should correct: those of hits that were no longer wanted.

A ticket is there as soon as a disposition says so, in the car or at the department, and while the hit is
held. What became of it is appended: sent to the list's owner, answered by them, or dropped.
"""

import csv
import io
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from hotlist_cache.verification import Disposition
from server.actors import Actor, recorded
from server.cells import cell
from server.dispositions import MOST_NOTE, require_judge
from server.errors import HitRefusedError
from server.hit_tables import correction_steps
from server.release_errors import ReleaseRefusedError
from server.tables import hits
from server.texts import line_of


class TicketState(StrEnum):
    """Where a correction stands."""

    OPEN = "open"
    SENT = "sent"
    ANSWERED = "answered"
    DROPPED = "dropped"


_AFTER = {
    TicketState.OPEN: (TicketState.SENT, TicketState.DROPPED),
    TicketState.SENT: (TicketState.ANSWERED, TicketState.DROPPED),
    TicketState.ANSWERED: (TicketState.SENT,),
    TicketState.DROPPED: (TicketState.SENT,),
}
"""What may follow: an answer may be no help, so that it is sent again."""
COLUMNS = ("list", "entry", "listed_plate", "hits", "last_seen_listed", "list_issued", "state")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done about a ticket."""

    state: TicketState
    done_by: str
    done_at: datetime
    note: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ticket:
    """One entry to be corrected."""

    list_name: str
    entry_id: str
    pattern: str = field(repr=False)
    hits: int
    """So many were no longer wanted."""
    newest: datetime
    """When its plate was last seen."""
    list_issued_at: datetime
    """Of the newest list that still had it."""
    read_id: str
    """Of that hit."""
    hit_id: str
    steps: tuple[Step, ...] = ()

    @property
    def state(self) -> TicketState:
        """Where it stands."""
        return self.steps[-1].state if self.steps else TicketState.OPEN

    @property
    def following(self) -> tuple[TicketState, ...]:
        """What may be done about it next."""
        return _AFTER[self.state]

    @property
    def listed_again(self) -> bool:
        """Whether a list issued after the owner's answer still had it."""
        return self.state is TicketState.ANSWERED and self.list_issued_at > self.steps[-1].done_at


def tickets(connection: Connection) -> list[Ticket]:
    """Return every ticket, the newest first."""
    rows = connection.execute(
        select(hits)
        .where(hits.c.disposition == Disposition.NO_LONGER_WANTED.value)
        .order_by(hits.c.settled_at.desc(), hits.c.read_id, hits.c.hit_id)
    ).all()
    by_entry: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        by_entry.setdefault((row.list_name, row.entry_id), []).append(row)
    steps = _steps(connection)
    return [
        Ticket(
            list_name,
            entry_id,
            found[0].pattern,
            len(found),
            found[0].settled_at,
            max(each.list_issued_at for each in found),
            found[0].read_id,
            found[0].hit_id,
            tuple(steps.get((list_name, entry_id), ())),
        )
        for (list_name, entry_id), found in by_entry.items()
    ]


def advance(
    engine: Engine, list_name: str, entry_id: str, *, state: str, note: str, actor: Actor, now: datetime
) -> None:
    """Write down what was done about a ticket. Raises HitRefusedError with what to tell the person."""
    detail = {"list": list_name[:128], "entry": entry_id[:128], "state": state[:16]}
    with recorded(engine, actor, "correction.advance", detail, now) as connection:
        require_judge(actor)
        wanted = (list_name, entry_id)
        found = next(
            (each for each in tickets(connection) if (each.list_name, each.entry_id) == wanted), None
        )
        if found is None:
            raise HitRefusedError("no hit of this entry is held that was no longer wanted")
        if state not in found.following:
            following = " or ".join(found.following)
            raise HitRefusedError(f"this one is {found.state.value}: it can be {following}")
        try:
            line = line_of("the note", note, MOST_NOTE) if note.strip() else ""
        except ReleaseRefusedError as error:
            raise HitRefusedError(str(error)) from None
        connection.execute(
            insert(correction_steps).values(
                list_name=list_name,
                entry_id=entry_id,
                state=state,
                done_by=actor.name,
                done_at=now,
                note=line,
            )
        )


def as_csv(found: list[Ticket], department: str, taken_by: str, now: datetime) -> str:
    """Return tickets for a list's owner (RFC 4180): no place, no picture, nobody's name but who sends it."""
    out = io.StringIO()
    title = " ".join(department.split())
    out.write(f"# {title}: entries that an officer found no longer wanted; please correct them\r\n")
    out.write(f"# made by {taken_by} at {now:%Y-%m-%d %H:%M} UTC\r\n")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for each in found:
        values = (
            each.list_name,
            each.entry_id,
            each.pattern,
            each.hits,
            each.newest.isoformat(),
            each.list_issued_at.isoformat(),
            each.state.value,
        )
        writer.writerow([cell(value) for value in values])
    return out.getvalue()


def _steps(connection: Connection) -> dict[tuple[str, str], list[Step]]:
    found: dict[tuple[str, str], list[Step]] = {}
    for row in connection.execute(select(correction_steps).order_by(correction_steps.c.number)):
        step = Step(TicketState(row.state), row.done_by, row.done_at, row.note)
        found.setdefault((row.list_name, row.entry_id), []).append(step)
    return found
