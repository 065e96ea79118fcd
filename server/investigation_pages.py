"""The pages of a canvass and of a convoy.

Nothing is asked before a form is sent. The map in the canvass's form sends it too, to place a scene: that is
answered with the form alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Response

from server.canvass import LONGEST, MOST_RADIUS_M, MOST_READS, MOST_SCENES, Canvassed, CanvassQuestion, Scene
from server.convoy import LONGEST as LONGEST_CONVOY
from server.convoy import Convoyed, ConvoyQuestion
from server.desk import FromForm, LoggedIn, Visit
from server.inquiries import canvass_table, canvassed, convoy_table, convoyed, label_for
from server.maps import Circle, Marker
from server.read_export import Table, table_csv, table_json
from server.read_forms import (
    Chooser,
    Fields,
    NotUnderstoodError,
    chooser,
    moment_of,
    on_map,
    place_of,
    spot_clicked,
    spot_of,
    written,
)
from server.read_pages import edges, file_response

Kind = Annotated[Literal["csv", "json"], Form()]
_PER_SCENE = ("since", "until", "latitude", "longitude", "radius_m")

router = APIRouter()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A canvass as the form has it."""

    form: dict[str, str]
    scene: int
    """Which one a click places."""

    @property
    def question(self) -> CanvassQuestion:
        """What is asked. Raises NotUnderstoodError."""
        scenes = [scene for number in range(1, MOST_SCENES + 1) if (scene := self.one(number)) is not None]
        try:
            return CanvassQuestion(tuple(scenes), int(self.form["least"]))
        except ValueError:
            raise NotUnderstoodError("At least at how many scenes is a number.") from None

    def one(self, number: int) -> Scene | None:
        """Return one scene, None where its fields are empty. Raises NotUnderstoodError."""
        since, until, latitude, longitude, radius_m = (self.form[f"{name}_{number}"] for name in _PER_SCENE)
        which = f"Scene {number}: "
        place = place_of(latitude, longitude, radius_m, MOST_RADIUS_M, which)
        begin, end = moment_of(f"{which}From", since), moment_of(f"{which}Until", until)
        if place is None and begin is None and end is None:
            return None
        if place is None or begin is None or end is None:
            raise NotUnderstoodError(f"{which}give its place and both ends of its time, or nothing.")
        return Scene(place, begin, end)


@router.get("/reads/canvass")
def show_canvass(visit: LoggedIn) -> Response:
    """Show the form."""
    visit.require_purpose()
    return _canvass_page(visit, _asked({}), {})


@router.post("/reads/canvass")
def ask_canvass(visit: FromForm, fields: Fields) -> Response:
    """Show which plates passed; or, where the map in the form sent it, the form with that place."""
    visit.require_purpose()
    asked = _asked(fields)
    if on_map(fields):
        if spot := spot_clicked(fields, visit.desk.atlas):
            asked.form[f"latitude_{asked.scene}"] = written(spot.latitude_deg)
            asked.form[f"longitude_{asked.scene}"] = written(spot.longitude_deg)
        return _canvass_page(visit, asked, fields)
    try:
        question = asked.question
        found = canvassed(visit.desk.engine, question, visit.actor, visit.desk.clock())
    except (NotUnderstoodError, ValueError) as error:
        return _canvass_page(visit, asked, fields, message=str(error))
    return _canvass_page(visit, asked, fields, question=question, found=found)


@router.post("/reads/canvass/export")
def export_canvass(visit: FromForm, fields: Fields, kind: Kind = "csv") -> Response:
    """Give the answer as a file, with who took it and why printed on it."""
    visit.require_purpose()
    asked = _asked(fields)
    try:
        question = asked.question
        found = canvassed(visit.desk.engine, question, visit.actor, visit.desk.clock(), kind)
    except (NotUnderstoodError, ValueError) as error:
        return _canvass_page(visit, asked, fields, message=str(error))
    table = canvass_table(question, found)
    return _file(visit, table, question.asked, kind, complete=found.complete)


@router.get("/reads/convoy")
def show_convoy(visit: LoggedIn) -> Response:
    """Show the form."""
    visit.require_purpose()
    return _convoy_page(visit, _convoy_form({}))


@router.post("/reads/convoy")
def ask_convoy(visit: FromForm, fields: Fields) -> Response:
    """Show which plates were close to one again and again."""
    visit.require_purpose()
    form = _convoy_form(fields)
    try:
        found = convoyed(visit.desk.engine, _convoy_question(form), visit.actor, visit.desk.clock())
    except (NotUnderstoodError, ValueError) as error:
        return _convoy_page(visit, form, message=str(error))
    return _convoy_page(visit, form, found=found)


@router.post("/reads/convoy/export")
def export_convoy(visit: FromForm, fields: Fields, kind: Kind = "csv") -> Response:
    """Give the answer as a file, with who took it and why printed on it."""
    visit.require_purpose()
    form = _convoy_form(fields)
    try:
        question = _convoy_question(form)
        found = convoyed(visit.desk.engine, question, visit.actor, visit.desk.clock(), kind)
    except (NotUnderstoodError, ValueError) as error:
        return _convoy_page(visit, form, message=str(error))
    return _file(visit, convoy_table(found), question.asked, kind, complete=found.complete)


def _file(visit: Visit, table: Table, asked: dict[str, object], kind: str, *, complete: bool) -> Response:
    now = visit.desk.clock()
    label = label_for(visit.desk.department.name, visit.actor, now, asked, complete=complete)
    content = table_json(label, table) if kind == "json" else table_csv(label, table)
    return file_response(content, table.name, now.strftime("%Y%m%d-%H%M%S"), kind)


def _asked(fields: Mapping[str, str]) -> _Asked:
    names = [f"{name}_{number}" for number in range(1, MOST_SCENES + 1) for name in _PER_SCENE]
    form = {name: fields.get(name, "")[:32] for name in names} | {"least": fields.get("least", "1")[:2]}
    scene = fields.get("scene", "1")
    return _Asked(form, int(scene) if scene in map(str, range(1, MOST_SCENES + 1)) else 1)


def _canvass_page(
    visit: Visit,
    asked: _Asked,
    fields: Mapping[str, str],
    *,
    message: str = "",
    question: CanvassQuestion | None = None,
    found: Canvassed | None = None,
) -> Response:
    return visit.show(
        "canvass.html",
        422 if message else 200,
        message=message,
        form=asked.form,
        scene=asked.scene,
        question=question,
        found=found,
        most_scenes=MOST_SCENES,
        most_reads=MOST_READS,
        longest_days=LONGEST.days,
        chooser=_scenes_on_map(visit, asked, fields),
    )


def _scenes_on_map(visit: Visit, asked: _Asked, fields: Mapping[str, str]) -> Chooser:
    markers, circles = [], []
    for number in range(1, MOST_SCENES + 1):
        form = asked.form
        latitude, longitude = form[f"latitude_{number}"], form[f"longitude_{number}"]
        try:
            place = place_of(latitude, longitude, form[f"radius_m_{number}"], MOST_RADIUS_M)
        except NotUnderstoodError:
            continue  # the message says so; the map shows the others
        if place is not None:
            markers.append(Marker(spot_of(place), f"scene {number}", "chosen"))
            circles.append(Circle(spot_of(place), place.radius_m))
    atlas = visit.desk.atlas
    usual = atlas.view([edge for each in circles for edge in edges(each)])
    seen = atlas.asked(fields, usual)
    return chooser(atlas, seen, markers, circles, "Click to choose the place of a scene")


def _convoy_form(fields: Mapping[str, str]) -> dict[str, str]:
    usual = {"plate": "", "since": "", "until": "", "within_s": "30", "within_m": "100", "least": "2"}
    return {name: fields.get(name, value)[:32] for name, value in usual.items()}


def _convoy_question(form: Mapping[str, str]) -> ConvoyQuestion:
    since, until = moment_of("From", form["since"]), moment_of("Until", form["until"])
    if since is None or until is None:
        raise NotUnderstoodError("Give both ends of the time.")
    try:
        within_s, within_m, least = int(form["within_s"]), float(form["within_m"]), int(form["least"])
    except ValueError:
        raise NotUnderstoodError("Seconds, metres and how often are numbers.") from None
    return ConvoyQuestion(form["plate"].strip(), since, until, within_s, within_m, least)


def _convoy_page(
    visit: Visit, form: Mapping[str, str], *, message: str = "", found: Convoyed | None = None
) -> Response:
    return visit.show(
        "convoy.html",
        422 if message else 200,
        message=message,
        form=form,
        found=found,
        longest_days=LONGEST_CONVOY.days,
    )
