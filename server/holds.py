"""Legal holds: orders that keep reads from every purge, until another person lifts them.

A hold names a plate, a place, a time, a case or single reads. What it covers is asked anew at each purge:
reads that come in later are held as well.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, false, func, insert, or_, select, update

from server.access import Purpose
from server.actors import Actor, recorded
from server.database import reading, writing
from server.errors import RetentionRefusedError
from server.records import Place, ReadQuery, plate_pattern
from server.tables import audit, legal_hold_reads, legal_holds, reads

LONGEST_RADIUS_M = 50_000.0
MOST_READS = 500
MOST_COUNTED = 10_000
"""A hold on a month keeps millions of reads; the page says "more than" so many."""


class HoldKind(StrEnum):
    """What a hold names."""

    PLATE = "plate"
    PLACE = "place"
    TIME = "time"
    CASE = "case"
    READS = "reads"


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

    Raises RetentionRefusedError if it names nothing that can be held, or says not by whose authority.
    """
    if not authority.strip() or not case_number.strip():
        raise RetentionRefusedError("a hold needs who ordered it and the case number")
    _condition(kind, subject)
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


def kept_by(engine: Engine) -> dict[int, int]:
    """Return of each hold in force how many reads that are there now it keeps, counted up to one more than
    `MOST_COUNTED`."""
    with writing(engine) as connection:
        refresh(connection)
    # Apart from the other block: counting must not keep units from handing in their reads.
    with reading(engine) as connection:
        return {
            hold.hold_id: connection.execute(
                select(func.count()).select_from(
                    select(reads.c.read_id)
                    .where(_condition(hold.kind, hold.subject, hold.hold_id))
                    .limit(MOST_COUNTED + 1)
                    .subquery()
                )
            ).scalar_one()
            for hold in holds_in(connection)
            if hold.lifted_at is None
        }


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
    shown for the case since."""
    for hold in holds_in(connection):
        if hold.lifted_at is None and hold.kind is HoldKind.CASE:
            _remember(connection, hold.hold_id, shown_under(connection, str(hold.subject["case_number"])))


def held(connection: Connection) -> ColumnElement[bool]:
    """Return the condition on `reads` that is true of all that holds in force keep, else false. Of a case it
    is true of what `refresh` last found.

    A read without a place is in no place: no hold on one keeps it.
    """
    conditions = [
        _condition(hold.kind, hold.subject, hold.hold_id)
        for hold in holds_in(connection)
        if hold.lifted_at is None
    ]
    # What a read lacks (a place, a prefix) makes a comparison null, whose negation is null too.
    kept: ColumnElement[bool] = func.coalesce(or_(false(), *conditions), false())
    return kept


def _condition(kind: HoldKind, subject: dict[str, Any], hold_id: int = 0) -> ColumnElement[bool]:
    try:
        match kind:
            case HoldKind.PLATE:
                return _plate(str(subject["plate"]))
            case HoldKind.PLACE:
                return _place(**{name: float(subject[name]) for name in _PLACE})
            case HoldKind.TIME:
                return _time(subject)
            case HoldKind.CASE | HoldKind.READS:
                return _reads(kind, subject, hold_id)
    except (KeyError, TypeError, ValueError) as error:
        raise RetentionRefusedError(f"a hold on a {kind.value} needs other fields: {error}") from None


_PLACE = ("latitude_deg", "longitude_deg", "radius_m")


def _plate(plate: str) -> ColumnElement[bool]:
    pattern = plate_pattern(ReadQuery(plate))
    if len(pattern.replace("%", "").replace("_", "")) < 2:
        raise RetentionRefusedError("a hold on a plate needs at least two of its characters")
    forms = (reads.c.plate_folded, reads.c.prefix_first_folded, reads.c.prefix_last_folded)
    if "_" in pattern or "%" in pattern:
        return or_(*(form.like(pattern) for form in forms))
    return or_(*(form == pattern for form in forms))


def _place(latitude_deg: float, longitude_deg: float, radius_m: float) -> ColumnElement[bool]:
    if not (-90 <= latitude_deg <= 90 and -180 <= longitude_deg <= 180 and 0 < radius_m <= LONGEST_RADIUS_M):
        raise RetentionRefusedError(f"a place is degrees and a radius of at most {LONGEST_RADIUS_M:.0f} m")
    # The square around the circle: a hold may keep more than it names, never less.
    south, north, west, east = Place(latitude_deg, longitude_deg, radius_m).sides
    return and_(reads.c.latitude_deg.between(south, north), reads.c.longitude_deg.between(west, east))


def _time(subject: dict[str, Any]) -> ColumnElement[bool]:
    since, until = (datetime.fromisoformat(subject[name]) for name in ("since", "until"))
    if since.tzinfo is None or until.tzinfo is None or since >= until:
        raise RetentionRefusedError("a hold on a time needs since and until, with their timezone, in order")
    # Both ends of a read: a vehicle in view when the time begins or ends is held.
    during = and_(reads.c.settled_at >= since, reads.c.first_seen_at <= until)
    return and_(during, reads.c.unit_id == subject["unit"]) if subject.get("unit") else during


def _reads(kind: HoldKind, subject: dict[str, Any], hold_id: int) -> ColumnElement[bool]:
    if kind is HoldKind.CASE and not str(subject["case_number"]).strip():
        raise RetentionRefusedError("a hold on a case needs its number")
    if kind is HoldKind.READS and not 0 < len(subject["ids"]) <= MOST_READS:
        raise RetentionRefusedError(f"a hold on reads names 1 to {MOST_READS} of them")
    own = select(legal_hold_reads.c.read_id).where(legal_hold_reads.c.hold_id == hold_id)
    return reads.c.read_id.in_(own)


def _remember(connection: Connection, hold_id: int, ids: Iterable[str]) -> None:
    known = set(
        connection.execute(
            select(legal_hold_reads.c.read_id).where(legal_hold_reads.c.hold_id == hold_id)
        ).scalars()
    )
    new = [{"hold_id": hold_id, "read_id": each} for each in sorted({*map(str, ids)} - known)]
    if new:
        connection.execute(insert(legal_hold_reads), new)


def shown_under(connection: Connection, case_number: str) -> list[str]:
    """Return the reads that anybody was shown for a case, as the access log has it."""
    found: set[str] = set()
    for (detail,) in connection.execute(select(audit.c.detail).where(audit.c.case_number == case_number)):
        fields = json.loads(detail)
        shown = fields.get("shown")
        if isinstance(shown, list):
            found.update(map(str, shown))
        if isinstance(fields.get("read"), str):
            found.add(fields["read"])
    return sorted(found)


def _of_case(actor: Actor, case_number: str) -> Actor:
    """The hold's case is what its entries of the access log are found by."""
    return replace(actor, purpose=Purpose(actor.purpose.code, case_number))
