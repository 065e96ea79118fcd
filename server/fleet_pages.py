"""The fleet, and one unit: where they last were, and how they are.

Places come from reads. Who sees no reads, and who has not said why they look, gets the list without them.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from server.database import reading
from server.desk import LoggedIn, Visit
from server.fleet import Fleet, FleetUnit, counted_today, fleet, newest_list, one_unit
from server.maps import NARROW, Drawn, Marker

UNITS_PER_PAGE = 100
_ACROSS, _COLUMN = (1160, 480), (480, 360)
"""Sizes of maps in pixels: over the whole page, and in one of two columns."""
SHOWN = ("all", "attention", "live")

router = APIRouter()


@router.get("/units")
def show_units(
    visit: LoggedIn,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    show: Annotated[str, Query(max_length=16)] = "all",
    kind: Annotated[str, Query(max_length=32)] = "",
    find: Annotated[str, Query(max_length=63)] = "",
) -> Response:
    """Show every unit, those first that need a person; `kind` of need, and part of an id, narrow the list."""
    now = visit.desk.clock()
    with reading(visit.desk.engine) as connection:
        found = fleet(connection, now)
        chosen = _chosen(found, show, kind, find)
        start = (page - 1) * UNITS_PER_PAGE
        rows = chosen[start : start + UNITS_PER_PAGE]
        today = counted_today(connection, [unit.unit_id for unit in rows], now)
    places = _sees_places(visit)
    # Names of units alone are in the address and here: no plate, no place.
    visit.record("units.view", units=len(chosen), places=places, show=show, kind=kind, find=find)
    return visit.show(
        "units.html",
        fleet=found,
        units=rows,
        chosen=len(chosen),
        today=today,
        drawn=_map(visit, chosen, _ACROSS) if places else None,
        narrow=_map(visit, chosen, NARROW) if places else None,
        page=page,
        pages=max(1, -(-len(chosen) // UNITS_PER_PAGE)),
        asked={"show": show if show in SHOWN else "all", "kind": kind, "find": find},
        now=now,
    )


@router.get("/units/{unit_id}")
def show_unit(visit: LoggedIn, unit_id: Annotated[str, Path(max_length=63)]) -> Response:
    """Show everything that is known of one unit."""
    now = visit.desk.clock()
    with reading(visit.desk.engine) as connection:
        unit = one_unit(connection, unit_id, now)
        today = {} if unit is None else counted_today(connection, [unit_id], now)
        newest = newest_list(connection)
    if unit is None:
        return visit.show(
            "message.html", 404, title="Not found", message="No unit of that name is enrolled. See Units."
        )
    places = _sees_places(visit)
    visit.record("unit.view", unit=unit_id, places=places)
    drawn = _map(visit, [unit], _COLUMN) if places and unit.place is not None else None
    return visit.show(
        "unit.html", unit=unit, today=today[unit_id], newest=newest, drawn=drawn, sees_places=places, now=now
    )


def _sees_places(visit: Visit) -> bool:
    return visit.session.role.sees_reads and visit.session.purpose is not None


def _chosen(found: Fleet, show: str, kind: str, find: str) -> list[FleetUnit]:
    wanted = find.strip().casefold()
    return [
        unit
        for unit in found.units
        if wanted in unit.unit_id.casefold()
        and (not kind or any(need.kind == kind for need in unit.needs))
        and (show != "attention" or unit.needs)
        and (show != "live" or unit.live)
    ]


def _map(visit: Visit, chosen: list[FleetUnit], size: tuple[int, int]) -> Drawn:
    markers = [
        Marker(unit.place, unit.unit_id, "unit", unit.level, f"/units/{unit.unit_id}")
        for unit in chosen
        if unit.place is not None and not unit.revoked
    ]
    atlas = visit.desk.atlas
    return atlas.draw(
        atlas.view([marker.spot for marker in markers], size), markers, title="Where units last read a plate"
    )
