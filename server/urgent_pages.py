"""The page of the urgent list: put a vehicle on it, as an Amber alert asks, and end it.

One person does either, at once.
"""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import HotlistError
from hotlist_cache.sources.fields import parse_pattern
from hotlist_cache.states import parse_jurisdiction
from server import urgent_list
from server.department import publish_urgent
from server.desk import Text
from server.errors import HotlistRefusedError, ServerError
from server.hotlist_visit import At, Doing, Looking
from server.local_publishing import LASTING

router = APIRouter()
Line = Annotated[str, Form(max_length=128)]


@router.get("/hotlists/urgent")
def show_urgent(at: Looking) -> Response:
    """Show what stands on the urgent list."""
    return _urgent(at)


@router.post("/hotlists/urgent")
def put_out(
    at: Doing,
    *,
    plate: Annotated[str, Form(max_length=32)] = "",
    state: Annotated[str, Form(max_length=32)] = "",
    list_name: Line = "",
    reason: Line = "",
    vehicle: Line = "",
    case_number: Annotated[str, Form(max_length=64)] = "",
    hours: Annotated[int, Form(ge=1, le=urgent_list.MOST_HOURS)] = 24,
) -> Response:
    """List a plate and publish the urgent list at once."""
    at.visit.require_purpose()
    given = {
        **{"plate": plate, "state": state, "list_name": list_name, "reason": reason},
        **{"vehicle": vehicle, "case_number": case_number, "hours": f"{hours}"},
    }
    try:
        entry = Entry(
            "new",
            parse_pattern(plate, urgent_list.LEAST_KNOWN),
            parse_jurisdiction(state.strip(), "US") if state.strip() else None,
            _text("list", list_name) if list_name.strip() else "Amber alert",
            _text("reason", reason),
            Priority.HIGH,
            vehicle=" ".join(vehicle.split()),
            case_number=" ".join(case_number.split()),
            source=at.department.settings.department.name,
            expires=(at.now + timedelta(hours=hours)).replace(microsecond=0),
        )
        at.visit.record("hotlists.put_out", plate=entry.pattern, hours=hours, case=entry.case_number)
        urgent_list.put_out(at.department, entry, actor=at.actor, now=at.now)
    except ValueError as error:
        return _urgent(at, 422, f"{error}", given)
    except (ServerError, HotlistError) as error:
        return _urgent(at, 422, str(error), given)
    return RedirectResponse("/hotlists/urgent", 303)


@router.post("/hotlists/urgent/end")
def end(at: Doing, feed: Text = "", entry: Text = "") -> Response:
    """Take an entry from the urgent list, and publish it without."""
    at.visit.require_purpose()
    at.visit.record("hotlists.end", feed=feed, entry=entry)
    try:
        urgent_list.end(at.department, feed, entry, actor=at.actor, now=at.now)
    except (ServerError, HotlistError) as error:
        return _urgent(at, 422, str(error))
    return RedirectResponse("/hotlists/urgent", 303)


@router.post("/hotlists/urgent/publish")
def publish(at: Doing) -> Response:
    """Publish what the urgent feeds list now, as `hotlist publish --urgent` does."""
    at.visit.require_purpose()
    at.visit.record("hotlists.publish_urgent")
    try:
        publish_urgent(at.department, at.actor, at.now + LASTING, at.now)
    except ServerError as error:
        return _urgent(at, 422, str(error))
    return RedirectResponse("/hotlists/urgent", 303)


def _urgent(at: At, status: int = 200, message: str = "", given: dict[str, str] | None = None) -> Response:
    at.visit.require_purpose()
    department, role = at.department, at.visit.session.role
    try:
        listed = urgent_list.listed(department)
    except HotlistRefusedError as error:
        listed, message = [], message or str(error)
    listed = [each for each in listed if not department.visibility.hides(each[1].list_name, role)]
    at.visit.record("hotlists.urgent", shown=[entry.entry_id for _, entry in listed])
    return at.show(
        "hotlist_urgent.html",
        status,
        message=message,
        listed=listed,
        published=department.publications.urgent(department.keys),
        given=given or {},
    )


def _text(name: str, text: str) -> str:
    text = " ".join(text.split())
    if not text or not text.isprintable():
        raise ValueError(f"write the {name}, in printable text")
    return text
