"""Every route of the pages by every role by another agency: who gets in, in one table.

A route that is not in the table fails the test: whoever adds one says here whom it is open to.
"""

import asyncio
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from httpx import Response

from server.access import Role, add_account
from server.department import Department
from server.desk import SESSION_COOKIE
from tests.departments import NOW, PASSWORD, a_department, audited
from tests.visitors import FOR_ALL_THE_WORLD, Visitor, with_a_person_of_each_role

ADMIN, OFFICER, SUPERVISOR, TECHNICIAN, AUDITOR = Role
EVERYBODY = frozenset(Role)
WHO_SEES_READS = EVERYBODY - {TECHNICIAN}
JUDGING = frozenset({ADMIN, OFFICER, SUPERVISOR})
AUDITING = frozenset({ADMIN, AUDITOR})
REGISTER = frozenset({ADMIN, SUPERVISOR, AUDITOR})
KEEPING = frozenset({ADMIN, SUPERVISOR})
DECIDING = frozenset({ADMIN})

OPEN_TO: dict[str, frozenset[Role]] = {
    "GET /": EVERYBODY,
    # Each is open at its own step of a login, and leads everybody else on.
    "GET /login/code": EVERYBODY,
    "POST /login/code": EVERYBODY,
    "GET /login/password": EVERYBODY,
    "POST /login/password": EVERYBODY,
    "GET /login/enrol": EVERYBODY,
    "POST /login/enrol": EVERYBODY,
    "GET /account": EVERYBODY,
    "POST /account/password": EVERYBODY,
    "POST /account/factor": EVERYBODY,
    "POST /account/factor/confirm": EVERYBODY,
    "POST /account/factor/off": EVERYBODY,
    "POST /account/codes": EVERYBODY,
    "POST /account/sessions/end": EVERYBODY,
    "GET /accounts": DECIDING,
    "POST /accounts": DECIDING,
    "POST /accounts/show": DECIDING,
    "POST /accounts/role": DECIDING,
    "POST /accounts/approve": DECIDING,
    "POST /accounts/refuse": DECIDING,
    "POST /accounts/training": DECIDING,
    "POST /accounts/password": DECIDING,
    "POST /accounts/factor": DECIDING,
    "POST /accounts/disable": DECIDING,
    "POST /accounts/enable": DECIDING,
    "POST /logout": EVERYBODY,
    "GET /purpose": EVERYBODY,
    "POST /purpose": EVERYBODY,
    "GET /policy": EVERYBODY,
    "GET /units": EVERYBODY,
    "GET /units/{unit_id}": EVERYBODY,
    "GET /hits": WHO_SEES_READS,
    "POST /hits": WHO_SEES_READS,
    "GET /hits/{read_id}/{hit_id}": WHO_SEES_READS,
    "POST /hits/{read_id}/{hit_id}": JUDGING,
    "GET /hits/corrections": WHO_SEES_READS,
    "POST /hits/corrections": WHO_SEES_READS,
    "POST /hits/corrections/advance": JUDGING,
    "GET /hits/accuracy": EVERYBODY,
    "POST /hits/accuracy": EVERYBODY,
    "GET /hits/sample": WHO_SEES_READS,
    "POST /hits/sample": WHO_SEES_READS,
    "POST /hits/sample/judge": WHO_SEES_READS,
    "GET /reads": WHO_SEES_READS,
    "POST /reads": WHO_SEES_READS,
    "POST /reads/export": WHO_SEES_READS,
    "GET /reads/{read_id}": WHO_SEES_READS,
    "POST /reads/{read_id}/history": WHO_SEES_READS,
    "POST /reads/{read_id}/seen": AUDITING,
    "GET /reads/canvass": WHO_SEES_READS,
    "POST /reads/canvass": WHO_SEES_READS,
    "POST /reads/canvass/export": WHO_SEES_READS,
    "GET /reads/convoy": WHO_SEES_READS,
    "POST /reads/convoy": WHO_SEES_READS,
    "POST /reads/convoy/export": WHO_SEES_READS,
    "GET /audit": AUDITING,
    "GET /audit/reports": AUDITING,
    "POST /audit/report": AUDITING,
    "GET /audit/sample": AUDITING,
    "POST /audit/sample": AUDITING,
    "POST /audit/review": AUDITING,
    "GET /transparency": AUDITING,
    "GET /hotlists": WHO_SEES_READS,
    "POST /hotlists/publish": KEEPING,
    "GET /hotlists/making": REGISTER,
    "POST /hotlists/pending/{pending_id}/approve": KEEPING,
    "POST /hotlists/pending/{pending_id}/reject": KEEPING,
    "GET /hotlists/units": REGISTER,
    "GET /hotlists/local": WHO_SEES_READS,
    "POST /hotlists/local/offer": KEEPING,
    "POST /hotlists/local/refuse": KEEPING,
    "GET /hotlists/import": REGISTER,
    "POST /hotlists/import": KEEPING,
    "GET /hotlists/feeds/{feed}": REGISTER,
    "GET /hotlists/find": REGISTER,
    "POST /hotlists/find": REGISTER,
    "GET /hotlists/urgent": REGISTER,
    "POST /hotlists/urgent": KEEPING,
    "POST /hotlists/urgent/end": KEEPING,
    "POST /hotlists/urgent/publish": KEEPING,
    "GET /releases": REGISTER,
    "GET /releases/enter": REGISTER,
    "POST /releases/enter": REGISTER,
    "GET /releases/{request_id}": REGISTER,
    "GET /releases/{request_id}/letter": REGISTER,
    "GET /releases/{request_id}/package": KEEPING,
    "POST /releases/{request_id}/review": KEEPING,
    "POST /releases/{request_id}/approve": DECIDING,
    "POST /releases/{request_id}/refuse": REGISTER,
    "POST /releases/{request_id}/handle": KEEPING,
    "POST /releases/{request_id}/fulfil": KEEPING,
    "GET /recipients": REGISTER,
    "POST /recipients": REGISTER,
    "POST /recipients/{recipient_id}/approve": DECIDING,
    "POST /recipients/{recipient_id}/disable": KEEPING,
    "GET /retention": REGISTER,
    "GET /retention/plan": REGISTER,
    "GET /retention/purges/{purge_id}/certificate": REGISTER,
    "GET /holds": REGISTER,
    "GET /evidence": REGISTER,
    "POST /retention/propose": KEEPING,
    "POST /retention/rules/{rule_id}/approve": KEEPING,
    "POST /retention/rules/{rule_id}/refuse": KEEPING,
    "POST /retention/rules/{rule_id}/stop": KEEPING,
    "POST /retention/clock": KEEPING,
    "POST /retention/purges": KEEPING,
    "POST /retention/purges/{purge_id}/approve": KEEPING,
    "POST /retention/purges/{purge_id}/withdraw": KEEPING,
    "POST /holds": KEEPING,
    "POST /holds/{hold_id}/lift": KEEPING,
    "POST /evidence/package": KEEPING,
    "POST /evidence/book": KEEPING,
}
"""Who is not turned away. What a form asks for is judged afterwards, and may narrow it further."""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Department]:
    made = with_a_person_of_each_role(a_department(tmp_path_factory.mktemp("ours") / "department"))
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def routes(department: Department, runner: asyncio.Runner) -> list[str]:
    return Visitor(department, runner).routes()


def refused(answer: Response) -> bool:
    """Whether nothing was shown or done."""
    return answer.status_code == 403 or answer.headers.get("location") == "/login"


def test_every_route_is_in_the_table(routes: list[str]) -> None:
    assert set(routes) == set(OPEN_TO) | FOR_ALL_THE_WORLD


@pytest.mark.parametrize("role", list(Role))
def test_each_role_reaches_what_the_table_says(
    department: Department, runner: asyncio.Runner, routes: list[str], role: Role
) -> None:
    wrong, visitor = [], Visitor(department, runner)
    for route in sorted(set(routes) - FOR_ALL_THE_WORLD):
        visitor.log_in(role.value)  # anew: some routes end the session or change what it is for
        before = len(audited(department))
        answer = visitor.ask(route, form_token=visitor.form_token)
        # "POST /logout" leads to the login page, as it should.
        let_in = route == "POST /logout" or not refused(answer)
        if let_in is not (role in OPEN_TO[route]):
            wrong.append(route)
        entries = [each for each in audited(department)[before:] if each[0::2] == (role.value, "refused")]
        if answer.status_code == 403 and len(entries) != 1:
            wrong.append(f"{route}: {len(entries)} entries of the refusal")
    assert wrong == []


def test_without_logging_in_nothing_is_reached(
    department: Department, runner: asyncio.Runner, routes: list[str]
) -> None:
    for route in set(routes) - FOR_ALL_THE_WORLD:
        assert refused(Visitor(department, runner).ask(route, form_token="made up")), route


def test_a_session_of_another_agency_reaches_nothing(
    department: Department, runner: asyncio.Runner, routes: list[str], tmp_path: Path
) -> None:
    other = a_department(tmp_path / "theirs")
    add_account(other.engine, "admin", Role.ADMIN, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW)
    theirs = Visitor(other, runner)
    theirs.log_in("admin")
    for route in set(routes) - FOR_ALL_THE_WORLD:
        here = Visitor(department, runner)
        here.client.cookies.set(SESSION_COOKIE, str(theirs.client.cookies[SESSION_COOKIE]))
        assert refused(here.ask(route, form_token=theirs.form_token)), route
    other.engine.dispose()


def test_no_form_is_taken_without_the_sessions_own_secret(
    department: Department, runner: asyncio.Runner, routes: list[str]
) -> None:
    another = Visitor(department, runner)
    another.log_in("supervisor")
    visitor = Visitor(department, runner)
    visitor.log_in("admin")
    for route in set(routes) - FOR_ALL_THE_WORLD:
        if not route.startswith("POST"):
            continue
        for token in ("", "made up", another.form_token):
            assert visitor.ask(route, form_token=token).status_code == 403, route
