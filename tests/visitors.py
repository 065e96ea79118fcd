"""A browser on the pages of a department, without a window: for tests of every route there is."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from httpx import ASGITransport, AsyncClient, Response

from server.access import Access, Role, add_account
from server.department import Department
from server.desk import Desk
from server.pages import pages_app
from tests.departments import NOW, PASSWORD

FOR_ALL_THE_WORLD = {"GET /login", "POST /login"}
"""Routes that need no session."""


@dataclass
class Visitor:
    """A browser on the pages of a department."""

    department: Department
    runner: asyncio.Runner
    client: AsyncClient = field(init=False)
    app: Any = field(init=False)
    form_token: str = ""

    def __post_init__(self) -> None:
        engine, settings = self.department.engine, self.department.settings
        desk = Desk(engine, Access(engine, settings.access), settings.department, lambda: NOW)
        self.app = pages_app(desk, self.department)
        self.client = AsyncClient(
            transport=ASGITransport(self.app), base_url="https://testserver", trust_env=False
        )

    def ask(self, route: str, **fields: str) -> Response:
        """Call a route, with something for each name in its path."""
        method, _, path = route.partition(" ")
        path = re.sub(r"\{[a-z_]+(:path)?\}", "1", path)
        return self.runner.run(self.client.request(method, path, data=fields if method == "POST" else None))

    def routes(self) -> list[str]:
        """Return every route there is, as "GET /path"."""
        paths = self.app.openapi()["paths"].items()
        return sorted(f"{method.upper()} {path}" for path, methods in paths for method in methods)

    def log_in(self, name: str) -> None:
        """Log in and state a purpose."""
        page = self.ask("GET /login")
        answer = self.ask("POST /login", form_token=_token(page), name=name, password=PASSWORD)
        assert answer.status_code == 303
        self.form_token = _token(self.ask("GET /purpose"))
        self.ask("POST /purpose", form_token=self.form_token, code="stolen-vehicle", case_number="26-0042")


def _token(page: Response) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def with_a_person_of_each_role(department: Department) -> Department:
    """Add an account for each role, called after it."""
    for role in Role:
        add_account(
            department.engine, role.value, role, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW
        )
    return department
