"""The pages on which a person logs in and out, and says why they look at reads."""

import secrets

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from server.access import LoginRefusedError, same_secret
from server.desk import (
    SESSION_COOKIE,
    Desk,
    FromForm,
    FromHalfForm,
    LoggedIn,
    Text,
    desk_of,
    drop_cookie,
    set_cookie,
    shown,
    source_of,
)
from server.purposes import PURPOSES, stated_purpose

_LOGIN_COOKIE = "__Host-alpr-login"

router = APIRouter()


@router.get("/")
def front(_: LoggedIn) -> Response:
    """Lead to the first page."""
    return RedirectResponse("/units", 303)


@router.get("/login")
def login(request: Request) -> Response:
    """Show the use banner (CJIS AC-8) and the login form."""
    return _login_page(desk_of(request))


@router.post("/login")
def log_in(request: Request, name: Text = "", password: Text = "", form_token: Text = "") -> Response:
    """Begin a session, or say no more than the person may know."""
    desk = desk_of(request)
    expected = request.cookies.get(_LOGIN_COOKIE, "")
    if not expected or not same_secret(form_token, expected):
        return _login_page(desk, "The page was open for too long. Please log in again.", 403)
    try:
        token = desk.access.log_in(name, password, source_of(request), desk.clock())
    except LoginRefusedError as error:
        return _login_page(desk, str(error), 401)
    response = RedirectResponse("/units", 303)
    drop_cookie(response, _LOGIN_COOKIE)
    set_cookie(response, SESSION_COOKIE, token)
    return response


@router.post("/logout")
def log_out(visit: FromHalfForm) -> Response:
    """End the session, however far its login got."""
    visit.desk.access.log_out(visit.session, visit.source, visit.desk.clock())
    response = RedirectResponse("/login", 303)
    drop_cookie(response, SESSION_COOKIE)
    return response


@router.get("/purpose")
def purpose(visit: LoggedIn) -> Response:
    """Ask why the person looks at reads."""
    return visit.show("purpose.html", purposes=PURPOSES, message="", code="", case_number="")


@router.post("/purpose")
def state_purpose(visit: FromForm, code: Text = "", case_number: Text = "") -> Response:
    """Take the purpose into the session and the access log."""
    try:
        stated = stated_purpose(code, case_number)
    except ValueError as error:
        again = {"purposes": PURPOSES, "message": str(error), "code": code, "case_number": case_number}
        return visit.show("purpose.html", 422, **again)
    visit.desk.access.state_purpose(visit.session, stated, visit.source, visit.desk.clock())
    return RedirectResponse("/reads", 303)


def _login_page(desk: Desk, message: str = "", status: int = 200) -> Response:
    token = secrets.token_urlsafe(32)
    response = shown(desk, "login.html", status, message=message, form_token=token)
    set_cookie(response, _LOGIN_COOKIE, token)
    return response
