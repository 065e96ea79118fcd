"""Clocks that jump by ten years, forth and back, on the unit and on the server."""

import random
import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from queue import Queue

from sqlalchemy import select

from edge.clock import SystemClock
from edge.keeper import Acknowledged, Flush, Keeper, NextBatch, StoreError
from edge.pipeline import ReadWithHits
from edge.window_file import SlotFile
from edge.window_slots import Slots
from server.database import reading
from server.intake import Intake
from server.retention_automatic import AutomaticPurge
from server.tables import reads
from sync.batch import Batch, decode_receipt, encode_batch
from sync.config import RetentionConfig, SyncConfig
from sync.outbox import Outbox, open_outbox
from sync.transfer_clock import LIMIT, transfer_clock
from tests.clocks import START, FakeKernel
from tests.departments import Unit, a_department, a_unit
from tests.fault_outcome import Outcome, Watch
from tests.fault_unit import new_read, plate_of

YEARS = timedelta(days=3653)


def clock_jumps(times: int = 100, seed: int = 12, *, window_h: float = 24.0) -> Outcome:
    """Let both clocks jump by up to ten years *times* times, in the midst of storing and transferring.

    Nothing may go without a receipt, each receipt must be valid, reads go in the order they came in, and the
    30-day clock stays between 0 and 30 days.
    """
    watch, chance = Watch(), random.Random(seed)
    lost = silent = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        department = a_department(folder / "department")
        unit = a_unit(department, folder / "unit")
        intake = Intake(department.engine, department.keys, folder / "quarantine")
        automatic = AutomaticPurge(department.engine, department.keys.receipt)
        kernel, server_now = FakeKernel(START), START
        clock = SystemClock(folder, kernel)
        retention = RetentionConfig(local_window_h=window_h, stop_reserve_bytes=1, image_reserve_bytes=2)
        outbox = open_outbox(folder / "outbox.db")
        keeper = Keeper(
            unit_id=unit.unit_id,
            department=department.keys.unseal.public_key(),
            outbox=outbox,
            state_dir=folder,
            retention=retention,
            sync=SyncConfig(batch_reads=3),
            slots=Slots(retention, SlotFile(folder / "window.keys", bytes(32), None), clock.now()),
            clock=clock,
            alarm=lambda text: None,
        )
        stored: list[str] = []
        sent: list[str] = []
        for _ in range(times):
            kernel.set_wall(START + chance.choice((-1, 0, 1)) * YEARS * chance.random())
            kernel.is_synchronised = chance.random() < 0.1
            server_now = START + chance.choice((-1, 0, 1)) * YEARS * chance.random()
            for _ in range(chance.randrange(1, 4)):
                made = new_read(200)
                moment = clock.now()
                made = replace(made, first_seen=moment, settled=moment)
                keeper.handle(ReadWithHits(made, ()))
                stored.append(made.read_id)
                kernel.advance(chance.random())
            keeper.handle(Flush(Queue()))
            keeper.due()
            lost += len(set(stored) - set(sent) - _in(outbox))
            left = transfer_clock(keeper.counts.oldest, clock.now().utc).days_left
            silent += not 0 <= left <= LIMIT / timedelta(days=1)
            if chance.random() < 0.5:
                sent += _transfer(keeper, unit, intake, server_now)
            lost += automatic.step(server_now, lambda s: None, partial(_same, server_now))
        while ids := _transfer(keeper, unit, intake, server_now):
            sent += ids
        with reading(department.engine) as connection:
            rows = connection.execute(select(reads.c.read_id, reads.c.plate)).all()
        held = {row.read_id for row in rows}
        silent += sum(row.plate != plate_of(row.read_id) for row in rows)
        lost += len(set(stored) - held)
        out_of_order = sent != stored
        keeper.close()
        department.engine.dispose()
    note = (
        f"window of {window_h:.0f} h; {len(stored)} reads, {'OUT OF ORDER' if out_of_order else 'in order'}"
    )
    return Outcome(
        "clocks that jump by ten years",
        times,
        lost,
        len(sent) - len(set(sent)),
        silent + out_of_order,
        note,
        watch.seconds,
    )


def _same(moment: datetime) -> datetime:
    return moment


def _transfer(keeper: Keeper, unit: Unit, intake: Intake, now: datetime) -> list[str]:
    reply: Queue[Batch | StoreError | None] = Queue()
    keeper.handle(NextBatch(reply))
    batch = reply.get_nowait()
    if batch is None:
        return []
    assert isinstance(batch, Batch), batch
    signed = encode_batch(batch, unit.signing_key)
    data = intake.take(unit.peer, signed, now)
    receipt = decode_receipt(data, unit.receipt_key, signed, unit.unit_id)
    done: Queue[StoreError | None] = Queue()
    keeper.handle(Acknowledged(receipt, data, done))
    assert done.get_nowait() is None
    return [each.read_id for each in batch.reads]


def _in(outbox: Outbox) -> set[str]:
    return {str(row[0]) for row in outbox._connection.execute("SELECT read_id FROM reads")}
