"""What the department holds, in numbers: no plate, no place, so that it may be shown to anyone who asks."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from server.audit import AuditHead, verify
from server.database import reading
from server.department import Department
from server.hotlists import Published
from server.overview import UnitRow, all_units
from server.tables import batches, hits, reads


@dataclass(frozen=True, slots=True)
class Holdings:
    """The department at one moment."""

    units: tuple[UnitRow, ...]
    reads: int
    oldest: datetime | None
    """When the oldest read held was made, aware UTC; None: none is held."""
    batches: int
    receipted: int
    """Reads that the receipts given so far name."""
    hits: tuple[tuple[str, str, int], ...]
    """List, kind of match, count."""
    quarantined: int
    """Batches whose seal or form was broken; a person should look."""
    hotlist: Published | None
    audit: AuditHead


def holdings(department: Department, now: datetime) -> Holdings:
    """Return what *department* holds at *now*. Raises AuditBrokenError if the access log was altered."""
    quarantine = department.folder.quarantine
    with reading(department.engine) as connection:
        count, oldest = connection.execute(select(func.count(), func.min(reads.c.settled_at))).one()
        taken, receipted = connection.execute(select(func.count(), func.sum(batches.c.reads))).one()
        return Holdings(
            units=tuple(all_units(connection, now)),
            reads=count,
            oldest=oldest,
            batches=taken,
            receipted=receipted or 0,
            hits=_hits(connection),
            quarantined=sum(1 for _ in quarantine.iterdir()) if quarantine.is_dir() else 0,
            hotlist=department.hotlists.newest(),
            audit=verify(connection, None),
        )


def _hits(connection: Connection) -> tuple[tuple[str, str, int], ...]:
    rows = connection.execute(
        select(hits.c.list_name, hits.c.kind, func.count())
        .group_by(hits.c.list_name, hits.c.kind)
        .order_by(hits.c.list_name, hits.c.kind)
    )
    return tuple((str(name), str(kind), int(count)) for name, kind, count in rows)
