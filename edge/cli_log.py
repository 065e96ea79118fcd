"""The auditor's command on the unit's access log: `alpr-edge log ...`."""

from typing import Annotated

import typer

from edge.cli_hotlist import DEFAULT_CONFIG, ConfigOption
from edge.config import load_config

log = typer.Typer(help="The access log of this unit.", no_args_is_help=True, rich_markup_mode=None)


@log.callback()
def _group() -> None:
    """One command as yet, which keeps its name."""


@log.command("verify")
def log_verify(
    noted: Annotated[str, typer.Option("--head", help="SEQUENCE:DIGEST as an earlier run printed it.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Check that no entry was changed, removed or put in between; print the head to note down."""
    from edge.access_log import LOG_NAME, require_noted, verified
    from edge.log_courier import ACKNOWLEDGED_NAME, acknowledged_head
    from edge.vault import unlock
    from sync.access_log import LogHead, parse_head, start

    unit = load_config(config).unit
    try:
        head = parse_head(noted) if noted else None
    except ValueError as error:
        raise typer.BadParameter(f"--head: {error}") from None
    keys = unlock(unit.keys_dir)
    path = unit.state_dir / LOG_NAME
    if not path.exists():
        require_noted([], head)
        print("no access log yet: nobody has used the page of this unit")
        return
    entries = verified(
        path, unit_id=unit.id, storage_key=keys.storage, key=keys.signing.public_key(), noted=head
    )
    held = acknowledged_head(unit.state_dir / ACKNOWLEDGED_NAME, keys.storage)
    require_noted(entries, held)
    newest = LogHead(entries[-1].sequence, entries[-1].digest) if entries else start(unit.id)
    print(
        f"{len(entries)} entries, unbroken; the department has {0 if held is None else held.sequence} of them"
    )
    print(f"head {newest}")
