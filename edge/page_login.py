"""The pages on which a person logs in, unlocks, and ends the shift."""

import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge.page_accounts import LoginRefusedError, same_secret
from edge.page_desk import (
    MAY,
    SESSION_COOKIE,
    Desk,
    LoginNeededError,
    NotPermittedError,
    Visit,
    desk_of,
    drop_cookie,
    see,
    set_cookie,
    shown,
    visited,
)
from edge.page_hits import hits_of_shift
from edge.page_web import form_of

_LOGIN_COOKIE = "__Host-alpr-unit-login"


def front(visit: Visit, _: Request) -> Response:
    """Lead to the first page of the person's role."""
    return see("/now" if visit.session.role in MAY["hits"] else "/status")


async def login(request: Request) -> Response:
    """Show the use banner (CJIS AC-8) and the login form."""
    return _login_page(desk_of(request))


async def log_in(request: Request) -> Response:
    """Begin a session, or say no more than the person may know."""
    desk, form = desk_of(request), await form_of(request)
    expected = request.cookies.get(_LOGIN_COOKIE, "")
    if not expected or not same_secret(form.get("form_token", ""), expected):
        return _login_page(desk, "The page was open for too long. Please log in again.", 403)
    status = desk.board.shown.status
    reads = 0 if status is None else status.reads
    try:
        token = desk.accounts.log_in(form.get("name", ""), form.get("password", ""), reads)
    except LoginRefusedError as error:
        return _login_page(desk, str(error), 401)
    response = see("/")
    drop_cookie(response, _LOGIN_COOKIE)
    set_cookie(response, SESSION_COOKIE, token)
    return response


async def locked(request: Request) -> Response:
    """Ask for the password of who was here; leads to the login if nobody was."""
    return _unlock_page(request)


async def unlock(request: Request) -> Response:
    """Go on where the person was."""
    desk, form = desk_of(request), await form_of(request)
    token = request.cookies.get(SESSION_COOKIE, "")
    session = desk.accounts.session(token, use=False)
    if session is None:
        raise LoginNeededError
    if not same_secret(form.get("form_token", ""), session.form_token):
        raise NotPermittedError("This form did not come from your own page. Go back and send it again.")
    if not session.locked:
        return see(session.place)
    try:
        fresh = desk.accounts.unlock(token, form.get("password", ""))
    except LoginRefusedError as error:
        return _unlock_page(request, str(error), 401)
    response = see(session.place)
    set_cookie(response, SESSION_COOKIE, fresh)
    return response


async def version(request: Request) -> Response:
    """Tell the page's script whether there is something new. It names nothing and keeps no session awake."""
    desk = desk_of(request)
    session = desk.accounts.session(request.cookies.get(SESSION_COOKIE, ""), use=False)
    over = session is None or session.locked
    return JSONResponse({"over": over, "version": 0 if over else desk.board.shown.version})


def summary(visit: Visit, _: Request) -> Response:
    """Show what the shift came to, before it is ended."""
    visit.record("shift.view")
    return visit.show("summary.html", summary=_summary(visit), open_hits=_open(visit))


def log_out(visit: Visit, _: Request) -> Response:
    """End the session."""
    told = _summary(visit)
    visit.desk.accounts.log_out(visit.token, told)
    response = shown(visit.desk, "ended.html", summary=told)
    drop_cookie(response, SESSION_COOKIE)
    return response


async def log_out_locked(request: Request) -> Response:
    """End a session that nobody can unlock: the next shift's, on a laptop that was left on."""
    desk, form = desk_of(request), await form_of(request)
    token = request.cookies.get(SESSION_COOKIE, "")
    session = desk.accounts.session(token, use=False)
    if session is not None and same_secret(form.get("form_token", ""), session.form_token):
        desk.accounts.log_out(token, {"how": "from the lock"})
    response = see("/login")
    drop_cookie(response, SESSION_COOKIE)
    return response


def palette(visit: Visit, _: Request) -> Response:
    """Turn the night palette on or off for this session."""
    visit.record("setting.change", detail={"night": str(not visit.session.night).lower()})
    visit.desk.accounts.change(visit.token, night=not visit.session.night)
    return see(visit.session.place)


ROUTES = [
    Route("/", visited("", front)),
    Route("/login", login),
    Route("/login", log_in, methods=["POST"]),
    Route("/unlock", locked),
    Route("/unlock", unlock, methods=["POST"]),
    Route("/end", log_out_locked, methods=["POST"]),
    Route("/version", version),
    Route("/logout", visited("", summary)),
    Route("/logout", visited("", log_out), methods=["POST"]),
    Route("/palette", visited("", palette), methods=["POST"]),
]


def _summary(visit: Visit) -> dict[str, str]:
    """What the shift came to, each figure with its name, as it is shown and logged."""
    desk, status = visit.desk, visit.desk.board.shown.status
    alerts = [each for each in hits_of_shift(visit) if each.raised_at >= visit.session.started_at]
    verified = sum(desk.ladder(each).disposition is not None for each in alerts)
    told = {
        "logged in since": f"{visit.session.started_at:%Y-%m-%d %H:%M}Z",
        "reads": "not known" if status is None else str(max(0, status.reads - visit.session.reads_before)),
        "hits told": str(len(alerts)),
        "verified": str(verified),
        "unverified": str(len(alerts) - verified),
    }
    if status is not None:
        told["reads waiting for transfer"] = str(status.transfer.queued)
        told["days left to transfer"] = f"{status.transfer.days_left:.1f}"
    return told


def _open(visit: Visit) -> int:
    return sum(visit.desk.ladder(each).disposition is None for each in hits_of_shift(visit))


def _login_page(desk: Desk, message: str = "", status: int = 200) -> Response:
    token = secrets.token_urlsafe(32)
    response = shown(
        desk, "login.html", status, message=message, closed=desk.accounts.closed, form_token=token
    )
    set_cookie(response, _LOGIN_COOKIE, token)
    return response


def _unlock_page(request: Request, message: str = "", status: int = 200) -> Response:
    desk = desk_of(request)
    session = desk.accounts.session(request.cookies.get(SESSION_COOKIE, ""), use=False)
    if session is None:
        raise LoginNeededError
    if not session.locked:
        return see(session.place)
    return shown(
        desk, "unlock.html", status, message=message, name=session.name, form_token=session.form_token
    )
