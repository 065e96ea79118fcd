"""Reads are destroyed by rule, by two persons, with a certificate; and what a legal hold names never is."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from camera.fix import Fix
from camera.frame import TimeQuality
from server.access import Role
from server.actors import Actor
from server.audit import Deed, append
from server.cli import app
from server.database import reading, writing
from server.department import Department
from server.errors import RetentionRefusedError, SettingsInvalidError
from server.holds import HoldKind, all_holds, lift
from server.purge_book import all_purges, verify_certificate
from server.retention import approve, ask, carry_out, step, withdraw
from server.retention_plan import plan
from server.retention_rules import approve_rule, propose
from server.retention_values import Proposal
from server.settings import read_settings
from server.tables import legal_holds, purges
from tests.databases import Database
from tests.departments import NOW, a_unit, audited
from tests.hotlists import a_read
from tests.retention import ANNE, BERT, DAY, HOUR, RULES, Held


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def held(department: Department, tmp_path: Path) -> Held:
    return Held(department, a_unit(department, tmp_path / "unit"))


def test_old_reads_go_with_their_pictures_and_young_ones_and_hits_stay(held: Held) -> None:
    held.store(*(held.read(days=366 + number) for number in range(5)), held.read(days=364))
    held.store(held.read(days=1000), hit=True)
    held.store(held.read(days=1900), hit=True)
    found = plan(held.engine, RULES, NOW)
    assert (found.others, found.hits, found.held, found.oldest) == (5, 1, 0, NOW - 1900 * DAY)
    number = held.purge()
    assert held.ids() == {"read-6", "read-7"}
    assert held.traces() == held.ids()
    [purge] = all_purges(held.engine)
    assert (purge.purge_id, purge.state, purge.others, purge.hits) == (number, "done", 5, 1)


def test_certificate_is_signed_and_says_what_went(held: Held) -> None:
    held.store(held.read(), held.read())
    held.purge()
    text = all_purges(held.engine)[0].certificate
    key = held.department.keys.receipt.public_key()
    said = verify_certificate(text, key)
    assert (said["destroyed_reads"], said["asked_by"], said["approved_by"]) == (2, ANNE.name, BERT.name)
    assert said["reference"] == "Resolution 7" and len(said["sha256_chain"]) == 64
    assert "7ABC123" not in text
    altered = json.loads(text)
    altered["statement"]["destroyed_reads"] = 3
    with pytest.raises(RetentionRefusedError, match="altered"):
        verify_certificate(json.dumps(altered), key)
    for rubbish in ("", "[]", "{}", '{"statement": {}, "signature": "zz"}'):
        with pytest.raises(RetentionRefusedError):
            verify_certificate(rubbish, key)


def test_interrupted_purge_goes_on_and_its_chain_is_that_of_one_that_was_not(
    held: Held, tmp_path: Path, department: Department
) -> None:
    made = [held.read(days=400 + number) for number in range(5)]
    held.store(*made)
    number, _ = ask(held.engine, RULES, reference="R", actor=ANNE, now=NOW)
    approve(held.engine, number, actor=BERT, now=NOW)
    assert step(held.engine, number, department.keys.receipt, NOW, most=3) == 3
    assert all_purges(held.engine)[0].state == "running"
    while step(held.engine, number, department.keys.receipt, NOW + HOUR, most=1):
        pass
    chain = json.loads(all_purges(held.engine)[0].certificate)["statement"]["sha256_chain"]
    held.store(*made)  # as if they had never gone
    again = held.purge()
    assert json.loads(all_purges(held.engine)[0].certificate)["statement"]["sha256_chain"] == chain
    assert again > number


def test_reads_of_one_moment_all_go_in_steps_smaller_than_they_are(held: Held) -> None:
    held.store(*(held.read(days=400) for _ in range(5)), held.read(days=300))
    held.purge()
    assert held.ids() == held.traces() == {"read-6"}


def test_purge_leaves_others_as_much_time_as_it_takes_and_can_be_stopped(
    held: Held, department: Department
) -> None:
    held.store(*(held.read() for _ in range(3)))
    number, _ = ask(held.engine, RULES, reference="R", actor=ANNE, now=NOW)
    approve(held.engine, number, actor=BERT, now=NOW)
    ticks = iter(NOW + timedelta(seconds=second) for second in range(100))
    waited: list[float] = []
    key = department.keys.receipt
    assert carry_out(held.engine, number, key, lambda: NOW, wait=waited.append, stopped=lambda: True) == 0
    assert carry_out(held.engine, number, key, lambda: next(ticks), wait=waited.append) == 3
    assert waited == [1.0]
    assert all_purges(held.engine)[0].state == "done"


def test_read_that_is_corrected_and_its_correction_are_kept_as_the_hit_they_belong_to(held: Held) -> None:
    first = held.read("7ABC128")
    second = held.read("7ABC123", revises=first.read_id)
    held.store(first)
    held.store(second, hit=True)
    third = held.read("8XYZ987")
    fourth = held.read("8XYZ98Z", revises=third.read_id)
    held.store(third, hit=True)
    held.store(fourth)
    assert plan(held.engine, RULES, NOW).others == 0


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (HoldKind.PLATE, {"plate": "7ABC123"}),
        (HoldKind.PLATE, {"plate": "7AB*"}),
        (HoldKind.PLATE, {"plate": "?ABC123"}),
        (HoldKind.PLATE, {"plate": "xq7abc123"}),
        (HoldKind.READS, {"ids": ["read-1"]}),
        (HoldKind.PLACE, {"latitude_deg": 37.0, "longitude_deg": -122.0, "radius_m": 200.0}),
        (HoldKind.CASE, {"case_number": "26-77"}),
        (
            HoldKind.TIME,
            {
                "since": (NOW - 401 * DAY).isoformat(),
                "until": (NOW - 399 * DAY).isoformat(),
                "unit": "unit-07",
            },
        ),
    ],
)
def test_what_a_hold_names_stays_and_all_else_goes(
    held: Held, kind: HoldKind, subject: dict[str, Any]
) -> None:
    fix = Fix(NOW - 400 * DAY, 37.001, -122.001, 5.0)
    held.store(held.read("7ABC123", prefix="XQ", fix=fix), held.read("8XYZ987", days=500))
    with writing(held.engine) as connection:
        deed = Deed("chief", "reads.search", case_number="26-77", detail={"shown": ["read-1"]})
        append(connection, deed, NOW)
    held.hold(kind, **subject)
    found = plan(held.engine, RULES, NOW)
    assert (found.others, found.held) == (1, 1)
    number = held.purge()
    assert held.ids() == {"read-1"}
    assert json.loads(all_purges(held.engine)[0].certificate)["statement"]["kept_by_legal_holds"] == 1
    assert number


def test_hold_that_is_placed_while_a_purge_runs_keeps_what_is_left(held: Held) -> None:
    held.store(*(held.read("7ABC123", days=400 + number) for number in range(4)))
    number, _ = ask(held.engine, RULES, reference="R", actor=ANNE, now=NOW)
    approve(held.engine, number, actor=BERT, now=NOW)
    step(held.engine, number, held.department.keys.receipt, NOW, most=1)
    held.hold(HoldKind.PLATE, plate="7ABC123")
    assert step(held.engine, number, held.department.keys.receipt, NOW) == 0
    assert len(held.ids()) == 3


def test_hold_keeps_what_comes_in_later_and_nothing_once_another_person_lifted_it(held: Held) -> None:
    number = held.hold(HoldKind.PLATE, plate="7ABC123")
    held.store(held.read("7ABC123"))
    assert plan(held.engine, RULES, NOW).held == 1
    for actor in (ANNE, Actor("anne", Role.ADMIN), Actor("console:Anne")):
        with pytest.raises(RetentionRefusedError, match="another person"):
            lift(held.engine, number, reason="over", actor=actor, now=NOW)
    with pytest.raises(RetentionRefusedError, match="reason"):
        lift(held.engine, number, reason=" ", actor=BERT, now=NOW)
    lift(held.engine, number, reason="case closed, letter of 1 March", actor=BERT, now=NOW)
    assert plan(held.engine, RULES, NOW).held == 0
    [hold] = all_holds(held.engine)
    assert (hold.lifted_by, hold.lift_reason) == (BERT.name, "case closed, letter of 1 March")
    with pytest.raises(RetentionRefusedError, match="not in force"):
        lift(held.engine, number, reason="again", actor=BERT, now=NOW)
    assert [each for each in audited(held.department) if each[1].startswith("hold.")] == [
        (ANNE.name, "hold.place", "success"),
        (ANNE.name, "hold.lift", "refused"),
        ("anne", "hold.lift", "refused"),
        ("console:Anne", "hold.lift", "refused"),
        (BERT.name, "hold.lift", "success"),
        (BERT.name, "hold.lift", "refused"),
    ]


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (HoldKind.PLATE, {"plate": ""}),
        (HoldKind.PLATE, {"plate": "*"}),
        (HoldKind.PLATE, {"plate": "7*"}),
        (HoldKind.PLATE, {}),
        (HoldKind.PLACE, {"latitude_deg": None, "longitude_deg": 0, "radius_m": 5}),
        (HoldKind.PLACE, {"latitude_deg": 91, "longitude_deg": 0, "radius_m": 5}),
        (HoldKind.PLACE, {"latitude_deg": 0, "longitude_deg": 0, "radius_m": 1e9}),
        (HoldKind.TIME, {"since": "2026-01-02", "until": "2026-01-01"}),
        (HoldKind.TIME, {"since": "2026-01-01T00:00:00", "until": "2026-01-02T00:00:00"}),
        (HoldKind.READS, {"ids": []}),
        (HoldKind.CASE, {"case_number": " "}),
    ],
)
def test_hold_that_names_nothing_is_refused(held: Held, kind: HoldKind, subject: dict[str, Any]) -> None:
    with pytest.raises(RetentionRefusedError):
        held.hold(kind, **subject)
    assert all_holds(held.engine) == []


def test_purge_needs_a_reference_something_to_destroy_and_another_person(held: Held) -> None:
    with pytest.raises(RetentionRefusedError, match="nothing is old enough"):
        ask(held.engine, RULES, reference="R", actor=ANNE, now=NOW)
    held.store(held.read())
    with pytest.raises(RetentionRefusedError, match="written approval"):
        ask(held.engine, RULES, reference="  ", actor=ANNE, now=NOW)
    number, _ = ask(held.engine, RULES, reference="R", actor=ANNE, now=NOW)
    with pytest.raises(RetentionRefusedError, match="is asked"):
        ask(held.engine, RULES, reference="R", actor=BERT, now=NOW)
    with pytest.raises(RetentionRefusedError, match="not under way"):
        step(held.engine, number, held.department.keys.receipt, NOW)
    with pytest.raises(RetentionRefusedError, match="another person"):
        approve(held.engine, number, actor=Actor("anne"), now=NOW)
    assert held.ids() == {"read-1"}
    withdraw(held.engine, number, actor=BERT, now=NOW)
    with pytest.raises(RetentionRefusedError, match="no purge waits"):
        approve(held.engine, number, actor=BERT, now=NOW)


def test_what_is_approved_is_what_was_asked_for_not_what_is_older_by_then(held: Held) -> None:
    held.store(held.read(days=366), held.read(days=364))
    number, _ = ask(held.engine, RULES, reference="R", actor=ANNE, now=NOW)
    approve(held.engine, number, actor=BERT, now=NOW + 30 * DAY)
    while step(held.engine, number, held.department.keys.receipt, NOW + 30 * DAY):
        pass
    assert held.ids() == {"read-2"}


@pytest.mark.parametrize("table", [legal_holds, purges])
def test_record_of_a_hold_or_purge_cannot_be_deleted(held: Held, table: Any) -> None:
    held.store(held.read())
    held.hold(HoldKind.PLATE, plate="8XYZ987")
    held.purge()
    with pytest.raises(DBAPIError, match="never deleted"), writing(held.engine) as connection:
        connection.execute(delete(table))
    with reading(held.engine) as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar() == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[retention]\nother_reads_days = 364\n", "less than floor_days"),
        ("[retention]\nhits_days = 30\n", "less than floor_days"),
        ("[retention]\nfloor_days = 1\nother_reads_days = 1\n", "name the law"),
        ('[retention]\nfloor_days = 1\nfloor_basis = "California Gov Code 34 090"\n', "name the law"),
    ],
)
def test_rules_below_the_floor_are_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "server.toml").write_text(text)
    with pytest.raises(SettingsInvalidError, match=why):
        read_settings(tmp_path / "server.toml")


def test_a_purge_that_a_newer_rule_would_not_allow_is_not_approved(held: Held) -> None:
    held.store(held.read(days=400))
    number, _ = ask(held.engine, RULES, reference="R", actor=ANNE, now=NOW)
    longer = Proposal(timedelta(days=730), timedelta(days=3650), "Resolution 9")
    approve_rule(held.engine, propose(held.engine, longer, actor=ANNE, now=NOW), actor=BERT, now=NOW)
    with pytest.raises(RetentionRefusedError, match="in force by now"):
        approve(held.engine, number, actor=BERT, now=NOW)
    withdraw(held.engine, number, actor=BERT, now=NOW)


def test_what_a_unit_with_a_wrong_clock_made_lately_is_kept(held: Held) -> None:
    dead = held.made_at(NOW - timedelta(days=9000), TimeQuality.UNSYNCHRONISED)
    held.store(dead, at=NOW)
    old = held.read(days=400)
    held.store(old)
    assert plan(held.engine, RULES, NOW).others == 1
    assert plan(held.engine, RULES, NOW + timedelta(days=366)).others == 2


def test_another_states_ceiling_can_be_set_by_naming_its_law(tmp_path: Path) -> None:
    text = '[retention]\nfloor_days = 1\nfloor_basis = "29-A M.R.S. 2117-A"\nother_reads_days = 21\n'
    (tmp_path / "server.toml").write_text(text)
    assert read_settings(tmp_path / "server.toml").retention.other_reads_days == 21


def test_commands_go_through_two_persons(
    held: Held, monkeypatch: pytest.MonkeyPatch, department: Department
) -> None:
    old = a_read("7ABC123", utc=datetime.now(UTC) - 400 * DAY)
    held.store(replace(old, read_id="old"))
    folder = ["--department", str(department.folder.root)]

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*arguments, *folder])
        return result.exit_code, result.output if result.exception is None else str(result.exception)

    assert "would go: 1 reads" in run("retention", "plan")[1]
    placed = run("hold", "place", "plate", "--plate", "7ABC123", "--authority", "Court 1", "--case", "26-1")
    assert placed == (0, "hold 1 is in force\nit keeps now: 1 read\n")
    assert "kept by legal holds: 1" in run("retention", "plan")[1]
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "brandt")  # anybody's to set: it makes no second person
    assert "another person" in run("hold", "lift", "1", "--reason", "x")[1]
    monkeypatch.setattr("server.retention_commands.console_person", lambda: BERT.name)
    assert run("hold", "lift", "1", "--reason", "letter")[0] == 0
    assert "IN FORCE" not in run("hold", "list")[1]
    assert run("retention", "ask", "--approval", "Resolution 7")[0] == 0
    assert "another person" in run("retention", "approve", "1")[1]
    monkeypatch.setattr("server.retention_commands.console_person", lambda: ANNE.name)
    assert "1 reads destroyed" in run("retention", "approve", "1")[1]
    assert "sha256_chain" in run("retention", "certificate", "1")[1]
    assert "1: done, 1 reads" in run("retention", "list")[1]
    assert held.ids() == set()
