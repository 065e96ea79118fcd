"""Writes frames as a video file: H.264 where ffmpeg is installed, otherwise MPEG-4 through OpenCV."""

import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError

Pixels = npt.NDArray[np.uint8]


class VideoUnwritableError(EdgeError):
    """A video cannot be written: print the line, exit 73 (EX_CANTCREAT)."""

    exit_code = 73


class Video(Protocol):
    """A video being written; both methods raise VideoUnwritableError if it cannot be."""

    def write(self, pixels: Pixels) -> None:
        """Add a frame of the size it was opened with, (height, width, 3), BGR."""

    def close(self) -> None:
        """Finish the file; it cannot be played before."""


def open_video(path: Path, size: tuple[int, int], frames_per_s: float) -> Video:
    """Return a video to write at *path*; *size* is (width, height), both even.

    Raises VideoUnwritableError if the file cannot be made.
    """
    if shutil.which("ffmpeg"):
        return _Ffmpeg(path, size, frames_per_s)
    return _OpenCv(path, size, frames_per_s)


class _Ffmpeg:
    """Frames into an ffmpeg process that encodes H.264."""

    def __init__(self, path: Path, size: tuple[int, int], frames_per_s: float) -> None:
        self._path = path
        command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
        command += ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}"]
        command += ["-r", f"{frames_per_s}", "-i", "-", "-an", "-c:v", "libx264", "-preset", "veryfast"]
        command += ["-crf", "21", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path.absolute())]
        # stderr is a file of a few lines, never a pipe that nobody empties.
        self._errors = path.with_name(f".{path.name}.log")
        try:
            with self._errors.open("wb") as errors:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
                )
        except OSError as error:
            raise VideoUnwritableError(f"{path} cannot be written: {error.strerror}") from error

    def write(self, pixels: Pixels) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(pixels).tobytes())
        except OSError:
            self._fail()

    def close(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            self._fail()
        if self._process.wait() != 0:
            self._fail()
        self._errors.unlink(missing_ok=True)

    def _fail(self) -> None:
        self._process.kill()
        self._process.wait()
        said = self._errors.read_text(errors="replace").strip().splitlines()
        self._errors.unlink(missing_ok=True)
        raise VideoUnwritableError(f"{self._path} cannot be written: {said[-1] if said else 'ffmpeg ended'}")


class _OpenCv:
    """Frames into OpenCV's own MPEG-4 encoder."""

    def __init__(self, path: Path, size: tuple[int, int], frames_per_s: float) -> None:
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(path), fourcc, frames_per_s, size)
        if not self._writer.isOpened():
            raise VideoUnwritableError(f"{path} cannot be written: OpenCV cannot open it")

    def write(self, pixels: Pixels) -> None:
        self._writer.write(pixels)

    def close(self) -> None:
        self._writer.release()
