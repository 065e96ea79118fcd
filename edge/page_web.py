"""What every page has in common: headers that tell the browser to be careful, bounded forms, templates."""

import base64
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync.page_headers import CAREFUL

MAX_FORM_BYTES = 16 * 1024
MAX_FIELD = 256
_HERE = Path(__file__).parent
STATIC = _HERE / "static"

_HEADERS = (
    # Our own script and nothing from elsewhere; "data:" is for evidence, which stands in the page itself so
    # that the log's entry of the page covers every picture shown.
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
        b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    *CAREFUL,
)

_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class CarefulPages:
    """ASGI middleware: the headers above on every answer, our own names alone, no body larger than a form."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        """*hosts* are the names and addresses, without port, by which a browser may call this page."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        # Another site's name that was made to lead here (DNS rebinding) gets nothing.
        if host_of(headers.get(b"host", b"").decode("latin-1")) not in self._hosts:
            refusal = HTMLResponse("This page is not called so. See page.hosts in the configuration.", 421)
        # A browser states the length of every form; the HTTP parser holds the sender to what it stated.
        elif b"transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_FORM_BYTES:
            refusal = HTMLResponse("This form is too large.", 413, {"Connection": "close"})
        else:
            await self._app(scope, receive, send_with_headers)
            return
        await refusal(scope, receive, send_with_headers)


def host_of(header: str) -> str:
    """Return the name or address in a Host *header*, without its port, in lower case."""
    name = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
    return name.strip("[]").lower()


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of the form in *request*; one that is too long or a file counts as not filled in."""
    form: FormData = await request.form(max_files=0, max_fields=50)
    return {
        name: value
        for name, value in form.multi_items()
        if not isinstance(value, UploadFile) and len(value) <= MAX_FIELD
    }


def page(template: str, status: int = 200, **values: Any) -> Response:
    """Return *template* filled with *values*; every value is escaped."""
    return HTMLResponse(_templates.get_template(template).render(values), status)


def picture(jpeg: bytes) -> str:
    """Return *jpeg* as an address that stands in the page itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _moment(value: datetime | None) -> str:
    return "—" if value is None else value.strftime("%Y-%m-%d %H:%M:%S")


def _clock(value: datetime) -> str:
    return value.strftime("%H:%M:%S")


def _percent(value: float) -> str:
    # Down, not to the nearest: 99.6 % must never be shown as certain.
    return f"{min(99, int(value * 100))} %"


_templates.filters["moment"] = _moment
_templates.filters["clock"] = _clock
_templates.filters["percent"] = _percent
_templates.globals["picture"] = picture
