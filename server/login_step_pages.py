"""The pages between a right password and a whole login: code, own password, enrolment of a second factor.

Each is open at its own step alone; whoever is further along is led on, whoever is not there yet led back.
"""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from server.access import LoginRefusedError
from server.desk import (
    SESSION_COOKIE,
    FromHalfForm,
    HalfIn,
    StepNeededError,
    Text,
    Visit,
    set_cookie,
    shown,
)
from server.errors import SettingsInvalidError
from server.sessions import Step

STEP_PATHS = {step: f"/login/{step.value}" for step in Step}
"""Where each step's page is."""

router = APIRouter()


@router.get("/login/code")
def show_code(visit: HalfIn) -> Response:
    """Ask for a code of the second factor."""
    return _at(visit, Step.CODE) or _page(visit, "login_code.html")


@router.post("/login/code")
def take_code(visit: FromHalfForm, code: Text = "") -> Response:
    """Take the code, or say no more than that it was not good."""
    if elsewhere := _at(visit, Step.CODE):
        return elsewhere
    try:
        token = visit.desk.access.give_code(visit.session, code, visit.source, visit.desk.clock())
    except LoginRefusedError as error:
        return _page(visit, "login_code.html", 401, message=str(error))
    return _on(token)


@router.get("/login/password")
def show_password(visit: HalfIn) -> Response:
    """Ask for a password of the person's own."""
    return _at(visit, Step.RENEW) or _page(visit, "login_password.html")


@router.post("/login/password")
def choose_password(visit: FromHalfForm, password: Text = "", again: Text = "") -> Response:
    """Take it in place of the one that another person gave."""
    if elsewhere := _at(visit, Step.RENEW):
        return elsewhere
    try:
        if password != again:
            raise SettingsInvalidError("the two are not the same: type it again")
        token = visit.desk.access.choose_password(visit.session, password, visit.source, visit.desk.clock())
    except (LoginRefusedError, SettingsInvalidError) as error:
        return _page(visit, "login_password.html", 422, message=sentence(error))
    return _on(token)


@router.get("/login/enrol")
def show_enrolment(visit: HalfIn) -> Response:
    """Offer a second factor."""
    return _at(visit, Step.ENROL) or _enrolment(visit)


@router.post("/login/enrol")
def enrol(visit: FromHalfForm, code: Text = "") -> Response:
    """Take up the second factor that was offered, and show its recovery codes, once."""
    if elsewhere := _at(visit, Step.ENROL):
        return elsewhere
    access = visit.desk.access
    try:
        made = access.confirm_factor(visit.session, code, visit.source, visit.desk.clock())
    except LoginRefusedError as error:
        return _enrolment(visit, 422, str(error))
    response = _page(visit, "login_recovery.html", codes=made.recovery_codes)
    set_cookie(response, SESSION_COOKIE, made.token)
    return response


def sentence(error: Exception) -> str:
    """Return what *error* says as a sentence for a page."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _enrolment(visit: Visit, status: int = 200, message: str = "") -> Response:
    try:
        offered = visit.desk.access.offer_factor(visit.session)
    except LoginRefusedError as error:
        return _page(visit, "message.html", 503, title="Not available", message=str(error))
    return _page(visit, "login_enrol.html", status, message=message, offer=offered)


def _at(visit: Visit, step: Step) -> Response | None:
    """Return where to go if the visit is not at *step*."""
    if visit.session.step is None:
        return RedirectResponse("/", 303)
    if visit.session.step is not step:
        raise StepNeededError(visit.session.step)
    return None


def _page(visit: Visit, template: str, status: int = 200, **values: Any) -> Response:
    # Without the session: such a page has no bar that leads anywhere.
    given = {"message": "", "form_token": visit.session.form_token, "account": visit.session.account}
    return shown(visit.desk, template, status, **{**given, **values})


def _on(token: str) -> Response:
    response = RedirectResponse("/", 303)
    set_cookie(response, SESSION_COOKIE, token)
    return response
