"""A USB or CSI camera behind the kernel's video interface."""

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from camera.config import CameraConfig
from camera.errors import CameraLostError
from camera.source import Picture

_BELIEVED_DELAY_NS = 2_000_000_000
"""A driver's stamp further back than this is not CLOCK_MONOTONIC but some other clock."""


class V4l2Source:
    """An open V4L2 device as a `Source`. Blocks in the driver: for `camera.child` only."""

    def __init__(self, config: CameraConfig) -> None:
        """Raises CameraLostError if the device is not there or cannot be opened."""
        self._name = config.device
        if not Path(self._name).exists():
            raise CameraLostError(f"{self._name} is not there; check the camera's cable and cameras.source")
        self._capture = cv2.VideoCapture(self._name, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise CameraLostError(
                f"{self._name} cannot be opened; is another program using it, is this user in group video?"
            )
        # MJPEG: USB 2 carries 720p at 15/s compressed only. The code goes first, it resets the size.
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width_px)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height_px)
        self._capture.set(cv2.CAP_PROP_FPS, config.frames_per_s)

    def pictures(self) -> Iterator[Picture]:
        sequence = 0
        while True:
            read, pixels = self._capture.read()
            now_ns = time.monotonic_ns()
            if not read:
                raise CameraLostError(f"{self._name} gives no more pictures; check the camera's cable")
            taken_at_ns = stamp_ns(self._capture.get(cv2.CAP_PROP_POS_MSEC), now_ns)
            yield Picture(sequence, taken_at_ns, np.asarray(pixels, np.uint8))
            sequence += 1

    def close(self) -> None:
        self._capture.release()


def stamp_ns(driver_ms: float, now_ns: int) -> int:
    """Return when a picture was taken, on CLOCK_MONOTONIC.

    *driver_ms* is the buffer's stamp. UVC drivers stamp with CLOCK_MONOTONIC (kernel documentation,
    V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC); a stamp that cannot be that clock gives *now_ns*.
    """
    driver_ns = round(driver_ms * 1e6)
    return driver_ns if 0 <= now_ns - driver_ns <= _BELIEVED_DELAY_NS else now_ns
