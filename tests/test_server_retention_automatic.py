"""The server purges by itself where a rule says so; no hold, no hit and no wrong clock lets it take more."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import delete

from camera.frame import TimeQuality
from server.audit import Deed, append
from server.database import reading, writing
from server.department import Department
from server.errors import RetentionRefusedError
from server.holds import HoldKind
from server.pictures import note
from server.purge_book import all_purges, verify_certificate
from server.retention import approve, ask, step
from server.retention_automatic import AutomaticPurge
from server.retention_clock import believe, confirm_clock, purge_clock_of
from server.retention_rules import approve_rule, propose, stop_automatic
from server.retention_values import Proposal, Rules
from server.tables import evidence, hits, picture_notes, reads
from tests.databases import Database
from tests.departments import a_department, a_unit, audited, running
from tests.retention import ANNE, BERT, DAY, HOUR, MINUTE, RULES, Held

# The access log of a department that was just founded has entries of this moment. Midday, so that some
# minutes later is the same day.
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + DAY
YEAR, YEARS = 365 * DAY, 3652 * DAY
NEW_HAMPSHIRE = Proposal(3 * MINUTE, 365 * DAY, "RSA 261:75-b", "N.H. RSA 261:75-b", automatic=True)
MAINE = replace(NEW_HAMPSHIRE, others=21 * DAY, law="29-A M.R.S. 2117-A")


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def held(department: Department, tmp_path: Path) -> Held:
    return Held(department, a_unit(department, tmp_path / "unit"))


class Server:
    """The part of a running server that purges."""

    def __init__(self, held: Held, proposal: Proposal, now: datetime = TODAY) -> None:
        self.held = held
        # Of now: it bears witness of the time. Of a plate that no test asks for.
        self.witness(now)
        self.rule = propose(held.engine, proposal, actor=ANNE, now=now)
        approve_rule(held.engine, self.rule, actor=BERT, now=now)
        self.restart()

    def restart(self) -> None:
        self.automatic = AutomaticPurge(self.held.engine, self.held.department.keys.receipt)

    def witness(self, now: datetime) -> None:
        """Let a hit of this moment come in: it stays, and its time is a unit's."""
        self.held.store(self.held.made_at(now, plate="8WIT000"), hit=True, at=now)

    def at(self, now: datetime) -> int:
        return self.automatic.step(now, lambda _: None, lambda: now)

    @property
    def others(self) -> set[str]:
        """The reads left that are no hits."""
        with reading(self.held.engine) as connection:
            met = set(connection.execute(hits.select().with_only_columns(hits.c.read_id)).scalars())
        return self.held.ids() - met

    @property
    def why(self) -> str:
        found = purge_clock_of(self.held.engine)
        return "" if found is None else found.refused


def swept(held: Held) -> int:
    """Strike the notes of purged pictures, as the sweep does once their store has destroyed them."""
    with writing(held.engine) as connection:
        return connection.execute(delete(picture_notes).where(picture_notes.c.purged)).rowcount


def test_reads_go_after_three_minutes_and_hits_and_young_ones_stay(held: Held) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    old, young, hit = (held.made_at(TODAY - minutes * MINUTE) for minutes in (4, 2, 4))
    held.store(old, young, at=TODAY)
    held.store(hit, hit=True, at=TODAY)
    assert server.at(TODAY) == 1
    assert server.others == {young.read_id} and hit.read_id in held.ids()
    assert server.at(TODAY + 2 * MINUTE) == 1
    assert server.others == set() and held.traces() == held.ids()


def test_nothing_goes_without_a_rule_that_says_so(held: Held) -> None:
    server = Server(held, replace(NEW_HAMPSHIRE, automatic=False))
    held.store(held.made_at(TODAY - DAY), at=TODAY)
    assert server.at(TODAY) == 0 and len(server.others) == 1
    assert all_purges(held.engine) == []


def test_a_hold_wins_over_a_purge_by_itself_and_what_comes_in_later_is_held_too(held: Held) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    held.hold(HoldKind.PLATE, plate="7ABC123")
    kept = held.made_at(TODAY - HOUR)
    held.store(kept, held.made_at(TODAY - HOUR, plate="8XYZ987"), at=TODAY)
    assert server.at(TODAY) == 1
    later = held.made_at(TODAY - 30 * MINUTE)
    held.store(later, at=TODAY)
    assert server.at(TODAY + HOUR) == 0
    assert server.others == {kept.read_id, later.read_id}
    server.witness(TODAY + DAY)
    server.at(TODAY + DAY)
    said = json.loads(all_purges(held.engine)[-1].certificate)["statement"]
    assert (said["destroyed_reads"], said["kept_by_legal_holds"]) == (1, 2)


def test_each_day_on_which_something_went_has_its_signed_certificate(held: Held) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    for day in (0, 1, 3):
        now = TODAY + day * DAY
        server.witness(now)
        held.store(held.made_at(now - HOUR), held.made_at(now - 2 * HOUR), at=now)
        assert server.at(now) == 2
    server.witness(TODAY + 4 * DAY)
    assert server.at(TODAY + 4 * DAY) == 0
    key = held.department.keys.receipt.public_key()
    found = [verify_certificate(each.certificate, key) for each in reversed(all_purges(held.engine))]
    assert [each["destroyed_reads"] for each in found] == [2, 2, 2]
    assert {each["automatic_by_rule"] for each in found} == {server.rule}
    assert {(each["asked_by"], each["approved_by"]) for each in found} == {(ANNE.name, BERT.name)}
    assert {(each["reference"], each["hits_before"]) for each in found} == {("RSA 261:75-b", None)}
    done = [each for each in audited(held.department) if each[1] == "purge.done"]
    assert done == [("server", "purge.done", "success")] * 3


def test_a_stopped_rule_purges_nothing_from_that_moment_and_its_day_is_certified(held: Held) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    held.store(held.made_at(TODAY - HOUR), at=TODAY)
    assert server.at(TODAY) == 1
    stop_automatic(held.engine, server.rule, reason="doubt", actor=ANNE, now=TODAY)
    held.store(held.made_at(TODAY - HOUR), at=TODAY)
    assert server.at(TODAY + MINUTE) == 0 and len(server.others) == 1
    assert all_purges(held.engine)[0].state == "done"


def test_a_rule_that_is_stopped_between_two_steps_takes_no_further_one(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    held.store(held.made_at(TODAY - HOUR), held.made_at(TODAY - HOUR), at=TODAY)
    monkeypatch.setattr("server.retention_automatic.STEP_READS", 1)

    def stop(_: float) -> None:
        if all_purges(held.engine)[0].others == 1:
            stop_automatic(held.engine, server.rule, reason="doubt", actor=ANNE, now=TODAY)

    assert server.automatic.step(TODAY, stop, lambda: TODAY) == 1
    assert len(server.others) == 1


@pytest.mark.parametrize("proposal", [NEW_HAMPSHIRE, MAINE])
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("jump", [YEARS, 366 * DAY, 30 * DAY, 4 * DAY])
def test_a_clock_that_jumps_ahead_destroys_nothing(
    held: Held, proposal: Proposal, restarted: bool, jump: timedelta
) -> None:
    server = Server(held, proposal)
    young = [held.made_at(TODAY - minutes * MINUTE) for minutes in (0, 1, 2)]
    held.store(*young, at=TODAY)
    server.at(TODAY)
    if restarted:
        server.restart()
    for minutes in range(3):
        assert server.at(TODAY + jump + minutes * MINUTE) == 0
    # A wrong clock writes its own time into the access log: that is no witness either.
    with writing(held.engine) as connection:
        append(connection, Deed("chief", "login"), TODAY + jump)
    assert server.at(TODAY + jump + HOUR) == 0
    assert server.others == {each.read_id for each in young}
    assert "jumped, or the server was off" in server.why
    # Said once, not at each look.
    assert [each[1:] for each in audited(held.department)].count(("purge.automatic", "refused")) == 1
    # Put right, it goes on by itself: the log has an entry of the right time by then.
    server.at(TODAY + MINUTE)
    server.at(TODAY + MINUTE)
    assert server.why == ""


@pytest.mark.parametrize("jump", [YEARS, 366 * DAY, 2 * HOUR])
def test_a_clock_that_goes_back_destroys_nothing(held: Held, jump: timedelta) -> None:
    server = Server(held, MAINE)
    server.at(TODAY)
    kept = held.made_at(TODAY - 20 * DAY)
    held.store(kept, at=TODAY)
    assert server.at(TODAY - jump) == 0
    server.restart()
    assert server.at(TODAY - jump) == 0
    assert server.others == {kept.read_id}
    # Put right, it goes on by itself: what became due meanwhile goes.
    server.witness(TODAY + 2 * DAY)
    assert server.at(TODAY + 2 * DAY) == 1


def test_a_rule_that_a_later_one_replaced_does_not_purge_again_when_the_clock_goes_back(held: Held) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    server.at(TODAY)
    server.witness(TODAY + DAY)
    later = replace(NEW_HAMPSHIRE, others=90 * DAY, law="N.C.G.S. 20-183.32")
    number = propose(held.engine, later, actor=ANNE, now=TODAY + DAY)
    approve_rule(held.engine, number, actor=BERT, now=TODAY + DAY)
    kept = held.made_at(TODAY)
    held.store(kept, at=TODAY + DAY)
    assert server.at(TODAY + DAY) == 0
    assert server.at(TODAY + DAY - HOUR) == 0
    assert server.others == {kept.read_id} and "behind" in server.why


def test_a_clock_behind_the_last_purge_or_the_access_log_is_not_believed(held: Held) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    server.witness(TODAY + 2 * DAY)
    server.at(TODAY + 2 * DAY)
    held.store(held.made_at(TODAY - DAY), at=TODAY)
    assert server.at(TODAY + DAY) == 0
    assert "behind the last purge" in server.why and len(server.others) == 1
    with writing(held.engine) as connection:
        append(connection, Deed("chief", "login"), TODAY + 3 * DAY)
    with reading(held.engine) as connection, pytest.raises(RetentionRefusedError, match="access log"):
        believe(connection, TODAY + 2 * DAY + MINUTE)


@pytest.mark.parametrize("ahead", [timedelta(), YEARS])
def test_a_clock_that_creeps_is_stopped_by_what_units_say(held: Held, ahead: timedelta) -> None:
    server = Server(held, MAINE)
    held.store(held.made_at(TODAY - 10 * DAY), at=TODAY)
    if ahead:
        # A unit whose clock is ahead is no witness. It is a hit, and so stays in any case.
        server.witness(TODAY + ahead)
    said = []
    for hours in range(0, 30 * 24, 12):
        server.at(TODAY + hours * HOUR)
        said += [server.why] if server.why and server.why not in said else []
    assert len(server.others) == 1 and "no unit handed in" in said[0]
    found = purge_clock_of(held.engine)
    assert found is not None and found.at <= TODAY + 3 * DAY


def test_units_and_server_that_took_the_same_wrong_time_destroy_nothing(held: Held) -> None:
    server = Server(held, MAINE)
    kept = held.made_at(TODAY - DAY)
    held.store(kept, at=TODAY)
    server.at(TODAY)
    server.witness(TODAY + YEARS)
    assert server.at(TODAY + YEARS) == 0 and server.others == {kept.read_id}


def test_a_unit_whose_clock_is_ahead_is_no_witness_of_a_server_that_jumps(held: Held) -> None:
    server = Server(held, MAINE)
    kept = held.made_at(TODAY - DAY)
    held.store(kept, at=TODAY)
    held.store(held.made_at(TODAY + 2 * YEARS, plate="8AHE000"), at=TODAY)
    server.at(TODAY)
    assert server.at(TODAY + YEARS) == 0 and kept.read_id in server.others


@pytest.mark.parametrize(
    ("made", "quality"),
    [
        (TODAY - 46 * 365 * DAY, TimeQuality.UNSYNCHRONISED),
        (TODAY - 30 * DAY, TimeQuality.UNSYNCHRONISED),
        (TODAY - 1024 * 7 * DAY, TimeQuality.GPS),
        (TODAY - 60 * DAY, TimeQuality.SYNCHRONISED),
        (TODAY + 1024 * 7 * DAY, TimeQuality.GPS),
    ],
)
def test_a_read_whose_unit_had_a_wrong_clock_is_as_old_as_its_arrival(
    held: Held, made: datetime, quality: TimeQuality
) -> None:
    server = Server(held, MAINE)
    read = held.made_at(made, quality)
    held.store(read, at=TODAY)
    now = TODAY
    for _ in range(10):
        now += 2 * DAY
        server.witness(now)
        assert server.at(now) == 0
    assert server.others == {read.read_id}
    now += 2 * DAY
    server.witness(now)
    assert server.at(now) == 1


def test_a_read_that_comes_in_late_goes_at_once_with_its_day(held: Held) -> None:
    server = Server(held, MAINE)
    held.store(held.made_at(TODAY - 29 * DAY), at=TODAY)
    assert server.at(TODAY) == 1
    held.store(held.made_at(TODAY - 30 * DAY), at=TODAY)
    assert server.at(TODAY + 2 * HOUR) == 1
    [purge] = all_purges(held.engine)
    assert (purge.others, purge.state) == (2, "running")


def test_a_person_who_says_the_date_lets_it_go_on_and_a_wrong_date_does_not(held: Held) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    held.store(held.made_at(TODAY), at=TODAY)
    off = TODAY + 9 * DAY
    assert server.at(off) == 0 and server.why
    with pytest.raises(RetentionRefusedError, match="another day"):
        confirm_clock(held.engine, TODAY.date(), actor=ANNE, now=off)
    assert server.at(off) == 0
    confirm_clock(held.engine, off.date(), actor=ANNE, now=off)
    assert server.at(off + MINUTE) == 1


def test_a_rule_that_purges_by_itself_is_not_approved_by_a_clock_in_doubt(held: Held) -> None:
    now = TODAY
    held.store(held.made_at(now), at=now)
    number = propose(held.engine, NEW_HAMPSHIRE, actor=ANNE, now=now + YEARS)
    with pytest.raises(RetentionRefusedError, match="sure time"):
        approve_rule(held.engine, number, actor=BERT, now=now + YEARS)


def test_reads_of_a_time_nobody_is_sure_of_bear_no_witness(held: Held) -> None:
    held.store(held.made_at(TODAY, TimeQuality.UNSYNCHRONISED), at=TODAY)
    with reading(held.engine) as connection, pytest.raises(RetentionRefusedError, match="sure time"):
        believe(connection, TODAY)


def test_two_persons_purge_beside_it_and_nobody_drives_its_purge_by_hand(held: Held) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    held.store(held.made_at(TODAY - HOUR), at=TODAY)
    server.at(TODAY)
    [purge] = all_purges(held.engine)
    with pytest.raises(RetentionRefusedError, match="does it by itself"):
        step(held.engine, purge.purge_id, held.department.keys.receipt, TODAY)
    held.store(held.made_at(TODAY - 400 * DAY), at=TODAY - 399 * DAY)
    number, found = ask(held.engine, RULES, reference="R", actor=ANNE, now=TODAY)
    assert (number, found.others) == (purge.purge_id + 1, 1)


def test_it_rests_where_nothing_can_be_due_and_does_not_rest_while_more_is(held: Held) -> None:
    server = Server(held, MAINE)
    assert server.at(TODAY) == 0
    held.store(held.made_at(TODAY - 30 * DAY), at=TODAY)
    assert server.at(TODAY + 59 * MINUTE) == 0
    assert server.at(TODAY + HOUR) == 1


def test_pictures_outside_the_database_are_noted_and_certified_once_they_are_gone(held: Held) -> None:
    server = Server(held, NEW_HAMPSHIRE)
    read = replace(held.made_at(TODAY - HOUR), evidence=b"\xff\xd8 a picture\xff\xd9")
    held.store(read, at=TODAY)
    with writing(held.engine) as connection:
        connection.execute(
            evidence.update().where(evidence.c.read_id == read.read_id).values(jpeg=b"", object="a1")
        )
    assert server.at(TODAY) == 1
    server.witness(TODAY + DAY)
    server.at(TODAY + DAY)
    assert all_purges(held.engine)[0].certificate == ""
    assert swept(held) == 1
    server.at(TODAY + DAY + HOUR)
    assert all_purges(held.engine)[0].certificate


def test_a_purge_by_hand_destroys_pictures_outside_before_its_certificate(held: Held) -> None:
    read = replace(held.made_at(TODAY - 400 * DAY), evidence=b"\xff\xd8 a picture\xff\xd9")
    held.store(read)
    with writing(held.engine) as connection:
        note(connection, ["ff"], TODAY)
        connection.execute(
            evidence.update().where(evidence.c.read_id == read.read_id).values(jpeg=b"", object="a1")
        )
    number, _ = ask(held.engine, RULES, reference="R", actor=ANNE, now=TODAY)
    approve(held.engine, number, actor=BERT, now=TODAY)
    key = held.department.keys.receipt
    assert step(held.engine, number, key, TODAY) == 1
    with pytest.raises(RetentionRefusedError, match="outside the database"):
        step(held.engine, number, key, TODAY)
    assert step(held.engine, number, key, TODAY, sweep=lambda _: swept(held)) == 0
    assert all_purges(held.engine)[0].state == "done"
    with reading(held.engine) as connection:
        assert connection.execute(reads.select()).first() is None


def test_a_running_server_purges_by_the_rule_and_does_what_two_persons_approved(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    held = Held(department, a_unit(department, tmp_path / "unit"))
    now = datetime.now(UTC)
    held.store(held.made_at(now), hit=True, at=now)
    held.store(held.made_at(now - 400 * DAY), hit=True)
    held.store(held.made_at(now - HOUR), at=now)
    number = propose(held.engine, NEW_HAMPSHIRE, actor=ANNE, now=now)
    approve_rule(held.engine, number, actor=BERT, now=now)
    purge_id, _ = ask(held.engine, Rules(YEAR, YEAR), reference="R", actor=ANNE, now=now)
    approve(held.engine, purge_id, actor=BERT, now=now)
    with running(held.department, tmp_path / "log"):
        for _ in range(100):
            if held.ids() == {"read-1"} and any(each.state == "done" for each in all_purges(held.engine)):
                break
            Event().wait(0.2)
    assert held.ids() == {"read-1"}
    states = {each.purge_id: (each.automatic, each.state) for each in all_purges(held.engine)}
    assert states[purge_id] == (False, "done") and (True, "running") in states.values()
