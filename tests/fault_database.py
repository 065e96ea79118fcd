"""PostgreSQL that is restarted as after a crash, while several batches are being stored."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import select

from server.bench_cluster import NoPostgresqlError, cluster
from server.database import reading
from server.department import Department
from server.errors import StoreUnavailableError
from server.intake import Intake
from server.tables import batches, reads
from sync.batch import SignedBatch, decode_receipt
from tests.departments import Unit, a_stranger, a_unit
from tests.fault_outcome import Outcome, Watch, not_run
from tests.fault_unit import new_read, plate_of

UNITS, BATCH_READS = 4, 5


def database_restarts(times: int = 20, seed: int = 4) -> Outcome:
    """Stop PostgreSQL at once (as `pg_ctl restart -m immediate`) *times* times under four units' batches."""
    fault, watch = "PostgreSQL restarted in mid-batch (immediate)", Watch()
    try:
        with cluster(max_connections="60") as running, TemporaryDirectory() as name:
            root = Path(name)
            department = a_stranger(root / "department", running.make("faults"))
            units = [a_unit(department, root / f"unit-{n}", f"unit-{n}") for n in range(UNITS)]
            intake = Intake(department.engine, department.keys, root / "quarantine")
            over, failed = threading.Event(), [0]
            chance = random.Random(seed)
            with ThreadPoolExecutor(UNITS) as pool:
                cars = [pool.submit(_hand_in, intake, unit, over, failed) for unit in units]
                for _ in range(times):
                    over.wait(chance.uniform(0.1, 0.8))
                    running.stop(at_once=True)
                    running.start()
                over.wait(0.5)
                over.set()
                promised = [each for car in cars for each in car.result()]
            outcome = _look(department, fault, times, promised, failed[0], watch)
            department.engine.dispose()
            return outcome
    except NoPostgresqlError as error:
        return not_run(fault, str(error))


def _hand_in(
    intake: Intake, unit: Unit, over: threading.Event, failed: list[int]
) -> list[tuple[SignedBatch, list[str], bytes]]:
    taken = []
    while not over.is_set():
        made = [new_read() for _ in range(BATCH_READS)]
        signed = unit.batch(made)
        for _ in range(600):
            try:
                data = intake.take(unit.peer, signed, datetime.now(UTC))
            except StoreUnavailableError:
                failed[0] += 1
                threading.Event().wait(0.05)
                continue
            decode_receipt(data, unit.receipt_key, signed, unit.unit_id)
            taken.append((signed, [each.read_id for each in made], data))
            break
    return taken


def _look(
    department: Department,
    fault: str,
    times: int,
    promised: list[tuple[SignedBatch, list[str], bytes]],
    failed: int,
    watch: Watch,
) -> Outcome:
    with reading(department.engine) as connection:
        held = [
            (row.read_id, row.plate) for row in connection.execute(select(reads.c.read_id, reads.c.plate))
        ]
        receipts = {row.batch_id: row.receipt for row in connection.execute(select(batches))}
    ids = {read_id for read_id, _ in held}
    return Outcome(
        fault,
        times,
        sum(read_id not in ids for _, made, _ in promised for read_id in made),
        len(held) - len(ids),
        sum(plate != plate_of(read_id) for read_id, plate in held)
        + sum(receipts.get(signed.batch_id) != data for signed, _, data in promised),
        f"{len(promised):,} batches, {failed:,} answers 503",
        watch.seconds,
    )
