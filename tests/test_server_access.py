"""Logging in: who may, who may not, and what is written down of it."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from server.access import Access, LoginRefusedError, Purpose, Role, add_account, change_account
from server.database import reading, writing
from server.department import Department
from server.errors import SettingsInvalidError
from server.settings import AccessSettings
from server.tables import accounts, audit, metadata, sessions
from tests.databases import Database
from tests.departments import NOW, PASSWORD, ROOT, audited

SETTINGS = AccessSettings(lockout_failures=3, lockout_min=15, idle_timeout_min=30, session_hours=12)
ADDRESS = "192.0.2.1"


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    add_account(made.engine, "reyes", Role.OFFICER, PASSWORD, date(2026, 6, 1), actor="console:test", now=NOW)
    yield made
    made.engine.dispose()


@pytest.fixture
def access(department: Department) -> Access:
    return Access(department.engine, SETTINGS)


def refusal(access: Access, name: str, password: str, later: timedelta = timedelta()) -> str:
    with pytest.raises(LoginRefusedError) as caught:
        access.log_in(name, password, ADDRESS, NOW + later)
    return str(caught.value)


def test_the_right_password_opens_a_session(access: Access, department: Department) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    session = access.session(token, NOW)
    assert session is not None
    assert (session.account, session.role, session.purpose) == ("reyes", Role.OFFICER, None)
    assert audited(department)[-1] == ("reyes", "login", "success")


def test_a_wrong_password_is_refused_and_logged(access: Access, department: Department) -> None:
    refusal(access, "reyes", "not the password")
    assert audited(department)[-1] == ("reyes", "login", "refused")


def test_an_unknown_name_a_wrong_password_and_a_lock_are_answered_alike(access: Access) -> None:
    answers = {refusal(access, "nobody", PASSWORD)}
    answers |= {refusal(access, "reyes", "not the password") for _ in range(3)}
    answers.add(refusal(access, "reyes", PASSWORD))
    assert len(answers) == 1


def test_the_name_of_an_unknown_account_is_not_written_down(access: Access, department: Department) -> None:
    refusal(access, "a password typed into the wrong field", "x")
    assert audited(department)[-1] == ("unknown", "login", "refused")
    with reading(department.engine) as connection:
        details = connection.execute(select(audit.c.detail)).scalars().all()
    assert details and not any("wrong field" in detail for detail in details)


def test_too_many_failures_lock_the_account_for_a_while(access: Access) -> None:
    for _ in range(3):
        refusal(access, "reyes", "not the password")
    refusal(access, "reyes", PASSWORD, timedelta(minutes=14))
    assert access.log_in("reyes", PASSWORD, ADDRESS, NOW + timedelta(minutes=15))


def test_a_good_login_forgets_the_failures_before_it(access: Access) -> None:
    for _ in range(2):
        refusal(access, "reyes", "not the password")
    access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    for _ in range(2):
        refusal(access, "reyes", "not the password")
    assert access.log_in("reyes", PASSWORD, ADDRESS, NOW)


def test_lapsed_training_keeps_out_and_is_logged(access: Access, department: Department) -> None:
    before = timedelta(days=(date(2026, 6, 1) - NOW.date()).days)
    assert "training" in refusal(access, "reyes", PASSWORD, before)
    assert audited(department)[-1] == ("reyes", "login", "refused")
    assert "training" not in refusal(access, "reyes", "not the password", before)


def test_training_that_lapses_in_the_middle_of_a_session_ends_it(
    access: Access, department: Department
) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    assert access.session(token, NOW) is not None
    with writing(department.engine) as connection:
        connection.execute(update(accounts).values(training_expires=NOW.date()))
    assert access.session(token, NOW) is None


def test_a_disabled_account_is_out_at_once(access: Access, department: Department) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    change_account(department.engine, "reyes", actor="console:test", now=NOW, disabled=True)
    assert access.session(token, NOW) is None
    assert "disabled" in refusal(access, "reyes", PASSWORD)


def test_an_account_unused_for_ninety_days_is_closed(access: Access) -> None:
    assert "unused" in refusal(access, "chief", PASSWORD, timedelta(days=400))


def test_an_idle_session_is_over_and_a_used_one_is_not(access: Access) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    assert access.session(token, NOW + timedelta(minutes=29)) is not None
    assert access.session(token, NOW + timedelta(minutes=58)) is not None
    assert access.session(token, NOW + timedelta(minutes=88)) is None
    assert access.session(token, NOW + timedelta(minutes=59)) is None


def test_no_session_outlasts_a_shift(access: Access) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    for minutes in range(0, 12 * 60, 20):
        assert access.session(token, NOW + timedelta(minutes=minutes)) is not None
    assert access.session(token, NOW + timedelta(hours=12)) is None


def test_a_purpose_is_asked_for_again_after_a_while(access: Access) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    session = access.session(token, NOW)
    assert session is not None
    access.state_purpose(session, Purpose("stolen-vehicle", "26-1"), ADDRESS, NOW)
    seen = [access.session(token, NOW + timedelta(minutes=minutes)) for minutes in (20, 40, 60)]
    purposes = [session.purpose for session in seen if session is not None]
    assert purposes == [Purpose("stolen-vehicle", "26-1"), Purpose("stolen-vehicle", "26-1"), None]


def test_logging_out_ends_the_session(access: Access) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    session = access.session(token, NOW)
    assert session is not None
    access.log_out(session, ADDRESS, NOW)
    assert access.session(token, NOW) is None


def test_neither_password_nor_session_secret_stands_in_the_database(
    access: Access, department: Department
) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    with reading(department.engine) as connection:
        content = "".join(
            str(connection.execute(select(table)).all()) for table in metadata.tables.values()
        ).encode()
    if department.folder.database.is_file():
        content += department.folder.database.read_bytes()
    assert token.encode() not in content
    assert PASSWORD.encode() not in content
    with reading(department.engine) as connection:
        assert connection.execute(select(sessions.c.token_digest)).scalar_one()
        hashes = connection.execute(select(accounts.c.password_hash)).scalars().all()
    assert all(stored.startswith("$argon2id$") for stored in hashes)


def test_a_stolen_password_hash_is_costly_to_try() -> None:
    code = "from server.passwords import _hasher as h; print(h.type.name, h.time_cost, h.memory_cost)"
    kind, passes, kibibytes = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT).split()
    # OWASP's least for Argon2id: 19 MiB and two passes.
    assert (kind, int(passes) >= 2, int(kibibytes) >= 19 * 1024) == (b"ID", True, True)


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_a_password_too_short_or_too_long_is_not_taken(department: Department, password: str) -> None:
    with pytest.raises(SettingsInvalidError, match="12 to 256"):
        add_account(
            department.engine,
            "adams",
            Role.OFFICER,
            password,
            date(2099, 1, 1),
            actor="console:test",
            now=NOW,
        )


def test_a_name_is_given_once(department: Department) -> None:
    with pytest.raises(SettingsInvalidError, match="exists"):
        add_account(
            department.engine,
            "reyes",
            Role.ADMIN,
            PASSWORD,
            date(2099, 1, 1),
            actor="console:test",
            now=NOW,
        )
