"""A real department on disk, units that were really enrolled, and a real server in a process of its own."""

import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import IO

from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from sqlalchemy import select

from hotlist_cache.hit import HotlistHit
from recognizer.read import PlateRead
from server import passwords
from server.database import reading
from server.department import Administrator, Department, found, open_department
from server.enrolment import UnitAddresses, enroll
from server.intake import Peer
from server.keys import serial_of
from server.tables import audit
from sync.batch import Batch, SealedRead, SignedBatch, encode_batch
from sync.record import encode_record
from sync.seal import EpochSealer

# Hashing is meant to be costly, and tests log in some hundred times. `test_server_access` asks a fresh
# interpreter for the cost that people's passwords get.
passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PASSWORD = "an invented password"
ADDRESSES = UnitAddresses("https://localhost:8443", "", 8883)


@dataclass(frozen=True, slots=True)
class Unit:
    """An enrolled unit: what its keys folder lets it do."""

    unit_id: str
    folder: Path

    @property
    def keys(self) -> Path:
        """Where its keys lie."""
        return self.folder / "keys"

    @property
    def peer(self) -> Peer:
        """How the server sees it once its certificate is verified."""
        certificate = load_pem_x509_certificate((self.keys / "unit.tls.cert.pem").read_bytes())
        return Peer(self.unit_id, serial_of(certificate), "192.0.2.7")

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """With which it signs batches."""
        key = load_pem_private_key((self.keys / "unit.ed25519.key.pem").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        return key

    @property
    def receipt_key(self) -> Ed25519PublicKey:
        """With which it checks receipts."""
        key = load_pem_public_key((self.keys / "receipt.ed25519.pub.pem").read_bytes())
        assert isinstance(key, Ed25519PublicKey)
        return key

    def sealer(self) -> EpochSealer:
        """Return what seals a new epoch to its department."""
        key = load_pem_public_key((self.keys / "department.x25519.pub.pem").read_bytes())
        assert isinstance(key, X25519PublicKey)
        return EpochSealer(self.unit_id, key)

    def batch(
        self,
        reads: Sequence[PlateRead],
        hits: Sequence[HotlistHit] = (),
        batch_id: str = "",
        incident: str = "",
    ) -> SignedBatch:
        """Return *reads* sealed and signed; each with those of *hits* that are its own."""
        sealer = self.sealer()
        sealed = [
            sealer.seal(
                read.read_id,
                encode_record(
                    self.unit_id, read, [hit for hit in hits if hit.read is read], incident=incident
                ),
            )
            for read in reads
        ]
        return self.signed(sealer, sealed, batch_id)

    def signed(
        self, sealer: EpochSealer, sealed: Sequence[SealedRead], batch_id: str = "", unit_id: str = ""
    ) -> SignedBatch:
        """Return a batch of *sealed* as this unit signs it, in its own name or another's."""
        batch = Batch(
            batch_id or secrets.token_hex(8), unit_id or self.unit_id, NOW, (sealer.epoch,), tuple(sealed)
        )
        return encode_batch(batch, self.signing_key)


def a_department(root: Path) -> Department:
    """Return a new department with one administrator, "chief", whose training holds.

    All of one test run have the same keys: founding takes a second, copying does not.
    """
    shutil.copytree(Path(_mould().name) / "department", root)
    return open_department(root)


def a_stranger(root: Path, database_url: str = "") -> Department:
    """Return a department with keys of its own."""
    found(
        root,
        Administrator("chief", PASSWORD, date(2099, 1, 1)),
        name="Example Police",
        hosts=["localhost", "127.0.0.1"],
        server_url=ADDRESSES.server_url,
        now=datetime.now(UTC),
        database_url=database_url,
        second_factor="optional",  # most tests are about something else than logging in
    )
    return open_department(root)


@cache
def _mould() -> "tempfile.TemporaryDirectory[str]":
    folder = tempfile.TemporaryDirectory()
    a_stranger(Path(folder.name) / "department").engine.dispose()
    return folder


def a_unit(department: Department, out: Path, unit_id: str = "unit-07") -> Unit:
    """Return a unit that was just enrolled, its files in *out*."""
    enroll(
        department.engine,
        department.keys,
        unit_id,
        out,
        ADDRESSES,
        updates_root=department.publications.first_root,
        actor="console:test",
        now=datetime.now(UTC),
    )
    return Unit(unit_id, out)


def audited(department: Department) -> list[tuple[str, str, str]]:
    """Return actor, action and outcome of each entry of the access log, oldest first."""
    with reading(department.engine) as connection:
        rows = connection.execute(
            select(audit.c.actor, audit.c.action, audit.c.outcome).order_by(audit.c.sequence)
        )
        return [(row.actor, row.action, row.outcome) for row in rows]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that took its ports."""

    process: subprocess.Popen[str]
    units_port: int
    people_port: int
    output: IO[str]
    """What it writes to standard output after its first line."""

    @property
    def units_url(self) -> str:
        """Where units connect."""
        return f"https://localhost:{self.units_port}"

    @property
    def people_url(self) -> str:
        """Where browsers connect."""
        return f"https://localhost:{self.people_port}"


@contextmanager
def running(department: Department, log: Path, *, code: str = "") -> Iterator[Running]:
    """Give the server of *department* in a fresh interpreter, in which *code* runs first."""
    program = f"{code}\nfrom server.cli import main\nmain()"
    command = [sys.executable, "-c", program, "run", str(department.folder.root)]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*command, "--port", "0", "--admin-port", "0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            ready = process.stdout.readline().split()
            assert ready[:1] == ["ready"], f"the server did not start: {log.read_text()}"
            ports = dict(part.split("=") for part in ready[1:])
            yield Running(process, int(ports["units"]), int(ports["people"]), process.stdout)
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
