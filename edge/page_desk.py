"""Who is at the laptop: each request for a page as one visit of one person who is logged in.

Nothing is shown before its entry of the access log is on the disk: a page first records, then shows.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from edge.access_log import AccessLog
from edge.clock import Clock
from edge.incident import Incidents
from edge.page_accounts import Accounts, Session, same_secret
from edge.page_board import Board
from edge.page_config import PageConfig
from edge.page_web import form_of, page
from edge.window import WindowRead
from hotlist_cache.hit import Alert
from hotlist_cache.local import LocalBook
from hotlist_cache.verification import Ladder
from sync.access_log import Deed
from sync.config import RetentionConfig
from sync.purposes import label_of
from sync.roster import Role

# The prefix makes browsers insist on Secure, this host alone and the whole site.
SESSION_COOKIE = "__Host-alpr-unit"


class LocalWindow(Protocol):
    """The unit's own reads inside its local window; filled by `edge.window.Window`."""

    def search(self, text: str, *, since: datetime, until: datetime, limit: int = 50) -> list[WindowRead]: ...


class LoginNeededError(Exception):
    """Nobody is logged in: show the login page."""


class LockedError(Exception):
    """The session was idle for too long: ask for the password."""


class NotPermittedError(Exception):
    """The person's role does not open this, or the form is not of their own page: show the message."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the pages work with; the application holds it as `state.desk`."""

    unit_id: str
    config: PageConfig
    accounts: Accounts
    log: AccessLog
    board: Board
    window: LocalWindow
    book: Callable[[], AbstractContextManager[LocalBook]]
    """Gives the officers' entries, loaded, which nobody else may change meanwhile."""
    clock: Clock
    incidents: Incidents
    """What reads carry now."""
    retention: Callable[[], RetentionConfig]
    """How reads are kept now: a profile may change it in the middle of a shift."""
    ladders: dict[str, Ladder] = field(default_factory=dict)
    """By hit id."""

    def ladder(self, alert: Alert) -> Ladder:
        """Return what was answered on *alert* so far."""
        return self.ladders.get(alert.hit.hit_id, Ladder())


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of one person."""

    desk: Desk
    session: Session
    token: str = field(repr=False)
    form: Mapping[str, str]
    """What was filled in; empty where no form was sent."""

    def record(
        self,
        action: str,
        outcome: str = "success",
        *,
        purpose: str = "",
        case_number: str = "",
        detail: Mapping[str, str] | None = None,
        secret: Mapping[str, str] | None = None,
    ) -> None:
        """Write down what the person is about to see or did; *secret* is sealed to the department.

        Raises LogUnwritableError: then nothing may be shown.
        """
        self.desk.log.append(
            Deed(
                self.session.name,
                self.session.role.value,
                action,
                outcome,
                purpose,
                case_number,
                detail or {},
                secret or {},
            )
        )

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page with the person's name and navigation around it."""
        return shown(self.desk, template, status, session=self.session, **values)


def shown(
    desk: Desk, template: str, status: int = 200, session: Session | None = None, **values: Any
) -> Response:
    """Return a page; without a *session* it has no navigation."""
    common = {
        "unit": desk.unit_id,
        "session": session,
        "may": MAY,
        "purpose_label": label_of,
        "idle_s": int(desk.config.idle_lock_min * 60),
        "version": desk.board.shown.version,
        "incident": desk.incidents.current,
    }
    return page(template, status, **common, **values)


ANYBODY = frozenset(Role)
_PATROL = frozenset({Role.OFFICER, Role.SUPERVISOR})
MAY: dict[str, frozenset[Role]] = {
    "hits": _PATROL,
    "look up": _PATROL,
    "entries": _PATROL | {Role.ADMIN, Role.AUDITOR},
    "change entries": _PATROL,
    "approve": frozenset({Role.SUPERVISOR}),
    "incident": _PATROL,
    "status": ANYBODY,
    "log": frozenset({Role.ADMIN, Role.AUDITOR}),
}
"""What each role opens; the table stands in docs/decisions/0011-officers-page.md too."""

Handler = Callable[[Visit, Request], Response]


def visited(right: str, handler: Handler, *, place: str = "") -> Callable[[Request], Awaitable[Response]]:
    """Return *handler* as an endpoint for those logged in whose role has *right* ("" is everybody).

    A form must carry the session's own secret. *place* is where the person is led back to after a lock.
    Requests run one after the other in the page's one thread: nothing here is shared with another.
    """

    async def endpoint(request: Request) -> Response:
        desk = desk_of(request)
        token = request.cookies.get(SESSION_COOKIE, "")
        # What the page's own script asks for says nothing of whether a person is there.
        session = desk.accounts.session(token, use="auto" not in request.query_params)
        if session is None:
            raise LoginNeededError
        form: Mapping[str, str] = {}
        if request.method == "POST":
            form = await form_of(request)
            if not same_secret(form.get("form_token", ""), session.form_token):
                raise NotPermittedError(
                    "This form did not come from your own page. Go back and send it again."
                )
        if session.locked:
            raise LockedError
        visit = Visit(desk, session, token, form)
        if right and session.role not in MAY[right]:
            visit.record(f"{request.method} {request.url.path}"[:60], "refused", detail={"why": "role"})
            raise NotPermittedError(f"A {session.role.value} may not open this page.")
        if place and session.place != place:
            desk.accounts.change(token, place=place)
        return handler(visit, request)

    return endpoint


def desk_of(request: Request) -> Desk:
    """Return the desk of the application that got *request*."""
    desk: Desk = request.app.state.desk
    return desk


def see(path: str) -> Response:
    """Lead the browser to another page of ours, after a form."""
    return RedirectResponse(path, 303)


def set_cookie(response: Response, name: str, value: str) -> None:
    """Give the browser a secret that no script and no other site can read or send."""
    # No expiry: it goes with the browser; the unit ends the session much sooner.
    response.set_cookie(name, value, secure=True, httponly=True, samesite="strict", path="/")


def drop_cookie(response: Response, name: str) -> None:
    """Take the secret back."""
    response.delete_cookie(name, secure=True, httponly=True, samesite="strict", path="/")
