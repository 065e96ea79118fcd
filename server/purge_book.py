"""The book of purges: each that was asked for, what went, and its signed certificate. For ever."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, Engine, Row, select, update

from server.audit import Deed, append
from server.database import reading
from server.errors import RetentionRefusedError
from server.tables import purges

START = bytes(32)
"""Of the chain of digests over all reads that a purge destroyed."""
ASKED, RUNNING, DONE = "asked", "running", "done"
_TAG = b"alpr-server purge certificate v1\x00"


@dataclass(frozen=True, slots=True)
class Purge:
    """A destruction on record."""

    purge_id: int
    state: str
    """"asked", "running", "done" or "withdrawn"."""
    reference: str
    """Of the written approval: council resolution, city attorney's consent."""
    asked_by: str
    asked_at: datetime
    others_before: datetime
    hits_before: datetime
    approved_by: str
    others: int
    """Reads gone so far that were no hits."""
    hits: int
    certificate: str
    """JSON, signed; empty until it is done."""
    automatic: bool = False
    """Whether the server did it by itself, by a rule."""
    held: int | None = None
    """Reads that were old enough, and kept by holds; None until it is done."""


def all_purges(engine: Engine) -> list[Purge]:
    """Return every purge on record, the newest first."""
    with reading(engine) as connection:
        return purges_in(connection)


def purges_in(connection: Connection) -> list[Purge]:
    """The same as `all_purges` in the caller's transaction."""
    rows = connection.execute(select(purges).order_by(purges.c.purge_id.desc()))
    return [
        Purge(
            row.purge_id,
            row.state,
            row.reference,
            row.asked_by,
            row.asked_at,
            row.others_before,
            row.hits_before,
            row.approved_by or "",
            row.others,
            row.hits,
            row.certificate or "",
            row.rule_id is not None,
            row.held,
        )
        for row in rows
    ]


def running_in(connection: Connection, purge_id: int) -> Row[Any]:
    """Return the row of a purge that is under way. Raises RetentionRefusedError if it is not."""
    row = connection.execute(select(purges).where(purges.c.purge_id == purge_id)).first()
    if row is None or row.state != RUNNING:
        raise RetentionRefusedError(f"purge {purge_id} is not under way: see `alpr-server retention list`")
    return row


def set_purge(connection: Connection, purge_id: int, **values: object) -> None:
    """Note in the caller's transaction how far a purge is."""
    connection.execute(update(purges).where(purges.c.purge_id == purge_id).values(**values))


def certify(connection: Connection, row: Row[Any], key: Ed25519PrivateKey, now: datetime, kept: int) -> None:
    """End the purge *row* with its signed certificate; *kept* reads were old enough, and held."""
    automatic = row.rule_id is not None
    statement = {
        "purge": row.purge_id,
        "reference": row.reference,
        "asked_by": row.asked_by,
        "asked_at": row.asked_at.isoformat(),
        "approved_by": row.approved_by,
        "approved_at": row.approved_at.isoformat(),
        "ended_at": now.isoformat(),
        "automatic_by_rule": row.rule_id,
        "reads_before": row.others_before.isoformat(),
        "hits_before": None if automatic else row.hits_before.isoformat(),
        "destroyed_reads": row.others,
        "destroyed_hits": row.hits,
        "oldest": None if row.oldest is None else row.oldest.isoformat(),
        "newest": None if row.newest is None else row.newest.isoformat(),
        "sha256_chain": row.chain.hex(),
        "kept_by_legal_holds": kept,
    }
    signature = key.sign(_TAG + _bytes(statement)).hex()
    certificate = json.dumps({"statement": statement, "signature": signature}, indent=2, sort_keys=True)
    set_purge(connection, row.purge_id, state=DONE, ended_at=now, held=kept, certificate=certificate)
    names = ("purge", "automatic_by_rule", "destroyed_reads", "destroyed_hits", "sha256_chain")
    who = "server" if automatic else row.approved_by
    append(connection, Deed(who, "purge.done", detail={name: statement[name] for name in names}), now)


def certificate_of(engine: Engine, purge_id: int, key: Ed25519PublicKey) -> str:
    """Return the certificate of a purge, once the department's *key* says that it is whole.

    Raises RetentionRefusedError if there is none, or it was altered.
    """
    found = next((each for each in all_purges(engine) if each.purge_id == purge_id), None)
    if found is None or not found.certificate:
        raise RetentionRefusedError(f"purge {purge_id} has no certificate: see `alpr-server retention list`")
    verify_certificate(found.certificate, key)
    return found.certificate


def verify_certificate(text: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """Return what a purge certificate says, if the department's *key* signed it.

    Raises RetentionRefusedError if not.
    """
    try:
        signed = json.loads(text)
        statement = signed["statement"]
        key.verify(bytes.fromhex(signed["signature"]), _TAG + _bytes(statement))
    except (InvalidSignature, KeyError, TypeError, ValueError):
        raise RetentionRefusedError(
            "this certificate is not signed by the department, or was altered"
        ) from None
    return dict(statement)


def _bytes(statement: dict[str, Any]) -> bytes:
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
