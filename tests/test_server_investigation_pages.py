"""Canvass, convoy, look-alikes, the map and one read's page, as a person meets them and at the console."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from httpx import Response
from sqlalchemy import text
from typer.testing import CliRunner, Result

from camera.fix import Fix
from server import clock
from server.access import Role, add_account
from server.cli import app
from server.database import reading
from server.department import Department
from server.intake import Intake
from tests.departments import PASSWORD, a_department, a_unit, audited
from tests.fakes import a_read
from tests.test_server_pages import NOW, Browser
from tests.test_server_read_pages import minute

HOUR = timedelta(hours=1)
BANK, SHOP = (37.0, -122.0), (37.2, -122.2)
PASSED = [
    ("7ABC123", 5 * HOUR, BANK),
    ("7ABC123", 30 * HOUR, SHOP),
    ("8XYZ987", 5 * HOUR, BANK),
    ("8XYZ987", 30 * HOUR, SHOP),
    ("6DEF456", 5 * HOUR, BANK),
]


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    for name, role in (("reyes", Role.OFFICER), ("okafor", Role.AUDITOR)):
        add_account(made.engine, name, role, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW)
    unit, brought = a_unit(made, tmp_path / "unit"), []
    for number, (plate, ago, place) in enumerate(PASSED):
        read, utc = a_read(f"read-{number}", plate=plate), NOW - ago
        moment = replace(read.settled, utc=utc)
        fix = Fix(utc, *place, accuracy_m=4.0)
        brought.append(replace(read, settled=moment, first_seen=moment, fix=fix))
    signed = unit.batch(brought, (), incident="26-0042")
    Intake(made.engine, made.keys, made.folder.quarantine).take(unit.peer, signed, NOW)
    yield made
    made.engine.dispose()


@pytest.fixture
def browser(department: Department) -> Iterator[Browser]:
    made = Browser(department)
    made.log_in("reyes")
    made.state_purpose("canvass")
    yield made
    made.runner.run(made.client.aclose())
    made.runner.close()


def newest(department: Department) -> tuple[str, str, str, dict[str, object]]:
    with reading(department.engine) as connection:
        row = connection.execute(text("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1")).one()
    return row.actor, row.action, row.case_number, json.loads(row.detail)


def scene(number: int, ago: timedelta, place: tuple[float, float]) -> dict[str, str]:
    ends = {"since": minute(NOW - ago - HOUR), "until": minute(NOW - ago + HOUR)}
    where = {"latitude": str(place[0]), "longitude": str(place[1]), "radius_m": "200"}
    return {f"{name}_{number}": value for name, value in (ends | where).items()}


TWO = scene(1, 5 * HOUR, BANK) | scene(2, 30 * HOUR, SHOP)
CONVOY = {"plate": "7ABC123", "since": minute(NOW - 40 * HOUR), "until": minute(NOW + HOUR)}


def plates(response: Response) -> list[str]:
    return re.findall(r'<span class="plate">(\w+)</span>', response.text)


def test_a_canvass_needs_a_case_number_and_is_logged_with_its_question(
    browser: Browser, department: Department
) -> None:
    browser.state_purpose("hit-verification", "")
    for path, fields in (("/reads/canvass", TWO), ("/reads/convoy", CONVOY)):
        for to in (path, f"{path}/export"):
            answer = browser.submit("/purpose", to, **fields)
            assert answer.status_code == 422 and "needs a case number" in answer.text
            assert plates(answer) == []
    assert not {"reads.canvass", "reads.convoy", "reads.export"} & {
        action for _, action, _ in audited(department)
    }
    browser.state_purpose("canvass")
    answer = browser.submit("/purpose", "/reads/canvass", **TWO, least="2")
    assert sorted(plates(answer)) == ["7ABC123", "8XYZ987"]
    actor, action, case, detail = newest(department)
    assert (actor, action, case, detail["plates"]) == ("reyes", "reads.canvass", "26-0042", 2)
    asked = detail["asked"]
    assert isinstance(asked, dict) and "37.000000 -122.000000, 200 m" in asked["scenes"]
    assert sorted(detail["shown"]) == ["read-0", "read-1", "read-2", "read-3"]  # type: ignore[call-overload]


def test_a_convoy_is_shown_and_logged(browser: Browser, department: Department) -> None:
    answer = browser.submit("/purpose", "/reads/convoy", **CONVOY)
    assert plates(answer) == ["8XYZ987"]
    _, action, _, detail = newest(department)
    assert (action, detail["companions"], detail["shown"]) == ("reads.convoy", 1, ["read-3"])


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize(("path", "fields"), [("/reads/canvass", TWO), ("/reads/convoy", CONVOY)])
def test_an_export_carries_who_took_it_and_why(
    browser: Browser, department: Department, path: str, fields: dict[str, str], kind: str
) -> None:
    answer = browser.submit("/purpose", f"{path}/export", **fields, kind=kind)
    name = path.rpartition("/")[2]
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{name}-')
    if kind == "json":
        told = answer.json()
        assert told["export"]["taken_by"] == "reyes" and told["export"]["case_number"] == "26-0042"
        rows = told[name]
    else:
        head = [line for line in answer.text.splitlines() if line.startswith("#")]
        assert "taken by reyes" in head[1] and "case 26-0042" in head[2]
        body = "\n".join(line for line in answer.text.splitlines() if not line.startswith("#"))
        rows = list(csv.DictReader(io.StringIO(body)))
    assert {row["plate"] for row in rows} >= {"8XYZ987"}
    _, action, _, detail = newest(department)
    assert (action, detail["kind"], detail["of"]) == ("reads.export", kind, f"reads.{name}")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {**TWO, "least": "3"},
        {**TWO, "least": "x"},
        {**TWO, "until_1": ""},
        {**TWO, "latitude_2": "north"},
        {**TWO, "radius_m_1": "9000"},
        {**TWO, "since_1": minute(NOW - timedelta(days=30))},
    ],
)
def test_a_canvass_that_cannot_be_understood_says_which_field_and_keeps_the_form(
    browser: Browser, department: Department, fields: dict[str, str]
) -> None:
    answer = browser.submit("/purpose", "/reads/canvass", **fields)
    assert answer.status_code == 422 and 'role="alert"' in answer.text and plates(answer) == []
    assert fields.get("longitude_2", "") in answer.text
    assert "reads.canvass" not in [action for _, action, _ in audited(department)]


@pytest.mark.parametrize("changes", [{"plate": "7AB*"}, {"least": "1"}, {"within_s": "x"}, {"since": ""}])
def test_a_convoy_that_cannot_be_understood_says_why(browser: Browser, changes: dict[str, str]) -> None:
    answer = browser.submit("/purpose", "/reads/convoy", **CONVOY | changes)
    assert answer.status_code == 422 and 'role="alert"' in answer.text


def test_a_click_on_the_map_places_the_search_and_asks_nothing(
    browser: Browser, department: Department
) -> None:
    before = audited(department)
    fields = {"plate": "7ABC123", "view": "37.0,-122.0,14", "wide.x": "360", "wide.y": "220"}
    page = browser.submit("/purpose", "/reads", **fields).text
    assert re.search(r'name="latitude"[^>]* value="37\.0000', page)
    assert re.search(r'name="longitude"[^>]* value="-122\.0000', page)
    assert 'value="7ABC123"' in page and 'aria-label="7ABC123"' not in page
    assert audited(department) == before


def test_a_click_places_the_scene_that_was_chosen(browser: Browser, department: Department) -> None:
    fields = {**TWO, "scene": "2", "view": "36.5,-121.5,14", "narrow.x": "160", "narrow.y": "160"}
    page = browser.submit("/purpose", "/reads/canvass", **fields).text
    assert re.search(r'name="latitude_2"[^>]* value="36\.500000"', page)
    assert re.search(r'name="latitude_1"[^>]* value="37\.0"', page)
    assert "reads.canvass" not in [action for _, action, _ in audited(department)]


def test_found_reads_stand_on_the_map_and_lead_to_their_pages(browser: Browser) -> None:
    page = browser.submit("/purpose", "/reads", latitude="37.0", longitude="-122.0", radius_m="500").text
    assert "Where the reads on this page were made" in page
    assert {"/reads/read-0", "/reads/read-2", "/reads/read-4"} <= set(
        re.findall(r'href="(/reads/read-\d)"', page)
    )
    assert "<script" not in page


def test_look_alikes_are_asked_for_shown_and_logged(browser: Browser, department: Department) -> None:
    page = browser.submit("/purpose", "/reads", plate="7A8C123", match="alike").text
    assert 'aria-label="7ABC123"' in page and "likeliest first" in page
    asked = newest(department)[3]["asked"]
    assert isinstance(asked, dict) and asked["look-alikes"] is True and asked["plate"] == "7A8C123"
    assert browser.submit("/purpose", "/reads", plate="7A*", match="alike").status_code == 422


def test_reads_of_an_incident_are_found_exported_and_logged(browser: Browser, department: Department) -> None:
    page = browser.submit("/purpose", "/reads", incident="26-0042").text
    assert page.count("incident 26-0042</span>") == 5
    asked = newest(department)[3]["asked"]
    assert isinstance(asked, dict) and asked["incident"] == "26-0042"
    rows = browser.submit("/purpose", "/reads/export", incident="26-0042", kind="json").json()["reads"]
    assert [row["incident"] for row in rows] == ["26-0042"] * 5
    assert browser.submit("/purpose", "/reads", incident="<b>").status_code == 422


def test_other_reads_of_a_plate_are_shown_only_when_asked_for_and_logged_as_a_search(
    browser: Browser, department: Department
) -> None:
    page = browser.get("/reads/read-0").text
    assert "read-1" not in page and "incident" in page.lower() and "Where the read was made" in page
    page = browser.submit("/purpose", "/reads/read-0/history").text
    assert "/reads/read-1" in page and "read-2" not in page
    with reading(department.engine) as connection:
        row = connection.execute(
            text("SELECT detail FROM audit WHERE action = 'reads.search' ORDER BY sequence DESC LIMIT 1")
        ).one()
    detail = json.loads(row.detail)
    assert detail["asked"] == {"plate": "7ABC123", "history of": "read-0"}
    assert detail["shown"] == ["read-0", "read-1"]


def test_who_looked_at_a_read_is_shown_to_auditors_alone(browser: Browser, department: Department) -> None:
    browser.submit("/purpose", "/reads", plate="7ABC123")
    assert browser.submit("/purpose", "/reads/read-0/seen").status_code == 403
    auditor = Browser(department)
    auditor.log_in("okafor")
    auditor.state_purpose("audit", "")
    page = auditor.submit("/purpose", "/reads/read-0/seen").text
    seen = page.partition("Who looked at it")[2]
    assert "reyes" in seen and "reads.search" in seen and "26-0042" in seen
    other = auditor.submit("/purpose", "/reads/read-4/seen").text.partition("Who looked at it")[2]
    assert "reyes" not in other
    auditor.runner.run(auditor.client.aclose())
    auditor.runner.close()


def command(department: Department, *words: str, typed: str = "") -> Result:
    arguments = ["reads", *words, "--department", str(department.folder.root)]
    return CliRunner().invoke(app, arguments, input=typed)


def in_command(ago: timedelta, place: tuple[float, float]) -> str:
    return f"{place[0]},{place[1]},200,{minute(NOW - ago - HOUR)},{minute(NOW - ago + HOUR)}"


def test_the_commands_find_the_same_and_are_logged(department: Department, tmp_path: Path) -> None:
    scenes = ["--scene", in_command(5 * HOUR, BANK), "--scene", in_command(30 * HOUR, SHOP)]
    result = command(department, "canvass", "--case", "26-0042", *scenes, "--least", "2", "--json")
    assert result.exit_code == 0, result.output
    assert {row["plate"] for row in json.loads(result.stdout)["canvass"]} == {"7ABC123", "8XYZ987"}
    assert newest(department)[1:3] == ("reads.export", "26-0042")
    ends = ["--since", minute(NOW - 40 * HOUR), "--until", minute(clock.now() + HOUR)]
    out = tmp_path / "convoy.csv"
    result = command(department, "convoy", "--case", "26-0042", *ends, "--out", str(out), typed="7ABC123\n")
    assert result.exit_code == 0 and "8XYZ987" in out.read_text() and "8XYZ987" not in result.stdout
    assert out.stat().st_mode & 0o777 == 0o600
    search = ["--purpose", "investigation", "--case", "26-0042", "--by-plate", "--look-alikes"]
    result = command(department, "search", *search, typed="7A8C123\n")
    assert result.exit_code == 0 and "7ABC123" in result.stdout
    assert newest(department)[0].startswith("console:")


@pytest.mark.parametrize(
    "words",
    [
        ("canvass", "--case", "26-0042", "--scene", "37,-122,200"),
        ("canvass", "--case", "26-0042", "--scene", "37,-122,far,2026-01-01T00:00,2026-01-01T01:00"),
        ("canvass", "--case", "", "--scene", "37,-122,200,2026-01-01T00:00,2026-01-01T01:00"),
        (
            "canvass",
            "--case",
            "",
            "--purpose",
            "audit",
            "--scene",
            "37,-122,200,2026-01-01T00:00,2026-01-01T01:00",
        ),
        ("search", "--purpose", "investigation"),
        ("search", "--purpose", "audit", "--place", "91,0,10"),
        ("search", "--purpose", "audit", "--incident", "x"),
        ("search", "--purpose", "audit", "--look-alikes"),
    ],
)
def test_a_command_that_lacks_something_says_what_and_finds_nothing(
    department: Department, words: tuple[str, ...]
) -> None:
    result = command(department, *words)
    assert result.exception is not None and type(result.exception).__name__ == "SettingsInvalidError"
    assert "ABC" not in result.output
