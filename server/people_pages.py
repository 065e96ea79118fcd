"""The department's accounts, for administrators: `people` on pages.

A person's name travels in forms, never in an address. What is shown once, a one-time password, stands in the
answer to its form and nowhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from server.accounts import ONE_TIME_DAYS, Course
from server.actors import Actor
from server.desk import FromForm, LoggedIn, Text, Visit
from server.errors import NotPermittedError, SettingsInvalidError
from server.login_step_pages import sentence
from server.people import AccountChangedError, AccountRefusedError, People
from server.roles import Role

router = APIRouter()


@dataclass(frozen=True, slots=True)
class At:
    """One visit of an administrator."""

    visit: Visit
    people: People
    actor: Actor
    now: datetime


def _at(visit: LoggedIn) -> At:
    return _permitted(visit)


def _at_form(visit: FromForm) -> At:
    return _permitted(visit)


def _permitted(visit: Visit) -> At:
    if visit.session.role is not Role.ADMIN:
        raise NotPermittedError("Accounts are looked after by administrators.", action="accounts.list")
    people = People(visit.desk.engine, visit.desk.access.settings, visit.desk.department.name)
    return At(visit, people, visit.actor, visit.desk.clock())


Looking = Annotated[At, Depends(_at)]
Doing = Annotated[At, Depends(_at_form)]


@router.get("/accounts")
def show_accounts(at: Looking) -> Response:
    """Show everybody."""
    return _all(at)


@router.post("/accounts")
def add_account(
    at: Doing,
    *,
    name: Text = "",
    role: Text = "",
    course: Text = "",
    held_on: Text = "",
    expires: Text = "",
) -> Response:
    """Make an account, and show its one-time password, once."""
    given = {"name": name, "role": role, "course": course, "held_on": held_on, "expires": expires}
    try:
        password = at.people.add(
            name.strip(),
            _role(role),
            _course(course, held_on, expires),
            actor=at.actor,
            now=at.now,
        )
    except SettingsInvalidError as error:
        return _all(at, 422, sentence(error), given)
    return _one(at, name.strip(), password=password)


@router.post("/accounts/show")
def show_account(at: Doing, name: Text = "") -> Response:
    """Show one person's account, with the history of their training."""
    return _one(at, name)


@router.post("/accounts/role")
def change_role(at: Doing, name: Text = "", role: Text = "") -> Response:
    """Give another role, or ask for it where another administrator must approve."""
    return _do(at, name, lambda: at.people.change_role(name, _role(role), at.actor, at.now))


@router.post("/accounts/approve")
def approve_role(at: Doing, name: Text = "", role: Text = "", asked_at: Text = "") -> Response:
    """Approve of what another administrator asked for, as the page with the form showed it."""
    return _do(at, name, lambda: at.people.approve(name, at.actor, at.now, role=role, asked_at=asked_at))


@router.post("/accounts/refuse")
def refuse_role(at: Doing, name: Text = "") -> Response:
    """Leave the role as it is."""
    return _do(at, name, lambda: at.people.refuse(name, at.actor, at.now))


@router.post("/accounts/training")
def record_training(
    at: Doing, name: Text = "", course: Text = "", held_on: Text = "", expires: Text = ""
) -> Response:
    """Record a training."""
    return _do(at, name, lambda: at.people.train(name, _course(course, held_on, expires), at.actor, at.now))


@router.post("/accounts/password")
def reset_password(at: Doing, name: Text = "") -> Response:
    """Give a one-time password, and show it, once."""
    try:
        password = at.people.reset_password(name, at.actor, at.now)
    except SettingsInvalidError as error:
        return _one(at, name, 422, sentence(error))
    return _one(at, name, password=password)


@router.post("/accounts/factor")
def reset_factor(at: Doing, name: Text = "") -> Response:
    """Take a person's second factor off: the phone is lost or new."""
    return _do(at, name, lambda: at.people.reset_factor(name, at.actor, at.now))


@router.post("/accounts/disable")
def disable(at: Doing, name: Text = "") -> Response:
    """Close an account at once."""
    return _do(at, name, lambda: at.people.disable(name, at.actor, at.now))


@router.post("/accounts/enable")
def enable(at: Doing, name: Text = "") -> Response:
    """Open an account again, or lift its lock."""
    return _do(at, name, lambda: at.people.enable(name, at.actor, at.now))


def _do(at: At, name: str, deed: Callable[[], object]) -> Response:
    try:
        deed()
    except SettingsInvalidError as error:
        status = 409 if isinstance(error, AccountChangedError) else 422
        return _one(at, name, status, sentence(error))
    return _one(at, name, done=True)


def _all(at: At, status: int = 200, message: str = "", given: dict[str, str] | None = None) -> Response:
    empty = dict.fromkeys(("name", "role", "course", "held_on", "expires"), "")
    found = at.people.all(at.actor, at.now)
    return at.visit.show(
        "accounts.html",
        status,
        people=found,
        message=message,
        given=given or empty,
        **_common(at),
    )


def _one(
    at: At, name: str, status: int = 200, message: str = "", *, password: str = "", done: bool = False
) -> Response:
    try:
        person, history = at.people.one(name, at.actor, at.now)
    except SettingsInvalidError as error:
        return _all(at, 422 if status == 200 else status, message or sentence(error))
    return at.visit.show(
        "accounts_one.html",
        status,
        person=person,
        history=history,
        message=message,
        password=password,
        done=done,
        is_own=at.actor.is_person(name),
        is_asker=at.actor.is_person(person.wanted_by),
        **_common(at),
    )


def _common(at: At) -> dict[str, Any]:
    return {
        "roles": tuple(Role),
        "idle_days": at.people.settings.idle_account_days,
        "factor_required": at.people.settings.second_factor == "required",
        "one_time_days": ONE_TIME_DAYS,
    }


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise AccountRefusedError("pick a role of the list") from None


def _course(name: str, held_on: str, expires: str) -> Course:
    held = _day("Held on", held_on) if held_on.strip() else None
    return Course(name, held, _day("Lapses on", expires))


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise AccountRefusedError(f"{name}: write the day as 2027-03-31") from None
