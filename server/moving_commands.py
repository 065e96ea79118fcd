"""`alpr-server move`: a department that outgrew the embedded database."""

from typing import Annotated

import typer

from server import clock
from server.actors import console_person
from server.audit import Deed, append
from server.database import open_database, writing
from server.department import open_department
from server.errors import SettingsInvalidError
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.moving import move


def move_to_postgresql(
    url: Annotated[str, typer.Argument(help="postgresql+psycopg://user@host/database, which must be empty.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Copy the whole embedded database to PostgreSQL. Stop the server first; the old file stays as it is.

    All in one transaction: what is cut off leaves an empty database, and is begun anew.
    """
    department = open_department(root)
    if department.settings.database.url:
        raise SettingsInvalidError("[database] url is set: this department is on PostgreSQL already")
    target = open_database(department.folder.database, url)
    moved = move(
        department.engine, target, clock.now(), lambda name, rows: typer.echo(f"{rows:>12,} {name}", err=True)
    )
    with writing(target) as connection:
        detail = {"rows": sum(moved.rows.values()), "audit_head": moved.audit_head}
        append(connection, Deed(console_person(), "database.move", detail=detail), clock.now())
    target.dispose()
    typer.echo(f"{sum(moved.rows.values()):,} rows copied; the access log is whole: {moved.audit_head}")
    typer.echo(f"Now write the url into [database] of {department.folder.settings} and start the server.")
    typer.echo(f"Destroy {department.folder.database} once all is well: no purge reaches it.")
