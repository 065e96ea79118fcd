import itertools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from camera.config import CameraConfig, GpsConfig
from edge.cameras import CameraBank, CameraState
from tests.clocks import FakeClock
from tests.drives import HEIGHT, WIDTH, number_in, video_file
from tests.rtsp_server import RtspServer

pytestmark = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed (package ffmpeg)")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtspServer]:
    running = RtspServer(video_file(tmp_path / "drive.avi", 20), tmp_path / "drive.sdp")
    yield running
    running.close()


def test_stream_over_tcp_gives_whole_pictures_and_is_reopened_when_it_falls_silent(
    server: RtspServer,
) -> None:
    config = CameraConfig(
        "net", server.url, stall_timeout_s=2.0, open_timeout_s=60.0, reopen_first_s=0.1, reopen_max_s=0.5
    )
    bank = CameraBank([config], GpsConfig(""), FakeClock())

    def frames(count: int) -> list[int]:
        end = time.monotonic() + 60
        numbers: list[int] = []
        while len(numbers) < count:
            assert time.monotonic() < end, bank.status()
            frame = bank.next_frame(0.2)
            if frame:
                assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
                numbers.append(number_in(frame.pixels))
        return numbers

    try:
        numbers = frames(12)
        steps = {(later - earlier) % 20 for earlier, later in itertools.pairwise(numbers)}
        assert steps <= {1, 2, 3}, "the pictures of the drive in their order"
        server.mute = True
        end = time.monotonic() + 60
        while bank.status()[0].state is not CameraState.LOST and time.monotonic() < end:
            bank.next_frame(0.1)
        assert bank.status()[0].state is CameraState.LOST
        server.mute = False
        assert frames(3)
        assert bank.status()[0].reopened >= 1
    finally:
        bank.close()
