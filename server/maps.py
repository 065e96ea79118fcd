"""Maps for the pages, drawn here as SVG text: no script, no tiles, no network, no picture library.

What a page needs of it:

    atlas = visit.desk.atlas                     the department's streets, and where its map begins
    view = atlas.view(places, WIDE)              the nearest view of some `Spot`s, or the department's own
    shown = atlas.draw(view, markers, title="…") a `Drawn`: `.svg` for the page, `.image` as a data: URI
    {{ maps.figure(shown, narrow=small) }}       templates/map_parts.html: the map, and its list for those who
                                                 do not see it; `small` is drawn at NARROW, for a telephone

A `Marker` is a place with a sort (unit, read, hit, chosen), a level (colour), a label and perhaps a link.
Markers that would cover each other are drawn as one with their number, in the colour of the worst; so ten
thousand are drawn as fast as ten. A `Circle` is a distance around a place. Places are never in an address: a
link leads to a thing's id, and what a person chose on the map travels in a form.

No script may run, so a place is chosen by `<input type="image">`: the browser sends where in the picture it
was clicked. The macro `maps.chooser(...)` puts two such pictures into a form, of which the style sheet shows
the one that fits the window (a picture must not be scaled: the browser counts displayed pixels), and buttons
named `move` to go nearer, wider, north, south, east and west. On the server's side:

    form = await request.form()                  or fields by their names: view, move, wide.x, wide.y, ...
    view = atlas.asked(form)                     the view the person had, after the button that was pressed
    spot = clicked(form, view)                   the `Spot` under the click, or None: a button was pressed

Put the form's own button before the chooser: Enter in a field presses the form's first button.

`server/map_view.py` has the mathematics (`View.pixel`, `.at`, `.zoomed`, `.moved`, `.after`, `.text`, and
`fitted`, `parsed`), `server/map_streets.py` what lies below the markers. Colours are attributes, which the
style sheet overrides on a page; in an image, where no style sheet reaches, they stay as they are: light.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from server.errors import SettingsInvalidError
from server.map_drawing import Marker, drawn, grouped, labels, names, role_of, street_lines
from server.map_frame import circle, graticule, north_arrow, scale, scale_words, source_line
from server.map_view import Spot, View, fitted, parsed, view
from server.settings import MapSettings

if TYPE_CHECKING:
    from server.map_streets import Streets

__all__ = (
    "NARROW",
    "WIDE",
    "Atlas",
    "Circle",
    "Drawn",
    "Marker",
    "Spot",
    "View",
    "atlas_of",
    "clicked",
    "fitted",
    "parsed",
    "view",
)

WIDE, NARROW = (720, 440), (320, 320)
"""Width and height in pixels of maps for large and small windows, and of the chooser's two pictures."""
_MIDDLE_OF_CALIFORNIA = Spot(37.25, -119.3)


@dataclass(frozen=True, slots=True)
class Circle:
    """A distance around a place: what a search covers."""

    spot: Spot
    radius_m: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A map as it goes into a page."""

    svg: Markup
    """The whole picture as one inline element."""
    view: View
    shown: tuple[Marker, ...]
    """Those that lie in the view, as they were given: the list beside the map."""
    outside: int
    """How many do not."""

    @property
    def image(self) -> str:
        """The picture as a data: URI, for `<img>` and `<input type="image">`. Links in it do not work."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


@dataclass(frozen=True, slots=True)
class Atlas:
    """A department's map. Threads may share it."""

    streets: "Streets | None" = None
    centre: Spot = _MIDDLE_OF_CALIFORNIA
    """Where the map begins if nothing else says where."""
    zoom: int = 5
    source: str = ""
    """Whose data the streets are, written on the map: "© OpenStreetMap contributors" is a duty."""

    def view(self, spots: Sequence[Spot] = (), size: tuple[int, int] = WIDE) -> View:
        """Return the nearest view that shows all *spots*; without any, the department's own."""
        return fitted(spots, *size) if spots else view(self.centre, self.zoom, *size)

    def asked(self, form: Mapping[str, Any], otherwise: View | None = None) -> View:
        """Return the view that a form's `view` names, after its button `move`; else *otherwise*, or the own.

        It has the size of the picture that was clicked, `WIDE` unless it was the narrow one.
        """
        size = NARROW if "narrow.x" in form else WIDE
        known = parsed(str(form.get("view", "")), *size) or (otherwise or self.view(size=size)).sized(*size)
        return known.after(str(form.get("move", "")))

    def draw(
        self, seen: View, markers: Sequence[Marker] = (), circles: Sequence[Circle] = (), *, title: str
    ) -> Drawn:
        """Return the map of *seen*. *title* says in words what it shows, for those who do not see it."""
        inside: list[tuple[float, float, Marker]] = []
        for marker in markers:
            x, y = seen.pixel(marker.spot)
            if 0 <= x <= seen.width_px and 0 <= y <= seen.height_px:
                inside.append((x, y, marker))
        outside = len(markers) - len(inside)
        taken: list[tuple[float, float, float, float]] = []
        groups = grouped(inside)
        for x, y, _ in groups:
            taken.append((x - 9, y - 9, x + 9, y + 9))
        shapes = [] if self.streets is None else self.streets.in_view(seen)
        told = f"{len(inside)} marked" + (f", {outside} outside this view" if outside else "")
        width, height = seen.width_px, seen.height_px
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="map" role="{role_of(markers)}" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" font-family="system-ui, Liberation Sans, '
            f'sans-serif" font-size="11"><title>{escape(title)}</title><desc>{told}. North is up; '
            f"{scale_words(seen)}.</desc>",
            f'<rect class="map-ground" width="{width}" height="{height}" fill="#eef1f4"/>',
            *street_lines(shapes),
            *graticule(seen),
            *(circle(seen, each.spot, each.radius_m) for each in circles),
            *(drawn(x, y, group) for x, y, group in groups),
            *labels(groups, taken, seen),
            *names(shapes, taken, seen),
            scale(seen),
            north_arrow(seen),
            source_line(seen, self.source if shapes else ""),
            "</svg>",
        ]
        return Drawn(Markup("".join(parts)), seen, tuple(m for _, _, m in inside), outside)  # noqa: S704 # all text in it went through escape


def clicked(form: Mapping[str, Any], seen: View) -> Spot | None:
    """Return the place in *seen* that was clicked in a chooser's picture; None if a button was pressed.

    *seen* must have the size of that picture, as `Atlas.asked` gives it. What is no number, or outside the
    picture, is no click: it is what a browser sent. The keyboard's Enter on the picture is a click on 0, 0,
    which is none either.
    """
    name = "narrow" if "narrow.x" in form else "wide"
    given = str(form.get(f"{name}.x", "")), str(form.get(f"{name}.y", ""))
    if not all(text.isascii() and text.isdigit() and len(text) <= 5 for text in given):
        return None
    x, y = int(given[0]), int(given[1])
    if (x, y) == (0, 0) or x > seen.width_px or y > seen.height_px:
        return None
    return seen.at(x, y)


def atlas_of(settings: MapSettings, folder: Path) -> Atlas:
    """Return the map that `[map]` describes; a relative path of streets is one in *folder*, the department's.

    Raises SettingsInvalidError naming the key if the file or the centre cannot be used.
    """
    streets: Streets | None = None
    if settings.streets:
        # Only then is numpy loaded: a server without streets does without its 30 MB.
        from server.map_streets import read_streets

        streets = read_streets(folder / settings.streets)
    centre = Atlas().centre
    if settings.centre:
        known = parsed(f"{settings.centre.replace(' ', '')},{settings.zoom}", *WIDE)
        if known is None:
            raise SettingsInvalidError('[map] centre: write it as "38.5816, -121.4944", latitude first')
        centre = known.centre
    return Atlas(streets, centre, settings.zoom, settings.source)
