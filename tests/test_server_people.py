"""Accounts as administrators look after them: one or two of them, on the pages' side and the console's."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError
from typer.testing import CliRunner

from server.access import Access, LoginRefusedError, Role, add_account
from server.accounts import Course
from server.actors import Actor
from server.cli import app
from server.database import reading, writing
from server.department import Department
from server.errors import NotPermittedError, SettingsInvalidError
from server.own_account import OwnAccount
from server.people import AccountChangedError, AccountRefusedError, People
from server.rosters import users_of
from server.sessions import Step
from server.tables import accounts, training_records
from tests.databases import Database
from tests.departments import NOW, PASSWORD, a_department, audited
from tests.second_factors import ADDRESS, an_access, an_officer, at_code, enrolled, gets_in, standing

CHIEF, DEPUTY = Actor("chief", Role.ADMIN, ADDRESS), Actor("brandt", Role.ADMIN, ADDRESS)
COURSE = Course("ALPR use and policy", date(2026, 2, 1), date(2027, 2, 1))
OWN = "seven green lamps over water"


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    an_officer(made)
    yield made
    made.engine.dispose()


@pytest.fixture
def people(department: Department) -> People:
    return People(department.engine, department.settings.access, "Example Police")


@pytest.fixture
def access(department: Department) -> Access:
    return an_access(department, "optional")


def role_of(people: People, name: str) -> Role:
    return people.one(name, CHIEF, NOW)[0].role


def two_administrators(department: Department) -> None:
    add_account(
        department.engine, "brandt", Role.ADMIN, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW
    )


def test_an_added_person_gets_in_by_a_one_time_password_and_chooses_their_own(
    people: People, access: Access, department: Department
) -> None:
    given = people.add("adams", Role.OFFICER, COURSE, actor=CHIEF, now=NOW)
    session = standing(access, access.log_in("adams", given, ADDRESS, NOW))
    assert session.step is Step.RENEW
    with reading(department.engine) as connection:
        before = {user.name: user.disabled for user in users_of(connection, people.settings, NOW)}
    token = access.choose_password(session, OWN, ADDRESS, NOW)
    assert access.session(token, NOW) is not None
    with reading(department.engine) as connection:
        after = {user.name: user.disabled for user in users_of(connection, people.settings, NOW)}
    # Units learn of the account only once nobody else knows its password.
    assert (before["adams"], after["adams"], before["reyes"]) == (True, False, False)
    with pytest.raises(LoginRefusedError):
        access.log_in("adams", given, ADDRESS, NOW)


def test_one_administrator_makes_the_second_and_two_make_the_third(people: People) -> None:
    assert people.change_role("reyes", Role.ADMIN, CHIEF, NOW) is False
    people.add("adams", Role.ADMIN, COURSE, actor=CHIEF, now=NOW)
    person, _ = people.one("adams", CHIEF, NOW)
    assert (person.role, person.wanted_role, person.wanted_by) == (Role.TECHNICIAN, Role.ADMIN, "chief")
    for actor in (CHIEF, Actor("console:Chief")):
        with pytest.raises(AccountRefusedError, match="another administrator approves"):
            people.approve("adams", actor, NOW)
    with pytest.raises(AccountRefusedError, match="your own"):
        people.approve("adams", Actor("adams", Role.ADMIN), NOW)
    assert role_of(people, "adams") is Role.TECHNICIAN
    people.approve("adams", Actor("reyes", Role.ADMIN, ADDRESS), NOW)
    assert role_of(people, "adams") is Role.ADMIN


def test_who_approves_what_others_ask_for_is_not_made_by_one_of_two_administrators(
    people: People, department: Department
) -> None:
    two_administrators(department)
    people.add("adams", Role.SUPERVISOR, COURSE, actor=CHIEF, now=NOW)
    assert people.change_role("reyes", Role.SUPERVISOR, CHIEF, NOW) is True
    assert (role_of(people, "adams"), role_of(people, "reyes")) == (Role.TECHNICIAN, Role.OFFICER)
    people.approve("adams", DEPUTY, NOW)
    assert role_of(people, "adams") is Role.SUPERVISOR


def test_a_role_that_waits_can_be_refused(people: People, department: Department) -> None:
    two_administrators(department)
    assert people.change_role("reyes", Role.ADMIN, CHIEF, NOW) is True
    people.refuse("reyes", DEPUTY, NOW)
    with pytest.raises(AccountRefusedError, match="no role waits"):
        people.approve("reyes", DEPUTY, NOW)
    assert role_of(people, "reyes") is Role.OFFICER


def test_a_disabled_administrator_comes_back_by_two(people: People, department: Department) -> None:
    two_administrators(department)
    an_officer(department, "okafor", Role.ADMIN)
    people.disable("okafor", CHIEF, NOW)
    assert people.enable("okafor", CHIEF, NOW) is True
    person, _ = people.one("okafor", CHIEF, NOW)
    assert (person.disabled, person.role, person.opening_waits) == (True, Role.ADMIN, True)
    with pytest.raises(AccountRefusedError, match="another administrator approves"):
        people.approve("okafor", CHIEF, NOW)
    assert people.approve("okafor", DEPUTY, NOW) == (Role.ADMIN, True)
    person, _ = people.one("okafor", CHIEF, NOW)
    assert (person.disabled, person.role, person.wanted_role) == (False, Role.ADMIN, None)


def test_an_enabling_that_waits_leaves_nobody_the_only_administrator(
    people: People, department: Department
) -> None:
    two_administrators(department)
    enrolled(an_access(department))
    people.disable("brandt", CHIEF, NOW)
    people.enable("brandt", CHIEF, NOW)
    for role in (Role.SUPERVISOR, Role.ADMIN):
        assert people.change_role("reyes", role, CHIEF, NOW) is True
        people.refuse("reyes", CHIEF, NOW)
    people.refuse("brandt", CHIEF, NOW)
    person, _ = people.one("brandt", CHIEF, NOW)
    assert (person.disabled, person.role, person.wanted_role) == (True, Role.ADMIN, None)
    assert people.change_role("reyes", Role.ADMIN, CHIEF, NOW) is True
    assert role_of(people, "reyes") is Role.OFFICER
    people.reset_password("reyes", CHIEF, NOW)
    with pytest.raises(AccountRefusedError, match="another administrator"):
        people.reset_factor("reyes", CHIEF, NOW)


def test_an_approved_role_does_not_open_a_disabled_account(people: People, department: Department) -> None:
    two_administrators(department)
    people.disable("reyes", CHIEF, NOW)
    people.change_role("reyes", Role.SUPERVISOR, CHIEF, NOW)
    assert people.approve("reyes", DEPUTY, NOW) == (Role.SUPERVISOR, False)
    person, _ = people.one("reyes", CHIEF, NOW)
    assert (person.disabled, person.role) == (True, Role.SUPERVISOR)


def test_an_enabling_that_waited_is_settled_once_one_administrator_is_left(
    people: People, department: Department
) -> None:
    two_administrators(department)
    people.disable("brandt", CHIEF, NOW)
    people.enable("brandt", CHIEF, NOW)
    later = NOW + timedelta(days=people.settings.idle_account_days)
    assert people.enable("brandt", CHIEF, later) is False
    person, _ = people.one("brandt", CHIEF, later)
    assert (person.disabled, person.role, person.wanted_role) == (False, Role.ADMIN, None)


def test_what_is_approved_is_what_was_shown(people: People, department: Department) -> None:
    two_administrators(department)
    people.change_role("reyes", Role.SUPERVISOR, CHIEF, NOW)
    shown, _ = people.one("reyes", DEPUTY, NOW)
    assert shown.wanted_at is not None
    seen = {"role": "supervisor", "asked_at": shown.wanted_at.isoformat()}
    people.change_role("reyes", Role.ADMIN, CHIEF, NOW)
    with pytest.raises(AccountChangedError, match="changed meanwhile"):
        people.approve("reyes", DEPUTY, NOW, **seen)
    assert audited(department)[-1] == ("brandt", "account.approve_role", "refused")
    # Asked for anew: the same role, but not what was shown.
    people.change_role("reyes", Role.SUPERVISOR, CHIEF, NOW + timedelta(seconds=1))
    with pytest.raises(AccountChangedError, match="changed meanwhile"):
        people.approve("reyes", DEPUTY, NOW, **seen)
    assert role_of(people, "reyes") is Role.OFFICER
    anew = (NOW + timedelta(seconds=1)).isoformat()
    people.approve("reyes", DEPUTY, NOW, role="supervisor", asked_at=anew)
    assert role_of(people, "reyes") is Role.SUPERVISOR


def test_nobody_becomes_the_only_administrator_by_a_deed_of_their_own(
    people: People, department: Department
) -> None:
    two_administrators(department)
    enrolled(an_access(department))
    with pytest.raises(AccountRefusedError, match="of two administrators"):
        people.change_role("brandt", Role.OFFICER, CHIEF, NOW)
    people.disable("brandt", CHIEF, NOW)
    assert people.change_role("reyes", Role.ADMIN, CHIEF, NOW) is True
    people.refuse("reyes", CHIEF, NOW)
    people.reset_password("reyes", CHIEF, NOW)
    with pytest.raises(AccountRefusedError, match="another administrator"):
        people.reset_factor("reyes", CHIEF, NOW)
    with pytest.raises(AccountRefusedError, match="of two administrators"):
        people.change_role("brandt", Role.OFFICER, CHIEF, NOW)
    later = NOW + timedelta(days=people.settings.idle_account_days)
    assert people.change_role("reyes", Role.ADMIN, CHIEF, later) is False


def test_a_reset_by_another_person_in_between_does_not_make_room_for_the_second(
    people: People, department: Department
) -> None:
    two_administrators(department)
    enrolled(an_access(department))
    people.reset_factor("reyes", CHIEF, NOW)
    people.reset_password("reyes", DEPUTY, NOW)
    with pytest.raises(AccountRefusedError, match="another administrator"):
        people.reset_password("reyes", CHIEF, NOW)


def test_a_password_given_at_the_console_counts_as_a_reset(people: People, department: Department) -> None:
    two_administrators(department)
    enrolled(an_access(department))
    people.give_password("reyes", "correct horse battery", Actor("console:chief"), NOW)
    with pytest.raises(AccountRefusedError, match="another administrator"):
        people.reset_factor("reyes", CHIEF, NOW)


def test_the_only_administrator_stays_one(people: People) -> None:
    console = Actor("console:root")
    for deed in (
        lambda: people.disable("chief", console, NOW),
        lambda: people.change_role("chief", Role.OFFICER, console, NOW),
    ):
        with pytest.raises(AccountRefusedError, match="only administrator"):
            deed()


def test_nobody_changes_their_own_account_as_an_administrator(people: People, access: Access) -> None:
    deeds: tuple[Callable[[], object], ...] = (
        lambda: people.change_role("chief", Role.OFFICER, CHIEF, NOW),
        lambda: people.reset_password("chief", CHIEF, NOW),
        lambda: people.reset_factor("chief", CHIEF, NOW),
        lambda: people.disable("chief", CHIEF, NOW),
        lambda: people.enable("chief", CHIEF, NOW),
    )
    for deed in deeds:
        with pytest.raises(AccountRefusedError, match="your own"):
            deed()


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_accounts_are_administrators_alone_and_a_refusal_is_kept(
    people: People, department: Department, role: Role
) -> None:
    actor = Actor("okafor", role, ADDRESS)
    deeds = (
        lambda: people.all(actor, NOW),
        lambda: people.one("reyes", actor, NOW),
        lambda: people.add("adams", Role.OFFICER, COURSE, actor=actor, now=NOW),
        lambda: people.change_role("reyes", Role.ADMIN, actor, NOW),
        lambda: people.approve("reyes", actor, NOW),
        lambda: people.refuse("reyes", actor, NOW),
        lambda: people.train("reyes", COURSE, actor, NOW),
        lambda: people.reset_password("reyes", actor, NOW),
        lambda: people.reset_factor("reyes", actor, NOW),
        lambda: people.disable("reyes", actor, NOW),
        lambda: people.enable("reyes", actor, NOW),
    )
    for deed in deeds:
        with pytest.raises(NotPermittedError):
            deed()
        assert audited(department)[-1][0::2] == ("okafor", "refused")


def test_one_person_does_not_reset_both_password_and_second_factor(
    people: People, access: Access, department: Department
) -> None:
    two_administrators(department)
    enrolled(an_access(department))
    people.reset_password("reyes", CHIEF, NOW)
    with pytest.raises(AccountRefusedError, match="another administrator"):
        people.reset_factor("reyes", CHIEF, NOW)
    people.reset_factor("reyes", DEPUTY, NOW)
    assert audited(department)[-1] == ("brandt", "account.reset_factor", "success")


def test_a_reset_factor_lets_in_no_code_and_no_recovery_code(people: People, department: Department) -> None:
    access = an_access(department)
    _, codes = enrolled(access)
    waiting = at_code(access)
    people.reset_factor("reyes", CHIEF, NOW)
    assert not gets_in(access, waiting, codes[0], NOW)
    session = standing(access, access.log_in("reyes", PASSWORD, ADDRESS, NOW))
    assert session.step is Step.ENROL


def test_disabling_and_a_new_role_end_sessions_at_once(people: People, access: Access) -> None:
    for deed in (
        lambda: people.change_role("reyes", Role.SUPERVISOR, CHIEF, NOW),
        lambda: people.disable("reyes", CHIEF, NOW),
    ):
        token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
        deed()
        assert access.session(token, NOW) is None
    people.enable("reyes", CHIEF, NOW)
    assert access.session(access.log_in("reyes", PASSWORD, ADDRESS, NOW), NOW) is not None


def test_an_account_that_was_unused_too_long_is_opened_again(people: People, access: Access) -> None:
    later = NOW + timedelta(days=91)
    person, _ = people.one("reyes", CHIEF, later)
    assert "unused" in person.closed_why and person.idle_days == 91
    people.enable("reyes", CHIEF, later)
    assert access.log_in("reyes", PASSWORD, ADDRESS, later)


def test_training_keeps_its_history_and_the_newest_decides(
    people: People, access: Access, department: Department
) -> None:
    people.train("reyes", COURSE, CHIEF, NOW)
    people.train("reyes", Course("refresher", None, NOW.date()), CHIEF, NOW)
    person, history = people.one("reyes", CHIEF, NOW)
    assert [each.course for each in history] == ["refresher", COURSE.name, "training, not named"]
    assert person.training_days == 0 and "training" in person.closed_why
    with pytest.raises(LoginRefusedError, match="training"):
        access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    for change in (update(training_records).values(course="x"), delete(training_records)):
        with pytest.raises(DatabaseError), writing(department.engine) as connection:
            connection.execute(change)


@pytest.mark.parametrize(
    "course",
    [
        Course(" ", None, date(2027, 1, 1)),
        Course("x" * 257, None, date(2027, 1, 1)),
        Course("a\nb", None, date(2027, 1, 1)),
        Course("held tomorrow", NOW.date() + timedelta(days=1), date(2027, 1, 1)),
        Course("lapsed before it was held", date(2026, 2, 1), date(2026, 2, 1)),
    ],
)
def test_a_training_that_cannot_have_been_is_not_recorded(people: People, course: Course) -> None:
    with pytest.raises(AccountRefusedError):
        people.train("reyes", course, CHIEF, NOW)
    with pytest.raises(AccountRefusedError):
        people.add("adams", Role.OFFICER, course, actor=CHIEF, now=NOW)
    with pytest.raises(SettingsInvalidError, match="no account"):
        people.one("adams", CHIEF, NOW)


def test_a_new_password_needs_the_old_one_and_ends_other_logins(
    access: Access, department: Department
) -> None:
    other = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    own = OwnAccount(access, standing(access, token), ADDRESS)
    with pytest.raises(LoginRefusedError):
        own.change_password("not the password", OWN, NOW)
    assert audited(department)[-1] == ("reyes", "password.change", "refused")
    assert access.session(other, NOW) is not None
    with pytest.raises(SettingsInvalidError, match="guessed"):
        own.change_password(PASSWORD, "reyes reyes reyes", NOW)
    new = own.change_password(PASSWORD, OWN, NOW)
    assert [access.session(each, NOW) is None for each in (other, token, new)] == [True, True, False]
    assert access.log_in("reyes", OWN, ADDRESS, NOW)


def test_an_open_login_is_not_enough_to_guess_the_password(access: Access) -> None:
    own = OwnAccount(access, standing(access, access.log_in("reyes", PASSWORD, ADDRESS, NOW)), ADDRESS)
    for _ in range(access.settings.lockout_failures):
        with pytest.raises(LoginRefusedError):
            own.change_password("not the password", OWN, NOW)
    with pytest.raises(LoginRefusedError):
        own.change_password(PASSWORD, OWN, NOW)


def test_a_second_factor_is_replaced_by_who_has_password_and_code(access: Access) -> None:
    phone, codes = enrolled(an_access_required(access))
    later = NOW + timedelta(hours=1)
    token = access.give_code(at_code(access, now=later), phone.code(later), ADDRESS, later)
    own = OwnAccount(access, standing(access, token, later), ADDRESS)
    for password, code in ((PASSWORD, "000000"), ("not the password", codes[0])):
        with pytest.raises(LoginRefusedError):
            own.begin_factor(password, code, later)
    own.begin_factor(PASSWORD, codes[0], later)
    secret = access.offer_factor(own.session).secret
    assert secret != phone.secret
    assert gets_in(access, at_code(access, now=later), phone.code(later + timedelta(seconds=30)), later)


def an_access_required(access: Access) -> Access:
    from dataclasses import replace

    settings = replace(access.settings, second_factor="required")
    return Access(access.engine, settings, access.factors, access.department)


def test_new_recovery_codes_end_the_old_ones_and_taking_off_ends_all(access: Access) -> None:
    _, codes = enrolled(an_access_required(access))
    token = access.give_code(at_code(access), codes[0], ADDRESS, NOW)
    own = OwnAccount(access, standing(access, token), ADDRESS)
    fresh = own.renew_codes(codes[1], NOW)
    assert own.shown(NOW).codes_left == 10
    assert not gets_in(access, at_code(access), codes[2], NOW)
    assert gets_in(access, at_code(access), fresh[0], NOW)
    required = OwnAccount(an_access_required(access), own.session, ADDRESS)
    with pytest.raises(LoginRefusedError, match="Everybody"):
        required.take_off(fresh[1], NOW)
    with pytest.raises(LoginRefusedError):
        own.take_off("000000", NOW)
    own.take_off(fresh[1], NOW)
    assert access.session(access.log_in("reyes", PASSWORD, ADDRESS, NOW), NOW) is not None


def test_each_person_sees_and_ends_their_own_logins_alone(access: Access) -> None:
    theirs = access.log_in("chief", PASSWORD, ADDRESS, NOW)
    tokens = [access.log_in("reyes", PASSWORD, f"192.0.2.{number}", NOW) for number in (1, 2, 3)]
    own = OwnAccount(access, standing(access, tokens[0]), ADDRESS)
    chief = OwnAccount(access, standing(access, theirs), ADDRESS)
    shown = {each.source: each for each in own.shown(NOW).sessions}
    assert [each.is_this for each in shown.values()].count(True) == 1
    assert not chief.end_session(shown["192.0.2.2"].session_id, NOW)
    assert own.end_session(shown["192.0.2.2"].session_id, NOW)
    assert [access.session(each, NOW) is None for each in tokens] == [False, True, False]
    assert own.end_others(NOW) == 1
    assert access.session(theirs, NOW) is not None


def test_the_command_line_does_the_same(tmp_path: Path) -> None:
    made = a_department(tmp_path / "department")
    root = ("--department", str(made.folder.root))

    def said(*words: str) -> str:
        run = CliRunner().invoke(app, ["account", *words, *root], env={"COLUMNS": "200"})
        assert run.exit_code == 0, run.output
        return run.output

    more = ("--training-expires", "2099-01-01", "--course", "ALPR use", "--held-on", "2026-02-01")
    assert "shown only now" in said("add", "adams", "--role", "officer", *more)
    assert "given" in said("role", "adams", "admin")
    assert "once another administrator approves" in said("add", "brandt", "--role", "admin", *more)
    said("refuse", "brandt")
    said("train", "brandt", "--course", "refresher", "--training-expires", "2098-01-01")
    assert "refresher" in said("show", "brandt")
    assert "shown only now" in said("reset-password", "brandt")
    run = CliRunner().invoke(app, ["account", "reset-factor", "brandt", *root])
    assert isinstance(run.exception, AccountRefusedError)
    assert "brandt" in said("list")
    said("change", "adams", "--disable")
    assert "stays disabled until another" in said("change", "adams", "--enable")
    assert "opening as admin waits" in said("list")
    assert "stays as it is" in said("refuse", "adams")
    said("role", "brandt", "supervisor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.account_commands.console_person", lambda: "console:another")
        run = CliRunner().invoke(app, ["account", "approve", "brandt", "--role", "admin", *root])
        assert isinstance(run.exception, AccountChangedError)
        assert "supervisor, approved" in said("approve", "brandt", "--role", "supervisor")
    said("role", "brandt", "technician")
    with reading(made.engine) as connection:
        row = connection.execute(select(accounts).where(accounts.c.name == "brandt")).one()
    assert (row.role, row.training_expires) == ("technician", date(2098, 1, 1))
    made.engine.dispose()
