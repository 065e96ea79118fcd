"""`alpr-server check`: is everything in the database what was written?"""

from typing import Annotated

import typer

from server import clock
from server.actors import console_person
from server.audit import Deed, append
from server.check_structure import NO_CHECKSUMS, without_checksums
from server.checking import PHASES, Checking, Round, begin, examine, keep
from server.database import writing
from server.department import Department, open_department
from server.errors import StoreUnavailableError
from server.hotlist_commands import DEFAULT_ROOT, RootOption

_TOLD_EVERY = 20_000
_REMEDY = (
    "Do not act on what is named above. Keep a copy of the database as it is, look for a failing disk or "
    "memory, and restore what is damaged from the newest backup that passes this check."
)


def check(
    *,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="Give reads of before there were digests one of what they are now, once."
        ),
    ] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Look through the whole database beside the running server; exit 1 if anything is damaged.

    A database file of more than 256 MiB keeps units waiting while SQLite looks at its structure.
    """
    department, now, by = open_department(root), clock.now(), console_person()
    key = department.keys.receipt.public_key()
    fetch = department.pictures.fetch if adopt else None
    current = examine(Checking(department.engine, key, thorough=True, adopt=fetch), now, _Teller())
    for finding in current.findings:
        typer.echo(str(finding))
    if current.found > len(current.findings):
        typer.echo(f"and {current.found - len(current.findings)} more")
    typer.echo(f"{current.reads} reads looked at, {current.found} things damaged")
    if current.unchecked:
        typer.echo(
            f"{current.unchecked} of them are of before reads had digests and were not checked: --adopt"
        )
    if without_checksums(department.engine):
        typer.echo(f"warning: {NO_CHECKSUMS}", err=True)
    _keep(department, by, current, adopt=adopt)
    if current.found:
        typer.echo(_REMEDY)
        raise typer.Exit(1)


class _Teller:
    """Says each phase, and every so many reads."""

    def __init__(self) -> None:
        self._phase, self._told = PHASES[0], 0

    def __call__(self, current: Round) -> None:
        if current.phase != self._phase:
            self._phase = current.phase
            typer.echo(f"{current.phase} …", err=True)
        elif current.reads >= self._told + _TOLD_EVERY:
            self._told = current.reads
            typer.echo(f"{current.reads} reads", err=True)


def _keep(department: Department, by: str, current: Round, *, adopt: bool) -> None:
    detail = {"reads": current.reads, "unchecked": current.unchecked, "found": current.found, "adopt": adopt}
    outcome = "refused" if current.found else "success"
    try:
        begun = begin(department.engine, by, current.begun_at)
        keep(department.engine, begun, current)
        with writing(department.engine) as connection:
            append(connection, Deed(by, "database.check", outcome, detail=detail), clock.now())
    except StoreUnavailableError as error:
        # What was found counts more than that it is on record.
        typer.echo(f"not on record: {error}", err=True)
