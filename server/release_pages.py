"""The pages of the register: requests for reads, what became of them, and the packages that answer them.

They are for who keeps the register, who decides, and auditors. Each look and each deed is an entry of the
access log, also one that was refused. A plate that is asked about travels in a form, never in an address.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from server.access import same_secret
from server.actors import Actor
from server.audit_pages import Its
from server.database import reading
from server.department import Department
from server.desk import FromForm, LoggedIn, Number, Visit
from server.errors import ForeignFormError, NotPermittedError, SettingsInvalidError
from server.evidence_book import packages_in
from server.evidence_scope import MOST_READS, Scope, reads_in
from server.release_errors import EvidenceRefusedError, ReleaseRefusedError
from server.release_export import fetch, fulfil, releases_of
from server.release_letters import MAX_LETTER_BYTES
from server.release_recipients import (
    APPROVED,
    ASKING,
    RECEIVING,
    AgencyKind,
    Recipient,
    deciders,
    keepers,
    recipients_in,
    viewers,
)
from server.releases import Asked, ReleaseChangedError, Releases, requests_in
from server.releases import Request as ReleaseRequest
from server.web import MAX_FORM_BYTES

ENTER = "/releases/enter"
UPLOADS = {ENTER: MAX_LETTER_BYTES + 64 * 1024}
"""Paths that take more than a form, and how many bytes."""
SHOWN_READS = 50
_FIELDS = (
    *("kind", "recipient", "agency", "person", "purpose", "legal_basis", "case_number"),
    *("plate", "since", "until", "unit_id", "reads"),
)
_MINUTE = "%Y-%m-%dT%H:%M"
_DAMAGED = "The file is missing or was changed: restore it from the backup, and tell the administrator."
_Refused = (ReleaseRefusedError, EvidenceRefusedError)

router = APIRouter()


@dataclass(frozen=True, slots=True)
class At:
    """One visit to the register."""

    visit: Visit
    department: Department
    releases: Releases
    actor: Actor
    now: datetime


def _at(visit: LoggedIn, department: Its) -> At:
    return _permitted(visit, department)


def _at_form(visit: FromForm, department: Its) -> At:
    return _permitted(visit, department)


def _permitted(visit: Visit, department: Department) -> At:
    if visit.session.role.value not in viewers(department.settings.release):
        raise NotPermittedError(
            "The register of releases is open to Records, to who decides, and to auditors.",
            action="release.view",
        )
    visit.require_purpose()
    return At(visit, department, releases_of(department), visit.actor, visit.desk.clock())


Looking = Annotated[At, Depends(_at)]
"""A page that asks for this is seen by who may see the register, is logged in and said why."""
Doing = Annotated[At, Depends(_at_form)]
Note = Annotated[str, Form(max_length=512)]
Line = Annotated[str, Form(max_length=256)]
Optional = Annotated[str, Form(max_length=12)]


@router.get("/releases")
def show_register(at: Looking) -> Response:
    """Show every request, newest first."""
    found = at.releases.all(at.actor, at.now)
    return at.visit.show("release_list.html", requests=found, may=_may(at))


@router.get(ENTER)
def show_entering(at: Looking) -> Response:
    """Show the form with which a request is entered."""
    return _entering(at)


@router.post(ENTER)
async def enter_request(request: Request, at: Looking) -> Response:
    """Take a request with its letter. The body is read only now, when it is known who sends it."""
    try:
        form = await request.form(max_files=1, max_fields=20, max_part_size=MAX_FORM_BYTES)
    except HTTPException:
        return await run_in_threadpool(_entering, at, 422, "The form was not understood.", {})
    try:
        fields = {name: value[:1024] for name, value in form.items() if isinstance(value, str)}
        letter = await _letter(form)
    finally:
        await form.close()
    if not same_secret(fields.get("form_token", ""), at.visit.session.form_token):
        raise ForeignFormError
    return await run_in_threadpool(_enter, at, fields, letter)


@router.get("/releases/{request_id}")
def show_request(at: Looking, request_id: Number) -> Response:
    """Show one request with all that became of it."""
    return _one(at, request_id)


@router.post("/releases/{request_id}/review")
def review_request(at: Doing, request_id: Number, note: Note = "", recipient: Optional = "") -> Response:
    """Take a request under review, or say more about it."""
    return _do(
        at,
        request_id,
        lambda: at.releases.review(
            request_id, note=note, actor=at.actor, now=at.now, recipient_id=_number(recipient)
        ),
    )


@router.post("/releases/{request_id}/approve")
def approve_request(
    at: Doing, request_id: Number, note: Note = "", recipient: Optional = "", step: Optional = ""
) -> Response:
    """Approve a request that another person entered, as the page with the form showed it."""
    return _do(
        at,
        request_id,
        lambda: at.releases.approve(
            request_id,
            note=note,
            actor=at.actor,
            now=at.now,
            recipient_id=_shown(recipient),
            step=_shown(step),
        ),
    )


@router.post("/releases/{request_id}/refuse")
def refuse_request(at: Doing, request_id: Number, note: Note = "") -> Response:
    """Refuse a request."""
    return _do(
        at, request_id, lambda: at.releases.refuse(request_id, reason=note, actor=at.actor, now=at.now)
    )


@router.post("/releases/{request_id}/handle")
def handle_request(at: Doing, request_id: Number, note: Note = "") -> Response:
    """Say what Records answered."""
    return _do(at, request_id, lambda: at.releases.handle(request_id, note=note, actor=at.actor, now=at.now))


@router.post("/releases/{request_id}/fulfil")
def fulfil_request(
    at: Doing, request_id: Number, chosen: Annotated[str, Form(max_length=12_000)] = ""
) -> Response:
    """Make the package that an approved request asks for."""
    return _do(
        at,
        request_id,
        lambda: fulfil(at.department, request_id, chosen.split(), actor=at.actor, now=at.now),
    )


@router.get("/releases/{request_id}/letter")
def give_letter(at: Looking, request_id: Number) -> Response:
    """Give the letter with which a request was made, as a file."""
    try:
        letter, content = at.releases.letter(request_id, at.actor, at.now)
    except ReleaseRefusedError as error:
        return _message(at, 404, str(error))
    except SettingsInvalidError:
        return _message(at, 503, _DAMAGED)
    return _file(content, f"request-{request_id}-letter.{letter.kind}", letter.media_type)


@router.get("/releases/{request_id}/package")
def give_package(at: Looking, request_id: Number) -> Response:
    """Give the package that a request was answered with, encrypted to its recipient."""
    try:
        found = fetch(at.department, request_id, actor=at.actor, now=at.now)
    except ReleaseRefusedError as error:
        return _message(at, 404, str(error))
    except SettingsInvalidError:
        return _message(at, 503, _DAMAGED)
    return _file(found.content, f"evidence-{found.package_id}.p7m", "application/pkcs7-mime")


@router.get("/recipients")
def show_recipients(at: Looking) -> Response:
    """Show the allow-list."""
    return _recipients(at)


@router.post("/recipients")
def add_recipient(
    at: Doing,
    *,
    name: Line = "",
    kind: Line = "",
    state: Annotated[str, Form(max_length=2)] = "",
    contact: Line = "",
    certificate: Annotated[str, Form(max_length=8192)] = "",
) -> Response:
    """Put an agency on the allow-list, to be approved by another person."""
    return _change(
        at,
        lambda: at.releases.recipients.add(
            name=name,
            kind=_kind(kind),
            state=state.strip().upper(),
            contact=contact,
            pem=certificate.encode(),
            actor=at.actor,
            now=at.now,
        ),
    )


@router.post("/recipients/{recipient_id}/approve")
def approve_recipient(at: Doing, recipient_id: Number) -> Response:
    """Approve of an agency that another person added."""
    return _change(at, lambda: at.releases.recipients.approve(recipient_id, actor=at.actor, now=at.now))


@router.post("/recipients/{recipient_id}/disable")
def disable_recipient(at: Doing, recipient_id: Number, reason: Note = "") -> Response:
    """Let an agency be given nothing from now on."""
    return _change(
        at, lambda: at.releases.recipients.disable(recipient_id, reason=reason, actor=at.actor, now=at.now)
    )


def _enter(at: At, fields: dict[str, str], letter: bytes) -> Response:
    try:
        asked = _asked(fields)
        number = at.releases.enter(asked, letter, actor=at.actor, now=at.now)
    except _Refused as error:
        return _entering(at, 422, str(error), fields)
    return RedirectResponse(f"/releases/{number}", 303)


def _entering(at: At, status: int = 200, message: str = "", fields: dict[str, str] | None = None) -> Response:
    known = at.releases.recipients.all(at.actor, at.now)
    return at.visit.show(
        "release_enter.html",
        status,
        message=message,
        given={name: (fields or {}).get(name, "") for name in _FIELDS},
        kinds=ASKING,
        recipients=[each for each in known if each.standing == APPROVED and each.kind is not AgencyKind.OWN],
        most_mb=MAX_LETTER_BYTES // 2**20,
    )


def _one(at: At, request_id: Number, status: int = 200, message: str = "") -> Response:
    with reading(at.department.engine) as connection:
        known = requests_in(connection, request_id)
        covered = reads_in(connection, known[0].asked.scope) if known else []
    shown = [read.read_id for read in covered[:SHOWN_READS]]
    try:
        found = at.releases.one(request_id, at.actor, at.now, shown)
    except ReleaseRefusedError as error:
        return _message(at, 404, str(error))
    with reading(at.department.engine) as connection:
        recipients = {each.recipient_id: each for each in recipients_in(connection)}
        packages = packages_in(connection, request_id)
    return at.visit.show(
        "release_one.html",
        status,
        message=message,
        request=found,
        covered=covered[:SHOWN_READS],
        count=f"more than {MOST_READS}" if len(covered) > MOST_READS else f"{len(covered)}",
        too_many=len(covered) > MOST_READS,
        recipient=recipients.get(found.recipient_id or 0),
        fitting=_fitting(recipients, found),
        packages=packages,
        may=_may(at),
        is_own=at.actor.is_person(found.entered_by),
    )


def _recipients(at: At, status: int = 200, message: str = "") -> Response:
    found = at.releases.recipients.all(at.actor, at.now)
    return at.visit.show(
        "release_recipients.html",
        status,
        message=message,
        recipients=found,
        kinds=RECEIVING,
        rules=at.department.settings.release,
        may=_may(at),
        own=[each.recipient_id for each in found if at.actor.is_person(each.added_by)],
    )


def _do(at: At, request_id: Number, deed: Callable[[], object]) -> Response:
    try:
        deed()
    except _Refused as error:
        return _one(at, request_id, 409 if isinstance(error, ReleaseChangedError) else 422, str(error))
    return RedirectResponse(f"/releases/{request_id}", 303)


def _change(at: At, deed: Callable[[], object]) -> Response:
    try:
        deed()
    except _Refused as error:
        return _recipients(at, 422, str(error))
    return RedirectResponse("/recipients", 303)


def _may(at: At) -> dict[str, bool]:
    """Return what the person may do, so that a page offers nothing else. The register asks again."""
    role, rules = at.visit.session.role.value, at.department.settings.release
    return {"keep": role in keepers(rules), "decide": role in deciders(rules)}


def _fitting(recipients: dict[int, Recipient], request: ReleaseRequest) -> list[Recipient]:
    return [
        each for each in recipients.values() if each.standing == APPROVED and each.kind is request.asked.kind
    ]


def _asked(fields: dict[str, str]) -> Asked:
    scope = Scope(
        tuple(fields.get("reads", "").split()),
        fields.get("plate", "")[:32],
        fields.get("unit_id", "")[:63],
        _moment("From", fields.get("since", "")),
        _moment("Until", fields.get("until", "")),
    )
    return Asked(
        fields.get("agency", ""),
        _kind(fields.get("kind", "")),
        _number(fields.get("recipient", "")),
        fields.get("person", ""),
        fields.get("purpose", ""),
        fields.get("legal_basis", ""),
        fields.get("case_number", ""),
        scope,
    )


async def _letter(form: FormData) -> bytes:
    """Return what was uploaded, one byte more than may be at most. Its name is not looked at."""
    upload = form.get("letter")
    return await upload.read(MAX_LETTER_BYTES + 1) if isinstance(upload, UploadFile) else b""


def _kind(text: str) -> AgencyKind:
    try:
        return AgencyKind(text)
    except ValueError:
        raise ReleaseRefusedError("pick what kind of agency it is") from None


def _number(text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal():
        raise ReleaseRefusedError("pick a recipient of the list")
    return int(text)


def _shown(text: str) -> int:
    """Return a number that a form carries as it was shown; 0, which nothing has, for none."""
    return int(text) if text.isdecimal() else 0


def _moment(name: str, text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.strptime(text.strip()[:16], _MINUTE).replace(tzinfo=UTC)
    except ValueError:
        raise ReleaseRefusedError(f"{name}: write it as 2026-11-25T03:40, in UTC") from None


def _file(content: bytes, name: str, media_type: str) -> Response:
    # Never shown in the page: what strangers sent is not for a browser that is logged in here to open.
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def _message(at: At, status: int, message: str) -> Response:
    return at.visit.show("message.html", status, title="Not given", message=message)
