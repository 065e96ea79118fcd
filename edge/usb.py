"""Lists by USB stick, for units without a network: copied to where the running daemon takes them up."""

import shutil
import threading
import time
from pathlib import Path

from edge.errors import UsbRefusedError

OFFERED_NAME = "usb"
MOST_BYTES = 2_000_000_000
_WAIT_S = 300.0


def offer(run_dir: Path, stick: Path) -> Path:
    """Copy what the department exported to *stick* to where the daemon looks, and return that place.

    Raises UsbRefusedError if it is no export, or too large, OSError if it cannot be copied.
    """
    if not (stick / "metadata" / "timestamp.json").is_file():
        raise UsbRefusedError(
            f"{stick}: holds no publication; give the folder that `alpr-server hotlist export-usb` wrote"
        )
    files = [path for path in stick.rglob("*") if path.is_file() and not path.is_symlink()]
    if sum(path.stat().st_size for path in files) > MOST_BYTES:
        raise UsbRefusedError(f"{stick}: larger than {MOST_BYTES // 10**9} GB; it is no export")
    offered, partial = run_dir / OFFERED_NAME, run_dir / f"{OFFERED_NAME}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    for path in files:
        place = partial / path.relative_to(stick)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    if offered.exists():
        raise UsbRefusedError("the daemon has not yet taken up the stick before; wait a minute, try again")
    partial.rename(offered)
    return offered


def wait_until_taken(offered: Path, longest_s: float = _WAIT_S) -> None:
    """Return when the daemon has taken up what was *offered*.

    Raises UsbRefusedError if it does not: it is then taken back.
    """
    deadline, pause = time.monotonic() + longest_s, threading.Event()
    while offered.exists():
        if time.monotonic() > deadline:
            shutil.rmtree(offered, ignore_errors=True)
            raise UsbRefusedError("the daemon did not take it up: is it running? See `alpr-edge status`")
        pause.wait(0.2)
