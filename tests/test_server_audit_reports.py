"""Reports on the access log: for a person, for a plate, for accounts, for the law."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from recognizer.plate import Plate, fold
from server.access import Role, add_account
from server.audit_checkpoints import Checkpoints
from server.audit_entries import entries_in, touches_reads
from server.audit_period import Period
from server.audit_report import Imprint, Report, as_csv, as_json
from server.audit_reports import access_log, by_account, by_plate, by_user, could_show
from server.audit_selfcheck import self_check
from server.database import migrate, open_database, reading
from server.department import Department
from server.intake import Intake
from server.records import ReadQuery, plate_pattern
from server.settings import AccessSettings, AuditSettings, Folder
from tests.auditors import MORNING, done, searched, tamper
from tests.departments import PASSWORD, a_department, a_unit
from tests.fakes import a_read

DAY = Period(MORNING - timedelta(hours=1), MORNING + timedelta(hours=1))
IMPRINT = Imprint("Example Police", DAY, "okafor", MORNING, "Audit or policy compliance", "26-0042")
PLATES = st.text("ABCDOI019", min_size=1, max_size=7).map(Plate)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "log.sqlite")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


def bring(department: Department, tmp_path: Path, *plates: str, prefix: str = "") -> list[str]:
    """Have a unit bring reads of *plates*; return their ids."""
    unit = a_unit(department, tmp_path / "unit")
    items = [replace(a_read(plate=plate), prefix=Plate(prefix), prefix_confidence=0.9) for plate in plates]
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, unit.batch(items), datetime.now(UTC))
    return [item.read_id for item in items]


def about(department: Department, plate: str) -> list[tuple[str, str]]:
    with reading(department.engine) as connection:
        report = by_plate(connection, entries_in(connection, DAY), plate)
    return [(str(row[2]), str(row[3])) for row in report.rows]


def test_each_person_is_told_with_what_they_did_and_why(log: Engine) -> None:
    done(log, "reyes", "login")
    done(log, "reyes", "login", outcome="refused")
    searched(log, "reyes", "TEST123")
    searched(log, "reyes", "TEST*", purpose="canvass")
    done(log, "reyes", "read.view", detail={"read": "read-1", "found": True}, purpose="canvass")
    done(log, "reyes", "audit.view", outcome="refused")
    done(log, "okafor", "audit.export")
    done(log, "unit:unit-07", "batch.refuse", outcome="refused")
    done(log, "unknown", "login", outcome="refused")
    with reading(log) as connection:
        report = by_user(entries_in(connection, DAY))
    assert report.rows == (
        ("okafor", 0, 0, 0, 1, 0, 0, ""),
        (
            "reyes",
            1,
            2,
            1,
            0,
            1,
            1,
            "Canvass around a major incident 2; Criminal investigation 1",
        ),
        ("unknown", 0, 0, 0, 0, 1, 0, ""),
    )
    with reading(log) as connection:
        assert [row[0] for row in by_user(entries_in(connection, DAY), "okafor").rows] == ["okafor"]


def test_what_lies_outside_the_period_is_left_out(log: Engine) -> None:
    for at in (DAY.start - timedelta(seconds=1), DAY.start, DAY.end - timedelta(seconds=1), DAY.end):
        searched(log, "reyes", "TEST123", at=at)
    with reading(log) as connection:
        assert len(entries_in(connection, DAY)) == 2


def test_everybody_who_could_have_seen_a_plate_is_told(department: Department, tmp_path: Path) -> None:
    mine, other = bring(department, tmp_path, "TESTO12", "OTHER99")
    engine = department.engine
    searched(engine, "exact", "test-012")
    searched(engine, "fits", "TEST*")
    searched(engine, "inside", "ST0", anywhere=True)
    searched(engine, "one-each", "?ESTO?2")
    searched(engine, "list", shown=[other, mine])
    done(engine, "opened", "read.view", detail={"read": mine, "found": True})
    done(engine, "wanted", "plate.note", detail={"plate": "TESTO12"})
    searched(engine, "not-it", "OTHER*")
    searched(engine, "not-shown", shown=[other])
    searched(engine, "inside-not", "EST012X", anywhere=True)
    done(engine, "not-found", "read.view", detail={"read": "read-x", "found": False})
    assert about(department, "TEST0I2") == [
        ("exact", "searched for it"),
        ("fits", "searched with a pattern that fits it"),
        ("inside", "searched with a pattern that fits it"),
        ("one-each", "searched with a pattern that fits it"),
        ("list", "was shown a read of it"),
        ("opened", "was shown a read of it"),
        ("wanted", "named it"),
    ]


def test_who_was_shown_reads_that_are_gone_cannot_be_ruled_out(
    department: Department, tmp_path: Path
) -> None:
    [other] = bring(department, tmp_path, "OTHER99")
    searched(department.engine, "long-ago", shown=[other, "purged-1"])
    searched(department.engine, "today", shown=[other])
    assert about(department, "TEST123") == [
        ("long-ago", "cannot be ruled out: reads that were shown are no longer held")
    ]


def test_what_was_put_into_a_package_counts_as_shown(department: Department, tmp_path: Path) -> None:
    [mine] = bring(department, tmp_path, "TEST123")
    detail = {"asked": {"reads": [mine], "plate": ""}}
    done(department.engine, "clerk", "evidence.build", detail=detail)
    assert about(department, "TEST123") == [("clerk", "was shown a read of it")]
    with reading(department.engine) as connection:
        [row] = access_log(entries_in(connection, DAY), "Example Police").rows
    assert row[2] == f"reads {mine}"


@pytest.mark.parametrize(
    ("action", "touches"),
    [
        ("reads.search", True),
        ("reads.export", True),
        ("hits.now", True),
        ("release.export", True),
        ("release.download_package", True),
        ("evidence.build", True),
        ("release.list", False),
        ("evidence.list", False),
        ("audit.view", False),
        ("login", False),
        ("units.view", False),
    ],
)
def test_an_access_is_what_shows_or_hands_out_what_cars_read(action: str, touches: bool) -> None:
    assert touches_reads(action) is touches


def test_a_search_by_the_letters_beside_a_plate_counts_too(department: Department, tmp_path: Path) -> None:
    bring(department, tmp_path, "TEST123", prefix="XQ")
    searched(department.engine, "beside", "XQTEST123")
    searched(department.engine, "other", "YQTEST123")
    assert about(department, "TEST123") == [("beside", "searched for it")]


@pytest.mark.parametrize("plate", ["", "?", "TEST*", " - "])
def test_a_plate_report_needs_a_whole_plate(log: Engine, plate: str) -> None:
    with reading(log) as connection, pytest.raises(ValueError, match="whole plate"):
        by_plate(connection, [], plate)


@given(PLATES, st.text("ABCDOI019?*%_'[", max_size=6), st.booleans())
def test_a_pattern_fits_here_what_it_finds_in_the_database(plate: Plate, typed: str, anywhere: bool) -> None:
    pattern = plate_pattern(ReadQuery(typed, anywhere))
    if not pattern:
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        [found] = connection.execute("SELECT ? LIKE ?", (fold(plate), pattern)).fetchone()
    assert could_show(pattern, fold(plate)) is bool(found)


def test_accounts_unused_or_with_lapsing_training_are_told(department: Department) -> None:
    now = MORNING
    for name, until in (("new", date(2099, 1, 1)), ("soon", date(2026, 3, 20)), ("lapsed", date(2026, 3, 2))):
        add_account(department.engine, name, Role.OFFICER, PASSWORD, until, actor="console:test", now=now)
    past = now - timedelta(days=91)
    add_account(
        department.engine, "unused", Role.OFFICER, PASSWORD, date(2099, 1, 1), actor="console:test", now=past
    )
    with reading(department.engine) as connection:
        rows = by_account(connection, AccessSettings(), now).rows
    assert {row[0]: row[6] for row in rows} == {
        "chief": "in order",
        "lapsed": "training lapsed: closed",
        "new": "in order",
        "soon": "training lapses in 18 days",
        "unused": "unused for 91 days: closed",
    }


def test_the_californian_log_has_exactly_its_columns(log: Engine) -> None:
    searched(log, "reyes", "TEST*", unit="unit-07")
    searched(log, "reyes", shown=["read-1"], case_number="", purpose="hit-verification")
    done(log, "reyes", "read.view", detail={"read": "read-1", "found": True}, purpose="audit")
    done(log, "reyes", "login")
    done(log, "okafor", "audit.view")
    done(log, "reyes", "reads.search", outcome="refused")
    done(log, "console:root", "local_entry.list")
    with reading(log) as connection:
        report = access_log(entries_in(connection, DAY), "Example Police")
    rows = list(csv.reader(io.StringIO(as_csv(report, IMPRINT))))
    assert rows == [
        ["sequence", "date_time", "query", "username", "organisation", "purpose"],
        [
            "1",
            "2026-03-02T10:00:00Z",
            "plate TEST*, unit unit-07",
            "reyes",
            "Example Police",
            "Criminal investigation, case 26-0042",
        ],
        [
            "2",
            "2026-03-02T10:00:00Z",
            "newest reads, not narrowed",
            "reyes",
            "Example Police",
            "Verify a hit of this shift",
        ],
        ["3", "2026-03-02T10:00:00Z", "read read-1", "reyes", "Example Police", "Audit or policy compliance"],
        ["7", "2026-03-02T10:00:00Z", "local_entry.list", "console:root", "Example Police", "none stated"],
    ]


def test_the_purpose_is_printed_on_each_copy() -> None:
    report = Report("users", "What each person did", ("who", "count"), (("reyes", 3),), ("a note",))
    rows = list(csv.reader(io.StringIO(as_csv(report, IMPRINT))))
    assert ["purpose", "Audit or policy compliance, case 26-0042"] in rows and rows[-1] == ["reyes", "3"]
    value = json.loads(as_json(report, IMPRINT))
    assert value["purpose"] == "Audit or policy compliance, case 26-0042" and value["made_by"] == "okafor"
    assert value["rows"] == [{"who": "reyes", "count": 3}]


@pytest.mark.parametrize("typed", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_people_typed_is_no_formula_in_a_spreadsheet(typed: str) -> None:
    made = as_csv(Report("x", "x", ("query",), ((typed,),), bare=True), IMPRINT)
    assert list(csv.reader(io.StringIO(made, newline="")))[1] == ["'" + typed]


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_text_comes_back_out_of_a_report(cells: list[str]) -> None:
    columns = tuple(f"c{number}" for number in range(len(cells)))
    report = Report("x", "x", columns, (tuple(cells),), bare=True)
    as_csv(report, IMPRINT).encode("utf-8")
    assert list(json.loads(as_json(report, IMPRINT))["rows"][0].values()) == cells


@pytest.fixture
def checkpoints(log: Engine, tmp_path: Path) -> Checkpoints:
    folder = Folder(tmp_path)
    folder.keys.mkdir()
    return Checkpoints(log, folder, AuditSettings())


def checked(log: Engine, checkpoints: Checkpoints, now: datetime = MORNING) -> dict[str, tuple[str, str]]:
    report = self_check(log, checkpoints, AuditSettings(), now)
    return {str(name): (str(state), str(finding)) for name, state, finding in report.rows}


def test_the_log_checks_itself(log: Engine, checkpoints: Checkpoints) -> None:
    searched(log, "reyes", "TEST123")
    assert checked(log, checkpoints)["checkpoints"][0] == "look"
    checkpoints.step(MORNING)
    done(log, "console:root", "audit.verify")
    found = checked(log, checkpoints)
    assert {name for name, (state, _) in found.items() if state == "look"} == {
        "queries judged",
        "database",
    }
    assert found["queries judged"][1] == "never"


def test_a_broken_log_is_a_finding_and_no_error(log: Engine, checkpoints: Checkpoints) -> None:
    searched(log, "reyes", "TEST123")
    checkpoints.step(MORNING)
    tamper(log, "UPDATE audit SET actor = 'nobody' WHERE sequence = 1")
    state, finding = checked(log, checkpoints)["chain and checkpoints"]
    assert state == "look" and finding.startswith("BROKEN: entry 1 was altered")


def test_a_clock_set_back_and_a_late_checkpoint_are_findings(log: Engine, checkpoints: Checkpoints) -> None:
    searched(log, "reyes", "TEST123")
    searched(log, "reyes", "TEST123", at=MORNING - timedelta(hours=1))
    checkpoints.step(MORNING)
    assert checked(log, checkpoints)["clock"] == ("look", "1 times set back, at most by 1:00:00")
    assert checked(log, checkpoints, MORNING + timedelta(hours=47))["checkpoints"][0] == "ok"
    assert checked(log, checkpoints, MORNING + timedelta(hours=49))["checkpoints"][0] == "look"


def test_a_file_without_all_checkpoints_is_a_finding(log: Engine, checkpoints: Checkpoints) -> None:
    searched(log, "reyes", "TEST123")
    checkpoints.step(MORNING)
    assert checked(log, checkpoints)["file of checkpoints"][0] == "ok"
    checkpoints.file.unlink()
    assert checked(log, checkpoints)["file of checkpoints"] == ("look", "0 lines, 1 missing, 0 damaged")
