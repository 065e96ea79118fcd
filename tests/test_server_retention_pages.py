"""The pages of retention, legal holds and evidence: who gets in, who decides, what is logged."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from httpx import Response

from server.access import Role
from server.department import Department
from server.holds import all_holds
from server.purge_book import all_purges, verify_certificate
from server.retention import carry_on
from server.retention_automatic import AutomaticPurge
from server.retention_rules import all_rules
from tests.auditors import Browser
from tests.departments import a_unit
from tests.releases import PEOPLE, a_peopled_department, newest_entries
from tests.retention import DAY, Held

NOW = datetime.now(UTC)
PAGES = ("/retention", "/retention/plan", "/retention/purges/1/certificate", "/holds", "/evidence")
FORMS = (
    "/retention/propose",
    "/retention/rules/1/approve",
    "/retention/rules/1/refuse",
    "/retention/rules/1/stop",
    "/retention/clock",
    "/retention/purges",
    "/retention/purges/1/approve",
    "/retention/purges/1/withdraw",
    "/holds",
    "/holds/1/lift",
    "/evidence/package",
    "/evidence/book",
)
SEE = {Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR}
RULE = {"others": "730 d", "hits": "2000 d", "reference": "Resolution 7"}
BY_ITSELF = {**RULE, "others": "3 min", "law": "N.H. RSA 261:75-b", "automatic": "yes"}
HOLD = {"kind": "plate", "plate": "7ABC123", "authority": "Court 1", "case_number": "26-1"}


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_peopled_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def held(department: Department, tmp_path: Path) -> Held:
    """The same department, whose unit handed in three old reads and a new one."""
    made = Held(department, a_unit(department, tmp_path / "unit"))
    old = [made.made_at(NOW - (400 + day) * DAY) for day in range(3)]
    made.store(*old)
    made.store(made.made_at(NOW, plate="8XYZ987"), at=NOW)
    return made


@pytest.fixture
def browser(department: Department) -> Iterator[Browser]:
    made = Browser(department, NOW)
    with made.runner:
        yield made


def as_person(browser: Browser, name: str) -> Browser:
    """Log in on the same browser as *name*, with a case."""
    browser.client.cookies.clear()
    browser.log_in(name, purpose="")
    fields = {"code": "investigation", "case_number": "26-0042"}
    assert browser.submit("/purpose", "/purpose", **fields).status_code == 303
    return browser


def form_token(browser: Browser) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', browser.get("/units").text)
    assert found is not None
    return found[1]


def send(browser: Browser, path: str, **fields: str) -> Response:
    return browser.post(path, form_token=form_token(browser), **fields)


def last(department: Department) -> tuple[str, str, str]:
    actor, action, outcome, _ = newest_entries(department, 1)[0]
    return actor, action, outcome


def test_nothing_is_shown_to_who_is_not_logged_in(browser: Browser) -> None:
    for path in PAGES:
        assert browser.get(path).headers["location"] == "/login", path


def test_what_names_plates_needs_a_purpose(browser: Browser) -> None:
    browser.log_in("brandt", purpose="")
    for path in ("/holds", "/evidence"):
        assert browser.get(path).headers["location"] == "/purpose", path


@pytest.mark.parametrize("name", ["reyes", "brandt", "chief", "okafor", "lindgren"])
def test_pages_open_for_their_roles_alone_and_each_look_is_recorded(
    browser: Browser, department: Department, name: str
) -> None:
    browser.log_in(name, purpose="audit")
    may = PEOPLE[name] in SEE
    for path in ("/retention", "/retention/plan", "/holds", "/evidence"):
        response = browser.get(path)
        assert response.status_code == (200 if may else 403), path
        assert last(department)[::2] == (name, "success" if may else "refused"), path
        if name == "okafor":
            assert re.findall(r'<form[^>]*action="([^"]+)"', response.text) == ["/logout"], path
    assert ('href="/retention"' in browser.get("/units").text) is may


@pytest.mark.parametrize("name", ["reyes", "okafor", "lindgren"])
def test_who_does_not_decide_changes_nothing_by_any_form(
    browser: Browser, department: Department, name: str
) -> None:
    browser.log_in(name, purpose="audit")
    token = form_token(browser)
    fields = {**RULE, **HOLD, "reason": "x", "approval": "x", "today": "2026-01-01", "item": "1"}
    for path in FORMS:
        assert browser.post(path, form_token=token, **fields).status_code == 403, path
        assert last(department)[::2] == (name, "refused"), path
    assert (all_rules(department.engine), all_holds(department.engine)) == ([], [])


def test_a_form_of_another_site_is_refused(browser: Browser, department: Department) -> None:
    as_person(browser, "chief")
    for path in FORMS:
        response = browser.post(path, form_token="guessed", **RULE, **HOLD, reason="x", approval="x")
        assert response.status_code == 403, path
    assert (all_rules(department.engine), all_holds(department.engine)) == ([], [])


def test_a_rule_is_proposed_by_one_and_approved_by_another(browser: Browser, department: Department) -> None:
    as_person(browser, "brandt")
    assert send(browser, "/retention/propose", **RULE).status_code == 303
    page = browser.get("/retention").text
    assert "another person approves" in page and "/retention/rules/1/approve" not in page
    refused = send(browser, "/retention/rules/1/approve")
    assert refused.status_code == 422 and "another person must approve it" in refused.text
    assert ("brandt", "retention.approve_rule", "refused") in [e[:3] for e in newest_entries(department, 3)]
    as_person(browser, "chief")
    assert "/retention/rules/1/approve" in browser.get("/retention").text
    assert send(browser, "/retention/rules/1/approve").status_code == 303
    assert "<strong>730 days</strong>" in browser.get("/retention").text
    assert all_rules(department.engine)[0].state == "approved"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"others": "3 min"}, "where another law holds, name it"),
        ({"others": "soon"}, "write a whole number and min, h or d"),
        ({"reference": " "}, "reference of what decided it"),
        ({"in_force_at": "soon"}, "write it as 2026-11-25T03:40"),
    ],
)
def test_what_cannot_be_a_rule_is_said_and_what_was_typed_stays(
    browser: Browser, department: Department, fields: dict[str, str], why: str
) -> None:
    as_person(browser, "brandt")
    response = send(browser, "/retention/propose", **{**RULE, **fields})
    assert response.status_code == 422 and why in response.text
    assert 'value="2000 d"' in response.text and "<details open>" in response.text
    assert all_rules(department.engine) == []


def test_a_purge_goes_from_the_dry_run_to_a_certificate_by_two_persons(
    browser: Browser, department: Department, held: Held
) -> None:
    as_person(browser, "brandt")
    plan = browser.get("/retention/plan").text
    assert "<strong>3</strong><span>reads that are no hits" in plan
    assert "written approval" in send(browser, "/retention/purges", approval=" ").text
    assert send(browser, "/retention/purges", approval="Resolution 7").status_code == 303
    again = send(browser, "/retention/purges", approval="Resolution 8")
    assert again.status_code == 422 and 'value="Resolution 8"' in again.text
    refused = send(browser, "/retention/purges/1/approve")
    assert refused.status_code == 422 and "another person must approve it" in refused.text
    assert browser.get("/retention/purges/1/certificate").status_code == 404
    as_person(browser, "chief")
    assert send(browser, "/retention/purges/1/approve").status_code == 303
    assert "under way" in browser.get("/retention").text
    key = department.keys.receipt
    assert carry_on(department.engine, key, lambda: NOW, wait=lambda _: None) == 3
    response = browser.get("/retention/purges/1/certificate")
    assert response.headers["content-disposition"] == 'attachment; filename="purge-1.json"'
    assert last(department) == ("chief", "purge.certificate", "success")
    said = verify_certificate(response.text, key.public_key())
    assert (said["destroyed_reads"], said["asked_by"], said["approved_by"]) == (3, "brandt", "chief")
    assert key.public_key().public_bytes_raw().hex() in browser.get("/retention").text


def test_a_withdrawn_purge_destroys_nothing(browser: Browser, department: Department, held: Held) -> None:
    as_person(browser, "brandt")
    send(browser, "/retention/purges", approval="Resolution 7")
    assert send(browser, "/retention/purges/1/withdraw").status_code == 303
    assert carry_on(department.engine, department.keys.receipt, lambda: NOW, wait=lambda _: None) == 0
    assert all_purges(department.engine)[0].state == "withdrawn"


def test_the_approver_sees_what_a_proposed_rule_would_let_go(browser: Browser, held: Held) -> None:
    as_person(browser, "brandt")
    send(browser, "/retention/propose", **RULE)
    page = browser.get("/retention/plan?rule=1").text
    assert "<strong>0</strong><span>reads that are no hits" in page and "/retention/purges" not in page
    assert browser.get("/retention/plan?rule=2").status_code == 404


def test_a_clock_in_doubt_is_shown_and_a_person_says_the_date(
    browser: Browser, department: Department, held: Held
) -> None:
    as_person(browser, "brandt")
    send(browser, "/retention/propose", **BY_ITSELF)
    as_person(browser, "chief")
    assert send(browser, "/retention/rules/1/approve").status_code == 303
    automatic = AutomaticPurge(department.engine, department.keys.receipt)
    assert automatic.step(NOW + 9 * DAY, lambda _: None, lambda: NOW) == 0
    assert "Nothing is purged by itself" in browser.get("/retention").text
    for wrong in ("yesterday", (NOW + 9 * DAY).date().isoformat()):
        assert send(browser, "/retention/clock", today=wrong).status_code == 422
    assert send(browser, "/retention/clock", today=NOW.date().isoformat()).status_code == 303
    assert "Nothing is purged by itself" not in browser.get("/retention").text
    assert send(browser, "/retention/rules/1/stop", reason="doubt").status_code == 303
    assert all_rules(department.engine)[0].state == "stopped"


def test_a_hold_is_placed_counted_and_lifted_by_another_person(
    browser: Browser, department: Department, held: Held
) -> None:
    as_person(browser, "brandt")
    assert send(browser, "/holds", **HOLD).status_code == 303
    page = browser.get("/holds").text
    assert "3 reads" in page and "another person lifts it" in page
    assert send(browser, "/holds/1/lift", reason="over").status_code == 422
    as_person(browser, "tanaka")
    assert "reason" in send(browser, "/holds/1/lift", reason=" ").text
    assert send(browser, "/holds/1/lift", reason="letter of 1 March").status_code == 303
    [hold] = all_holds(department.engine)
    assert (hold.lifted_by, hold.lift_reason) == ("tanaka", "letter of 1 March")


def test_a_hold_on_very_many_reads_is_not_counted_to_the_end(
    browser: Browser, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_person(browser, "brandt")
    send(browser, "/holds", **HOLD)
    for most, told in ((3, ">3 reads<"), (2, ">more than 2 reads<")):
        monkeypatch.setattr("server.holds.MOST_COUNTED", most)
        assert told in browser.get("/holds").text


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"kind": "place", "latitude_deg": "0.25", "longitude_deg": "-30.5", "radius_m": "500"}, "0 reads"),
        ({"kind": "time", "since": "2020-01-01T00:00", "until": "2099-01-01T00:00"}, "7 reads"),
        ({"kind": "case"}, "0 reads"),
        ({"kind": "reads", "reads": "read-1 read-2"}, "2 reads"),
        ({"kind": "reads", "reads": "read-1,read-2, read-3"}, "3 reads"),
    ],
)
def test_each_kind_of_hold_can_be_placed(
    browser: Browser, department: Department, held: Held, fields: dict[str, str], kept: str
) -> None:
    as_person(browser, "brandt")
    assert send(browser, "/holds", **{**HOLD, **fields}).status_code == 303
    assert all_holds(department.engine)[0].kind.value == fields["kind"]
    if fields["kind"] != "place":
        assert kept in browser.get("/holds").text


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "everything"}, "pick what the hold names"),
        ({"plate": "*"}, "at least two of its characters"),
        ({"kind": "place", "latitude_deg": "x"}, "are degrees"),
        (
            {"kind": "place", "latitude_deg": "nan", "longitude_deg": "0", "radius_m": "5"},
            "a place is degrees",
        ),
        ({"kind": "time", "since": "2026-01-01T00:00"}, "its beginning and its end"),
        ({"kind": "reads", "reads": " "}, "names 1 to"),
        ({"kind": "reads", "reads": "read-98,read-99"}, "no read is held under read-98, read-99"),
        (
            {"kind": "time", "since": "2026-01-01T00:00", "until": "2026-01-02T00:00", "unit": "Unit-07"},
            "there is no unit Unit-07",
        ),
        ({"plate": "7\u0410BC123"}, "not CYRILLIC CAPITAL LETTER A"),
        ({"authority": ""}, "who ordered it"),
    ],
)
def test_a_hold_that_names_nothing_is_refused_on_the_page(
    browser: Browser, department: Department, fields: dict[str, str], why: str
) -> None:
    as_person(browser, "brandt")
    response = send(browser, "/holds", **{**HOLD, **fields})
    assert response.status_code == 422 and why in response.text
    assert all_holds(department.engine) == []


def test_a_package_is_made_downloaded_and_booked(browser: Browser, department: Department) -> None:
    as_person(browser, "brandt")
    made = send(browser, "/evidence/package", which="chosen", plate="8ABC*", reason="sealed media")
    assert made.headers["content-disposition"] == 'attachment; filename="evidence-1.zip"'
    with zipfile.ZipFile(io.BytesIO(made.content)) as held:
        statement = json.loads(held.read("evidence/statement.json"))
    assert (statement["reads"], statement["case_number"]) == (2, "26-0042")
    assert hashlib.sha256(made.content).hexdigest() in browser.get("/evidence").text

    def book(content: bytes) -> Response:
        data = {"form_token": form_token(browser), "item": "26-0042-7", "place": "Room 2, shelf 4"}
        files = {"file": ("any.zip", content, "application/zip")}
        return browser.runner.run(browser.client.post("/evidence/book", data=data, files=files))

    changed = book(made.content + b"x")
    assert changed.status_code == 422 and "was changed" in changed.text
    assert book(made.content).status_code == 303
    assert "26-0042-7" in browser.get("/evidence").text
    assert ("brandt", "evidence.book", "success") in [each[:3] for each in newest_entries(department, 4)]


def test_a_package_of_a_case_holds_what_was_shown_for_it(browser: Browser, department: Department) -> None:
    as_person(browser, "brandt")
    nothing = send(browser, "/evidence/package", which="case", reason="sealed media")
    assert nothing.status_code == 422 and "no read was shown" in nothing.text
    assert browser.submit("/reads", "/reads", plate="8ABC012").status_code == 200
    made = send(browser, "/evidence/package", which="case", reason="sealed media")
    with zipfile.ZipFile(io.BytesIO(made.content)) as held:
        assert json.loads(held.read("evidence/statement.json"))["reads"] >= 1


def test_a_package_needs_reads_and_either_a_recipient_or_a_reason(
    browser: Browser, department: Department
) -> None:
    as_person(browser, "brandt")
    for fields, why in (
        ({"plate": "8ABC*"}, "give one of the two"),
        ({"reason": "sealed media"}, "say which reads"),
        ({"reason": "sealed media", "since": "soon"}, "From: write it as"),
        ({"plate": "8ABC*", "recipient": "9"}, "recipient"),
    ):
        response = send(browser, "/evidence/package", which="chosen", **fields)
        assert response.status_code == 422 and why in response.text
