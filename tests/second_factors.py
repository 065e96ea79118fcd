"""People with second factors: their phones, and logins of a department that asks for codes."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import pyotp

from server.access import Access, LoginRefusedError, Role, Session, add_account, factors_of
from server.department import Department
from server.sessions import Step
from tests.departments import NOW, PASSWORD

ADDRESS = "192.0.2.1"
STEP = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Phone:
    """An authenticator that holds one secret."""

    secret: str

    def code(self, at: datetime) -> str:
        """What it shows at *at*."""
        return pyotp.TOTP(self.secret).at(at)


def an_access(department: Department, second_factor: str = "required", **settings: int) -> Access:
    """Return the logins of *department*."""
    chosen = replace(department.settings.access, second_factor=second_factor, **settings)
    return Access(
        department.engine, chosen, factors_of(department.engine, department.folder), "Example Police"
    )


def an_officer(department: Department, name: str = "reyes", role: Role = Role.OFFICER) -> None:
    """Add somebody with the invented password."""
    add_account(department.engine, name, role, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW)


def standing(access: Access, token: str, now: datetime = NOW) -> Session:
    """Return the session of *token*, however far it got."""
    found = access.standing(token, now)
    assert found is not None
    return found


def enrolled(access: Access, name: str = "reyes", now: datetime = NOW) -> tuple[Phone, tuple[str, ...]]:
    """Enrol *name* at the first login; return the phone and the recovery codes."""
    session = standing(access, access.log_in(name, PASSWORD, ADDRESS, now), now)
    assert session.step is Step.ENROL
    phone = Phone(access.offer_factor(session).secret)
    made = access.confirm_factor(session, phone.code(now), ADDRESS, now)
    assert access.session(made.token, now) is not None
    return phone, made.recovery_codes


def at_code(access: Access, name: str = "reyes", now: datetime = NOW) -> Session:
    """Return a login of *name* that asks for a code."""
    session = standing(access, access.log_in(name, PASSWORD, ADDRESS, now), now)
    assert session.step is Step.CODE
    return session


def gets_in(access: Access, session: Session, code: str, now: datetime) -> bool:
    """Whether *code* makes the login of *session* whole."""
    try:
        return access.session(access.give_code(session, code, ADDRESS, now), now) is not None
    except LoginRefusedError:
        return False
