"""Short recordings made on the spot: each picture tells its own number."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 64, 48


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> npt.NDArray[np.uint8]:
    """A grey picture whose brightness is 10 times *number* (0 to 24)."""
    return np.full((height, width, 3), number * 10, np.uint8)


def number_in(pixels: npt.NDArray[np.uint8]) -> int:
    """The number that `picture` was given, read back after lossy coding."""
    return round(float(pixels.mean()) / 10)


def image_folder(path: Path, count: int) -> Path:
    """A folder of *count* images, 0.png to 11.png and so on: their order is that of their numbers."""
    path.mkdir()
    for number in range(count):
        assert cv2.imwrite(str(path / f"{number}.png"), picture(number))
    return path


def video_file(path: Path, count: int, frames_per_s: float = 10.0) -> Path:
    """An AVI file (Motion JPEG) of *count* pictures; their numbers begin again after 24."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), frames_per_s, (WIDTH, HEIGHT))
    for number in range(count):
        writer.write(picture(number % 25))
    writer.release()
    assert path.stat().st_size > 0
    return path
