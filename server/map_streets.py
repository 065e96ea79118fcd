"""The department's own lines under a map: a GeoJSON file of streets, waters and borders, cut down per view.

`[map] streets` names the file, which the department owns: an extract of OpenStreetMap or of the county's. Any
FeatureCollection (or single feature, or geometry) of lines and polygons in WGS 84 will do, as RFC 7946 has
them; points are left out. What a feature is drawn as, its properties say, in the words of OpenStreetMap:

    highway = motorway, trunk, primary ...   a wide line; every other line is a thin one
    natural = water, or waterway             blue
    leisure, landuse (of a polygon)          green
    boundary                                 dashed
    name                                     written where there is room

The file is read once and held as numbers: 16 bytes a point. Of a view only what lies in it is looked at, a
line loses every point that is no pixel away from the last, and what is smaller than two pixels goes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from server.errors import SettingsInvalidError
from server.map_view import MAX_LATITUDE_DEG, Shape, Spot, View

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_POINTS = 2_000_000
MAX_DRAWN_POINTS = 12_000
"""Of one view: about 100 kB of the page. The smallest shapes go first."""
_WIDE = frozenset(("motorway", "motorway_link", "trunk", "primary"))
_MIDDLE = frozenset(("secondary", "tertiary", "trunk_link", "primary_link"))


@dataclass(frozen=True, slots=True, eq=False)
class Streets:
    """What one file holds. Threads may share it."""

    points: npt.NDArray[np.float64]
    """Shape (points, 2): x, y of the world's square, 0 to 1, y down. All lines one behind the other."""
    starts: npt.NDArray[np.int64]
    """Shape (lines + 1,): where each begins; the last is the number of points."""
    boxes: npt.NDArray[np.float64]
    """Shape (lines, 4): least x, least y, greatest x, greatest y of each."""
    kinds: tuple[str, ...]
    closed: tuple[bool, ...]
    names: tuple[str, ...]

    def in_view(self, view: View) -> list[Shape]:
        """Return what *view* shows, largest last cut: at most `MAX_DRAWN_POINTS` points in all."""
        if not len(self.boxes):
            return []
        side = 256 * 2.0**view.zoom
        left, top = _world(view.centre) - np.array([view.width_px, view.height_px]) / 2 / side
        right, bottom = left + view.width_px / side, top + view.height_px / side
        b = self.boxes
        size = np.maximum(b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]) * side
        seen = (b[:, 2] >= left) & (b[:, 0] <= right) & (b[:, 3] >= top) & (b[:, 1] <= bottom) & (size >= 2)
        chosen = np.flatnonzero(seen)
        shapes: list[Shape] = []
        room = MAX_DRAWN_POINTS
        for line in chosen[np.argsort(-size[chosen], kind="stable")]:
            for shape in self._cut(int(line), view, left, top, side):
                room -= len(shape.points)
                if room < 0:
                    return shapes
                shapes.append(shape)
        return shapes

    def _cut(self, line: int, view: View, left: float, top: float, side: float) -> list[Shape]:
        world = self.points[self.starts[line] : self.starts[line + 1]]
        # Far outside is as good as just outside, and keeps the numbers short.
        limit = 4 * max(view.width_px, view.height_px)
        px = np.clip(np.rint((world - [left, top]) * side), -limit, limit).astype(np.int64)
        px = px[np.r_[True, np.any(np.diff(px, axis=0) != 0, axis=1)]]
        if len(px) < 2:
            return []
        if self.closed[line]:
            return [Shape(self.kinds[line], True, _pairs(px), self.names[line])]
        # A stretch whose both ends lie beyond the same edge cannot cross the view.
        ends = np.array([view.width_px, view.height_px])
        before, beyond = px < 0, px > ends
        hidden = np.any((before[1:] & before[:-1]) | (beyond[1:] & beyond[:-1]), axis=1)
        edges = np.flatnonzero(np.diff(np.r_[True, hidden, True].astype(np.int8)))
        return [
            Shape(self.kinds[line], False, _pairs(px[a : b + 1]), self.names[line])
            for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]


def read_streets(path: Path) -> Streets:
    """Return what the GeoJSON file at *path* holds.

    Raises SettingsInvalidError if it cannot be read, is too large or is no GeoJSON in degrees.
    """
    what = f"{path} ([map] streets)"
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SettingsInvalidError(
                f"{what}: is larger than {MAX_FILE_BYTES // 2**20} MiB; cut it to your area and main streets"
            )
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise SettingsInvalidError(f"{what}: cannot be read ({error.strerror}); correct the path") from error
    except (ValueError, RecursionError) as error:
        raise SettingsInvalidError(f"{what}: is no GeoJSON; export it anew") from error
    lines: list[_Line] = []
    try:
        for feature in _features(document):
            lines += _lines_of(feature)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        raise SettingsInvalidError(
            f"{what}: is no GeoJSON of lines and polygons in degrees (WGS 84); export it anew"
        ) from None
    if sum(len(line.points) for line in lines) > MAX_POINTS:
        raise SettingsInvalidError(f"{what}: has more than {MAX_POINTS:,} points; cut it to your area")
    return _streets(lines)


@dataclass(frozen=True, slots=True)
class _Line:
    points: npt.NDArray[np.float64]
    kind: str
    closed: bool
    name: str


def _streets(lines: list[_Line]) -> Streets:
    empty = np.zeros((0, 2))
    boxes = [np.r_[line.points.min(axis=0), line.points.max(axis=0)] for line in lines]
    return Streets(
        points=np.concatenate([line.points for line in lines]) if lines else empty,
        starts=np.cumsum([0, *(len(line.points) for line in lines)]),
        boxes=np.array(boxes) if lines else np.zeros((0, 4)),
        kinds=tuple(line.kind for line in lines),
        closed=tuple(line.closed for line in lines),
        names=tuple(line.name for line in lines),
    )


def _features(document: Any) -> list[Any]:
    if document["type"] == "FeatureCollection":
        return list(document["features"])
    return [document if document["type"] == "Feature" else {"geometry": document, "properties": {}}]


def _lines_of(feature: Any) -> list[_Line]:
    properties = feature.get("properties") or {}
    name = properties.get("name")
    named = name[:40] if isinstance(name, str) else ""
    found = []
    for closed, coordinates in _parts(feature.get("geometry")):
        points = _world_points(coordinates)
        if len(points) >= 2:
            found.append(_Line(points, _kind(properties, closed), closed, named))
    return found


def _parts(geometry: Any) -> list[tuple[bool, Any]]:
    if geometry is None:
        return []
    kind = geometry["type"]
    if kind == "GeometryCollection":
        return [part for inner in geometry["geometries"] for part in _parts(inner)]
    held = geometry["coordinates"]
    if kind == "LineString":
        return [(False, held)]
    if kind == "MultiLineString":
        return [(False, line) for line in held]
    if kind == "Polygon":
        return [(True, held[0])]  # a hole is drawn over
    if kind == "MultiPolygon":
        return [(True, polygon[0]) for polygon in held]
    if kind in ("Point", "MultiPoint"):
        return []
    raise ValueError("no geometry")


def _world_points(coordinates: Any) -> npt.NDArray[np.float64]:
    # A point may carry its height as a third number.
    degrees = np.array([(point[0], point[1]) for point in coordinates], np.float64).reshape(-1, 2)
    # Written so that NaN fails it too.
    if not (np.abs(degrees) <= [180.0, 90.0]).all():
        raise ValueError("not in degrees")
    held = np.radians(np.clip(degrees[:, 1], -MAX_LATITUDE_DEG, MAX_LATITUDE_DEG))
    return np.stack([degrees[:, 0] / 360 + 0.5, 0.5 - np.arcsinh(np.tan(held)) / (2 * np.pi)], axis=1)


def _world(spot: Spot) -> npt.NDArray[np.float64]:
    return _world_points([(spot.longitude_deg, spot.latitude_deg)]).reshape(2)


def _kind(properties: dict[str, Any], closed: bool) -> str:
    highway = properties.get("highway")
    if properties.get("natural") == "water" or properties.get("waterway"):
        return "water" if closed else "stream"
    if properties.get("boundary"):
        return "border"
    if highway in _WIDE:
        return "wide"
    if highway in _MIDDLE:
        return "middle"
    return "green" if closed and (properties.get("leisure") or properties.get("landuse")) else "thin"


def _pairs(px: npt.NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    return tuple((int(x), int(y)) for x, y in px)
