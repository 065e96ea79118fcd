"""The allow-list: agencies that may be given reads. One person adds one, another approves of it.

A recipient is never changed. Another certificate is another recipient, added and approved anew; the one
before is disabled. Nothing but the department's own property room may be given a package without a release
request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Engine, insert, select

from server.actors import Actor, recorded
from server.errors import NotPermittedError
from server.evidence_seal import certificate_name, recipients_certificate
from server.release_errors import ReleaseRefusedError
from server.release_tables import release_recipient_steps, release_recipients
from server.settings import ReleaseSettings
from server.texts import line_of

APPROVED, DISABLED, ADDED = "approved", "disabled", "added"


class AgencyKind(StrEnum):
    """Who asks, or who may be given."""

    LAW_ENFORCEMENT = "law enforcement"
    PROSECUTOR = "prosecutor"
    COURT = "court"
    OWN = "this department"
    """A recipient alone: its property room, whose packages need no request."""
    OTHER = "other"
    """A request alone: the public, the press, a lawyer, a company. It goes to Records."""


ASKING = (AgencyKind.LAW_ENFORCEMENT, AgencyKind.PROSECUTOR, AgencyKind.COURT, AgencyKind.OTHER)
RECEIVING = (AgencyKind.LAW_ENFORCEMENT, AgencyKind.PROSECUTOR, AgencyKind.COURT, AgencyKind.OWN)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One line of the allow-list."""

    recipient_id: int
    name: str
    kind: AgencyKind
    state: str
    """Two letters; "US" for the federation."""
    contact: str
    certificate: str = field(repr=False)
    """PEM."""
    certificate_sha256: str
    added_by: str
    added_at: datetime
    approved_by: str
    """Empty: it waits for another person."""
    disabled_by: str
    """Empty: it is not disabled."""
    disabled_why: str

    @property
    def standing(self) -> str:
        """ "added", "approved" or "disabled"."""
        return DISABLED if self.disabled_by else APPROVED if self.approved_by else ADDED


def require_role(actor: Actor, roles: Sequence[str], what: str) -> None:
    """Raises NotPermittedError unless *actor* has one of *roles*, or sits at the console."""
    if actor.role is not None and actor.role.value not in roles:
        raise NotPermittedError(f"{what} is for these roles: {', '.join(sorted(set(roles)))}.")


@dataclass(frozen=True, slots=True)
class Recipients:
    """The allow-list of one department. May be used by several threads."""

    engine: Engine
    rules: ReleaseSettings

    def add(
        self,
        *,
        name: str,
        kind: AgencyKind,
        state: str,
        contact: str,
        pem: bytes,
        actor: Actor,
        now: datetime,
    ) -> int:
        """Put an agency on the list, to be approved by another person; return its number.

        Raises ReleaseRefusedError, EvidenceRefusedError or NotPermittedError.
        """
        detail: dict[str, object] = {}
        with recorded(self.engine, actor, "recipient.add", detail, now) as connection:
            require_role(actor, keepers(self.rules), "Adding a recipient")
            if kind not in RECEIVING:
                raise ReleaseRefusedError(f"a recipient is one of: {', '.join(RECEIVING)}")
            self._require_state(kind, state)
            certificate = recipients_certificate(pem, now)
            row = {
                "name": line_of("name", name, 128),
                "kind": kind.value,
                "state": state,
                "contact": line_of("contact", contact, 256),
                "certificate": certificate.public_bytes(Encoding.PEM).decode("ascii"),
                "certificate_sha256": certificate_name(certificate),
                "added_by": actor.name,
                "added_at": now,
            }
            result = connection.execute(insert(release_recipients).values(row))
            assert result.inserted_primary_key is not None
            number = int(result.inserted_primary_key[0])
            detail |= {"recipient": number, "name": row["name"], "kind": kind.value, "state": state}
            detail["certificate"] = row["certificate_sha256"]
        return number

    def approve(self, recipient_id: int, *, actor: Actor, now: datetime) -> None:
        """Let the agency be given what is approved for it.

        Raises ReleaseRefusedError if it does not wait, or *actor* added it; NotPermittedError.
        """
        detail: dict[str, object] = {"recipient": recipient_id}
        with recorded(self.engine, actor, "recipient.approve", detail, now) as connection:
            require_role(actor, deciders(self.rules), "Approving a recipient")
            found = recipient_in(connection, recipient_id)
            if found.standing != ADDED:
                raise ReleaseRefusedError(f"recipient {recipient_id} does not wait: it is {found.standing}")
            if actor.is_person(found.added_by):
                raise ReleaseRefusedError(
                    f"recipient {recipient_id} was added by {found.added_by}: another person must approve it"
                )
            self._require_state(found.kind, found.state)
            recipients_certificate(found.certificate.encode("ascii"), now)
            detail["certificate"] = found.certificate_sha256
            _step(connection, recipient_id, APPROVED, actor, now)

    def disable(self, recipient_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
        """Let the agency be given nothing from now on. It stays on the list, as disabled.

        Raises ReleaseRefusedError if it is disabled already; NotPermittedError.
        """
        detail: dict[str, object] = {"recipient": recipient_id}
        with recorded(self.engine, actor, "recipient.disable", detail, now) as connection:
            require_role(actor, (*keepers(self.rules), *deciders(self.rules)), "Disabling a recipient")
            found = recipient_in(connection, recipient_id)
            if found.standing == DISABLED:
                raise ReleaseRefusedError(f"recipient {recipient_id} is disabled already")
            detail["reason"] = line_of("reason", reason, 512)
            _step(connection, recipient_id, DISABLED, actor, now, note=str(detail["reason"]))

    def all(self, actor: Actor, now: datetime) -> list[Recipient]:
        """Return the list, newest first; *actor* saw it, and the access log says so.

        Raises NotPermittedError.
        """
        detail: dict[str, object] = {}
        with recorded(self.engine, actor, "recipient.list", detail, now) as connection:
            require_role(actor, viewers(self.rules), "The allow-list")
            found = recipients_in(connection)
            detail["recipients"] = len(found)
        return found

    def usable(
        self, connection: Connection, recipient_id: int, now: datetime
    ) -> tuple[Recipient, x509.Certificate]:
        """Return a recipient that may be given something now, with its certificate.

        Raises ReleaseRefusedError or EvidenceRefusedError saying why it may not.
        """
        found = recipient_in(connection, recipient_id)
        if found.standing != APPROVED:
            raise ReleaseRefusedError(f"recipient {recipient_id} is {found.standing}, not approved")
        self._require_state(found.kind, found.state)
        return found, recipients_certificate(found.certificate.encode("ascii"), now)

    def _require_state(self, kind: AgencyKind, state: str) -> None:
        if len(state) != 2 or not state.isascii() or not state.isalpha() or not state.isupper():
            raise ReleaseRefusedError('the state is two letters, as CA, or "US" for the federation')
        if state != self.rules.state and not self.rules.out_of_state:
            raise ReleaseRefusedError(
                f"only agencies of {self.rules.state} may be given reads (Civ. Code 1798.90.55): "
                "[release] out_of_state in server.toml decides"
            )
        if kind is AgencyKind.OWN and state != self.rules.state:
            raise ReleaseRefusedError(f"this department is of {self.rules.state}")


def keepers(rules: ReleaseSettings) -> tuple[str, ...]:
    """Return the roles that keep the register."""
    return (rules.records_role, "admin")


def deciders(rules: ReleaseSettings) -> tuple[str, ...]:
    """Return the roles that approve and refuse."""
    return (rules.approver_role,)


def viewers(rules: ReleaseSettings) -> tuple[str, ...]:
    """Return the roles that see the register."""
    return (*keepers(rules), *deciders(rules), "auditor")


def recipient_in(connection: Connection, recipient_id: int) -> Recipient:
    """Return one recipient. Raises ReleaseRefusedError if there is none of that number."""
    found = recipients_in(connection, recipient_id)
    if not found:
        raise ReleaseRefusedError(f"there is no recipient {recipient_id}")
    return found[0]


def recipients_in(connection: Connection, recipient_id: int | None = None) -> list[Recipient]:
    """Return the whole list, newest first, or the one of that number."""
    statement = select(release_recipients).order_by(release_recipients.c.recipient_id.desc())
    steps = select(release_recipient_steps).order_by(release_recipient_steps.c.number)
    if recipient_id is not None:
        statement = statement.where(release_recipients.c.recipient_id == recipient_id)
        steps = steps.where(release_recipient_steps.c.recipient_id == recipient_id)
    done = {(row.recipient_id, row.step): row for row in connection.execute(steps)}
    found = []
    for row in connection.execute(statement):
        approved = done.get((row.recipient_id, APPROVED))
        disabled = done.get((row.recipient_id, DISABLED))
        found.append(
            Recipient(
                **{**row._asdict(), "kind": AgencyKind(row.kind)},
                approved_by="" if approved is None else approved.done_by,
                disabled_by="" if disabled is None else disabled.done_by,
                disabled_why="" if disabled is None else disabled.note,
            )
        )
    return found


def _step(
    connection: Connection, recipient_id: int, step: str, actor: Actor, now: datetime, *, note: str = ""
) -> None:
    table = release_recipient_steps
    before = connection.execute(select(table.c.number).where(table.c.recipient_id == recipient_id)).scalars()
    row = {
        "recipient_id": recipient_id,
        "number": max(before, default=0) + 1,
        "step": step,
        "done_by": actor.name,
        "done_at": now,
        "note": note,
    }
    connection.execute(insert(table).values(row))
