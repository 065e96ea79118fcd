"""`alpr-server hotlist feeds|find|take|urgent`: what the pages on lists show and do, at the console."""

from datetime import timedelta
from typing import Annotated

import typer

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.sources.fields import parse_pattern
from hotlist_cache.states import parse_jurisdiction
from server import clock, urgent_list
from server.actors import console_person
from server.audit import Deed, append
from server.database import writing
from server.department import open_department
from server.entry_search import find_entries
from server.errors import HotlistRefusedError, SettingsInvalidError
from server.feed_journal import arrivals
from server.feed_watch import refused_files, take_waiting
from server.hotlist_commands import DEFAULT_ROOT, RootOption, hotlist_app
from server.purposes import stated_purpose

urgent_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The urgent list by hand, as an Amber alert asks."
)
__all__ = ["hotlist_app"]  # with what is added to it here

hotlist_app.add_typer(urgent_app, name="urgent")


@hotlist_app.command("feeds")
def hotlist_feeds(root: RootOption = DEFAULT_ROOT) -> None:
    """Say how every feed stands, what came of it last, and which folders are watched."""
    department = open_department(root)
    states = department.hotlists.feeds()
    for state in states:
        by = state.imported_by or "not known"
        typer.echo(f"{state.feed}: {state.entries} entries, {state.imported_at:%Y-%m-%d %H:%M}Z by {by}")
        for arrival in arrivals(department.folder.hotlists, state.feed)[:1]:
            lines = [f"refused: {arrival.why}"] if arrival.report is None else arrival.report.text()
            for line in lines:
                typer.echo(f"    {line}")
    for watched in department.settings.feed:
        apart = refused_files(watched.folder)
        typer.echo(f"{watched.name}: watched, every {watched.every_min} minutes, {apart} files set apart")
    if not states and not department.settings.feed:
        typer.echo("no feed was imported")


@hotlist_app.command("take")
def hotlist_take(root: RootOption = DEFAULT_ROOT) -> None:
    """Import now what waits in the watched folders (`[[feed]]`); the server does it by itself."""
    department = open_department(root)
    if not department.settings.feed:
        raise SettingsInvalidError("no folder is watched: add a section [[feed]] to server.toml")
    for watched in department.settings.feed:
        try:
            reports = take_waiting(department, watched, actor=console_person(), now=clock.now())
        except OSError as error:
            raise SettingsInvalidError(f"{watched.folder}: cannot be used ({error.strerror})") from error
        for report in reports:
            for line in report.text():
                typer.echo(line)
        typer.echo(f"{watched.name}: {len(reports)} imported, {refused_files(watched.folder)} set apart")


@hotlist_app.command("find")
def hotlist_find(
    purpose: Annotated[str, typer.Option(help="As on the pages, e.g. investigation.")],
    *,
    case: Annotated[str, typer.Option(help="Case number.")] = "",
    feed: Annotated[str, typer.Option(help="This feed alone.")] = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Ask for a plate, and say what the feeds list of it; the access log says who asked, and why."""
    try:
        stated = stated_purpose(purpose, case)
    except ValueError as error:
        raise SettingsInvalidError(f"--purpose: {error}") from None
    department = open_department(root)
    # Asked for, not an argument: arguments stand in the shell's history and in the list of processes.
    plate = str(typer.prompt("plate"))
    files = [each for each in department.hotlists.feed_files() if feed in ("", each[0])]
    found, more = find_entries(files, plate)
    shown = [{"feed": each.feed, "entry": each.entry.entry_id} for each in found]
    deed = Deed(
        console_person(),
        "hotlists.find",
        purpose=stated.code,
        case_number=stated.case_number,
        detail={"asked": {"plate": plate, "feed": feed}, "shown": shown},
    )
    with writing(department.engine) as connection:
        append(connection, deed, clock.now())
    for each in found:
        entry = each.entry
        typer.echo(f"{each.feed}  {entry.pattern}  {entry.jurisdiction or 'any state'}  {entry.list_name}")
        typer.echo(f"    {entry.reason}, case {entry.case_number or 'none'}, {entry.vehicle or 'no vehicle'}")
    if not found or more:
        typer.echo("there is more: choose one feed" if more else "no feed lists it")


@urgent_app.command("add")
def urgent_add(
    *,
    reason: Annotated[str, typer.Option(help="As officers are told it.")],
    hours: Annotated[int, typer.Option(help="After which it ends by itself.")] = 24,
    state: Annotated[str, typer.Option(help="As CA; else any.")] = "",
    list_name: Annotated[str, typer.Option("--list")] = "Amber alert",
    vehicle: Annotated[str, typer.Option(help="As RED 2012 TOYOTA CAMRY.")] = "",
    case: Annotated[str, typer.Option(help="Case number.")] = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Ask for a plate, whole or partial, and give it to all units at once."""
    department, now = open_department(root), clock.now()
    try:
        entry = Entry(
            "new",
            parse_pattern(str(typer.prompt("plate")), urgent_list.LEAST_KNOWN),
            parse_jurisdiction(state, "US"),
            list_name,
            reason,
            Priority.HIGH,
            vehicle=vehicle,
            case_number=case,
            source=department.settings.department.name,
            expires=(now + timedelta(hours=hours)).replace(microsecond=0),
        )
    except (ValueError, OverflowError) as error:
        raise HotlistRefusedError(f"not put out: {error}") from None
    typer.echo(f"put out: {urgent_list.put_out(department, entry, actor=console_person(), now=now)}")


@urgent_app.command("list")
def urgent_show(root: RootOption = DEFAULT_ROOT) -> None:
    """Show what stands on the urgent list, with its plates; the access log says who asked."""
    department = open_department(root)
    found = urgent_list.listed(department)
    deed = Deed(console_person(), "hotlists.urgent", detail={"shown": [entry.entry_id for _, entry in found]})
    with writing(department.engine) as connection:
        append(connection, deed, clock.now())
    for feed, entry in found:
        until = "" if entry.expires is None else f", until {entry.expires:%Y-%m-%d %H:%M}Z"
        typer.echo(f"{feed} {entry.entry_id}  {entry.pattern}  {entry.list_name}: {entry.reason}{until}")
    if not found:
        typer.echo("nothing stands on the urgent list")


@urgent_app.command("end")
def urgent_end(
    feed: Annotated[str, typer.Argument(help="As `hotlist urgent list` shows it.")],
    entry: Annotated[str, typer.Argument(help="As `hotlist urgent list` shows it.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Take an entry from the urgent list, and give units the list without it."""
    department = open_department(root)
    urgent_list.end(department, feed, entry, actor=console_person(), now=clock.now())
    typer.echo(f"ended: {entry}")
