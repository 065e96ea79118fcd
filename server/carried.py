"""Take the batches that a technician brings on a stick, and put the receipts on it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, select

from server.audit import Deed, append
from server.database import reading, writing
from server.errors import BatchConflictError, LogConflictError, NotPermittedError
from server.intake import Intake, Peer
from server.tables import units
from server.unit_logs import UnitLogs
from sync.carried import Stick, units_on
from sync.errors import SealBrokenError, WireFormatError


@dataclass(frozen=True, slots=True)
class Brought:
    """What was on a stick of one unit."""

    unit_id: str
    batches: int
    """With a receipt on the stick now."""
    faults: tuple[str, ...]
    """What was not taken, one line each."""


def take_stick(
    engine: Engine, intake: Intake, root: Path, *, actor: str, now: datetime, logs: UnitLogs | None = None
) -> list[Brought]:
    """Take every batch on the stick at *root*, as if its unit had sent it, and put each receipt beside it.
    With *logs* the units' access logs too.

    A stick shows no certificate: that the unit signed the batch is what counts. A revoked unit's batches are
    refused. Each unit is one audit entry. A batch that was taken before gets the same receipt.

    Raises StoreUnavailableError if the database cannot be written, DiskFullError if the stick cannot.
    """
    brought = []
    for unit_id in units_on(root):
        stick = Stick(root, unit_id)
        peer = _peer(engine, unit_id, actor)
        taken, faults = _take_batches(intake, stick, peer, now)
        if logs is not None:
            faults += _take_log(logs, stick, peer, now)
        detail = {"unit": unit_id, "batches": taken, "not_taken": len(faults)}
        outcome = "success" if not faults else "refused"
        with writing(engine) as connection:
            append(connection, Deed(actor, "transfer.usb", outcome=outcome, detail=detail), now)
        brought.append(Brought(unit_id, taken, tuple(faults)))
    return brought


def _peer(engine: Engine, unit_id: str, actor: str) -> Peer:
    with reading(engine) as connection:
        serial = connection.execute(
            select(units.c.certificate_serial).where(units.c.unit_id == unit_id)
        ).scalar()
    return Peer(unit_id, serial or "", f"stick, {actor}")


def _take_log(logs: UnitLogs, stick: Stick, peer: Peer, now: datetime) -> list[str]:
    """Take the pieces of the access log in their order; return what was not taken, a line at most."""
    try:
        for payload, signature in stick.log():
            stick.put_log_receipt(logs.take(peer, payload, signature, now))
    except (NotPermittedError, LogConflictError, SealBrokenError, WireFormatError, OSError) as error:
        return [f"access log: {error}"]
    return []


def _take_batches(intake: Intake, stick: Stick, peer: Peer, now: datetime) -> tuple[int, list[str]]:
    taken, faults = 0, []
    for batch_id in list(stick.batches()):
        try:
            stick.put_receipt(batch_id, intake.take(peer, stick.batch(batch_id), now))
            taken += 1
        except (NotPermittedError, BatchConflictError, SealBrokenError, WireFormatError, OSError) as error:
            faults.append(str(error))
    return taken, faults
