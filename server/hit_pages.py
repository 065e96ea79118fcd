"""The pages on hits: their queue, one hit and what came of it, entries to be corrected.

Filters travel in a form. Each page is recorded before it is shown, with the reads on it.
"""

import base64
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from hotlist_cache.entry import Priority
from hotlist_cache.verification import Disposition, Rung
from server.database import reading
from server.desk import FromForm, LoggedIn, Text, Visit
from server.dispositions import JUDGING, MOST_NOTE, Outcome, Said, dispose
from server.errors import HitRefusedError, NotPermittedError
from server.hit_answers import STANDINGS, catch_up
from server.hit_corrections import Ticket, advance, as_csv, tickets
from server.hits import (
    HITS_PER_PAGE,
    MOST_COUNTED,
    MOST_PAGES,
    Hit,
    HitQuery,
    day_of,
    find_hits,
    get_hit,
    list_names,
    standings,
    unit_ids,
    visible,
)
from server.list_visibility import WITHHELD
from server.records import StoredRead

SHOWN = (*STANDINGS, "contradicted", "all")
PRIORITIES = {priority.name.lower(): int(priority) for priority in sorted(Priority, reverse=True)}
Note = Annotated[str, Form(max_length=MOST_NOTE)]

router = APIRouter()


@router.get("/hits")
def show_queue(visit: LoggedIn) -> Response:
    """Show the hits that are open."""
    return _queue(visit, {}, 1)


@router.post("/hits")
def narrow_queue(
    visit: FromForm,
    *,
    standing: Text = "open",
    list_name: Text = "",
    unit_id: Text = "",
    priority: Text = "",
    since: Text = "",
    until: Text = "",
    number: Annotated[int, Form(ge=1, le=MOST_PAGES)] = 1,
) -> Response:
    """Show the hits that were asked for."""
    form = {
        "standing": standing,
        "list_name": list_name,
        "unit_id": unit_id,
        "priority": priority,
        "since": since,
        "until": until,
    }
    return _queue(visit, form, number)


@router.get("/hits/corrections")
def show_corrections(visit: LoggedIn) -> Response:
    """Show the entries that their lists' owners should correct."""
    return _corrections(visit)


@router.post("/hits/corrections")
def export_corrections(visit: FromForm, list_name: Text = "") -> Response:
    """Give them as a file for a list's owner."""
    visit.require_purpose()
    catch_up(visit.desk.engine)
    with reading(visit.desk.engine) as connection:
        found = _tickets(visit, connection, list_name)
    visit.record("hits.export_corrections", list=list_name, shown=[each.read_id for each in found])
    now = visit.desk.clock()
    written = as_csv(found, visit.desk.department.name, visit.session.account, now)
    return Response(
        written.encode(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="corrections-{now:%Y%m%d-%H%M%S}.csv"'},
    )


@router.post("/hits/corrections/advance")
def advance_correction(
    visit: FromForm, list_name: Text = "", entry_id: Text = "", state: Text = "", note: Note = ""
) -> Response:
    """Take down what was done about one of them."""
    visit.require_purpose()
    try:
        _require_open(visit, list_name, "correction.advance")
        advance(
            visit.desk.engine,
            list_name,
            entry_id,
            state=state,
            note=note,
            actor=visit.actor,
            now=visit.desk.clock(),
        )
    except HitRefusedError as error:
        return _corrections(visit, f"Not written down: {error}.", 422)
    return RedirectResponse("/hits/corrections", 303)


@router.get("/hits/{read_id}/{hit_id}")
def show_hit(visit: LoggedIn, read_id: str, hit_id: str) -> Response:
    """Show one hit with everything that came of it."""
    return _one(visit, read_id, hit_id)


@router.post("/hits/{read_id}/{hit_id}")
def dispose_of_hit(
    visit: FromForm,
    *,
    read_id: str,
    hit_id: str,
    verdict: Text = "",
    outcome: Text = "",
    true_plate: Annotated[str, Form(max_length=32)] = "",
    true_state: Text = "",
    note: Note = "",
    compared: Text = "",
    clets: Text = "",
    seen: Text = "",
) -> Response:
    """Take down what came of a hit."""
    visit.require_purpose()
    said = Said(verdict, outcome, true_plate, true_state, note, compared == "yes", clets == "yes")
    with reading(visit.desk.engine) as connection:
        hit = get_hit(connection, read_id, hit_id)
    actor = visit.actor
    if hit is not None:
        _require_open(visit, hit.list_name, "hit.dispose")
    if hit is not None and seen and seen != _state_of(hit):
        message = "Somebody answered meanwhile. Look again, then answer."
        return _one(visit, read_id, hit_id, message, 409, said=said)
    try:
        dispose(visit.desk.engine, read_id, hit_id, said, actor=actor, now=visit.desk.clock())
    except HitRefusedError as error:
        return _one(visit, read_id, hit_id, f"Not written down: {error}.", 422, said=said)
    return RedirectResponse(visit_path(read_id, hit_id), 303)


def picture(read: StoredRead) -> str:
    """Return the picture of *read*, to stand in the page itself."""
    return "data:image/jpeg;base64," + base64.b64encode(read.evidence).decode("ascii")


def visit_path(read_id: str, hit_id: str) -> str:
    """Return where a hit is shown."""
    return f"/hits/{quote(read_id, safe='')}/{quote(hit_id, safe='')}"


def _queue(visit: Visit, form: dict[str, str], number: int) -> Response:
    visit.require_purpose()
    catch_up(visit.desk.engine)
    try:
        query = _query(form)
        if query.list_name and _hidden(visit, query.list_name):
            raise ValueError("Pick a list from those that are shown.")
    except ValueError as error:
        return visit.show("message.html", 422, title="Not understood", message=str(error))
    with reading(visit.desk.engine) as connection:
        # One more than is shown tells whether there is another page.
        found = find_hits(connection, query, HITS_PER_PAGE + 1, (number - 1) * HITS_PER_PAGE)
        values: dict[str, Any] = {
            "counts": standings(connection),
            "most_counted": MOST_COUNTED,
            "lists": [name for name in list_names(connection) if not _hidden(visit, name)],
            "unit_ids": unit_ids(connection),
        }
    more = len(found) > HITS_PER_PAGE
    found = [visible(hit, visit.desk.lists, visit.session.role) for hit in found[:HITS_PER_PAGE]]
    shown = [hit.read.read_id for hit in found]
    visit.record("hits.list", asked={**query.asked, "page": number}, shown=shown)
    pictures = {read.read_id: read for read in visit.pictured([hit.read for hit in found])}
    return visit.show(
        "hits.html",
        hits=found,
        pictures=pictures,
        picture=picture,
        path=visit_path,
        query=query,
        form=form,
        number=number,
        more=more,
        standings=SHOWN,
        priorities=PRIORITIES,
        **values,
    )


def _query(form: dict[str, str]) -> HitQuery:
    standing = form.get("standing", "open")
    if standing not in SHOWN:
        raise ValueError("Pick which hits to show from the list.")
    priority = form.get("priority", "")
    if priority and priority not in PRIORITIES:
        raise ValueError("Pick a priority from the list.")
    return HitQuery(
        standing,
        form.get("list_name", ""),
        form.get("unit_id", ""),
        PRIORITIES.get(priority, 0),
        day_of(form.get("since", "")),
        day_of(form.get("until", ""), ends=True),
    )


def _one(
    visit: Visit,
    read_id: str,
    hit_id: str,
    message: str = "",
    status: int = 200,
    *,
    said: Said | None = None,
) -> Response:
    visit.require_purpose()
    catch_up(visit.desk.engine)
    with reading(visit.desk.engine) as connection:
        hit = get_hit(connection, read_id, hit_id)
    visit.record("hit.view", read=read_id[:64], hit=hit_id[:64], found=hit is not None)
    if hit is None:
        gone = "There is no such hit. Its read may have been purged."
        return visit.show("message.html", 404, title="Not found", message=gone)
    hit = visible(hit, visit.desk.lists, visit.session.role)
    return visit.show(
        "hit.html",
        status,
        hit=hit,
        shown=visit.pictured([hit.read])[0],
        picture=picture,
        path=visit_path,
        rungs=tuple(Rung),
        dispositions=tuple(Disposition),
        outcomes=tuple(Outcome),
        may=visit.session.role in JUDGING and hit.list_name != WITHHELD,
        seen=_state_of(hit),
        said=said or Said(""),
        message=message,
    )


def _hidden(visit: Visit, list_name: str) -> bool:
    return visit.desk.lists.hides(list_name, visit.session.role)


def _require_open(visit: Visit, list_name: str, action: str) -> None:
    if _hidden(visit, list_name):
        raise NotPermittedError("Your role may not see what this list says.", action=action)


def _tickets(visit: Visit, connection: Connection, list_name: str = "") -> list[Ticket]:
    return [
        each
        for each in tickets(connection)
        if not _hidden(visit, each.list_name) and (not list_name or each.list_name == list_name)
    ]


def _state_of(hit: Hit) -> str:
    """What a person must have seen who answers: how many answers there were."""
    return f"{len(hit.ladder.answers)} {len(hit.judged)}"


def _corrections(visit: Visit, message: str = "", status: int = 200) -> Response:
    visit.require_purpose()
    catch_up(visit.desk.engine)
    with reading(visit.desk.engine) as connection:
        found = _tickets(visit, connection)
    visit.record("hits.view_corrections", shown=[each.read_id for each in found])
    return visit.show(
        "hit_corrections.html",
        status,
        tickets=found,
        lists=sorted({each.list_name for each in found}),
        path=visit_path,
        may=visit.session.role in JUDGING,
        message=message,
    )
