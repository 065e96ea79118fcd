"""A drive on file: a video, or a folder of images in the order of their names; and the fixes beside it."""

from __future__ import annotations

import csv
import math
import re
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from camera.config import CameraConfig
from camera.errors import RecordingUnreadableError
from camera.source import Picture

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})

_LATE_S = 0.2
"""A realtime recording that fell further behind takes its delay as given instead of carrying it on."""

_GAP_S = 1 / 15
"""From the last picture of a loop's round to the first of the next."""


class _Medium(Protocol):
    """Where a recording's pictures lie."""

    def images(self) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        """Give (media time in s, never falling; pixels), from the first to the last."""


def open_recording(config: CameraConfig) -> Recording:
    """Return the recording *config* names; its first picture is tried at once.

    Raises RecordingUnreadableError if there is nothing at that path or no picture in it.
    """
    path = config.path
    if path.is_dir():
        medium: _Medium = _ImageFolder(path, config.frames_per_s)
    elif path.is_file():
        medium = _VideoFile(path)
    else:
        raise RecordingUnreadableError(f"{path.name}: no such recording; check the path in cameras.source")
    if next(medium.images(), None) is None:
        raise RecordingUnreadableError(f"{path.name}: no picture can be read from it; check or replace it")
    return Recording(medium, loop=config.loop, realtime=config.pace == "realtime")


class Recording:
    """A recording as a `Source`."""

    def __init__(self, medium: _Medium, *, loop: bool, realtime: bool) -> None:
        self._medium = medium
        self._loop = loop
        self._realtime = realtime

    def pictures(self) -> Iterator[Picture]:
        start_ns = time.monotonic_ns()
        sequence = 0
        while True:
            length_s = 0.0
            for media_time_s, pixels in self._medium.images():
                due_ns = start_ns + round(media_time_s * 1e9)
                if self._realtime and (late_ns := _wait_until(due_ns)) > _LATE_S * 1e9:
                    start_ns += late_ns
                    due_ns += late_ns
                yield Picture(sequence, due_ns, pixels, media_time_s)
                sequence += 1
                length_s = media_time_s + _GAP_S
            if length_s == 0.0:
                raise RecordingUnreadableError("the recording held no picture when its next round began")
            if not self._loop:
                return
            start_ns += round(length_s * 1e9)

    def close(self) -> None:
        """Nothing is held between pictures: the file is let go with the iterator."""


def _wait_until(due_ns: int) -> int:
    """Sleep until *due_ns* and return by how much it was missed."""
    while (left_ns := due_ns - time.monotonic_ns()) > 0:
        select.select([], [], [], left_ns / 1e9)
    return -left_ns


class _VideoFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def images(self) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        import cv2
        import numpy as np

        # The absolute path keeps FFmpeg from taking a file name such as "concat:…" for an address.
        capture = cv2.VideoCapture(str(self._path.resolve()), cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise RecordingUnreadableError(f"{self._path.name}: not a video that can be read")
            rate = capture.get(cv2.CAP_PROP_FPS)
            step_s = 1 / rate if math.isfinite(rate) and rate > 0 else 1 / 25
            media_time_s = -step_s
            while True:
                read, pixels = capture.read()
                if not read:
                    return
                stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                # Some containers carry no or falling stamps: count frames there instead.
                media_time_s = stamp_s if stamp_s > media_time_s else media_time_s + step_s
                yield max(media_time_s, 0.0), np.asarray(pixels, np.uint8)
        finally:
            capture.release()


class _ImageFolder:
    def __init__(self, path: Path, frames_per_s: float) -> None:
        self._path = path
        self._frames_per_s = frames_per_s

    def images(self) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        import cv2
        import numpy as np

        try:
            names = [p for p in self._path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
        except OSError as error:
            raise RecordingUnreadableError(f"{self._path.name}: {error.strerror}") from error
        for index, name in enumerate(sorted(names, key=_natural)):
            pixels = cv2.imread(str(name), cv2.IMREAD_COLOR)
            if pixels is None:
                raise RecordingUnreadableError(
                    f"{self._path.name}: image number {index + 1} cannot be read; repair or remove it"
                )
            yield index / self._frames_per_s, np.asarray(pixels, np.uint8)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key: frame2 before frame10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]


@dataclass(frozen=True, slots=True)
class TimedFix:
    """Where the unit was at a moment of a recording."""

    media_time_s: float
    latitude_deg: float = field(repr=False)
    longitude_deg: float = field(repr=False)
    speed_mps: float | None
    course_deg: float | None


def fixes_beside(recording: Path) -> tuple[TimedFix, ...]:
    """Return the fixes of `<stem>.fixes.csv` beside *recording*, by rising time; () if there is no such file.

    The file has a header line with t_s, lat_deg, lon_deg and, where known, speed_mps and track_deg.

    Raises RecordingUnreadableError, naming the line (never its content), if a line is not a fix.
    """
    stem = recording.name if recording.is_dir() else recording.stem
    path = recording.with_name(f"{stem}.fixes.csv")
    if not path.exists():
        return ()
    fixes: list[TimedFix] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            for row in rows:
                fixes.append(_fix_of(row))
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        # From None: the reason would quote the line, and the line is a place.
        raise RecordingUnreadableError(
            f"{path.name}: line {len(fixes) + 2} is not a fix (t_s, lat_deg, lon_deg, speed_mps, track_deg)"
        ) from None
    return tuple(sorted(fixes, key=lambda fix: fix.media_time_s))


def _fix_of(row: dict[str, str]) -> TimedFix:
    numbers = [float(row["t_s"]), float(row["lat_deg"]), float(row["lon_deg"])]
    speed_mps = float(row["speed_mps"]) if row.get("speed_mps") else None
    course_deg = float(row["track_deg"]) % 360 if row.get("track_deg") else None
    if not all(math.isfinite(n) for n in [*numbers, speed_mps or 0.0, course_deg or 0.0]):
        raise ValueError("not finite")
    if abs(numbers[1]) > 90 or abs(numbers[2]) > 180:
        raise ValueError("not on earth")
    return TimedFix(numbers[0], numbers[1], numbers[2], speed_mps, course_deg)
