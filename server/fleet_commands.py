"""`alpr-server units`: the fleet as the page shows it, without places."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from server import clock
from server.actors import console_person
from server.audit import Deed, append
from server.database import reading, writing
from server.department import open_department
from server.fleet import Fleet, FleetUnit, Today, counted_today, fleet
from server.hotlist_commands import DEFAULT_ROOT, RootOption

_AT_ONCE = 500


def fleet_units(
    *,
    attention: Annotated[
        bool,
        typer.Option("--attention", help="Only those that need a person; exit status 1 if there are any."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object.")] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Say how the units are, those first that need a person."""
    department = open_department(root)
    now = clock.now()
    with reading(department.engine) as connection:
        found = fleet(connection, now)
        chosen = found.needing if attention else found.units
        names = [unit.unit_id for unit in chosen]
        today: dict[str, Today] = {}
        for start in range(0, len(names), _AT_ONCE):
            today |= counted_today(connection, names[start : start + _AT_ONCE], now)
    with writing(department.engine) as connection:
        append(connection, Deed(console_person(), "units.view", detail={"units": len(chosen)}), now)
    if as_json:
        typer.echo(json.dumps(_object(found, chosen, today), indent=1, default=str))
    else:
        _print(found, chosen, today)
    if attention and chosen:
        raise typer.Exit(1)


def _object(found: Fleet, chosen: tuple[FleetUnit, ...], today: dict[str, Today]) -> dict[str, object]:
    hidden = {"place", "place_at"}
    return {
        "in_service": found.active,
        "live": found.live,
        "need_attention": len(found.needing),
        "reasons": [{"kind": kind, "level": level, "units": count} for kind, level, count in found.reasons],
        "newest_list": None if found.newest is None else found.newest.sequence,
        "units": [
            {key: value for key, value in asdict(unit).items() if key not in hidden}
            | {"level": unit.level, "today": asdict(today[unit.unit_id])}
            for unit in chosen
        ],
    }


def _print(found: Fleet, chosen: tuple[FleetUnit, ...], today: dict[str, Today]) -> None:
    table = Table("unit", "state", "needs", "last heard", "day of 30", "list", "today", "certificate until")
    for unit in chosen:
        counted = today[unit.unit_id]
        table.add_row(
            unit.unit_id,
            "revoked" if unit.revoked else "live" if unit.live else "away",
            ", ".join(need.kind for need in unit.needs) or "-",
            "-" if unit.heard_at is None else f"{unit.heard_at:%Y-%m-%d %H:%M}",
            f"{unit.days_used}",
            "-" if unit.status is None else f"{unit.status.list_sequence}",
            f"{counted.reads} reads, {counted.hits} hits",
            f"{unit.certificate_expires_at:%Y-%m-%d}",
        )
    console = Console()
    reasons = ", ".join(f"{count} {kind}" for kind, _, count in found.reasons)
    console.print(
        f"{found.active} units in service, {found.live} live, {len(found.needing)} need attention"
        + (f": {reasons}" if reasons else ""),
        highlight=False,
    )
    console.print(table)
