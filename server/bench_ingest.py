"""How fast sealed, signed batches become reads on disk: signature, seals, records, transaction, receipt."""

import logging
import multiprocessing
import pickle
import queue
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from camera.fix import Fix
from camera.frame import Moment, TimeQuality
from recognizer.plate import Jurisdiction, Plate
from recognizer.read import Box, JurisdictionOpinion, PlateRead
from server.department import Department, open_department
from server.enrolment import UnitAddresses, enroll
from server.intake import Intake, Peer
from server.keys import serial_of
from sync.batch import Batch, SignedBatch, encode_batch
from sync.record import encode_record
from sync.seal import EpochSealer

BATCH_READS = 200
"""As units send them: `sync.config`."""
JPEG_BYTES = 8_200
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_PATIENCE_S = 600.0
_WARM_UP = 3
"""Batches of each process that are not counted: connections, caches, compiled statements."""


@dataclass(frozen=True, slots=True)
class Load:
    """One unit's batches, as they came over the network."""

    peer: Peer
    batches: tuple[SignedBatch, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What came of a run."""

    reads: int
    seconds: float
    batches_ms: tuple[float, ...]
    """How long each batch took, from its bytes to its receipt."""
    processor_s: float
    """Processor time of all processes that took batches, without the database's."""

    @property
    def reads_per_s(self) -> float:
        """Over all processes."""
        return self.reads / self.seconds


def make_load(
    department: Department, folder: Path, unit_id: str, *, batches: int, jpeg_bytes: int, now: datetime
) -> Load:
    """Enrol a unit whose files go into *folder*, and return *batches* of it, sealed and signed.

    Its reads are of the hour before *now*; with *jpeg_bytes* 0 they have no picture.
    """
    addresses = UnitAddresses("https://localhost:8443", "", 8883)
    enroll(
        department.engine,
        department.keys,
        unit_id,
        folder,
        addresses,
        updates_root=department.publications.first_root,
        actor="console:bench",
        now=now,
    )
    certificate = x509.load_pem_x509_certificate((folder / "keys" / "unit.tls.cert.pem").read_bytes())
    signing = load_pem_private_key((folder / "keys" / "unit.ed25519.key.pem").read_bytes(), None)
    assert isinstance(signing, Ed25519PrivateKey)
    made = []
    for _ in range(batches):
        sealer = EpochSealer(unit_id, department.keys.unseal.public_key())
        reads = [_made_up(now, jpeg_bytes) for _ in range(BATCH_READS)]
        sealed = tuple(sealer.seal(read.read_id, encode_record(unit_id, read, ())) for read in reads)
        batch = Batch(secrets.token_hex(16), unit_id, now, (sealer.epoch,), sealed)
        made.append(encode_batch(batch, signing))
    return Load(Peer(unit_id, serial_of(certificate), "192.0.2.1"), tuple(made))


def ingest(
    root: Path, loads: Sequence[Load], now: datetime, folder: Path, *, every_s: float = 0.0
) -> Ingested:
    """Take all *loads* at once, each in a process of its own, as instances behind a load balancer would.

    A process takes a batch at most *every_s*.
    """
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(len(loads)), context.Queue()
    workers = []
    for number, load in enumerate(loads):
        path = folder / f"load-{number}"
        path.write_bytes(pickle.dumps(load))
        workers.append(context.Process(target=_work, args=(root, path, now, every_s, barrier, results)))
    for worker in workers:
        worker.start()
    try:
        parts: list[tuple[float, float, float, list[float]]] = [
            results.get(timeout=_PATIENCE_S) for _ in workers
        ]
    except queue.Empty:
        raise RuntimeError("an ingest process gave no result: see its error above") from None
    finally:
        for worker in workers:
            worker.join(10)
    taken = tuple(one for *_, each in parts for one in each)
    seconds = max(part[1] for part in parts) - min(part[0] for part in parts)
    return Ingested(len(taken) * BATCH_READS, seconds, taken, sum(part[2] for part in parts))


def take_all(department: Department, load: Load, now: datetime, every_s: float = 0.0) -> list[float]:
    """Take the batches of *load* one after another; return how many milliseconds each took."""
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    taken, pause = [], Event()
    for signed in load.batches:
        started = time.perf_counter()
        intake.take(load.peer, signed, now)
        taken.append((time.perf_counter() - started) * 1e3)
        pause.wait(max(every_s - taken[-1] / 1e3, 0.0))
    return taken


def _work(  # noqa: PLR0917 - as multiprocessing hands them over
    root: Path, path: Path, now: datetime, every_s: float, barrier: Any, results: Any
) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    load: Load = pickle.loads(path.read_bytes())  # noqa: S301 - written by `ingest` a moment ago
    department = open_department(root)
    take_all(department, Load(load.peer, load.batches[:_WARM_UP]), now)
    barrier.wait()
    # Monotonic time is one clock for all processes of a machine.
    started, worked = time.monotonic(), time.process_time()
    taken = take_all(department, Load(load.peer, load.batches[_WARM_UP:]), now, every_s)
    results.put((started, time.monotonic(), time.process_time() - worked, taken))
    department.engine.dispose()


def _made_up(now: datetime, jpeg_bytes: int) -> PlateRead:
    plate = Plate(
        secrets.choice("123456789")
        + "".join(secrets.choice(_LETTERS) for _ in range(3))
        + f"{secrets.randbelow(1000):03d}"
    )
    at = now - timedelta(seconds=secrets.randbelow(3_600_000_000) / 1e6)
    moment = Moment(at, secrets.randbelow(2**40), "boot", TimeQuality.GPS)
    return PlateRead(
        read_id=secrets.token_hex(16),
        camera="front",
        plate=plate,
        positions=tuple(((sign, 0.9412), ("0", 0.0213), ("8", 0.0107), ("", 0.0031)) for sign in plate),
        confidence=0.9412,
        jurisdiction=JurisdictionOpinion(Jurisdiction("US-CA"), 0.8123),
        first_seen=moment,
        settled=moment,
        box=Box(610, 420, 742, 470),
        frames=7,
        evidence=b"\xff\xd8" + secrets.token_bytes(jpeg_bytes - 2) if jpeg_bytes else b"",
        fix=Fix(
            at, 34 + secrets.randbelow(10**6) / 4e6, -118.4 + secrets.randbelow(10**6) / 4e6, 9.5, 88.0, 4.0
        ),
    )
