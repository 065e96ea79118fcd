"""Where a place lies on a map, and which place lies under a pixel: Web Mercator, without any file or network.

The world is a square of 256 * 2 ** zoom pixels (EPSG:3857 on the sphere of 6 378 137 m), as every web map has
it. A `View` is a window of whole pixels on that square, named by the place at its centre. North is up
everywhere. Beyond 85.05° north or south there is no map; the date line is no edge: a place is drawn at the
side on which it is nearer to the centre.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

EARTH_RADIUS_M = 6_378_137.0
MAX_LATITUDE_DEG = 85.05112877980659
"""Where the square of the world ends."""
MIN_ZOOM, MAX_ZOOM = 1, 19
CLOSEST_FIT = 15
"""How near a view goes for places that all lie together: a few streets."""
_TILE_PX = 256
MOVES = {"west": (-0.25, 0.0), "east": (0.25, 0.0), "north": (0.0, -0.25), "south": (0.0, 0.25)}
"""Shares of a window: so little that also the narrow picture of the same map still shows where one was."""
ZOOMS = {"in": 1, "out": -1}


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on the ground in WGS 84 degrees: latitude in [-90, 90], longitude in [-180, 180)."""

    latitude_deg: float
    longitude_deg: float


@dataclass(frozen=True, slots=True)
class View:
    """A window on the map: the place at its centre, how near, and its size in pixels. Make it by `view`."""

    centre: Spot
    zoom: int
    """`MIN_ZOOM` (the world) to `MAX_ZOOM` (a house); one more doubles every length."""
    width_px: int
    height_px: int

    def pixel(self, spot: Spot) -> tuple[float, float]:
        """Return where *spot* lies: pixels right of the window's left edge and below its upper one.

        It may lie outside. A latitude beyond the map's end is drawn at that end.
        """
        side = _TILE_PX * 2.0**self.zoom
        right = _world_x(spot.longitude_deg) - _world_x(self.centre.longitude_deg)
        right -= round(right)
        down = _world_y(spot.latitude_deg) - _world_y(self.centre.latitude_deg)
        return self.width_px / 2 + right * side, self.height_px / 2 + down * side

    def at(self, x: float, y: float) -> Spot:
        """Return the place under a pixel: the reverse of `pixel`, exact to a millimetre.

        Pixels above or below the world's edge give the edge.
        """
        side = _TILE_PX * 2.0**self.zoom
        across = _world_x(self.centre.longitude_deg) + (x - self.width_px / 2) / side
        down = _world_y(self.centre.latitude_deg) + (y - self.height_px / 2) / side
        return Spot(_latitude(min(max(down, 0.0), 1.0)), _wrapped((across % 1.0) * 360 - 180))

    def zoomed(self, steps: int = 1) -> "View":
        """Return the view nearer by *steps*, or wider for a negative one, around the same centre."""
        return view(self.centre, self.zoom + steps, self.width_px, self.height_px)

    def moved(self, right: float, down: float) -> "View":
        """Return the view moved by these shares of its own width and height; 0.5, 0 is half a window east."""
        x, y = self.width_px * (0.5 + right), self.height_px * (0.5 + down)
        return view(self.at(x, y), self.zoom, self.width_px, self.height_px)

    def centred(self, spot: Spot) -> "View":
        """Return the view with *spot* at its centre."""
        return view(spot, self.zoom, self.width_px, self.height_px)

    def sized(self, width_px: int, height_px: int) -> "View":
        """Return the view with the same centre and zoom in a window of another size."""
        return replace(self, width_px=width_px, height_px=height_px)

    def after(self, button: str) -> "View":
        """Return the view after one of the map's buttons: "in", "out", "north", "south", "east", "west".

        Any other text changes nothing: it is what a browser sent.
        """
        if button in ZOOMS:
            return self.zoomed(ZOOMS[button])
        return self.moved(*MOVES[button]) if button in MOVES else self

    @property
    def text(self) -> str:
        """Centre and zoom for one hidden field of a form; `parsed` gives the same view again."""
        return f"{self.centre.latitude_deg!r},{self.centre.longitude_deg!r},{self.zoom}"

    @property
    def metres_per_pixel(self) -> float:
        """On the ground at the centre. Mercator stretches towards the poles: elsewhere it is another."""
        around = 2 * math.pi * EARTH_RADIUS_M * math.cos(math.radians(self.centre.latitude_deg))
        return around / (_TILE_PX * 2.0**self.zoom)


def view(centre: Spot, zoom: int, width_px: int, height_px: int) -> View:
    """Return the view nearest to what is asked: zoom and latitude are held within what the map has."""
    latitude = min(max(centre.latitude_deg, -MAX_LATITUDE_DEG), MAX_LATITUDE_DEG)
    held = Spot(latitude, _wrapped(centre.longitude_deg))
    return View(held, min(max(zoom, MIN_ZOOM), MAX_ZOOM), width_px, height_px)


def fitted(spots: Sequence[Spot], width_px: int, height_px: int, margin_px: int = 48) -> View:
    """Return the nearest view that shows all *spots* at least *margin_px* from its edge, or the widest.

    Raises ValueError if there is none.
    """
    if not spots:
        raise ValueError("a view needs a place")
    # Around the first: so places on both sides of the date line stay together.
    middle = _world_x(spots[0].longitude_deg)
    off = [(away := _world_x(spot.longitude_deg) - middle) - round(away) for spot in spots]
    downs = [_world_y(spot.latitude_deg) for spot in spots]
    across = middle + (min(off) + max(off)) / 2
    centre = Spot(_latitude((min(downs) + max(downs)) / 2), _wrapped((across % 1.0) * 360 - 180))
    room = max(width_px - 2 * margin_px, 1), max(height_px - 2 * margin_px, 1)
    needed = max(off) - min(off), max(downs) - min(downs)
    zoom = CLOSEST_FIT
    while zoom > MIN_ZOOM and any(
        share * _TILE_PX * 2.0**zoom > px for share, px in zip(needed, room, strict=True)
    ):
        zoom -= 1
    return view(centre, zoom, width_px, height_px)


def parsed(text: str, width_px: int, height_px: int) -> View | None:
    """Return the view that `View.text` describes; None if *text* is anything else, as a browser may send."""
    parts = text.split(",") if len(text) <= 100 else []
    if len(parts) != 3 or not parts[2].isascii() or not parts[2].isdigit():
        return None
    try:
        latitude, longitude = float(parts[0]), float(parts[1])
    except ValueError:
        return None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # NaN is neither
        return None
    return view(Spot(latitude, longitude), int(parts[2][:3]), width_px, height_px)


def _world_x(longitude_deg: float) -> float:
    return longitude_deg / 360 + 0.5


def _world_y(latitude_deg: float) -> float:
    held = math.radians(min(max(latitude_deg, -MAX_LATITUDE_DEG), MAX_LATITUDE_DEG))
    return 0.5 - math.asinh(math.tan(held)) / (2 * math.pi)


def _latitude(world_y: float) -> float:
    return math.degrees(math.atan(math.sinh((0.5 - world_y) * 2 * math.pi)))


def _wrapped(longitude_deg: float) -> float:
    return longitude_deg if -180 <= longitude_deg < 180 else (longitude_deg + 180) % 360 - 180


@dataclass(frozen=True, slots=True)
class Shape:
    """One line or polygon as it is drawn in a view."""

    kind: str
    """"wide", "middle", "thin", "water", "stream", "green", "border"."""
    closed: bool
    points: tuple[tuple[int, int], ...]
    """Whole pixels of the view; at least two."""
    name: str
