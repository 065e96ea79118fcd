"""Take the access log of a unit, piece by piece; a gap or a fork is refused, recorded, and an alarm.

Each entry must follow the newest one that is held, and is signed by the unit. What is held already may come
again, if it is the same. A unit that is enrolled anew begins a new log, under its new key; one whose log was
lost begins a new one when the department says so. What was taken before stays.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection, Engine, func, insert, select, update

from server.audit import Deed, append
from server.database import reading, writing
from server.errors import AuditBrokenError, LogConflictError, NotPermittedError, SettingsInvalidError
from server.intake import Intake, Peer
from server.keys import DepartmentKeys
from server.tables import accounts, audit, unit_log_entries, unit_logs, units
from sync.access_log import (
    LogBrokenError,
    LogEntry,
    LogHead,
    LogPiece,
    LogReceipt,
    LogRecord,
    decode_piece,
    encode_log_receipt,
    followed,
    read_entry,
    start,
)
from sync.errors import SealBrokenError, WireFormatError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HeldLog:
    """One log of a unit, verified from its first entry to its last."""

    beginning: int
    begun_at: datetime
    entries: tuple[LogEntry, ...]
    head: LogHead


class UnitLogs:
    """Takes the logs of one department's units. May be used by several threads."""

    def __init__(self, engine: Engine, keys: DepartmentKeys, intake: Intake) -> None:
        self._engine = engine
        self._keys = keys
        self._intake = intake

    def take(self, peer: Peer, payload: bytes, signature: bytes, now: datetime) -> bytes:
        """Return the receipt for how far the log is held, once the piece is on disk.

        A piece without entries only asks. Raises NotPermittedError, SealBrokenError, WireFormatError,
        LogConflictError (each after an audit entry) or StoreUnavailableError; there is then no receipt.
        """
        unit_key = self._intake.admit(peer, now)
        try:
            piece = decode_piece(payload, signature, unit_key)
            if piece.unit_id != peer.unit_id:
                raise NotPermittedError("access log is another unit's")
            with writing(self._engine) as connection:
                head = _store(connection, piece, unit_key, now)
        except (NotPermittedError, SealBrokenError, WireFormatError, LogConflictError) as error:
            # An alarm: somebody may have cut, exchanged or forged what officers did.
            _log.error("ALARM: access log refused", unit=peer.unit_id, why=str(error))
            detail = {"why": str(error)}
            deed = Deed(
                f"unit:{peer.unit_id}", "unit_log.refuse", "refused", source=peer.address, detail=detail
            )
            with writing(self._engine) as connection:
                append(connection, deed, now)
            if isinstance(error, LogBrokenError):
                raise LogConflictError(str(error)) from error
            raise
        return encode_log_receipt(LogReceipt(peer.unit_id, head, now), self._keys.receipt)


def begin_log_anew(engine: Engine, unit_id: str, *, actor: str, now: datetime) -> None:
    """Take the next log of *unit_id* as a new one: its storage was exchanged, or its log was damaged.

    Raises SettingsInvalidError if there is no such unit, or no log of it is held.
    """
    with writing(engine) as connection:
        row = connection.execute(select(units).where(units.c.unit_id == unit_id)).first()
        beginning = _newest(connection, unit_id)
        if row is None or beginning is None:
            raise SettingsInvalidError(
                f"unit {unit_id!r}: no access log of it is held; nothing is in the way"
            )
        head = _head(connection, unit_id, beginning[0])
        _begin(connection, unit_id, beginning[0] + 1, row.public_key, now)
        detail = {"unit": unit_id, "entries_before": head.sequence}
        append(connection, Deed(actor, "unit_log.begin_anew", detail=detail), now)


def verified_logs(engine: Engine, unit_id: str, noted: LogHead | None = None) -> list[HeldLog]:
    """Return every log that is held of *unit_id*, each verified from its first entry to its last.

    Raises AuditBrokenError naming the first entry that does not fit, or if the head *noted* earlier is in
    none of them; SettingsInvalidError if there is no such unit.
    """
    found = []
    with reading(engine) as connection:
        if connection.execute(select(units.c.unit_id).where(units.c.unit_id == unit_id)).first() is None:
            raise SettingsInvalidError(f"unit {unit_id!r} was never enrolled: see the units page for its id")
        beginnings = connection.execute(
            select(unit_logs).where(unit_logs.c.unit_id == unit_id).order_by(unit_logs.c.beginning)
        ).all()
        for row in beginnings:
            key = Ed25519PublicKey.from_public_bytes(row.public_key)
            records = _records(connection, unit_id, row.beginning)
            try:
                entries = followed(records, start(unit_id), unit_id, key)
            except LogBrokenError as error:
                raise AuditBrokenError(f"access log {row.beginning} of unit {unit_id}: {error}") from None
            head = LogHead(entries[-1].sequence, entries[-1].digest) if entries else start(unit_id)
            found.append(HeldLog(row.beginning, row.begun_at, tuple(entries), head))
    if noted is not None and noted.sequence and not any(_holds(each, noted) for each in found):
        raise AuditBrokenError(f"entry {noted.sequence}, noted earlier, is gone or another: the log was cut")
    return found


def refused_pieces(engine: Engine, unit_id: str) -> list[tuple[datetime, str]]:
    """Return when pieces of the unit's log were refused since its newest log began, and why, oldest first."""
    with reading(engine) as connection:
        begun = connection.execute(
            select(func.max(unit_logs.c.begun_at)).where(unit_logs.c.unit_id == unit_id)
        ).scalar()
        wanted = audit.c.actor == f"unit:{unit_id}", audit.c.action == "unit_log.refuse"
        rows = connection.execute(
            select(audit.c.at, audit.c.detail).where(*wanted).order_by(audit.c.sequence)
        )
        return [
            (row.at, str(json.loads(row.detail)["why"])) for row in rows if begun is None or row.at >= begun
        ]


def _holds(held: HeldLog, noted: LogHead) -> bool:
    return noted.sequence <= len(held.entries) and held.entries[noted.sequence - 1].digest == noted.digest


def _store(connection: Connection, piece: LogPiece, key: Ed25519PublicKey, now: datetime) -> LogHead:
    """Add what is new of *piece*; return the newest entry that is held."""
    unit_id, public = piece.unit_id, key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    newest = _newest(connection, unit_id)
    if newest is None or newest[1] != public:
        beginning = 1 if newest is None else newest[0] + 1
        _begin(connection, unit_id, beginning, public, now)
        if newest is not None:
            detail = {"unit": unit_id, "why": "the unit was enrolled anew"}
            append(connection, Deed(f"unit:{unit_id}", "unit_log.begin_anew", detail=detail), now)
    else:
        beginning = newest[0]
    head = _head(connection, unit_id, beginning)
    fresh = _unheld(connection, piece, beginning, head)
    entries = followed(fresh, head, unit_id, key)
    if not entries:
        return head
    connection.execute(
        insert(unit_log_entries),
        [
            {
                "unit_id": unit_id,
                "beginning": beginning,
                "sequence": entry.sequence,
                "at": entry.at,
                "actor": entry.actor,
                "action": entry.action,
                "outcome": entry.outcome,
                "hit_id": entry.detail.get("hit"),
                "data": record.data,
                "signature": record.signature,
                "digest": entry.digest,
                "received_at": now,
            }
            for entry, record in zip(entries, fresh, strict=True)
        ],
    )
    _keep_alive(connection, entries, now)
    _log.info("access log taken", unit=unit_id, entries=len(entries), sequence=entries[-1].sequence)
    return LogHead(entries[-1].sequence, entries[-1].digest)


def _keep_alive(connection: Connection, entries: Sequence[LogEntry], now: datetime) -> None:
    """Note who logged in on the unit: an account that is used there alone is not idle (CJIS AC-2)."""
    for entry in entries:
        if (entry.action, entry.outcome) == ("login", "success"):
            at = min(entry.at, now)
            connection.execute(
                update(accounts)
                .where(accounts.c.name == entry.actor, accounts.c.active_at < at)
                .values(active_at=at)
            )


def _unheld(connection: Connection, piece: LogPiece, beginning: int, head: LogHead) -> Sequence[LogRecord]:
    """Return the records of *piece* that are not held yet.

    Raises LogConflictError if it begins behind the newest one held, or differs in one that is held.
    """
    if not piece.records:
        return ()
    entries = [read_entry(record) for record in piece.records]
    first = entries[0].sequence
    if first > head.sequence + 1:
        raise LogConflictError(f"gap: entry {head.sequence + 1} is wanted, the piece begins with {first}")
    rows = connection.execute(
        select(unit_log_entries.c.sequence, unit_log_entries.c.digest).where(
            unit_log_entries.c.unit_id == piece.unit_id,
            unit_log_entries.c.beginning == beginning,
            unit_log_entries.c.sequence.between(first, entries[-1].sequence),
        )
    )
    held = {row.sequence: row.digest for row in rows}
    for entry in entries:
        if entry.sequence in held and held[entry.sequence] != entry.digest:
            raise LogConflictError(
                f"fork: entry {entry.sequence} is another than the one that is held; if the unit's log was "
                "lost, say so with `alpr-server audit unit --begin-anew`"
            )
    return [
        record for record, entry in zip(piece.records, entries, strict=True) if entry.sequence > head.sequence
    ]


def _newest(connection: Connection, unit_id: str) -> tuple[int, bytes] | None:
    row = connection.execute(
        select(unit_logs.c.beginning, unit_logs.c.public_key)
        .where(unit_logs.c.unit_id == unit_id)
        .order_by(unit_logs.c.beginning.desc())
        .limit(1)
    ).first()
    return None if row is None else (row.beginning, row.public_key)


def _begin(connection: Connection, unit_id: str, beginning: int, public_key: bytes, now: datetime) -> None:
    row = {"unit_id": unit_id, "beginning": beginning, "public_key": public_key, "begun_at": now}
    connection.execute(insert(unit_logs).values(row))


def _head(connection: Connection, unit_id: str, beginning: int) -> LogHead:
    wanted = unit_log_entries.c.unit_id == unit_id, unit_log_entries.c.beginning == beginning
    newest = select(func.max(unit_log_entries.c.sequence)).where(*wanted).scalar_subquery()
    row = connection.execute(
        select(unit_log_entries.c.sequence, unit_log_entries.c.digest).where(
            *wanted, unit_log_entries.c.sequence == newest
        )
    ).first()
    return start(unit_id) if row is None else LogHead(row.sequence, row.digest)


def _records(connection: Connection, unit_id: str, beginning: int) -> list[LogRecord]:
    rows = connection.execute(
        select(unit_log_entries.c.data, unit_log_entries.c.signature)
        .where(unit_log_entries.c.unit_id == unit_id, unit_log_entries.c.beginning == beginning)
        .order_by(unit_log_entries.c.sequence)
    )
    return [LogRecord(row.data, row.signature) for row in rows]
