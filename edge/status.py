"""How the unit is doing: one value, rewritten every second for whoever asks, without plates or places."""

import dataclasses
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edge.config import UnitConfig
from edge.errors import EdgeError

STATUS_FILE = "status.json"
STALE_AFTER_S = 5.0
"""A running daemon writes every second; an older file means that it is gone or stuck."""


class NotRunningError(EdgeError):
    """No daemon of this unit writes its status: start it, or look into its log."""

    exit_code = 69


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """One camera as the officer needs to know it."""

    name: str
    state: str
    frames: int
    dropped: int
    reopened: int
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class HotlistHealth:
    """The list in force; `sequence` 0 means that there is none."""

    sequence: int = 0
    entries: int = 0
    age_h: float = 0.0
    stale: bool = False
    last_error: str = ""
    urgent_entries: int = 0
    """Of the urgent list."""
    publication: str = ""
    """How current the department's signed publication is, in one line."""
    publication_version: int = 0
    """Its version; 0: there is none."""
    alarm: str = ""
    """Of the last refusal of what a source sent, for the technician; empty since one went through."""
    received_bytes: int = 0
    wanted_bytes: int = 0
    """Of a transfer on its way; 0 of 0 while there is none."""
    held_back: int = 0
    """Sequence of a list that waits for a network that carries it; 0: none does."""


@dataclass(frozen=True, slots=True)
class TransferHealth:
    """What waits for the department, and how long it may still wait."""

    queued: int = 0
    """Reads without a receipt."""
    acknowledged: int = 0
    """Reads with a verified receipt that are still on the unit."""
    refused: int = 0
    """Reads in batches that the server refused: a person must look."""
    uploaded: int = 0
    """Reads acknowledged since the daemon started."""
    purged: int = 0
    """Reads removed since the daemon started, each after its receipt and local window."""
    days_left: float = 30.0
    level: str = "ok"
    """Of the 30-day clock: ok, warn, overdue."""
    network: str = ""
    """Over which it travels now, as "cellular (wwan0)"; empty where there is no default route."""
    waits_for: str = ""
    """What is held back over that network, as "120 reads wait for Wi-Fi"; empty: nothing is."""
    connected: bool = False
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The sealed store."""

    stored: int = 0
    """Reads committed since the daemon started."""
    hits: int = 0
    without_image: int = 0
    """Reads kept without their picture, because the disk was nearly full."""
    without_context: int = 0
    """Hits kept without the scene around them, for the same reason."""
    destroyed: int = 0
    """Reads without a hit that were never to be sent, and are gone with their time."""
    damaged: int = 0
    """Reads that went bad on the disk."""
    salvaged: int = 0
    """Reads taken back out of a damaged store since the daemon started."""
    lost: int = 0
    """Reads that could not be kept at all, because the disk was full. An alarm sounds."""
    recording: bool = True
    free_bytes: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The whole unit at one moment."""

    unit: str
    pid: int
    monotonic_ns: int
    """CLOCK_MONOTONIC at writing: tells a live daemon's file from a dead one's."""
    boot_id: str
    uptime_s: float
    frames_per_s: float
    frames: int
    reads: int
    hits: int
    alerts: int
    settle_to_alert_p95_ms: float
    cameras: tuple[CameraHealth, ...]
    time_quality: str
    has_fix: bool
    hotlist: HotlistHealth = field(default_factory=HotlistHealth)
    transfer: TransferHealth = field(default_factory=TransferHealth)
    store: StoreHealth = field(default_factory=StoreHealth)
    corrected: int = 0
    """Alerts that no longer hold, because their read was corrected."""
    profile: str = ""
    """Which of the department's profiles hold, as "retention.toml 3"; empty: none does."""
    pack: str = ""
    """Which model pack runs, and whose it is."""
    next_pack: str = ""
    """What the next start takes, or what a newer pack waits for; empty: nothing changes."""
    sound: str = ""
    """How alerts are sounded: a device, or files."""
    incident: str = ""
    """Number of the incident that reads carry now; empty in none."""
    incident_left_min: float = 0.0
    faults: tuple[str, ...] = ()
    """What a technician should look at, one line each."""


SERVICE_RUN_DIR = Path("/run/alpr-edge")
"""Where an installed daemon has its folder: RuntimeDirectory= of its service."""


def run_dir(unit: UnitConfig) -> Path:
    """Return the unit's folder for what is gone at power-off, made if it is missing."""
    folder = unit.run_dir
    if folder is None:
        base = os.environ.get("RUNTIME_DIRECTORY")
        if base is None and os.getuid() == 0 and (SERVICE_RUN_DIR / unit.id).is_dir():
            return SERVICE_RUN_DIR / unit.id  # systemd's, which only root and the daemon's user may enter
        base = base or os.environ.get("XDG_RUNTIME_DIR")
        # Of the user alone: a predictable name in a shared folder could be someone else's trap.
        folder = Path(base or f"{tempfile.gettempdir()}/alpr-edge-{os.getuid()}") / unit.id
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise EdgeError(f"{folder}: belongs to another user; remove it, or set unit.run_dir")
    return folder


def write_status(folder: Path, status: Status) -> None:
    """Put *status* into *folder* in one step: a reader sees the old or the new, never half."""
    draft = folder / f"{STATUS_FILE}.new"
    draft.write_text(json.dumps(dataclasses.asdict(status)), encoding="utf-8")
    draft.replace(folder / STATUS_FILE)


def read_status(folder: Path, monotonic_ns: int, boot_id: str) -> Status:
    """Return the status a running daemon wrote into *folder*.

    Raises NotRunningError if there is none, or if it is older than `STALE_AFTER_S`.
    """
    path = folder / STATUS_FILE
    try:
        status: Status = TypeAdapter(Status).validate_python(_parsed(path))
    except OSError:
        raise NotRunningError(
            f"{path}: no daemon of this unit is running; start it (alpr-edge run)"
        ) from None
    except (ValidationError, ValueError):
        raise NotRunningError(f"{path}: was written by another version; restart the daemon") from None
    age_s = (monotonic_ns - status.monotonic_ns) / 1e9
    if status.boot_id != boot_id or not -1 <= age_s <= STALE_AFTER_S:
        raise NotRunningError(
            f"{path}: last written {age_s:.0f} s ago; the daemon is stuck or gone, see its log"
        )
    return status


def _parsed(path: Path) -> dict[str, Any]:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("not an object")
    return data
