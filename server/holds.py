"""Legal holds: orders that keep reads from every purge, until another person lifts them.

A hold names a plate, a place, a time, a case or single reads. What it covers is asked anew at each purge:
reads that come in later are held as well.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, false, insert, or_, select, update

from server.access import Purpose
from server.actors import Actor, recorded
from server.database import reading, writing
from server.errors import RetentionRefusedError
from server.hold_cases import cases_in, counted_by, entries_of
from server.hold_corrections import or_corrects, with_corrections
from server.hold_subjects import HoldKind, condition, during, require_known, tidied
from server.tables import legal_hold_reads, legal_holds

__all__ = ["MOST_COUNTED", "Hold", "HoldKind", "all_holds", "counted", "held", "holds_in", "kept_by", "lift"]
__all__ += ["place", "refresh", "shown_under"]

MOST_COUNTED = 10_000
"""A hold on a month keeps millions of reads; the page says "more than" so many."""


@dataclass(frozen=True, slots=True)
class Hold:
    """An order that keeps reads."""

    hold_id: int
    kind: HoldKind
    subject: dict[str, Any] = field(repr=False)
    """Of a plate: `plate`, as it may be searched for. Of a place: `latitude_deg`, `longitude_deg` and
    `radius_m`. Of a time: `since`, `until` and, if it is for one unit, `unit`. Of a case: `case_number`. Of
    reads: `ids`."""
    authority: str
    """Who ordered it: court, prosecutor, counsel, with the order's number."""
    case_number: str
    placed_by: str
    placed_at: datetime
    """Aware UTC."""
    lifted_by: str
    """Empty while it holds."""
    lifted_at: datetime | None
    lift_reason: str


def place(
    engine: Engine,
    kind: HoldKind,
    subject: dict[str, Any],
    *,
    authority: str,
    case_number: str,
    actor: Actor,
    now: datetime,
) -> int:
    """Keep from now on what *subject* names, and return the hold's number.

    Raises RetentionRefusedError if it names nothing that can be held, a read or a unit that is not there, or
    says not by whose authority.
    """
    authority, case_number = authority.strip(), case_number.strip()
    if not authority or not case_number:
        raise RetentionRefusedError("a hold needs who ordered it and the case number")
    subject = tidied(kind, subject)
    row = {
        "kind": kind.value,
        "subject": json.dumps(subject, sort_keys=True),
        "authority": authority,
        "case_number": case_number,
        "placed_by": actor.name,
        "placed_at": now,
    }
    detail: dict[str, Any] = dict(subject)
    with recorded(engine, _of_case(actor, case_number), "hold.place", detail, now) as connection:
        require_known(connection, kind, subject)
        result = connection.execute(insert(legal_holds).values(row))
        assert result.inserted_primary_key is not None
        detail["hold"] = hold_id = int(result.inserted_primary_key[0])
        if kind is HoldKind.READS:
            _remember(connection, hold_id, subject["ids"])
    return hold_id


def lift(engine: Engine, hold_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
    """End a hold. It stays on record.

    Raises RetentionRefusedError if there is none in force, *actor* placed it, or no reason is given.
    """
    if not reason.strip():
        raise RetentionRefusedError("lifting a hold needs a reason: who decided it, and how that is known")
    hold = next((each for each in all_holds(engine) if each.hold_id == hold_id), None)
    actor = _of_case(actor, "" if hold is None else hold.case_number)
    detail: dict[str, Any] = {"hold": hold_id, "reason": reason}
    with recorded(engine, actor, "hold.lift", detail, now) as connection:
        hold = next((each for each in holds_in(connection) if each.hold_id == hold_id), None)
        if hold is None or hold.lifted_at is not None:
            raise RetentionRefusedError(f"hold {hold_id} is not in force: see `alpr-server hold list`")
        if actor.is_person(hold.placed_by):
            raise RetentionRefusedError(
                f"hold {hold_id} was placed by {hold.placed_by}: another person must lift it"
            )
        connection.execute(
            update(legal_holds)
            .where(legal_holds.c.hold_id == hold_id)
            .values(lifted_by=actor.name, lifted_at=now, lift_reason=reason)
        )


def all_holds(engine: Engine) -> list[Hold]:
    """Return every hold there ever was, the newest first."""
    with reading(engine) as connection:
        return holds_in(connection)


def kept_by(engine: Engine, only: int | None = None) -> dict[int, int]:
    """Return of each hold in force, or of that numbered *only*, how many reads that are there now it keeps,
    counted up to one more than `MOST_COUNTED`."""
    with writing(engine) as connection:
        refresh(connection)
    # Apart from the other block: counting must not keep units from handing in their reads.
    with reading(engine) as connection:
        return {
            hold.hold_id: _count(connection, hold)
            for hold in holds_in(connection)
            if hold.lifted_at is None and only in (None, hold.hold_id)
        }


def counted(count: int) -> str:
    """Return how a count of `kept_by` is said."""
    if count > MOST_COUNTED:
        return f"more than {MOST_COUNTED:,} reads"
    return "1 read" if count == 1 else f"{count:,} reads"


def holds_in(connection: Connection) -> list[Hold]:
    """The same in the caller's transaction."""
    rows = connection.execute(select(legal_holds).order_by(legal_holds.c.hold_id.desc()))
    return [
        Hold(
            row.hold_id,
            HoldKind(row.kind),
            json.loads(row.subject),
            row.authority,
            row.case_number,
            row.placed_by,
            row.placed_at,
            row.lifted_by or "",
            row.lifted_at,
            row.lift_reason or "",
        )
        for row in rows
    ]


def refresh(connection: Connection) -> None:
    """Bring up to date, in a `writing` block, which reads the holds on cases cover: those that anybody was
    shown for the case since, and those that a canvass for it counted."""
    of_cases = [
        hold for hold in holds_in(connection) if hold.lifted_at is None and hold.kind is HoldKind.CASE
    ]
    cases = cases_in(connection) if of_cases else []
    for hold in of_cases:
        known = _known(connection, hold.hold_id)
        found: set[str] = set()
        for entry in entries_of(connection, str(hold.subject["case_number"]), cases):
            found |= entry.shown
            # Counted once: each step of a purge comes by here. What tells is kept with the reads themselves.
            if entry.is_canvass and (mark := f"entry {entry.sequence} of the access log") not in known:
                found |= {mark, *counted_by(connection, entry)}
        _remember(connection, hold.hold_id, found - known)


def held(connection: Connection, corrected: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """Return the condition on `reads` that is true of all that holds in force keep, else false. Of a case it
    is true of what `refresh` last found. What a held read corrects, and what corrects it, is held too.

    A read without a place is in no place: no hold on one keeps it. *corrected* is as `or_corrects` has it.
    """
    conditions = [
        condition(connection, hold.kind, hold.subject, hold.hold_id)
        for hold in holds_in(connection)
        if hold.lifted_at is None
    ]
    return or_corrects(connection, or_(*conditions), corrected) if conditions else false()


def shown_under(connection: Connection, case_number: str) -> list[str]:
    """Return the reads that anybody was shown for a case, as the access log has it."""
    entries = entries_of(connection, case_number, cases_in(connection))
    return sorted({each for entry in entries for each in entry.shown})


def _count(connection: Connection, hold: Hold) -> int:
    covers = [condition(connection, hold.kind, hold.subject, hold.hold_id)]
    if hold.kind is HoldKind.TIME:
        # Their own times are in an index, arrivals are not: of a long time these alone are more than enough.
        covers.insert(0, during(hold.subject))
    found = set[str]()
    for each in covers:
        if len(found) <= MOST_COUNTED:
            found = with_corrections(connection, each, MOST_COUNTED + 1)
    return min(len(found), MOST_COUNTED + 1)


def _known(connection: Connection, hold_id: int) -> set[str]:
    own = select(legal_hold_reads.c.read_id).where(legal_hold_reads.c.hold_id == hold_id)
    return set(connection.execute(own).scalars())


def _remember(connection: Connection, hold_id: int, ids: Iterable[str]) -> None:
    new = [{"hold_id": hold_id, "read_id": each} for each in sorted(ids)]
    if new:
        connection.execute(insert(legal_hold_reads), new)


def _of_case(actor: Actor, case_number: str) -> Actor:
    """The hold's case is what its entries of the access log are found by."""
    return replace(actor, purpose=Purpose(actor.purpose.code, case_number))
