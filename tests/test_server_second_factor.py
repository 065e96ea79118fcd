"""Second factors: what is taken, what is refused, what is written down, what a thief has."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from server.access import Access, LoginRefusedError, factors_of
from server.accounts import change_account
from server.database import reading, writing
from server.department import Department
from server.errors import SettingsInvalidError
from server.second_factor import (
    KEY_FILE,
    FactorKey,
    FactorLostError,
    matching_step,
    offer,
    recovery_codes,
    step_of,
)
from server.sessions import Session, Step
from server.tables import accounts, metadata
from tests.databases import Database
from tests.departments import NOW, PASSWORD, audited
from tests.second_factors import (
    ADDRESS,
    STEP,
    Phone,
    an_access,
    an_officer,
    at_code,
    enrolled,
    gets_in,
    standing,
)

# Of RFC 6238, appendix B: the last six of its eight digits.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = ((59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (20000000000, "353130"))


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    an_officer(made)
    yield made
    made.engine.dispose()


@pytest.fixture
def access(department: Department) -> Access:
    return an_access(department, lockout_failures=5)


@pytest.mark.parametrize(("seconds", "code"), RFC_CODES)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert matching_step(RFC_SECRET, code, datetime.fromtimestamp(seconds, UTC)) == seconds // 30


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_phone_may_be_half_a_minute_off_and_no_more(access: Access, steps: int, taken: bool) -> None:
    phone, _ = enrolled(access)
    later = NOW + timedelta(hours=1)
    assert gets_in(access, at_code(access, now=later), phone.code(later + steps * STEP), later) is taken


def test_nobody_gets_in_before_they_are_enrolled_where_it_is_required(access: Access) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    assert access.session(token, NOW) is None
    assert standing(access, token).step is Step.ENROL


def test_where_it_is_optional_a_code_is_asked_of_who_has_one_alone(department: Department) -> None:
    phone, _ = enrolled(an_access(department))
    access = an_access(department, "optional")
    assert access.session(access.log_in("chief", PASSWORD, ADDRESS, NOW), NOW) is not None
    later = NOW + STEP
    assert gets_in(access, at_code(access, now=later), phone.code(later), later)


def test_a_password_alone_opens_nothing_once_there_is_a_second_factor(
    access: Access, department: Department
) -> None:
    enrolled(access)
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    assert access.session(token, NOW) is None
    assert audited(department)[-1] == ("reyes", "login.step", "success")
    without_key = Access(department.engine, access.settings)
    assert not gets_in(without_key, at_code(without_key), "123456", NOW)


def test_the_code_that_enrolled_does_not_log_in(access: Access) -> None:
    phone, _ = enrolled(access)
    assert not gets_in(access, at_code(access), phone.code(NOW), NOW)


def test_a_code_is_taken_once_and_none_before_it(access: Access) -> None:
    phone, _ = enrolled(access)
    later = NOW + timedelta(hours=1)
    assert gets_in(access, at_code(access, now=later), phone.code(later), later)
    assert not gets_in(access, at_code(access, now=later), phone.code(later), later)
    assert not gets_in(access, at_code(access, now=later), phone.code(later - STEP), later)
    assert gets_in(access, at_code(access, now=later), phone.code(later + STEP), later)


def test_a_clock_that_is_set_back_brings_no_code_back(access: Access) -> None:
    phone, codes = enrolled(access)
    later = NOW + timedelta(hours=3)
    assert gets_in(access, at_code(access, now=later), phone.code(later), later)
    back = NOW + timedelta(hours=2)
    assert not gets_in(access, at_code(access, now=back), phone.code(back), back)
    assert gets_in(access, at_code(access, now=back), codes[0], back)


def together(count: int, *deeds: tuple[Access, Session, str]) -> list[bool]:
    """What becomes of *count* requests with the same code at the same moment."""
    barrier, later = Barrier(count), NOW + timedelta(hours=1)

    def give(number: int) -> bool:
        access, session, code = deeds[number % len(deeds)]
        barrier.wait()
        return gets_in(access, session, code, later)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(give, range(count)))


def test_of_two_requests_with_one_code_at_the_same_moment_one_gets_in(
    access: Access, department: Department
) -> None:
    phone, codes = enrolled(access)
    later = NOW + timedelta(hours=1)
    beside = an_access(department)  # as of another process
    for code in (phone.code(later), codes[0]):
        two = [(each, at_code(each, now=later), code) for each in (access, beside)]
        assert sorted(together(2, *two)) == [False, True]
    one = (access, at_code(access, now=later), codes[1])
    assert sorted(together(2, one)) == [False, True]


def test_wrong_codes_at_the_same_moment_are_all_counted(access: Access, department: Department) -> None:
    phone, _ = enrolled(access)
    later = NOW + timedelta(hours=1)
    session = at_code(access, now=later)
    assert together(5, (access, session, "000000")) == [False] * 5
    with reading(department.engine) as connection:
        locked = connection.execute(
            select(accounts.c.locked_until).where(accounts.c.name == "reyes")
        ).scalar_one()
    assert locked is not None
    assert not gets_in(access, session, phone.code(later), later)


def test_codes_cannot_be_tried_on_and_on_by_who_knows_the_password(access: Access) -> None:
    phone, codes = enrolled(access)
    later = NOW + timedelta(hours=1)
    answers = set()
    for number in range(5):
        # A new login each time: the right password forgets no wrong code.
        session = at_code(access, now=later)
        with pytest.raises(LoginRefusedError) as caught:
            access.give_code(session, f"{number:06}", ADDRESS, later)
        answers.add(str(caught.value))
    for code in (phone.code(later), codes[0]):
        with pytest.raises(LoginRefusedError) as caught:
            access.give_code(session, code, ADDRESS, later)
        answers.add(str(caught.value))
    assert len(answers) == 1, "a wrong code and a lock are told alike"
    with pytest.raises(LoginRefusedError):
        access.log_in("reyes", PASSWORD, ADDRESS, later)
    after = later + timedelta(minutes=15)
    assert gets_in(access, at_code(access, now=after), phone.code(after), after)


def test_each_recovery_code_lets_in_once_however_it_is_written(access: Access) -> None:
    _, codes = enrolled(access)
    assert len(set(codes)) == 10
    assert gets_in(access, at_code(access), codes[0].lower().replace("-", " "), NOW)
    assert not gets_in(access, at_code(access), codes[0], NOW)
    assert gets_in(access, at_code(access), codes[1], NOW)


def test_each_step_has_a_session_of_its_own(access: Access) -> None:
    phone, _ = enrolled(access)
    later = NOW + timedelta(hours=1)
    first = access.log_in("reyes", PASSWORD, ADDRESS, later)
    session = standing(access, first, later)
    second = access.give_code(session, phone.code(later), ADDRESS, later)
    assert first != second
    assert access.standing(first, later) is None, "who planted the first has nothing of the second"
    whole = access.session(second, later)
    assert whole is not None and whole.form_token != session.form_token


def test_a_login_that_is_not_whole_runs_out_and_counts_as_no_use(
    access: Access, department: Department
) -> None:
    enrolled(access)
    later = NOW + timedelta(days=80)
    token = access.log_in("reyes", PASSWORD, ADDRESS, later)
    assert access.standing(token, later + timedelta(minutes=10)) is None
    with pytest.raises(LoginRefusedError, match="unused"):
        access.log_in("reyes", PASSWORD, ADDRESS, NOW + timedelta(days=91))


def test_a_code_for_a_session_of_another_step_does_nothing(access: Access) -> None:
    phone, _ = enrolled(access)
    later = NOW + timedelta(hours=1)
    session = at_code(access, now=later)
    with pytest.raises(LoginRefusedError):
        access.choose_password(session, "four words of mine alone", ADDRESS, later)
    with pytest.raises(LoginRefusedError):
        access.offer_factor(session)
    with pytest.raises(LoginRefusedError):
        access.confirm_factor(session, phone.code(later), ADDRESS, later)


def test_an_offer_is_the_same_until_it_is_confirmed_and_never_seen_after(access: Access) -> None:
    token = access.log_in("reyes", PASSWORD, ADDRESS, NOW)
    session = standing(access, token)
    offered = access.offer_factor(session)
    assert access.offer_factor(session) == offered
    with pytest.raises(LoginRefusedError, match="does not fit"):
        access.confirm_factor(session, "000000", ADDRESS, NOW)
    phone = Phone(offered.secret)
    made = access.confirm_factor(session, phone.code(NOW), ADDRESS, NOW)
    whole = access.session(made.token, NOW)
    assert whole is not None
    for each in (session, whole):
        with pytest.raises(LoginRefusedError):
            access.offer_factor(each)


def test_of_two_that_enrol_at_the_same_moment_one_does(access: Access) -> None:
    sessions = [standing(access, access.log_in("reyes", PASSWORD, ADDRESS, NOW)) for _ in range(2)]
    phones = [Phone(access.offer_factor(session).secret) for session in sessions]
    barrier = Barrier(2)

    def confirm(number: int) -> bool:
        barrier.wait()
        try:
            access.confirm_factor(sessions[number], phones[number].code(NOW), ADDRESS, NOW)
        except LoginRefusedError:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(confirm, range(2))) == [False, True]


def test_a_one_time_password_is_changed_after_the_code_and_before_all_else(
    access: Access, department: Department
) -> None:
    phone, _ = enrolled(access)
    with writing(department.engine) as connection:
        connection.execute(update(accounts).values(one_time_until=NOW + timedelta(days=7)))
    later = NOW + timedelta(hours=1)
    token = access.give_code(at_code(access, now=later), phone.code(later), ADDRESS, later)
    session = standing(access, token, later)
    assert session.step is Step.RENEW and access.session(token, later) is None
    for bad in (PASSWORD, "reyes-reyes-reyes", "short"):
        with pytest.raises(SettingsInvalidError):
            access.choose_password(session, bad, ADDRESS, later)
    token = access.choose_password(session, "seven green lamps over water", ADDRESS, later)
    assert access.session(token, later) is not None
    with pytest.raises(LoginRefusedError, match="Name or password"):
        access.log_in("reyes", PASSWORD, ADDRESS, later)


def test_a_one_time_password_runs_out(access: Access, department: Department) -> None:
    with writing(department.engine) as connection:
        connection.execute(update(accounts).values(one_time_until=NOW + timedelta(days=7)))
    with pytest.raises(LoginRefusedError, match="ran out"):
        access.log_in("reyes", PASSWORD, ADDRESS, NOW + timedelta(days=7))


def test_a_stolen_database_gives_no_second_factor(access: Access, department: Department) -> None:
    token = access.log_in("chief", PASSWORD, ADDRESS, NOW)
    pending = access.offer_factor(standing(access, token)).secret
    phone, codes = enrolled(access)
    with reading(department.engine) as connection:
        tables = [repr(connection.execute(select(table)).all()) for table in metadata.tables.values()]
    content = "".join(tables)
    if department.folder.database.is_file():
        content += department.folder.database.read_bytes().decode("latin-1")
    for secret in (phone.secret, pending, *codes, *(code.replace("-", "") for code in codes)):
        assert secret not in content


def test_a_factor_that_is_copied_to_another_account_opens_nothing(
    access: Access, department: Department
) -> None:
    phone, _ = enrolled(access)
    with writing(department.engine) as connection:
        sealed = connection.execute(
            select(accounts.c.factor_sealed).where(accounts.c.name == "reyes")
        ).scalar_one()
        connection.execute(
            update(accounts).where(accounts.c.name == "chief").values(factor_sealed=sealed, factor_step=0)
        )
    later = NOW + timedelta(hours=1)
    assert not gets_in(access, at_code(access, "chief", later), phone.code(later), later)


def test_a_lost_key_is_told_and_not_replaced(access: Access, department: Department) -> None:
    enrolled(access)
    (department.folder.keys / KEY_FILE).unlink()
    with pytest.raises(SettingsInvalidError, match="restore it from the backup"):
        factors_of(department.engine, department.folder)
    assert not (department.folder.keys / KEY_FILE).exists()


def test_a_server_with_another_key_than_the_accounts_were_enrolled_with_does_not_start(
    access: Access, department: Department
) -> None:
    phone, _ = enrolled(access)
    key = department.folder.keys / KEY_FILE
    key.write_bytes(bytes(32))
    with pytest.raises(SettingsInvalidError, match="another key"):
        factors_of(department.engine, department.folder)
    # One that started before anybody enrolled locks nobody out by it.
    other = Access(department.engine, access.settings, FactorKey(bytes(32)), "Example Police")
    later = NOW + timedelta(hours=1)
    session = at_code(access, now=later)
    for _ in range(access.settings.lockout_failures):
        assert not gets_in(other, session, phone.code(later), later)
    assert gets_in(access, session, phone.code(later), later)


def test_the_key_is_its_owners_alone(department: Department) -> None:
    an_access(department)
    assert (department.folder.keys / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_login_with_a_second_factor_stands_in_the_access_log(access: Access, department: Department) -> None:
    phone, _ = enrolled(access)
    later = NOW + timedelta(hours=1)
    session = at_code(access, now=later)
    gets_in(access, session, "000000", later)
    gets_in(access, session, phone.code(later), later)
    assert [entry[1:] for entry in audited(department) if entry[0] == "reyes"] == [
        ("login.step", "success"),
        ("factor.enrol", "success"),
        ("login", "success"),
        ("login.step", "success"),
        ("login", "refused"),
        ("login", "success"),
    ]


def test_an_account_that_is_changed_meanwhile_is_out(access: Access, department: Department) -> None:
    phone, _ = enrolled(access)
    session = at_code(access)
    change_account(department.engine, "reyes", actor="console:test", now=NOW, disabled=True)
    with pytest.raises(LoginRefusedError):
        access.give_code(session, phone.code(NOW + STEP), ADDRESS, NOW + STEP)


@given(st.text(max_size=80))
def test_no_text_is_a_code_but_the_code(text: str) -> None:
    code = Phone(RFC_SECRET).code(NOW)
    near = {Phone(RFC_SECRET).code(NOW + step * STEP) for step in (-1, 0, 1)}
    found = matching_step(RFC_SECRET, text, NOW)
    digits = "".join(each for each in text.upper() if each.isascii() and each.isalnum())
    assert (found is not None) == (digits in near)
    assert matching_step(RFC_SECRET, f" {code[:3]} {code[3:]}", NOW) == step_of(NOW)


@given(st.binary(max_size=80))
def test_what_was_not_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(FactorLostError):
        FactorKey(bytes(32)).open("reyes", sealed)


@given(st.text(min_size=1, max_size=64))
def test_the_picture_holds_no_text_of_the_department(name: str) -> None:
    made = offer(RFC_SECRET, "reyes", name)
    drawn = str(made.picture)
    assert drawn.startswith("<svg") and drawn.count("<") == drawn.count(">")
    assert RFC_SECRET not in drawn and "script" not in drawn and "style" not in drawn
    assert RFC_SECRET not in repr(made)


def test_recovery_codes_are_hard_to_guess() -> None:
    codes = recovery_codes()
    assert all(len(code.replace("-", "")) == 16 for code in codes)
    assert len({FactorKey(bytes(32)).digest("reyes", code) for code in codes}) == 10
    assert FactorKey(bytes(32)).digest("reyes", codes[0]) != FactorKey(bytes(32)).digest("chief", codes[0])
