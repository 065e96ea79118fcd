"""The pages on reads: the newest, those that are asked for, one of them, and a file of them.

A plate that is searched for travels in a form, never in an address: addresses end up in histories and logs.
"""

import base64
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Response
from sqlalchemy import select

from server.alike import texts_alike
from server.database import reading
from server.desk import FromForm, LoggedIn, Visit
from server.errors import NotPermittedError
from server.inquiries import asked_of, exported, label_for
from server.integrity import DAMAGED
from server.maps import Circle, Drawn, Marker, Spot, View
from server.purposes import label_of
from server.read_custody import arrival_of, looks_at
from server.read_export import as_csv, as_json
from server.read_forms import (
    Fields,
    NotUnderstoodError,
    Search,
    SearchForm,
    chooser,
    on_map,
    spot_clicked,
    spot_of,
    written,
)
from server.records import MOST_ALIKE, ReadQuery, StoredRead, find_reads, get_read
from server.scenes import shown_scene
from server.tables import units

READS_PER_PAGE = 25
MAX_PAGE = 100_000
HISTORY = 25
"""Other reads of a plate that its read's page shows, once they are asked for."""

router = APIRouter()


@router.get("/reads")
def newest_reads(visit: LoggedIn) -> Response:
    """Show the newest reads of all units."""
    return _reads(visit, SearchForm(), 1, {})


@router.post("/reads")
def search_reads(
    visit: FromForm,
    form: Search,
    fields: Fields,
    number: Annotated[int, Form(ge=1, le=MAX_PAGE)] = 1,
) -> Response:
    """Show the reads that were asked for; or, where the map in the form sent it, the form with that place."""
    return _reads(visit, form, number, fields)


@router.post("/reads/export")
def export_reads(
    visit: FromForm, form: Search, kind: Annotated[Literal["csv", "json"], Form()] = "csv"
) -> Response:
    """Give the reads that were asked for as a file, with who took it and why printed on it."""
    visit.require_purpose()
    try:
        query = form.query
    except NotUnderstoodError:
        return _reads(visit, form, 1, {})
    now, actor, name = visit.desk.clock(), visit.actor, visit.desk.department.name
    found, complete = exported(visit.desk.engine, query, actor, now, kind)
    label = label_for(name, actor, now, asked_of(query), complete=complete)
    shown = visit.visible(found)
    content = as_json(label, shown) if kind == "json" else as_csv(label, shown)
    return file_response(content, "reads", now.strftime("%Y%m%d-%H%M%S"), kind)


@router.get("/reads/{read_id}")
def show_read(visit: LoggedIn, read_id: str) -> Response:
    """Show one read with all that is known of it."""
    return _read(visit, read_id)


@router.post("/reads/{read_id}/history")
def show_history(visit: FromForm, read_id: str) -> Response:
    """Show with it the other reads of its plate: a further search, which is written down as one."""
    return _read(visit, read_id, history=True)


@router.post("/reads/{read_id}/seen")
def show_looks(visit: FromForm, read_id: str) -> Response:
    """Show with it who looked at it; for those who see the access log."""
    if not visit.session.role.sees_audit:
        raise NotPermittedError("Who looked at a read stands in the access log: ask an auditor.")
    return _read(visit, read_id, custody=True)


def file_response(content: str, name: str, stamp: str, kind: str) -> Response:
    """Return *content* as a file to keep."""
    return Response(
        content.encode(),
        media_type="application/json" if kind == "json" else "text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}-{stamp}.{kind}"'},
    )


def _reads(visit: Visit, form: SearchForm, number: int, fields: dict[str, str]) -> Response:
    visit.require_purpose()
    message = ""
    try:
        if spot := spot_clicked(fields, visit.desk.atlas) if on_map(fields) else None:
            form = _placed(form, spot)
        query = form.query
    except NotUnderstoodError as error:
        message, query = str(error), form.as_typed
    asking = not on_map(fields) and not message
    with reading(visit.desk.engine) as connection:
        # One more than is shown tells whether there is another page; counting them all would be slow.
        start = (number - 1) * READS_PER_PAGE
        found = find_reads(connection, query, READS_PER_PAGE + 1, start) if asking else []
        unit_ids = list(connection.execute(select(units.c.unit_id).order_by(units.c.unit_id)).scalars())
    more, found = len(found) > READS_PER_PAGE, visit.pictured(found[:READS_PER_PAGE])
    searching = query != ReadQuery()
    if asking:
        visit.record(
            "reads.search" if searching else "reads.list",
            asked=asked_of(query) | {"page": number},
            shown=[read.read_id for read in found],
        )
    circles = [] if query.place is None else [Circle(spot_of(query.place), query.place.radius_m)]
    markers = _markers(found)
    return visit.show(
        "reads.html",
        422 if message else 200,
        message=message,
        reads=found,
        picture=_picture,
        query=query,
        form=form.fields,
        searching=searching,
        asking=asking,
        number=number,
        more=more,
        unit_ids=unit_ids,
        alike=texts_alike(query.plate) if query.alike and not message else None,
        most_alike=MOST_ALIKE,
        chooser=chooser(visit.desk.atlas, _view(visit, fields, circles, markers), markers, circles),
        found_map=_found_map(visit, circles, markers),
    )


def _read(visit: Visit, read_id: str, *, history: bool = False, custody: bool = False) -> Response:
    visit.require_purpose()
    others: list[StoredRead] = []
    with reading(visit.desk.engine) as connection:
        found = get_read(connection, read_id)
        # A damaged read has no plate to search for.
        history = history and not (found is not None and found.damaged)
        scene, scene_problem = shown_scene(connection, read_id, visit.desk.pictures)
        arrival = None if found is None else arrival_of(connection, found.batch_id)
        if found is not None and history:
            others = find_reads(connection, ReadQuery(found.plate), HISTORY + 2, 0)
            others = [other for other in others if other.read_id != read_id]
        looks = looks_at(connection, read_id) if custody and found is not None else None
    if found is not None and found.damaged:
        scene = b""
    more, others = len(others) > HISTORY, visit.pictured(others[:HISTORY])
    if found is not None and history:
        shown = [read_id, *(other.read_id for other in others)]
        asked = {"plate": found.plate, "history of": read_id[:64]}
        visit.record("reads.search", asked=asked, shown=shown)
    visit.record("read.view", read=read_id[:64], found=found is not None, scene=bool(scene), custody=custody)
    if found is None:
        return visit.show("message.html", 404, title="Not found", message="There is no such read.")
    (read,) = visit.pictured([found])
    return visit.show(
        "read.html",
        read=read,
        damaged=DAMAGED,
        picture=_picture,
        scene=_data_uri(scene) if scene else "",
        scene_problem=scene_problem,
        arrival=arrival,
        history=others if history else None,
        more=more,
        looks=looks,
        label_of=label_of,
        place_map=_place_map(visit, read, others),
    )


def _placed(form: SearchForm, spot: Spot) -> SearchForm:
    return SearchForm(
        **form.fields | {"latitude": written(spot.latitude_deg), "longitude": written(spot.longitude_deg)}
    )


def _markers(found: Sequence[StoredRead]) -> list[Marker]:
    markers = []
    for read in found:
        if read.latitude_deg is None or read.longitude_deg is None:
            continue
        spot, hit = Spot(read.latitude_deg, read.longitude_deg), bool(read.hits) and not read.revised_by
        sort, level = ("hit", "bad") if hit else ("read", "")
        markers.append(Marker(spot, read.plate, sort, level, f"/reads/{read.read_id}"))
    return markers


def _view(visit: Visit, fields: dict[str, str], circles: Sequence[Circle], markers: Sequence[Marker]) -> View:
    around = [edge for each in circles for edge in edges(each)] or [marker.spot for marker in markers]
    return visit.desk.atlas.asked(fields, visit.desk.atlas.view(around))


def edges(around: Circle) -> list[Spot]:
    """Return places around a circle, so that a view shows the whole of it."""
    middle, degrees = around.spot, around.radius_m / 111_320
    sideways = degrees * 1.6
    return [
        Spot(max(-90.0, middle.latitude_deg - degrees), max(-180.0, middle.longitude_deg - sideways)),
        Spot(min(90.0, middle.latitude_deg + degrees), min(179.999, middle.longitude_deg + sideways)),
    ]


def _found_map(visit: Visit, circles: Sequence[Circle], markers: Sequence[Marker]) -> Drawn | None:
    if not markers:
        return None
    spots = [marker.spot for marker in markers] + [edge for each in circles for edge in edges(each)]
    title = "Where the reads on this page were made"
    return visit.desk.atlas.draw(visit.desk.atlas.view(spots), markers, list(circles), title=title)


def _place_map(visit: Visit, read: StoredRead, others: Sequence[StoredRead]) -> Drawn | None:
    if read.latitude_deg is None or read.longitude_deg is None:
        return None
    here = Spot(read.latitude_deg, read.longitude_deg)
    own = Marker(here, f"{read.settled_at:%Y-%m-%d %H:%M}", "chosen")
    circles = [Circle(here, read.accuracy_m)] if read.accuracy_m else []
    markers = [*_markers(others), own]
    seen = visit.desk.atlas.view([marker.spot for marker in markers])
    return visit.desk.atlas.draw(seen, markers, circles, title="Where the read was made")


def _picture(read: StoredRead) -> str:
    return _data_uri(read.evidence)


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
