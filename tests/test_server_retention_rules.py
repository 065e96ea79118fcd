"""Rules of retention are proposed by one, approved by another, in force from a moment, and never changed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from server.access import Role
from server.actors import Actor
from server.cli import app
from server.database import reading, writing
from server.department import Department
from server.errors import RetentionRefusedError
from server.policy_document import as_markdown, policy_of
from server.retention_profile import PROFILE_PATH, draft_profile
from server.retention_rules import (
    all_rules,
    approve_rule,
    in_force,
    propose,
    refuse_rule,
    rule_in_force,
    stop_automatic,
)
from server.retention_tables import retention_rule_steps, retention_rules
from server.retention_values import Proposal, Said, proposal_of, unit_profile
from sync.profile import decode_profile
from tests.databases import Database
from tests.departments import NOW, audited
from tests.retention import ANNE, BERT, DAY, MINUTE, RULES

YEAR = 365 * DAY
TWO_YEARS = Proposal(2 * YEAR, 6 * YEAR, "Resolution 7")
MAINE = Proposal(21 * DAY, YEAR, "29-A M.R.S. 2117-A", "29-A M.R.S. 2117-A")


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


def others(department: Department, days: float = 0) -> timedelta:
    with reading(department.engine) as connection:
        return in_force(connection, department.settings.retention, NOW + days * DAY).others


def decided(department: Department, proposal: Proposal) -> int:
    number = propose(department.engine, proposal, actor=ANNE, now=NOW)
    approve_rule(department.engine, number, actor=BERT, now=NOW)
    return number


def test_a_rule_is_in_force_from_its_moment_once_another_person_approved_it(department: Department) -> None:
    engine = department.engine
    number = propose(engine, replace(TWO_YEARS, in_force_at=NOW + 5 * DAY), actor=ANNE, now=NOW)
    assert others(department, 6) == YEAR
    for actor in (ANNE, Actor("anne", Role.ADMIN), Actor("Anne")):
        with pytest.raises(RetentionRefusedError, match="another person"):
            approve_rule(engine, number, actor=actor, now=NOW)
    approve_rule(engine, number, actor=BERT, now=NOW + DAY)
    assert [others(department, days) for days in (1, 4.9, 5, 6)] == [YEAR, YEAR, 2 * YEAR, 2 * YEAR]
    assert [each for each in audited(department) if each[1].startswith("retention.")] == [
        (ANNE.name, "retention.propose", "success"),
        *((name, "retention.approve_rule", "refused") for name in (ANNE.name, "anne", "Anne")),
        (BERT.name, "retention.approve_rule", "success"),
    ]


def test_a_rule_that_is_approved_late_is_in_force_from_its_approval(
    department: Department,
) -> None:
    number = propose(department.engine, TWO_YEARS, actor=ANNE, now=NOW)
    approve_rule(department.engine, number, actor=BERT, now=NOW + 3 * DAY)
    assert [others(department, days) for days in (2, 3)] == [YEAR, 2 * YEAR]


def test_the_rule_in_force_is_the_one_whose_moment_came_last(department: Department) -> None:
    decided(department, replace(TWO_YEARS, in_force_at=NOW + 10 * DAY))
    decided(department, replace(TWO_YEARS, others=3 * YEAR))
    assert [others(department, days) for days in (0, 9, 10)] == [3 * YEAR, 3 * YEAR, 2 * YEAR]


def test_the_highway_patrols_own_law_is_another_one(department: Department) -> None:
    law = "Cal. Veh. Code 2413(b)"
    assert propose(department.engine, Proposal(60 * DAY, YEAR, "R", law), actor=ANNE, now=NOW) == 1


@pytest.mark.parametrize(
    ("proposal", "why"),
    [
        (Proposal(YEAR - DAY, 6 * YEAR, "R"), "where another law holds, name it"),
        (Proposal(3 * MINUTE, 6 * YEAR, "R", "Gov. Code 34090.6"), "where another law holds"),
        (Proposal(3 * MINUTE, 6 * YEAR, "R", " Cal. Gov.  Code § 34090.6"), "where another law holds"),
        (Proposal(3 * MINUTE, 6 * YEAR, "R", "Gov. Code § 34 090.6"), "where another law holds"),
        (
            Proposal(3 * MINUTE, 6 * YEAR, "R", "Gov. Code \uff13\uff14\uff10\uff19\uff10"),
            "where another law holds",
        ),
        (Proposal(3 * MINUTE, 6 * YEAR, "R", "California law"), "where another law holds"),
        (Proposal(3 * MINUTE, 6 * YEAR, "R", "CAL. GOV. CODE 3409O"), "where another law holds"),
        (Proposal(YEAR, YEAR - DAY, "R"), "where another law holds"),
        (Proposal(2 * YEAR, YEAR, "R"), "hits are evidence"),
        (Proposal(YEAR, YEAR, "  "), "reference"),
        (Proposal(YEAR, YEAR, "R", in_force_at=NOW - 2 * DAY), "never in the past"),
        (Proposal(YEAR, YEAR, "R", window=DAY, window_others=2 * DAY), "units cannot be told so"),
        (Proposal(YEAR, YEAR, "R", window=30 * DAY), "units cannot be told so"),
    ],
)
def test_a_rule_below_the_floor_or_without_its_decision_is_refused(
    department: Department, proposal: Proposal, why: str
) -> None:
    with pytest.raises(RetentionRefusedError, match=why):
        propose(department.engine, proposal, actor=ANNE, now=NOW)
    assert all_rules(department.engine) == []
    assert audited(department)[-1] == (ANNE.name, "retention.propose", "refused")


@pytest.mark.parametrize("kept", [3 * MINUTE, 21 * DAY, 60 * DAY, 90 * DAY, 150 * DAY])
def test_another_law_lets_reads_go_sooner_down_to_minutes(department: Department, kept: timedelta) -> None:
    decided(department, replace(MAINE, others=kept, law="N.H. RSA 261:75-b"))
    assert others(department) == kept


def test_one_rule_waits_at_a_time_and_a_refused_one_never_comes_into_force(department: Department) -> None:
    number = propose(department.engine, TWO_YEARS, actor=ANNE, now=NOW)
    with pytest.raises(RetentionRefusedError, match="waits for approval"):
        propose(department.engine, MAINE, actor=BERT, now=NOW)
    with pytest.raises(RetentionRefusedError, match="reason"):
        refuse_rule(department.engine, number, reason=" ", actor=BERT, now=NOW)
    refuse_rule(department.engine, number, reason="not decided", actor=ANNE, now=NOW)
    with pytest.raises(RetentionRefusedError, match="no rule waits"):
        approve_rule(department.engine, number, actor=BERT, now=NOW)
    assert others(department) == YEAR


def test_only_a_rule_that_purges_by_itself_can_be_stopped(department: Department) -> None:
    number = decided(department, MAINE)
    with pytest.raises(RetentionRefusedError, match="purges nothing by itself"):
        stop_automatic(department.engine, number, reason="doubt", actor=ANNE, now=NOW)


@pytest.mark.parametrize("table", [retention_rules, retention_rule_steps])
def test_nothing_of_the_history_is_changed_or_deleted(department: Department, table: Any) -> None:
    decided(department, TWO_YEARS)
    for statement in (delete(table), update(table).values(rule_id=7)):
        with pytest.raises(DBAPIError, match="append-only"), writing(department.engine) as connection:
            connection.execute(statement)


def test_the_published_policy_says_what_is_in_force(department: Department) -> None:
    decided(department, replace(MAINE, others=3 * MINUTE, law="N.H. RSA 261:75-b"))
    with reading(department.engine) as connection:
        made = as_markdown(policy_of(connection, department.settings, NOW))
    assert "all others for 3 minutes" in made and "N.H. RSA 261:75-b" in made
    assert "by the server itself" not in made


def test_what_a_person_types_is_taken_or_the_field_is_named() -> None:
    said = Said("3 min", "365 d", "Ordinance 4", "N.H. RSA 261:75-b", "24 h", "3 min")
    found = proposal_of(said, automatic=True, in_force_at=None)
    assert (found.others, found.window_others, found.automatic) == (3 * MINUTE, 3 * MINUTE, True)
    assert proposal_of(replace(said, window=" "), automatic=False, in_force_at=None).window is None
    for field, name in (("others", "no hits"), ("hits", "hits"), ("window", "window of units")):
        with pytest.raises(RetentionRefusedError, match=f"{name}: write"):
            proposal_of(replace(said, **{field: "soon"}), automatic=False, in_force_at=None)


def test_units_are_told_by_a_profile_that_two_persons_sign(department: Department) -> None:
    with pytest.raises(RetentionRefusedError, match="say nothing of units"):
        draft_profile(department, actor=ANNE, now=NOW)
    number = decided(department, replace(MAINE, window=12 * timedelta(hours=1), window_others=3 * MINUTE))
    with reading(department.engine) as connection:
        rule = rule_in_force(connection, NOW)
    assert rule is not None and rule.rule_id == number
    told = decode_profile(unit_profile(rule.window, rule.window_others).encode())
    assert told.section("retention") == {"local_window_h": 12.0, "non_hit_window_min": 3.0}
    draft_profile(department, actor=ANNE, now=NOW)
    said = "\n".join(department.publications.repository.describe_draft("targets"))
    assert PROFILE_PATH in said
    assert department.publications.path_of("targets/profiles/retention.toml") is None


def test_commands_propose_approve_refuse_and_list(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ["--department", str(department.folder.root)]

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["retention", *arguments, *folder])
        return result.output if result.exception is None else str(result.exception)

    proposal = ["propose", "--others", "21 d", "--hits", "365 d", "--reference", "Order 4"]
    assert "server.toml: reads 365 days, hits 1825 days" in run("rules")
    assert "name it" in run(*proposal)
    assert "rule 1 waits" in run(*proposal, "--law", "29-A M.R.S. 2117-A", "--unit-others", "30 min")
    monkeypatch.setenv("LOGNAME", "brandt")
    assert "another person" in run("approve-rule", "1")
    assert "refused" in run("refuse-rule", "1", "--reason", "typing error")
    run(*proposal, "--law", "29-A M.R.S. 2117-A", "--unit-others", "30 min")
    monkeypatch.setattr("server.retention_commands.console_person", lambda: BERT.name)
    assert "rule 2 is approved" in run("approve-rule", "2")
    assert "2: IN FORCE, reads 21 days, hits 365 days" in run("rules")
    assert "rules: reads 21 days" in run("plan")
    assert "drafted" in run("profile")
    assert "write a whole number" in run(*proposal[:2], "soon", *proposal[3:])
    assert RULES.others == YEAR
