"""Which list each unit says that it has, as far as it said anything."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from server.tables import units
from server.unit_words import said_status


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
        said = said_status(row.status)
        if said is None:
            found.append(UnitList(row.unit_id, None, row.status_at, None, stale=False, urgent=None))
            continue
        behind = max(0, newest - said.list_sequence)
        found.append(
            UnitList(
                row.unit_id,
                said.list_sequence,
                row.status_at,
                behind,
                stale=said.list_stale,
                urgent=said.urgent_entries,
            )
        )
    return found
