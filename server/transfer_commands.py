"""`alpr-server transfer …`: reads that come without a network."""

from pathlib import Path
from typing import Annotated

import typer

from server import clock
from server.actors import console_person
from server.carried import take_stick
from server.department import open_department
from server.errors import SettingsInvalidError
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.intake import Intake
from server.unit_logs import UnitLogs

transfer_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Reads that come without a network."
)


@transfer_app.callback()
def _group() -> None:
    """One command as yet, which keeps its name."""


@transfer_app.command("usb")
def transfer_usb(
    stick: Annotated[Path, typer.Argument(help="Where the stick is mounted.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Take the reads that units put on a stick, and put the department's receipts on it.

    Bring it back to the unit then: it keeps its reads until it has the receipts.
    """
    if not stick.is_dir():
        raise SettingsInvalidError(f"{stick}: is no folder; mount the stick and name the place")
    department = open_department(root)
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    logs = UnitLogs(department.engine, department.keys, intake)
    brought = take_stick(department.engine, intake, stick, actor=console_person(), now=clock.now(), logs=logs)
    if not brought:
        raise SettingsInvalidError(f"{stick}: no unit put reads there; see `alpr-edge transfer usb`")
    for unit in brought:
        typer.echo(f"{unit.unit_id}: {unit.batches} batches held, their receipts are on the stick")
        for fault in unit.faults:
            typer.echo(f"{unit.unit_id}: not taken: {fault}", err=True)
    if any(unit.faults for unit in brought):
        raise typer.Exit(1)
