"""Look-up of the unit's own reads.

A plate travels in a form, never in an address: addresses end up in histories.
"""

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.page_desk import Visit, see, visited
from edge.window import WindowRead
from sync.config import RetentionConfig
from sync.errors import DiskFullError, OutboxCorruptError
from sync.purposes import PURPOSES, checked_case

_LONGEST_TEXT = 16


def look_up(visit: Visit, _: Request) -> Response:
    """Ask for the purpose, or for the plate once it is stated."""
    if not visit.session.purpose:
        return _ask_purpose(visit)
    return _page(visit, "", (), asked=False)


def state_purpose(visit: Visit, _: Request) -> Response:
    """Take the purpose into the session and the access log."""
    code, case_number = visit.form.get("code", ""), visit.form.get("case_number", "")
    try:
        case_number = checked_case(code, case_number)
    except ValueError as error:
        return _ask_purpose(visit, str(error), code, case_number, 422)
    visit.record("purpose.state", purpose=code, case_number=case_number)
    visit.desk.accounts.change(visit.token, purpose=code, case_number=case_number)
    return see("/lookup")


def forget_purpose(visit: Visit, _: Request) -> Response:
    """Begin anew with another purpose."""
    visit.desk.accounts.change(visit.token, purpose="", case_number="")
    return see("/lookup")


def search(visit: Visit, _: Request) -> Response:
    """Show the reads of a plate, or of a part of one, inside the local window."""
    desk, session = visit.desk, visit.session
    if not session.purpose:
        return _ask_purpose(visit, "State your purpose first.", status=422)
    text = "".join(visit.form.get("plate", "").upper().split())
    purpose, case = session.purpose, session.case_number
    now = desk.clock.now().utc
    # The question stands in the log before it is answered, and what was answered before it is shown.
    visit.record("reads.search", purpose=purpose, case_number=case, secret={"asked": text})
    try:
        if not text or len(text) > _LONGEST_TEXT or set(text) <= {"*", "?"}:
            raise ValueError(
                f"give 1 to {_LONGEST_TEXT} letters and digits, with ? and * for what is not known"
            )
        found = desk.window.search(
            text,
            since=now - timedelta(hours=desk.retention().local_window_h),
            until=now + timedelta(minutes=1),
            limit=desk.config.look_up_most + 1,
        )
    except ValueError as error:
        return _page(visit, text, (), asked=False, message=f"Not searched: {error}.", status=422)
    except (DiskFullError, OutboxCorruptError):
        why = {"why": "the store cannot be read"}
        visit.record("reads.search", "refused", purpose=purpose, case_number=case, detail=why)
        message = "The store cannot be read now. Tell the technician."
        return _page(visit, text, (), asked=False, message=message, status=503)
    shown = tuple(found[: desk.config.look_up_most])
    for start in range(0, max(len(shown), 1), 6):
        some = shown[start : start + 6]
        visit.record(
            "reads.view",
            purpose=purpose,
            case_number=case,
            detail={"reads": " ".join(each.read_id[:36] for each in some)},
            secret={each.read_id[:64]: each.plate for each in some},
        )
    return _page(visit, text, shown, asked=True, more=len(found) > len(shown))


ROUTES = [
    Route("/lookup", visited("look up", look_up, place="/lookup")),
    Route("/lookup", visited("look up", search), methods=["POST"]),
    Route("/purpose", visited("look up", state_purpose), methods=["POST"]),
    Route("/purpose/new", visited("look up", forget_purpose), methods=["POST"]),
]


def _ask_purpose(
    visit: Visit, message: str = "", code: str = "", case_number: str = "", status: int = 200
) -> Response:
    again = {"message": message, "code": code, "case_number": case_number}
    return visit.show("purpose.html", status, purposes=PURPOSES, **again)


def _page(
    visit: Visit,
    text: str,
    reads: tuple[WindowRead, ...],
    *,
    asked: bool,
    more: bool = False,
    message: str = "",
    status: int = 200,
) -> Response:
    return visit.show(
        "lookup.html",
        status,
        text=text,
        reads=reads,
        asked=asked,
        more=more,
        message=message,
        reaches=reaches(visit.desk.retention()),
        never_sent=not visit.desk.retention().transfer_non_hits,
    )


def reaches(retention: RetentionConfig) -> str:
    """Return how far back a look-up reaches, as "the last 24 hours"."""
    whole_s, others_s = retention.window_s(hit=True), retention.window_s(hit=False)
    if others_s == whole_s:
        return f"the last {_span(whole_s)}"
    if not others_s:
        return f"the last {_span(whole_s)}, hits alone"
    return f"the last {_span(whole_s)}, those without a hit of the last {_span(others_s)}"


def _span(seconds: int) -> str:
    if seconds >= 2 * 3600 and seconds % 3600 == 0:
        return f"{seconds // 3600} hours"
    return f"{seconds // 60} minutes"
