"""The page of evidence: packages for the property room, their list, and what was booked."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from server.access import same_secret
from server.custody import VIEW, At, Doing, Line, Looking, file_of, moment_of
from server.database import reading
from server.errors import ForeignFormError, NotPermittedError, RetentionRefusedError
from server.evidence_book import book_digest, the_book
from server.evidence_scope import Scope
from server.holds import shown_under
from server.release_errors import EvidenceRefusedError, ReleaseRefusedError
from server.release_export import package_for_booking
from server.release_recipients import APPROVED, AgencyKind, keepers, recipients_in
from server.web import MAX_FORM_BYTES

BOOK = "/evidence/book"
MOST_PACKAGE_BYTES = 256 * 1024 * 1024
UPLOADS = {BOOK: MOST_PACKAGE_BYTES}
"""Paths that take more than a form, and how many bytes."""
_CHUNK = 1024 * 1024
_FIELDS = ("which", "reads", "plate", "since", "until", "unit_id", "recipient", "reason")
_Refused = (EvidenceRefusedError, ReleaseRefusedError, RetentionRefusedError)
Short = Annotated[str, Form(max_length=64)]

router = APIRouter()


@router.get("/evidence")
def show_evidence(at: Looking) -> Response:
    """Show every package that was made, and every one that was booked."""
    at.visit.require_purpose()
    return _page(at)


@router.post("/evidence/package")
def make_one(
    *,
    at: Doing,
    which: Short = "",
    reads: Annotated[str, Form(max_length=12_000)] = "",
    plate: Annotated[str, Form(max_length=32)] = "",
    since: Short = "",
    until: Short = "",
    unit_id: Short = "",
    recipient: Annotated[str, Form(max_length=12)] = "",
    reason: Line = "",
) -> Response:
    """Make a package and give it as a file. It is not kept here: what is booked is the medium."""
    at.visit.require_purpose()
    values = (which, reads, plate, since, until, unit_id, recipient, reason)
    given = dict(zip(_FIELDS, values, strict=True))
    try:
        made = package_for_booking(
            at.department,
            _scope(at, given),
            recipient_id=int(recipient) if recipient.isdecimal() else None,
            unencrypted_reason=reason,
            actor=at.actor,
            now=at.now,
        )
    except _Refused as error:
        return _page(at, 422, str(error), given)
    if recipient.isdecimal():
        return file_of(made.content, f"evidence-{made.package_id}.p7m", "application/pkcs7-mime")
    return file_of(made.content, f"evidence-{made.package_id}.zip", "application/zip")


@router.post(BOOK)
async def book_one(request: Request, at: Looking) -> Response:
    """Book a package: the file as it lies on the medium is read, not kept. The body is read only now, when
    it is known who sends it."""
    at.visit.require_purpose()
    if not at.may:
        raise NotPermittedError("Booking evidence is for administrators and supervisors.", action=VIEW)
    try:
        form = await request.form(max_files=1, max_fields=20, max_part_size=MAX_FORM_BYTES)
    except HTTPException:
        return await run_in_threadpool(_page, at, 422, "The form was not understood.")
    try:
        fields = {name: value[:512] for name, value in form.items() if isinstance(value, str)}
        file, digest = form.get("file"), hashlib.sha256()
        while isinstance(file, UploadFile) and (chunk := await file.read(_CHUNK)):
            digest.update(chunk)
    finally:
        await form.close()
    if not same_secret(fields.get("form_token", ""), at.visit.session.form_token):
        raise ForeignFormError
    return await run_in_threadpool(_book, at, digest.hexdigest(), fields)


def _book(at: At, digest: str, fields: dict[str, str]) -> Response:
    item, place = fields.get("item", ""), fields.get("place", "")
    try:
        book_digest(at.department.engine, digest, item_number=item, place=place, actor=at.actor, now=at.now)
    except _Refused as error:
        return _page(at, 422, str(error).replace(": see `alpr-server evidence list`", ": see the list below"))
    return RedirectResponse("/evidence", 303)


def _page(at: At, status: int = 200, message: str = "", given: dict[str, str] | None = None) -> Response:
    packages, bookings = the_book(at.department.engine, at.actor, at.now)
    with reading(at.department.engine) as connection:
        known = recipients_in(connection)
    return at.visit.show(
        "evidence.html",
        status,
        message=message,
        packages=packages,
        bookings=bookings,
        booked={each.package_id for each in bookings},
        recipients=[each for each in known if each.standing == APPROVED and each.kind is AgencyKind.OWN],
        given=given or dict.fromkeys(_FIELDS, ""),
        may=at.may and at.visit.session.role.value in keepers(at.department.settings.release),
    )


def _scope(at: At, given: dict[str, str]) -> Scope:
    if given["which"] == "case":
        case_number = at.actor.purpose.case_number
        if not case_number:
            raise EvidenceRefusedError("state your purpose with the case number first: Change, above")
        with reading(at.department.engine) as connection:
            ids = tuple(shown_under(connection, case_number))
        if not ids:
            raise EvidenceRefusedError("no read was shown to anybody for this case")
        return Scope(ids)
    return Scope(
        tuple(given["reads"].split()),
        given["plate"],
        given["unit_id"],
        moment_of("From", given["since"]),
        moment_of("Until", given["until"]),
    )
