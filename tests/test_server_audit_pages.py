"""The auditor's pages: who gets in, what is asked first, what is written down."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from server.access import Role, add_account
from server.audit import Deed
from server.audit_answers import REPORTS
from server.audit_period import period_of
from server.audit_reviews import draw
from server.database import reading
from server.department import Department
from tests.auditors import Browser, searched
from tests.departments import PASSWORD, a_department, audited

NOW = datetime.now(UTC)
BEFORE = NOW - timedelta(minutes=1)
MAY_SEE = {"admin", "auditor"}
PAGES = ("/audit", "/audit/reports", "/audit/sample", "/transparency")
FORMS = ("/audit/report", "/audit/sample", "/audit/review")


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    for role in Role:
        add_account(made.engine, role.value, role, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW)
    searched(made.engine, "officer", "TEST123", at=BEFORE)
    yield made
    made.engine.dispose()


@pytest.fixture
def browser(department: Department) -> Iterator[Browser]:
    made = Browser(department, NOW)
    with made.runner:
        yield made


def newest(department: Department) -> tuple[str, str, str, str, dict[str, object]]:
    with reading(department.engine) as connection:
        row = connection.execute(text("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1")).one()
    return row.actor, row.action, row.outcome, row.purpose, json.loads(row.detail)


@pytest.mark.parametrize("path", [*PAGES, "/policy"])
def test_nothing_is_shown_to_who_is_not_logged_in(browser: Browser, path: str) -> None:
    response = browser.get(path)
    assert (response.status_code, response.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("path", PAGES)
def test_the_auditors_pages_are_for_administrators_and_auditors_alone(
    browser: Browser, department: Department, role: Role, path: str
) -> None:
    browser.log_in(role.value, purpose="audit" if role.value in MAY_SEE else "")
    response = browser.get(path)
    assert response.status_code == (200 if role.value in MAY_SEE else 403)
    actor, action, outcome, _, detail = newest(department)
    assert (actor, action) == (role.value, "audit.view")
    assert outcome == ("success" if role.value in MAY_SEE else "refused")
    if outcome == "refused":
        assert detail == {"page": path} and "TEST123" not in response.text


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("path", FORMS)
def test_the_auditors_forms_are_for_administrators_and_auditors_alone(
    browser: Browser, department: Department, role: Role, path: str
) -> None:
    browser.log_in(role.value, purpose="audit" if role.value in MAY_SEE else "")
    fields = {"report": "users", "place": "1", "verdict": "in order"}
    response = browser.submit("/units", path, **fields)
    assert (response.status_code == 403) is (role.value not in MAY_SEE)
    if role.value not in MAY_SEE:
        assert newest(department)[:3] == (role.value, "audit.view", "refused")


@pytest.mark.parametrize("role", list(Role))
def test_everybody_who_is_bound_by_the_policy_sees_it(
    browser: Browser, department: Department, role: Role
) -> None:
    browser.log_in(role.value, purpose="")
    page = browser.get("/policy")
    assert page.status_code == 200 and "usage and privacy policy" in page.text
    assert newest(department)[:3] == (role.value, "policy.view", "success")


@pytest.mark.parametrize("path", FORMS)
def test_a_form_of_another_site_does_nothing(browser: Browser, department: Department, path: str) -> None:
    browser.log_in("auditor")
    before = len(audited(department))
    assert browser.post(path, form_token="guessed", report="users", place="1").status_code == 403
    assert audited(department)[before:] == [("auditor", "form.refuse", "refused")]


def test_reports_and_samples_are_shown_only_after_a_purpose(browser: Browser) -> None:
    browser.log_in("auditor", purpose="")
    assert browser.get("/audit/sample").headers["location"] == "/purpose"
    for path in FORMS:
        response = browser.submit("/units", path, report="users", place="1", verdict="in order")
        assert response.headers["location"] == "/purpose"


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_is_a_page_and_the_look_at_it_an_entry(
    browser: Browser, department: Department, name: str
) -> None:
    browser.log_in("auditor")
    page = browser.submit("/audit/reports", "/audit/report", report=name, plate="TEST123")
    assert page.status_code == 200 and "Audit or policy compliance" in page.text
    actor, action, outcome, purpose, detail = newest(department)
    assert (actor, action, outcome, purpose) == ("auditor", "audit.report", "success", "audit")
    assert detail["report"] == name


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_is_a_file_with_its_purpose_on_it(
    browser: Browser, department: Department, name: str
) -> None:
    browser.log_in("auditor")
    fields = {"report": name, "plate": "TEST123"}
    answer = browser.submit("/audit/reports", "/audit/report", form="csv", **fields)
    assert answer.headers["content-type"].startswith("text/csv")
    assert re.fullmatch(rf'attachment; filename="{name}-[0-9-]+\.csv"', answer.headers["content-disposition"])
    rows = list(csv.reader(io.StringIO(answer.text)))
    if name == "access-log":
        assert rows[0] == ["sequence", "date_time", "query", "username", "organisation", "purpose"]
    else:
        assert ["purpose", "Audit or policy compliance"] in rows
    value = browser.submit("/audit/reports", "/audit/report", form="json", **fields).json()
    assert value["purpose"] == "Audit or policy compliance" and value["made_by"] == "auditor"
    assert newest(department)[1:3] == ("audit.export", "success")


def test_a_shown_report_leads_to_the_same_as_a_file(browser: Browser) -> None:
    browser.log_in("auditor")
    page = browser.submit("/audit/reports", "/audit/report", report="plate", plate="TEST123").text
    assert "officer" in page and "searched for it" in page
    assert not [link for link in re.findall(r'(?:href|action)="([^"]*)"', page) if "TEST123" in link]
    form = page[page.index('<form method="post" action="/audit/report"') :]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[: form.index("<button")]))
    answer = browser.post("/audit/report", form="csv", **fields)
    assert ["officer", "searched for it"] in [row[2:4] for row in csv.reader(io.StringIO(answer.text))]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"report": "plate", "plate": ""}, "whole plate"),
        ({"report": "users", "start": "yesterday"}, "Write a day as"),
        ({"report": "users", "start": "2026-03-02", "end": "2026-03-01"}, "must begin before"),
        ({"report": "all"}, "no such report"),
    ],
)
def test_a_report_that_cannot_be_made_says_why(browser: Browser, fields: dict[str, str], told: str) -> None:
    browser.log_in("auditor")
    page = browser.submit("/audit/reports", "/audit/report", **fields)
    assert page.status_code == 422 and told in page.text


def test_a_sample_is_drawn_and_judged_on_the_page(browser: Browser, department: Department) -> None:
    browser.log_in("auditor")
    assert browser.submit("/audit/sample", "/audit/sample", count="5").status_code == 303
    page = browser.get("/audit/sample").text
    assert "plate TEST123" in page
    sequence = re.search(r'name="place" value="(\d+)"', page)
    assert sequence is not None
    fields = {"place": sequence[1], "verdict": "question", "note": "<b>why?</b>"}
    assert browser.submit("/audit/sample", "/audit/review", **fields).status_code == 303
    assert newest(department)[:4] == ("auditor", "audit.review", "success", "audit")
    page = browser.get("/audit/sample").text
    assert "No query waits" in page and "&lt;b&gt;why?&lt;/b&gt;" in page
    again = browser.submit("/audit/sample", "/audit/review", **fields)
    assert again.status_code == 422 and "a verdict stands" in again.text


def test_nobody_judges_their_own_query_on_the_page(browser: Browser, department: Department) -> None:
    searched(department.engine, "auditor", "TEST999", at=BEFORE)
    drawn = draw(
        department.engine, period_of("2020-01-01", "2099-01-01", NOW), 9, Deed("admin", "audit.sample"), NOW
    )
    assert drawn, "drawn by somebody else"
    browser.log_in("auditor")
    answers = [
        browser.submit("/audit/sample", "/audit/review", place=each, verdict="in order") for each in drawn
    ]
    assert sorted(answer.status_code for answer in answers)[-1] == 422
    assert any("is your own" in answer.text for answer in answers)


@pytest.mark.parametrize("fields", [{"verdict": "fine"}, {"verdict": ""}])
def test_a_verdict_that_is_none_is_not_taken(browser: Browser, fields: dict[str, str]) -> None:
    browser.log_in("auditor")
    assert browser.submit("/audit/sample", "/audit/review", place="1", **fields).status_code == 422


def test_a_forged_page_number_is_no_error(browser: Browser) -> None:
    browser.log_in("auditor")
    assert browser.get("/audit?before=2").status_code == 200
    assert browser.get("/audit?before=x").status_code == 422


@pytest.mark.parametrize("role", list(Role))
def test_the_navigation_leads_where_the_role_may_go(browser: Browser, role: Role) -> None:
    browser.log_in(role.value, purpose="")
    page = browser.get("/units").text
    assert ('href="/audit"' in page) is (role.value in MAY_SEE)
