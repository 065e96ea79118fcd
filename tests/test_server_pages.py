"""The pages as a browser sees them: who gets in, what is asked first, what is written down."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy import text

from hotlist_cache.hit import HotlistHit, MatchForm
from recognizer.plate import Jurisdiction, Plate
from recognizer.read import JurisdictionOpinion, PlateRead
from server.access import Access, Role, add_account
from server.database import reading
from server.department import Department
from server.desk import Desk
from server.intake import Intake
from server.pages import pages_app
from tests.departments import PASSWORD, Unit, a_department, a_unit, audited
from tests.fakes import a_hit, a_read

NOW = datetime.now(UTC)


@dataclass
class Browser:
    """A person's browser on the pages of one department."""

    department: Department
    client: AsyncClient = field(init=False)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def __post_init__(self) -> None:
        desk = Desk(
            self.department.engine,
            Access(self.department.engine, self.department.settings.access),
            self.department.settings.department,
            lambda: NOW,
        )
        self.client = AsyncClient(
            transport=ASGITransport(pages_app(desk)), base_url="https://testserver", trust_env=False
        )

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

    def log_in(self, name: str, password: str = PASSWORD) -> Response:
        """Log in on the login page."""
        return self.submit("/login", "/login", name=name, password=password)

    def state_purpose(self, code: str = "stolen-vehicle", case_number: str = "26-0042") -> Response:
        """Pick a purpose."""
        return self.submit("/purpose", "/purpose", code=code, case_number=case_number)

    def search(self, **fields: str) -> str:
        """Search the reads; return the page without the search form."""
        response = self.submit("/purpose", "/reads", **fields)
        assert response.status_code == 200
        return response.text.partition("</form>")[2].partition("</form>")[2]


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    for name, role in (("reyes", Role.OFFICER), ("okafor", Role.AUDITOR)):
        add_account(made.engine, name, role, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW)
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    return a_unit(department, tmp_path / "unit")


@pytest.fixture
def browser(department: Department) -> Iterator[Browser]:
    made = Browser(department)
    with made.runner:
        yield made


def bring(department: Department, unit: Unit, *plates: str, hit: bool = False) -> None:
    reads = [a_read(plate=plate) for plate in plates]
    signed = unit.batch(reads, [a_hit(read) for read in reads] if hit else ())
    Intake(department.engine, department.keys, department.folder.quarantine).take(unit.peer, signed, NOW)


@pytest.mark.parametrize("path", ["/", "/units", "/reads", "/reads/read-1", "/audit", "/purpose"])
def test_nothing_is_shown_to_who_is_not_logged_in(browser: Browser, path: str) -> None:
    response = browser.get(path)
    assert (response.status_code, response.headers["location"]) == (303, "/login")


def test_the_login_page_carries_the_use_banner(browser: Browser) -> None:
    page = browser.get("/login").text
    assert "Official use only" in page and "consent to monitoring" in page


def test_a_wrong_password_shows_the_login_page_again(browser: Browser, department: Department) -> None:
    response = browser.log_in("reyes", "not the password")
    assert response.status_code == 401
    assert audited(department)[-1] == ("reyes", "login", "refused")


def test_a_login_form_of_another_site_is_refused(browser: Browser) -> None:
    browser.get("/login")
    response = browser.post("/login", name="reyes", password=PASSWORD, form_token="x")
    assert response.status_code == 403


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(browser: Browser) -> None:
    cookie = browser.log_in("reyes").headers.get_list("set-cookie")[-1]
    assert cookie.startswith("__Host-")
    assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.parametrize("path", ["/login", "/units", "/no-such-page", "/static/pages.css"])
def test_every_answer_tells_the_browser_to_be_careful(browser: Browser, path: str) -> None:
    headers = browser.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "script-src" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["strict-transport-security"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/v1/batches"])
def test_the_people_port_offers_nothing_for_programs(browser: Browser, path: str) -> None:
    browser.log_in("chief")
    assert browser.get(path).status_code == 404


def test_reads_are_shown_only_after_a_purpose(browser: Browser) -> None:
    browser.log_in("reyes")
    assert browser.get("/reads").headers["location"] == "/purpose"
    assert browser.get("/reads/read-1").headers["location"] == "/purpose"
    assert browser.submit("/purpose", "/reads", plate="TEST123").headers["location"] == "/purpose"
    browser.state_purpose()
    assert browser.get("/reads").status_code == 200


@pytest.mark.parametrize(
    ("code", "case_number"),
    [
        ("stolen-vehicle", ""),
        ("stolen-vehicle", "  "),
        ("curiosity", "26-1"),
        ("", ""),
        ("audit", "<script>"),
    ],
)
def test_a_purpose_without_what_it_asks_for_is_not_taken(
    browser: Browser, code: str, case_number: str
) -> None:
    browser.log_in("reyes")
    assert browser.state_purpose(code, case_number).status_code == 422
    assert browser.get("/reads").headers["location"] == "/purpose"


def test_a_purpose_that_asks_for_no_case_needs_none(browser: Browser) -> None:
    browser.log_in("reyes")
    assert browser.state_purpose("hit-verification", "").headers["location"] == "/reads"


def test_every_look_at_reads_is_logged_with_who_why_and_what(
    browser: Browser, department: Department, unit: Unit
) -> None:
    bring(department, unit, "TEST123")
    browser.log_in("reyes")
    browser.state_purpose()
    browser.search(plate="TEST*")
    with reading(department.engine) as connection:
        entry = connection.execute(text("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1")).one()
    assert (entry.actor, entry.action) == ("reyes", "reads.search")
    assert (entry.purpose, entry.case_number) == ("stolen-vehicle", "26-0042")
    assert '"plate": "TEST*"' in entry.detail and '"shown": ["read-' in entry.detail


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"plate": "8ABC012"}, {"8ABC012"}),
        ({"plate": "8abc-o12"}, {"8ABC012"}),
        ({"plate": "8ABC01"}, set()),
        ({"plate": "8ABC*"}, {"8ABC012", "8ABC999"}),
        ({"plate": "8ABC9?9"}, {"8ABC999"}),
        ({"plate": "BC", "match": "anywhere"}, {"8ABC012", "8ABC999"}),
        ({"plate": "%"}, {"8ABC012", "8ABC999", "XYZ777"}),
        ({"unit_id": "unit-99"}, set()),
        ({"hits_only": "yes"}, {"XYZ777"}),
        ({"plate": "' OR 1=1 --"}, set()),
    ],
)
def test_a_search_finds_what_was_asked_for(
    browser: Browser, department: Department, unit: Unit, asked: dict[str, str], found: set[str]
) -> None:
    bring(department, unit, "8ABC012", "8ABC999")
    bring(department, unit, "XYZ777", hit=True)
    browser.log_in("reyes")
    browser.state_purpose()
    assert set(re.findall(r'aria-label="([A-Z0-9]+)"', browser.search(**asked))) == found


def test_reads_come_in_pages_newest_first(browser: Browser, department: Department, unit: Unit) -> None:
    plates = [f"TEST{number:03}" for number in range(30)]
    bring(department, unit, *plates)
    browser.log_in("reyes")
    browser.state_purpose()
    pages = [re.findall(r'aria-label="(\w+)"', browser.search(number=number)) for number in ("1", "2", "3")]
    assert pages[0] + pages[1] == plates[::-1]
    assert pages[2] == []


def test_no_page_leads_to_an_address_with_a_plate_in_it(
    browser: Browser, department: Department, unit: Unit
) -> None:
    bring(department, unit, "TEST123")
    browser.log_in("reyes")
    browser.state_purpose()
    page = browser.search(plate="TEST123")
    assert not [link for link in re.findall(r'(?:href|action)="([^"]*)"', page) if "TEST123" in link]


def test_one_read_is_shown_with_its_hit_as_unverified(
    browser: Browser, department: Department, unit: Unit
) -> None:
    bring(department, unit, "TEST123", hit=True)
    browser.log_in("reyes")
    browser.state_purpose()
    links = re.findall(r'href="(/reads/[^"]+)"', browser.search(plate="TEST123"))
    page = browser.get(links[0]).text
    assert "Stolen vehicle: unverified" in page and "data:image/jpeg;base64," in page
    assert audited(department)[-1] == ("reyes", "read.view", "success")


def take(department: Department, unit: Unit, *items: PlateRead, hits: Sequence[HotlistHit] = ()) -> None:
    signed = unit.batch(items, hits)
    Intake(department.engine, department.keys, department.folder.quarantine).take(unit.peer, signed, NOW)


def test_stacked_letters_are_shown_beside_the_plate_and_in_the_hit(
    browser: Browser, department: Department, unit: Unit
) -> None:
    read = replace(a_read(), prefix=Plate("XQ"), prefix_confidence=0.93)
    take(department, unit, read, hits=[replace(a_hit(read), form=MatchForm.PREFIX_FIRST)])
    browser.log_in("reyes")
    browser.state_purpose()
    for plate in ("TEST123", "XQTEST123", "TEST123XQ", "XQTEST*"):
        assert 'aria-label="TEST123, prefix XQ"' in browser.search(plate=plate), plate
    assert "TEST123" not in re.findall(r'aria-label="(\w+)', browser.search(plate="QXTEST123"))
    page = browser.get(f"/reads/{read.read_id}").text
    assert "<dt>Prefix</dt><dd><code>XQ</code> (93 % sure)" in page
    assert "exact, with the prefix first" in page


@pytest.mark.parametrize("together", [True, False])
def test_a_corrected_read_is_kept_and_leads_to_its_correction(
    browser: Browser, department: Department, unit: Unit, together: bool
) -> None:
    first = a_read(plate="TEST128")
    second = replace(a_read(plate="TEST123"), revises=first.read_id)
    for batch in [[first, second]] if together else [[second], [first]]:
        take(department, unit, *batch, hits=[a_hit(first)])
    browser.log_in("reyes")
    browser.state_purpose()
    found = browser.search()
    assert found.count(">corrected<") == found.count(">correction<") == 1
    assert 'class="has-hit"' not in found, "a hit of a corrected read does not stand out"
    page = browser.get(f"/reads/{first.read_id}").text
    assert "Do not act on this one" in page and f'href="/reads/{second.read_id}"' in page
    page = browser.get(f"/reads/{second.read_id}").text
    assert "Do not act on this one" not in page and f'href="/reads/{first.read_id}"' in page


def test_text_from_a_unit_is_never_taken_for_a_page(
    browser: Browser, department: Department, unit: Unit
) -> None:
    read = replace(a_read(), camera="<script>alert(1)</script>")
    Intake(department.engine, department.keys, department.folder.quarantine).take(
        unit.peer, unit.batch([read]), NOW
    )
    browser.log_in("reyes")
    browser.state_purpose()
    page = browser.search()
    assert "&lt;script&gt;" in page and "<script>" not in page


@pytest.mark.parametrize(("confidence", "shown"), [(0.3, False), (0.8, True)])
def test_a_state_the_reader_is_not_sure_of_is_not_listed(
    browser: Browser, department: Department, unit: Unit, confidence: float, shown: bool
) -> None:
    read = replace(a_read(), jurisdiction=JurisdictionOpinion(Jurisdiction("US-NV"), confidence))
    Intake(department.engine, department.keys, department.folder.quarantine).take(
        unit.peer, unit.batch([read]), NOW
    )
    browser.log_in("reyes")
    browser.state_purpose()
    assert ("US-NV" in browser.search()) is shown


def test_a_form_without_the_sessions_secret_does_nothing(browser: Browser) -> None:
    browser.log_in("reyes")
    assert browser.post("/logout", form_token="guessed").status_code == 403
    assert browser.post("/purpose", code="audit").status_code == 403
    assert browser.get("/units").status_code == 200


def test_logging_out_shuts_the_pages(browser: Browser) -> None:
    browser.log_in("reyes")
    assert browser.submit("/units", "/logout").status_code == 303
    assert browser.get("/units").headers["location"] == "/login"


@pytest.mark.parametrize(("name", "status"), [("chief", 200), ("okafor", 200), ("reyes", 403)])
def test_the_access_log_is_shown_to_administrators_and_auditors(
    browser: Browser, name: str, status: int
) -> None:
    browser.log_in(name)
    assert browser.get("/audit").status_code == status
    assert ("Access log</a>" in browser.get("/units").text) == (status == 200)


def test_units_are_shown_with_what_they_sent(browser: Browser, department: Department, unit: Unit) -> None:
    bring(department, unit, "TEST123", "TEST124")
    browser.log_in("reyes")
    page = browser.get("/units").text
    assert "unit-07" in page and "day 0 of 30" in page and NOW.date().isoformat() in page
    assert audited(department)[-1] == ("reyes", "units.view", "success")


def test_a_form_larger_than_a_form_is_refused_unread(browser: Browser) -> None:
    assert browser.post("/login", name="x" * 17_000).status_code == 413


def test_a_field_that_is_too_long_does_not_come_back_in_the_answer(browser: Browser) -> None:
    browser.log_in("reyes")
    response = browser.submit("/units", "/reads", plate="SECRET7" * 10)
    assert response.status_code == 422 and "SECRET7" not in response.text


def test_nothing_is_shown_when_the_access_log_cannot_be_written(
    browser: Browser, department: Department, unit: Unit
) -> None:
    bring(department, unit, "TEST123")
    browser.log_in("reyes")
    browser.state_purpose()
    with department.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("DROP TRIGGER audit_refuses_update")
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO audit_gone")
    response = browser.get("/reads")
    assert response.status_code == 503 and "TEST123" not in response.text
