"""What the unit keeps reads in, opened at its start: folder, outbox, local window, and their one writer."""

from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

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
from sync.errors import OutboxCorruptError
from sync.outbox import Outbox, open_outbox, quarantine
from sync.outbox_salvage import salvage_all

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


def read_store(path: Path, alarms: "SimpleQueue[str]") -> Outbox:
    """Return the outbox in the file *path*: a damaged one is set aside, told, and a new one begun.

    Raises DiskFullError, OutboxVersionError.
    """
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
        state_dir=config.unit.state_dir,
        retention=config.retention,
        sync=config.sync,
        slots=slots,
        clock=clock,
        alarm=alarms.put,
        hit_stored=hit_stored,
        salvaging=salvage_all(config.unit.state_dir / OUTBOX_FILE, outbox),
    )
