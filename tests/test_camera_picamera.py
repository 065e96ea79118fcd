import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import camera
from camera.ring import RingPicture, RingReader

SCRIPT = Path(camera.__file__).with_name("picamera.py")
FAKE = Path(__file__).with_name("data") / "fake_picamera2"
PYTHON = "/usr/bin/python3"

pytestmark = pytest.mark.skipif(not Path(PYTHON).exists(), reason="there is no /usr/bin/python3")


class Started:
    """The script as the unit starts it, and the ring it writes into."""

    def __init__(
        self, environment: dict[str, str], source: str = "picamera2", parent: int | None = None
    ) -> None:
        self.ring = RingReader()
        ring_fd, wake_fd = self.ring.writer_fds
        arguments = [f"--ring={ring_fd}", f"--wake={wake_fd}", f"--parent={parent or os.getpid()}"]
        self.process = subprocess.Popen(
            [PYTHON, "-P", str(SCRIPT), *arguments],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(ring_fd, wake_fd),
            env={"PATH": os.environ["PATH"], **environment},
        )
        self.ring.handed_over()
        assert self.process.stdin
        config = {"source": source, "width_px": 32, "height_px": 16, "frames_per_s": 50.0}
        self.process.stdin.write(json.dumps(config).encode())
        self.process.stdin.close()
        self.process.stdin = None

    def picture(self) -> RingPicture:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            select.select([self.ring.wake_fd], [], [], 0.2)
            if self.ring.drain() and (taken := self.ring.take()):
                return taken
        raise AssertionError("no picture came")

    def last_words(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.decode()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.ring.close()


@pytest.fixture
def fake(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "device").touch()
    return {"PYTHONPATH": str(FAKE), "FAKE_PICAMERA2_DEVICE": str(tmp_path / "device")}


@pytest.fixture
def started(fake: dict[str, str], tmp_path: Path) -> Iterator[Started]:
    running = Started({**fake, "FAKE_PICAMERA2_LOADED": str(tmp_path / "loaded")})
    yield running
    running.close()


def test_pictures_come_in_the_cameras_byte_order_without_padding(started: Started) -> None:
    taken = started.picture()
    assert (taken.width_px, taken.height_px) == (32, 16)
    assert taken.pixels == bytes([(taken.sequence + 1) % 256, 100, 200]) * (32 * 16)


def test_picture_is_stamped_with_the_sensors_time(started: Started) -> None:
    taken = started.picture()
    assert 0 <= time.monotonic_ns() - taken.taken_at_ns < 5e9


def test_every_buffer_is_given_back_to_the_camera(started: Started) -> None:
    while started.picture().sequence < 12:  # three times the buffers it has
        pass


def test_neither_this_project_nor_a_numpy_of_its_environment_is_loaded(
    started: Started, tmp_path: Path
) -> None:
    started.picture()
    loaded = {name.partition(".")[0] for name in (tmp_path / "loaded").read_text().split("\n")}
    assert {"picamera2", "ring"} <= loaded
    assert not loaded & {"numpy", "cv2", "camera", "recognizer", "hotlist_cache", "sync", "edge"}


def test_camera_unplugged_while_running_ends_the_script_in_one_line(
    fake: dict[str, str], tmp_path: Path
) -> None:
    running = Started(fake)
    running.picture()
    (tmp_path / "device").unlink()
    status, said = running.last_words()
    assert status == 75
    assert said == "camera 0 failed: Camera frontend has timed out! Please check the cable.\n"
    running.close()


@pytest.mark.parametrize("source", ["picamera2:1", "picamera2"])
def test_camera_that_is_not_there_ends_the_script_in_one_line(
    fake: dict[str, str], tmp_path: Path, source: str
) -> None:
    if source == "picamera2":
        (tmp_path / "device").unlink()
    running = Started(fake, source)
    status, said = running.last_words()
    assert status == 75
    assert "is not there; check its ribbon cable" in said
    assert said.count("\n") == 1
    running.close()


def test_missing_picamera2_names_the_package_to_install(tmp_path: Path) -> None:
    (tmp_path / "picamera2.py").write_text("raise ImportError('as where it is not installed')")
    running = Started({"PYTHONPATH": str(tmp_path)})
    status, said = running.last_words()
    assert (status, said) == (
        75,
        "picamera2 is not installed; install the package python3-picamera2\n",
    )
    running.close()


def test_script_whose_parent_is_already_gone_does_not_open_the_camera(fake: dict[str, str]) -> None:
    running = Started(fake, parent=1)
    assert running.last_words() == (75, "")
    running.close()
