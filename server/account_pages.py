"""Each person's own account: password, second factor, logins that are open."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from server.access import LoginRefusedError
from server.desk import SESSION_COOKIE, FromForm, LoggedIn, Text, Visit, set_cookie
from server.errors import SettingsInvalidError
from server.login_step_pages import sentence
from server.own_account import OwnAccount

router = APIRouter()


@router.get("/account")
def show_account(visit: LoggedIn) -> Response:
    """Show what the person can change of their own account."""
    return _account(visit)


@router.post("/account/password")
def change_password(visit: FromForm, old: Text = "", new: Text = "", again: Text = "") -> Response:
    """Take a new password in place of the old one; all other logins end."""
    try:
        if new != again:
            raise SettingsInvalidError("the two new passwords are not the same: type them again")
        token = _own(visit).change_password(old, new, visit.desk.clock())
    except (LoginRefusedError, SettingsInvalidError) as error:
        return _account(visit, 422, sentence(error))
    response = RedirectResponse("/account", 303)
    set_cookie(response, SESSION_COOKIE, token)
    return response


@router.post("/account/factor")
def begin_factor(visit: FromForm, password: Text = "", code: Text = "") -> Response:
    """Offer a second factor to who knows the password, and has the one before."""
    try:
        _own(visit).begin_factor(password, code, visit.desk.clock())
    except LoginRefusedError as error:
        return _account(visit, 422, str(error))
    return _offer(visit)


@router.post("/account/factor/confirm")
def confirm_factor(visit: FromForm, code: Text = "") -> Response:
    """Take up what was offered, and show its recovery codes, once; all other logins end."""
    try:
        made = visit.desk.access.confirm_factor(visit.session, code, visit.source, visit.desk.clock())
    except LoginRefusedError as error:
        return _offer(visit, 422, str(error))
    response = visit.show("account_codes.html", codes=made.recovery_codes)
    set_cookie(response, SESSION_COOKIE, made.token)
    return response


@router.post("/account/codes")
def renew_codes(visit: FromForm, code: Text = "") -> Response:
    """Show new recovery codes, once."""
    try:
        codes = _own(visit).renew_codes(code, visit.desk.clock())
    except LoginRefusedError as error:
        return _account(visit, 422, str(error))
    return visit.show("account_codes.html", codes=codes)


@router.post("/account/factor/off")
def take_off_factor(visit: FromForm, code: Text = "") -> Response:
    """Do without a second factor, where that is left open."""
    try:
        _own(visit).take_off(code, visit.desk.clock())
    except LoginRefusedError as error:
        return _account(visit, 422, str(error))
    return RedirectResponse("/account", 303)


@router.post("/account/sessions/end")
def end_session(visit: FromForm, session: Text = "") -> Response:
    """End one of the person's own logins, or all others if none is named."""
    if not session:
        _own(visit).end_others(visit.desk.clock())
    elif not _own(visit).end_session(session, visit.desk.clock()):
        return _account(visit, 422, "That login is over already.")
    return RedirectResponse("/account", 303)


def _own(visit: Visit) -> OwnAccount:
    return OwnAccount(visit.desk.access, visit.session, visit.source)


def _account(visit: Visit, status: int = 200, message: str = "") -> Response:
    visit.record("account.own")
    return _shown(visit, "account.html", status, message, own=_own(visit).shown(visit.desk.clock()))


def _offer(visit: Visit, status: int = 200, message: str = "") -> Response:
    try:
        offered = visit.desk.access.offer_factor(visit.session)
    except LoginRefusedError as error:
        return _account(visit, 422, str(error))
    return _shown(visit, "account_factor.html", status, message, offer=offered)


def _shown(visit: Visit, template: str, status: int, message: str, **values: Any) -> Response:
    return visit.show(template, status, message=message, **values)
