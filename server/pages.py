"""The pages for people: units, reads, one read; the auditor's are `audit_pages`.

A plate that is searched for travels in a form, never in an address: addresses end up in histories and logs.
"""

from dataclasses import replace

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from server import (
    account_pages,
    accuracy_pages,
    audit_pages,
    evidence_pages,
    feed_pages,
    fleet_pages,
    hit_pages,
    hold_pages,
    hotlist_pages,
    investigation_pages,
    login_pages,
    login_step_pages,
    people_pages,
    read_pages,
    release_pages,
    retention_pages,
    urgent_pages,
)
from server.department import Department
from server.desk import (
    Desk,
    LoginNeededError,
    PurposeNeededError,
    StepNeededError,
    Visit,
    desk_of,
    shown,
)
from server.errors import NotPermittedError, StoreDamagedError, StoreUnavailableError
from server.login_step_pages import STEP_PATHS
from server.publish_job import PublishJob
from server.web import STATIC, CarefulPages

READS_PER_PAGE = 25
MAX_PAGE = 100_000


def pages_app(desk: Desk, department: Department | None = None) -> FastAPI:
    """Return the application for the port that people's browsers use; reports need the *department*."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk if department is None else replace(desk, lists=department.visibility)
    app.state.department = department
    app.state.publish_job = PublishJob()
    app.add_middleware(
        CarefulPages, uploads=release_pages.UPLOADS | evidence_pages.UPLOADS | feed_pages.UPLOADS
    )
    app.mount("/static", StaticFiles(directory=STATIC))
    app.include_router(login_pages.router)
    app.include_router(login_step_pages.router)
    app.include_router(account_pages.router)
    app.include_router(people_pages.router)
    app.include_router(fleet_pages.router)
    # Before those of one read, whose id stands where their names do.
    app.include_router(investigation_pages.router)
    app.include_router(read_pages.router)
    app.include_router(audit_pages.router)
    app.include_router(release_pages.router)
    app.include_router(retention_pages.router)
    app.include_router(hold_pages.router)
    app.include_router(evidence_pages.router)
    app.include_router(hotlist_pages.router)
    app.include_router(feed_pages.router)
    app.include_router(urgent_pages.router)
    app.include_router(accuracy_pages.router)
    app.include_router(hit_pages.router)

    @app.exception_handler(LoginNeededError)
    async def login_needed(_: Request, __: LoginNeededError) -> Response:
        return RedirectResponse("/login", 303)

    @app.exception_handler(StepNeededError)
    async def step_needed(_: Request, error: StepNeededError) -> Response:
        return RedirectResponse(STEP_PATHS[error.step], 303)

    @app.exception_handler(PurposeNeededError)
    async def purpose_needed(_: Request, __: PurposeNeededError) -> Response:
        return RedirectResponse("/purpose", 303)

    @app.exception_handler(NotPermittedError)
    def not_permitted(request: Request, error: NotPermittedError) -> Response:
        visit: Visit | None = getattr(request.state, "visit", None)
        if visit is not None and not error.noted:
            try:
                visit.refuse(error.action, page=request.url.path[:64])
            except StoreUnavailableError as broken:
                return unavailable(request, broken)
        return _message(request, 403, "Not permitted", str(error))

    @app.exception_handler(RequestValidationError)
    async def not_a_form(request: Request, _: RequestValidationError) -> Response:
        return _message(request, 422, "Not understood", "A field of this form is too long or not a number.")

    @app.exception_handler(404)
    async def not_found(request: Request, _: Exception) -> Response:
        return _message(request, 404, "Not found", "There is no such page.")

    @app.exception_handler(StoreUnavailableError)
    def unavailable(request: Request, error: StoreUnavailableError) -> Response:
        why = "The access log cannot be written now, so nothing is shown. Try again in a minute."
        if isinstance(error, StoreDamagedError):
            why = f"{str(error)[:1].upper()}{str(error)[1:]}."
        return _message(request, 503, "Not available", why)

    return app


def _message(request: Request, status: int, title: str, message: str) -> Response:
    return shown(desk_of(request), "message.html", status, title=title, message=message)
