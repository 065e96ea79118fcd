"""A canvass: which plates passed a place at a time, and which passed several of them.

Only facts are counted here. Who lives or works there passes it every day: so with each plate stands how many
reads of it are held in all. What a read corrects is left out, so that a passing counts once.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from server.ground import metres_between
from server.records import Place
from server.tables import reads

MOST_SCENES = 5
MOST_RADIUS_M = 5_000.0
LONGEST = timedelta(days=7)
MOST_READS = 20_000
"""Of one scene: the newest. More is no canvass, but a copy of the database."""
MOST_PLATES = 500
"""Told of one canvass."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Scene:
    """A place and a time."""

    place: Place = field(repr=False)
    since: datetime
    """Aware UTC."""
    until: datetime

    @property
    def text(self) -> str:
        """As the access log has it."""
        place = self.place
        where = f"{place.latitude_deg:.6f} {place.longitude_deg:.6f}, {place.radius_m:.0f} m"
        return f"{where}, {self.since:%Y-%m-%dT%H:%M}Z to {self.until:%Y-%m-%dT%H:%M}Z"


@dataclass(frozen=True, slots=True)
class CanvassQuestion:
    """What is asked."""

    scenes: tuple[Scene, ...]
    least: int = 1
    """A plate was at so many of the scenes."""

    @property
    def asked(self) -> dict[str, Any]:
        """The query elements as the access log keeps them (Cal. Civ. Code 1798.90.52)."""
        return {"scenes": "; ".join(scene.text for scene in self.scenes), "at least": self.least}


@dataclass(frozen=True, slots=True)
class AtScene:
    """One plate at one scene."""

    reads: int
    first: datetime
    last: datetime
    cameras: tuple[str, ...]
    """Unit and camera."""
    read_id: str
    """Of its surest read there."""
    latitude_deg: float = field(repr=False)
    longitude_deg: float = field(repr=False)
    clock_unsure: bool


@dataclass(frozen=True, slots=True)
class CanvassPlate:
    """One plate that passed."""

    plate: str = field(repr=False)
    """As it was read most often."""
    states: tuple[str, ...]
    scenes: Mapping[int, AtScene]
    """By the scene's number, from 1."""
    overall: int
    """Reads of it that are held in all, of every time and place."""

    @property
    def reads(self) -> int:
        """Reads at all the scenes."""
        return sum(each.reads for each in self.scenes.values())


@dataclass(frozen=True, slots=True)
class Canvassed:
    """The answer."""

    plates: tuple[CanvassPlate, ...]
    """At most scenes first, then those that are read least elsewhere; at most `MOST_PLATES`."""
    found: int
    """Plates in all, also those that are not told."""
    reads: tuple[int, ...]
    """Looked at, scene by scene."""
    cut: tuple[int, ...]
    """Numbers of the scenes with more than `MOST_READS`, whose older reads were left out."""

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return not self.cut and self.found == len(self.plates)

    @property
    def read_ids(self) -> list[str]:
        """A read of each plate and scene that are told."""
        return [each.read_id for plate in self.plates for each in plate.scenes.values()]


def checked(question: CanvassQuestion) -> CanvassQuestion:
    """Return *question*. Raises ValueError, with what to tell the person, if it asks for too much."""
    if not 1 <= len(question.scenes) <= MOST_SCENES:
        raise ValueError(f"Give 1 to {MOST_SCENES} scenes, each with its place and its time.")
    if not 1 <= question.least <= len(question.scenes):
        raise ValueError("A plate can be at one scene at least, and at all of them at most.")
    for number, scene in enumerate(question.scenes, 1):
        place = scene.place
        if not (abs(place.latitude_deg) <= 90 and abs(place.longitude_deg) <= 180):
            raise ValueError(f"Scene {number}: a place lies within 90 and 180 degrees.")
        if not 0 < place.radius_m <= MOST_RADIUS_M:
            raise ValueError(f"Scene {number}: the radius is above 0 and at most {MOST_RADIUS_M:.0f} m.")
        if not timedelta(0) < scene.until - scene.since <= LONGEST:
            raise ValueError(f"Scene {number}: its time ends after it begins, within {LONGEST.days} days.")
    return question


def canvass(connection: Connection, question: CanvassQuestion) -> Canvassed:
    """Return the plates that passed. Raises ValueError as `checked` does."""
    checked(question)
    by_plate: dict[str, dict[int, list[Row[Any]]]] = defaultdict(dict)
    looked_at, cut = [], []
    for number, scene in enumerate(question.scenes, 1):
        found = _reads_at(connection, scene)
        if len(found) > MOST_READS:
            cut.append(number)
            found = found[:MOST_READS]
        found = [row for row in uncorrected(found) if _inside(row, scene.place)]
        looked_at.append(len(found))
        for row in found:
            by_plate[row.plate_folded].setdefault(number, []).append(row)
    enough = {plate: at for plate, at in by_plate.items() if len(at) >= question.least}
    # Counting all reads of a plate asks the database once more: only of those that will be told.
    told = sorted(enough, key=lambda plate: (-len(enough[plate]), -_reads_in(enough[plate]), plate))
    overall = reads_held(connection, told[:MOST_PLATES])
    plates = [_plate(enough[plate], overall[plate]) for plate in told[:MOST_PLATES]]
    plates.sort(key=lambda each: (-len(each.scenes), each.overall, each.plate))
    return Canvassed(tuple(plates), len(enough), tuple(looked_at), tuple(cut))


def uncorrected(found: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Return the rows without those that others of them correct."""
    corrected = {(row.unit_id, row.revises) for row in found if row.revises is not None}
    return [row for row in found if (row.unit_id, row.read_id) not in corrected]


def reads_held(connection: Connection, plates: Sequence[str]) -> Counter[str]:
    """Return how many reads of each of the folded *plates* are held."""
    held: Counter[str] = Counter()
    for start in range(0, len(plates), _AT_ONCE):
        rows = connection.execute(
            select(reads.c.plate_folded, func.count().label("held"))
            .where(reads.c.plate_folded.in_(plates[start : start + _AT_ONCE]))
            .group_by(reads.c.plate_folded)
        )
        held.update({row.plate_folded: row.held for row in rows})
    return held


def _reads_at(connection: Connection, scene: Scene) -> Sequence[Row[Any]]:
    south, north, west, east = scene.place.sides
    columns = ("read_id", "plate", "plate_folded", "confidence", "jurisdiction", "jurisdiction_confidence")
    more = ("settled_at", "time_quality", "unit_id", "camera", "latitude_deg", "longitude_deg", "revises")
    statement = (
        select(*(reads.c[name] for name in (*columns, *more)))
        .where(reads.c.settled_at.between(scene.since, scene.until))
        .where(reads.c.latitude_deg.between(south, north), reads.c.longitude_deg.between(west, east))
        .order_by(reads.c.settled_at.desc(), reads.c.read_id)
        .limit(MOST_READS + 1)
    )
    return connection.execute(statement).all()


def _inside(row: Row[Any], place: Place) -> bool:
    way_m = metres_between(place.latitude_deg, place.longitude_deg, row.latitude_deg, row.longitude_deg)
    return way_m <= place.radius_m


def _reads_in(at: Mapping[int, Sequence[Row[Any]]]) -> int:
    return sum(map(len, at.values()))


def _plate(at: Mapping[int, Sequence[Row[Any]]], overall: int) -> CanvassPlate:
    rows = [row for some in at.values() for row in some]
    likely = [row for row in rows if (row.jurisdiction_confidence or 0.0) >= 0.5]
    return CanvassPlate(
        Counter(row.plate for row in rows).most_common(1)[0][0],
        tuple(sorted({row.jurisdiction for row in likely})),
        {number: _at_scene(some) for number, some in sorted(at.items())},
        overall,
    )


def _at_scene(rows: Sequence[Row[Any]]) -> AtScene:
    surest = max(rows, key=lambda row: row.confidence)
    return AtScene(
        len(rows),
        min(row.settled_at for row in rows),
        max(row.settled_at for row in rows),
        tuple(sorted({f"{row.unit_id} {row.camera}" for row in rows})),
        surest.read_id,
        surest.latitude_deg,
        surest.longitude_deg,
        any(row.time_quality == "unsynchronised" for row in rows),
    )
