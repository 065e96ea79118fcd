"""The units of the department in numbers, all reads counted: for a report. The page is `fleet`'s."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from server.tables import reads, units


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A unit as the page shows it."""

    unit_id: str
    revoked: bool
    enrolled_at: datetime
    certificate_expires_at: datetime
    last_batch_at: datetime | None
    quiet_days: int
    """Whole days since its last batch, or since it was enrolled; at 30 the policies' limit is reached."""
    reads: int
    state: str
    """"online", "offline"; "unknown" where it said nothing yet."""
    status_at: datetime | None


def all_units(connection: Connection, now: datetime) -> list[UnitRow]:
    """Return every unit ever enrolled, by its id."""
    held = select(reads.c.unit_id, func.count().label("held")).group_by(reads.c.unit_id).subquery()
    rows = connection.execute(
        select(units, held.c.held)
        .outerjoin(held, held.c.unit_id == units.c.unit_id)
        .order_by(units.c.unit_id)
    )
    return [
        UnitRow(
            unit_id=row.unit_id,
            revoked=row.revoked_at is not None,
            enrolled_at=row.enrolled_at,
            certificate_expires_at=row.certificate_expires_at,
            last_batch_at=row.last_batch_at,
            quiet_days=(now - (row.last_batch_at or row.enrolled_at)).days,
            reads=row.held or 0,
            state=row.state or "unknown",
            status_at=row.state_at,
        )
        for row in rows
    ]
