"""`alpr-server audit unit`: what was done on a unit, verified without it."""

from typing import Annotated

import typer

from server import clock
from server.actors import console_person
from server.audit import Deed, append
from server.database import writing
from server.department import Department, open_department
from server.errors import SettingsInvalidError
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.unit_logs import HeldLog, begin_log_anew, refused_pieces, verified_logs
from sync.access_log import LogHead, open_detail, parse_head
from sync.purposes import label_of


def audit_unit(
    unit: Annotated[str, typer.Argument(help="The unit's id, e.g. unit-07.")],
    *,
    noted: Annotated[str, typer.Option("--head", help="SEQUENCE:DIGEST as an earlier run printed it.")] = "",
    newest: Annotated[int, typer.Option(help="Print so many of the newest entries.")] = 0,
    plates: Annotated[bool, typer.Option("--plates", help="Open what is sealed in them; recorded.")] = False,
    begin_anew: Annotated[
        bool, typer.Option("--begin-anew", help="Take the unit's next log as a new one: it was lost.")
    ] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Verify a unit's access log from its first entry to its last, and show what was done there."""
    department = open_department(root)
    if begin_anew:
        begin_log_anew(department.engine, unit, actor=console_person(), now=clock.now())
        typer.echo(f"the next access log of {unit} is taken as a new one; what is held stays")
        return
    held = verified_logs(department.engine, unit, _noted(noted))
    _record(department, unit, held, opened=plates)
    for each in held:
        begun = f"{each.begun_at:%Y-%m-%d %H:%M}Z"
        typer.echo(f"log {each.beginning}, begun {begun}: {len(each.entries)} entries, unbroken")
        typer.echo(f"head {each.head}")
        for entry in each.entries[max(0, len(each.entries) - newest) :] if newest else ():
            told = dict(entry.detail)
            if plates:
                told |= open_detail(entry, unit, department.keys.unseal)
            why = f"{label_of(entry.purpose)} {entry.case_number}".strip()
            typer.echo(
                f"{entry.sequence}  {entry.at:%Y-%m-%d %H:%M:%S}Z ({entry.quality})  {entry.actor} "
                f"({entry.role})  {entry.action}  {entry.outcome}  {why}  "
                + ", ".join(f"{name}: {value}" for name, value in told.items())
            )
    if not held:
        typer.echo(f"no access log of {unit} has come yet")
    refusals = refused_pieces(department.engine, unit)
    for at, why in refusals[-3:]:
        typer.echo(f"ALARM {at:%Y-%m-%d %H:%M}Z: a piece was refused: {why}")
    if len(refusals) > 3:
        typer.echo(f"{len(refusals)} pieces were refused in all; see the department's access log")


def _noted(text: str) -> LogHead | None:
    try:
        return parse_head(text) if text else None
    except ValueError as error:
        raise SettingsInvalidError(f"--head: {error}") from None


def _record(department: Department, unit: str, held: list[HeldLog], *, opened: bool) -> None:
    # Looking at the log is in the log (CJIS AU-2), and stands there before anything is printed.
    detail = {"unit": unit, "entries": sum(len(each.entries) for each in held), "plates": opened}
    with writing(department.engine) as connection:
        append(
            connection, Deed(console_person(), "unit_log.view", purpose="audit", detail=detail), clock.now()
        )
