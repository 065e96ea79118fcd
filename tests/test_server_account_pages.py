"""Logging in by steps, one's own account, and everybody's, as a browser sees them."""

import asyncio
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient, Response

from server.access import Role
from server.department import Department
from server.desk import SESSION_COOKIE, Desk
from server.pages import pages_app
from tests.departments import NOW, PASSWORD, a_department, audited
from tests.second_factors import Phone, an_access, an_officer

OWN = "seven green lamps over water"
STEP_PAGES = ("/login/code", "/login/password", "/login/enrol")


class Browser:
    """A person's browser, and a clock that can be moved."""

    def __init__(self, department: Department, runner: asyncio.Runner, second_factor: str) -> None:
        self.now: datetime = NOW
        self.runner = runner
        desk = Desk(
            department.engine,
            an_access(department, second_factor),
            department.settings.department,
            lambda: self.now,
        )
        self.client = AsyncClient(
            transport=ASGITransport(pages_app(desk, department)),
            base_url="https://testserver",
            trust_env=False,
        )

    def get(self, path: str) -> Response:
        return self.runner.run(self.client.get(path))

    def post(self, path: str, **fields: str) -> Response:
        return self.runner.run(self.client.post(path, data=fields))

    def submit(self, page: str, to: str, **fields: str) -> Response:
        """Fill in the form that stands on *page* and send it."""
        token = re.search(r'name="form_token" value="([^"]+)"', self.get(page).text)
        assert token is not None
        return self.post(to, form_token=token[1], **fields)

    def log_in(self, name: str, password: str = PASSWORD) -> Response:
        return self.submit("/login", "/login", name=name, password=password)

    def leads(self) -> str:
        """Where the first page leads."""
        return str(self.get("/units").headers.get("location", ""))

    def enrol(self, page: str = "/login/enrol") -> tuple[Phone, list[str], Response]:
        """Take up the second factor that *page* offers; return phone, recovery codes and the last page."""
        shown = self.get(page).text
        secret = re.search(r'class="secret">([A-Z2-7 ]+)<', shown)
        assert secret is not None
        phone = Phone(secret[1].replace(" ", ""))
        answer = self.submit(page, page, code=phone.code(self.now))
        return phone, re.findall(r"<code>([A-Z0-9-]{19})</code>", answer.text), answer

    @property
    def cookie(self) -> str:
        return str(self.client.cookies[SESSION_COOKIE])


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    an_officer(made)
    yield made
    made.engine.dispose()


@pytest.fixture
def browser(department: Department, runner: asyncio.Runner) -> Browser:
    return Browser(department, runner, "required")


@pytest.fixture
def easy(department: Department, runner: asyncio.Runner) -> Browser:
    return Browser(department, runner, "optional")


def test_the_first_login_leads_to_enrolment_and_nowhere_else(browser: Browser) -> None:
    browser.log_in("chief")
    for path in ("/", "/units", "/purpose", "/reads", "/account", "/accounts", "/audit", "/policy"):
        assert browser.get(path).headers["location"] == "/login/enrol", path
    for path in STEP_PAGES[:2]:
        assert browser.get(path).headers["location"] == "/login/enrol"
    page = browser.get("/login/enrol").text
    assert "<svg" in page and "<script" not in page and "style=" not in page
    assert "<nav" not in page
    _, codes, answer = browser.enrol()
    assert answer.status_code == 200 and len(codes) == 10
    assert browser.get("/units").status_code == 200
    for path in STEP_PAGES:
        assert browser.get(path).headers["location"] == "/"


def test_the_cookie_is_another_after_each_step(browser: Browser) -> None:
    browser.log_in("reyes")
    before = browser.cookie
    phone, _, _ = browser.enrol()
    enrolled = browser.cookie
    browser.now += timedelta(hours=1)
    browser.log_in("reyes")
    half = browser.cookie
    assert browser.leads() == "/login/code"
    browser.submit("/login/code", "/login/code", code=phone.code(browser.now))
    assert browser.get("/units").status_code == 200
    assert len({before, enrolled, half, browser.cookie}) == 4
    for old in (before, half):
        browser.client.cookies.clear()
        browser.client.cookies.set(SESSION_COOKIE, old)
        assert browser.leads() == "/login"


def test_a_wrong_code_shows_the_page_again_and_says_no_more(browser: Browser) -> None:
    browser.log_in("reyes")
    phone, codes, _ = browser.enrol()
    browser.log_in("reyes")
    told = set()
    for code in ("000000", phone.code(browser.now), "AAAA-AAAA-AAAA-AAAA", "", "x" * 200):
        answer = browser.submit("/login/code", "/login/code", code=code)
        assert answer.status_code == 401
        told.add(re.sub(r'value="[^"]*"', "", answer.text))
    answer = browser.submit("/login/code", "/login/code", code=codes[0])  # locked by now
    told.add(re.sub(r'value="[^"]*"', "", answer.text))
    assert len(told) == 1 and browser.leads() == "/login/code"


def test_a_step_takes_no_form_without_its_sessions_secret(browser: Browser) -> None:
    browser.log_in("reyes")
    phone, codes, _ = browser.enrol()
    browser.log_in("reyes")
    for token in ("", "made up"):
        assert browser.post("/login/code", form_token=token, code=codes[0]).status_code == 403
        assert browser.post("/account/factor/off", form_token=token, code=codes[0]).status_code == 403
        assert browser.post("/logout", form_token=token).status_code == 403
    # The code was not used up by any of that.
    assert browser.submit("/login/code", "/login/code", code=codes[0]).headers["location"] == "/"
    assert phone.secret not in browser.get("/account").text


def test_a_half_login_reaches_no_deed(browser: Browser) -> None:
    browser.log_in("chief")
    browser.enrol()
    browser.log_in("chief")
    for path in ("/accounts", "/accounts/disable", "/account/password", "/reads", "/account/sessions/end"):
        answer = browser.submit("/login/code", path, name="reyes")
        assert answer.headers["location"] == "/login/code", path


def test_a_login_can_be_left_in_the_middle(browser: Browser) -> None:
    browser.log_in("reyes")
    assert browser.submit("/login/enrol", "/logout").headers["location"] == "/login"
    assert browser.leads() == "/login"


def test_a_new_person_goes_from_one_time_password_to_their_own(
    easy: Browser, department: Department, runner: asyncio.Runner
) -> None:
    easy.log_in("chief")
    answer = easy.submit(
        "/accounts",
        "/accounts",
        name="adams",
        role="officer",
        course="ALPR use",
        held_on="2026-02-01",
        expires="2027-02-01",
    )
    given = re.search(r'class="secret">([a-z0-9-]{19})<', answer.text)
    assert answer.status_code == 200 and given is not None
    assert "adams" in easy.get("/accounts").text and given[1] not in easy.get("/accounts").text
    theirs = Browser(department, runner, "required")
    theirs.log_in("adams", given[1])
    assert theirs.leads() == "/login/password"
    answer = theirs.submit("/login/password", "/login/password", password=OWN, again="another one entirely")
    assert answer.status_code == 422 and "not the same" in answer.text
    theirs.submit("/login/password", "/login/password", password=OWN, again=OWN)
    assert theirs.leads() == "/login/enrol"
    theirs.enrol()
    assert theirs.get("/units").status_code == 200


def test_no_name_of_a_person_stands_in_an_address(easy: Browser) -> None:
    easy.log_in("chief")
    for answer in (easy.get("/accounts"), easy.submit("/accounts", "/accounts/show", name="reyes")):
        links = re.findall(r'(?:href|action)="([^"]*)"', answer.text)
        assert links and not [link for link in links if "reyes" in link]


def test_what_is_not_right_is_told_on_the_page_and_kept(easy: Browser, department: Department) -> None:
    easy.log_in("chief")
    wrong = (
        ("/accounts", {"name": "a b", "role": "officer", "course": "x", "expires": "2027-01-01"}),
        ("/accounts", {"name": "adams", "role": "king", "course": "x", "expires": "2027-01-01"}),
        ("/accounts", {"name": "adams", "role": "officer", "course": "x", "expires": "soon"}),
        ("/accounts", {"name": "reyes", "role": "officer", "course": "x", "expires": "2027-01-01"}),
        ("/accounts/role", {"name": "reyes", "role": "officer"}),
        ("/accounts/role", {"name": "chief", "role": "officer"}),
        ("/accounts/approve", {"name": "reyes"}),
        ("/accounts/training", {"name": "reyes", "course": "", "expires": "2027-01-01"}),
        ("/accounts/factor", {"name": "reyes"}),
        ("/accounts/disable", {"name": "chief"}),
        ("/accounts/show", {"name": "nobody"}),
    )
    for path, fields in wrong:
        answer = easy.submit("/accounts", path, **fields)
        assert answer.status_code == 422 and 'role="alert"' in answer.text, (path, fields)
    assert ("chief", "account.disable", "refused") in audited(department)


def test_the_accounts_are_shown_to_administrators_after_the_look_is_recorded(
    easy: Browser, department: Department
) -> None:
    easy.log_in("reyes")
    assert easy.get("/accounts").status_code == 403
    assert audited(department)[-1] == ("reyes", "accounts.list", "refused")
    easy.log_in("chief")
    assert easy.get("/accounts").status_code == 200
    assert audited(department)[-1] == ("chief", "accounts.list", "success")


def test_two_administrators_make_a_third_on_the_pages(
    easy: Browser, department: Department, runner: asyncio.Runner
) -> None:
    an_officer(department, "brandt", Role.ADMIN)
    easy.log_in("chief")
    page = easy.submit("/accounts", "/accounts/role", name="reyes", role="admin").text
    assert "waits for another administrator" in page and "You asked" in page
    assert easy.submit("/accounts", "/accounts/approve", name="reyes").status_code == 422
    second = Browser(department, runner, "optional")
    second.log_in("brandt")
    shown = second.submit("/accounts", "/accounts/show", name="reyes").text
    assert second.submit("/accounts", "/accounts/approve", **approving(shown)).status_code == 200
    easy.log_in("reyes")
    assert easy.get("/accounts").status_code == 200


def approving(page: str) -> dict[str, str]:
    """Return what the form on *page* that approves carries beside its token."""
    form = re.search(r'action="/accounts/approve">(.*?)</form>', page, re.DOTALL)
    assert form is not None
    fields = dict(re.findall(r'name="([a-z_]+)" value="([^"]*)"', form[1]))
    del fields["form_token"]
    return fields


def test_what_was_changed_after_it_was_shown_is_not_approved(
    easy: Browser, department: Department, runner: asyncio.Runner
) -> None:
    an_officer(department, "brandt", Role.ADMIN)
    easy.log_in("chief")
    easy.submit("/accounts", "/accounts/role", name="reyes", role="supervisor")
    second = Browser(department, runner, "optional")
    second.log_in("brandt")
    old = approving(second.submit("/accounts", "/accounts/show", name="reyes").text)
    easy.submit("/accounts", "/accounts/role", name="reyes", role="admin")
    answer = second.submit("/accounts", "/accounts/approve", **old)
    assert answer.status_code == 409 and "look again, then decide" in answer.text
    assert "The role “admin” waits" in answer.text
    assert second.submit("/accounts", "/accounts/approve", name="reyes").status_code == 409
    easy.log_in("reyes")
    assert easy.get("/accounts").status_code == 403
    assert second.submit("/accounts", "/accounts/approve", **approving(answer.text)).status_code == 200


def test_a_disabled_administrator_is_opened_by_two_on_the_pages(
    easy: Browser, department: Department, runner: asyncio.Runner
) -> None:
    for name in ("brandt", "okafor"):
        an_officer(department, name, Role.ADMIN)
    easy.log_in("chief")
    easy.submit("/accounts", "/accounts/disable", name="okafor")
    page = easy.submit("/accounts", "/accounts/enable", name="okafor").text
    assert "Opening this account as “admin” waits" in page and "/accounts/enable" not in page
    second = Browser(department, runner, "optional")
    second.log_in("brandt")
    shown = second.submit("/accounts", "/accounts/show", name="okafor").text
    assert ">disabled<" in shown and ">opening waits<" in shown
    opened = second.submit("/accounts", "/accounts/approve", **approving(shown))
    assert opened.status_code == 200 and ">open<" in opened.text


def test_ones_own_password_is_changed_with_the_old_one(easy: Browser) -> None:
    easy.log_in("reyes")
    before = easy.cookie
    answer = easy.submit("/account", "/account/password", old="wrong wrong wrong", new=OWN, again=OWN)
    assert answer.status_code == 422
    answer = easy.submit("/account", "/account/password", old=PASSWORD, new=OWN, again=OWN)
    assert answer.headers["location"] == "/account" and easy.cookie != before
    assert easy.get("/account").status_code == 200
    assert easy.log_in("reyes", OWN).headers["location"] == "/units"


def test_a_second_factor_is_set_up_from_ones_own_account(easy: Browser) -> None:
    easy.log_in("reyes")
    assert easy.submit("/account", "/account/factor", password="not the password").status_code == 422
    page = easy.submit("/account", "/account/factor", password=PASSWORD).text
    secret = re.search(r'class="secret">([A-Z2-7 ]+)<', page)
    token = re.search(r'name="form_token" value="([^"]+)"', page)
    assert secret is not None and token is not None
    phone = Phone(secret[1].replace(" ", ""))
    answer = easy.post("/account/factor/confirm", form_token=token[1], code="000000")
    assert answer.status_code == 422 and secret[1] in answer.text
    answer = easy.post("/account/factor/confirm", form_token=token[1], code=phone.code(easy.now))
    assert answer.text.count("<li><code>") == 10
    assert "10 of 10 recovery codes left" in easy.get("/account").text
    easy.log_in("reyes")
    assert easy.leads() == "/login/code"


def test_logins_elsewhere_are_seen_and_ended(
    easy: Browser, department: Department, runner: asyncio.Runner
) -> None:
    easy.log_in("reyes")
    other = Browser(department, runner, "optional")
    other.log_in("reyes")
    named = re.search(r'name="session" value="([0-9a-f]+)"', easy.get("/account").text)
    assert named is not None
    assert easy.submit("/account", "/account/sessions/end", session=named[1]).status_code == 303
    assert other.leads() == "/login" and easy.get("/units").status_code == 200


def test_training_on_record_is_shown_with_its_history(easy: Browser) -> None:
    easy.log_in("chief")
    page = easy.submit(
        "/accounts", "/accounts/training", name="reyes", course="refresher <b>", expires="2027-03-01"
    ).text
    assert "refresher &lt;b&gt;" in page and "training, not named" in page and "2027-03-01" in page
    assert date(2027, 3, 1) > NOW.date()
