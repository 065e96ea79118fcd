"""How many reads a second go to a real department server in another process, receipts checked."""

import os
import secrets
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from camera.frame import Moment
from edge.clock import SystemClock
from edge.config import Config, load_config
from edge.errors import EdgeError
from edge.vault import Keys, unlock
from recognizer.plate import Plate
from recognizer.read import Box, PlateRead
from sync.batch import Batch, Receipt, SealedRead
from sync.config import SyncConfig
from sync.https import HttpsTransport
from sync.outbox import Outbox, open_outbox
from sync.record import encode_record
from sync.seal import EpochSealer
from sync.session import Session
from sync.tls import TlsFiles
from sync.upload import Upload

READS = 2000
BATCH_READS = 200
RECORD_BYTES = 9000
"""A read with its picture, about as the sample drive gives them."""
SERVER_PATIENCE_S = 60.0


class BenchUnavailableError(EdgeError):
    """The sample drive or the department server is not there: run it from a checkout."""

    exit_code = 66


@dataclass(frozen=True, slots=True)
class Department:
    """A unit, and the department whose server takes its reads."""

    config: Config
    keys: Keys
    clock: SystemClock

    def sealed(self, sealer: EpochSealer, moment: Moment) -> SealedRead:
        """Return an invented read made at *moment*, with a picture."""
        read = _made_up(moment)
        return sealer.seal(read.read_id, encode_record(self.config.unit.id, read, ()))


@dataclass(frozen=True, slots=True)
class _Store:
    """The outbox of this thread."""

    outbox: Outbox
    unit_id: str
    clock: SystemClock

    def next_batch(self) -> Batch | None:
        return self.outbox.make_batch(
            unit_id=self.unit_id, limit_reads=BATCH_READS, limit_bytes=4 << 20, now=self.clock.now().utc
        )

    def accept(self, receipt: Receipt, data: bytes) -> None:
        self.outbox.accept(receipt, data)

    def set_aside(self, batch_id: str, why: str) -> None:
        raise BenchUnavailableError(f"upload: the server refused batch {batch_id}: {why}")

    def cut(self, batch_id: str, limit_bytes: int) -> bool:
        return self.outbox.cut(batch_id)


def bench_upload() -> dict[str, float]:
    """Return reads a second, and their size. Raises BenchUnavailableError where the server does not run."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="bench-") as scratch:
        folder = Path(scratch)
        with department(folder) as there, open_outbox(folder / "outbox.db") as outbox:
            sealer, now = EpochSealer(there.config.unit.id, there.keys.department), there.clock.now()
            outbox.append([there.sealed(sealer, now) for _ in range(READS)], sealer.epoch, now.utc)
            elapsed_s = sent(outbox, there, READS)
    return {"upload_reads_per_s": READS / elapsed_s, "upload_read_kb": RECORD_BYTES / 1e3}


def sent(outbox: Outbox, there: Department, reads: int) -> float:
    """Hand in at least *reads* of the sealed reads in *outbox*, and return how many seconds it took."""
    config, clock = there.config, there.clock
    with closing(HttpsTransport(config.sync, TlsFiles.in_folder(config.unit.keys_dir))) as transport:
        upload = Upload(
            Session(SyncConfig(), lambda: 0.5),
            _Store(outbox, config.unit.id, clock),
            transport,
            unit_id=config.unit.id,
            unit_key=there.keys.signing,
            department=there.keys.receipts,
            clock=lambda: clock.now().utc,
        )
        receipted, started = 0, time.perf_counter()
        while receipted < reads:
            exchanged = upload.step()
            if exchanged.receipt is None:
                raise BenchUnavailableError(f"upload: {exchanged.error or 'the store has no more'}")
            receipted += exchanged.receipt.reads
        return time.perf_counter() - started


@contextmanager
def department(folder: Path) -> Iterator[Department]:
    """Give a fresh department in *folder* whose server runs here meanwhile, and a unit enrolled there."""
    home = folder / "department"
    password = folder / "password"
    password.write_text(secrets.token_urlsafe(16), encoding="ascii")
    _server(home, "init", str(home), "--password-file", str(password))
    command = [sys.executable, "-m", "server", "run", str(home), "--port", "0", "--admin-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None  # as asked for
            waiting, _, _ = select.select([process.stdout], [], [], SERVER_PATIENCE_S)
            ready = process.stdout.readline() if waiting else ""
            ports = dict(part.split("=") for part in ready.split() if "=" in part)
            if "units" not in ports:
                raise BenchUnavailableError(
                    "upload: the department server did not start; try alpr-server run"
                )
            unit, url = folder / "unit", f"https://localhost:{ports['units']}"
            _server(home, "enroll", "bench", "--out", str(unit), "--server-url", url)
            config = load_config(unit / "config.toml")
            yield Department(config, unlock(config.unit.keys_dir), SystemClock(folder))
        finally:
            process.terminate()


def _server(home: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"ALPR_SERVER_DIR": str(home)},
    )
    if done.returncode:
        raise BenchUnavailableError(f"alpr-server {arguments[0]}: {done.stderr.strip()[-200:]}")


def _made_up(moment: Moment) -> PlateRead:
    plate = Plate("".join(secrets.choice("ABCDEFGHJKLMNPRSTUVWXYZ0123456789") for _ in range(7)))
    return PlateRead(
        read_id=secrets.token_hex(16),
        camera="bench",
        plate=plate,
        positions=tuple(((character, 0.99),) for character in plate),
        confidence=0.99,
        jurisdiction=None,
        first_seen=moment,
        settled=moment,
        box=Box(0, 0, 100, 50),
        frames=5,
        evidence=b"\xff\xd8" + secrets.token_bytes(RECORD_BYTES - 2),
    )
