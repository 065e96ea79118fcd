"""What a legal hold may name, refused where it names something else than the person means; and of which reads
it is true."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, not_, or_, select

from server.errors import RetentionRefusedError
from server.hold_cases import incidents_of
from server.records import Place, ReadQuery, plate_pattern
from server.retention_clock import sure_of_time
from server.tables import batches, legal_hold_reads, reads, units

LONGEST_RADIUS_M = 50_000.0
MOST_READS = 500
_MOST_NAMED = 10
_PLACE = ("latitude_deg", "longitude_deg", "radius_m")
_BETWEEN = re.compile(r"[,\s]+")
_NOT_OF_A_PLATE = re.compile(r"[^A-Za-z0-9?* -]")
"""Blanks and hyphens stand in plates as they are written, and no plate differs by them."""


class HoldKind(StrEnum):
    """What a hold names."""

    PLATE = "plate"
    PLACE = "place"
    TIME = "time"
    CASE = "case"
    READS = "reads"


def tidied(kind: HoldKind, subject: dict[str, Any]) -> dict[str, Any]:
    """Return *subject* as it is stored: without blanks around, ids apart, each once.

    Raises RetentionRefusedError if it names nothing that can be held.
    """
    try:
        match kind:
            case HoldKind.PLATE:
                subject = {"plate": _plate_text(str(subject["plate"]))}
            case HoldKind.PLACE:
                subject = {name: float(subject[name]) for name in _PLACE}
                _place(**subject)
            case HoldKind.TIME:
                subject = {**subject, "unit": str(subject.get("unit") or "").strip()}
                _span(subject)
            case HoldKind.CASE:
                subject = {"case_number": str(subject["case_number"]).strip()}
                if not subject["case_number"]:
                    raise RetentionRefusedError("a hold on a case needs its number")
            case HoldKind.READS:
                said = _BETWEEN.split(" ".join(map(str, subject["ids"])))
                subject = {"ids": sorted({*said} - {""})}
                if not 0 < len(subject["ids"]) <= MOST_READS:
                    raise RetentionRefusedError(f"a hold on reads names 1 to {MOST_READS} of them")
    except (KeyError, TypeError, ValueError) as error:
        raise _other_fields(kind, error) from None
    return subject


def require_known(connection: Connection, kind: HoldKind, subject: dict[str, Any]) -> None:
    """Raises RetentionRefusedError if *subject*, tidied before, names a unit or a read that is not there."""
    if kind is HoldKind.TIME and subject["unit"]:
        known = connection.execute(select(units.c.unit_id)).scalars()
        if subject["unit"] not in set(known):
            raise RetentionRefusedError(
                f"there is no unit {_short(subject['unit'])}: capital letters count; see the list of units"
            )
    if kind is HoldKind.READS:
        wanted = reads.c.read_id.in_(subject["ids"])
        held = set(connection.execute(select(reads.c.read_id).where(wanted)).scalars())
        if unknown := [each for each in subject["ids"] if each not in held]:
            raise RetentionRefusedError(
                f"no read is held under {_named(map(_short, unknown))}: each read's page shows its id"
            )


def during(subject: dict[str, Any]) -> ColumnElement[bool]:
    """Return the condition on `reads` that is true of what a hold on a time names by the reads' own times,
    whether they can be believed or not."""
    since, until = _span(subject)
    # Both ends of a read: a vehicle in view when the time begins or ends is held.
    return _of_unit(and_(reads.c.settled_at >= since, reads.c.first_seen_at <= until), subject)


def condition(
    connection: Connection, kind: HoldKind, subject: dict[str, Any], hold_id: int
) -> ColumnElement[bool]:
    """Return the condition on `reads` that is true of what the hold *hold_id* names.

    Raises RetentionRefusedError if it cannot be read.
    """
    try:
        match kind:
            case HoldKind.PLATE:
                return _plate(str(subject["plate"]))
            case HoldKind.PLACE:
                return _place(**{name: float(subject[name]) for name in _PLACE})
            case HoldKind.TIME:
                return or_(during(subject), _came_in(connection, subject))
            case HoldKind.READS:
                return _remembered(hold_id)
            case HoldKind.CASE:
                incidents = incidents_of(connection, str(subject["case_number"]))
                return or_(_remembered(hold_id), reads.c.incident.in_(incidents))
    except (KeyError, TypeError, ValueError) as error:
        raise _other_fields(kind, error) from None


def _plate_text(plate: str) -> str:
    if dropped := sorted(set(_NOT_OF_A_PLATE.findall(plate.strip()))):
        names = (unicodedata.name(each, f"U+{ord(each):04X}") for each in dropped)
        raise RetentionRefusedError(
            f"a plate has only A to Z, 0 to 9, blanks and hyphens, and ? and * for what is not known: "
            f"not {_named(names)}"
        )
    _plate(plate)
    return plate.strip()


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


def _span(subject: dict[str, Any]) -> tuple[datetime, datetime]:
    since, until = (datetime.fromisoformat(subject[name]) for name in ("since", "until"))
    if since.tzinfo is None or until.tzinfo is None or since >= until:
        raise RetentionRefusedError("a hold on a time needs since and until, with their timezone, in order")
    return since, until


def _came_in(connection: Connection, subject: dict[str, Any]) -> ColumnElement[bool]:
    """Of reads whose own time is not to be believed, purges go by the arrival: so does a hold. A time later
    than the arrival is none either."""
    since, until = _span(subject)
    then = exists().where(batches.c.batch_id == reads.c.batch_id, batches.c.received_at.between(since, until))
    early = exists().where(batches.c.batch_id == reads.c.batch_id, batches.c.received_at < reads.c.settled_at)
    return _of_unit(and_(then, or_(not_(sure_of_time(connection)), early)), subject)


def _of_unit(condition: ColumnElement[bool], subject: dict[str, Any]) -> ColumnElement[bool]:
    return and_(condition, reads.c.unit_id == subject["unit"]) if subject.get("unit") else condition


def _remembered(hold_id: int) -> ColumnElement[bool]:
    return reads.c.read_id.in_(
        select(legal_hold_reads.c.read_id).where(legal_hold_reads.c.hold_id == hold_id)
    )


def _other_fields(kind: HoldKind, error: Exception) -> RetentionRefusedError:
    return RetentionRefusedError(f"a hold on a {kind.value} needs other fields: {error}")


def _short(name: str) -> str:
    return name if len(name) <= 64 else f"{name[:61]}..."


def _named(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _MOST_NAMED
    return ", ".join(every[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
