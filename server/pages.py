"""The pages for people: units, reads, one read; the auditor's are `audit_pages`.

A plate that is searched for travels in a form, never in an address: addresses end up in histories and logs.
"""

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from server import audit_pages, login_pages, read_pages, release_pages
from server.database import reading
from server.department import Department
from server.desk import (
    Desk,
    LoggedIn,
    LoginNeededError,
    PurposeNeededError,
    desk_of,
    shown,
)
from server.errors import NotPermittedError, StoreUnavailableError
from server.overview import all_units
from server.web import STATIC, CarefulPages

READS_PER_PAGE = 25
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


def pages_app(desk: Desk, department: Department | None = None) -> FastAPI:
    """Return the application for the port that people's browsers use; reports need the *department*."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    app.state.department = department
    app.add_middleware(CarefulPages, uploads=release_pages.UPLOADS)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.include_router(login_pages.router)
    app.include_router(router)
    app.include_router(read_pages.router)
    app.include_router(audit_pages.router)
    app.include_router(release_pages.router)

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


def _message(request: Request, status: int, title: str, message: str) -> Response:
    return shown(desk_of(request), "message.html", status, title=title, message=message)
