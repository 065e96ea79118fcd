"""Who sees retention, legal holds and evidence on the pages, and who may do something there.

Administrators and supervisors decide, as at the console whoever may use the department's folder; auditors see
it all and change nothing. An officer who needs reads kept asks a supervisor: a hold keeps the reads of
everybody who passed, and so needs an authority and a case number.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Form, Response

from server.access import Role
from server.actors import Actor
from server.audit_pages import Its
from server.department import Department
from server.desk import FromForm, LoggedIn, Visit
from server.errors import NotPermittedError, RetentionRefusedError
from server.navigation import KEEPING

VIEW = "custody.view"
"""What the access log calls a look at these pages."""
_MINUTE = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True)
class At:
    """One visit."""

    visit: Visit
    department: Department
    actor: Actor
    now: datetime

    @property
    def may(self) -> bool:
        """Whether the person decides here, so that a page offers nothing else. Forms ask again."""
        return self.visit.session.role in KEEPING


def _looking(visit: LoggedIn, department: Its) -> At:
    return _permitted(visit, department, (*KEEPING, Role.AUDITOR))


def _doing(visit: FromForm, department: Its) -> At:
    return _permitted(visit, department, KEEPING)


def _permitted(visit: Visit, department: Department, roles: tuple[Role, ...]) -> At:
    if visit.session.role not in roles:
        raise NotPermittedError(
            "Retention, legal holds and evidence are for administrators and supervisors; auditors see them.",
            action=VIEW,
        )
    return At(visit, department, visit.actor, visit.desk.clock())


Looking = Annotated[At, Depends(_looking)]
"""A page that asks for this is seen by who decides here, and by auditors."""
Doing = Annotated[At, Depends(_doing)]
"""A form that asks for this is taken from who decides here alone."""
Line = Annotated[str, Form(max_length=512)]


def moment_of(name: str, text: str) -> datetime | None:
    """Return what a person typed as a moment, aware UTC; None for nothing.

    Raises RetentionRefusedError naming the field.
    """
    if not text.strip():
        return None
    try:
        return datetime.strptime(text.strip()[:16], _MINUTE).replace(tzinfo=UTC)
    except ValueError:
        raise RetentionRefusedError(f"{name}: write it as 2026-11-25T03:40, in UTC") from None


def file_of(content: bytes, name: str, media_type: str) -> Response:
    """Return *content* as a file to keep, never shown in the browser."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
