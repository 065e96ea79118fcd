"""What belongs to a case, however its number was typed: reads that were shown for it, that were made for it,
and that a canvass for it counted.

An entry of a canvass names one read of each plate and scene that were shown, and says what was asked: by both
the reads that were counted are found again. More may be found, as the entry rounds places and times; never
less.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, text

from server.records import Place
from server.tables import audit, reads

_AT_ONCE = 400
_CANVASS = "reads.canvass"
_SCENE = re.compile(r"(-?[\d.]+) (-?[\d.]+), (\d+) m, ([\dT:-]+)Z to ([\dT:-]+)Z")
"""As `canvass.Scene.text` has it."""
# From each number to the next by the index, past all entries, or reads, of the same one.
_DISTINCT = """
WITH RECURSIVE spelt (number) AS (
    SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL
    UNION ALL
    SELECT (SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL AND {column} > spelt.number)
    FROM spelt WHERE spelt.number IS NOT NULL
)
SELECT number FROM spelt WHERE number IS NOT NULL
"""
_CASES = text(_DISTINCT.format(column="case_number", table="audit"))
_INCIDENTS = text(_DISTINCT.format(column="incident", table="reads"))


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """An entry of the access log that is for a case."""

    sequence: int
    action: str
    detail: dict[str, Any]

    @property
    def shown(self) -> set[str]:
        """Ids of the reads that somebody was shown."""
        found, one = self.detail.get("shown"), self.detail.get("read")
        return {
            *(map(str, found) if isinstance(found, list) else ()),
            *([one] if isinstance(one, str) else ()),
        }

    @property
    def is_canvass(self) -> bool:
        """Whether it is of a canvass, on a page or in a file."""
        return _CANVASS in (self.action, self.detail.get("of"))


def same_case(number: str) -> str:
    """Return what two spellings of one case number have in common."""
    return number.strip().casefold()


def cases_in(connection: Connection) -> list[str]:
    """Return each case number that stands in the access log, as it was typed."""
    return list(connection.execute(_CASES).scalars())


def entries_of(connection: Connection, case_number: str, cases: Iterable[str]) -> list[CaseEntry]:
    """Return the entries of the access log that are for a case, oldest first. *cases* is of `cases_in`: to be
    asked once for many."""
    spellings = _spellings(cases, case_number)
    columns = (audit.c.sequence, audit.c.action, audit.c.detail)
    rows = [
        row
        for part in _parts(spellings)
        for row in connection.execute(select(*columns).where(audit.c.case_number.in_(part)))
    ]
    return [CaseEntry(row.sequence, row.action, json.loads(row.detail)) for row in sorted(rows)]


def incidents_of(connection: Connection, case_number: str) -> list[str]:
    """Return each spelling of a case number that reads are marked with as their incident."""
    return _spellings(connection.execute(_INCIDENTS).scalars(), case_number)


def counted_by(connection: Connection, entry: CaseEntry) -> set[str]:
    """Return the ids of the reads that a canvass counted of the plates that were shown."""
    plates = {
        plate
        for part in _parts(sorted(entry.shown))
        for plate in connection.execute(
            select(reads.c.plate_folded).where(reads.c.read_id.in_(part)).distinct()
        ).scalars()
    }
    asked = entry.detail.get("asked")
    scenes = _SCENE.findall(str(asked.get("scenes", ""))) if isinstance(asked, dict) else []
    found: set[str] = set()
    for latitude, longitude, radius, since, until in scenes:
        # What was rounded is made up for: half a metre of the radius, up to a minute of the end.
        south, north, west, east = Place(float(latitude), float(longitude), float(radius) + 1).sides
        end = _minute(until) + timedelta(minutes=1)
        for part in _parts(sorted(plates)):
            statement = select(reads.c.read_id).where(
                reads.c.plate_folded.in_(part),
                reads.c.settled_at.between(_minute(since), end),
                reads.c.latitude_deg.between(south, north),
                reads.c.longitude_deg.between(west, east),
            )
            found.update(connection.execute(statement).scalars())
    return found


def _spellings(numbers: Iterable[str], case_number: str) -> list[str]:
    wanted = same_case(case_number)
    return [number for number in numbers if wanted and same_case(number) == wanted]


def _minute(said: str) -> datetime:
    return datetime.fromisoformat(said).replace(tzinfo=UTC)


def _parts(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
