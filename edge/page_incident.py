"""The page on which an officer says that the unit canvasses around an incident, and later that it is over."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.incident import LEAST_HOURS, MOST_HOURS
from edge.page_desk import Visit, see, visited


def incident(visit: Visit, _: Request) -> Response:
    """Show which incident is on, or the form to begin one."""
    visit.record("incident.view")
    return _page(visit)


def begin(visit: Visit, _: Request) -> Response:
    """Mark reads with the incident's number from now on."""
    number, hours, session = visit.form.get("number", ""), visit.form.get("hours", ""), visit.session
    latest_ns = session.started_ns + int(visit.desk.config.session_hours * 3600e9)
    try:
        visit.desk.incidents.begin(
            number, _hours(hours), by=session.name, role=session.role, latest_ns=latest_ns
        )
    except ValueError as error:
        return _page(visit, str(error), number, hours, 422)
    visit.desk.board.touch()
    return see("/incident")


def end(visit: Visit, _: Request) -> Response:
    """Mark reads no more."""
    visit.desk.incidents.end("ended on the page", by=visit.session.name, role=visit.session.role.value)
    visit.desk.board.touch()
    return see("/incident")


ROUTES = [
    Route("/incident", visited("incident", incident, place="/incident")),
    Route("/incident/begin", visited("incident", begin), methods=["POST"]),
    Route("/incident/end", visited("incident", end), methods=["POST"]),
]


def _hours(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("Hours are a number.") from None


def _page(visit: Visit, message: str = "", number: str = "", hours: str = "", status: int = 200) -> Response:
    return visit.show(
        "incident.html",
        status,
        message=message,
        number=number,
        never_sent=not visit.desk.retention().transfer_non_hits,
        hours=hours or f"{visit.desk.config.incident_hours:g}",
        least_hours=LEAST_HOURS,
        most_hours=MOST_HOURS,
    )
