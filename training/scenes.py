"""A picture of a street: flat textured pieces in space, seen by a pinhole camera, painted far to near.

Space is in metres: x to the right, y up, z along the street. Every piece is a quadrilateral whose
corners are named from its top left, clockwise as the camera sees them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
NEAR_M = 1.2
"""Pieces with a corner nearer than this are left out: they are beside the picture, not in it."""


@dataclass(frozen=True, slots=True)
class Camera:
    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float
    """Positive to the right."""
    focal_px: float
    width_px: int
    height_px: int
    horizon_px: float

    def project(self, points: Sequence[Sequence[float]] | Floats) -> Floats:
        """Return (n, 3): column, row and depth in metres of (n, 3) points. Depth may be negative."""
        at = np.asarray(points, np.float32).reshape(-1, 3)
        x, z = at[:, 0] - self.x_m, at[:, 2] - self.z_m
        cosine, sine = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        depth = x * sine + z * cosine
        safe = np.where(np.abs(depth) < 1e-3, 1e-3, depth)
        column = self.width_px / 2 + self.focal_px * (x * cosine - z * sine) / safe
        row = self.horizon_px - self.focal_px * (at[:, 1] - self.y_m) / safe
        return np.stack([column, row, depth], axis=1).astype(np.float32)


class Texture:
    """A flat picture with opacity, by day and by night, at every size it may be seen in."""

    def __init__(self, day: Pixels, glow: Pixels | None = None, retro: float = 0.0) -> None:
        """*day* is (h, w, 4) BGRA; *glow* (h, w, 3) is the light it gives off by night.

        *retro* is how strongly it throws back our own headlights, in [0, 1]: plates and signs do.
        """
        opacity = day[..., 3:].astype(np.float32) / 255.0
        colour = day[..., :3].astype(np.float32) * opacity
        night = colour * np.array([0.36, 0.27, 0.25], np.float32) * (1 - retro) + colour * 0.82 * retro
        if glow is not None:
            night = np.minimum(night + glow.astype(np.float32) * opacity, 255.0)
        self._levels = [(np.concatenate([colour, opacity * 255.0], axis=2), night)]
        while min(self._levels[-1][0].shape[:2]) > 6 and max(self._levels[-1][0].shape[:2]) > 16:
            last = self._levels[-1]
            half = (max(1, last[0].shape[1] // 2), max(1, last[0].shape[0] // 2))
            self._levels.append(
                (
                    cv2.resize(last[0], half, interpolation=cv2.INTER_AREA),
                    cv2.resize(last[1], half, interpolation=cv2.INTER_AREA),
                )
            )
        self._mixed: dict[tuple[int, int], Floats] = {}

    def seen(self, area_px: float, dusk: float) -> Floats:
        """Return premultiplied BGRA in 0..255 at the size fit for *area_px* picture elements."""
        height, width = self._levels[0][0].shape[:2]
        level = round(0.5 * math.log2(max(1.0, height * width / max(1.0, area_px))))
        level = min(max(0, level), len(self._levels) - 1)
        # Sixteen steps of dusk are finer than the eye, and let the mixture be kept.
        step = round(dusk * 16)
        key = (level, step)
        if key not in self._mixed:
            if len(self._mixed) > 3:
                self._mixed.clear()
            day, night = self._levels[level]
            mixed = day.copy()
            mixed[..., :3] += (night - day[..., :3]) * (step / 16)
            self._mixed[key] = mixed
        return self._mixed[key]


@dataclass(slots=True)
class Canvas:
    """The picture being painted, and who owns each of its elements."""

    pixels: Floats = field(repr=False)
    owner: npt.NDArray[np.int16] = field(repr=False)
    dusk: float
    """0 by day, 1 when the street lamps are all there is."""
    camera: Camera
    shutter_camera: Camera
    """Where the camera is when the shutter closes."""

    def paint(
        self,
        corners: Sequence[Sequence[float]],
        texture: Texture,
        owner: int = 0,
        drift_m: Sequence[float] = (0.0, 0.0, 0.0),
        blurred: bool = True,
    ) -> None:
        """Paint *texture* on the quadrilateral *corners*; it moves by *drift_m* while the shutter is open."""
        start = self.camera.project(corners)
        if float(start[:, 2].min()) < NEAR_M:
            return
        drawn = self._warped(start[:, :2], texture)
        if drawn is None:
            return
        left, top, picture = drawn
        if blurred:
            moved = np.asarray(corners, np.float32) + np.asarray(drift_m, np.float32)
            end = self.shutter_camera.project(moved)
            if float(np.abs(end[:, :2] - start[:, :2]).max()) > 0.8:
                middle = self._warped((start[:, :2] + end[:, :2]) / 2, texture, (left, top, picture.shape))
                last = self._warped(end[:, :2], texture, (left, top, picture.shape))
                if middle is not None and last is not None:
                    picture = (picture + middle[2] + last[2]) / 3
        height, width = picture.shape[:2]
        place = self.pixels[top : top + height, left : left + width]
        opacity = picture[..., 3:] * (1 / 255.0)
        place *= 1 - opacity
        place += picture[..., :3]
        self.owner[top : top + height, left : left + width][picture[..., 3] > 127] = owner

    def glow(
        self, point: Sequence[float], radius_m: float, colour: Sequence[float], least_px: float = 1.5
    ) -> None:
        """Add a soft light around *point*."""
        column, row, depth = (float(v) for v in self.camera.project([point])[0])
        if depth < NEAR_M:
            return
        radius = max(least_px, radius_m * self.camera.focal_px / depth)
        reach = int(radius * 2.2) + 1
        height, width = self.owner.shape
        x0, x1 = max(0, int(column) - reach), min(width, int(column) + reach + 1)
        y0, y1 = max(0, int(row) - reach), min(height, int(row) + reach + 1)
        if x0 >= x1 or y0 >= y1:
            return
        dx = (np.arange(x0, x1, dtype=np.float32) - column) / radius
        dy = (np.arange(y0, y1, dtype=np.float32) - row) / radius
        soft = np.exp(-1.6 * (dx[None, :] ** 2 + dy[:, None] ** 2))
        self.pixels[y0:y1, x0:x1] += soft[..., None] * np.asarray(colour, np.float32)

    def _warped(
        self, quad: Floats, texture: Texture, place: tuple[int, int, tuple[int, ...]] | None = None
    ) -> tuple[int, int, Floats] | None:
        height, width = self.owner.shape
        if place is None:
            left, top = (
                max(0, math.floor(float(quad[:, 0].min())) - 3),
                max(0, math.floor(float(quad[:, 1].min())) - 3),
            )
            right = min(width, math.ceil(float(quad[:, 0].max())) + 4)
            bottom = min(height, math.ceil(float(quad[:, 1].max())) + 4)
        else:
            left, top = place[0], place[1]
            right, bottom = left + place[2][1], top + place[2][0]
        if right - left < 1 or bottom - top < 1:
            return None
        source = texture.seen(abs(float(cv2.contourArea(np.ascontiguousarray(quad)))), self.dusk)
        h, w = source.shape[:2]
        square = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) - 0.5
        matrix = cv2.getPerspectiveTransform(square, (quad - np.array([left, top])).astype(np.float32))
        picture = cv2.warpPerspective(source, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
        return left, top, np.asarray(picture, np.float32)


def visible_box(
    canvas: Canvas, corners: Sequence[Sequence[float]], owner: int
) -> tuple[tuple[float, float, float, float], float]:
    """Return the box around *corners* cut to the picture, and which share of its area *owner* shows.

    The share is 0 where the piece lies outside the picture or behind the camera.
    """
    at = canvas.camera.project(corners)
    height, width = canvas.owner.shape
    if float(at[:, 2].min()) < NEAR_M:
        return (0.0, 0.0, 0.0, 0.0), 0.0
    low, high = at[:, :2].min(axis=0), at[:, :2].max(axis=0)
    area = abs(float(cv2.contourArea(np.ascontiguousarray(at[:, :2]))))
    box = (
        min(max(0.0, float(low[0])), width),
        min(max(0.0, float(low[1])), height),
        min(max(0.0, float(high[0])), width),
        min(max(0.0, float(high[1])), height),
    )
    x0, y0, x1, y1 = math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])
    if x1 <= x0 or y1 <= y0 or area < 1.0:
        return box, 0.0
    shown = int((canvas.owner[y0:y1, x0:x1] == owner).sum())
    return box, min(1.0, shown / area)


def cloth(rng: np.random.Generator, height: int, width: int, coarse: int, octaves: int = 4) -> Floats:
    """Return smooth noise in about -1..1, (height, width), whose largest spots are *coarse* pixels."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cell = max(1, coarse >> octave)
        small = rng.standard_normal((height // cell + 3, width // cell + 3), dtype=np.float32)
        grown = cv2.resize(small, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
        total += grown[:height, :width] * 0.5**octave
    return total / 2.2
