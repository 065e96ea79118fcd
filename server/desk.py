"""Who is at the desk: each request for a page as one visit of one person who is logged in.

Nothing is shown before its audit entry is on disk: a page first records, then shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Form, Path, Request, Response
from sqlalchemy import Engine

from server.access import Access, Purpose, Session, same_secret
from server.actors import Actor
from server.audit import append
from server.database import writing
from server.errors import ForeignFormError, NotPermittedError
from server.list_visibility import ListVisibility
from server.maps import Atlas
from server.navigation import places_of
from server.pictures import Pictures
from server.purposes import label_of
from server.records import StoredRead
from server.sessions import Step
from server.settings import DepartmentSettings
from server.web import page

# The prefix makes browsers insist on Secure, this host alone and the whole site.
SESSION_COOKIE = "__Host-alpr-session"

Text = Annotated[str, Form(max_length=256)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""Of a thing in an address, as the database can hold it."""


class LoginNeededError(Exception):
    """Nobody is logged in: show the login page."""


class StepNeededError(Exception):
    """The login asks for more: show the page of that step."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.value)
        self.step = step


class PurposeNeededError(Exception):
    """No purpose is stated, or it is too old: ask for it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the pages work with; the application holds it as `state.desk`."""

    engine: Engine
    access: Access
    department: DepartmentSettings
    clock: Callable[[], datetime]
    pictures: Pictures | None = None
    """Those outside the database; None where all are inside."""
    atlas: Atlas = field(default_factory=Atlas)
    """What maps are drawn from."""
    lists: ListVisibility = field(default_factory=ListVisibility)
    """Which role may see what which hotlist says."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of one person."""

    desk: Desk
    session: Session
    source: str
    """The network address it came from."""

    @property
    def actor(self) -> Actor:
        """The person, as deeds that are shared with the commands take them."""
        session = self.session
        return Actor(session.account, session.role, self.source, session.purpose or Purpose("", ""))

    def require_purpose(self) -> None:
        """Raises PurposeNeededError unless the person said lately why they look at reads.

        Raises NotPermittedError if their role shows none.
        """
        if not self.session.role.sees_reads:
            raise NotPermittedError("A technician looks after the equipment: reads are not shown.")
        if self.session.purpose is None:
            raise PurposeNeededError

    def record(self, action: str, **detail: Any) -> None:
        """Write down what the person is about to see."""
        self._append(action, "success", detail)

    def refuse(self, action: str, **detail: Any) -> None:
        """Write down what the person may not see or do."""
        self._append(action, "refused", detail)

    def _append(self, action: str, outcome: str, detail: dict[str, Any]) -> None:
        with writing(self.desk.engine) as connection:
            append(connection, self.actor.deed(action, detail, outcome), self.desk.clock())

    def pictured(self, reads: Sequence[StoredRead]) -> list[StoredRead]:
        """Return *reads* with the pictures that lie outside the database."""
        reads = self.visible(reads)
        return reads if self.desk.pictures is None else self.desk.pictures.filled(reads)

    def visible(self, reads: Sequence[StoredRead]) -> list[StoredRead]:
        """Return *reads* without what hotlists say that the person's role may not see."""
        return [self.desk.lists.read_for(read, self.session.role) for read in reads]

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page with the person's name, purpose and navigation around it."""
        return shown(self.desk, template, status, session=self.session, **values)


def shown(
    desk: Desk, template: str, status: int = 200, session: Session | None = None, **values: Any
) -> Response:
    """Return a page; without a *session* it has no navigation."""
    department = desk.department.name
    return page(
        template,
        status,
        department=department,
        session=session,
        purpose_label=label_of,
        places=places_of,
        **values,
    )


def desk_of(request: Request) -> Desk:
    """Return the desk of the application that got *request*."""
    desk: Desk = request.app.state.desk
    return desk


def source_of(request: Request) -> str:
    """Return the network address that *request* came from."""
    return request.client.host if request.client is not None else "unknown"


def _half_visit(request: Request) -> Visit:
    desk = desk_of(request)
    session = desk.access.standing(request.cookies.get(SESSION_COOKIE, ""), desk.clock())
    if session is None:
        raise LoginNeededError
    # Kept for a refusal, which is written down for every page in one place (`server.pages`).
    request.state.visit = visit = Visit(desk, session, source_of(request))
    return visit


HalfIn = Annotated[Visit, Depends(_half_visit)]
"""Whoever gave a right password; the login may not be whole. For the pages of its steps alone."""


def _visit(visit: HalfIn) -> Visit:
    if visit.session.step is not None:
        raise StepNeededError(visit.session.step)
    return visit


LoggedIn = Annotated[Visit, Depends(_visit)]
"""A page that asks for this is seen by those alone who are logged in."""


def _half_form_visit(visit: HalfIn, form_token: Text = "") -> Visit:
    if not same_secret(form_token, visit.session.form_token):
        raise ForeignFormError
    return visit


FromHalfForm = Annotated[Visit, Depends(_half_form_visit)]
"""`HalfIn` for a form, which must also carry the session's own secret."""


def _form_visit(visit: FromHalfForm) -> Visit:
    return _visit(visit)


FromForm = Annotated[Visit, Depends(_form_visit)]
"""The same for a form, which must also carry the session's own secret."""


def set_cookie(response: Response, name: str, value: str) -> None:
    """Give the browser a secret that no script and no other site can read or send."""
    # No expiry: it goes with the browser; the server ends the session much sooner.
    response.set_cookie(name, value, secure=True, httponly=True, samesite="strict", path="/")


def drop_cookie(response: Response, name: str) -> None:
    """Take the secret back."""
    response.delete_cookie(name, secure=True, httponly=True, samesite="strict", path="/")
