"""What every page has in common: headers that tell the browser to be careful, bounded forms, templates."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync.page_headers import CAREFUL

MAX_FORM_BYTES = 16 * 1024
_HERE = Path(__file__).parent
STATIC = _HERE / "static"

_HEADERS = (
    # No script at all, nothing from elsewhere; "data:" is for evidence, which stands in the page itself so
    # that the audit entry of the page covers every picture shown.
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'",
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
    """ASGI middleware: the headers above on every answer, and no body larger than a form, or than *uploads*
    says of its path, in bytes."""

    def __init__(self, app: ASGIApp, uploads: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._uploads = uploads or {}

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
        # A browser states the length of every form; the HTTP parser holds the sender to what it stated.
        most = self._uploads.get(scope["path"], MAX_FORM_BYTES)
        if b"transfer-encoding" in headers or not length.isdigit() or int(length) > most:
            refusal = HTMLResponse("This form is too large.", 413, {"Connection": "close"})
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return *template* filled with *values*; every value is escaped."""
    return HTMLResponse(_templates.get_template(template).render(values), status)


def _moment(value: datetime | None) -> str:
    return "—" if value is None else value.strftime("%Y-%m-%d %H:%M:%S")


def _percent(value: float) -> str:
    # Down, not to the nearest: 99.6 % must never be shown as certain.
    return f"{int(value * 100)} %"


_templates.filters["moment"] = _moment
_templates.filters["percent"] = _percent
