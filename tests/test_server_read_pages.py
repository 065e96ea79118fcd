"""Reads are found by time, place and camera, and a file of them says who took it and why."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from camera.fix import Fix
from server import read_export
from server.access import Role, add_account
from server.database import reading
from server.department import Department
from server.intake import Intake
from tests.departments import PASSWORD, a_department, a_unit
from tests.hotlists import a_read
from tests.test_server_pages import NOW, Browser

HOUR = timedelta(hours=1)
READS = {
    "7ABC123": (NOW - 3 * HOUR, (37.0, -122.0), "front"),
    "8XYZ987": (NOW - HOUR, (37.001, -122.001), "rear"),
    "6DEF456": (NOW - 50 * HOUR, (38.0, -121.0), "front"),
    "5GHJ321": (NOW - HOUR, None, "front"),
}


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    add_account(made.engine, "reyes", Role.OFFICER, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW)
    unit = a_unit(made, tmp_path / "unit")
    found = []
    for number, (plate, (utc, place, camera)) in enumerate(READS.items()):
        fix = None if place is None else Fix(utc, *place, accuracy_m=4.0)
        found.append(replace(a_read(plate, utc=utc), read_id=f"read-{number}", camera=camera, fix=fix))
    Intake(made.engine, made.keys, made.folder.quarantine).take(unit.peer, unit.batch(found), NOW)
    yield made
    made.engine.dispose()


@pytest.fixture
def browser(department: Department) -> Iterator[Browser]:
    made = Browser(department)
    made.log_in("reyes")
    made.state_purpose()
    yield made
    made.runner.run(made.client.aclose())
    made.runner.close()


def exported(browser: Browser, **fields: str) -> list[dict[str, str]]:
    response = browser.submit("/purpose", "/reads/export", kind="csv", **fields)
    assert response.status_code == 200
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(io.StringIO("\n".join(lines))))


def minute(moment: object) -> str:
    return f"{moment:%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"since": minute(NOW - 4 * HOUR)}, {"7ABC123", "8XYZ987", "5GHJ321"}),
        ({"until": minute(NOW - 2 * HOUR)}, {"7ABC123", "6DEF456"}),
        ({"since": minute(NOW - 4 * HOUR), "until": minute(NOW - 2 * HOUR)}, {"7ABC123"}),
        ({"camera": "rear"}, {"8XYZ987"}),
        ({"latitude": "37.0", "longitude": "-122.0", "radius_m": "200"}, {"7ABC123", "8XYZ987"}),
        ({"latitude": "37.0", "longitude": "-122.0", "radius_m": "50"}, {"7ABC123"}),
        ({"latitude": "37.0", "longitude": "-122.0"}, {"7ABC123", "8XYZ987"}),
        ({"plate": "7*", "camera": "front"}, {"7ABC123"}),
    ],
)
def test_search_by_time_place_and_camera(browser: Browser, asked: dict[str, str], found: set[str]) -> None:
    assert {row["plate"] for row in exported(browser, **asked)} == found
    page = browser.search(**asked)
    assert {plate for plate in READS if f'aria-label="{plate}"' in page} == found


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "yesterday"},
        {"latitude": "37"},
        {"latitude": "north", "longitude": "west"},
        {"latitude": "91", "longitude": "0"},
        {"latitude": "1", "longitude": "0", "radius_m": "1e9"},
        {"latitude": "nan", "longitude": "0"},
    ],
)
@pytest.mark.parametrize("to", ["/reads", "/reads/export"])
def test_field_that_cannot_be_read_is_said_and_nothing_is_shown(
    browser: Browser, asked: dict[str, str], to: str
) -> None:
    response = browser.submit("/purpose", to, **asked, plate="8TYPED9")
    assert response.status_code == 422
    assert "7ABC123" not in response.text
    # What was typed is there to be put right.
    assert 'role="alert"' in response.text and 'value="8TYPED9"' in response.text
    assert all(f'value="{value}"' in response.text for value in asked.values())


def test_export_says_who_took_it_and_why_and_is_logged(browser: Browser, department: Department) -> None:
    response = browser.submit("/purpose", "/reads/export", plate="7ABC123")
    assert response.headers["content-disposition"].startswith("attachment; filename=")
    head = [line for line in response.text.splitlines() if line.startswith("#")]
    assert "taken by reyes" in head[1] and "26-0042" in head[2] and "7ABC123" in head[3]
    with reading(department.engine) as connection:
        entry = connection.execute(text("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1")).one()
    assert (entry.actor, entry.action, entry.case_number) == ("reyes", "reads.export", "26-0042")
    assert json.loads(entry.detail)["shown"] == ["read-0"]


def test_export_as_json_holds_the_same(browser: Browser) -> None:
    response = browser.submit("/purpose", "/reads/export", kind="json", camera="rear")
    told = response.json()
    assert told["export"]["taken_by"] == "reyes" and told["export"]["complete"]
    [row] = told["reads"]
    assert (row["plate"], row["latitude_deg"], row["camera"]) == ("8XYZ987", 37.001, "rear")


def test_export_that_is_too_long_says_that_it_is_not_complete(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.inquiries.MOST_READS", 2)
    response = browser.submit("/purpose", "/reads/export")
    assert "NOT COMPLETE" in response.text
    assert len([line for line in response.text.splitlines() if not line.startswith("#")]) == 3


def test_export_needs_a_purpose_a_login_and_the_pages_own_form(department: Department) -> None:
    stranger = Browser(department)
    assert stranger.post("/reads/export", form_token="x").status_code == 303
    stranger.log_in("reyes")
    assert stranger.post("/reads/export", form_token="x").status_code == 403
    assert stranger.submit("/purpose", "/reads/export").headers["location"] == "/purpose"
    stranger.runner.run(stranger.client.aclose())
    stranger.runner.close()


def test_text_that_a_spreadsheet_would_run_is_disarmed() -> None:
    assert [read_export._cell(value) for value in ("=1+1", "@x", "-5", "7ABC123", -5.0)] == [
        "'=1+1",
        "'@x",
        "'-5",
        "7ABC123",
        -5.0,
    ]
