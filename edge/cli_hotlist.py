"""The officer's commands on local entries: `alpr-edge hotlist ...`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from edge.config import load_config

ConfigOption = Annotated[Path, typer.Option("--config", help="The unit's configuration (TOML).")]
DEFAULT_CONFIG = Path("/etc/alpr-edge/config.toml")

hotlist = typer.Typer(
    help="Local entries: plates to look out for, and false hits to be silent on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

OfficerOption = Annotated[str, typer.Option("--officer", help="Who asks: name or badge number.")]
HoursOption = Annotated[float, typer.Option("--hours", help="Ends after so many hours.")]


@hotlist.command("list")
def hotlist_list(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Show the local entries and suppressions of this unit."""
    from edge.local_entries import held_book, lines

    with held_book(load_config(config)) as (book, now):
        for line in lines(book, now):
            print(line)


@hotlist.command("add")
def hotlist_add(
    officer: OfficerOption,
    purpose: Annotated[str, typer.Option(help="Why it is looked for.")],
    case: Annotated[str, typer.Option(help="Case number.")],
    plate: Annotated[
        str, typer.Option(prompt=True, help='Whole or partial: "?" is one character, "*" any number.')
    ],
    state: Annotated[str, typer.Option(help="As US-CA; empty: not known.")] = "",
    priority: Annotated[str, typer.Option(help="low, medium or high.")] = "medium",
    hours: HoursOption = 24.0,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Look out for a plate from now on. The running daemon takes it up within seconds."""
    from edge.local_entries import held_book
    from hotlist_cache.entry import Priority

    if priority.upper() not in Priority.__members__:
        raise typer.BadParameter("priority must be low, medium or high")
    with held_book(load_config(config)) as (book, now):
        added = book.add(
            plate,
            state=state,
            officer=officer,
            purpose=purpose,
            case_number=case,
            now=now,
            lasting=timedelta(hours=hours),
            priority=Priority[priority.upper()],
        )
    print(f"added {added.entry.entry_id}, until {added.expires_at:%Y-%m-%d %H:%M}Z")


@hotlist.command("remove")
def hotlist_remove(
    entry_id: Annotated[str, typer.Argument()], officer: OfficerOption, config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Look out for a local entry no more."""
    from edge.local_entries import held_book

    with held_book(load_config(config)) as (book, now):
        book.remove(entry_id, officer=officer, now=now)
    print(f"removed {entry_id}")


@hotlist.command("suppress")
def hotlist_suppress(
    entry_id: Annotated[str, typer.Argument(help="Of the entry that was met wrongly.")],
    officer: OfficerOption,
    reason: Annotated[str, typer.Option(help="How it is known to be another vehicle.")],
    plate: Annotated[str, typer.Option(prompt=True, help="As it was read.")],
    hours: HoursOption = 720.0,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Ask that a false hit be told no more; it is once a supervisor approves."""
    from edge.local_entries import held_book

    with held_book(load_config(config)) as (book, now):
        asked = book.suppress(
            plate, entry_id, officer=officer, reason=reason, now=now, lasting=timedelta(hours=hours)
        )
    print(f"asked for {asked.suppression_id}: a supervisor puts it in force with `alpr-edge hotlist approve`")


@hotlist.command("approve")
def hotlist_approve(
    suppression_id: Annotated[str, typer.Argument()],
    supervisor: Annotated[str, typer.Option(help="Who approves; not the officer who asked.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Put a suppression in force."""
    from edge.local_entries import held_book

    with held_book(load_config(config)) as (book, now):
        book.approve(suppression_id, supervisor=supervisor, now=now)
    print(f"in force: {suppression_id}")


@hotlist.command("lift")
def hotlist_lift(
    suppression_id: Annotated[str, typer.Argument()],
    officer: OfficerOption,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """End a suppression."""
    from edge.local_entries import held_book

    with held_book(load_config(config)) as (book, now):
        book.lift(suppression_id, officer=officer, now=now)
    print(f"lifted {suppression_id}")


@hotlist.command("import-usb")
def hotlist_import_usb(
    stick: Annotated[Path, typer.Argument(help="What `alpr-server hotlist export-usb` wrote.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Give the running daemon the department's lists from a stick; they are verified as from the network."""
    from edge.status import run_dir
    from edge.usb import offer, wait_until_taken

    folder = run_dir(load_config(config).unit)
    offer(folder, stick)
    print(wait_until_taken(folder))


@hotlist.command("repair-trust")
def hotlist_repair_trust(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Mend a damaged record of what was accepted; the daemon must be stopped. Nothing older gets in."""
    from edge.clock import SystemClock
    from edge.config import UPDATES_FOLDER
    from edge.owner import as_owner_of
    from edge.vault import unlock
    from sync.trust_repair import repair

    unit = load_config(config).unit
    root = unlock(unit.keys_dir).updates_root
    with as_owner_of(unit.state_dir):
        print(repair(unit.state_dir / UPDATES_FOLDER, root, SystemClock(unit.state_dir).now().utc))
