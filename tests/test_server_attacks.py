"""What an attacker tries on the pages: every field of every form, paths, sessions, passwords, bombs."""

import asyncio
import gzip
import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from httpx import Response
from sqlalchemy import func, select

from server.access import change_account
from server.database import reading
from server.department import Department
from server.desk import SESSION_COOKIE
from server.intake import Intake
from server.tables import metadata, reads
from tests.departments import NOW, PASSWORD, a_department, a_unit
from tests.fakes import a_read
from tests.visitors import FOR_ALL_THE_WORLD, Visitor, with_a_person_of_each_role

INJECTIONS = (
    "' OR '1'='1",
    '"; DROP TABLE reads; --',
    "1) UNION SELECT name, password_hash FROM accounts --",
    "%' ESCAPE '\\",
    "{{ 7 * 191 }}{% raw %}${7*191}#{7*191}<%= 7*191 %>",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "../../../../../../etc/passwd",
    "..%2f..%2fkeys%2fca.key.pem",
    "a\r\nSet-Cookie: owned=1",
    "\x00",
    "\u202e\ufeff\ud7ff",
    '=HYPERLINK("http://192.0.2.9")',
    "9" * 40,
    "-1",
    "1e400",
    "NaN",
    "2026-13-45T99:99",
)
_EVALUATED = str(7 * 191)
_RAW = ("<script>alert(1)", "<img src=x")
_INSIDE = ("sqlite", "Traceback", "sqlalchemy", "password_hash FROM", "psycopg")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Department]:
    folder = tmp_path_factory.mktemp("department")
    made = with_a_person_of_each_role(a_department(folder / "department"))
    unit = a_unit(made, folder / "unit")
    Intake(made.engine, made.keys, made.folder.quarantine).take(
        unit.peer, unit.batch([a_read(), a_read()]), NOW
    )
    yield made
    made.engine.dispose()


def fields_of(app: Any, route: str) -> list[str]:
    """Return the names of the form's fields."""
    method, _, path = route.partition(" ")
    document = app.openapi()
    content = document["paths"][path][method.lower()].get("requestBody", {}).get("content", {})
    names: list[str] = []
    for each in content.values():
        schema = each["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        names += schema.get("properties", {})
    return [name for name in names if name != "form_token"]


def require_harmless(answer: Response, route: str, sent: str) -> None:
    """Nothing broke, was evaluated, came back unescaped, or told what the server is made of."""
    about = f"{route} with {sent[:30]!r}: {answer.status_code}"
    assert answer.status_code < 500, about
    assert "owned" not in answer.headers.get("set-cookie", ""), about
    kind = answer.headers.get("content-type", "")
    if "html" not in kind:
        return
    text = answer.text.replace(html.escape(sent), "").replace(html.escape(sent, quote=False), "")
    if "7 * 191" in sent:
        assert _EVALUATED not in text, about
    assert not any(raw in answer.text for raw in _RAW), about
    assert not any(word in text for word in _INSIDE), about


def test_nothing_that_is_typed_into_a_form_breaks_or_rules_the_server(
    department: Department, runner: asyncio.Runner
) -> None:
    visitor = Visitor(department, runner)
    tried = 0
    for route in visitor.routes():
        # Every field at once, and each alone: some are looked at only when others are right.
        names = fields_of(visitor.app, route)
        if route.startswith("GET") or route in FOR_ALL_THE_WORLD or not names:
            continue
        for sent in INJECTIONS:
            if not visitor.client.cookies.get(SESSION_COOKIE):
                visitor.log_in("admin")
            answer = visitor.ask(route, form_token=visitor.form_token, **dict.fromkeys(names, sent))
            require_harmless(answer, route, sent)
            if answer.headers.get("location") == "/login":
                visitor = Visitor(department, runner)
            tried += 1
    assert tried >= 10 * len(INJECTIONS)
    # Guesses at the password on one's own page lock the account, as they should.
    change_account(department.engine, "admin", actor="console:test", now=NOW)
    with reading(department.engine) as connection:
        assert connection.execute(select(func.count()).select_from(reads)).scalar() == 2
        for table in metadata.sorted_tables:
            connection.execute(select(func.count()).select_from(table))


@pytest.mark.parametrize("sent", INJECTIONS)
def test_the_login_gives_nothing_away_and_nothing_in(
    department: Department, runner: asyncio.Runner, sent: str
) -> None:
    visitor = Visitor(department, runner)
    token = re.search(r'name="form_token" value="([^"]+)"', visitor.ask("GET /login").text)
    assert token is not None
    for name, password in ((sent, PASSWORD), ("admin", sent), (sent, sent)):
        answer = visitor.ask("POST /login", form_token=token[1], name=name, password=password)
        require_harmless(answer, "POST /login", sent)
        assert answer.status_code in (401, 403, 422)
        assert SESSION_COOKIE not in visitor.client.cookies


@pytest.mark.parametrize("sent", INJECTIONS)
def test_no_path_leads_out_of_the_pages(department: Department, runner: asyncio.Runner, sent: str) -> None:
    visitor = Visitor(department, runner)
    visitor.log_in("admin")
    routes = [route for route in visitor.routes() if "{" in route]
    assert routes
    # As it is, for what a client would send by hand; and quoted whole, for what a path keeps to itself.
    for route in ("GET /static/{name}", "GET /{name}", *routes):
        for text in (quote(sent, safe="/.%"), quote(sent, safe="")):
            method, _, path = route.partition(" ")
            path = re.sub(r"\{[^}]*\}", lambda _: text, path)  # noqa: B023
            form = {"form_token": visitor.form_token} if method == "POST" else None
            answer = runner.run(visitor.client.request(method, path, data=form))
            require_harmless(answer, route, sent)
            assert "PRIVATE KEY" not in answer.text and "root:" not in answer.text


def test_static_files_are_those_of_the_pages_alone(department: Department, runner: asyncio.Runner) -> None:
    visitor = Visitor(department, runner)
    assert runner.run(visitor.client.get("/static/pages.css")).status_code == 200
    for path in ("../pages.py", "%2e%2e/pages.py", "..%2fpages.py", "....//pages.py", "/etc/passwd"):
        assert runner.run(visitor.client.get(f"/static/{path}")).status_code in (404, 405), path


def test_a_session_that_was_planted_before_the_login_is_not_the_one_after_it(
    department: Department, runner: asyncio.Runner
) -> None:
    visitor = Visitor(department, runner)
    visitor.client.cookies.set(SESSION_COOKIE, "planted by somebody else", domain="testserver")
    visitor.client.cookies.clear()  # what a browser sends with the login is the attacker's
    visitor.log_in("admin")
    first = visitor.client.cookies[SESSION_COOKIE]
    assert first != "planted by somebody else"
    again = Visitor(department, runner)
    again.client.cookies.set(SESSION_COOKIE, "planted by somebody else")
    assert again.ask("GET /units").headers["location"] == "/login"
    visitor.log_in("admin")
    assert visitor.client.cookies[SESSION_COOKIE] != first


def test_passwords_cannot_be_tried_on_and_on(department: Department, runner: asyncio.Runner) -> None:
    visitor = Visitor(department, runner)
    tries = department.settings.access.lockout_failures
    answers = []
    for number in range(tries + 3):
        page = visitor.ask("GET /login").text
        token = re.search(r'name="form_token" value="([^"]+)"', page)
        assert token is not None
        word = PASSWORD if number == tries + 2 else f"guess number {number}"
        answers.append(visitor.ask("POST /login", form_token=token[1], name="auditor", password=word))
    assert {answer.status_code for answer in answers} == {401}  # also the right one, by then
    told = {re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}
    assert len(told) == 1  # whether it was the name, the password or the lock is not told


def test_a_packed_bomb_stays_packed(department: Department, runner: asyncio.Runner) -> None:
    visitor = Visitor(department, runner)
    visitor.log_in("admin")
    bomb = gzip.compress(b"plate=" + b"A" * 10_000_000)
    for encoding in ("gzip", "deflate", "br"):
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "content-encoding": encoding,
        }
        answer = runner.run(visitor.client.post("/reads", content=bomb, headers=headers))
        assert answer.status_code in (403, 413, 415, 422)


def test_fields_by_the_thousand_are_refused(department: Department, runner: asyncio.Runner) -> None:
    visitor = Visitor(department, runner)
    visitor.log_in("admin")
    fields = {f"f{number}": "" for number in range(3000)} | {"form_token": visitor.form_token}
    assert visitor.ask("POST /reads", **fields).status_code in (400, 413, 422)
