"""The pages on how well plates are read: the numbers, and reads drawn at random for a person to judge."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from server.accuracy_export import as_csv, as_json
from server.audit_period import Period, period_of
from server.database import reading
from server.desk import FromForm, LoggedIn, Text, Visit
from server.dispositions import Said
from server.errors import HitRefusedError, NotPermittedError
from server.hit_accuracy import accuracy_of
from server.hit_answers import catch_up
from server.hit_pages import Note, picture
from server.hit_samples import MOST_DRAWN, PURPOSE, VERDICTS, draw, judge, waiting
from server.hits import unit_ids

_USUAL = timedelta(days=90)

router = APIRouter()


@router.get("/hits/accuracy")
def show_accuracy(visit: LoggedIn) -> Response:
    """Show how well plates were read in the last 90 days."""
    now = visit.desk.clock()
    return _accuracy(visit, Period(now - _USUAL, now), "page")


@router.post("/hits/accuracy")
def accuracy_of_period(
    visit: FromForm,
    since: Text = "",
    until: Text = "",
    kind: Annotated[Literal["page", "csv", "json"], Form()] = "page",
) -> Response:
    """Show how well plates were read in another period, or give it as a file."""
    try:
        period = period_of(since, until, visit.desk.clock())
    except ValueError as error:
        return visit.show("message.html", 422, title="Not understood", message=str(error))
    return _accuracy(visit, period, kind)


@router.get("/hits/sample")
def show_sample(visit: LoggedIn) -> Response:
    """Show the next read to be judged, or the form to draw some."""
    return _sample(visit)


@router.post("/hits/sample")
def draw_sample(
    visit: FromForm,
    since: Text = "",
    until: Text = "",
    unit_id: Text = "",
    count: Annotated[int, Form(ge=1, le=MOST_DRAWN)] = 20,
) -> Response:
    """Draw reads at random."""
    _require(visit)
    try:
        period = period_of(since, until, visit.desk.clock())
        drawn = draw(
            visit.desk.engine,
            period,
            count,
            unit_id=unit_id,
            actor=visit.actor,
            now=visit.desk.clock(),
        )
    except (ValueError, HitRefusedError) as error:
        return _sample(visit, f"Nothing was drawn: {error}", 422)
    if not drawn:
        return _sample(visit, "Nothing was drawn: no read of this period is held that was not drawn before.")
    return RedirectResponse("/hits/sample", 303)


@router.post("/hits/sample/judge")
def judge_sample(
    visit: FromForm,
    *,
    read_id: Text = "",
    verdict: Text = "",
    true_plate: Annotated[str, Form(max_length=32)] = "",
    true_state: Text = "",
    note: Note = "",
) -> Response:
    """Take down what a person says of a read."""
    _require(visit)
    said = Said(verdict, "", true_plate, true_state, note)
    try:
        judge(visit.desk.engine, read_id, said, visit.actor, visit.desk.clock())
    except HitRefusedError as error:
        return _sample(visit, f"Not written down: {error}.", 422, said, of=read_id)
    return RedirectResponse("/hits/sample", 303)


def _require(visit: Visit) -> None:
    if not visit.session.role.sees_reads:
        raise NotPermittedError("A technician looks after the equipment: reads are not shown.")


def _accuracy(visit: Visit, period: Period, kind: str) -> Response:
    catch_up(visit.desk.engine)
    lists, role = visit.desk.lists, visit.session.role
    found = accuracy_of(visit.desk.engine, period, lambda name: lists.name_for(name, role))
    visit.record("hits.accuracy", period=str(period), kind=kind)
    if kind == "page":
        last = period.end - timedelta(microseconds=1)
        days = {"since": f"{period.start:%Y-%m-%d}", "until": f"{last:%Y-%m-%d}"}
        return visit.show("hit_accuracy.html", found=found, days=days)
    written = as_json(found) if kind == "json" else as_csv(found)
    name = f"accuracy-{visit.desk.clock():%Y%m%d-%H%M%S}.{kind}"
    return Response(
        written.encode(),
        media_type="application/json" if kind == "json" else "text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _sample(
    visit: Visit, message: str = "", status: int = 200, said: Said | None = None, *, of: str = ""
) -> Response:
    visit.require_purpose()
    purpose = visit.session.purpose
    right = purpose is not None and purpose.code == PURPOSE
    with reading(visit.desk.engine) as connection:
        found = waiting(connection, visit.session.account) if right else None
        units = unit_ids(connection)
    read = None if found is None else found.read
    visit.record("reads.view_sample", shown=[] if read is None else [read.read_id])
    return visit.show(
        "hit_sample.html",
        status,
        right=right,
        found=found,
        read=None if read is None else visit.pictured([read])[0],
        picture=picture,
        verdicts=VERDICTS,
        unit_ids=units,
        most=MOST_DRAWN,
        said=said if said is not None and read is not None and read.read_id == of else Said(""),
        message=message,
    )
