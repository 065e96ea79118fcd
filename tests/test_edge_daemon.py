"""The whole unit in one process on a painted drive: what starts it, what stops it, what it survives."""

import subprocess
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from queue import Queue

import cv2
import pytest

from camera.config import CameraConfig, GpsConfig
from camera.frame import Frame
from edge.alerts import AlertConfig
from edge.compose import compose, new_id, with_source
from edge.config import HOTLIST_FOLDER, Config, UnitConfig
from edge.daemon import Daemon
from edge.errors import ConfigInvalidError, DaemonFailedError
from edge.keeper import Acknowledged, NextBatch, StoreError
from edge.parts import Parts
from edge.pipeline import Step
from edge.status import Status, read_status
from edge.stores import OUTBOX_FILE
from edge.vault import unlock
from hotlist_cache.hit import Alert, Sighting
from hotlist_cache.local import LocalBook
from recognizer.config import RecognizerConfig
from recognizer.errors import InferenceFailedError
from recognizer.read import Box
from sync.batch import Batch, Receipt, SignedBatch, encode_payload
from sync.config import SyncConfig
from sync.errors import DiskFullError
from sync.outbox import open_outbox
from tests.fault_disks import NoMountError, small_disk
from tests.keys import make_keys
from tests.painted import paint, street, tiny_pack
from tests.pki import authority
from tests.test_edge_pipeline import Listed

PLATE = "TEST123"


def unit(folder: Path, **changes: object) -> Config:
    """A unit's configuration over the tests' tiny models, on five painted pictures of one plate."""
    make_keys(folder / "keys")
    (folder / "models").mkdir()
    pack = tiny_pack(folder / "models")
    drive = folder / "drive"
    drive.mkdir()
    for number in range(5):
        cv2.imwrite(str(drive / f"{number}.png"), paint(street(), Box(6, 30, 62, 54), PLATE))
    return Config(
        unit=UnitConfig("unit-07", folder / "state", folder / "keys", folder / "run"),
        cameras=(CameraConfig("front", str(drive), pace="fast"),),
        gps=GpsConfig(gpsd=""),
        recognizer=RecognizerConfig(model_pack=str(pack.folder)),
        alerts=AlertConfig(sound_device="", speech=False),
    )


def run(parts: Parts) -> tuple[Status, Sequence[Alert]]:
    daemon = Daemon(parts)
    status = daemon.run(until_end=True, on_status=lambda status, alerts: None)
    return status, daemon.alerts


def test_unit_without_cameras_does_not_start(tmp_path: Path) -> None:
    config = unit(tmp_path)
    with pytest.raises(ConfigInvalidError, match="none is configured"):
        compose(Config(unit=config.unit))


def test_drive_is_read_sounded_and_kept(tmp_path: Path) -> None:
    parts = compose(unit(tmp_path))
    parts.pipeline.hotlist = Listed(PLATE)
    status, alerts = run(parts)
    assert (status.frames, status.reads, status.alerts, len(alerts)) == (5, 1, 1, 1)
    assert status.transfer.queued == 1
    assert len(list((tmp_path / "run").rglob("*.wav"))) == 1
    assert not list((tmp_path / "state").rglob("*.wav"))


def test_alert_of_a_misread_is_struck_out_and_taken_back_aloud(tmp_path: Path) -> None:
    config = unit(tmp_path)
    for number in range(25):
        far = number < 5
        box, text = (Box(10, 34, 46, 50), "TEST128") if far else (Box(2, 30, 62, 56), PLATE)
        cv2.imwrite(str(tmp_path / "drive" / f"{number:02}.png"), paint(street(), box, text))
    for number in range(5):
        (tmp_path / "drive" / f"{number}.png").unlink()
    parts = compose(config)
    parts.pipeline.hotlist = Listed("TEST128")
    status, alerts = run(parts)
    assert (status.reads, status.alerts, status.corrected, status.store.stored) == (1, 1, 1, 2)
    assert [alert.corrected for alert in alerts] == [True]
    names = sorted(path.name for path in (tmp_path / "run").rglob("*.wav"))
    assert len(names) == 2 and names[0].endswith("-corrected.wav")


def test_damaged_store_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    config = unit(tmp_path)
    run(compose(config))
    path = tmp_path / "state" / OUTBOX_FILE
    damaged = bytearray(path.read_bytes())
    damaged[100:3000] = b"\xff" * 2900
    path.write_bytes(damaged)
    parts = compose(config)
    said = parts.alarms.get_nowait()
    assert said == "The read store was damaged. Its sound reads are recovered. Tell the technician"
    status, _ = run(parts)
    assert status.store.stored == 1
    aside = [p for p in (tmp_path / "state").iterdir() if p.name.startswith(OUTBOX_FILE) and p != path]
    assert any(p.read_bytes() == bytes(damaged) for p in aside)


def test_dead_thread_ends_the_unit_with_what_was_read_kept(tmp_path: Path) -> None:
    parts = compose(unit(tmp_path))
    step, count = parts.pipeline.step, 0

    def failing(frame: object) -> object:
        nonlocal count
        count += 1
        if count == 5:
            raise InferenceFailedError("a model did not run")
        return step(frame)  # type: ignore[arg-type]

    parts.pipeline.step = failing  # type: ignore[method-assign,assignment]
    with pytest.raises(DaemonFailedError, match="models thread") as caught:
        run(parts)
    assert caught.value.exit_code == 70
    with open_outbox(tmp_path / "state" / OUTBOX_FILE) as outbox:
        assert outbox.counts().queued == 1


def acknowledge(parts: Parts) -> None:
    """Let the department have what waits: only so is there ever room again."""
    reply: Queue[Batch | StoreError | None] = Queue()
    parts.keeper.handle(NextBatch(reply))
    batch = reply.get_nowait()
    assert isinstance(batch, Batch)
    digest = SignedBatch(batch.batch_id, encode_payload(batch), b"").digest
    receipt = Receipt(batch.batch_id, batch.unit_id, digest, len(batch.reads), batch.made_at)
    done: Queue[StoreError | None] = Queue()
    parts.keeper.handle(Acknowledged(receipt, b"receipt", done))
    assert done.get_nowait() is None
    assert parts.keeper.counts.queued == 0


@pytest.mark.parametrize("full", ["while it runs", "before it starts"])
def test_full_disk_stops_recording_and_not_the_unit(tmp_path: Path, full: str) -> None:
    """Another program took all the room, to the last byte."""
    try:
        with small_disk(tmp_path / "state", 96) as state:
            config = unit(tmp_path)
            run(compose(config))

            def fill() -> None:
                with (state / "of-others").open("wb", buffering=0) as file, suppress(OSError):
                    while True:
                        file.write(bytes(65536))

            if full == "before it starts":
                fill()
            parts = compose(config)
            if full == "before it starts":
                acknowledge(parts)
            daemon, steps = Daemon(parts), parts.pipeline.step

            def filled(frame: Frame) -> Step:
                if not (state / "of-others").exists():
                    fill()
                return steps(frame)

            parts.pipeline.step = filled  # type: ignore[method-assign]
            status = daemon.run(until_end=True, on_status=lambda status, alerts: None)
            assert (status.frames, status.reads, status.store.recording) == (5, 1, False)
            assert any("NOT RECORDING" in fault for fault in status.faults)
            (state / "of-others").unlink()
            status, _ = run(compose(config))
            assert (status.store.stored, status.store.recording) == (1, True)
    except NoMountError as error:
        pytest.skip(f"nothing may be mounted here: {error}")


def test_card_that_takes_no_writes_leaves_the_alerts(tmp_path: Path) -> None:
    """A worn card ends like this: the kernel makes its file system read-only."""
    config = unit(tmp_path)
    run(compose(config))
    state = str(tmp_path / "state")
    if subprocess.run(["mount", "--bind", state, state], capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", state], check=True)
        parts = compose(config)
        parts.pipeline.hotlist = Listed(PLATE)
        said = parts.alarms.get_nowait()
        assert said == "Recording stopped, the disk fails. Alerts go on. Tell the technician"
        status, alerts = run(parts)
    finally:
        subprocess.run(["umount", "-l", state], check=True)
    assert [alert.hit.read.plate for alert in alerts] == [PLATE]
    assert (status.reads, status.store.stored, status.store.recording) == (1, 0, False)
    assert any("NOT RECORDING" in fault and "Read-only" in fault for fault in status.faults)
    status, _ = run(compose(config))
    assert (status.store.stored, status.store.recording) == (1, True)


def test_floor_that_cannot_be_written_is_told_and_ends_nothing(tmp_path: Path) -> None:
    parts = compose(unit(tmp_path))

    def fails() -> bool:
        raise OSError(28, "No space left on device")

    parts.clock.keep_floor = fails  # type: ignore[method-assign]
    status, _ = run(parts)
    assert status.store.stored == 1
    assert [each for each in status.faults if "its floor cannot be written (No space left" in each]


def test_running_unit_tells_its_status_and_stops_when_asked(tmp_path: Path) -> None:
    config = unit(tmp_path)
    parts = compose(with_source(config, config.cameras[0].source))
    daemon, seen = Daemon(parts), threading.Event()
    told: list[Status] = []

    def on_status(status: Status, alerts: Sequence[Alert]) -> None:
        now = parts.clock.now()
        told.append(read_status(parts.run_dir, now.monotonic_ns, now.boot_id))
        if len(told) == 2:
            seen.set()
            daemon.stop()

    daemon.run(until_end=False, on_status=on_status)
    assert seen.is_set()
    assert told[-1].unit == "unit-07"


def test_another_network_is_tried_over_new_connections(tmp_path: Path) -> None:
    config = replace(unit(tmp_path), sync=SyncConfig(server_url="https://localhost:9"))
    files = authority(tmp_path / "pki").issue("unit-07")
    keys = replace(
        unlock(config.unit.keys_dir),
        tls_authority=files.ca,
        tls_certificate=files.certificate,
        tls_key=files.key,
    )
    parts = compose(config, keys)
    daemon = Daemon(parts)
    renewed: list[object] = []
    connections = [parts.transport, parts.hit_transport, parts.publisher]
    for each in connections:
        assert each is not None
        each.renew = lambda each=each: renewed.append(each)  # type: ignore[method-assign,misc]
    turns = 0

    def on_status(status: Status, alerts: Sequence[Alert]) -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            assert renewed == []
            parts.roads._ask = lambda: "wlan7"
        elif turns == 3:
            daemon.stop()

    daemon.run(until_end=False, on_status=on_status)
    assert renewed == connections  # once, though it was looked at again
    assert parts.roads.network == "Wi-Fi (wlan7)"


def test_second_start_goes_on_with_the_reads_of_the_first(tmp_path: Path) -> None:
    config = unit(tmp_path)
    run(compose(config))
    status, _ = run(compose(config))
    assert status.transfer.queued == 2


def failing(plates: Iterable[str], now: datetime) -> list[Sighting]:
    raise DiskFullError("the disk fails")


def test_restarted_unit_finds_its_reads_and_tells_no_entry_anew(tmp_path: Path) -> None:
    config = unit(tmp_path)
    run(compose(config))
    keys = unlock(config.unit.keys_dir)
    book = LocalBook(tmp_path / "state" / HOTLIST_FOLDER, storage_key=keys.storage, new_id=new_id)
    parts = compose(config)
    # The recording was read faster than it was made: its last pictures lie a moment ahead.
    threading.Event().wait(1.0)
    now = parts.clock.now().utc
    book.load()
    lasting = timedelta(hours=1)
    book.add(PLATE, state="", officer="7", purpose="made up", case_number="26-1", now=now, lasting=lasting)
    parts.lists.look()
    assert parts.past.get_nowait().plate == PLATE
    (read,) = parts.window.search(PLATE, since=now - timedelta(hours=1), until=now)
    assert read.jpeg
    parts.sightings.of = failing  # type: ignore[method-assign]  # the disk fails
    book.add(
        "8XYZ987", state="", officer="7", purpose="made up", case_number="26-1", now=now, lasting=lasting
    )
    parts.lists.look()
    assert parts.past.empty()
    parts.window.close()
    parts.keeper.close()
    again = compose(config)
    again.lists.look()
    assert again.past.empty()
    again.window.close()
    again.keeper.close()
