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
    from edge.local_entries import lines, now_of, open_book

    loaded = load_config(config)
    for line in lines(open_book(loaded), now_of(loaded)):
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
    from edge.local_entries import now_of, open_book
    from hotlist_cache.entry import Priority

    if priority.upper() not in Priority.__members__:
        raise typer.BadParameter("priority must be low, medium or high")
    loaded = load_config(config)
    added = open_book(loaded).add(
        plate,
        state=state,
        officer=officer,
        purpose=purpose,
        case_number=case,
        now=now_of(loaded),
        lasting=timedelta(hours=hours),
        priority=Priority[priority.upper()],
    )
    print(f"added {added.entry.entry_id}, until {added.expires_at:%Y-%m-%d %H:%M}Z")


@hotlist.command("remove")
def hotlist_remove(
    entry_id: Annotated[str, typer.Argument()], officer: OfficerOption, config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Look out for a local entry no more."""
    from edge.local_entries import now_of, open_book

    loaded = load_config(config)
    open_book(loaded).remove(entry_id, officer=officer, now=now_of(loaded))
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
    from edge.local_entries import now_of, open_book

    loaded = load_config(config)
    asked = open_book(loaded).suppress(
        plate, entry_id, officer=officer, reason=reason, now=now_of(loaded), lasting=timedelta(hours=hours)
    )
    print(f"asked for {asked.suppression_id}: a supervisor puts it in force with `alpr-edge hotlist approve`")


@hotlist.command("approve")
def hotlist_approve(
    suppression_id: Annotated[str, typer.Argument()],
    supervisor: Annotated[str, typer.Option(help="Who approves; not the officer who asked.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Put a suppression in force."""
    from edge.local_entries import now_of, open_book

    loaded = load_config(config)
    open_book(loaded).approve(suppression_id, supervisor=supervisor, now=now_of(loaded))
    print(f"in force: {suppression_id}")


@hotlist.command("lift")
def hotlist_lift(
    suppression_id: Annotated[str, typer.Argument()],
    officer: OfficerOption,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """End a suppression."""
    from edge.local_entries import now_of, open_book

    loaded = load_config(config)
    open_book(loaded).lift(suppression_id, officer=officer, now=now_of(loaded))
    print(f"lifted {suppression_id}")


@hotlist.command("import-usb")
def hotlist_import_usb(
    stick: Annotated[Path, typer.Argument(help="What `alpr-server hotlist export-usb` wrote.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Give the running daemon the department's lists from a stick; they are verified as from the network."""
    from edge.status import run_dir
    from edge.usb import offer, wait_until_taken
    from edge.watching import print_status

    unit = load_config(config).unit
    wait_until_taken(offer(run_dir(unit), stick))
    print_status(unit, as_json=False)


@hotlist.command("repair-trust")
def hotlist_repair_trust(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Mend a damaged record of what was accepted; the daemon must be stopped. Nothing older gets in."""
    from edge.compose import UPDATES_FOLDER
    from edge.local_entries import now_of
    from edge.vault import unlock
    from sync.trust_repair import repair

    loaded = load_config(config)
    root = unlock(loaded.unit.keys_dir).updates_root
    print(repair(loaded.unit.state_dir / UPDATES_FOLDER, root, now_of(loaded)))
