"""`alpr-server roster …`: who may log in on the units."""

import typer

from server import clock
from server.actors import console_person
from server.department import Department, open_department
from server.errors import ServerError
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.rosters import LASTS, Rosters

roster_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may log in on the units.")


@roster_app.command("publish")
def roster_publish(root: RootOption = DEFAULT_ROOT) -> None:
    """Sign the accounts as they are now as the units' next roster; the service does so by itself."""
    number = _rosters(open_department(root)).bring(clock.now(), actor=console_person(), at_once=True)
    typer.echo(f"roster {number} is published; units let people in by it for {LASTS.days} days")


@roster_app.command("delegate")
def roster_delegate(root: RootOption = DEFAULT_ROOT) -> None:
    """Let an online key sign rosters, in a department that has none yet; two persons sign the draft."""
    department = open_department(root)
    department.publications.delegate_rosters(department.folder.keys, clock.now())
    typer.echo("drafted: two persons sign the draft of targets (`alpr-server updates sign`), then publish it")


def bring_after_change(department: Department) -> None:
    """Publish the roster after an account was changed; a failure is told, and the service tries again."""
    try:
        number = _rosters(department).bring(clock.now(), actor=console_person())
    except ServerError as error:
        typer.echo(f"units do not know of it yet: {error}", err=True)
        return
    if number:
        typer.echo(f"roster {number} tells the units")


def _rosters(department: Department) -> Rosters:
    return Rosters(department.engine, department.publications, department.settings.access)
