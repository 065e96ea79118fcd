"""A hold keeps what the person who placed it means: no spelling, clock or correction lets a read pass."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from camera.fix import Fix
from camera.frame import TimeQuality
from recognizer.read import PlateRead
from server.access import Purpose, Role
from server.actors import Actor
from server.audit import Deed, append
from server.canvass import CanvassQuestion, Scene
from server.cli import app
from server.database import reading, writing
from server.department import Department
from server.errors import RetentionRefusedError
from server.holds import HoldKind, all_holds, counted, kept_by, place, refresh, shown_under
from server.inquiries import canvassed
from server.records import Place
from server.retention_plan import plan
from server.tables import audit, legal_hold_reads
from tests.databases import Database
from tests.departments import NOW, a_unit
from tests.retention import ANNE, DAY, HOUR, MINUTE, RULES, Held

HELD_DAY = NOW - 400 * DAY
SPAN = {"since": (HELD_DAY - DAY).isoformat(), "until": (HELD_DAY + DAY).isoformat()}
DEAD_CLOCK = datetime(1980, 1, 6, tzinfo=UTC)


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def held(department: Department, tmp_path: Path) -> Held:
    return Held(department, a_unit(department, tmp_path / "unit"))


def shown(held: Held, case_number: str, *ids: str) -> None:
    with writing(held.engine) as connection:
        append(connection, Deed("reyes", "reads.search", case_number=case_number, detail={"shown": ids}), NOW)


@pytest.mark.parametrize("named", ["8AAA001", "8AAA002", "8AAA003", "8AAA004"])
@pytest.mark.parametrize("by", [HoldKind.PLATE, HoldKind.READS])
def test_hold_on_one_read_keeps_all_that_correct_it_and_that_it_corrects(
    held: Held, named: str, by: HoldKind
) -> None:
    chain = [
        held.read("8AAA001"),
        held.read("8AAA002", days=399, revises="read-1"),
        held.read("8AAA003", days=398, revises="read-2"),
        held.read("8AAA004", days=397, revises="read-1"),
    ]
    other = held.read("9ZZZ999"), held.read("9ZZZ998", revises="read-5")
    held.store(*chain, *other)
    read = next(each for each in chain if each.plate == named)
    number = held.hold(by, **({"plate": named} if by is HoldKind.PLATE else {"ids": [read.read_id]}))
    assert kept_by(held.engine) == {number: 4}
    found = plan(held.engine, RULES, NOW)
    assert (found.others, found.held) == (2, 4)
    held.purge()
    assert held.ids() == {each.read_id for each in chain}


def test_another_units_claim_to_correct_a_held_read_is_not_held_by_it(
    held: Held, department: Department, tmp_path: Path
) -> None:
    other = Held(department, a_unit(department, tmp_path / "other", "unit-08"))
    held.store(held.read("7ABC123"))
    other.store(replace(other.read("8XYZ987", revises="read-1"), read_id="foreign"))
    number = held.hold(HoldKind.PLATE, plate="7ABC123")
    assert kept_by(held.engine) == {number: 1}
    held.purge()
    assert held.ids() == {"read-1"}


def test_reads_that_correct_each_other_in_a_ring_are_held_and_purged_in_finite_time(held: Held) -> None:
    for plate in ("7ABC123", "8XYZ987"):
        first = held.read(plate)
        second = held.read("9ZZZ999", revises=first.read_id)
        held.store(replace(first, revises=second.read_id), second)
    number = held.hold(HoldKind.PLATE, plate="7ABC123")
    assert kept_by(held.engine) == {number: 2}
    held.purge()
    assert held.ids() == {"read-1", "read-2"}


@pytest.mark.parametrize(
    ("made", "came_in", "kept"),
    [
        (DEAD_CLOCK, HELD_DAY, True),
        (DEAD_CLOCK, HELD_DAY + 2 * DAY, False),
        (HELD_DAY, HELD_DAY + 2 * DAY, True),
    ],
)
@pytest.mark.parametrize("unit", ["", "unit-07", " unit-07 "])
def test_hold_on_a_time_keeps_what_a_unit_with_a_dead_clock_handed_in_then(
    held: Held, made: datetime, came_in: datetime, kept: bool, unit: str
) -> None:
    held.store(held.made_at(made, TimeQuality.UNSYNCHRONISED), at=came_in)
    held.store(held.read(days=390))
    number = held.hold(HoldKind.TIME, **SPAN, unit=unit)
    assert kept_by(held.engine) == {number: int(kept)}
    held.purge()
    assert held.ids() == ({"read-1"} if kept else set())


@pytest.mark.parametrize("made", [HELD_DAY - 60 * DAY, HELD_DAY + 5 * DAY])
def test_hold_on_a_time_goes_by_the_arrival_where_a_sure_clock_cannot_be_right(
    held: Held, made: datetime
) -> None:
    held.store(held.made_at(made), at=HELD_DAY)
    number = held.hold(HoldKind.TIME, **SPAN)
    assert kept_by(held.engine) == {number: 1}


def test_hold_on_a_time_leaves_sure_reads_that_only_came_in_then_and_other_units(
    held: Held, department: Department, tmp_path: Path
) -> None:
    held.store(held.made_at(HELD_DAY - 5 * DAY), at=HELD_DAY)
    held.store(held.made_at(DEAD_CLOCK, TimeQuality.UNSYNCHRONISED), at=HELD_DAY)
    a_unit(department, tmp_path / "other", "unit-08")
    held.hold(HoldKind.TIME, **SPAN, unit="unit-08")
    assert kept_by(held.engine) == {1: 0}
    held.hold(HoldKind.TIME, **SPAN)
    assert kept_by(held.engine) == {1: 0, 2: 1}


@pytest.mark.parametrize("said", ["P26-0042", "p26-0042", " P26-0042 "])
@pytest.mark.parametrize("logged", ["P26-0042", "p26-0042", "P26-0042 "])
def test_hold_on_a_case_keeps_what_was_shown_or_made_for_it_however_its_number_is_typed(
    held: Held, said: str, logged: str
) -> None:
    held.store(held.read(), held.read(), held.read())
    shown(held, logged, "read-2")
    shown(held, "P26-00421", "read-3")
    made = held.read()
    held.intake.take(held.unit.peer, held.unit.batch([made], incident=logged.strip()), HELD_DAY + HOUR)
    number = place(
        held.engine,
        HoldKind.CASE,
        {"case_number": said},
        authority="Court 1",
        case_number=said,
        actor=ANNE,
        now=NOW,
    )
    assert kept_by(held.engine) == {number: 2}
    assert all_holds(held.engine)[0].case_number == said.strip()
    with reading(held.engine) as connection:
        assert shown_under(connection, said) == ["read-2"]
        newest = connection.execute(select(audit).order_by(audit.c.sequence.desc())).first()
    assert newest is not None
    assert (newest.case_number, json.loads(newest.detail)["case_number"]) == (said.strip(), said.strip())
    held.purge()
    assert held.ids() == {"read-2", "read-4"}


def at_the_scene(held: Held, minutes: int, plate: str = "7ABC123", latitude_deg: float = 34.0) -> PlateRead:
    when = HELD_DAY + minutes * MINUTE
    return replace(held.made_at(when, plate=plate), fix=Fix(when, latitude_deg, -118.0, 5.0))


@pytest.mark.parametrize("kind", ["", "csv"])
def test_hold_on_a_case_keeps_all_reads_that_a_canvass_counted_of_the_plates_it_showed(
    held: Held, kind: str
) -> None:
    passed = [at_the_scene(held, minutes) for minutes in (0, 3, 6)]
    elsewhere = at_the_scene(held, 4, latitude_deg=35.0)
    later = at_the_scene(held, 300)
    unseen = at_the_scene(held, 5, "8XYZ987", 34.1)
    held.store(*passed, elsewhere, later, unseen)
    scene = Scene(Place(34.0, -118.0, 500.0), HELD_DAY - HOUR, HELD_DAY + HOUR)
    actor = Actor("reyes", Role.OFFICER, "1", Purpose("canvass", "26-0042"))
    found = canvassed(held.engine, CanvassQuestion((scene,), 1), actor, NOW, kind)
    assert found.plates[0].reads == 3 and len(found.read_ids) == 1
    number = held.hold(HoldKind.CASE, case_number="26-0042")
    for _ in range(2):
        assert kept_by(held.engine) == {number: 3}
    held.purge()
    assert held.ids() == {each.read_id for each in passed}


def test_a_canvass_is_counted_once_and_one_asked_later_is_held_too(held: Held) -> None:
    held.store(at_the_scene(held, 0), at_the_scene(held, 3))
    number = held.hold(HoldKind.CASE, case_number="26-0042")
    assert kept_by(held.engine) == {number: 0}
    scene = Scene(Place(34.0, -118.0, 500.0), HELD_DAY - HOUR, HELD_DAY + HOUR)
    actor = Actor("reyes", Role.OFFICER, "1", Purpose("canvass", "26-0042"))
    canvassed(held.engine, CanvassQuestion((scene,), 1), actor, NOW)
    assert kept_by(held.engine) == {number: 2}
    held.store(at_the_scene(held, 5))  # came in after the question: nobody was told of it
    with writing(held.engine) as connection:
        refresh(connection)
        assert len(connection.execute(select(legal_hold_reads)).all()) == 3
    assert kept_by(held.engine) == {number: 2}


@pytest.mark.parametrize("ids", [["read-1,read-2"], ["read-1 , read-2\n"], ["read-1", "read-2", "read-1,"]])
def test_ids_with_commas_or_blanks_between_are_several_reads(held: Held, ids: list[str]) -> None:
    held.store(held.read(), held.read(), held.read())
    number = held.hold(HoldKind.READS, ids=ids)
    assert kept_by(held.engine) == {number: 2}
    assert all_holds(held.engine)[0].subject == {"ids": ["read-1", "read-2"]}


@pytest.mark.parametrize(
    ("kind", "subject", "why"),
    [
        (HoldKind.READS, {"ids": ["read-1", "read-9,read-8"]}, "no read is held under read-8, read-9: "),
        (HoldKind.READS, {"ids": [" , "]}, "names 1 to 500"),
        (HoldKind.TIME, {**SPAN, "unit": "Unit-07"}, "no unit Unit-07"),
        (HoldKind.PLATE, {"plate": "7\u0410BC123"}, "not CYRILLIC CAPITAL LETTER A"),
        (HoldKind.PLATE, {"plate": "7ABC12_"}, "not LOW LINE"),
        (HoldKind.PLATE, {"plate": "7AB%;"}, "not PERCENT SIGN, SEMICOLON"),
    ],
)
def test_hold_that_would_name_something_else_is_refused_in_one_line_that_says_what(
    held: Held, kind: HoldKind, subject: dict[str, Any], why: str
) -> None:
    held.store(held.read())
    with pytest.raises(RetentionRefusedError) as refused:
        held.hold(kind, **subject)
    assert why in str(refused.value) and "\n" not in str(refused.value)
    assert all_holds(held.engine) == []


@pytest.mark.parametrize("plate", ["7ab*", "?ABC123", " 7ABC-123", "7ABC 123", "7*3"])
def test_partial_plates_and_plates_as_they_are_written_are_held(held: Held, plate: str) -> None:
    held.store(held.read("7ABC123"))
    number = held.hold(HoldKind.PLATE, plate=plate)
    assert kept_by(held.engine) == {number: 1}


def test_hold_of_before_plates_were_checked_still_keeps_what_it_named(held: Held) -> None:
    held.store(held.read("7ABC123"))
    held.hold(HoldKind.PLATE, plate="8XYZ987")
    with writing(held.engine) as connection:
        # As an older version wrote it.
        connection.exec_driver_sql("""UPDATE legal_holds SET subject = '{"plate": "7ABC_123"}'""")
    assert kept_by(held.engine) == {1: 1}
    assert plan(held.engine, RULES, NOW).held == 1


def test_command_says_how_many_reads_a_new_hold_keeps(
    held: Held, department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.store(*(held.read("7ABC123") for _ in range(3)))

    def run(*arguments: str) -> str:
        order = ["--authority", "Court 1", "--case", " 26-1 ", "--department", str(department.folder.root)]
        result = CliRunner().invoke(app, ["hold", "place", *arguments, *order])
        return result.output if result.exception is None else str(result.exception)

    assert run("plate", "--plate", "7ABC123") == "hold 1 is in force\nit keeps now: 3 reads\n"
    nothing = "hold 2 is in force\nit keeps now: 0 reads: is that what you meant?\n"
    assert run("plate", "--plate", "8XYZ987") == nothing
    assert run("reads", "--read", "read-1,read-2") == "hold 3 is in force\nit keeps now: 2 reads\n"
    monkeypatch.setattr("server.holds.MOST_COUNTED", 2)
    assert run("plate", "--plate", "7ABC123") == "hold 4 is in force\nit keeps now: more than 2 reads\n"
    assert "no read is held under read-9" in run("reads", "--read", "read-9")
    assert "no unit Unit-07" in run(
        "time", "--since", "2026-01-01T00:00", "--until", "2026-01-02T00:00", "--unit", "Unit-07"
    )
    assert {hold.case_number for hold in all_holds(held.engine)} == {"26-1"}


def test_count_above_the_most_is_told_as_more() -> None:
    assert [counted(count) for count in (0, 1, 10_000, 10_001)] == [
        "0 reads",
        "1 read",
        "10,000 reads",
        "more than 10,000 reads",
    ]
