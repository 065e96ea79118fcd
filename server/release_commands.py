"""`alpr-server release …`: the register of release requests, and the list of who may be given reads."""

from pathlib import Path
from typing import Annotated

import typer

from server import clock
from server.actors import Actor, console_person
from server.department import Department, open_department
from server.errors import SettingsInvalidError
from server.evidence_commands import (
    ByPlate,
    OfUnit,
    Out,
    Reads,
    Since,
    Until,
    person_at_console,
    require_new,
    scope_of,
    write_new,
)
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.release_export import fetch, fulfil, releases_of
from server.release_letters import MAX_LETTER_BYTES
from server.release_recipients import AgencyKind
from server.releases import Asked, Releases, Request

release_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Requests for reads by other agencies."
)
recipient_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Agencies that may be given reads."
)
release_app.add_typer(recipient_app, name="recipient")

Number = Annotated[int, typer.Argument(help="The request's number.")]
RecipientNumber = Annotated[int, typer.Argument(help="The recipient's number.")]
NoteOption = Annotated[str, typer.Option(help="What was found.")]


@release_app.command("enter")
def release_enter(
    *,
    kind: Annotated[AgencyKind, typer.Option(help="Who asks.")],
    person: Annotated[str, typer.Option(help="Person who asks.")],
    purpose: Annotated[str, typer.Option(help="What for, as the letter has it.")],
    legal_basis: Annotated[str, typer.Option(help="Warrant, subpoena, statute, agreement.")],
    case: Annotated[str, typer.Option("--case", help="Case number.")],
    letter: Annotated[Path | None, typer.Option(help="PDF, JPEG or PNG, at most 10 MB.")] = None,
    recipient: Annotated[int | None, typer.Option(help="Its number on the list of recipients.")] = None,
    agency: Annotated[str, typer.Option(help="Name of who asks, if it is on no list.")] = "",
    read: Reads = None,
    by_plate: ByPlate = False,
    since: Since = None,
    until: Until = None,
    unit: OfUnit = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Enter a request as its letter has it. Another person approves it."""
    register, actor = _register(root)
    scope = scope_of(read, by_plate=by_plate, since=since, until=until, unit=unit)
    asked = Asked(agency, kind, recipient, person, purpose, legal_basis, case, scope)
    number = register.enter(asked, _letter(letter), actor=actor, now=clock.now())
    where = ": it goes to Records" if kind is AgencyKind.OTHER else ""
    typer.echo(f"request {number} is received{where}")


@release_app.command("list")
def release_list(root: RootOption = DEFAULT_ROOT) -> None:
    """Show the whole register."""
    register, actor = _register(root)
    for each in register.all(actor, clock.now()):
        typer.echo(_line(each))


@release_app.command("show")
def release_show(number: Number, root: RootOption = DEFAULT_ROOT) -> None:
    """Show one request: what was asked, and what became of it. Shows the plate that was asked for."""
    register, actor = _register(root)
    found = register.one(number, actor, clock.now())
    typer.echo(_line(found))
    typer.echo(f"  {found.asked.purpose}; {found.asked.legal_basis}; case {found.asked.case_number}")
    asked = ", ".join(f"{name} {value}" for name, value in found.asked.scope.asked.items() if value)
    typer.echo(f"  asked for: {asked}")
    typer.echo(f"  letter: {'none' if found.letter is None else found.letter.sha256}")
    for step in found.steps:
        typer.echo(f"  {step.done_at:%Y-%m-%d %H:%M}Z  {step.state}  {step.done_by}  {step.note}")


@release_app.command("letter")
def release_letter(number: Number, out: Out, root: RootOption = DEFAULT_ROOT) -> None:
    """Write the letter with which a request was made to a file."""
    register, actor = _register(root)
    require_new(out)
    letter, content = register.letter(number, actor, clock.now())
    write_new(out, content)
    typer.echo(f"{out}: {letter.kind.upper()}, {letter.bytes} bytes, sha256 {letter.sha256}")


@release_app.command("review")
def release_review(
    number: Number,
    note: NoteOption,
    recipient: Annotated[int | None, typer.Option(help="Who would be given what is asked for.")] = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Take a request under review, or say more about it."""
    register, actor = _register(root)
    register.review(number, note=note, actor=actor, now=clock.now(), recipient_id=recipient)
    typer.echo(f"request {number} is under review")


@release_app.command("approve")
def release_approve(
    number: Number,
    note: Annotated[str, typer.Option(help="What the approval rests on.")] = "",
    recipient: Annotated[
        int | None, typer.Option(help="Approve of giving it to this recipient alone, by its number.")
    ] = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Approve a request that another person entered."""
    register, actor = _register(root)
    to = register.approve(number, note=note, actor=actor, now=clock.now(), recipient_id=recipient)
    typer.echo(f"request {number} is approved for recipient {to.recipient_id}, {to.name}, {to.state}")
    typer.echo(f"to export it: `alpr-server release fulfil {number}`")


@release_app.command("refuse")
def release_refuse(
    number: Number, reason: Annotated[str, typer.Option(help="Why.")], root: RootOption = DEFAULT_ROOT
) -> None:
    """Refuse a request, or take an approval back before anything was exported."""
    register, actor = _register(root)
    register.refuse(number, reason=reason, actor=actor, now=clock.now())
    typer.echo(f"request {number} is refused")


@release_app.command("handle")
def release_handle(number: Number, note: NoteOption, root: RootOption = DEFAULT_ROOT) -> None:
    """Say what Records answered to who is no public agency."""
    register, actor = _register(root)
    register.handle(number, note=note, actor=actor, now=clock.now())
    typer.echo(f"request {number} was handled by Records")


@release_app.command("fulfil")
def release_fulfil(
    number: Number,
    out: Out,
    read: Annotated[
        list[str] | None, typer.Option(help="Of what is asked for, this read alone; repeatable.")
    ] = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Export what was approved, signed, and encrypted to the recipient that was approved."""
    department, actor = open_department(root), Actor(console_person())
    require_new(out)
    # The purpose of who exports is the request's: its case number stands in the access log.
    case = releases_of(department).one(number, actor, clock.now()).asked.case_number
    exporter = person_at_console("investigation", case)
    made = fulfil(department, number, read or (), actor=exporter, now=clock.now())
    write_new(out, made.content)
    typer.echo(f"package {made.package_id}: {made.reads} reads, {out}")
    typer.echo(f"sha256 {made.sha256}")
    typer.echo(f"key {made.key}: tell the recipient by another way")


@release_app.command("package")
def release_package(number: Number, out: Out, root: RootOption = DEFAULT_ROOT) -> None:
    """Write the package that a request was answered with to a file once more."""
    department = open_department(root)
    require_new(out)
    made = fetch(department, number, actor=Actor(console_person()), now=clock.now())
    write_new(out, made.content)
    typer.echo(f"package {made.package_id}: {made.reads} reads, {out}")


@recipient_app.command("add")
def recipient_add(
    name: str,
    *,
    certificate: Annotated[Path, typer.Option(help="X.509 as PEM, with an RSA key.")],
    kind: Annotated[AgencyKind, typer.Option()],
    contact: Annotated[str, typer.Option(help="Person, telephone.")],
    state: Annotated[str, typer.Option(help="Two letters; US for the federation.")] = "CA",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Put an agency on the list. Another person approves of it."""
    register, actor = _register(root)
    number = register.recipients.add(
        name=name,
        kind=kind,
        state=state,
        contact=contact,
        pem=_bytes(certificate, 64 * 1024),
        actor=actor,
        now=clock.now(),
    )
    typer.echo(f"recipient {number} waits: `alpr-server release recipient approve {number}`")


@recipient_app.command("approve")
def recipient_approve(number: RecipientNumber, root: RootOption = DEFAULT_ROOT) -> None:
    """Approve of an agency that another person added."""
    register, actor = _register(root)
    register.recipients.approve(number, actor=actor, now=clock.now())
    typer.echo(f"recipient {number} is approved")


@recipient_app.command("disable")
def recipient_disable(
    number: RecipientNumber,
    reason: Annotated[str, typer.Option(help="Why.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Let an agency be given nothing from now on. It stays on the list, as disabled."""
    register, actor = _register(root)
    register.recipients.disable(number, reason=reason, actor=actor, now=clock.now())
    typer.echo(f"recipient {number} is disabled")


@recipient_app.command("list")
def recipient_list(root: RootOption = DEFAULT_ROOT) -> None:
    """Show every recipient, with the digest of its certificate."""
    register, actor = _register(root)
    for each in register.recipients.all(actor, clock.now()):
        typer.echo(
            f"{each.recipient_id}: {each.name}, {each.state}, {each.kind}, {each.standing}; added by "
            f"{each.added_by}, approved by {each.approved_by or 'nobody'}; {each.certificate_sha256}"
        )


def _register(root: Path) -> tuple[Releases, Actor]:
    department: Department = open_department(root)
    return releases_of(department), Actor(console_person())


def _line(each: Request) -> str:
    return (
        f"{each.request_id}: {each.state}{', to Records' if each.to_records else ''}, {each.asked.agency} "
        f"({each.asked.kind}), {each.asked.person}; entered by {each.entered_by}, {each.entered_at:%Y-%m-%d}"
    )


def _letter(path: Path | None) -> bytes:
    return b"" if path is None else _bytes(path, MAX_LETTER_BYTES + 1)


def _bytes(path: Path, most: int) -> bytes:
    """Return a file's content, at most *most* bytes of it: who takes it refuses what is too long."""
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise SettingsInvalidError(f"{path}: cannot be read ({error.strerror})") from error
