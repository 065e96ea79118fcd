"""What is wrong with this machine: one finding a line, each with what to do."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from camera.config import CameraConfig
from camera.errors import CameraError
from edge.cameras import CameraBank
from edge.clock import LinuxKernel, SystemClock
from edge.config import Config
from edge.department_packs import held_record
from edge.errors import EdgeError, VaultLockedError
from edge.pack_record import PackRecord, pack_lines
from edge.profiles import Profiles
from edge.status import read_status, run_dir
from edge.stores import OUTBOX_FILE
from edge.vault import Keys, unlock
from hotlist_cache.sealed_file import SealedFileDamagedError
from recognizer.errors import ModelInvalidError
from recognizer.manifest import load_pack
from sync.errors import OutboxCorruptError, SyncError
from sync.outbox import open_outbox
from sync.outbox_salvage import damaged_files, salvaged_files

CAMERA_PATIENCE_S = 8.0
CONNECT_PATIENCE_S = 5.0


class Verdict(StrEnum):
    """How a finding is shown, and whether the command fails."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    subject: str
    verdict: Verdict
    text: str
    """What was found, and for a warning or failure what to do."""


def examine(config: Config) -> Iterator[Finding]:
    """Look at everything the daemon needs, one finding after the other; stop the daemon first for cameras."""
    yield _keys_finding(config)
    yield _disk(config)
    yield from _outbox(config)
    yield _profiles(config)
    yield from _models(config)
    if not config.cameras:
        text = "none is configured: the daemon does not start; add a [[cameras]] section"
        yield Finding("cameras", Verdict.FAILURE, text)
    for camera in config.cameras:
        yield _camera(camera, config)
    yield _gps(config)
    yield _clock(config)
    yield from _sound(config)
    yield _department(config)
    yield from _incident(config)


def _keys_finding(config: Config) -> Finding:
    try:
        unlock(config.unit.keys_dir)
    except VaultLockedError as error:
        return Finding("keys", Verdict.FAILURE, str(error))
    return Finding("keys", Verdict.OK, "complete, and private ones are private")


def _disk(config: Config) -> Finding:
    folder = config.unit.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return Finding("disk", Verdict.FAILURE, f"{folder}: not writable ({error.strerror}); check its owner")
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free at {folder}"
    if free < config.retention.stop_reserve_bytes:
        return Finding(
            "disk", Verdict.FAILURE, f"{text}: too little to record; transfer the reads or free the disk"
        )
    if free < config.retention.image_reserve_bytes:
        return Finding("disk", Verdict.WARNING, f"{text}: reads are kept without pictures; free the disk")
    return Finding("disk", Verdict.OK, text)


def _outbox(config: Config) -> Iterator[Finding]:
    path = config.unit.state_dir / OUTBOX_FILE
    if not path.exists():
        yield Finding("store", Verdict.OK, "none yet; the daemon makes it")
        return
    try:
        with open_outbox(path) as outbox:
            counts = outbox.counts()
    except OutboxCorruptError as error:
        yield Finding("store", Verdict.FAILURE, f"{error}; the daemon does so at its next start")
        return
    except SyncError as error:
        yield Finding("store", Verdict.FAILURE, str(error))
        return
    yield Finding("store", Verdict.OK, f"{counts.queued} reads wait for transfer")
    if counts.damaged:
        text = f"{counts.damaged} reads went bad on the disk and cannot be opened; replace the disk"
        yield Finding("store", Verdict.FAILURE, text)
    if waiting := damaged_files(path):
        text = f"{waiting[0].name}: sound reads are yet to be taken back; start the daemon, and make room"
        yield Finding("store", Verdict.WARNING, text)
    for file in salvaged_files(path):
        text = f"{file.name}: a damaged store, gone through; delete it once its reads are transferred"
        yield Finding("store", Verdict.WARNING, text)


def _profiles(config: Config) -> Finding:
    try:
        profiles = Profiles(config, unlock(config.unit.keys_dir).storage)
    except VaultLockedError as error:
        return Finding("settings", Verdict.FAILURE, str(error))
    if profiles.fault:
        return Finding("settings", Verdict.FAILURE, f"{profiles.fault}; connect the unit to the department")
    held = profiles.versions
    return Finding(
        "settings", Verdict.OK, f"of the department: {held}" if held else "the unit's own file alone"
    )


def _models(config: Config) -> Iterator[Finding]:
    try:
        pack = load_pack(config.recognizer.model_pack)
    except ModelInvalidError as error:
        yield Finding("models", Verdict.FAILURE, str(error))
        return
    yield Finding("models", Verdict.OK, f"pack {pack.name}: digests as in its manifest")
    try:
        record = held_record(config.unit.state_dir, unlock(config.unit.keys_dir).storage)
    except VaultLockedError:
        return  # said above
    except (SealedFileDamagedError, ValueError, OSError) as error:
        text = f"the record of the department's packs cannot be used ({error}); connect the unit to it"
        yield Finding("models", Verdict.FAILURE, text)
        return
    if record == PackRecord():
        return
    lines = pack_lines(record, pack.name)
    then = f"; next: {lines.next}" if lines.next else ""
    yield Finding("models", Verdict.OK, f"in use: {lines.running}{then}")
    if lines.fault:
        yield Finding("models", Verdict.WARNING, f"{lines.fault}; tell the department to publish another")


def _camera(camera: CameraConfig, config: Config) -> Finding:
    subject = f"camera {camera.name}"
    clock = SystemClock(config.unit.state_dir)
    try:
        bank = CameraBank((camera,), config.gps, clock)
    except CameraError as error:
        text = f"{error}; a source is v4l2:, rtsp://, picamera2, a file or a folder"
        return Finding(subject, Verdict.FAILURE, text)
    try:
        frame = bank.next_frame(CAMERA_PATIENCE_S)
        if frame is None:
            why = bank.status()[0].last_error or f"no picture in {CAMERA_PATIENCE_S:.0f} s"
            return Finding(subject, Verdict.FAILURE, f"{why}; check plug, power and source")
    except CameraError as error:
        return Finding(subject, Verdict.FAILURE, str(error))
    finally:
        bank.close()
    height, width = frame.pixels.shape[:2]
    if frame.pixels.std() < 2:
        return Finding(
            subject, Verdict.WARNING, f"{width} x {height}, but the picture is blank: lens cap, aim?"
        )
    return Finding(subject, Verdict.OK, f"{width} x {height}")


def _gps(config: Config) -> Finding:
    if not config.gps.gpsd:
        return Finding("gps", Verdict.WARNING, "not configured: reads carry no place (gps.gpsd)")
    host, _, port = config.gps.gpsd.rpartition(":")
    if why := _unreachable(host, int(port)):
        return Finding(
            "gps", Verdict.WARNING, f"gpsd at {config.gps.gpsd}: {why}; start gpsd, check the receiver"
        )
    return Finding("gps", Verdict.OK, f"gpsd answers at {config.gps.gpsd}")


def _clock(config: Config) -> Finding:
    moment = SystemClock(config.unit.state_dir).now()
    if moment.quality == "unsynchronised":
        return Finding("clock", Verdict.WARNING, "not synchronised: start chrony, or wait for a GPS fix")
    return Finding("clock", Verdict.OK, moment.quality.value)


def _sound(config: Config) -> Iterator[Finding]:
    for command, package in (("aplay", "alsa-utils"), ("espeak-ng", "espeak-ng")):
        if shutil.which(command) is None:
            yield Finding("sound", Verdict.WARNING, f"{command} is missing: apt install {package}")
    if shutil.which("aplay") is None:
        return
    listing = subprocess.run(["aplay", "-l"], capture_output=True, text=True, timeout=10, check=False)
    if "card" not in listing.stdout:
        yield Finding("sound", Verdict.WARNING, "no sound device: alerts go to WAV files; plug in a speaker")
    else:
        yield Finding("sound", Verdict.OK, f"device {config.alerts.sound_device or 'none configured'}")


def _department(config: Config) -> Finding:
    if not config.sync.server_url:
        return Finding(
            "department", Verdict.WARNING, "no server configured: reads wait here (sync.server_url)"
        )
    address = urlsplit(config.sync.server_url)
    host, port = address.hostname or "", address.port or 443
    if why := _unreachable(host, port):
        return Finding("department", Verdict.WARNING, f"{host}:{port}: {why}; reads are kept and sent later")
    try:
        keys = unlock(config.unit.keys_dir)
    except VaultLockedError as error:
        return Finding("department", Verdict.FAILURE, str(error))
    if why := _tls_refused(host, port, keys):
        return Finding("department", Verdict.FAILURE, f"{host}:{port}: {why}; enrol the unit again")
    return Finding(
        "department", Verdict.OK, f"{host}:{port} is the department's, and knows this unit's certificate"
    )


def _incident(config: Config) -> Iterator[Finding]:
    """Only a running daemon has one: it ends with the daemon."""
    kernel = LinuxKernel()
    try:
        status = read_status(run_dir(config.unit), kernel.monotonic_ns(), kernel.boot_id())
    except EdgeError:
        return
    if status.incident:
        left = f"{status.incident_left_min:.0f} min left; stopping the daemon ends it"
        yield Finding("incident", Verdict.WARNING, f"{status.incident}: reads carry it, {left}")


def _unreachable(host: str, port: int) -> str:
    return _failed(lambda: socket.create_connection((host, port), CONNECT_PATIENCE_S).close())


def _tls_refused(host: str, port: int, keys: Keys) -> str:
    def handshake() -> None:
        context = ssl.create_default_context(cafile=str(keys.tls_authority))
        context.load_cert_chain(keys.tls_certificate, keys.tls_key)
        with (
            socket.create_connection((host, port), CONNECT_PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            # With TLS 1.3 a refused client certificate shows at the first read, not in the handshake.
            path = "/v1/updates/metadata/timestamp.json"
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            secured.sendall(request.encode())
            secured.recv(1)

    return _failed(handshake)


def _failed(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except OSError as error:  # ssl.SSLError is one
        return error.strerror or str(error) or type(error).__name__
    return ""
