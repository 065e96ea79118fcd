"""What the unit keeps reads in, opened at its start: folder, outbox, local window, and their one writer."""

from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import apsw
import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from edge.ballast import keep_ballast
from edge.clock import SystemClock
from edge.config import HOTLIST_FOLDER, Config
from edge.errors import ConfigInvalidError
from edge.keeper import Keeper
from edge.vault import Keys
from edge.window_file import SlotFile
from edge.window_slots import Slots
from edge.window_tpm import anchor_of
from sync.errors import DiskFullError, OutboxCorruptError
from sync.outbox import Outbox, open_outbox, quarantine
from sync.outbox_salvage import keep_dropped_log, salvage_all

OUTBOX_FILE, WINDOW_FILE = "outbox.db", "window.keys"

log = structlog.get_logger(__name__)


def state_folder(config: Config) -> Path:
    """Return the unit's state directory, made if it is not there. Raises ConfigInvalidError."""
    folder = config.unit.state_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / HOTLIST_FOLDER).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigInvalidError(f"{folder}: unit.state_dir cannot be made ({error.strerror})") from error
    keep_ballast(folder, config.retention.stop_reserve_bytes)
    return folder


def read_store(path: Path, alarms: "SimpleQueue[str]") -> tuple[Outbox, str]:
    """Return the outbox in the file *path*, and why nothing can be stored in it; empty where it can.

    A damaged one is set aside, told, and a new one begun. Where the disk takes no writes it is one in memory,
    and empty: cards end so, and a car whose card did must still alert. Raises OutboxVersionError.
    """
    try:
        return _read_store(path, alarms), ""
    except DiskFullError as error:
        log.error("store.unusable", why=str(error))
        alarms.put("Recording stopped, the disk fails. Alerts go on. Tell the technician")
        return Outbox(apsw.Connection(":memory:")), str(error)


def _read_store(path: Path, alarms: "SimpleQueue[str]") -> Outbox:
    if keep_dropped_log(path):
        log.error("store.log_damaged", file=str(path), why="what SQLite would drop of it is taken back")
    try:
        outbox = open_outbox(path)
    except OutboxCorruptError as error:
        aside = quarantine(path)
        log.error("store.damaged", why=str(error), aside=str(aside))
        alarms.put("The read store was damaged. Its sound reads are recovered. Tell the technician")
        outbox = open_outbox(path)
    # What the server refused is tried again in new batches: who restarts the unit has seen to the cause.
    with outbox.condemning():
        released = outbox.release_refused()
    if released:
        log.warning("batch.released", reads=released)
    return outbox


def _gone_through(name: str, unreadable: int) -> None:
    log.warning("store.gone_through", file=name, unreadable=unreadable)


def window_slots(config: Config, keys: Keys, clock: SystemClock) -> Slots:
    """Return the slots of the local window, as they were kept over the last stop."""
    anchor = anchor_of(config.retention.window_tpm) if config.retention.local_window_h else None
    file = SlotFile(config.unit.state_dir / WINDOW_FILE, keys.storage, anchor)
    return Slots(config.retention, file, clock.now())


def keeper_of(
    config: Config,
    department: X25519PublicKey,
    outbox: Outbox,
    *,
    store_fault: str,
    slots: Slots,
    clock: SystemClock,
    alarms: "SimpleQueue[str]",
    hit_stored: Callable[[], None],
) -> Keeper:
    """Return the one writer of *outbox*, which also takes back what is sound in damaged ones."""
    return Keeper(
        unit_id=config.unit.id,
        department=department,
        outbox=outbox,
        store_fault=store_fault,
        state_dir=config.unit.state_dir,
        retention=config.retention,
        sync=config.sync,
        slots=slots,
        clock=clock,
        alarm=alarms.put,
        hit_stored=hit_stored,
        salvaging=None
        if store_fault
        else salvage_all(config.unit.state_dir / OUTBOX_FILE, outbox, _gone_through),
    )
