"""The fleet: what of it needs a person, on both databases."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update
from typer.testing import CliRunner

from server.cli import app
from server.database import reading, writing
from server.department import Department
from server.enrolment import revoke
from server.fleet import Fleet, FleetUnit, counted_today, fleet
from server.intake import Intake
from server.tables import hotlist_snapshots, units
from server.unit_words import keep_word
from sync.errors import WireFormatError
from sync.unit_status import CameraWord
from tests.databases import Database
from tests.departments import Unit, a_department, a_unit, audited
from tests.fakes import a_hit, a_read
from tests.statuses import a_word

NOW = datetime.now().astimezone()


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    return a_unit(department, tmp_path / "unit")


def seen(department: Department, now: datetime = NOW) -> Fleet:
    with reading(department.engine) as connection:
        return fleet(connection, now)


def only(department: Department, now: datetime = NOW) -> FleetUnit:
    (unit,) = seen(department, now).units
    return unit


def kinds(unit: FleetUnit) -> list[tuple[str, str]]:
    return [(need.kind, need.level) for need in unit.needs]


def said(department: Department, at: datetime = NOW, **changes: Any) -> FleetUnit:
    keep_word(department.engine, "unit-07", a_word(**changes), at)
    return only(department)


def enrolled(department: Department, at: datetime) -> None:
    with writing(department.engine) as connection:
        connection.execute(
            update(units).values(enrolled_at=at, certificate_expires_at=NOW + timedelta(days=200))
        )


def bring(department: Department, unit: Unit, *, hit: bool = False, **fix: Any) -> datetime:
    """Hand in one read that was made just now; return when."""
    read = a_read()
    at = NOW.replace(minute=0, second=0, microsecond=0)
    moment = replace(read.settled, utc=at)
    assert read.fix is not None
    read = replace(read, settled=moment, first_seen=moment, fix=replace(read.fix, **fix) if fix else None)
    signed = unit.batch([read], [a_hit(read)] if hit else ())
    Intake(department.engine, department.keys, department.folder.quarantine).take(unit.peer, signed, NOW)
    return at


def test_a_unit_in_order_needs_nobody(department: Department, unit: Unit) -> None:
    found = said(department)
    assert found.live and not found.needs and found.level == "good"
    assert seen(department).reasons == []


def test_a_unit_that_said_nothing_is_no_fault_for_three_weeks(department: Department, unit: Unit) -> None:
    enrolled(department, NOW - timedelta(days=20))
    assert not only(department).needs
    enrolled(department, NOW - timedelta(days=21))
    assert kinds(only(department)) == [("never heard of", "warn")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"recording": False}, ("not recording", "bad")),
        ({"free_bytes": 10**8}, ("disk full", "bad")),
        ({"free_bytes": 10**9}, ("disk nearly full", "warn")),
        ({"list_sequence": 0}, ("no hotlist", "bad")),
        ({"list_stale": True}, ("list too old", "bad")),
        ({"refused": 3}, ("reads refused", "bad")),
        ({"cameras": (CameraWord("rear", "lost", 4),)}, ("camera lost", "bad")),
        ({"cameras": ()}, ("no camera", "bad")),
        ({"has_fix": False}, ("no GPS fix", "warn")),
        ({"time_quality": "unsynchronised"}, ("time unsure", "warn")),
        ({"fault_count": 1, "faults": ("sound: gone",)}, ("other fault", "warn")),
        ({"queued": 9, "days_left": 8.9}, ("transfer due", "warn")),
        ({"queued": 9, "days_left": 2.0}, ("transfer due", "bad")),
        ({"queued": 9, "days_left": 0.0}, ("transfer overdue", "bad")),
    ],
)
def test_what_a_unit_says_becomes_what_a_person_must_do(
    department: Department, unit: Unit, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert kinds(said(department, **changes)) == [expected]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (20, []),
        (21, [("transfer due", "warn")]),
        (25, [("transfer due", "warn")]),
        (28, [("transfer due", "bad")]),
        (30, [("transfer overdue", "bad")]),
    ],
)
def test_the_clock_runs_on_while_a_unit_with_waiting_reads_is_away(
    department: Department, unit: Unit, days: int, expected: list[tuple[str, str]]
) -> None:
    found = said(department, NOW - timedelta(days=days), queued=5, days_left=30.0)
    assert found.days_used == days and kinds(found) == expected


def test_a_unit_away_with_nothing_waiting_is_silent_not_overdue(department: Department, unit: Unit) -> None:
    assert kinds(said(department, NOW - timedelta(days=40))) == [("silent", "warn")]


def test_a_parked_car_without_gps_needs_nobody(department: Department, unit: Unit) -> None:
    keep_word(department.engine, "unit-07", a_word(has_fix=False), NOW - timedelta(hours=2))
    found = only(department)
    assert not found.live and not found.needs


def test_offline_keeps_what_was_said_before(department: Department, unit: Unit) -> None:
    said(department, NOW - timedelta(minutes=1))
    keep_word(department.engine, "unit-07", b'{"state":"offline"}', NOW)
    found = only(department)
    assert not found.live and found.status is not None and found.heard_at == NOW


def test_another_version_is_said_to_be_one(department: Department, unit: Unit) -> None:
    keep_word(department.engine, "unit-07", b'{"state":"online","v":9}', NOW)
    found = only(department)
    assert found.other_version and found.live and found.status is None


def test_a_malformed_status_changes_nothing(department: Department, unit: Unit) -> None:
    said(department)
    with pytest.raises(WireFormatError):
        keep_word(department.engine, "unit-07", a_word()[:-1], NOW + timedelta(hours=1))
    assert only(department).status_at == NOW


def test_a_list_behind_the_published_one_counts_after_a_day(department: Department, unit: Unit) -> None:
    with writing(department.engine) as connection:
        for sequence, hours in ((12, 60), (13, 23)):
            connection.execute(
                insert(hotlist_snapshots).values(
                    sequence=sequence,
                    sha256="0" * 64,
                    bytes=1,
                    entries=1,
                    issued_at=NOW - timedelta(hours=hours),
                    expires_at=NOW,
                )
            )
    assert not said(department).needs
    assert kinds(said(department, list_sequence=11)) == []
    with writing(department.engine) as connection:
        connection.execute(update(hotlist_snapshots).values(issued_at=NOW - timedelta(hours=25)))
    assert kinds(said(department)) == [("list behind", "warn")]


def test_a_certificate_that_ends_is_said_a_month_before(department: Department, unit: Unit) -> None:
    for days, expected in ((31, []), (30, ["certificate ends"]), (-1, ["certificate ended"])):
        with writing(department.engine) as connection:
            connection.execute(
                update(units).values(certificate_expires_at=NOW + timedelta(days=days, hours=1))
            )
        assert [need.kind for need in only(department).needs] == expected


def test_a_revoked_unit_needs_nobody_and_comes_last(
    department: Department, unit: Unit, tmp_path: Path
) -> None:
    a_unit(department, tmp_path / "other", "unit-08")
    said_first = seen(department).units[0].unit_id
    assert said_first == "unit-07"
    revoke(department.engine, "unit-07", actor="console:test", now=NOW)
    found = seen(department)
    assert [u.unit_id for u in found.units] == ["unit-08", "unit-07"] and found.active == 1


def test_the_worst_comes_first_and_the_summary_counts_each_kind(
    department: Department, unit: Unit, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        a_unit(department, tmp_path / f"u{number}", f"unit-{number}")
    keep_word(department.engine, "unit-1", a_word(has_fix=False), NOW)
    keep_word(department.engine, "unit-2", a_word(recording=False, has_fix=False), NOW)
    keep_word(department.engine, "unit-3", a_word(), NOW)
    found = seen(department)
    assert [u.unit_id for u in found.units] == ["unit-2", "unit-1", "unit-07", "unit-3"]
    assert found.reasons == [("not recording", "bad", 1), ("no GPS fix", "warn", 2)]
    assert len(found.needing) == 2 and found.live == 3


def test_the_place_is_that_of_the_newest_read_with_one(department: Department, unit: Unit) -> None:
    at = bring(department, unit, latitude_deg=38.5, longitude_deg=-121.5)
    found = only(department)
    assert found.place is not None and (found.place.latitude_deg, found.place.longitude_deg) == (38.5, -121.5)
    assert found.place_at == at
    bring(department, unit)  # no fix: the place stays
    assert only(department).place == found.place
    older = a_read()  # of an earlier time: an old batch that comes late does not move the unit back
    Intake(department.engine, department.keys, department.folder.quarantine).take(
        unit.peer, unit.batch([older]), NOW
    )
    assert only(department).place == found.place


def test_a_read_of_a_clock_far_ahead_does_not_pin_the_place(department: Department, unit: Unit) -> None:
    read = a_read()
    moment = replace(read.settled, utc=NOW + timedelta(days=20))
    ahead = replace(read, settled=moment)
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, unit.batch([ahead]), NOW)
    assert only(department).place is None


def test_an_old_place_is_not_shown(department: Department, unit: Unit) -> None:
    bring(department, unit, latitude_deg=38.5, longitude_deg=-121.5)
    assert only(department, NOW + timedelta(days=31)).place is None


def test_today_counts_reads_and_those_with_a_hit(department: Department, unit: Unit) -> None:
    bring(department, unit)
    bring(department, unit, hit=True)
    at = NOW.replace(minute=0, second=0, microsecond=0)
    with reading(department.engine) as connection:
        counted = counted_today(connection, ["unit-07", "unit-08"], at)
        tomorrow = counted_today(connection, ["unit-07"], at + timedelta(days=1))
    assert (counted["unit-07"].reads, counted["unit-07"].hits) == (2, 1)
    assert counted["unit-08"].reads == 0
    assert tomorrow["unit-07"].reads == 0


def test_ten_thousand_units_are_shown_in_seconds(database: Database, tmp_path: Path) -> None:
    department = database.department(tmp_path / "department")
    word = a_word(faults=("camera rear: gone",), fault_count=1).decode()
    rows = [
        {
            "unit_id": f"unit-{number:05d}",
            "public_key": bytes(32),
            "certificate_serial": f"{number}",
            "certificate_expires_at": NOW + timedelta(days=100),
            "enrolled_at": NOW - timedelta(days=100),
            "last_batch_at": NOW - timedelta(hours=number % 800),
            "status": word,
            "status_at": NOW,
            "state": "online",
            "state_at": NOW,
        }
        for number in range(10_000)
    ]
    with writing(department.engine) as connection:
        connection.execute(insert(units), rows)
    began = time.monotonic()
    assert len(seen(department).units) == 10_000
    # Measured: 0.5 s. The bound is for a busy machine.
    assert time.monotonic() - began < 10
    department.engine.dispose()


def run(department: Department, *options: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, ["units", *options, "--department", str(department.folder.root)])
    return outcome.exit_code, outcome.stdout


def test_the_command_says_the_same_and_no_place(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    unit = a_unit(department, tmp_path / "unit")
    bring(department, unit, latitude_deg=38.5, longitude_deg=-121.5)
    keep_word(department.engine, "unit-07", a_word(recording=False), NOW)
    code, text = run(department, "--json")
    said_ = json.loads(text)
    assert code == 0 and said_["need_attention"] == 1
    assert said_["reasons"] == [{"kind": "not recording", "level": "bad", "units": 1}]
    assert said_["units"][0]["status"]["pack"] == "plates"
    assert "38.5" not in text and "place" not in text
    code, text = run(department, "--attention")
    assert code == 1 and "unit-07" in text and "not recording" in text
    assert audited(department)[-1][1] == "units.view"
    department.engine.dispose()


def test_the_command_ends_well_where_nobody_is_needed(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    a_unit(department, tmp_path / "unit")
    code, text = run(department, "--attention")
    assert code == 0 and "0 need attention" in text
    department.engine.dispose()
