"""Disks that are full, the unit's and the server's: small file systems of their own, filled up.

Where nothing may be mounted, the unit's outbox is given a quota of pages instead.
"""

import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue

from sqlalchemy import select

from edge.keeper import Flush, Keeper
from edge.pipeline import ReadWithHits
from edge.window_file import SlotFile
from edge.window_slots import Slots
from server.database import reading
from server.tables import batches, reads
from sync.batch import decode_receipt
from sync.config import RetentionConfig, SyncConfig
from sync.errors import UnreachableError
from sync.https import HttpsTransport
from sync.outbox import Outbox, open_outbox
from sync.tls import TlsFiles
from tests.clocks import FakeClock
from tests.departments import Unit, a_department, a_unit, running
from tests.fakes import a_hit
from tests.fault_outcome import Outcome, Watch, not_run
from tests.fault_unit import new_read, plate_of
from tests.windows import DEPARTMENT, STORAGE_KEY

ROUND_READS = 400
"""More than the small disk holds."""


class NoMountError(Exception):
    """Nothing may be mounted here."""


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Give *folder* as a file system of so many MiB. Raises NoMountError."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoMountError(done.stderr.strip()[:120])
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def unit_disk_full(times: int = 40, seed: int = 5) -> Outcome:
    """Fill the unit's disk *times* times while it stores, and make room again."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as name:
        try:
            with small_disk(Path(name) / "state", 16) as state:
                return _fill_unit(state, times, seed, "a small file system", watch)
        except NoMountError:
            plain = Path(name) / "plain"
            plain.mkdir()
            return _fill_unit(plain, times, seed, "a quota of pages: nothing may be mounted here", watch)


def _fill_unit(state: Path, times: int, seed: int, how: str, watch: Watch) -> Outcome:
    quota = how.startswith("a quota")
    chance, alarms, stored = random.Random(seed), list[str](), set[str]()
    lost = silent = 0
    outbox = open_outbox(state / "outbox.db")
    keeper = _keeper(state, outbox, alarms)
    filler = state / "filler"
    for _ in range(times):
        if quota:
            outbox._connection.pragma("max_page_count", outbox._connection.pragma("page_count") + 40)
        else:
            _fill(filler, state, chance.randrange(4096, 300_000))
        before, said = keeper.health.stored, len(alarms)
        waiting: list[str] = []
        for _ in range(ROUND_READS):
            read = new_read(chance.randrange(500, 9000))
            waiting.append(read.read_id)
            keeper.handle(ReadWithHits(read, (a_hit(read),)))
            if not keeper.health.recording:
                break
        done = keeper.health.stored - before
        stored |= set(waiting[:done])
        silent += keeper.health.recording or len(alarms) == said or not keeper.health.last_error
        lost += len(stored - _in(outbox))
        if quota:
            outbox._connection.pragma("max_page_count", 2**30)
        filler.unlink(missing_ok=True)
        keeper.handle(Flush(Queue()))
        stored |= set(waiting)
        silent += not keeper.health.recording or keeper.health.lost > 0
        lost += len(stored - _in(outbox))
        if not quota and sum(path.stat().st_size for path in state.iterdir()) > 6 << 20:
            # Room for the next round: all is taken away, as after a transfer.
            lost += len(stored - _in(outbox))
            outbox.close()
            for path in state.iterdir():
                path.unlink()
            outbox, stored = open_outbox(state / "outbox.db"), set()
            keeper = _keeper(state, outbox, alarms)
    with closing(outbox):
        whole = outbox._connection.execute("PRAGMA integrity_check").get == "ok"
    note = f"{how}; {len(alarms)} alarms to the officer"
    return Outcome("the unit's disk full", times, lost, 0, silent + (not whole), note, watch.seconds)


def _keeper(state: Path, outbox: Outbox, alarms: list[str]) -> Keeper:
    # No reserve: the disk itself has to say that it is full, in the midst of a commit.
    retention = RetentionConfig(local_window_h=0, stop_reserve_bytes=1, image_reserve_bytes=2)
    clock = FakeClock()
    return Keeper(
        unit_id="unit-07",
        department=DEPARTMENT.public_key(),
        outbox=outbox,
        state_dir=state,
        retention=retention,
        sync=SyncConfig(),
        slots=Slots(retention, SlotFile(state / "window.keys", STORAGE_KEY, None), clock.now()),
        clock=clock,
        alarm=alarms.append,
    )


def _in(outbox: Outbox) -> set[str]:
    return {str(row[0]) for row in outbox._connection.execute("SELECT read_id FROM reads")}


def _fill(filler: Path, disk: Path, leave: int) -> None:
    free = os.statvfs(disk)
    size = max(0, free.f_bavail * free.f_frsize - leave)
    with filler.open("wb") as file:
        file.write(bytes(size))


def server_disk_full(times: int = 20, seed: int = 6) -> Outcome:
    """Fill the disk of a running server *times* times: it answers 503, and takes the same batch later."""
    fault, watch, chance = "the server's disk full", Watch(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with small_disk(folder / "disk", 24) as disk:
                department = a_department(disk / "department")
                unit = a_unit(department, folder / "unit")
                with running(department, folder / "log") as server:
                    config = SyncConfig(server_url=server.units_url)
                    with closing(HttpsTransport(config, TlsFiles.in_folder(unit.keys))) as transport:
                        refused, silent, promised = _fill_server(disk, unit, transport, times, chance)
                with reading(department.engine) as connection:
                    rows = connection.execute(select(reads.c.read_id, reads.c.plate)).all()
                    taken = set(connection.execute(select(batches.c.batch_id)).scalars())
                department.engine.dispose()
        except NoMountError as error:
            return not_run(fault, str(error))
    held = {row.read_id for row in rows}
    silent += sum(row.plate != plate_of(row.read_id) for row in rows) + (len(taken) != times)
    lost, note = len(promised - held), f"{refused} answers 503, no receipt with any"
    return Outcome(fault, times, lost, len(rows) - len(held), silent, note, watch.seconds)


def _fill_server(
    disk: Path, unit: Unit, transport: HttpsTransport, times: int, chance: random.Random
) -> tuple[int, int, set[str]]:
    refused = silent = 0
    promised: set[str] = set()
    for _ in range(times):
        made = [new_read(chance.randrange(2000, 9000)) for _ in range(20)]
        signed = unit.batch(made)
        _fill(disk / "filler", disk, chance.randrange(0, 60_000))
        try:
            decode_receipt(transport.send(signed), unit.receipt_key, signed, unit.unit_id)
            silent += 1  # a receipt from a disk that had no room for it
        except UnreachableError as error:
            refused += "503" in str(error)
            silent += "503" not in str(error)
        (disk / "filler").unlink()
        decode_receipt(transport.send(signed), unit.receipt_key, signed, unit.unit_id)
        promised |= {each.read_id for each in made}
    return refused, silent, promised
