"""Which list each unit says that it has, as far as it said anything."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from server.tables import units


@dataclass(frozen=True, slots=True)
class UnitList:
    """One unit that is not revoked."""

    unit_id: str
    sequence: int | None
    """Of the list it said it has; 0: it has none. None: it never said."""
    said_at: datetime | None
    """Aware UTC."""
    behind: int | None
    """How many numbers the list in force is ahead; None: it is not known."""
    stale: bool
    """It said that its list is too old to act on."""
    urgent: int | None
    """Entries of the urgent list that it said it has; None: it did not say."""


def unit_lists(connection: Connection, newest: int) -> list[UnitList]:
    """Return every unit by its id; *newest* is the sequence of the list in force, 0 if there is none."""
    rows = connection.execute(
        select(units.c.unit_id, units.c.status, units.c.status_at)
        .where(units.c.revoked_at.is_(None))
        .order_by(units.c.unit_id)
    )
    found = []
    for row in rows:
        said = _object(row.status)
        sequence = _sequence(said)
        behind = None if sequence is None else max(0, newest - sequence)
        stale, urgent = said.get("list_stale") is True, _whole(said.get("urgent_entries"))
        found.append(UnitList(row.unit_id, sequence, row.status_at, behind, stale, urgent))
    return found


def said_sequence(status: str | None) -> int | None:
    """Return the sequence of the list that a unit's *status*, JSON, names; None if it names none.

    It is "list_sequence" (`sync.unit_status`), and "hotlist" of units that are older than that.
    """
    return _sequence(_object(status))


def _sequence(said: Mapping[str, Any]) -> int | None:
    return _whole(said.get("list_sequence", said.get("hotlist")))


def _object(status: str | None) -> Mapping[str, Any]:
    try:
        said: Any = json.loads(status or "null")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
