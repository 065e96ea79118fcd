"""The pages on reads: the newest, those that are asked for, one of them, and a file of them.

A plate that is searched for travels in a form, never in an address: addresses end up in histories and logs.
"""

import base64
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Response
from sqlalchemy import select

from server.database import reading
from server.desk import FromForm, LoggedIn, Text, Visit
from server.purposes import label_of
from server.read_export import MOST_READS, Label, as_csv, as_json
from server.records import Place, ReadQuery, StoredRead, find_reads, get_read
from server.tables import units

READS_PER_PAGE = 25
MAX_PAGE = 100_000
MAX_RADIUS_M = 50_000.0
_MINUTE = "%Y-%m-%dT%H:%M"

router = APIRouter()


class _NotUnderstoodError(Exception):
    """A field cannot be read: say which."""


@dataclass(frozen=True, slots=True)
class SearchForm:
    """What the search form sends, as text; empty fields do not narrow."""

    plate: str = ""
    match: str = "exact"
    unit_id: str = ""
    camera: str = ""
    hits_only: str = ""
    since: str = ""
    until: str = ""
    latitude: str = ""
    longitude: str = ""
    radius_m: str = ""

    @property
    def query(self) -> ReadQuery:
        """What is asked for. Raises _NotUnderstoodError."""
        return ReadQuery(
            self.plate.strip(),
            self.match == "anywhere",
            self.unit_id,
            self.hits_only == "yes",
            self.camera.strip(),
            _moment("From", self.since),
            _moment("Until", self.until),
            self._place(),
        )

    def _place(self) -> Place | None:
        given = [self.latitude, self.longitude]
        if not any(each.strip() for each in given):
            return None
        try:
            latitude, longitude = map(float, given)
            radius = float(self.radius_m or 200)
        except ValueError:
            raise _NotUnderstoodError(
                "Latitude, longitude and radius are numbers, in degrees and metres."
            ) from None
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and 0 < radius <= MAX_RADIUS_M):
            raise _NotUnderstoodError(
                f"A place lies within 90 and 180 degrees; its radius is at most {MAX_RADIUS_M:.0f} m."
            )
        return Place(latitude, longitude, radius)


def _form(
    *,
    plate: Annotated[str, Form(max_length=32)] = "",
    match: Text = "exact",
    unit_id: Text = "",
    camera: Text = "",
    hits_only: Text = "",
    since: Text = "",
    until: Text = "",
    latitude: Text = "",
    longitude: Text = "",
    radius_m: Text = "",
) -> SearchForm:
    return SearchForm(plate, match, unit_id, camera, hits_only, since, until, latitude, longitude, radius_m)


Search = Annotated[SearchForm, Depends(_form)]


@router.get("/reads")
def newest_reads(visit: LoggedIn) -> Response:
    """Show the newest reads of all units."""
    return _reads(visit, SearchForm(), 1)


@router.post("/reads")
def search_reads(
    visit: FromForm, form: Search, number: Annotated[int, Form(ge=1, le=MAX_PAGE)] = 1
) -> Response:
    """Show the reads that were asked for."""
    return _reads(visit, form, number)


@router.post("/reads/export")
def export_reads(
    visit: FromForm, form: Search, kind: Annotated[Literal["csv", "json"], Form()] = "csv"
) -> Response:
    """Give the reads that were asked for as a file, with who took it and why printed on it."""
    return _export(visit, form, kind)


@router.get("/reads/{read_id}")
def show_read(visit: LoggedIn, read_id: str) -> Response:
    """Show one read with all that is known of it."""
    visit.require_purpose()
    with reading(visit.desk.engine) as connection:
        found = get_read(connection, read_id)
    visit.record("read.view", read=read_id[:64], found=found is not None)
    if found is None:
        return visit.show("message.html", 404, title="Not found", message="There is no such read.")
    return visit.show("read.html", read=visit.pictured([found])[0], picture=_picture)


def _reads(visit: Visit, form: SearchForm, number: int) -> Response:
    visit.require_purpose()
    try:
        query = form.query
    except _NotUnderstoodError as error:
        return visit.show("message.html", 422, title="Not understood", message=str(error))
    with reading(visit.desk.engine) as connection:
        # One more than is shown tells whether there is another page; counting them all would be slow.
        found = find_reads(connection, query, READS_PER_PAGE + 1, (number - 1) * READS_PER_PAGE)
        unit_ids = list(connection.execute(select(units.c.unit_id).order_by(units.c.unit_id)).scalars())
    more, found = len(found) > READS_PER_PAGE, visit.pictured(found[:READS_PER_PAGE])
    searching = query != ReadQuery()
    visit.record(
        "reads.search" if searching else "reads.list",
        asked=_asked(query) | {"page": number},
        shown=[read.read_id for read in found],
    )
    return visit.show(
        "reads.html",
        reads=found,
        picture=_picture,
        query=query,
        form=asdict(form),
        searching=searching,
        number=number,
        more=more,
        unit_ids=unit_ids,
    )


def _export(visit: Visit, form: SearchForm, kind: str) -> Response:
    visit.require_purpose()
    assert visit.session.purpose is not None  # it was just required
    try:
        query = form.query
    except _NotUnderstoodError as error:
        return visit.show("message.html", 422, title="Not understood", message=str(error))
    with reading(visit.desk.engine) as connection:
        found = find_reads(connection, query, MOST_READS + 1, 0, pictures=False)
    complete, found = len(found) <= MOST_READS, found[:MOST_READS]
    now, asked = visit.desk.clock(), _asked(query)
    visit.record("reads.export", asked=asked, kind=kind, shown=[read.read_id for read in found])
    purpose = visit.session.purpose
    label = Label(
        visit.desk.department.name,
        visit.session.account,
        label_of(purpose.code),
        purpose.case_number,
        now,
        asked,
        complete,
    )
    written = as_json(label, found) if kind == "json" else as_csv(label, found)
    return Response(
        written.encode(),
        media_type="application/json" if kind == "json" else "text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="reads-{now:%Y%m%d-%H%M%S}.{kind}"'},
    )


def _asked(query: ReadQuery) -> dict[str, Any]:
    """Return the query elements as the access log keeps them (Cal. Civ. Code 1798.90.52)."""
    place = query.place
    return {
        "plate": query.plate,
        "anywhere": query.anywhere,
        "unit": query.unit_id,
        "hits only": query.hits_only,
        "camera": query.camera,
        "from": "" if query.since is None else query.since.isoformat(),
        "until": "" if query.until is None else query.until.isoformat(),
        "place": ""
        if place is None
        else f"{place.latitude_deg} {place.longitude_deg}, {place.radius_m:.0f} m",
    }


def _moment(name: str, text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.strptime(text.strip()[:16], _MINUTE).replace(tzinfo=UTC)
    except ValueError:
        raise _NotUnderstoodError(f"{name}: write it as 2026-11-25T03:40, in UTC.") from None


def _picture(read: StoredRead) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(read.evidence).decode("ascii")
