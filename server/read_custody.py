"""How a read came to the department, and who looked at it there."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from server.tables import audit, batches

MOST_SEEN = 200


@dataclass(frozen=True, slots=True)
class Arrival:
    """The batch that brought it."""

    batch_id: str
    made_at: datetime
    received_at: datetime
    reads: int
    digest: str
    """SHA-256 of the batch, hexadecimal: what the signed receipt names."""


@dataclass(frozen=True, slots=True)
class Look:
    """One entry of the access log that says the read was shown."""

    sequence: int
    at: datetime
    actor: str
    action: str
    purpose: str
    case_number: str


def arrival_of(connection: Connection, batch_id: str) -> Arrival | None:
    """Return how the batch came."""
    row = connection.execute(
        select(batches.c.made_at, batches.c.received_at, batches.c.reads, batches.c.digest).where(
            batches.c.batch_id == batch_id
        )
    ).first()
    if row is None:
        return None
    return Arrival(batch_id, row.made_at, row.received_at, row.reads, bytes(row.digest).hex())


def looks_at(connection: Connection, read_id: str, most: int = MOST_SEEN) -> list[Look]:
    """Return who was shown the read, newest first, at most *most*: the whole access log is gone through."""
    # The text only narrows: "_" in an id stands for any character in LIKE, and an id may be part of another.
    naming = audit.c.detail.like(f'%"{read_id}"%')
    rows = connection.execute(select(audit).where(naming).order_by(audit.c.sequence.desc()))
    found: list[Look] = []
    for row in rows:
        detail = json.loads(row.detail)
        shown = detail.get("shown")
        if read_id == detail.get("read") or (isinstance(shown, list) and read_id in shown):
            why = (row.purpose, row.case_number)
            found.append(Look(row.sequence, row.at, row.actor, row.action, *why))
            if len(found) == most:
                break
    return found
