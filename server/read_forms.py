"""What the forms on reads send, as text, and what is meant by it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Form, Request

from server.alike import texts_alike
from server.desk import Text
from server.maps import NARROW, WIDE, Atlas, Circle, Drawn, Marker, Spot, View, clicked
from server.records import Place, ReadQuery
from sync.purposes import checked_incident

MAX_RADIUS_M = 50_000.0
USUAL_RADIUS_M = 200
_MINUTE = "%Y-%m-%dT%H:%M"


class NotUnderstoodError(Exception):
    """A field cannot be read: say which."""


@dataclass(frozen=True, slots=True)
class SearchForm:
    """What the search form sends, as text; empty fields do not narrow."""

    plate: str = ""
    match: str = "exact"
    unit_id: str = ""
    camera: str = ""
    incident: str = ""
    hits_only: str = ""
    since: str = ""
    until: str = ""
    latitude: str = ""
    longitude: str = ""
    radius_m: str = ""

    @property
    def query(self) -> ReadQuery:
        """What is asked for. Raises NotUnderstoodError."""
        alike = self.match == "alike"
        try:
            incident = checked_incident(self.incident) if self.incident.strip() else ""
            if alike:
                texts_alike(self.plate.strip())
        except ValueError as error:
            raise NotUnderstoodError(str(error)) from None
        return ReadQuery(
            self.plate.strip(),
            self.match == "anywhere",
            self.unit_id,
            self.hits_only == "yes",
            self.camera.strip(),
            moment_of("From", self.since),
            moment_of("Until", self.until),
            place_of(self.latitude, self.longitude, self.radius_m, MAX_RADIUS_M),
            incident,
            alike,
        )

    @property
    def as_typed(self) -> ReadQuery:
        """What is shown in the form again where something of it is not understood; it is not searched for."""
        alike, anywhere = self.match == "alike", self.match == "anywhere"
        return ReadQuery(self.plate.strip(), anywhere, self.unit_id, self.hits_only == "yes", alike=alike)

    @property
    def fields(self) -> dict[str, str]:
        """Each field by its name."""
        return asdict(self)


def _form(
    *,
    plate: Annotated[str, Form(max_length=32)] = "",
    match: Text = "exact",
    unit_id: Text = "",
    camera: Text = "",
    incident: Text = "",
    hits_only: Text = "",
    since: Text = "",
    until: Text = "",
    latitude: Text = "",
    longitude: Text = "",
    radius_m: Text = "",
) -> SearchForm:
    return SearchForm(
        plate=plate,
        match=match,
        unit_id=unit_id,
        camera=camera,
        incident=incident,
        hits_only=hits_only,
        since=since,
        until=until,
        latitude=latitude,
        longitude=longitude,
        radius_m=radius_m,
    )


Search = Annotated[SearchForm, Depends(_form)]


async def _fields(request: Request) -> dict[str, str]:
    form = await request.form(max_files=0, max_fields=80)
    return {name: value for name, value in form.items() if isinstance(value, str) and len(value) <= 256}


Fields = Annotated[dict[str, str], Depends(_fields)]
"""All fields of a form, by their names."""


def on_map(fields: Mapping[str, str]) -> bool:
    """Whether the form was sent by the map in it, by a click or a button: nothing is searched then."""
    clicks = ("wide.x", "wide.y", "narrow.x", "narrow.y")
    return bool(fields.get("move")) or any(name in fields for name in clicks)


def spot_clicked(fields: Mapping[str, str], atlas: Atlas, otherwise: View | None = None) -> Spot | None:
    """Return the place that was clicked in a form's map, None if there was none."""
    return clicked(fields, atlas.asked(fields, otherwise))


@dataclass(frozen=True, slots=True)
class Chooser:
    """The two pictures of a map to click on."""

    wide: Drawn
    narrow: Drawn


def chooser(
    atlas: Atlas,
    seen: View,
    markers: list[Marker],
    circles: list[Circle],
    title: str = "Click to choose the place of the search",
) -> Chooser:
    """Return the map of a form."""
    wide, narrow = (atlas.draw(seen.sized(*size), markers, circles, title=title) for size in (WIDE, NARROW))
    return Chooser(wide, narrow)


def spot_of(place: Place) -> Spot:
    """Return the middle of *place*, as a map has it."""
    return Spot(place.latitude_deg, place.longitude_deg)


def written(degrees: float) -> str:
    """Return *degrees* as a field holds them: to a tenth of a metre."""
    return f"{degrees:.6f}"


def place_of(latitude: str, longitude: str, radius_m: str, most_m: float, which: str = "") -> Place | None:
    """Return the place that three fields give, None where none is given.

    *which* names it to the person. Raises NotUnderstoodError.
    """
    given = [latitude, longitude]
    if not any(each.strip() for each in given):
        return None
    try:
        north, east = map(float, given)
        radius = float(radius_m or USUAL_RADIUS_M)
    except ValueError:
        raise NotUnderstoodError(
            f"{which}Latitude, longitude and radius are numbers, in degrees and metres."
        ) from None
    if not (-90 <= north <= 90 and -180 <= east <= 180 and 0 < radius <= most_m):
        raise NotUnderstoodError(
            f"{which}A place lies within 90 and 180 degrees; its radius is at most {most_m:.0f} m."
        )
    return Place(north, east, radius)


def moment_of(name: str, text: str) -> datetime | None:
    """Return the time in *text*, aware UTC; None where it is empty. Raises NotUnderstoodError."""
    if not text.strip():
        return None
    try:
        return datetime.strptime(text.strip()[:16], _MINUTE).replace(tzinfo=UTC)
    except ValueError:
        raise NotUnderstoodError(f"{name}: write it as 2026-11-25T03:40, in UTC.") from None
