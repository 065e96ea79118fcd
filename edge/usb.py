"""Lists by USB stick, for units without a network: copied to where the running daemon takes them up."""

import shutil
import threading
import time
from pathlib import Path

from edge.errors import UsbRefusedError
from edge.owner import as_owner_of

OFFERED_NAME, OUTCOME_NAME = "usb", "usb.outcome"
REFUSED = "refused: "
"""How an outcome begins that is a refusal."""
MOST_BYTES = 2_000_000_000
_WAIT_S = 300.0


def offer(run_dir: Path, stick: Path) -> None:
    """Copy what the department exported to *stick* to where the daemon looks.

    Raises UsbRefusedError if it is no export, or too large, or the one before is not taken up yet; OSError if
    it cannot be copied.
    """
    if not (stick / "metadata" / "timestamp.json").is_file():
        raise UsbRefusedError(
            f"{stick}: holds no publication; give the folder that `alpr-server hotlist export-usb` wrote"
        )
    files = [path for path in stick.rglob("*") if path.is_file() and not path.is_symlink()]
    if sum(path.stat().st_size for path in files) > MOST_BYTES:
        raise UsbRefusedError(f"{stick}: larger than {MOST_BYTES // 10**9} GB; it is no export")
    offered, partial = run_dir / OFFERED_NAME, run_dir / f"{OFFERED_NAME}.partial"
    if offered.exists():
        raise UsbRefusedError("the daemon has not yet taken up the stick before; wait a minute, try again")
    shutil.rmtree(partial, ignore_errors=True)
    (run_dir / OUTCOME_NAME).unlink(missing_ok=True)
    for path in files:
        place = partial / path.relative_to(stick)
        with path.open("rb") as source, as_owner_of(run_dir):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with place.open("wb") as copy:
                shutil.copyfileobj(source, copy)
    partial.rename(offered)


def wait_until_taken(run_dir: Path, longest_s: float = _WAIT_S) -> str:
    """Return what came of what was offered, once the daemon has taken it up.

    Raises UsbRefusedError if it refuses it, or does not look: the offer is then taken back.
    """
    offered = run_dir / OFFERED_NAME
    deadline, pause = time.monotonic() + longest_s, threading.Event()
    while offered.exists():
        if time.monotonic() > deadline:
            shutil.rmtree(offered, ignore_errors=True)
            raise UsbRefusedError("the daemon did not take it up: is it running? See `alpr-edge status`")
        pause.wait(0.2)
    outcome = (run_dir / OUTCOME_NAME).read_text(encoding="utf-8")
    if outcome.startswith(REFUSED):
        raise UsbRefusedError(f"the stick was {outcome}; the lists in force stay")
    return outcome
