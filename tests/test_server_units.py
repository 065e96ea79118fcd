"""The unit port of a real server in a process of its own, over real TLS."""

import hashlib
import signal
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from hotlist_cache.entry import Entry, Priority
from recognizer.plate import Jurisdiction
from server.department import Department
from server.enrolment import revoke
from sync.batch import MAX_BATCH_BYTES, SignedBatch, decode_receipt
from sync.config import SyncConfig
from sync.errors import NotTrustedError, RefusedError, UnreachableError
from sync.https import HttpsTransport
from sync.tls import TlsFiles, client_context
from sync.trust import TrustedUpdates
from tests.departments import NOW, Running, Unit, a_department, a_stranger, a_unit, audited, running
from tests.fakes import a_read


@dataclass(frozen=True, slots=True)
class Scene:
    """A department whose server runs, and a unit of it."""

    department: Department
    unit: Unit
    server: Running

    def send(self, signed: SignedBatch, unit: Unit | None = None) -> bytes:
        """Send *signed* as a unit does, with the certificate of *unit*."""
        with self.transport(TlsFiles.in_folder((unit or self.unit).keys)) as transport:
            return transport.send(signed)

    def transport(self, files: TlsFiles) -> closing[HttpsTransport]:
        """Give a unit's way to the server."""
        return closing(HttpsTransport(SyncConfig(server_url=self.server.units_url), files))

    def connect(self, files: TlsFiles) -> None:
        """Connect with the certificate in *files* and ask for something."""
        with (
            self.transport(files) as transport,
            transport.updates.open("metadata/timestamp.json", 0) as opened,
        ):
            assert b"".join(opened.chunks)

    def refusal(self, signed: SignedBatch, unit: Unit | None = None) -> int | None:
        """Return the status with which the server refuses *signed*."""
        with pytest.raises(RefusedError) as caught:
            self.send(signed, unit)
        return caught.value.status


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("units")
    department = a_department(folder / "department")
    unit = a_unit(department, folder / "unit")
    with running(department, folder / "log") as server:
        yield Scene(department, unit, server)


def test_a_batch_over_mutual_tls_gets_a_receipt_that_the_unit_accepts(scene: Scene) -> None:
    signed = scene.unit.batch([a_read(), a_read()])
    receipt = decode_receipt(scene.send(signed), scene.unit.receipt_key, signed, scene.unit.unit_id)
    assert receipt.reads == 2


def test_a_replayed_batch_gets_the_same_receipt(scene: Scene) -> None:
    signed = scene.unit.batch([a_read()])
    assert scene.send(signed) == scene.send(signed)


def test_nobody_connects_without_a_certificate(scene: Scene) -> None:
    context = ssl.create_default_context(cafile=scene.unit.keys / "ca.pem")
    with pytest.raises(httpx.HTTPError):
        httpx.get(
            f"{scene.server.units_url}/v1/updates/metadata/timestamp.json", verify=context, trust_env=False
        )


def test_a_certificate_of_another_authority_opens_nothing(scene: Scene, tmp_path: Path) -> None:
    stranger = a_unit(a_stranger(tmp_path / "stranger"), tmp_path / "unit")
    mixed = TlsFiles(
        scene.unit.keys / "ca.pem", stranger.keys / "unit.tls.cert.pem", stranger.keys / "unit.tls.key.pem"
    )
    # asyncio closes the connection without sending TLS's alert: all the client learns is that it ended.
    with pytest.raises(UnreachableError):
        scene.connect(mixed)
    scene.connect(TlsFiles.in_folder(scene.unit.keys))


def test_the_servers_own_certificate_is_not_a_units(scene: Scene) -> None:
    keys = scene.department.folder.keys
    posing = TlsFiles(keys / "ca.pem", keys / "server.tls.cert.pem", keys / "server.tls.key.pem")
    # asyncio closes the connection without sending TLS's alert: all the client learns is that it ended.
    with pytest.raises(UnreachableError):
        scene.connect(posing)
    scene.connect(TlsFiles.in_folder(scene.unit.keys))


def test_a_unit_does_not_take_another_departments_server_for_its_own(scene: Scene, tmp_path: Path) -> None:
    stranger = a_unit(a_stranger(tmp_path / "stranger"), tmp_path / "unit")
    with pytest.raises(NotTrustedError):
        scene.send(scene.unit.batch([a_read()]), stranger)


def test_a_revoked_unit_is_refused(scene: Scene, tmp_path: Path) -> None:
    unit = a_unit(scene.department, tmp_path / "unit", "unit-revoked")
    scene.send(unit.batch([a_read()]), unit)
    revoke(scene.department.engine, unit.unit_id, actor="console:test", now=NOW)
    assert scene.refusal(unit.batch([a_read()]), unit) == 403


def test_a_batch_of_another_unit_is_refused(scene: Scene, tmp_path: Path) -> None:
    other = a_unit(scene.department, tmp_path / "unit", "unit-other")
    assert scene.refusal(other.batch([a_read()])) == 422  # to this one it is a batch with a wrong signature


def test_an_altered_batch_under_a_known_id_is_a_conflict(scene: Scene) -> None:
    signed = scene.unit.batch([a_read()])
    scene.send(signed)
    assert scene.refusal(replace(signed, payload=signed.payload + b"\x00")) == 409


def test_an_altered_batch_is_quarantined_and_audited(scene: Scene) -> None:
    signed = scene.unit.batch([a_read()])
    altered = replace(signed, payload=signed.payload[:-1] + b"\x00")
    assert scene.refusal(altered) == 422
    kept = scene.department.folder.quarantine / f"unit-07-{altered.digest.hex()}.batch"
    assert kept.read_bytes() == altered.payload
    assert ("unit:unit-07", "batch.quarantine", "refused") in audited(scene.department)


@pytest.mark.parametrize("batch_id", ["", "../../etc/passwd", "x" * 65, "a b"])
def test_a_batch_id_that_is_not_one_is_refused(scene: Scene, batch_id: str) -> None:
    assert scene.refusal(replace(scene.unit.batch([a_read()]), batch_id=batch_id)) == 422


def test_a_batch_that_says_it_is_too_large_is_refused_unread(scene: Scene) -> None:
    context = client_context(TlsFiles.in_folder(scene.unit.keys))
    with (
        socket.create_connection(("localhost", scene.server.units_port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(
            b"POST /v1/batches HTTP/1.1\r\nHost: localhost\r\nAlpr-Batch: b\r\nAlpr-Signature: AA==\r\n"
            + f"Content-Length: {MAX_BATCH_BYTES + 1}\r\n\r\n".encode()
        )
        # Not one byte of the body was sent, and the answer is there.
        assert tls.recv(1024).startswith(b"HTTP/1.1 413 ")


def test_a_batch_that_hides_its_size_is_refused_once_it_is_too_large(scene: Scene) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(MAX_BATCH_BYTES // 2**20 + 2):
            yield bytes(2**20)

    headers = {"Alpr-Batch": "endless", "Alpr-Signature": "AA=="}
    context = client_context(TlsFiles.in_folder(scene.unit.keys))
    with httpx.Client(verify=context, trust_env=False) as client, suppress(httpx.WriteError):
        response = client.post(f"{scene.server.units_url}/v1/batches", content=endless(), headers=headers)
        assert response.status_code == 413
    scene.send(scene.unit.batch([a_read()]))


def test_what_is_published_is_fetched_verified_and_from_the_middle_on(scene: Scene, tmp_path: Path) -> None:
    entry = Entry("entry-1", "TEST123", Jurisdiction("US-CA"), "Stolen vehicle", "stolen", Priority.HIGH)
    hotlists, now = scene.department.hotlists, datetime.now(UTC)
    hotlists.replace_feed("test", [entry], actor="console:test", now=now)
    published = hotlists.publish(
        scene.department.keys, expires_at=now + timedelta(days=1), actor="console:test", now=now
    )
    publications = scene.department.publications
    assert publications.bring_list(hotlists, scene.department.keys, now)
    assert not publications.bring_list(hotlists, scene.department.keys, now)
    (tmp_path / "updates").mkdir()
    updates = TrustedUpdates(tmp_path / "updates", (scene.unit.keys / "updates.root.json").read_bytes())
    with scene.transport(TlsFiles.in_folder(scene.unit.keys)) as transport:
        target = updates.refresh(transport.updates, now).targets["hotlist/list"]
        updates.fetch_target(transport.updates, target, tmp_path / "list", now)
        with transport.updates.open(target.source_name, 100) as opened:
            assert opened.start == 100
            rest = b"".join(opened.chunks)
    updates.close()
    whole = (tmp_path / "list").read_bytes()
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (published.bytes, published.sha256)
    assert rest == whole[100:]


OUTSIDE = (
    "../server.toml",
    "metadata/../../keys/ca.key.pem",
    "%2e%2e/keys/ca.key.pem",
    "metadata/%2e%2e/%2e%2e/keys/ca.key.pem",
    "/etc/passwd",
    "persons/person-1.pem",
    "keys",
    "",
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_outside_the_publication_is_given(scene: Scene, name: str) -> None:
    context = client_context(TlsFiles.in_folder(scene.unit.keys))
    url = f"{scene.server.units_url}/v1/updates/{name}"
    assert httpx.get(url, verify=context, trust_env=False).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/units", "/v1/hotlist"])
def test_the_unit_port_offers_nothing_else(scene: Scene, path: str) -> None:
    context = client_context(TlsFiles.in_folder(scene.unit.keys))
    response = httpx.get(scene.server.units_url + path, verify=context, trust_env=False)
    assert response.status_code == 404


def test_a_receipt_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    unit = a_unit(department, tmp_path / "unit")
    for number in range(3):
        with running(department, tmp_path / "log") as server:
            scene = Scene(department, unit, server)
            signed = unit.batch([a_read() for _ in range(50)])
            receipt = scene.send(signed)
            server.process.kill()
            server.process.wait(10)
        decode_receipt(receipt, unit.receipt_key, signed, unit.unit_id)
        with sqlite3.connect(department.folder.database) as database:
            assert database.execute("SELECT count(*) FROM reads").fetchone() == ((number + 1) * 50,)
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()


def test_the_server_ends_cleanly_and_never_loads_a_camera_stack(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    unit = a_unit(department, tmp_path / "unit")
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('loaded', *{'numpy', 'cv2', 'onnxruntime'} & set(sys.modules)))"
    )
    with running(department, tmp_path / "log", code=code) as server:
        Scene(department, unit, server).send(unit.batch([a_read()]))
        httpx.get(f"{server.people_url}/login", verify=client_context(TlsFiles.in_folder(unit.keys)))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert server.output.read() == "loaded\n"


def test_systemd_is_told_when_the_server_is_ready_and_when_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    department = a_department(tmp_path / "department")
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        with running(department, tmp_path / "log"):
            told = [systemd.recv(100) for _ in range(3)]
        while told[-1] != b"STOPPING=1":
            told.append(systemd.recv(100))
    assert told[:3] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]


def test_the_servers_log_says_no_plate(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    unit = a_unit(department, tmp_path / "unit")
    with running(department, tmp_path / "log") as server:
        scene = Scene(department, unit, server)
        scene.send(unit.batch([a_read(plate="SECRET7")]))
        scene.refusal(unit.batch([replace(a_read(plate="SECRET7"), confidence=7.0)]))
    log = (tmp_path / "log").read_text()
    assert "batch stored" in log and "refused" in log
    assert "SECRET7" not in log
