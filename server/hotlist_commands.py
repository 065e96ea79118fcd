"""`alpr-server hotlist`: each command parses, calls one function, prints, and returns a code."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from hotlist_cache.importing import ACTION, FIELDS
from hotlist_cache.sources.codes import DEFAULT_CODES, LIST_CODES
from hotlist_cache.sources.reading import MAPPED_CSV, SOURCES
from server import clock, local_books, local_entries
from server.actors import console_person
from server.department import Department, open_department, publish_urgent
from server.errors import HotlistRefusedError, SettingsInvalidError
from server.feed_report import ImportReport, report_of
from server.import_rules import ImportOptions, column_map
from server.list_imports import feed_name, import_file
from server.list_publishing import approve_pending, publish_list
from server.local_publishing import bring

RootOption = Annotated[
    Path, typer.Option("--department", envvar="ALPR_SERVER_DIR", help="The department's folder.")
]
DEFAULT_ROOT = Path("/var/lib/alpr-server")
PendingId = Annotated[int, typer.Argument(help="As `hotlist pending` shows it.")]

UnitId = Annotated[str, typer.Argument(help="As it was enrolled.")]
EntryId = Annotated[str, typer.Argument(help="As `hotlist local list` shows it.")]

hotlist_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Lists of wanted plates.")
local_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="What officers put on their own units."
)
hotlist_app.add_typer(local_app, name="local")


@hotlist_app.command("import")
def hotlist_import(
    file: Annotated[Path, typer.Argument(help="As the source wrote it, under the name it gave.")],
    *,
    form: Annotated[
        str, typer.Option("--format", help=f"{MAPPED_CSV} (with a header, also TSV), {', '.join(SOURCES)}.")
    ] = MAPPED_CSV,
    codes: Annotated[
        str,
        typer.Option(
            help=f"List codes to take, as A,F,V,P,W=low, or all; of {''.join(LIST_CODES)}. "
            f"Else {''.join(DEFAULT_CODES)}."
        ),
    ] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help=f"FIELD=COLUMN; fields: {', '.join(FIELDS)}; {ACTION}, whose column says add or delete, "
            "makes the file incremental. May be given several times.",
        ),
    ] = None,
    feed: Annotated[str, typer.Option(help="Name of this source; else made from the file's name.")] = "",
    list_name: Annotated[str, typer.Option("--list", help="List of rows that name none.")] = "",
    source: Annotated[str, typer.Option(help="Source of rows that name none.")] = "",
    country: Annotated[str, typer.Option(help="Whose states two letters mean first.")] = "US",
    timezone: Annotated[str, typer.Option(help="Of dates that do not say.")] = "UTC",
    priority: Annotated[str, typer.Option(help="Of rows that name none: low, medium, high.")] = "medium",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Take all that one source lists, or its changes. Units see nothing of it before `hotlist publish`.

    An import that loses most of what was listed waits until another person approves it.
    """
    how = ImportOptions(
        form, codes, column_map(columns or []), list_name, source, country, timezone, priority
    )
    name = feed or feed_name(file.stem)
    department = open_department(root)
    report = _imported(department, file, name, how)
    for line in report.text():
        typer.echo(line)
    if report.pending_id is not None:
        waiting = {pending.pending_id: pending for pending in department.hotlists.pending()}
        raise HotlistRefusedError(waiting[report.pending_id].told)


@hotlist_app.command("publish")
def hotlist_publish(
    expires_days: Annotated[float, typer.Option(help="Units refuse it after so many days.")] = 7.0,
    sequence: Annotated[int | None, typer.Option(help="Higher than any a unit holds; else the next.")] = None,
    urgent: Annotated[
        bool, typer.Option("--urgent", help="Only the feeds called urgent or urgent-…, at once.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Make a long list whole, though a change would do: a minute.")
    ] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Sign all feeds as the next snapshot. A running server tells the units of it.

    A list that lost more than approved imports account for waits until another person approves it.
    """
    if not 0 < expires_days <= 3650:
        raise SettingsInvalidError("--expires-days: more than 0 and at most 3650")
    department = open_department(root)
    now = clock.now()
    if urgent:
        count = publish_urgent(department, console_person(), now + timedelta(days=expires_days), now)
        typer.echo(f"urgent list: {count} entries")
        return
    published = publish_list(
        department,
        expires_at=now + timedelta(days=expires_days),
        actor=console_person(),
        now=now,
        sequence=sequence,
        whole=whole,
    )
    typer.echo(f"snapshot {published.sequence}: {published.entries} entries, {published.bytes} bytes")


@hotlist_app.command("pending")
def hotlist_pending(root: RootOption = DEFAULT_ROOT) -> None:
    """Say what waits for a second person's approval."""
    waiting = open_department(root).hotlists.pending()
    for pending in waiting:
        asked_at = pending.asked_at.isoformat(timespec="minutes")
        typer.echo(
            f"{pending.pending_id}: {pending.what}, {pending.before} to {pending.after} entries, "
            f"asked for by {pending.asked_by} at {asked_at}"
        )
        if pending.feed is not None:
            for line in report_of(pending.detail).text():
                typer.echo(f"    {line}")
    if not waiting:
        typer.echo("nothing is pending")


@hotlist_app.command("approve")
def hotlist_approve(pending_id: PendingId, root: RootOption = DEFAULT_ROOT) -> None:
    """Apply what waits. Not for the person who asked for it."""
    department = open_department(root)
    published = approve_pending(department, pending_id, actor=console_person(), now=clock.now())
    typer.echo(f"{pending_id} is approved and applied")
    if published is not None:
        typer.echo(f"snapshot {published.sequence}: {published.entries} entries, {published.bytes} bytes")


@hotlist_app.command("reject")
def hotlist_reject(pending_id: PendingId, root: RootOption = DEFAULT_ROOT) -> None:
    """Throw away what waits; what was listed before stays listed."""
    pending = open_department(root).hotlists.reject(pending_id, actor=console_person(), now=clock.now())
    typer.echo(f"{pending_id} is rejected: {pending.what} was not applied")


@hotlist_app.command("export-usb")
def hotlist_export(
    out: Annotated[Path, typer.Argument(help="New folder on the stick.")], root: RootOption = DEFAULT_ROOT
) -> None:
    """Write the publication to a stick, for units without a network. It is signed; anyone can read it."""
    if out.exists():
        raise SettingsInvalidError(f"{out} exists: nothing is overwritten; choose another folder")
    size = open_department(root).publications.export(out)
    typer.echo(f"{out}: {size} bytes; on the unit: alpr-edge hotlist import-usb {out.name}")


@local_app.command("list")
def local_list(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is over, and what officers removed.")
    ] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Show units' local entries and suppressions, with their plates; the access log says who asked."""
    engine = open_department(root).engine
    entries, suppressions = local_entries.known(
        engine, actor=console_person(), now=clock.now(), everything=everything
    )
    for each in entries:
        where, loud = each.jurisdiction or "any state", each.priority.name.lower()
        typer.echo(
            f"{each.unit_id} {each.entry_id}  {each.pattern}  {where}  {loud}  "
            f"until {_minute(each.expires_at)}  {each.state}"
        )
        typer.echo(f"    {each.purpose}, case {each.case_number}, {each.officer}")
        if each.decided_by:
            until = "" if each.until is None or each.state != "offered" else f" until {_minute(each.until)}"
            typer.echo(f"    {each.state}{until}; decided by {each.decided_by}")
    for known in suppressions:
        approved = f"approved by {known.supervisor}" if known.supervisor else "not yet approved"
        typer.echo(
            f"{known.unit_id} {known.suppression_id}  {known.plate} is not {known.entry_id}  "
            f"until {_minute(known.expires_at)}  {known.state}"
        )
        typer.echo(f"    {known.reason}, {known.officer}, {approved}")
    if not entries and not suppressions:
        typer.echo("no unit has local entries or suppressions")


@local_app.command("offer")
def local_offer(
    unit: UnitId,
    entry: EntryId,
    *,
    until: Annotated[
        str, typer.Option(help="When it ends for other units, as 2026-12-01T18:00Z; else as on its own.")
    ] = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Give a unit's local entry to all units, at once. Not for the officer who added it."""
    department, now, actor = open_department(root), clock.now(), console_person()
    ends = local_entries.offer(
        department.engine, unit, entry, until=_moment(until) if until else None, actor=actor, now=now
    )
    bring(department, actor=actor, now=now)
    typer.echo(f"offered to all units until {_minute(ends)}: {entry} of {unit}")


@local_app.command("refuse")
def local_refuse(unit: UnitId, entry: EntryId, root: RootOption = DEFAULT_ROOT) -> None:
    """Leave a local entry to its own unit; one that was offered is withdrawn from the others."""
    department, now, actor = open_department(root), clock.now(), console_person()
    local_entries.refuse(department.engine, unit, entry, actor=actor, now=now)
    bring(department, actor=actor, now=now)
    typer.echo(f"refused: {entry} stays with {unit} alone")


@local_app.command("begin-anew")
def local_begin_anew(unit: UnitId, root: RootOption = DEFAULT_ROOT) -> None:
    """Take a unit's local entries from the beginning: its storage was exchanged, or its book was damaged."""
    local_books.begin_anew(open_department(root).engine, unit, actor=console_person(), now=clock.now())
    typer.echo(f"the next book of {unit} is taken as its first")


def _imported(department: Department, file: Path, feed: str, how: ImportOptions) -> ImportReport:
    actor, now = console_person(), clock.now()
    how.rules(file.name)  # before the file is looked at
    try:
        with file.open("rb", buffering=0) as data:
            return import_file(department, data, file.name, feed=feed, how=how, actor=actor, now=now)
    except OSError as error:
        raise SettingsInvalidError(f"{file}: cannot be imported ({error.strerror})") from error


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsInvalidError(f"--until {text!r}: write it as 2026-12-01T18:00Z") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
