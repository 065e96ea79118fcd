"""Draws what the pipeline sees and says onto the frames and writes them as a video."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from camera.frame import Frame
from edge.pipeline import Step
from edge.video import Video, open_video
from recognizer.plate import Plate, fold
from recognizer.read import Box, PlateCandidate, PlateRead

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
"""Blue, green, red."""

_SEEN: Colour = (66, 190, 255)
_READ: Colour = (96, 210, 92)
_HIT: Colour = (60, 60, 235)
_INK: Colour = (24, 20, 18)
_PAPER: Colour = (245, 245, 245)
_FONT = cv2.FONT_HERSHEY_DUPLEX

_SHOWN_S = 6.0
"""How long a read stays in the list, and its plate's box green."""
_LISTED = 5
_MAX_RATE = 60.0


@dataclass(frozen=True, slots=True)
class _Listed:
    read: PlateRead
    hit: bool
    since_ns: int
    picture: Pixels | None


class Annotator:
    """Writes an annotated copy of a recording: a box and a text per plate, the newest reads in a list.

    The video has the recording's own speed.
    """

    def __init__(self, path: Path) -> None:
        """The file is made when the second frame comes, which tells the frame rate."""
        self._path = path
        self._writer: Video | None = None
        self._size: tuple[int, int] | None = None
        self._held: tuple[Pixels, int] | None = None
        self._listed: deque[_Listed] = deque(maxlen=_LISTED)

    def add(self, frame: Frame, step: Step) -> None:
        """Add *frame* with what *step* says of it. The frame itself is not written to.

        Raises VideoUnwritableError if the video cannot be written.
        """
        now_ns = frame.moment.monotonic_ns
        alerted = {alert.hit.read.read_id for alert in step.alerts}
        for item in step.reads:
            self._forget(item.read.revises)
            hit = bool(item.hits) or item.read.read_id in alerted
            self._listed.append(_Listed(item.read, hit, now_ns, _decoded(item.read.evidence)))
        while self._listed and now_ns - self._listed[0].since_ns > _SHOWN_S * 1e9:
            self._listed.popleft()
        self._put(draw(frame.pixels, step.candidates, tuple(self._listed)), now_ns)

    def _forget(self, read_id: str | None) -> None:
        kept = [listed for listed in self._listed if listed.read.read_id != read_id]
        self._listed = deque(kept, _LISTED)

    def close(self) -> None:
        """Finish the file. Raises VideoUnwritableError if it could not be written to its end."""
        if self._held is not None:
            self._open(1.0).write(self._held[0])
            self._held = None
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def _put(self, picture: Pixels, now_ns: int) -> None:
        if self._size is None:
            # H.264 halves the colour planes: both sides must be even.
            self._size = (picture.shape[1] // 2 * 2, picture.shape[0] // 2 * 2)
        if picture.shape[1::-1] != self._size:
            picture = np.asarray(cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        if self._writer is None and self._held is None:
            self._held = (picture, now_ns)
            return
        if self._held is not None:
            (first, first_ns), self._held = self._held, None
            rate = 1e9 / max(1, now_ns - first_ns)
            self._writer = self._open(min(_MAX_RATE, max(1.0, round(rate, 2))))
            self._writer.write(first)
        assert self._writer is not None
        self._writer.write(picture)

    def _open(self, frames_per_s: float) -> Video:
        assert self._size is not None
        self._writer = open_video(self._path, self._size, frames_per_s)
        return self._writer


def draw(pixels: Pixels, candidates: tuple[PlateCandidate, ...], listed: tuple[_Listed, ...]) -> Pixels:
    """Return a copy of *pixels* with a box and text per candidate and the *listed* reads at the left edge."""
    picture = pixels.copy()
    scale = max(0.5, picture.shape[1] / 1280)
    known = {fold(item.read.plate): item for item in listed}
    for candidate in candidates:
        given = known.get(fold(candidate.text)) if candidate.text else None
        colour = _SEEN if given is None else _HIT if given.hit else _READ
        _corners(picture, candidate.box, colour, scale)
        text: Plate | str = candidate.text if given is None else given.read.plate
        if text:
            _label(picture, candidate.box, text, colour, scale)
    for row, item in enumerate(reversed(listed)):
        _card(picture, item, row, scale)
    return picture


def _corners(picture: Pixels, box: Box, colour: Colour, scale: float) -> None:
    """Draw the box with stronger corners, so that it is seen without covering the plate."""
    gap, width = round(4 * scale), max(1, round(1.5 * scale))
    left, top, right, bottom = box.left - gap, box.top - gap, box.right + gap, box.bottom + gap
    cv2.rectangle(picture, (left, top), (right, bottom), colour, 1, cv2.LINE_AA)
    arm = max(4, min(right - left, bottom - top) // 3)
    for x, across in ((left, arm), (right, -arm)):
        for y, down in ((top, arm), (bottom, -arm)):
            cv2.line(picture, (x, y), (x + across, y), colour, width * 2, cv2.LINE_AA)
            cv2.line(picture, (x, y), (x, y + down), colour, width * 2, cv2.LINE_AA)


def _label(picture: Pixels, box: Box, text: str, colour: Colour, scale: float) -> None:
    size = 0.62 * scale
    (width, height), _ = cv2.getTextSize(text, _FONT, size, 1)
    pad = round(6 * scale)
    left = min(max(0, (box.left + box.right - width) // 2 - pad), max(0, picture.shape[1] - width - 2 * pad))
    top = box.top - round(10 * scale) - height - 2 * pad
    if top < 0:
        top = min(box.bottom + round(10 * scale), picture.shape[0] - height - 2 * pad)
    area = (left, top, left + width + 2 * pad, top + height + 2 * pad)
    _panel(picture, area, colour, 0.92)
    cv2.putText(picture, text, (left + pad, top + pad + height), _FONT, size, _INK, 1, cv2.LINE_AA)


def _card(picture: Pixels, item: _Listed, row: int, scale: float) -> None:
    """Draw one read of the list: its evidence, its plate, who issued it and how sure it is."""
    width, height, gap = round(310 * scale), round(58 * scale), round(8 * scale)
    left, top = round(16 * scale), round(16 * scale) + row * (height + gap)
    if top + height > picture.shape[0]:
        return
    colour = _HIT if item.hit else _READ
    _panel(picture, (left, top, left + width, top + height), _INK, 0.78)
    _panel(picture, (left, top, left + round(4 * scale), top + height), colour, 1.0)
    shown = _fitted(item.picture, round(92 * scale), height - 2 * gap)
    if shown is not None:
        y, x = top + (height - shown.shape[0]) // 2, left + gap + round(4 * scale)
        part = picture[y : y + shown.shape[0], x : x + shown.shape[1]]
        part[:] = shown[: part.shape[0], : part.shape[1]]
    x = left + round(114 * scale)
    cv2.putText(
        picture,
        f"{item.read.prefix} {item.read.plate}".strip(),
        (x, top + round(27 * scale)),
        _FONT,
        0.62 * scale,
        _PAPER,
        1,
        cv2.LINE_AA,
    )
    opinion = item.read.jurisdiction
    issuer = opinion.code if opinion and opinion.likely else "state unknown"
    note = f"{issuer}  {item.read.confidence:.0%}" + ("  HIT" if item.hit else "")
    cv2.putText(picture, note, (x, top + round(47 * scale)), _FONT, 0.42 * scale, colour, 1, cv2.LINE_AA)


def _panel(picture: Pixels, area: tuple[int, int, int, int], colour: Colour, opacity: float) -> None:
    left, top, right, bottom = (max(0, edge) for edge in area)
    part = picture[top:bottom, left:right]
    if part.size:
        part[:] = (part * (1.0 - opacity) + np.array(colour) * opacity).astype(np.uint8)


def _decoded(jpeg: bytes) -> Pixels | None:
    """Return the picture in *jpeg*; None if there is none, as after a full disk left pictures out."""
    if not jpeg:
        return None
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return None if pixels is None else np.asarray(pixels, np.uint8)


def _fitted(picture: Pixels | None, width: int, height: int) -> Pixels | None:
    if picture is None or width < 1 or height < 1:
        return None
    ratio = min(width / picture.shape[1], height / picture.shape[0])
    size = (max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
