"""What people ask of the reads, for the pages and for the commands: answered, and in the access log first.

A canvass and a convoy look at everybody who passed, so both need a purpose with a case number. What is
written down is the question, how much was found, and a read of each plate that is told: by these an auditor
finds everybody who was shown a plate.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from server.actors import Actor
from server.audit import append
from server.canvass import Canvassed, CanvassQuestion, canvass
from server.canvass import checked as checked_canvass
from server.convoy import Convoyed, ConvoyQuestion, convoy
from server.convoy import checked as checked_convoy
from server.database import reading, writing
from server.purposes import label_of
from server.read_export import MOST_READS, Label, Table
from server.records import ReadQuery, StoredRead, find_reads

T = TypeVar("T")


def asked_of(query: ReadQuery) -> dict[str, Any]:
    """Return the elements of a search as the access log keeps them (Cal. Civ. Code 1798.90.52)."""
    place = query.place
    return {
        "plate": query.plate,
        "anywhere": query.anywhere,
        "look-alikes": query.alike,
        "unit": query.unit_id,
        "hits only": query.hits_only,
        "camera": query.camera,
        "incident": query.incident,
        "from": "" if query.since is None else query.since.isoformat(),
        "until": "" if query.until is None else query.until.isoformat(),
        "place": ""
        if place is None
        else f"{place.latitude_deg} {place.longitude_deg}, {place.radius_m:.0f} m",
    }


def require_case(actor: Actor) -> None:
    """Raises ValueError, with what to tell the person, unless their purpose names a case."""
    if not actor.purpose.case_number:
        raise ValueError("This needs a case number: state your purpose anew, with the case it is for.")


def exported(
    engine: Engine, query: ReadQuery, actor: Actor, now: datetime, kind: str
) -> tuple[list[StoredRead], bool]:
    """Return the reads for a file of *kind*, and whether these are all. Raises ValueError as `find_reads`."""

    def find(connection: Connection) -> list[StoredRead]:
        return find_reads(connection, query, MOST_READS + 1, 0, pictures=False)

    found = _answered(engine, find)
    shown = found[:MOST_READS]
    ids = [read.read_id for read in shown]
    _record(engine, actor, now, "reads.export", {"asked": asked_of(query), "kind": kind, "shown": ids})
    return shown, len(found) <= MOST_READS


def canvassed(
    engine: Engine, question: CanvassQuestion, actor: Actor, now: datetime, kind: str = ""
) -> Canvassed:
    """Return the answer; *kind* is that of the file it goes into, "" for a page.

    Raises ValueError, with what to tell the person, if the question asks for too much or has no case.
    """
    require_case(actor)
    checked_canvass(question)
    found = _answered(engine, lambda connection: canvass(connection, question))
    detail = {"asked": question.asked, "plates": found.found, "shown": found.read_ids}
    _record(engine, actor, now, *_told("reads.canvass", detail, kind))
    return found


def convoyed(
    engine: Engine, question: ConvoyQuestion, actor: Actor, now: datetime, kind: str = ""
) -> Convoyed:
    """Return the answer, as `canvassed` does."""
    require_case(actor)
    checked_convoy(question)
    found = _answered(engine, lambda connection: convoy(connection, question))
    detail = {"asked": question.asked, "companions": found.found, "shown": found.read_ids}
    _record(engine, actor, now, *_told("reads.convoy", detail, kind))
    return found


def label_for(
    department: str, actor: Actor, now: datetime, asked: Mapping[str, Any], *, complete: bool
) -> Label:
    """Return what is printed on a file of what was found."""
    purpose = actor.purpose
    why = label_of(purpose.code)
    return Label(department, actor.name, why, purpose.case_number, now, dict(asked), complete)


def canvass_table(question: CanvassQuestion, found: Canvassed) -> Table:
    """Return the answer as a file has it: a row for each plate and scene."""
    columns = (
        "plate",
        "states",
        "scenes",
        "reads_held",
        "scene",
        "reads_there",
        "first",
        "last",
        "cameras",
        "clock_unsure",
        "read_id",
    )
    rows = [
        (
            each.plate,
            " ".join(each.states),
            len(each.scenes),
            each.overall,
            number,
            at.reads,
            at.first.isoformat(),
            at.last.isoformat(),
            "; ".join(at.cameras),
            at.clock_unsure,
            at.read_id,
        )
        for each in found.plates
        for number, at in each.scenes.items()
    ]
    notes = [f"scene {number}: {scene.text}" for number, scene in enumerate(question.scenes, 1)]
    notes.append("reads_held: reads of the plate in all; many are of who is often read, near here or not")
    return Table("canvass", f"{len(found.plates)} of {found.found} plates", columns, rows, tuple(notes))


def convoy_table(found: Convoyed) -> Table:
    """Return the answer as a file has it: a row for each companion."""
    columns = (
        "plate",
        "together",
        "occasions",
        "first",
        "last",
        "units",
        "reads_in_time",
        "reads_held",
        "expected_by_chance",
        "chance",
        "could_be_misread",
        "read_id",
    )
    rows = [
        (
            each.plate,
            each.together,
            found.occasions,
            each.first.isoformat(),
            each.last.isoformat(),
            " ".join(each.units),
            each.in_span,
            each.overall,
            float(f"{each.expected:.3g}"),
            float(f"{each.chance:.3g}"),
            each.alike,
            each.read_id,
        )
        for each in found.companions
    ]
    note = "chance: of being together so often if its reads were strewn over all; cars of one street are none"
    counted = f"{len(found.companions)} of {found.found} companions, {found.reads} reads of the plate"
    return Table("convoy", counted, columns, rows, (note,))


def _answered(engine: Engine, ask: Callable[[Connection], T]) -> T:
    with reading(engine) as connection:
        return ask(connection)


def _told(action: str, detail: dict[str, Any], kind: str) -> tuple[str, dict[str, Any]]:
    return ("reads.export", detail | {"kind": kind, "of": action}) if kind else (action, detail)


def _record(engine: Engine, actor: Actor, now: datetime, action: str, detail: dict[str, Any]) -> None:
    with writing(engine) as connection:
        append(connection, actor.deed(action, detail), now)
