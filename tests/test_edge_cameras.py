import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camera import Frame, RecordingUnreadableError
from camera.config import CameraConfig, GpsConfig
from edge.cameras import CameraBank, CameraState, CameraStatus
from edge.capture import Capture
from tests.clocks import FakeClock
from tests.drives import image_folder, number_in, video_file

NO_GPS = GpsConfig("")
_PATIENCE_S = 60.0
"""Long past what a process needs to start on a machine that is busy with other things."""
REPORT = (
    b'{"class":"TPV","mode":3,"time":"2026-06-01T12:00:00.000Z",'
    b'"lat":0.5,"lon":0.25,"speed":9.0,"track":90.0}\n'
)
FAKE_PICAMERA2 = Path(__file__).with_name("data") / "fake_picamera2"


def live(name: str, folder: Path, **changes: Any) -> CameraConfig:
    """A looped recording in a process of its own: what a live camera is to the bank."""
    values = {
        "loop": True,
        "frames_per_s": 25.0,
        "open_timeout_s": _PATIENCE_S,
        "reopen_first_s": 0.1,
        "reopen_max_s": 0.4,
        **changes,
    }
    return CameraConfig(name, str(folder), **values)


class Drive:
    """A bank, and what came out of it."""

    def __init__(self, *cameras: CameraConfig, gps: GpsConfig = NO_GPS) -> None:
        self.clock = FakeClock()
        self.bank = CameraBank(cameras, gps, self.clock)
        self.frames: list[Frame] = []

    def until(self, reached: Callable[[], bool], limit_s: float = _PATIENCE_S) -> None:
        """Take frames until *reached*."""
        end = time.monotonic() + limit_s
        while not reached():
            assert time.monotonic() < end, self.bank.status()
            if frame := self.bank.next_frame(0.05):
                self.frames.append(frame)

    def take(self, count: int, name: str) -> None:
        """Take frames until *count* more of camera *name* came."""
        wanted = len(self.of(name)) + count
        self.until(lambda: len(self.of(name)) >= wanted)

    def of(self, name: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.camera == name]

    def status(self, name: str) -> CameraStatus:
        return next(status for status in self.bank.status() if status.name == name)

    def pid(self, name: str) -> int:
        """The process behind a live camera."""
        capture = next(lane.feed for lane in self.bank._lanes if lane.config.name == name)
        assert isinstance(capture, Capture) and capture._process
        return capture._process.pid


@pytest.fixture
def drive() -> Iterator[Callable[..., Drive]]:
    made: list[Drive] = []

    def make(*cameras: CameraConfig, gps: GpsConfig = NO_GPS) -> Drive:
        made.append(Drive(*cameras, gps=gps))
        return made[-1]

    yield make
    for one in made:
        one.bank.close()


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_fast_recording_gives_every_frame_and_then_finishes(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    video = video_file(tmp_path / "drive.avi", 20)
    run = drive(CameraConfig("front", str(video), pace="fast"))
    run.until(lambda: run.bank.finished)
    assert [number_in(frame.pixels) for frame in run.frames] == list(range(20))
    assert run.status("front") == CameraStatus("front", CameraState.FINISHED, 20, 0, 0, None)
    assert run.bank.next_frame(5.0) is None


def test_frame_carries_the_moment_that_its_picture_was_taken(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    video = video_file(tmp_path / "drive.avi", 3, frames_per_s=2)
    run = drive(CameraConfig("front", str(video), pace="fast"))
    run.until(lambda: run.bank.finished)
    spans = [(frame.captured_at - run.frames[0].captured_at).total_seconds() for frame in run.frames]
    assert spans == pytest.approx([0, 0.5, 1.0], abs=1e-5)
    assert run.frames[0].moment == run.clock.moment_of(run.frames[0].moment.monotonic_ns)


def test_pixels_of_a_frame_cannot_be_written_to(drive: Callable[..., Drive], tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "drive", 2)
    run = drive(CameraConfig("fast", str(folder), pace="fast"), live("live", folder, loop=False))
    run.until(lambda: run.bank.finished)
    for name in ("fast", "live"):
        with pytest.raises(ValueError, match="read-only"):
            run.of(name)[0].pixels[0, 0, 0] = 1


def test_realtime_recording_ends_with_its_last_frame_given(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    folder = image_folder(tmp_path / "drive", 8)
    run = drive(live("front", folder, loop=False))
    run.until(lambda: run.bank.finished)
    assert number_in(run.frames[-1].pixels) == 7
    assert run.status("front").state is CameraState.FINISHED
    assert run.status("front").frames + run.status("front").dropped == 8


def test_slow_reader_gets_the_newest_frame_and_a_count_of_the_dropped(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    run = drive(live("front", image_folder(tmp_path / "drive", 20), frames_per_s=50.0))
    run.until(lambda: len(run.frames) == 1)
    for _ in range(3):
        time.sleep(0.8)
        before_ns = time.monotonic_ns()
        run.take(1, "front")
        assert before_ns - run.frames[-1].moment.monotonic_ns < 0.5e9
    status = run.status("front")
    assert status.dropped >= 30
    assert status.frames + status.dropped == run.frames[-1].sequence + 1
    assert status.reopened == 0


def test_reader_that_was_busy_for_longer_than_the_stall_limit_finds_its_camera_live(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    run = drive(live("front", image_folder(tmp_path / "drive", 20), stall_timeout_s=0.5))
    run.until(lambda: len(run.frames) == 1)
    time.sleep(1.2)
    run.until(lambda: len(run.frames) == 3)
    assert run.status("front").reopened == 0


def test_fast_recordings_take_turns(drive: Callable[..., Drive], tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "drive", 6)
    run = drive(*(CameraConfig(name, str(folder), pace="fast") for name in ("a", "b", "c")))
    run.until(lambda: run.bank.finished)
    assert [frame.camera for frame in run.frames] == ["a", "b", "c"] * 6


def test_fast_recording_does_not_starve_a_live_camera(drive: Callable[..., Drive], tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "drive", 20)
    run = drive(CameraConfig("fast", str(folder), pace="fast", loop=True), live("live", folder))
    run.take(10, "live")
    assert run.status("fast").dropped == 0


def test_two_live_cameras_share_a_slow_reader_evenly(drive: Callable[..., Drive], tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "drive", 20)
    run = drive(live("a", folder, frames_per_s=50.0), live("b", folder, frames_per_s=50.0))
    run.until(lambda: bool(run.of("a") and run.of("b")))
    run.frames.clear()
    for _ in range(20):
        time.sleep(0.06)
        if frame := run.bank.next_frame(1.0):
            run.frames.append(frame)
    counts = Counter(frame.camera for frame in run.frames)
    assert min(counts["a"], counts["b"]) >= 6, counts


def test_hanging_camera_is_killed_and_reopened_while_the_other_goes_on(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    folder = image_folder(tmp_path / "drive", 20)
    run = drive(live("hangs", folder, stall_timeout_s=0.5), live("goes-on", folder))
    run.until(lambda: bool(run.of("hangs") and run.of("goes-on")))
    hung = run.pid("hangs")
    os.kill(hung, signal.SIGSTOP)
    run.until(lambda: run.status("hangs").state is CameraState.LOST)
    assert run.status("hangs").last_error == "no picture for 0.5 s; the camera or its driver hangs"
    run.frames.clear()
    run.until(lambda: len(run.of("hangs")) >= 3)
    assert not alive(hung)
    assert run.status("hangs").state is CameraState.LIVE
    assert run.status("hangs").reopened == 1
    assert run.of("hangs")[0].sequence < 5, "a new opening counts from the beginning"
    meanwhile = next(index for index, frame in enumerate(run.frames) if frame.camera == "hangs")
    assert meanwhile >= 5, "the other gave 25 frames/s while this one was killed and opened"
    assert run.status("goes-on").reopened == 0


def test_camera_whose_process_is_killed_is_reopened(drive: Callable[..., Drive], tmp_path: Path) -> None:
    run = drive(live("front", image_folder(tmp_path / "drive", 20)))
    run.until(lambda: len(run.frames) == 2)
    os.kill(run.pid("front"), signal.SIGKILL)
    run.until(lambda: run.status("front").state is CameraState.LOST)
    assert run.status("front").last_error == "its process was killed (9)"
    run.until(lambda: run.status("front").state is CameraState.LIVE)
    assert run.status("front").reopened == 1


def test_source_that_vanishes_is_lost_and_taken_up_again_when_it_is_back(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    folder = image_folder(tmp_path / "drive", 10)
    run = drive(live("front", folder))
    run.until(lambda: len(run.frames) == 2)
    folder.rename(tmp_path / "away")
    run.until(lambda: run.status("front").state is CameraState.LOST)
    error = run.status("front").last_error
    assert error is not None and "drive" in error and "\n" not in error
    (tmp_path / "away").rename(folder)
    run.until(lambda: run.status("front").state is CameraState.LIVE)
    assert run.status("front").reopened >= 1


def test_camera_without_a_first_picture_is_given_up_after_the_opening_time(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening it waits for ever, as a driver may
    folder = tmp_path / "drive"
    folder.mkdir()
    (folder / "0.png").symlink_to(pipe)
    run = drive(live("front", folder, open_timeout_s=1.0))
    run.until(lambda: run.status("front").state is CameraState.LOST)
    assert run.status("front").last_error == "no picture for 1 s; the camera or its driver hangs"


def test_absent_cameras_are_told_of_in_one_line_without_passwords(drive: Callable[..., Drive]) -> None:
    run = drive(
        CameraConfig("usb", "v4l2:/dev/video-none"), CameraConfig("net", "rtsp://user:hush@127.0.0.1:9/hush")
    )
    run.until(lambda: all(status.last_error for status in run.bank.status()))
    usb, net = run.status("usb"), run.status("net")
    assert usb.last_error == "/dev/video-none is not there; check the camera's cable and cameras.source"
    assert net.last_error is not None and "rtsp://127.0.0.1:9 cannot be opened" in net.last_error
    assert "hush" not in net.last_error and "\n" not in net.last_error
    assert not run.bank.finished
    assert run.frames == []


def test_camera_whose_program_is_missing_is_lost_not_the_unit(
    drive: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.capture.SYSTEM_PYTHON", "/nowhere/python3")
    run = drive(CameraConfig("pi", "picamera2"))
    run.until(lambda: run.status("pi").state is CameraState.LOST)
    assert run.status("pi").last_error == "its process cannot be started: No such file or directory"


def test_process_that_cannot_be_watched_is_not_left_behind(
    drive: Callable[..., Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def refuse(pid: int) -> int:
        begun.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    run = drive(live("front", image_folder(tmp_path / "drive", 2)))
    run.until(lambda: run.status("front").state is CameraState.LOST)
    assert not alive(begun[0])
    assert run.status("front").last_error == "its process cannot be started: Too many open files"


def test_wait_before_reopening_doubles_up_to_the_longest() -> None:
    capture = Capture(CameraConfig("usb", "v4l2:/dev/video-none", reopen_first_s=1.0, reopen_max_s=5.0))
    now_ns, waits = 0, []
    for _ in range(5):
        capture.attend(now_ns)
        assert capture._process
        capture._process.wait(_PATIENCE_S)
        capture.attend(now_ns)
        due_ns = capture.due_ns()
        assert due_ns is not None
        waits.append((due_ns - now_ns) / 1e9)
        capture.attend(due_ns - 1)
        assert capture._process is None, "not before its time"
        now_ns = due_ns
    capture.close()
    assert waits == [1, 2, 4, 5, 5]


def test_broken_recording_is_told_once_and_the_others_go_on(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video\n" * 50)
    folder = image_folder(tmp_path / "drive", 3)
    run = drive(live("bad", text, loop=False), live("good", folder, loop=False))
    with pytest.raises(RecordingUnreadableError, match=r"camera bad: text\.mp4"):
        run.until(lambda: run.bank.finished)
    run.until(lambda: run.bank.finished)
    assert len(run.of("good")) >= 1
    assert run.status("bad").state is CameraState.UNREADABLE
    assert run.status("bad").reopened == 0


@pytest.mark.parametrize("pace", ["fast", "realtime"])
def test_recording_that_is_not_there_is_refused_at_the_start(pace: Any, tmp_path: Path) -> None:
    with pytest.raises(RecordingUnreadableError, match="no such recording"):
        CameraBank([CameraConfig("front", str(tmp_path / "none.mp4"), pace=pace)], NO_GPS, FakeClock())


def test_image_that_breaks_a_fast_recording_is_an_error_not_an_early_end(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    folder = image_folder(tmp_path / "drive", 4)
    (folder / "2.png").write_bytes(b"broken")
    run = drive(CameraConfig("front", str(folder), pace="fast"))
    with pytest.raises(RecordingUnreadableError, match="image number 3"):
        run.until(lambda: run.bank.finished)
    assert len(run.frames) == 2
    assert run.bank.finished


def test_two_cameras_of_one_name_are_refused(tmp_path: Path) -> None:
    config = CameraConfig("front", "v4l2:/dev/video0")
    with pytest.raises(ValueError, match="same name"):
        CameraBank([config, config], NO_GPS, FakeClock())


def test_frame_of_a_recording_has_the_newest_fix_of_the_file_beside_it(
    drive: Callable[..., Drive], tmp_path: Path
) -> None:
    folder = image_folder(tmp_path / "drive", 8)
    (tmp_path / "drive.fixes.csv").write_text(
        "t_s,lat_deg,lon_deg,speed_mps,track_deg\n1,0.125,0.5,10,90\n2.5,0.25,0.5,10,90\n"
    )
    run = drive(
        CameraConfig("front", str(folder), pace="fast", frames_per_s=1), gps=GpsConfig("", max_age_s=2)
    )
    run.until(lambda: run.bank.finished)
    places = [frame.fix and frame.fix.latitude_deg for frame in run.frames]
    assert places == [None, 0.125, 0.125, 0.25, 0.25, None, None, None]
    fix = run.frames[2].fix
    assert fix is not None
    assert (run.frames[2].captured_at - fix.at).total_seconds() == pytest.approx(1.0)


def test_live_frames_carry_gpsd_fixes_and_anchor_the_clock_but_recordings_do_not(
    drive: Callable[..., Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "device"
    device.touch()
    monkeypatch.setenv("PYTHONPATH", str(FAKE_PICAMERA2))
    monkeypatch.setenv("FAKE_PICAMERA2_DEVICE", str(device))
    folder = image_folder(tmp_path / "drive", 20)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        pi = CameraConfig("pi", "picamera2", width_px=64, height_px=48, frames_per_s=30)
        gps = GpsConfig(f"127.0.0.1:{server.getsockname()[1]}")
        run = drive(pi, live("replayed", folder), gps=gps)
        run.until(lambda: bool(run.of("pi") and run.of("replayed")))
        assert run.of("pi")[-1].fix is None
        gpsd, _ = server.accept()
        with gpsd:
            gpsd.sendall(REPORT)
            run.until(lambda: run.of("pi")[-1].fix is not None)
            run.take(1, "replayed")
    fix = run.of("pi")[-1].fix
    assert fix is not None and fix.latitude_deg == 0.5
    assert run.of("replayed")[-1].fix is None
    ((anchored, received_at_ns),) = run.clock.anchors
    assert anchored == fix
    assert time.monotonic_ns() - received_at_ns < 20e9


def test_old_fix_is_not_attached(
    drive: Callable[..., Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "device"
    device.touch()
    monkeypatch.setenv("PYTHONPATH", str(FAKE_PICAMERA2))
    monkeypatch.setenv("FAKE_PICAMERA2_DEVICE", str(device))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        pi = CameraConfig("pi", "picamera2", width_px=64, height_px=48, frames_per_s=30)
        run = drive(pi, gps=GpsConfig(f"127.0.0.1:{server.getsockname()[1]}", max_age_s=0.3))
        run.until(lambda: len(run.frames) > 0)
        gpsd, _ = server.accept()
        with gpsd:
            gpsd.sendall(REPORT)
            run.until(lambda: run.frames[-1].fix is not None)
            run.until(lambda: run.frames[-1].fix is None)


def test_pi_camera_that_is_unplugged_comes_back_when_it_is_plugged_in(
    drive: Callable[..., Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "device"
    device.touch()
    monkeypatch.setenv("PYTHONPATH", str(FAKE_PICAMERA2))
    monkeypatch.setenv("FAKE_PICAMERA2_DEVICE", str(device))
    run = drive(
        CameraConfig("pi", "picamera2", width_px=64, height_px=48, reopen_first_s=0.1, reopen_max_s=0.3)
    )
    run.until(lambda: len(run.frames) >= 2)
    device.unlink()
    run.until(lambda: run.status("pi").reopened >= 1)
    run.until(lambda: "is not there" in (run.status("pi").last_error or ""))
    device.touch()
    run.until(lambda: run.status("pi").state is CameraState.LIVE)


def test_closing_the_bank_ends_every_process_even_a_stopped_one(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "drive", 5)
    run = Drive(live("a", folder), live("b", folder))
    run.until(lambda: bool(run.of("a") and run.of("b")))
    pids = [run.pid("a"), run.pid("b")]
    os.kill(pids[0], signal.SIGSTOP)
    run.bank.close()
    assert not any(alive(pid) for pid in pids)


PARENT = """
import sys
from camera.config import CameraConfig, GpsConfig
from edge.cameras import CameraBank
from tests.clocks import FakeClock
config = CameraConfig("front", sys.argv[1], loop=True, open_timeout_s=60.0)
bank = CameraBank([config], GpsConfig(""), FakeClock())
assert bank.next_frame(60.0)
print(bank._lanes[0].feed._process.pid, flush=True)
while True:
    bank.next_frame(1.0)
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_no_camera_process_outlives_a_killed_unit(tmp_path: Path, stopped: bool) -> None:
    folder = image_folder(tmp_path / "drive", 5)
    root = Path(__file__).parent.parent
    unit = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, cwd=root)
    assert unit.stdout
    child = int(unit.stdout.readline())
    if stopped:
        os.kill(child, signal.SIGSTOP)
    unit.kill()
    unit.communicate()
    end = time.monotonic() + _PATIENCE_S
    while running(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert not running(child)


def running(pid: int) -> bool:
    """True if *pid* runs; an orphan that nobody collected yet does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"
