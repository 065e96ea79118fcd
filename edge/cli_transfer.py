"""The technician's commands on the transfer: `alpr-edge transfer ...`."""

from pathlib import Path
from typing import Annotated

import typer

from edge.cli_hotlist import DEFAULT_CONFIG, ConfigOption
from edge.config import load_config

transfer = typer.Typer(
    help="Reads to the department without a network.", no_args_is_help=True, rich_markup_mode=None
)


@transfer.callback()
def _group() -> None:
    """One command as yet, which keeps its name."""


@transfer.command("usb")
def transfer_usb(
    stick: Annotated[Path, typer.Argument(help="Where the stick is mounted.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Put all reads that wait on a stick, sealed; take up the receipts that it brings back.

    The daemon may run. Do it again when the stick comes back from the department.
    """
    from edge.ballast import keep_ballast
    from edge.carrying import visit
    from edge.clock import SystemClock
    from edge.errors import UsbRefusedError
    from edge.log_carrying import carry_log
    from edge.owner import as_owner_of
    from edge.stores import OUTBOX_FILE
    from edge.vault import unlock
    from sync.carried import Stick
    from sync.outbox import open_outbox

    loaded = load_config(config)
    unit = loaded.unit
    if not stick.is_dir():
        raise UsbRefusedError(f"{stick}: is no folder; mount the stick and name the place")
    keys = unlock(unit.keys_dir)
    if not (unit.state_dir / OUTBOX_FILE).is_file():
        raise UsbRefusedError(f"{unit.state_dir}: no read was stored yet; nothing is to be carried")
    with as_owner_of(unit.state_dir):  # the outbox and what stands beside it are the daemon's
        keep_ballast(unit.state_dir, loaded.retention.stop_reserve_bytes)
        outbox = open_outbox(unit.state_dir / OUTBOX_FILE)
        now = SystemClock(unit.state_dir).now().utc
    with outbox:
        carried = visit(
            outbox,
            Stick(stick, unit.id),
            loaded.sync,
            unit_key=keys.signing,
            department=keys.receipts,
            now=now,
        )
    for line in carried.lines():
        print(line)
    log = carry_log(
        unit.state_dir,
        Stick(stick, unit.id),
        storage_key=keys.storage,
        unit_key=keys.signing,
        department=keys.receipts,
    )
    print(log.line)
    if carried.faults or log.fault:
        raise typer.Exit(1)
