"""`alpr-server unit …`: what becomes of a unit that is gone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from server import clock
from server.actors import console_person
from server.department import open_department
from server.errors import SettingsInvalidError
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.keys import write_private
from server.lost_unit import LONGEST_WINDOW, report_lost

unit_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Units that are gone.")


@unit_app.callback()
def _group() -> None:
    """One command as yet, which keeps its name."""


@unit_app.command("lost")
def unit_lost(
    unit: Annotated[str, typer.Argument(help="The unit's id, e.g. unit-07.")],
    *,
    at: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%dT%H:%M"], help="When it was lost, UTC: 2026-11-25T03:40")
    ],
    reported_by: Annotated[str, typer.Option(help="Who said so: name or badge number.")],
    out: Annotated[Path, typer.Option(help="New file for the report (Markdown).")],
    window_hours: Annotated[
        float, typer.Option(help="The unit's local window, retention.local_window_h of its configuration.")
    ] = LONGEST_WINDOW / timedelta(hours=1),
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Revoke a lost or stolen unit, and report which reads could have been on it and how they were sealed."""
    if out.exists():
        raise SettingsInvalidError(f"{out} exists: nothing is overwritten; choose another file")
    report = report_lost(
        open_department(root),
        unit,
        lost_at=at.replace(tzinfo=UTC),
        reported_by=reported_by,
        window=timedelta(hours=window_hours),
        actor=console_person(),
        now=clock.now(),
    )
    write_private(out, report.text().encode())
    typer.echo(f"unit {unit} is refused from now on; the report is in {out}")
    typer.echo("take `alpr-server broker-crl` to the broker too, and restart it")
