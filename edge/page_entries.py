"""The officers' own entries and suppressions: list, add, remove, ask, approve, lift."""

from collections.abc import Callable
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.page_desk import Visit, see, visited
from hotlist_cache.entry import Priority
from hotlist_cache.errors import LocalEntryRefusedError
from hotlist_cache.local import LONGEST_ENTRY, LocalBook
from sync.purposes import PURPOSES, checked_case, label_of


def entries(visit: Visit, _: Request) -> Response:
    """Show every entry and suppression of this unit."""
    return _page(visit)


def add(visit: Visit, _: Request) -> Response:
    """Look out for a plate from now on."""
    form = visit.form
    plate, code = form.get("plate", ""), form.get("code", "")
    try:
        case_number = checked_case(code, form.get("case_number", ""))
        if not case_number:
            raise ValueError("A local entry needs a case number.")
        hours = float(form.get("hours", ""))
        # Written so that "nan" is refused too.
        if not 0 < hours <= LONGEST_ENTRY / timedelta(hours=1):
            raise ValueError("An entry lasts from 1 hour to 30 days.")
        priority = Priority[form.get("priority", "").upper()]
    except KeyError:
        return _page(visit, "Pick a priority.", 422)
    except ValueError as error:
        told = "Hours are a number." if str(error).startswith("could not convert") else str(error)
        return _page(visit, told, 422)

    def deed(book: LocalBook) -> str:
        added = book.add(
            plate,
            state=form.get("state", "").strip().upper(),
            officer=visit.session.name,
            purpose=label_of(code),
            case_number=case_number,
            now=visit.desk.clock.now().utc,
            lasting=timedelta(hours=hours),
            priority=priority,
        )
        return added.entry.entry_id

    visit.record("entry.ask", purpose=code, case_number=case_number, secret={"plate": plate})
    return _done(visit, "entry.add", deed, purpose=code, case_number=case_number)


def remove(visit: Visit, _: Request) -> Response:
    """Look out for it no more."""
    entry_id = visit.form.get("id", "")

    def deed(book: LocalBook) -> str:
        book.remove(entry_id, officer=visit.session.name, now=visit.desk.clock.now().utc)
        return entry_id

    return _done(visit, "entry.remove", deed)


def approve(visit: Visit, _: Request) -> Response:
    """Put a suppression in force: a supervisor who is not the one who asked."""
    suppression_id = visit.form.get("id", "")

    def deed(book: LocalBook) -> str:
        book.approve(suppression_id, supervisor=visit.session.name, now=visit.desk.clock.now().utc)
        return suppression_id

    return _done(visit, "suppression.approve", deed)


def lift(visit: Visit, _: Request) -> Response:
    """End a suppression."""
    suppression_id = visit.form.get("id", "")

    def deed(book: LocalBook) -> str:
        book.lift(suppression_id, officer=visit.session.name, now=visit.desk.clock.now().utc)
        return suppression_id

    return _done(visit, "suppression.lift", deed)


ROUTES = [
    Route("/entries", visited("entries", entries, place="/entries")),
    Route("/entries/add", visited("change entries", add), methods=["POST"]),
    Route("/entries/remove", visited("change entries", remove), methods=["POST"]),
    Route("/suppressions/approve", visited("approve", approve), methods=["POST"]),
    Route("/suppressions/lift", visited("change entries", lift), methods=["POST"]),
]


def _done(
    visit: Visit, action: str, deed: Callable[[LocalBook], str], *, purpose: str = "", case_number: str = ""
) -> Response:
    """Do *deed* on the book, and write down what came of it."""
    try:
        with visit.desk.book() as book:
            subject = deed(book)
    except (LocalEntryRefusedError, OSError) as error:
        visit.record(action, "refused", purpose=purpose, case_number=case_number)
        return _page(visit, str(error), 422)
    # The book keeps its own account of it, which is on the disk by now.
    visit.record(action, purpose=purpose, case_number=case_number, detail={"id": subject})
    return see("/entries")


def _page(visit: Visit, message: str = "", status: int = 200) -> Response:
    try:
        with visit.desk.book() as book:
            local, known = book.entries, book.suppressions
    except (LocalEntryRefusedError, OSError) as error:
        return visit.show("message.html", 503, title="Local entries", message=str(error))
    ids = [each.entry.entry_id for each in local] + [each.suppression_id for each in known]
    plates = [each.entry.pattern for each in local] + [each.plate for each in known]
    shown = list(zip(ids, plates, strict=True))
    for start in range(0, max(len(shown), 1), 6):
        some = dict(shown[start : start + 6])
        visit.record("entries.view", detail={"ids": " ".join(some)}, secret=some)
    return visit.show(
        "entries.html",
        status,
        entries=local,
        suppressions=known,
        purposes=[kind for kind in PURPOSES if kind.needs_case],
        now=visit.desk.clock.now().utc,
        message=message,
    )
