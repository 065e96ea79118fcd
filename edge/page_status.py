"""How the unit does, and its access log."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.page_desk import Visit, visited
from sync.access_log import LogBrokenError, read_entry

ENTRIES_PER_PAGE = 50


def status(visit: Visit, _: Request) -> Response:
    """Show cameras, place, lists, transfer clock and storage."""
    visit.record("status.view")
    return visit.show("status.html", health=visit.desk.board.shown.status, log_fault=visit.desk.log.fault)


def access_log(visit: Visit, request: Request) -> Response:
    """Show the newest entries of the access log; what is sealed to the department stays so."""
    log = visit.desk.log
    newest = log.head.sequence
    asked = request.query_params.get("before", "")
    before = int(asked) if asked.isdecimal() and len(asked) < 12 else newest + 1
    after = max(0, min(before - 1, newest) - ENTRIES_PER_PAGE)
    # Looking at the log is in the log (CJIS AU-2).
    visit.record("log.view", detail={"newest": str(newest)})
    try:
        records = log.records(after, max(0, min(before - 1, newest) - after))
        entries = [read_entry(each) for each in reversed(records)]
    except LogBrokenError as error:
        return visit.show("message.html", 503, title="Access log", message=f"{error}: tell the auditor.")
    return visit.show("log.html", entries=entries, head=str(log.head))


ROUTES = [
    Route("/status", visited("status", status, place="/status")),
    Route("/log", visited("log", access_log, place="/log")),
]
