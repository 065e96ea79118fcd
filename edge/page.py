"""The officers' page: one application of all its parts, and the server that brings it to the laptop.

Everything here runs in one thread, which the daemon makes. A page that takes long holds up other pages and
nothing else: alerts sound in the main thread.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edge import page_entries, page_hits, page_incident, page_login, page_lookup, page_status
from edge.errors import LogUnwritableError
from edge.logs import describe
from edge.page_desk import SESSION_COOKIE, Desk, LockedError, LoginNeededError, NotPermittedError, shown
from edge.page_web import STATIC, CarefulPages

CONNECTIONS = 32
LOOK_S = 0.5
RETRY_S = 10.0
GRACE_S = 3

_FILES = {
    name: ((STATIC / name).read_bytes(), kind)
    for name, kind in (
        ("page.css", "text/css"),
        ("page.js", "text/javascript"),
        ("icon.svg", "image/svg+xml"),
    )
}

log = structlog.get_logger(__name__)


def page_app(desk: Desk) -> Starlette:
    """Return the application for the laptop's browser."""
    names = {desk.config.host, desk.unit_id, "localhost", "127.0.0.1", "::1", *desk.config.hosts}
    app = Starlette(
        routes=[
            *page_login.ROUTES,
            *page_hits.ROUTES,
            *page_lookup.ROUTES,
            *page_entries.ROUTES,
            *page_incident.ROUTES,
            *page_status.ROUTES,
            Route("/favicon.ico", _no_icon),
            Route("/static/{name}", _static),
        ],
        middleware=[Middleware(CarefulPages, hosts=frozenset(name.lower() for name in names))],
        exception_handlers={
            LoginNeededError: _login_needed,
            LockedError: _locked,
            NotPermittedError: _not_permitted,
            LogUnwritableError: _not_logged,
            HTTPException: _no_such_page,
            Exception: _failed,
        },
    )
    app.state.desk = desk
    return app


class PageServer:
    """Serves the page in the thread that calls `run`."""

    def __init__(self, desk: Desk, certificate: Path, key: Path) -> None:
        """*certificate* and *key* are what the browser sees, of the department's own authority."""
        self.fault = ""
        """Why the page cannot be reached, for the technician; empty while it can."""
        self.port = 0
        """Where it listens; 0: not yet."""
        self._desk = desk
        self._certificate = certificate
        self._key = key

    def run(self, beat: Callable[[], None], stopping: Callable[[], bool]) -> None:
        """Serve until *stopping*; *beat* is called about every half second.

        An address that is taken or not there yet (the vehicle's network comes up late) is tried again.
        """
        asyncio.run(self._run(beat, stopping))

    async def _run(self, beat: Callable[[], None], stopping: Callable[[], bool]) -> None:
        waited_s = RETRY_S
        while not stopping():
            beat()
            if waited_s >= RETRY_S:
                waited_s = 0.0
                try:
                    context = _tls(self._certificate, self._key)
                    bound = _bind(self._desk.config.host, self._desk.config.port)
                except OSError as error:  # a certificate that is none raises one too: ssl.SSLError
                    where = f"{self._desk.config.host} port {self._desk.config.port}"
                    self._say(f"page: {where}: cannot listen ({error.strerror or type(error).__name__})")
                else:
                    self.fault, self.port = "", bound.getsockname()[1]
                    log.info("page.listening", host=self._desk.config.host, port=self.port)
                    await self._serve(bound, context, beat, stopping)
                    return
            waited_s += LOOK_S
            await asyncio.sleep(LOOK_S)

    async def _serve(
        self,
        bound: socket.socket,
        context: ssl.SSLContext,
        beat: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> None:
        listener = _Listener(_config(page_app(self._desk), context))
        serving = asyncio.create_task(listener.serve(sockets=[bound]))
        while not serving.done():
            beat()
            if stopping():
                listener.should_exit = True
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(serving), LOOK_S)
        await serving

    def _say(self, fault: str) -> None:
        if fault != self.fault:
            log.error("page.unreachable", why=fault)
        self.fault = fault


class _Listener(uvicorn.Server):
    """uvicorn's server, which leaves the signals to the daemon."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal handler."""
        yield


async def _static(request: Request) -> Response:
    # Three small files, read once: nothing of the disk is reached by a name from outside.
    found = _FILES.get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    return Response(found[0], media_type=found[1])


async def _no_icon(_: Request) -> Response:
    return RedirectResponse("/static/icon.svg", 303)


async def _login_needed(request: Request, _: Exception) -> Response:
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="strict", path="/")
    return response


async def _locked(_: Request, __: Exception) -> Response:
    return RedirectResponse("/unlock", 303)


async def _not_permitted(request: Request, error: Exception) -> Response:
    return _message(request, 403, "Not permitted", str(error))


async def _not_logged(request: Request, error: Exception) -> Response:
    log.error("access_log.unwritable", why=str(error))
    return _message(request, 503, "Nothing is shown", f"{error}. Alerts go on sounding. Tell the technician.")


async def _no_such_page(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status != 404:
        return _message(request, status, "Not understood", "This page cannot be asked for like that.")
    return _message(request, status, "Not found", "There is no such page.")


async def _failed(request: Request, error: Exception) -> Response:
    log.error("page.failed", why=describe(error))
    return _message(request, 500, "Failed", "This page failed. Alerts go on sounding. Tell the technician.")


def _message(request: Request, status: int, title: str, message: str) -> Response:
    desk: Desk = request.app.state.desk
    return shown(desk, "message.html", status, title=title, message=message)


def _bind(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def _tls(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _config(app: Starlette, context: ssl.SSLContext) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="none",
        loop="asyncio",
        lifespan="off",
        ssl_context_factory=lambda _config, _default: context,
        # Its access log would write addresses with what stands in them; ours is `edge.access_log`.
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )
