"""The register of release requests: who asked for what, and what became of it. Nothing in it is ever changed.

    received ─▶ under review ─▶ approved ─▶ fulfilled
        └──────────────┴────────────┴──────▶ refused
    of others than public agencies, which go to Records:
    received ─▶ under review ─▶ handled, or refused

Who entered a request never approves it. What is exported is bound to the approval: `release_export`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select

from server.actors import Actor, recorded
from server.evidence_scope import Scope, checked, from_json, to_json
from server.release_errors import ReleaseRefusedError
from server.release_letters import Letter, Letters
from server.release_recipients import (
    ASKING,
    AgencyKind,
    Recipient,
    Recipients,
    deciders,
    keepers,
    recipient_in,
    require_role,
    viewers,
)
from server.release_tables import release_requests, release_steps
from server.settings import ReleaseSettings
from server.texts import line_of
from sync.purposes import checked_case


class State(StrEnum):
    """What became of a request."""

    RECEIVED = "received"
    UNDER_REVIEW = "under review"
    APPROVED = "approved"
    REFUSED = "refused"
    FULFILLED = "fulfilled"
    HANDLED = "handled"
    """By Records, outside this program: nothing is exported for who is no public agency."""


class ReleaseChangedError(ReleaseRefusedError):
    """A request is no longer what was shown: nothing was approved; show it again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is entered."""

    agency: str
    """Empty: the recipient's name."""
    kind: AgencyKind
    recipient_id: int | None
    """Of the allow-list; None: it is not known yet, or it goes to Records."""
    person: str
    purpose: str
    legal_basis: str
    case_number: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class Step:
    """What somebody did about a request."""

    number: int
    state: State
    done_by: str
    done_at: datetime
    note: str
    recipient_id: int | None
    package_id: int | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request on record."""

    request_id: int
    asked: Asked
    letter: Letter | None
    entered_by: str
    entered_at: datetime
    steps: tuple[Step, ...] = field(repr=False)
    """Never empty, oldest first."""

    @property
    def state(self) -> State:
        """What became of it so far."""
        return self.steps[-1].state

    @property
    def to_records(self) -> bool:
        """Whether it goes to Records: who asks is no public agency."""
        return self.asked.kind is AgencyKind.OTHER

    @property
    def recipient_id(self) -> int | None:
        """Who would be given what is asked for."""
        known = [step.recipient_id for step in self.steps if step.recipient_id is not None]
        return known[-1] if known else self.asked.recipient_id


@dataclass(frozen=True, slots=True)
class Releases:
    """The register of one department. May be used by several threads."""

    engine: Engine
    rules: ReleaseSettings
    letters: Letters

    @property
    def recipients(self) -> Recipients:
        """The allow-list."""
        return Recipients(self.engine, self.rules)

    def enter(self, asked: Asked, letter: bytes, *, actor: Actor, now: datetime) -> int:
        """Put a request into the register, with its *letter* (empty: none); return its number.

        An agency's request is made in writing. Nothing is given out that was read after it was entered.
        Raises ReleaseRefusedError, EvidenceRefusedError or NotPermittedError.
        """
        detail: dict[str, object] = {"agency": asked.agency[:128], "asked": asked.scope.asked}
        with recorded(self.engine, actor, "release.enter", detail, now) as connection:
            require_role(actor, keepers(self.rules), "Entering a request")
            row = self._row(connection, asked, now)
            if not letter and asked.kind is not AgencyKind.OTHER:
                raise ReleaseRefusedError("an agency asks in writing: give its letter (PDF, JPEG or PNG)")
            kept = self.letters.keep(letter) if letter else None
            row |= {
                "letter_sha256": kept and kept.sha256,
                "letter_kind": kept and kept.kind,
                "letter_bytes": kept and kept.bytes,
                "entered_by": actor.name,
                "entered_at": now,
            }
            result = connection.execute(insert(release_requests).values(row))
            assert result.inserted_primary_key is not None
            number = int(result.inserted_primary_key[0])
            add_step(connection, number, State.RECEIVED, actor, now)
            detail |= {"request": number, "agency": row["agency"], "kind": row["kind"]}
            detail |= {"person": row["person"], "letter": row["letter_sha256"]}
        return number

    def review(
        self, request_id: int, *, note: str, actor: Actor, now: datetime, recipient_id: int | None = None
    ) -> None:
        """Take a request under review, or say more about one that is; *recipient_id* says who would be given
        what is asked for. Raises ReleaseRefusedError or NotPermittedError."""
        detail: dict[str, object] = {"request": request_id}
        with recorded(self.engine, actor, "release.review", detail, now) as connection:
            require_role(actor, keepers(self.rules), "Reviewing a request")
            request = _waiting(connection, request_id, State.RECEIVED, State.UNDER_REVIEW)
            if recipient_id is not None:
                self._require_fitting(connection, recipient_id, request.asked.kind)
                detail["recipient"] = recipient_id
            detail["note"] = line_of("note", note, 512)
            add_step(
                connection,
                request_id,
                State.UNDER_REVIEW,
                actor,
                now,
                note=str(detail["note"]),
                recipient_id=recipient_id,
            )

    def approve(
        self,
        request_id: int,
        *,
        note: str,
        actor: Actor,
        now: datetime,
        recipient_id: int | None = None,
        step: int | None = None,
    ) -> Recipient:
        """Let what is asked for be exported to the recipient that the request names; return who that is.

        *recipient_id* (0: none) and *step*, the number of the newest one, are what *actor* was shown; None:
        not asked. Raises ReleaseChangedError if they differ by now; ReleaseRefusedError if the request is not
        under review, goes to Records, was entered by *actor*, or names no recipient that may be given
        anything; NotPermittedError.
        """
        detail: dict[str, object] = {"request": request_id}
        with recorded(self.engine, actor, "release.approve", detail, now) as connection:
            require_role(actor, deciders(self.rules), "Approving a request")
            request = _waiting(connection, request_id, State.UNDER_REVIEW)
            if request.to_records:
                raise ReleaseRefusedError(
                    f"request {request_id} is by no public agency: it goes to Records, not to approval"
                )
            if actor.is_person(request.entered_by):
                raise ReleaseRefusedError(
                    f"request {request_id} was entered by {request.entered_by}: another must approve it"
                )
            now_named, newest = request.recipient_id or 0, request.steps[-1].number
            if recipient_id not in (None, now_named) or step not in (None, newest):
                raise ReleaseChangedError(
                    f"request {request_id} was changed meanwhile: look again, then decide"
                )
            if request.recipient_id is None:
                raise ReleaseRefusedError(f"request {request_id} names no recipient: name one in the review")
            self._require_fitting(connection, request.recipient_id, request.asked.kind)
            found, _ = self.recipients.usable(connection, request.recipient_id, now)
            detail |= {"recipient": found.recipient_id, "certificate": found.certificate_sha256}
            detail["asked"] = request.asked.scope.asked
            add_step(
                connection,
                request_id,
                State.APPROVED,
                actor,
                now,
                note=line_of("note", note, 512) if note.strip() else "",
                recipient_id=found.recipient_id,
            )
        return found

    def refuse(self, request_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
        """Refuse a request, or take an approval back before anything was exported.

        Raises ReleaseRefusedError or NotPermittedError.
        """
        detail: dict[str, object] = {"request": request_id}
        with recorded(self.engine, actor, "release.refuse", detail, now) as connection:
            request = _waiting(connection, request_id, State.RECEIVED, State.UNDER_REVIEW, State.APPROVED)
            roles = keepers(self.rules) if request.to_records else deciders(self.rules)
            require_role(actor, roles, "Refusing this request")
            detail["reason"] = line_of("reason", reason, 512)
            add_step(connection, request_id, State.REFUSED, actor, now, note=str(detail["reason"]))

    def handle(self, request_id: int, *, note: str, actor: Actor, now: datetime) -> None:
        """Say what Records answered to who is no public agency. Nothing is exported here.

        Raises ReleaseRefusedError or NotPermittedError.
        """
        detail: dict[str, object] = {"request": request_id}
        with recorded(self.engine, actor, "release.handle", detail, now) as connection:
            require_role(actor, keepers(self.rules), "Answering for Records")
            request = _waiting(connection, request_id, State.UNDER_REVIEW)
            if not request.to_records:
                raise ReleaseRefusedError(f"request {request_id} is by a public agency: approve or refuse it")
            detail["note"] = line_of("note", note, 512)
            add_step(connection, request_id, State.HANDLED, actor, now, note=str(detail["note"]))

    def all(self, actor: Actor, now: datetime) -> list[Request]:
        """Return the register, newest first; *actor* saw it, and the access log says so. Raises
        NotPermittedError."""
        detail: dict[str, object] = {}
        with recorded(self.engine, actor, "release.list", detail, now) as connection:
            require_role(actor, viewers(self.rules), "The register of releases")
            found = requests_in(connection)
            detail["requests"] = len(found)
        return found

    def one(self, request_id: int, actor: Actor, now: datetime, shown: Sequence[str] = ()) -> Request:
        """Return one request; *actor* saw it, and the access log says so, with the reads *shown* beside it.

        Raises ReleaseRefusedError if there is none, NotPermittedError.
        """
        detail: dict[str, object] = {"request": request_id}
        with recorded(self.engine, actor, "release.view", detail, now) as connection:
            require_role(actor, viewers(self.rules), "The register of releases")
            found = request_in(connection, request_id)
            # Not before: who is refused was shown nothing.
            if found.asked.scope.plate:
                detail["plate"] = found.asked.scope.plate
            if shown:
                detail["shown"] = list(shown)
        return found

    def letter(self, request_id: int, actor: Actor, now: datetime) -> tuple[Letter, bytes]:
        """Return a request's letter; *actor* was given it, and the access log says so.

        Raises ReleaseRefusedError if there is none, NotPermittedError, SettingsInvalidError if it was
        changed.
        """
        detail: dict[str, object] = {"request": request_id}
        with recorded(self.engine, actor, "release.download_letter", detail, now) as connection:
            require_role(actor, viewers(self.rules), "The register of releases")
            letter = request_in(connection, request_id).letter
            if letter is None:
                raise ReleaseRefusedError(f"request {request_id} came without a letter")
            detail["letter"] = letter.sha256
        return letter, self.letters.open(letter)

    def _row(self, connection: Connection, asked: Asked, now: datetime) -> dict[str, Any]:
        if asked.kind not in ASKING:
            raise ReleaseRefusedError(f"who asks is one of: {', '.join(ASKING)}")
        agency = asked.agency
        if asked.recipient_id is not None:
            agency = self._require_fitting(connection, asked.recipient_id, asked.kind)
        try:
            case = checked_case("investigation", asked.case_number)
        except ValueError as error:
            raise ReleaseRefusedError(str(error)) from None
        return {
            "agency": line_of("agency", agency, 128),
            "kind": asked.kind.value,
            "recipient_id": asked.recipient_id,
            "person": line_of("person who asks", asked.person, 128),
            "purpose": line_of("purpose", asked.purpose, 512),
            "legal_basis": line_of("legal basis", asked.legal_basis, 256),
            "case_number": case,
            "scope": to_json(_until(checked(asked.scope), now)),
        }

    def _require_fitting(self, connection: Connection, recipient_id: int, kind: AgencyKind) -> str:
        """Return the recipient's name, if it is of the kind that asks. Raises ReleaseRefusedError if not."""
        found = recipient_in(connection, recipient_id)
        if found.kind is not kind:
            raise ReleaseRefusedError(
                f"recipient {recipient_id} is of another kind than who asks: {found.kind}"
            )
        return found.name


def request_in(connection: Connection, request_id: int) -> Request:
    """Return one request. Raises ReleaseRefusedError if there is none of that number."""
    found = requests_in(connection, request_id)
    if not found:
        raise ReleaseRefusedError(f"there is no request {request_id}")
    return found[0]


def requests_in(connection: Connection, request_id: int | None = None) -> list[Request]:
    """Return the whole register, newest first, or the one of that number."""
    statement = select(release_requests).order_by(release_requests.c.request_id.desc())
    following = select(release_steps).order_by(release_steps.c.request_id, release_steps.c.number)
    if request_id is not None:
        statement = statement.where(release_requests.c.request_id == request_id)
        following = following.where(release_steps.c.request_id == request_id)
    steps: dict[int, list[Step]] = {}
    for row in connection.execute(following):
        values = {name: value for name, value in row._asdict().items() if name != "request_id"}
        steps.setdefault(row.request_id, []).append(Step(**{**values, "state": State(row.state)}))
    return [_request(row, steps[row.request_id]) for row in connection.execute(statement)]


def add_step(
    connection: Connection,
    request_id: int,
    state: State,
    actor: Actor,
    now: datetime,
    *,
    note: str = "",
    recipient_id: int | None = None,
    package_id: int | None = None,
) -> None:
    """Write down what became of a request, in the caller's transaction."""
    before = select(release_steps.c.number).where(release_steps.c.request_id == request_id)
    row = {
        "request_id": request_id,
        "number": max(connection.execute(before).scalars(), default=0) + 1,
        "state": state.value,
        "done_by": actor.name,
        "done_at": now,
        "note": note,
        "recipient_id": recipient_id,
        "package_id": package_id,
    }
    connection.execute(insert(release_steps).values(row))


def _waiting(connection: Connection, request_id: int, *states: State) -> Request:
    request = request_in(connection, request_id)
    if request.state not in states:
        raise ReleaseRefusedError(f"request {request_id} is {request.state}: {_may(states)}")
    return request


def _may(states: Sequence[State]) -> str:
    return f"it would have to be {' or '.join(states)}"


def _until(scope: Scope, now: datetime) -> Scope:
    """Nobody may have everything to come sent after them: a request ends where it is entered."""
    if scope.until is not None and scope.until > now:
        raise ReleaseRefusedError("a request covers what was read before it was entered: until is to come")
    if scope.read_ids or scope.until is not None:
        return scope
    return Scope(scope.read_ids, scope.plate, scope.unit_id, scope.since, now)


def _request(row: Row[Any], steps: Sequence[Step]) -> Request:
    letter = Letter(row.letter_sha256, row.letter_kind, row.letter_bytes) if row.letter_sha256 else None
    asked = Asked(
        row.agency,
        AgencyKind(row.kind),
        row.recipient_id,
        row.person,
        row.purpose,
        row.legal_basis,
        row.case_number,
        from_json(row.scope),
    )
    return Request(row.request_id, asked, letter, row.entered_by, row.entered_at, tuple(steps))
