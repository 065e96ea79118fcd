"""The auditor's pages: the access log, reports on it, queries to judge, the policy and the public numbers.

They are for administrators and auditors. Each look is an entry of the log itself, also one that was refused
(CJIS AU-2). A plate that is asked about travels in a form, never in an address.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from server.audit import Deed
from server.audit_answers import REPORTS, Question, answer, imprint_of
from server.audit_period import Period, last_year, period_of
from server.audit_report import as_csv, as_json
from server.audit_reviews import ReviewRefusedError, Verdict, draw, drawn, review
from server.database import reading
from server.department import Department
from server.desk import FromForm, LoggedIn, Text, Visit
from server.errors import AuditBrokenError, NotPermittedError
from server.policy_document import policy_of
from server.tables import audit
from server.transparency import transparency_of

ENTRIES_PER_PAGE = 50
_MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_NOT_YOURS = "The access log and what belongs to it are open to administrators and auditors."

router = APIRouter()


def _auditing(visit: LoggedIn) -> Visit:
    return _permitted(visit)


def _auditing_form(visit: FromForm) -> Visit:
    return _permitted(visit)


def _permitted(visit: Visit) -> Visit:
    if not visit.session.role.sees_audit:
        raise NotPermittedError(_NOT_YOURS, action="audit.view")
    return visit


def _department(request: Request) -> Department:
    department: Department | None = request.app.state.department
    if department is None:
        raise HTTPException(404)
    return department


Auditing = Annotated[Visit, Depends(_auditing)]
"""A page that asks for this is seen by administrators and auditors alone."""
AuditingForm = Annotated[Visit, Depends(_auditing_form)]
Its = Annotated[Department, Depends(_department)]
Day = Annotated[str, Form(max_length=32)]


@router.get("/audit")
def show_audit(visit: Auditing, before: int | None = None) -> Response:
    """Show the access log, newest entry first."""
    statement = select(audit).order_by(audit.c.sequence.desc()).limit(ENTRIES_PER_PAGE)
    if before is not None:
        statement = statement.where(audit.c.sequence < before)
    with reading(visit.desk.engine) as connection:
        rows = connection.execute(statement).all()
    # Looking at the log is in the log (CJIS AU-2).
    visit.record("audit.view", newest=rows[0].sequence if rows else 0)
    entries = [{**row._asdict(), "detail": told(json.loads(row.detail))} for row in rows]
    return visit.show("audit.html", entries=entries, more=bool(rows) and rows[-1].sequence > 1)


@router.get("/audit/reports")
def ask(visit: Auditing) -> Response:
    """Show the form that reports are asked for with."""
    visit.record("audit.view", page="reports")
    return _form(visit)


@router.post("/audit/report")
def show_report(
    *,
    visit: AuditingForm,
    department: Its,
    report: Text = "",
    start: Day = "",
    end: Day = "",
    user: Text = "",
    plate: Annotated[str, Form(max_length=32)] = "",
    form: Text = "page",
) -> Response:
    """Show a report, or give it as a file."""
    visit.require_purpose()
    now = visit.desk.clock()
    try:
        period = period_of(start, end, now)
        question = _question(visit, report, period, user=user.strip(), plate=plate.strip())
        found = answer(department, question, now)
    except (ValueError, AuditBrokenError) as error:
        return _form(visit, 422, str(error))
    imprint = imprint_of(department, question, now)
    if form not in _MEDIA:
        visit.record("audit.report", **question.detail, rows=len(found.rows))
        asked = {
            "report": report,
            "start": period.start.isoformat(),
            "end": period.end.isoformat(),
            "user": question.user,
            "plate": question.plate,
        }
        return visit.show("audit_report.html", report=found, imprint=imprint, asked=asked)
    visit.record("audit.export", **question.detail, rows=len(found.rows), form=form)
    content = as_csv(found, imprint) if form == "csv" else as_json(found, imprint)
    name = f"{found.name}-{now:%Y%m%d-%H%M%S}.{form}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=_MEDIA[form], headers=headers)


@router.get("/audit/sample")
def show_sample(visit: Auditing, department: Its) -> Response:
    """Show what was drawn: what waits for a verdict, and what has one."""
    visit.require_purpose()
    return _sample(visit, department)


@router.post("/audit/sample")
def draw_sample(
    *,
    visit: AuditingForm,
    department: Its,
    start: Day = "",
    end: Day = "",
    count: Annotated[int, Form(ge=1, le=500)] = 20,
) -> Response:
    """Draw queries at random."""
    visit.require_purpose()
    now = visit.desk.clock()
    try:
        draw(visit.desk.engine, period_of(start, end, now), count, _deed(visit, "audit.sample"), now)
    except (ValueError, ReviewRefusedError, AuditBrokenError) as error:
        return _sample(visit, department, 422, str(error))
    return RedirectResponse("/audit/sample", 303)


@router.post("/audit/review")
def judge(
    *,
    visit: AuditingForm,
    department: Its,
    place: Annotated[str, Form(max_length=128)] = "",
    verdict: Text = "",
    note: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Keep a verdict on a query."""
    visit.require_purpose()
    now = visit.desk.clock()
    try:
        deed = _deed(visit, "audit.review")
        review(visit.desk.engine, place, Verdict(verdict), note, deed=deed, now=now)
    except (ReviewRefusedError, AuditBrokenError) as error:
        return _sample(visit, department, 422, str(error))
    except ValueError:
        return _sample(visit, department, 422, "Pick a verdict.")
    return RedirectResponse("/audit/sample", 303)


@router.get("/policy")
def show_policy(visit: LoggedIn, department: Its) -> Response:
    """Show the usage and privacy policy, to everybody who is bound by it."""
    with reading(visit.desk.engine) as connection:
        policy = policy_of(connection, department.settings, visit.desk.clock())
    visit.record("policy.view")
    return visit.show("policy.html", policy=policy)


@router.get("/transparency")
def show_transparency(visit: Auditing, department: Its) -> Response:
    """Show what would be published, for the last year."""
    now = visit.desk.clock()
    with reading(visit.desk.engine) as connection:
        found = transparency_of(connection, department.settings, last_year(now), now)
    visit.record("audit.view", page="transparency")
    return visit.show("transparency.html", found=found)


def told(detail: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines in which a person reads an entry's detail; a list of many things as their number."""
    lines = []
    for name, value in detail.items():
        if isinstance(value, dict):
            lines += [(inner, str(what)) for inner, what in value.items() if what]
        elif isinstance(value, list):
            many = f"{len(value)} reads" if name == "shown" else f"{len(value)} of them"
            lines.append((name, ", ".join(map(str, value)) if len(value) <= 3 else many))
        else:
            lines.append((name, str(value)))
    return lines


def _question(visit: Visit, report: str, period: Period, *, user: str, plate: str) -> Question:
    purpose = visit.session.purpose
    assert purpose is not None  # asked for before
    return Question(
        report, period, visit.session.account, purpose.code, purpose.case_number, user=user, plate=plate
    )


def _form(visit: Visit, status: int = 200, message: str = "") -> Response:
    return visit.show("audit_reports.html", status, reports=REPORTS, message=message)


def _sample(visit: Visit, department: Department, status: int = 200, message: str = "") -> Response:
    with reading(visit.desk.engine) as connection:
        unseal = department.keys.unseal
        waiting, done = (drawn(connection, unseal, waiting=each) for each in (True, False))
    visit.record("audit.view", page="sample", entries=len(waiting) + len(done))
    return visit.show(
        "audit_sample.html", status, waiting=waiting, done=done, verdicts=list(Verdict), message=message
    )


def _deed(visit: Visit, action: str) -> Deed:
    purpose = visit.session.purpose
    assert purpose is not None  # asked for before
    return Deed(
        visit.session.account,
        action,
        purpose=purpose.code,
        case_number=purpose.case_number,
        source=visit.source,
    )
