"""`alpr-server evidence …`: packages of reads for the property room, their book, and their check."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from server import clock
from server.actors import Actor, console_person
from server.department import open_department
from server.errors import SettingsInvalidError
from server.evidence_book import book, the_book
from server.evidence_scope import Scope
from server.evidence_seal import evidence_key, name_of
from server.evidence_verify import NoPackageError, verify_package
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.keys import write_private
from server.purposes import stated_purpose
from server.release_errors import EvidenceRefusedError
from server.release_export import package_for_booking

evidence_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Evidence packages.")

_MINUTE = "%Y-%m-%dT%H:%M"
Reads = Annotated[list[str] | None, typer.Option("--read", help="A read's id; may be given several times.")]
ByPlate = Annotated[
    bool, typer.Option("--by-plate", help="Ask for a plate: what stands in a command ends up in histories.")
]
Since = Annotated[datetime | None, typer.Option(formats=[_MINUTE], help="UTC.")]
Until = Annotated[datetime | None, typer.Option(formats=[_MINUTE], help="UTC.")]
OfUnit = Annotated[str, typer.Option("--unit", help="This unit's reads alone.")]
Out = Annotated[Path, typer.Option(help="New file.")]


@evidence_app.command("package")
def evidence_package(
    case: Annotated[str, typer.Option("--case", help="Case number; it stands in the package.")],
    out: Out,
    *,
    purpose: Annotated[
        str, typer.Option(help="Of the pick list; it stands in the package.")
    ] = "investigation",
    read: Reads = None,
    by_plate: ByPlate = False,
    since: Since = None,
    until: Until = None,
    unit: OfUnit = "",
    recipient: Annotated[
        int | None, typer.Option(help="Number on the list of recipients; of this department.")
    ] = None,
    unencrypted_for_booking: Annotated[
        str, typer.Option("--unencrypted-for-booking", help="Reason why it is not encrypted; it is recorded.")
    ] = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Package reads for the property room, signed and encrypted. Other agencies: `alpr-server release`."""
    department = open_department(root)
    require_new(out)
    made = package_for_booking(
        department,
        scope_of(read, by_plate=by_plate, since=since, until=until, unit=unit),
        recipient_id=recipient,
        unencrypted_reason=unencrypted_for_booking,
        actor=person_at_console(purpose, case),
        now=clock.now(),
    )
    write_new(out, made.content)
    typer.echo(f"package {made.package_id}: {made.reads} reads, {out}")
    typer.echo(f"sha256 {made.sha256}")
    typer.echo(f"key {made.key}")
    typer.echo(f"in the property room: alpr-server evidence book {out} --item NUMBER --place PLACE")


@evidence_app.command("book")
def evidence_book(
    file: Annotated[Path, typer.Argument(help="The package, as it lies on the medium.")],
    item: Annotated[str, typer.Option(help="Item number in the property room.")],
    place: Annotated[str, typer.Option(help="Where it lies.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Record for ever that a package was booked into evidence: item, place, who, when, digest."""
    department = open_department(root)
    actor = Actor(console_person())
    booked = book(department.engine, file, item_number=item, place=place, actor=actor, now=clock.now())
    typer.echo(f"booking {booked.booking_id}: package {booked.package_id} is item {booked.item_number}")
    typer.echo(f"sha256 {booked.sha256}")


@evidence_app.command("list")
def evidence_list(root: RootOption = DEFAULT_ROOT) -> None:
    """Show every package that was made, and every one that was booked."""
    department = open_department(root)
    packages, bookings = the_book(department.engine, Actor(console_person()), clock.now())
    for each in packages:
        whom = f"for request {each.request_id}" if each.request_id else "for the property room"
        how = f"NOT encrypted: {each.unencrypted_reason}" if each.unencrypted_reason else "encrypted"
        typer.echo(
            f"package {each.package_id}  {each.made_at:%Y-%m-%d %H:%M}Z  case {each.case_number}  "
            f"{each.reads} reads  {whom}  {how}  {each.made_by}  sha256 {each.sha256}"
        )
    for booked in bookings:
        typer.echo(
            f"item {booked.item_number}  package {booked.package_id}  {booked.booked_at:%Y-%m-%d %H:%M}Z  "
            f"{booked.place}  {booked.booked_by}"
        )


@evidence_app.command("verify")
def evidence_verify(
    package: Annotated[Path, typer.Argument(help="A package's ZIP file or folder, decrypted.")],
    key: Annotated[str | None, typer.Option("--key", help="The fingerprint to expect.")] = None,
) -> None:
    """Check a package, as the `verify.py` inside does; needs no department's folder."""
    try:
        found = verify_package(package, key)
    except NoPackageError as error:
        raise EvidenceRefusedError(str(error)) from error
    for line in found.holds:
        typer.echo(f"holds    {line}")
    for line in found.broken:
        typer.echo(f"BROKEN   {line}")
    for line in found.notes:
        typer.echo(f"         {line}")
    if not found.whole:
        raise EvidenceRefusedError("the package is not whole")
    typer.echo("The package is whole.")


@evidence_app.command("key")
def evidence_key_name(root: RootOption = DEFAULT_ROOT) -> None:
    """Print the fingerprint of the key that signs packages, to be given out by another way than they are."""
    department = open_department(root)
    typer.echo(name_of(evidence_key(department.engine, department.folder, clock.now())))


def scope_of(
    read: list[str] | None, *, by_plate: bool, since: datetime | None, until: datetime | None, unit: str
) -> Scope:
    """Return what the options ask for; a plate is asked for at the terminal."""
    plate = typer.prompt("Plate, whole or partial with ? and *") if by_plate else ""
    return Scope(tuple(read or ()), plate, unit, _utc(since), _utc(until))


def person_at_console(purpose: str, case: str) -> Actor:
    """Return who gives the command, with why. Raises SettingsInvalidError if the purpose lacks its case."""
    try:
        return Actor(console_person(), purpose=stated_purpose(purpose, case))
    except ValueError as error:
        raise SettingsInvalidError(str(error)) from None


def require_new(out: Path) -> None:
    """Raises SettingsInvalidError if *out* is there or its folder is not: asked before anything is done."""
    if out.exists() or not out.parent.is_dir():
        raise SettingsInvalidError(f"{out}: give a new file in a folder that exists; nothing is overwritten")


def write_new(out: Path, content: bytes) -> None:
    """Write a new file that its owner alone may read. Raises SettingsInvalidError if it cannot be made."""
    try:
        write_private(out, content)
    except OSError as error:
        raise SettingsInvalidError(
            f"{out}: cannot be made ({error.strerror}); nothing is overwritten"
        ) from error


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
