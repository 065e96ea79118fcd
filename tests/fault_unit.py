"""A unit as a process of its own, without cameras and models: the real keeper, outbox, courier and HTTPS.

`run_unit` is what such a process runs; it makes reads of its own, and its log says which are on its disk.
"""

import json
import os
import secrets
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import apsw
import structlog

from edge.clock import SystemClock
from edge.courier import Courier, KeeperStore
from edge.keeper import Flush, Keeper
from edge.pipeline import ReadWithHits
from edge.vault import unlock
from edge.window_file import SlotFile
from edge.window_slots import Slots
from recognizer.read import PlateRead
from sync.config import RetentionConfig, SyncConfig
from sync.errors import OutboxCorruptError
from sync.https import HttpsTransport
from sync.outbox import Outbox, open_outbox, quarantine
from sync.session import Session
from sync.tls import TlsFiles
from sync.upload import Upload
from tests.fakes import a_hit, a_read

LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
DRAIN_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What a unit's process is to do."""

    unit_id: str
    keys: str
    state: str
    url: str
    log: str
    most: int = 10**9
    """So many reads are made; then it ends once all are transferred."""
    every_s: float = 0.01
    evidence: int = 2000
    batch_reads: int = 20
    forgetful: bool = False
    """To test the tests: its outbox is in memory alone."""


def plate_of(read_id: str) -> str:
    """Return the plate that the read *read_id* must have wherever it is found."""
    return "".join(LETTERS[int(read_id[at : at + 2], 16) % len(LETTERS)] for at in range(0, 14, 2))


def new_read(evidence: int = 2000) -> PlateRead:
    """Return a read whose plate follows from its id, with so many bytes of picture."""
    read_id = secrets.token_hex(16)
    return a_read(read_id, plate_of(read_id), b"\xff\xd8" + secrets.token_bytes(evidence))


def opened(state: Path) -> Outbox:
    """Open the outbox in *state* as the unit does when it starts."""
    path = state / "outbox.db"
    try:
        return open_outbox(path)
    except OutboxCorruptError as error:
        structlog.get_logger().error("outbox.set_aside", why=str(error), aside=quarantine(path).name)
        return open_outbox(path)


def run_unit(orders: Orders) -> None:
    """Make reads and transfer them, until killed or until as many as ordered are transferred."""
    log = os.open(orders.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(os.fdopen(log, "w", buffering=1)),
    )
    state = Path(orders.state)
    clock, keys = SystemClock(state), unlock(Path(orders.keys))
    # A week's worth of reserve is for cards; here the disk is not what is tried.
    retention = RetentionConfig(local_window_h=0, stop_reserve_bytes=1, image_reserve_bytes=2)
    config = SyncConfig(
        server_url=orders.url,
        interval_s=0.05,
        backoff_first_s=0.05,
        backoff_max_s=0.5,
        refused_wait_s=1.0,
        batch_reads=orders.batch_reads,
    )
    keeper = Keeper(
        unit_id=orders.unit_id,
        department=keys.department,
        outbox=Outbox(apsw.Connection(":memory:")) if orders.forgetful else opened(state),
        state_dir=state,
        retention=retention,
        sync=config,
        slots=Slots(retention, SlotFile(state / "window.keys", keys.storage, None), clock.now()),
        clock=clock,
        alarm=lambda text: None,
    )
    session = Session(config, lambda: 0.5)
    upload = Upload(
        session,
        KeeperStore(keeper.queue),
        HttpsTransport(config, TlsFiles.in_folder(Path(orders.keys))),
        unit_id=orders.unit_id,
        unit_key=keys.signing,
        department=keys.receipts,
        clock=lambda: clock.now().utc,
    )
    courier = Courier(upload, session, clock)
    pause = threading.Event()

    def carry() -> None:
        while not pause.wait(min(courier.work(), 0.05)):
            pass

    threading.excepthook = _end
    for work in (lambda: keeper.run(lambda: None), carry):
        threading.Thread(target=work, daemon=True).start()
    for number in range(orders.most):
        read = new_read(orders.evidence)
        keeper.queue.put(ReadWithHits(read, (a_hit(read),) if number % 4 == 0 else ()))
        pause.wait(orders.every_s)
    done: Queue[None] = Queue()
    keeper.queue.put(Flush(done))
    done.get(timeout=60)
    for _ in range(int(DRAIN_LIMIT_S / 0.05)):
        if keeper.counts.queued == 0:
            os._exit(0)
        pause.wait(0.05)
    os._exit(75)


def _end(failed: threading.ExceptHookArgs) -> None:
    """The whole process ends with a thread, as the daemon's does."""
    structlog.get_logger().error("thread.failed", why=failed.exc_type.__name__)
    os._exit(70)


def stored_in(log: Path) -> list[str]:
    """Return the ids of the reads that a unit's *log* says are on its disk."""
    found: list[str] = []
    for event in events_in(log):
        if event.get("event") == "reads.stored":
            found += list(event["reads"])  # type: ignore[call-overload]
    return found


def events_in(log: Path) -> list[dict[str, object]]:
    """Return the entries of a unit's *log*; a line cut short by a kill is left out."""
    found = []
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


if __name__ == "__main__":
    run_unit(Orders(**json.loads(sys.argv[1])))
