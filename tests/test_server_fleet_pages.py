"""The fleet's pages: who sees where units are, and what stands on them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from server.access import Role, add_account
from server.database import writing
from server.department import Department
from server.tables import sessions, units
from server.unit_words import keep_word
from sync.unit_status import CameraWord
from tests.departments import PASSWORD, Unit, a_department, a_unit, audited
from tests.statuses import a_word
from tests.test_server_pages import Browser

NOW = datetime.now(UTC)
PLACE = "38.58160"


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    for name, role in (("reyes", Role.OFFICER), ("lindgren", Role.TECHNICIAN)):
        add_account(made.engine, name, role, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW)
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    made = a_unit(department, tmp_path / "unit")
    with writing(department.engine) as connection:
        connection.execute(update(units).values(place_at=NOW, latitude_deg=38.5816, longitude_deg=-121.4944))
    return made


@pytest.fixture
def browser(department: Department) -> Iterator[Browser]:
    made = Browser(department)
    with made.runner:
        yield made


def page(browser: Browser, path: str) -> str:
    response = browser.get(path)
    assert response.status_code == 200
    return response.text


def test_an_officer_with_a_purpose_sees_the_map(browser: Browser, unit: Unit) -> None:
    browser.log_in("reyes")
    browser.state_purpose()
    for path in ("/units", "/units/unit-07"):
        text = page(browser, path)
        assert '<svg xmlns="http://www.w3.org/2000/svg" class="map"' in text and PLACE in text


def test_without_a_purpose_no_place_is_shown(browser: Browser, unit: Unit) -> None:
    browser.log_in("reyes")
    for path in ("/units", "/units/unit-07"):
        text = page(browser, path)
        assert 'class="map"' not in text and PLACE not in text and "State a purpose" in text
        assert "unit-07" in text


def test_a_technician_sees_the_list_without_places(
    browser: Browser, unit: Unit, department: Department
) -> None:
    browser.log_in("lindgren")
    with writing(department.engine) as connection:  # not even with a purpose, which the page does not take
        connection.execute(update(sessions).values(purpose="stolen-vehicle", case_number="", purpose_at=NOW))
    for path in ("/units", "/units/unit-07"):
        text = page(browser, path)
        assert "unit-07" in text and 'class="map"' not in text
        assert PLACE not in text and "State a purpose" not in text


def test_each_look_is_recorded_with_whether_places_were_shown(
    browser: Browser, unit: Unit, department: Department
) -> None:
    browser.log_in("reyes")
    page(browser, "/units")
    page(browser, "/units/unit-07")
    assert [entry[:2] for entry in audited(department)[-2:]] == [
        ("reyes", "units.view"),
        ("reyes", "unit.view"),
    ]


def test_the_summary_says_how_many_need_somebody_and_why(
    browser: Browser, unit: Unit, department: Department, tmp_path: Path
) -> None:
    a_unit(department, tmp_path / "other", "unit-08")
    keep_word(department.engine, "unit-07", a_word(recording=False), NOW)
    browser.log_in("lindgren")
    text = page(browser, "/units")
    assert "<strong>1</strong><span>needs attention</span>" in text and "1 not recording" in text
    assert text.index(">unit-07<") < text.index(">unit-08<")
    only = page(browser, "/units?kind=not%20recording")
    assert ">unit-07<" in only and ">unit-08<" not in only
    found = page(browser, "/units?find=T-08")
    assert ">unit-08<" in found and ">unit-07<" not in found
    assert "No unit fits" in page(browser, "/units?find=nothing")


def test_what_a_unit_says_is_text_on_the_page(browser: Browser, unit: Unit, department: Department) -> None:
    cameras = (CameraWord("<b>front", "lost", 3),)
    word = a_word(cameras=cameras, pack="<script>", faults=("<img src=x>",), fault_count=5)
    keep_word(department.engine, "unit-07", word, NOW)
    browser.log_in("lindgren")
    for path in ("/units", "/units/unit-07"):
        text = page(browser, path)
        assert "<b>front" not in text and "<script" not in text and "<img src=x" not in text
        assert "&lt;b&gt;front" in text
    assert "reopened 3 times" in page(browser, "/units/unit-07")
    assert "Faults: 5" in page(browser, "/units/unit-07")


def test_an_unknown_unit_is_not_found(browser: Browser, unit: Unit) -> None:
    browser.log_in("lindgren")
    assert browser.get("/units/unit-99").status_code == 404


@pytest.mark.parametrize("query", ["page=0", "page=x", "page=100001", "kind=" + "x" * 40])
def test_an_address_that_no_link_has_is_refused(browser: Browser, unit: Unit, query: str) -> None:
    browser.log_in("lindgren")
    assert browser.get(f"/units?{query}").status_code == 422


def test_more_units_than_fit_go_on_further_pages(
    browser: Browser, department: Department, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("server.fleet_pages.UNITS_PER_PAGE", 2)
    for number in range(3):
        a_unit(department, tmp_path / f"{number}", f"unit-{number}")
    browser.log_in("lindgren")
    first, second = page(browser, "/units"), page(browser, "/units?page=2")
    assert ">unit-0<" in first and ">unit-2<" not in first and "Page 1 of 2" in first
    assert ">unit-2<" in second and ">unit-0<" not in second
