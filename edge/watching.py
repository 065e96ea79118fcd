"""What `alpr-edge status` shows: the running daemon's own file, once or again and again."""

import json
from dataclasses import asdict
from threading import Event

from rich.console import Console
from rich.live import Live

from edge.clock import LinuxKernel
from edge.config import UnitConfig
from edge.status import Status, read_status, run_dir
from edge.view import view

LOOK_EVERY_S = 1.0


def print_status(unit: UnitConfig, *, as_json: bool) -> None:
    """Print the status of the running daemon of *unit*. Raises NotRunningError if there is none."""
    status = _status(unit)
    if as_json:
        print(json.dumps(asdict(status), indent=2))  # noqa: T201  # the command's output
    else:
        Console().print(view(status))


def watch_status(unit: UnitConfig) -> None:
    """Keep the status of *unit* on the screen until Ctrl-C. Raises NotRunningError once there is none."""
    pause = Event()
    with Live(view(_status(unit)), auto_refresh=False, screen=False) as live:
        try:
            while not pause.wait(LOOK_EVERY_S):
                live.update(view(_status(unit)), refresh=True)
        except KeyboardInterrupt:
            return


def _status(unit: UnitConfig) -> Status:
    kernel = LinuxKernel()
    return read_status(run_dir(unit), kernel.monotonic_ns(), kernel.boot_id())
