"""An access log with deeds of several persons in it, and a browser on the department's pages."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy import Engine, text

from server.access import Access
from server.audit import Deed, append
from server.database import writing
from server.department import Department
from server.desk import Desk
from server.pages import pages_app
from tests.departments import PASSWORD

MORNING = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def searched(
    engine: Engine,
    who: str,
    plate: str = "",
    *,
    at: datetime = MORNING,
    shown: Sequence[str] = (),
    case_number: str = "26-0042",
    purpose: str = "investigation",
    **asked: Any,
) -> None:
    """Write down a search as the page of reads does."""
    detail = {"asked": {"plate": plate, "anywhere": False, "page": 1, **asked}, "shown": list(shown)}
    action = "reads.search" if plate or asked else "reads.list"
    done(
        engine,
        who,
        action,
        at=at,
        detail=detail,
        case_number=case_number,
        purpose=purpose,
    )


def done(
    engine: Engine,
    who: str,
    action: str,
    *,
    at: datetime = MORNING,
    detail: Mapping[str, Any] | None = None,
    outcome: str = "success",
    case_number: str = "",
    purpose: str = "",
) -> None:
    """Write down any deed."""
    deed = Deed(who, action, outcome, purpose, case_number, "192.0.2.9", detail or {})
    with writing(engine) as connection:
        append(connection, deed, at)


def tamper(engine: Engine, *statements: str) -> None:
    """Change the log as somebody would who owns the database file."""
    with writing(engine) as connection:
        for table in ("audit", "audit_checkpoints"):
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_refuses_{verb}"))
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        for statement in statements:
            connection.execute(text(statement))


@dataclass
class Browser:
    """A person's browser on the pages of one department."""

    department: Department
    now: datetime
    client: AsyncClient = field(init=False)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def __post_init__(self) -> None:
        engine, settings = self.department.engine, self.department.settings
        desk = Desk(engine, Access(engine, settings.access), settings.department, lambda: self.now)
        transport = ASGITransport(pages_app(desk, self.department))
        self.client = AsyncClient(transport=transport, base_url="https://testserver", trust_env=False)

    def get(self, path: str) -> Response:
        """Open a page."""
        return self.runner.run(self.client.get(path))

    def post(self, path: str, **fields: str) -> Response:
        """Send a form."""
        return self.runner.run(self.client.post(path, data=fields))

    def submit(self, page: str, to: str, **fields: str) -> Response:
        """Fill in the form that stands on *page* and send it."""
        token = re.search(r'name="form_token" value="([^"]+)"', self.get(page).text)
        assert token is not None
        return self.post(to, form_token=token[1], **fields)

    def log_in(self, name: str, *, purpose: str = "audit") -> None:
        """Log in, and say why."""
        assert self.submit("/login", "/login", name=name, password=PASSWORD).status_code == 303
        if purpose:
            assert self.submit("/purpose", "/purpose", code=purpose, case_number="").status_code == 303
