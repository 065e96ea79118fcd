"""`alpr-server reads …`: searches, canvass and convoy at the console, as the pages do them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from server import clock
from server.actors import Actor
from server.canvass import CanvassQuestion, Scene
from server.convoy import ConvoyQuestion
from server.department import Department, open_department
from server.errors import SettingsInvalidError
from server.evidence_commands import ByPlate, Since, Until, person_at_console, require_new, write_new
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.inquiries import asked_of, canvass_table, canvassed, convoy_table, convoyed, exported, label_for
from server.read_export import Label, Table, as_csv, as_json, table_csv, table_json
from server.records import Place, ReadQuery
from sync.purposes import checked_incident

T = TypeVar("T")
reads_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Searches of the reads; each is recorded with its purpose.",
)

Purpose = Annotated[str, typer.Option(help="Of the pick list, e.g. investigation.")]
Case = Annotated[str, typer.Option("--case", help="Case number.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, not CSV.")]
OutFile = Annotated[Path | None, typer.Option(help="New file; else it is printed.")]
_SCENE = "LATITUDE,LONGITUDE,METRES,FROM,UNTIL with times as 2026-11-25T03:40, UTC"


@reads_app.command("search")
def reads_search(
    purpose: Purpose,
    *,
    case: Case = "",
    by_plate: ByPlate = False,
    anywhere: Annotated[bool, typer.Option("--anywhere", help="The plate stands anywhere in it.")] = False,
    look_alikes: Annotated[
        bool, typer.Option("--look-alikes", help="Also what a reader could have taken the plate for.")
    ] = False,
    since: Since = None,
    until: Until = None,
    unit: Annotated[str, typer.Option(help="This unit's reads alone.")] = "",
    camera: str = "",
    incident: Annotated[str, typer.Option(help="Reads made for this incident alone.")] = "",
    hits_only: Annotated[bool, typer.Option("--hits-only")] = False,
    place: Annotated[str, typer.Option(help="LATITUDE,LONGITUDE,METRES.")] = "",
    json: AsJson = False,
    out: OutFile = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Give the reads that are asked for as a file."""
    department, actor, now = _at_console(root, purpose, case, out)
    query = ReadQuery(
        plate=typer.prompt("Plate, whole or partial with ? and *") if by_plate else "",
        anywhere=anywhere,
        alike=look_alikes,
        unit_id=unit,
        hits_only=hits_only,
        camera=camera,
        since=_utc(since),
        until=_utc(until),
        place=_place(place.split(","), "--place") if place else None,
        incident=_taken(lambda: checked_incident(incident)) if incident else "",
    )
    kind = "json" if json else "csv"
    found, complete = _taken(lambda: exported(department.engine, query, actor, now, kind))
    label = _label(department, actor, now, asked_of(query), complete=complete)
    _give(as_json(label, found) if json else as_csv(label, found), out)


@reads_app.command("canvass")
def reads_canvass(
    case: Case,
    scene: Annotated[list[str], typer.Option(help=f"{_SCENE}; up to 5 of them.")],
    *,
    purpose: Purpose = "canvass",
    least: Annotated[int, typer.Option(help="Plates that were at so many of them.")] = 1,
    json: AsJson = False,
    out: OutFile = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Give the plates that passed a place at a time, or several."""
    department, actor, now = _at_console(root, purpose, case, out)
    question = CanvassQuestion(tuple(_scene(text) for text in scene), least)
    kind = "json" if json else "csv"
    found = _taken(lambda: canvassed(department.engine, question, actor, now, kind))
    label = _label(department, actor, now, question.asked, complete=found.complete)
    _give(_written(label, canvass_table(question, found), json=json), out)


@reads_app.command("convoy")
def reads_convoy(
    case: Case,
    since: Annotated[datetime, typer.Option(formats=["%Y-%m-%dT%H:%M"], help="UTC.")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%dT%H:%M"], help="UTC.")],
    *,
    purpose: Purpose = "investigation",
    within_s: Annotated[int, typer.Option(help="Seconds.")] = 30,
    within_m: Annotated[float, typer.Option(help="Metres, where another unit read it.")] = 100.0,
    least: Annotated[int, typer.Option(help="Occasions on which they were together.")] = 2,
    json: AsJson = False,
    out: OutFile = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Give the plates that were read again and again close to one, which is asked for at the terminal."""
    department, actor, now = _at_console(root, purpose, case, out)
    begin, end = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
    question = ConvoyQuestion(typer.prompt("Plate").strip(), begin, end, within_s, within_m, least)
    kind = "json" if json else "csv"
    found = _taken(lambda: convoyed(department.engine, question, actor, now, kind))
    label = _label(department, actor, now, question.asked, complete=found.complete)
    _give(_written(label, convoy_table(found), json=json), out)


def _at_console(root: Path, purpose: str, case: str, out: Path | None) -> tuple[Department, Actor, datetime]:
    if out is not None:
        require_new(out)
    return open_department(root), person_at_console(purpose, case), clock.now()


def _taken(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except ValueError as error:
        raise SettingsInvalidError(str(error)) from None


def _label(
    department: Department, actor: Actor, now: datetime, asked: dict[str, object], *, complete: bool
) -> Label:
    return label_for(department.settings.department.name, actor, now, asked, complete=complete)


def _written(label: Label, table: Table, *, json: bool) -> str:
    return table_json(label, table) if json else table_csv(label, table)


def _give(content: str, out: Path | None) -> None:
    if out is None:
        typer.echo(content, nl=False)
        return
    write_new(out, content.encode())
    typer.echo(f"{out} is written")


def _scene(text: str) -> Scene:
    parts = text.split(",")
    if len(parts) != 5:
        raise SettingsInvalidError(f"--scene: write it as {_SCENE}")
    try:
        since, until = (
            datetime.strptime(part.strip(), "%Y-%m-%dT%H:%M").replace(tzinfo=UTC) for part in parts[3:]
        )
    except ValueError:
        raise SettingsInvalidError(f"--scene: write it as {_SCENE}") from None
    return Scene(_place(parts[:3], "--scene"), since, until)


def _place(parts: list[str], option: str) -> Place:
    try:
        latitude, longitude, radius_m = map(float, parts)
    except ValueError:
        raise SettingsInvalidError(f"{option}: a place is LATITUDE,LONGITUDE,METRES") from None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180 and 0 < radius_m <= 50_000):
        raise SettingsInvalidError(f"{option}: within 90 and 180 degrees, and at most 50000 m")
    return Place(latitude, longitude, radius_m)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
