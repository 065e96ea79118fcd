"""The pages for people: units, reads, one read, the access log.

A plate that is searched for travels in a form, never in an address: addresses end up in histories and logs.
"""

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy import select

from server import login_pages
from server.database import reading
from server.desk import (
    Desk,
    FromForm,
    LoggedIn,
    LoginNeededError,
    PurposeNeededError,
    Text,
    Visit,
    desk_of,
    shown,
)
from server.errors import NotPermittedError, StoreUnavailableError
from server.overview import all_units
from server.records import ReadQuery, StoredRead, find_reads, get_read
from server.tables import audit, units
from server.web import STATIC, CarefulPages

READS_PER_PAGE = 25
ENTRIES_PER_PAGE = 50
MAX_PAGE = 100_000

router = APIRouter()


@router.get("/units")
def show_units(visit: LoggedIn) -> Response:
    """Show every unit with what it sent."""
    now = visit.desk.clock()
    with reading(visit.desk.engine) as connection:
        rows = all_units(connection, now)
    visit.record("units.view", units=len(rows))
    return visit.show("units.html", units=rows, now=now)


@router.get("/reads")
def newest_reads(visit: LoggedIn) -> Response:
    """Show the newest reads of all units."""
    return _reads(visit, ReadQuery(), 1)


@router.post("/reads")
def search_reads(
    *,
    visit: FromForm,
    plate: Annotated[str, Form(max_length=32)] = "",
    match: Text = "exact",
    unit_id: Text = "",
    hits_only: Text = "",
    number: Annotated[int, Form(ge=1, le=MAX_PAGE)] = 1,
) -> Response:
    """Show the reads that were asked for."""
    query = ReadQuery(plate.strip(), match == "anywhere", unit_id, hits_only == "yes")
    return _reads(visit, query, number)


@router.get("/reads/{read_id}")
def show_read(visit: LoggedIn, read_id: str) -> Response:
    """Show one read with all that is known of it."""
    visit.require_purpose()
    with reading(visit.desk.engine) as connection:
        found = get_read(connection, read_id)
    visit.record("read.view", read=read_id[:64], found=found is not None)
    if found is None:
        return visit.show("message.html", 404, title="Not found", message="There is no such read.")
    return visit.show("read.html", read=found, picture=_picture)


@router.get("/audit")
def show_audit(visit: LoggedIn, before: int | None = None) -> Response:
    """Show the access log, newest entry first."""
    if not visit.session.role.sees_audit:
        raise NotPermittedError("The access log is open to administrators and auditors.")
    statement = select(audit).order_by(audit.c.sequence.desc()).limit(ENTRIES_PER_PAGE)
    if before is not None:
        statement = statement.where(audit.c.sequence < before)
    with reading(visit.desk.engine) as connection:
        rows = connection.execute(statement).all()
    # Looking at the log is in the log (CJIS AU-2).
    visit.record("audit.view", newest=rows[0].sequence if rows else 0)
    entries = [{**row._asdict(), "detail": _told(json.loads(row.detail))} for row in rows]
    return visit.show("audit.html", entries=entries, more=bool(rows) and rows[-1].sequence > 1)


def pages_app(desk: Desk) -> FastAPI:
    """Return the application for the port that people's browsers use."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    app.add_middleware(CarefulPages)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.include_router(login_pages.router)
    app.include_router(router)

    @app.exception_handler(LoginNeededError)
    async def login_needed(_: Request, __: LoginNeededError) -> Response:
        return RedirectResponse("/login", 303)

    @app.exception_handler(PurposeNeededError)
    async def purpose_needed(_: Request, __: PurposeNeededError) -> Response:
        return RedirectResponse("/purpose", 303)

    @app.exception_handler(NotPermittedError)
    async def not_permitted(request: Request, error: NotPermittedError) -> Response:
        return _message(request, 403, "Not permitted", str(error))

    @app.exception_handler(RequestValidationError)
    async def not_a_form(request: Request, _: RequestValidationError) -> Response:
        return _message(request, 422, "Not understood", "A field of this form is too long or not a number.")

    @app.exception_handler(404)
    async def not_found(request: Request, _: Exception) -> Response:
        return _message(request, 404, "Not found", "There is no such page.")

    @app.exception_handler(StoreUnavailableError)
    async def unavailable(request: Request, _: StoreUnavailableError) -> Response:
        why = "The access log cannot be written now, so nothing is shown. Try again in a minute."
        return _message(request, 503, "Not available", why)

    return app


def _reads(visit: Visit, query: ReadQuery, number: int) -> Response:
    visit.require_purpose()
    with reading(visit.desk.engine) as connection:
        # One more than is shown tells whether there is another page; counting them all would be slow.
        found = find_reads(connection, query, READS_PER_PAGE + 1, (number - 1) * READS_PER_PAGE)
        unit_ids = list(connection.execute(select(units.c.unit_id).order_by(units.c.unit_id)).scalars())
    more, found = len(found) > READS_PER_PAGE, found[:READS_PER_PAGE]
    searching = query != ReadQuery()
    asked = {
        "plate": query.plate,
        "anywhere": query.anywhere,
        "unit": query.unit_id,
        "hits only": query.hits_only,
        "page": number,
    }
    visit.record(
        "reads.search" if searching else "reads.list",
        asked=asked,
        shown=[read.read_id for read in found],
    )
    return visit.show(
        "reads.html",
        reads=found,
        picture=_picture,
        query=query,
        searching=searching,
        number=number,
        more=more,
        unit_ids=unit_ids,
    )


def _message(request: Request, status: int, title: str, message: str) -> Response:
    return shown(desk_of(request), "message.html", status, title=title, message=message)


def _picture(read: StoredRead) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(read.evidence).decode("ascii")


def _told(detail: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines in which a person reads an entry's detail; a list of many reads as their number."""
    lines = []
    for name, value in detail.items():
        if isinstance(value, dict):
            lines += [(inner, str(what)) for inner, what in value.items() if what]
        elif isinstance(value, list):
            lines.append((name, ", ".join(map(str, value)) if len(value) <= 3 else f"{len(value)} reads"))
        else:
            lines.append((name, str(value)))
    return lines
