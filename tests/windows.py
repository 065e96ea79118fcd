"""A unit's store with its local window, whose clock and restarts are in the test's hand."""

import itertools
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from camera.fix import Fix
from edge.keeper import Flush, Keeper, Stop
from edge.pipeline import ReadWithHits
from edge.window import Near, Window, WindowRead
from edge.window_file import PAGE_BYTES, Anchor, SlotFile, _opened
from edge.window_slots import Slots
from recognizer.plate import normalise
from sync.batch import Batch, Receipt, SealedEpoch, SealedRead, encode_batch
from sync.config import RetentionConfig, SyncConfig
from sync.errors import SealBrokenError
from sync.outbox import open_outbox
from sync.outbox_salvage import salvage_all
from sync.seal import WindowOpener
from sync.window import Slot
from tests.clocks import FakeClock
from tests.fakes import UNIT, a_hit, a_read

STORAGE_KEY = bytes(range(32))
DEPARTMENT = X25519PrivateKey.generate()
UNIT_KEY = Ed25519PrivateKey.generate()
ALWAYS = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
TOWN = (38.5816, -121.4944)
"""Where the invented unit stands."""

_numbers = itertools.count(1)


class UnitStore:
    """Keeper and window over real files in *folder*."""

    def __init__(
        self,
        folder: Path,
        retention: RetentionConfig | None = None,
        *,
        storage_key: bytes = STORAGE_KEY,
        anchor: Anchor | None = None,
    ) -> None:
        self.folder = folder
        self.retention = retention or RetentionConfig()
        self.clock = FakeClock()
        self.storage_key = storage_key
        self.anchor = anchor
        self.start()

    def start(self) -> None:
        """Open everything, as the daemon does when it starts."""
        self.outbox = open_outbox(self.folder / "outbox.db")
        self.slots = Slots(
            self.retention,
            SlotFile(self.folder / "window.keys", self.storage_key, self.anchor),
            self.clock.now(),
        )
        self.keeper = Keeper(
            unit_id=UNIT,
            department=DEPARTMENT.public_key(),
            outbox=self.outbox,
            state_dir=self.folder,
            retention=self.retention,
            sync=SyncConfig(),
            slots=self.slots,
            clock=self.clock,
            alarm=lambda text: None,
            salvaging=salvage_all(self.folder / "outbox.db", self.outbox),
        )
        self.window = Window(self.slots, self.folder / "outbox.db")

    def stop(self) -> None:
        """End as asked."""
        self.keeper.handle(Stop())
        self.window.close()
        self.keeper.close()

    def restart(self, after_s: float = 0.0, *, monotonic_from_zero: bool = False) -> None:
        """Stop and start again after a while."""
        self.stop()
        self.pass_time(after_s, attended=False)
        if monotonic_from_zero:
            self.clock.start = self.clock.now().utc
            self.clock.monotonic_ns = 0
        self.start()

    def pass_time(self, seconds: float, *, attended: bool = True) -> None:
        self.clock.advance(seconds)
        if attended:
            self.keeper.due()

    def set_clock(self, by: timedelta) -> None:
        """Step the wall clock; no time passes."""
        self.clock.start += by

    def keep(
        self,
        plate: str,
        *,
        prefix: str = "",
        place: tuple[float, float] | None = TOWN,
        hit: bool = False,
        revises: str | None = None,
    ) -> str:
        """Store a read made now; return its id."""
        moment = self.clock.now()
        read = replace(
            a_read(f"{next(_numbers):032x}", plate),
            prefix=normalise(prefix),
            first_seen=moment,
            settled=moment,
            fix=None if place is None else Fix(moment.utc, *place),
            revises=revises,
        )
        self.keeper.handle(ReadWithHits(read, (a_hit(read),) if hit else ()))
        self.keeper.handle(Flush(Queue()))
        return read.read_id

    def find(self, text: str, near: Near | None = None, limit: int = 50) -> list[str]:
        """The ids of the reads found, newest first."""
        return [read.read_id for read in self.search(text, near, limit)]

    def search(self, text: str, near: Near | None = None, limit: int = 50) -> list[WindowRead]:
        return self.window.search(text, since=ALWAYS[0], until=ALWAYS[1], near=near, limit=limit)

    def acknowledge(self) -> Batch:
        """Let the department take the next batch."""
        batch = self.outbox.make_batch(
            unit_id=UNIT, limit_reads=1000, limit_bytes=10**7, now=self.clock.now().utc
        )
        assert batch is not None
        digest = encode_batch(batch, UNIT_KEY).digest
        self.outbox.accept(Receipt(batch.batch_id, UNIT, digest, len(batch.reads), batch.made_at), b"receipt")
        return batch


def seized(folder: Path, into: Path) -> Path:
    """Copy a unit's whole state directory as a thief's card reader does, while the unit runs or not."""
    shutil.copytree(folder, into)
    return into


def opened_by_thief(state: Path, storage_keys: list[bytes], anchored: list[bytes]) -> set[str]:
    """Return the ids of all reads that whoever holds *state* can open with the unit's own keys and no
    department's: with every slot that any page of the key file gives, whatever the unit's clock would say."""
    slots: dict[int, Slot] = {}
    for path in state.rglob("window.keys*"):
        for storage_key in storage_keys:
            for secret in anchored:
                for slot in pages_opened(path.read_bytes(), storage_key, secret):
                    slots[slot.number] = slot
    found: set[str] = set()
    with open_outbox(state / "outbox.db") as outbox:
        rows: list[Any] = outbox._connection.execute(
            "SELECT read_id, epoch_id, sealed, unit_id, sealed_key, slot, wrapped FROM reads"
            " JOIN epochs ON epochs.number = reads.epoch"
            " LEFT JOIN window_keys ON window_keys.epoch = epochs.number"
        ).fetchall()
    for read_id, epoch_id, sealed, unit_id, sealed_key, number, wrapped in rows:
        if number in slots:
            try:
                opener = WindowOpener(
                    SealedEpoch(epoch_id, unit_id, sealed_key), wrapped, slots[number].wrapping_key
                )
                opener.open(SealedRead(read_id, epoch_id, sealed))
            except SealBrokenError:
                continue
            found.add(read_id)
    return found


def pages_opened(content: bytes, storage_key: bytes, anchored: bytes) -> list[Slot]:
    """Every slot that stands in any page of a key file, at any offset of a page."""
    file = SlotFile(Path("none"), storage_key, None)
    key = file._key_with(anchored)
    found: list[Slot] = []
    for at in range(0, len(content), 512):
        if (page := _opened(content[at : at + PAGE_BYTES], key)) is not None:
            found += page[1]
    return found
