"""Reads are found again by plate, time, unit and place, alike in both databases."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera.fix import Fix
from recognizer.plate import normalise
from recognizer.read import PlateRead
from server.database import reading
from server.department import Department
from server.intake import Intake
from server.records import Place, ReadQuery, find_reads, get_read, plate_pattern
from tests.databases import Database
from tests.departments import NOW, Unit, a_unit
from tests.fakes import a_hit, a_read


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    return a_unit(department, tmp_path / "unit")


def bring(department: Department, unit: Unit, *brought: PlateRead) -> None:
    hits = [a_hit(read) for read in brought if read.plate == "HIT0001"]
    Intake(department.engine, department.keys, department.folder.quarantine).take(
        unit.peer, unit.batch(brought, hits), NOW
    )


def found(department: Department, query: ReadQuery, limit: int = 50, offset: int = 0) -> list[str]:
    with reading(department.engine) as connection:
        return [read.plate for read in find_reads(connection, query, limit, offset)]


def at(plate: str, when: datetime, place: tuple[float, float] | None = None) -> PlateRead:
    read = a_read(plate=plate)
    moment = replace(read.settled, utc=when)
    fix = None if place is None else Fix(when, place[0], place[1], 1.0, 2.0, 3.0)
    return replace(read, settled=moment, first_seen=moment, fix=fix)


@pytest.mark.parametrize(
    ("query", "plates"),
    [
        (ReadQuery("7ABC123"), ["7ABC123"]),
        (ReadQuery("7abc-123"), ["7ABC123"]),
        (ReadQuery("ABC", anywhere=True), ["7ABC124", "7ABC123"]),
        (ReadQuery("ABC"), []),
        (ReadQuery("7ABC12?"), ["7ABC124", "7ABC123"]),
        (ReadQuery("*23"), ["7ABC123"]),
        (ReadQuery("OI0"), ["O1O"]),
        (ReadQuery("C1", anywhere=True), ["7ABC124", "7ABC123"]),
        (ReadQuery("Z", anywhere=True), []),
        (ReadQuery("%", anywhere=True), ["O1O", "7ABC124", "7ABC123"]),
    ],
)
def test_a_plate_is_found_whole_by_parts_and_through_look_alikes(
    department: Department, unit: Unit, query: ReadQuery, plates: list[str]
) -> None:
    bring(department, unit, a_read(plate="7ABC123"), a_read(plate="7ABC124"), a_read(plate="O1O"))
    assert found(department, query) == plates


def test_a_plate_is_found_with_its_stacked_letters_on_either_side(department: Department, unit: Unit) -> None:
    read = replace(a_read(plate="12345"), prefix=normalise("QX"), prefix_confidence=0.9)
    bring(department, unit, read)
    for typed in ("12345", "QX12345", "12345QX", "QX123??", "X12*"):
        assert found(department, ReadQuery(typed, anywhere="*" in typed)) == ["12345"]


def test_reads_of_all_months_come_newest_first_and_page_by_page(department: Department, unit: Unit) -> None:
    plates = [f"PAGE{number}" for number in range(8)]
    bring(
        department,
        unit,
        *(at(plate, NOW - timedelta(days=25 * number)) for number, plate in enumerate(plates)),
    )
    assert found(department, ReadQuery()) == plates
    assert found(department, ReadQuery(), limit=3, offset=3) == plates[3:6]
    since, until = NOW - timedelta(days=100), NOW - timedelta(days=50)
    assert found(department, ReadQuery(since=since, until=until)) == plates[2:5]


def test_parts_of_plates_are_found_in_all_months_newest_first_and_page_by_page(
    department: Department, unit: Unit
) -> None:
    plates = [f"PART{number}" for number in range(9)]
    times = [
        NOW.replace(year=2060),
        *(NOW - timedelta(days=25 * n) for n in range(7)),
        NOW.replace(year=1980),
    ]
    bring(department, unit, *(at(plate, when) for plate, when in zip(plates, times, strict=True)))
    query = ReadQuery("PART", anywhere=True)
    assert found(department, query) == plates
    assert found(department, query, limit=3, offset=4) == plates[4:7]
    assert found(department, query, limit=5, offset=8) == plates[8:]
    assert found(department, replace(query, since=times[5], until=times[2])) == plates[2:6]
    assert found(department, replace(query, until=times[8])) == plates[8:]


@pytest.mark.parametrize("plate", ["", "TEST123", "TEST*"])
def test_without_pictures_the_same_reads_are_found(department: Department, unit: Unit, plate: str) -> None:
    bring(department, unit, at("TEST123", NOW), at("TEST124", NOW - timedelta(days=40)))
    with reading(department.engine) as connection:
        with_them = find_reads(connection, ReadQuery(plate), 10, 0)
        without = find_reads(connection, ReadQuery(plate), 10, 0, pictures=False)
    assert all(read.evidence for read in with_them)
    assert without == [replace(read, evidence=b"") for read in with_them]


def test_reads_at_the_very_edges_of_a_month_are_found_once(department: Department, unit: Unit) -> None:
    edge, moment = datetime(2026, 2, 1, tzinfo=NOW.tzinfo), timedelta(microseconds=1)
    bring(department, unit, at("EDGE2", edge), at("EDGE1", edge - moment), at("EDGE3", edge + moment))
    assert found(department, ReadQuery("EDGE?")) == ["EDGE3", "EDGE2", "EDGE1"]
    assert found(department, ReadQuery("EDGE?", since=edge)) == ["EDGE3", "EDGE2"]
    assert found(department, ReadQuery("EDGE?", until=edge)) == ["EDGE2", "EDGE1"]


def test_a_read_of_no_sensible_time_is_found_too(department: Department, unit: Unit) -> None:
    bring(department, unit, at("PAST", NOW.replace(year=1980)), at("FUTURE", NOW.replace(year=2060)))
    assert found(department, ReadQuery()) == ["FUTURE", "PAST"]
    with reading(department.engine) as connection:
        shown = find_reads(connection, ReadQuery("PAST"), 1, 0)[0]
        assert get_read(connection, shown.read_id) == shown and shown.evidence


def test_a_place_is_a_square_and_reads_without_one_are_in_none(department: Department, unit: Unit) -> None:
    here, there = (34.05, -118.24), (34.06, -118.24)
    bring(department, unit, at("HERE", NOW, here), at("THERE", NOW, there), at("NOWHERE", NOW))
    assert found(department, ReadQuery(place=Place(*here, 500.0))) == ["HERE"]
    assert sorted(found(department, ReadQuery(place=Place(*here, 5000.0)))) == ["HERE", "THERE"]


def test_unit_camera_and_hits_narrow(department: Department, unit: Unit, tmp_path: Path) -> None:
    other = a_unit(department, tmp_path / "other", "unit-08")
    bring(department, unit, a_read(plate="HIT0001"), replace(a_read(plate="REAR"), camera="rear"))
    bring(department, other, a_read(plate="OTHER"))
    assert found(department, ReadQuery(hits_only=True)) == ["HIT0001"]
    assert found(department, ReadQuery(unit_id="unit-08")) == ["OTHER"]
    assert found(department, ReadQuery(camera="rear")) == ["REAR"]


def test_a_read_is_given_with_picture_hits_and_what_corrects_it(department: Department, unit: Unit) -> None:
    first = a_read(plate="HIT0001")
    second = replace(at("HIT0002", first.settled.utc + timedelta(days=40)), revises=first.read_id)
    bring(department, unit, first, second)
    with reading(department.engine) as connection:
        stored = get_read(connection, first.read_id)
        assert get_read(connection, "nobody's") is None
    assert stored is not None
    assert (stored.evidence, stored.revised_by, len(stored.hits)) == (first.evidence, second.read_id, 1)


@given(st.text(max_size=12), st.booleans())
def test_nothing_typed_becomes_a_pattern_of_other_signs(typed: str, anywhere: bool) -> None:
    pattern = plate_pattern(ReadQuery(typed, anywhere))
    assert set(pattern) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_%")
