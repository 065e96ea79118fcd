"""A department and a unit as processes that faults befall, and the count of what became of the reads.

Processes are forked from one that has everything loaded, so that 500 starts take minutes and not an hour.
"""

import multiprocessing
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import apsw
from sqlalchemy import select

from server.database import reading
from server.department import Department
from server.tables import batches, reads
from tests.departments import Unit, a_department, a_unit
from tests.fault_unit import Orders, plate_of, run_unit, stored_in

PATIENCE_S = 60.0


def _starter() -> "multiprocessing.context.ForkServerContext":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.fault_world", "server.daemon"])
    return context


def run_server(root: str, host: str, port: int, people_port: int, log: str) -> None:
    """What a server's process runs."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = os.fdopen(1, "w")
    from server.daemon import run

    run(Path(root), host, port, people_port)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the reads."""

    stored: int
    lost: int
    twice: int
    silent: int
    receipts: int


@dataclass
class World:
    """One department, one unit, and their processes."""

    folder: Path
    department: Department
    unit: Unit
    port: int
    people_port: int
    host: str = "localhost"
    server: BaseProcess | None = None
    car: BaseProcess | None = None
    forgetful: bool = False
    _context: "multiprocessing.context.ForkServerContext" = field(default_factory=_starter)

    @property
    def state(self) -> Path:
        """Where the unit keeps its own."""
        return self.folder / "state"

    @property
    def unit_log(self) -> Path:
        """What the unit says."""
        return self.folder / "unit.log"

    @property
    def outbox(self) -> Path:
        """The unit's outbox."""
        return self.state / "outbox.db"

    def orders(self, **changes: object) -> Orders:
        """Return what the unit is told."""
        given: dict[str, object] = {
            "unit_id": self.unit.unit_id,
            "keys": str(self.unit.keys),
            "state": str(self.state),
            "url": f"https://{self.host}:{self.port}",
            "log": str(self.unit_log),
            "forgetful": self.forgetful,
        }
        return Orders(**(given | changes))  # type: ignore[arg-type]

    def start_server(self) -> None:
        """Start it; the unit asks until it answers."""
        root, log = str(self.department.folder.root), str(self.folder / "server.log")
        arguments = (root, self.host, self.port, self.people_port, log)
        self.server = self._context.Process(target=run_server, args=arguments, daemon=True)
        self.server.start()

    def start_unit(self, **changes: object) -> None:
        """Start it on reads without end, or on as many as *changes* say."""
        self.car = self._context.Process(target=run_unit, args=(self.orders(**changes),), daemon=True)
        self.car.start()

    def drain(self, **changes: object) -> bool:
        """Let the unit transfer all it has; return whether it did."""
        self.start_unit(most=0, **changes)
        assert self.car is not None
        self.car.join(PATIENCE_S * 3)
        return self.car.exitcode == 0

    def wait_for(self, size: int) -> None:
        """Wait, a while at most, until the unit has said something more than *size* bytes."""
        pause = threading.Event()
        for _ in range(300):
            if self.unit_log.exists() and self.unit_log.stat().st_size > size:
                return
            pause.wait(0.01)

    @property
    def said(self) -> int:
        """How many bytes the unit's log has."""
        return self.unit_log.stat().st_size if self.unit_log.exists() else 0

    def tally(self) -> Tally:
        """Count what became of every read that the unit said is on its disk."""
        with reading(self.department.engine) as connection:
            held = [
                (row.read_id, row.plate) for row in connection.execute(select(reads.c.read_id, reads.c.plate))
            ]
            taken = {row.batch_id: row for row in connection.execute(select(batches))}
        ids = Counter(read_id for read_id, _ in held)
        queued, receipts = ([], []) if self.forgetful else outbox_content(self.outbox)
        stored = set(stored_in(self.unit_log))
        silent = sum(plate != plate_of(read_id) for read_id, plate in held)
        for batch_id, digest, count, data in receipts:
            row = taken.get(batch_id)
            if row is None or (row.digest, row.reads, row.receipt) != (digest, count, data):
                silent += 1
        return Tally(
            stored=len(stored),
            lost=len(stored - set(ids) - set(queued)),
            twice=sum(count - 1 for count in ids.values()),
            silent=silent,
            receipts=len(receipts),
        )

    def end(self) -> None:
        """End what runs."""
        for process in (self.car, self.server):
            if process is not None and process.is_alive():
                process.kill()
                process.join(10)
        self.department.engine.dispose()


def outbox_content(path: Path) -> tuple[list[str], list[tuple[str, bytes, int, bytes]]]:
    """Return the ids of the reads in an outbox, and of each receipt the batch, digest, reads and bytes."""
    connection = apsw.Connection(str(path))
    try:
        queued = [row[0] for row in connection.execute("SELECT read_id FROM reads")]
        rows = connection.execute(
            "SELECT batch_id, digest, reads, receipt FROM batches WHERE receipt IS NOT NULL"
        )
        return queued, [(str(a), bytes(b), int(c), bytes(d)) for a, b, c, d in rows]
    finally:
        connection.close()


@contextmanager
def world(*, department: Department | None = None, host: str = "localhost") -> Iterator[World]:
    """Give a department and an enrolled unit, nothing of them running yet."""
    from tests.cars import free_port

    with tempfile.TemporaryDirectory(prefix="alpr-faults-") as name:
        folder = Path(name)
        made = department or a_department(folder / "department")
        unit = a_unit(made, folder / "unit")
        (folder / "state").mkdir()
        this = World(folder, made, unit, free_port(), free_port(), host)
        try:
            yield this
        finally:
            this.end()
