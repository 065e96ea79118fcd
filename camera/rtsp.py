"""A network camera, over RTSP with its pictures in the same TCP connection."""

import contextlib
import os
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import cv2
import numpy as np

from camera.config import CameraConfig
from camera.errors import CameraLostError
from camera.source import Picture

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


class RtspSource:
    """An open RTSP stream as a `Source`. Blocks in FFmpeg: for `camera.child` only."""

    def __init__(self, config: CameraConfig) -> None:
        """Raises CameraLostError if the stream cannot be opened."""
        self._name = shown(config.source)
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(config.open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(config.stall_timeout_s * 1000)),
        ]
        with _options():
            self._capture = cv2.VideoCapture(config.source, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            raise CameraLostError(
                f"{self._name} cannot be opened; check the address, the password and the network"
            )

    def pictures(self) -> Iterator[Picture]:
        sequence = 0
        while True:
            # Stamped between grab and decode: the stream's own times have no common zero with ours.
            grabbed = self._capture.grab()
            now_ns = time.monotonic_ns()
            read, pixels = self._capture.retrieve() if grabbed else (False, None)
            if not read:
                raise CameraLostError(f"{self._name} sends no more pictures; check its power and the network")
            yield Picture(sequence, now_ns, np.asarray(pixels, np.uint8))
            sequence += 1

    def close(self) -> None:
        self._capture.release()


@contextlib.contextmanager
def _options() -> Iterator[None]:
    """FFmpeg's options for a live stream, which OpenCV reads from the environment when it opens one.

    UDP loses packets in a moving car's network and then gives grey pictures without an error; FFmpeg's own
    buffering is switched off, as the newest picture is wanted and not the smoothest. Taken away again: the
    same options cost a recording, opened later in this process, some of its frames.
    """
    before = os.environ.get(_OPTIONS)
    os.environ[_OPTIONS] = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OPTIONS]
        else:
            os.environ[_OPTIONS] = before


def shown(url: str) -> str:
    """Return *url* as far as it may be shown: scheme, host and port, never a user, password or query."""
    parts = urlsplit(url)
    credentials, _, host = parts.netloc.rpartition("@")
    # An "@" elsewhere may belong to a password that was not escaped: then nothing is shown.
    if not host or "@" in credentials or "@" in url.replace(parts.netloc, "", 1):
        return "the stream"
    return f"{parts.scheme}://{host}"
