"""What officers did in vehicles, as reports look at it: the logs that units signed, beside the department's.

What was asked for and the plates that were shown are sealed in them; the department opens them here. Whether
a unit's log is whole is for `unit_logs` to say: here it is read. Times are those that the unit knew.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import Connection, Row, select

from server.audit_entries import SEARCH, Entry, entries_in, entry_of, kind_of
from server.audit_period import Period
from server.errors import AuditBrokenError
from server.tables import unit_log_entries
from sync.access_log import LogBrokenError, LogEntry, LogRecord, open_detail, read_entry
from sync.errors import SealBrokenError


def all_entries(
    connection: Connection, period: Period, unseal: X25519PrivateKey | None, *, plates: bool = False
) -> list[Entry]:
    """Return the entries of the department's log and of all units' logs, oldest first.

    Searches in vehicles are opened with the department's key *unseal*, if given; with *plates* also the
    plates that were shown there, which takes a fraction of a millisecond for each. What does not open is
    marked as such.
    Raises AuditBrokenError if an entry of a unit is malformed.
    """
    found = entries_in(connection, period) + _unit_entries(connection, period, unseal, plates=plates)
    return sorted(found, key=_order)


def entry_at(
    connection: Connection, log: str, sequence: int, unseal: X25519PrivateKey | None = None
) -> Entry | None:
    """Return one entry of the department's log ("") or of a unit's ("unit-07/1"), or None if there is none.

    Raises AuditBrokenError if it is malformed.
    """
    if not log:
        return entry_of(connection, sequence)
    unit_id, _, beginning = log.rpartition("/")
    table = unit_log_entries
    row = connection.execute(
        select(table).where(
            table.c.unit_id == unit_id,
            table.c.beginning == (int(beginning) if beginning.isdecimal() else 0),
            table.c.sequence == sequence,
        )
    ).first()
    return None if row is None else _read(row, unseal, plates=True)


def entries_in_vehicles(connection: Connection, period: Period) -> list[Entry]:
    """Return the entries of all units' logs, by unit and number; nothing is opened.

    Raises AuditBrokenError if an entry of a unit is malformed.
    """
    return _unit_entries(connection, period, None, plates=False)


def _unit_entries(
    connection: Connection, period: Period, unseal: X25519PrivateKey | None, *, plates: bool
) -> list[Entry]:
    table = unit_log_entries
    statement = (
        select(table)
        .where(table.c.at >= period.start, table.c.at < period.end)
        .order_by(table.c.unit_id, table.c.beginning, table.c.sequence)
    )
    return [_read(row, unseal, plates=plates) for row in connection.execute(statement)]


def _read(row: Row[Any], unseal: X25519PrivateKey | None, *, plates: bool) -> Entry:
    try:
        entry = read_entry(LogRecord(row.data, row.signature))
    except LogBrokenError as error:
        raise AuditBrokenError(
            f"access log of unit {row.unit_id}, entry {row.sequence}: {error}; "
            f"see `alpr-server audit unit {row.unit_id}`"
        ) from None
    wanted = plates or kind_of(entry.action) == SEARCH
    opened = _opened(entry, row.unit_id, unseal) if unseal is not None and wanted else {}
    return _entry(entry, row.unit_id, row.beginning, opened)


def _opened(entry: LogEntry, unit_id: str, unseal: X25519PrivateKey) -> dict[str, Any]:
    try:
        secret = open_detail(entry, unit_id, unseal)
    except SealBrokenError:
        return {"unreadable": True}
    if kind_of(entry.action) == SEARCH:
        return {"asked": {"plate": secret.get("asked", "")}}
    # A hit is shown with the plate that was read and the listed one: "READ / LISTED".
    texts = [text.strip() for value in secret.values() for text in value.split("/")]
    return {"plates_shown": texts} if texts else {}


def _entry(entry: LogEntry, unit_id: str, beginning: int, opened: dict[str, Any]) -> Entry:
    detail: dict[str, Any] = {**entry.detail, **opened}
    if "reads" in entry.detail:
        detail["shown"] = entry.detail["reads"].split()
    made = Entry(
        sequence=entry.sequence,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        outcome=entry.outcome,
        purpose=entry.purpose,
        case_number=entry.case_number,
        source=f"unit {unit_id}",
        detail=detail,
    )
    return replace(made, log=f"{unit_id}/{beginning}")


def _order(entry: Entry) -> tuple[datetime, str, int]:
    return entry.at, entry.log, entry.sequence
