"""The access log: who did or saw what, when, why and from where. Appended, never changed.

Each entry holds the SHA-256 of the one before it and of itself, so an entry that was altered, removed or put
in between breaks the chain from there on. The chain alone cannot show that its newest entries were cut off or
written anew: for that its head is signed, and kept elsewhere (`audit_checkpoints`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from server.errors import AuditBrokenError
from server.tables import audit

_TAG = b"alpr-server audit v1\x00"
_START = bytes(32)


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did, before it has its place in the log."""

    actor: str
    """An account's name, "unit:" with a unit's id, or "console:" with an operating-system account."""
    action: str
    """Dotted: what it was done to, then what was done, e.g. "reads.search"."""
    outcome: str = "success"
    """"success" or "refused"."""
    purpose: str = ""
    case_number: str = ""
    source: str = "console"
    """The network address it came from."""
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What was asked for and what was shown; may name plates, as the law asks (Cal. Civ. Code 1798.90.52)."""


def same_person(one: str, other: str) -> bool:
    """Whether two actors are of one person: at the console and on the pages, or written otherwise."""
    return _name_of(one) == _name_of(other)


def _name_of(actor: str) -> str:
    return actor.strip().casefold().removeprefix("console:").strip()


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest entry's place and digest: all that is needed to notice a cut."""

    sequence: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.sequence}:{self.digest.hex()}"


def append(connection: Connection, deed: Deed, now: datetime) -> AuditHead:
    """Write *deed* as the newest entry, in the caller's transaction: it stands or falls with the deed."""
    newest = connection.execute(
        select(audit.c.sequence, audit.c.digest).order_by(audit.c.sequence.desc()).limit(1)
    ).first()
    sequence, previous = (1, _START) if newest is None else (newest.sequence + 1, newest.digest)
    row = {
        "sequence": sequence,
        "at": now,
        "actor": deed.actor,
        "action": deed.action,
        "outcome": deed.outcome,
        "purpose": deed.purpose,
        "case_number": deed.case_number,
        "source": deed.source,
        "detail": json.dumps(deed.detail, sort_keys=True),
    }
    digest = _digest(row, previous)
    connection.execute(insert(audit).values(**row, previous=previous, digest=digest))
    return AuditHead(sequence, digest)


def verify(
    connection: Connection,
    noted: AuditHead | None = None,
    *,
    after: AuditHead | None = None,
    most: int | None = None,
) -> AuditHead:
    """Return the head of an unbroken log; sequence 0 if it is empty. With *after* only what follows that
    entry is looked at, and of that at most *most* entries.

    Raises AuditBrokenError naming the first entry that does not fit, or if the entry *noted* at an earlier
    verification is gone or another.
    """
    head = AuditHead(0, _START) if after is None else after
    noted_seen = noted is None or (noted.sequence, noted.digest) == (0, _START)
    following = select(audit).where(audit.c.sequence > head.sequence).order_by(audit.c.sequence).limit(most)
    for found in connection.execute(following):
        row = found._asdict()
        if row["sequence"] != head.sequence + 1:
            raise AuditBrokenError(f"entry {head.sequence + 1} is missing: the next one is {row['sequence']}")
        if row["previous"] != head.digest:
            raise AuditBrokenError(f"entry {row['sequence']} does not follow the one before it")
        if row["digest"] != _digest(row, head.digest):
            raise AuditBrokenError(f"entry {row['sequence']} was altered")
        head = AuditHead(row["sequence"], row["digest"])
        noted_seen = noted_seen or head == noted
    if not noted_seen:
        assert noted is not None
        raise AuditBrokenError(f"entry {noted.sequence}, noted earlier, is gone or another: the log was cut")
    return head


def _digest(row: Mapping[str, Any], previous: bytes) -> bytes:
    # A JSON array keeps the fields apart: no text can move from one into the next and give the same bytes.
    content = json.dumps(
        [
            row["sequence"],
            row["at"].isoformat(timespec="microseconds"),
            row["actor"],
            row["action"],
            row["outcome"],
            row["purpose"],
            row["case_number"],
            row["source"],
            row["detail"],
        ]
    )
    return hashlib.sha256(_TAG + previous + content.encode("ascii")).digest()
