"""`alpr-server pictures …`: what lies outside the database."""

import typer

from server import clock
from server.actors import console_person
from server.audit import Deed, append
from server.database import writing
from server.department import open_department
from server.hotlist_commands import DEFAULT_ROOT, RootOption

pictures_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Pictures outside the database, as [pictures] says."
)


@pictures_app.command("move")
def pictures_move(root: RootOption = DEFAULT_ROOT) -> None:
    """Move now what is due. The server does it by itself while it runs."""
    pictures = open_department(root).pictures
    pictures.sweep(clock.now())
    moved = 0
    while step := pictures.move_out(clock.now()):
        moved += step
    typer.echo(f"{moved} pictures moved out of the database")


@pictures_app.command("check")
def pictures_check(root: RootOption = DEFAULT_ROOT) -> None:
    """Compare what reads point to with what the store holds; exit 1 where a picture is missing.

    Missing ones come back from the store's own backup. Stray ones have no read: after a restored database
    they may be of reads that were purged. Nothing is changed.
    """
    department = open_department(root)
    found = department.pictures.check()
    with writing(department.engine) as connection:
        detail = {"held": found.held, "missing": len(found.missing), "stray": len(found.stray)}
        append(connection, Deed(console_person(), "pictures.check", detail=detail), clock.now())
    typer.echo(f"{found.held} pictures outside, {len(found.missing)} missing, {len(found.stray)} stray")
    for word, names in (("missing", found.missing), ("stray", found.stray)):
        for name in names:
            typer.echo(f"{word} {name}")
    if found.missing:
        raise typer.Exit(1)
