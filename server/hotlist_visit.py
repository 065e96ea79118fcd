"""Who is at the pages on lists, and what they may.

Administrators and supervisors do, auditors see everything, officers see what concerns them. Each look and
deed is an entry of the access log, also one refused.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from starlette.datastructures import State

from server.access import Role
from server.audit_pages import Its
from server.department import Department
from server.desk import FromForm, LoggedIn, Visit
from server.errors import NotPermittedError
from server.publish_job import PublishJob

DOING = (Role.ADMIN, Role.SUPERVISOR)
SEEING = (*DOING, Role.AUDITOR)
GLANCING = (*SEEING, Role.OFFICER)


@dataclass(frozen=True, slots=True)
class At:
    """One visit to the lists."""

    visit: Visit
    department: Department
    job: PublishJob
    now: datetime

    @property
    def actor(self) -> str:
        """Who does it, as the access log has it."""
        return self.visit.session.account

    @property
    def does(self) -> bool:
        """Whether the person changes anything here."""
        return self.visit.session.role in DOING

    @property
    def sees_all(self) -> bool:
        """Whether the person sees more than what concerns officers."""
        return self.visit.session.role in SEEING

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page on lists."""
        return self.visit.show(
            template, status, does=self.does, sees_all=self.sees_all, now=self.now, **values
        )


def job_of(state: State) -> PublishJob:
    """Return what makes lists for the pages of one application."""
    job: PublishJob = state.publish_job
    return job


def _glancing(visit: LoggedIn, department: Its, request: Request) -> At:
    return _permitted(visit, department, request, GLANCING)


def _looking(visit: LoggedIn, department: Its, request: Request) -> At:
    return _permitted(visit, department, request, SEEING)


def _asking(visit: FromForm, department: Its, request: Request) -> At:
    return _permitted(visit, department, request, SEEING)


def _doing(visit: FromForm, department: Its, request: Request) -> At:
    return _permitted(visit, department, request, DOING)


def doing(visit: LoggedIn, department: Its, request: Request) -> At:
    """Return the visit of who may do; its form is still to be read, and judged by who reads it."""
    return _permitted(visit, department, request, DOING)


def _permitted(visit: Visit, department: Department, request: Request, roles: tuple[Role, ...]) -> At:
    now = visit.desk.clock()
    if visit.session.role not in roles:
        raise NotPermittedError(
            "Lists are looked after by supervisors and administrators; auditors see all, officers their own.",
            action="hotlists.view",
        )
    return At(visit, department, job_of(request.app.state), now)


Glancing = Annotated[At, Depends(_glancing)]
"""A page that asks for this is for everybody but technicians; officers are shown less."""
Looking = Annotated[At, Depends(_looking)]
Asking = Annotated[At, Depends(_asking)]
"""The same for a form that asks, and changes nothing."""
Doing = Annotated[At, Depends(_doing)]
"""For a form that changes something."""
Uploading = Annotated[At, Depends(doing)]
