"""Canvass, convoy and incident: who passed, alike in both databases."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera.fix import Fix
from recognizer.read import PlateRead
from server import canvass as canvass_module
from server import convoy as convoy_module
from server.canvass import Canvassed, CanvassQuestion, Scene, canvass
from server.convoy import Convoyed, ConvoyQuestion, convoy, poisson_tail
from server.database import reading
from server.department import Department
from server.ground import metres_between
from server.intake import Intake
from server.records import Place, ReadQuery, find_reads
from tests.databases import Database
from tests.departments import NOW, Unit, a_unit
from tests.fakes import a_read
from tests.test_server_alike import vote

BANK, SHOP, PIER = (37.0, -122.0), (37.2, -122.2), (37.4, -122.4)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    return a_unit(department, tmp_path / "unit")


def at(
    plate: str, when: datetime, place: tuple[float, float] | None = BANK, camera: str = "front"
) -> PlateRead:
    read = a_read(plate=plate)
    moment = replace(read.settled, utc=when)
    fix = None if place is None else Fix(when, *place, accuracy_m=4.0)
    return replace(read, settled=moment, first_seen=moment, fix=fix, camera=camera)


def bring(department: Department, unit: Unit, *brought: PlateRead) -> None:
    Intake(department.engine, department.keys, department.folder.quarantine).take(
        unit.peer, unit.batch(brought, ()), NOW
    )


def scene(place: tuple[float, float], ago: timedelta, radius_m: float = 200.0) -> Scene:
    return Scene(Place(*place, radius_m), NOW - ago - HOUR / 2, NOW - ago + HOUR / 2)


def canvassed(department: Department, *scenes: Scene, least: int = 1) -> Canvassed:
    with reading(department.engine) as connection:
        return canvass(connection, CanvassQuestion(scenes, least))


def convoyed(department: Department, plate: str = "7ABC123", **changes: object) -> Convoyed:
    usual = {"since": NOW - 30 * HOUR, "until": NOW}
    with reading(department.engine) as connection:
        return convoy(connection, ConvoyQuestion(plate, **usual | changes))  # type: ignore[arg-type]


SCENES = (scene(BANK, 5 * HOUR), scene(SHOP, 30 * HOUR), scene(PIER, 60 * HOUR))


def test_plates_at_enough_scenes_are_told_and_no_others(department: Department, unit: Unit) -> None:
    bring(
        department,
        unit,
        *(
            at("7ABC123", NOW - ago, place)
            for place, ago in ((BANK, 5 * HOUR), (SHOP, 30 * HOUR), (PIER, 60 * HOUR))
        ),
        *(
            at("8XYZ987", NOW - ago, place)
            for place, ago in ((BANK, 5 * HOUR), (SHOP, 30 * HOUR), (PIER, 5 * HOUR))
        ),
        *(at("6DEF456", NOW - 5 * HOUR + n * MINUTE) for n in range(4)),
    )
    told = {
        n: [(p.plate, len(p.scenes)) for p in canvassed(department, *SCENES, least=n).plates]
        for n in (1, 2, 3)
    }
    assert told[3] == [("7ABC123", 3)]
    assert told[2] == [("7ABC123", 3), ("8XYZ987", 2)]
    assert told[1] == [("7ABC123", 3), ("8XYZ987", 2), ("6DEF456", 1)]


def test_a_plate_is_told_with_count_times_cameras_and_how_often_it_is_read_at_all(
    department: Department, unit: Unit
) -> None:
    first = NOW - 5 * HOUR
    bring(
        department,
        unit,
        at("7ABC123", first),
        at("7ABC123", first + 3 * MINUTE, camera="rear"),
        *(at("7ABC123", NOW - n * 100 * HOUR, None) for n in range(1, 4)),
    )
    (plate,) = canvassed(department, SCENES[0]).plates
    there = plate.scenes[1]
    assert (plate.overall, there.reads, there.first, there.last) == (5, 2, first, first + 3 * MINUTE)
    assert there.cameras == ("unit-07 front", "unit-07 rear")
    assert not there.clock_unsure and plate.states == ("US-CA",)


def test_what_lies_in_the_square_and_not_in_the_circle_did_not_pass(
    department: Department, unit: Unit
) -> None:
    corner = (BANK[0] + 0.0017, BANK[1] + 0.0021)
    assert 200 < metres_between(*BANK, *corner) < 283
    bring(department, unit, at("7ABC123", NOW - 5 * HOUR, corner), at("8XYZ987", NOW - 5 * HOUR))
    assert [p.plate for p in canvassed(department, SCENES[0]).plates] == ["8XYZ987"]


def test_a_corrected_read_did_not_pass_besides_its_correction(department: Department, unit: Unit) -> None:
    wrong = at("7ABC128", NOW - 5 * HOUR)
    right = replace(at("7ABC123", NOW - 5 * HOUR), revises=wrong.read_id)
    bring(department, unit, wrong, right)
    assert [p.plate for p in canvassed(department, SCENES[0]).plates] == ["7ABC123"]


def test_what_is_left_out_of_a_canvass_is_said(
    department: Department, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(department, unit, *(at(f"PASS{n}", NOW - 5 * HOUR + n * MINUTE) for n in range(6)))
    assert canvassed(department, SCENES[0]).complete
    monkeypatch.setattr(canvass_module, "MOST_PLATES", 2)
    few = canvassed(department, SCENES[0])
    assert (len(few.plates), few.found, few.complete) == (2, 6, False)
    monkeypatch.setattr(canvass_module, "MOST_READS", 4)
    cut = canvassed(department, SCENES[0])
    assert (cut.cut, cut.found, cut.complete) == ((1,), 4, False)


@pytest.mark.parametrize(
    ("scenes", "least"),
    [
        ((), 1),
        (SCENES[:1] * 6, 1),
        (SCENES, 4),
        (SCENES, 0),
        ((scene(BANK, HOUR, 5001.0),), 1),
        ((scene(BANK, HOUR, math.nan),), 1),
        ((Scene(Place(*BANK, 200), NOW, NOW),), 1),
        ((Scene(Place(*BANK, 200), NOW - timedelta(days=8), NOW),), 1),
        ((scene((91.0, 0.0), HOUR),), 1),
    ],
)
def test_a_canvass_that_asks_for_too_much_or_nothing_is_refused(
    department: Department, scenes: tuple[Scene, ...], least: int
) -> None:
    with pytest.raises(ValueError, match=r"[Ss]cene"):
        canvassed(department, *scenes, least=least)


def test_companions_are_counted_by_occasion_and_the_usual_ones_shown_as_such(
    department: Department, unit: Unit
) -> None:
    brought = []
    for day in range(4):
        when = NOW - (day * 6 + 1) * HOUR
        brought += [at("7ABC123", when), at("7ABC123", when + MINUTE)]
        if day < 3:
            brought.append(at("8XYZ987", when + timedelta(seconds=20)))
        # One that stands there all the time, and one that comes a minute too late.
        brought += [at("6DEF456", when + n * MINUTE / 6) for n in range(40)]
        brought.append(at("5GHJ321", when + 3 * MINUTE))
    brought += [at(f"FREE{n}", NOW - 20 * HOUR, PIER) for n in range(60)]
    bring(department, unit, *brought)
    found = convoyed(department)
    assert (found.reads, found.occasions, found.complete) == (8, 4, True)
    assert [(each.plate, each.together) for each in found.companions] == [("6DEF456", 4), ("8XYZ987", 3)]
    common, convoying = found.companions
    assert (common.in_span, convoying.in_span, convoying.overall) == (160, 3, 3)
    assert common.common and not convoying.common
    assert convoying.expected < common.expected


def test_another_unit_counts_within_metres_and_the_same_one_anywhere(
    department: Department, unit: Unit, tmp_path: Path
) -> None:
    other = a_unit(department, tmp_path / "other", "unit-08")
    near, far = (BANK[0] + 0.0005, BANK[1]), (BANK[0] + 0.005, BANK[1])
    corner = (BANK[0] + 0.0008, BANK[1] + 0.001)  # in the square of 100 m, not in its circle
    for day in range(2):
        when = NOW - (day * 6 + 1) * HOUR
        bring(department, unit, at("7ABC123", when), at("1AAA111", when, None))
        bring(
            department,
            other,
            at("2BBB222", when, near),
            at("3CCC333", when, far),
            at("4DDD444", when, corner),
        )
    assert {each.plate for each in convoyed(department).companions} == {"1AAA111", "2BBB222"}
    wider = convoyed(department, within_m=600.0)
    assert {each.plate for each in wider.companions} == {"1AAA111", "2BBB222", "3CCC333", "4DDD444"}


def test_a_misread_of_the_plate_is_marked_as_one(department: Department, unit: Unit) -> None:
    for day in range(2):
        when = NOW - (day * 6 + 1) * HOUR
        bring(department, unit, at("7ABC123", when), at("7A8C123", when, camera="rear"), at("9ZZZ999", when))
    alike = {each.plate: each.alike for each in convoyed(department).companions}
    assert alike == {"7A8C123": True, "9ZZZ999": False}


def test_what_is_left_out_of_a_convoy_is_said(
    department: Department, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(3):
        when = NOW - (day * 6 + 1) * HOUR
        bring(department, unit, at("7ABC123", when), *(at(f"WITH{n}", when) for n in range(4)))
    assert convoyed(department).complete
    for name, value in (("MOST_COMPANIONS", 2), ("MOST_PASSINGS", 2), ("MOST_NEAR", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(convoy_module, name, value)
            assert not convoyed(department).complete, name


@pytest.mark.parametrize(
    "changes",
    [
        {"plate": "7AB*"},
        {"plate": "7"},
        {"until": NOW - 30 * HOUR},
        {"since": NOW - timedelta(days=93)},
        {"within_s": 0},
        {"within_s": 601},
        {"within_m": math.nan},
        {"within_m": 2001.0},
        {"least": 1},
    ],
)
def test_a_convoy_that_asks_for_too_much_is_refused(
    department: Department, changes: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"."):
        convoyed(department, **changes)  # type: ignore[arg-type]  # of any field


@given(st.floats(1e-6, 200), st.integers(0, 300))
def test_the_chance_is_a_chance_and_falls_with_the_count(expected: float, times: int) -> None:
    chance = poisson_tail(expected, times)
    assert -1e-9 <= poisson_tail(expected, times + 1) <= chance <= 1 + 1e-9


def test_the_chance_is_that_of_poisson() -> None:
    assert poisson_tail(0.5, 1) == pytest.approx(1 - math.exp(-0.5))
    assert poisson_tail(0.001, 4) == pytest.approx(0.001**4 / 24, rel=0.01)


def test_look_alikes_are_found_likeliest_first(department: Department, unit: Unit) -> None:
    sure, wavered = at("7A8C123", NOW - HOUR), at("7A8C123", NOW - 3 * HOUR)
    wavered = replace(
        wavered, positions=tuple(tuple(map(tuple, each)) for each in json.loads(vote("7A8C123", p2B=0.4)))
    )
    bring(
        department, unit, sure, wavered, at("7ABC123", NOW - 9 * HOUR), at("7AXC123", NOW), at("7ABC12", NOW)
    )
    with reading(department.engine) as connection:
        found = find_reads(connection, ReadQuery("7ABC123", alike=True), 10, 0)
        assert [read.read_id for read in find_reads(connection, ReadQuery("7ABC123", alike=True), 1, 1)] == [
            wavered.read_id
        ]
    assert [read.plate for read in found] == ["7ABC123", "7A8C123", "7A8C123"]
    assert [read.read_id for read in found][1:] == [wavered.read_id, sure.read_id]
    assert all(read.evidence for read in found)
    chances = [read.likeness or 0.0 for read in found]
    assert chances == sorted(chances, reverse=True)


def test_reads_of_an_incident_are_found_by_its_number_alone(department: Department, unit: Unit) -> None:
    bring(department, unit, at("7ABC123", NOW))
    marked = [at("8XYZ987", NOW), at("6DEF456", NOW)]
    Intake(department.engine, department.keys, department.folder.quarantine).take(
        unit.peer, unit.batch(marked, (), incident="26-0042"), NOW
    )
    with reading(department.engine) as connection:
        found = find_reads(connection, ReadQuery(incident="26-0042"), 10, 0)
        assert {(read.plate, read.incident) for read in found} == {
            ("8XYZ987", "26-0042"),
            ("6DEF456", "26-0042"),
        }
        assert find_reads(connection, ReadQuery(incident="26-004"), 10, 0) == []
        assert {read.incident for read in find_reads(connection, ReadQuery("7ABC123"), 10, 0)} == {""}
