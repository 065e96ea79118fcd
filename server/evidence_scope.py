"""Which reads are meant: single ones, a plate, a time, a unit. What is given narrows, all of it together."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from server.records import ReadQuery, plate_pattern
from server.release_errors import EvidenceRefusedError
from server.tables import reads

MOST_READS = 500
"""Of one package: more is no longer a question about somebody, but a copy of the database."""
MOST_ID = 64
_LEAST_CHARACTERS = 2


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked for. Never empty: `checked` sees to it."""

    read_ids: tuple[str, ...] = ()
    plate: str = field(default="", repr=False)
    """As typed: "?" stands for one character, "*" for any run."""
    unit_id: str = ""
    since: datetime | None = None
    """Settled at this moment or later, aware UTC."""
    until: datetime | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """The query elements as the access log keeps them (Cal. Civ. Code 1798.90.52), and as JSON."""
        return {
            "reads": list(self.read_ids),
            "plate": self.plate,
            "unit": self.unit_id,
            "from": "" if self.since is None else self.since.isoformat(),
            "until": "" if self.until is None else self.until.isoformat(),
        }

    @property
    def condition(self) -> ColumnElement[bool]:
        """True of the reads that are meant."""
        parts: list[ColumnElement[bool]] = []
        if self.read_ids:
            parts.append(reads.c.read_id.in_(self.read_ids))
        if pattern := plate_pattern(ReadQuery(self.plate)):
            forms = (reads.c.plate_folded, reads.c.prefix_first_folded, reads.c.prefix_last_folded)
            partial = "_" in pattern or "%" in pattern
            parts.append(or_(*(form.like(pattern) if partial else form == pattern for form in forms)))
        if self.unit_id:
            parts.append(reads.c.unit_id == self.unit_id)
        if self.since is not None:
            parts.append(reads.c.settled_at >= self.since)
        if self.until is not None:
            parts.append(reads.c.settled_at <= self.until)
        return and_(*parts)


@dataclass(frozen=True, slots=True)
class ScopeRead:
    """A read that is meant, without what it says."""

    read_id: str
    unit_id: str
    settled_at: datetime


def checked(scope: Scope) -> Scope:
    """Return *scope* with each id once.

    Raises EvidenceRefusedError if it names too much, or nothing: neither reads, nor a plate, nor a time with
    both its ends.
    """
    ids = tuple(sorted({each.strip() for each in scope.read_ids} - {""}))
    if len(ids) > MOST_READS or any(len(each) > MOST_ID for each in ids):
        raise EvidenceRefusedError(f"at most {MOST_READS} reads can be named, by their ids")
    pattern = plate_pattern(ReadQuery(scope.plate))
    if scope.plate.strip() and len(pattern.replace("%", "").replace("_", "")) < _LEAST_CHARACTERS:
        raise EvidenceRefusedError(f"a plate needs at least {_LEAST_CHARACTERS} of its characters")
    times = [each for each in (scope.since, scope.until) if each is not None]
    if any(each.tzinfo is None for each in times) or (len(times) == 2 and times[0] >= times[1]):
        raise EvidenceRefusedError("a time needs its timezone, and its beginning before its end")
    if not ids and not pattern and len(times) < 2:
        raise EvidenceRefusedError("say which reads: their ids, a plate, or a time with beginning and end")
    return Scope(ids, scope.plate.strip(), scope.unit_id.strip(), scope.since, scope.until)


def to_json(scope: Scope) -> str:
    """Return *scope* as text that `from_json` takes."""
    return json.dumps(scope.asked, sort_keys=True)


def from_json(text: str) -> Scope:
    """Return the scope that `to_json` wrote."""
    asked = json.loads(text)
    return Scope(
        tuple(asked["reads"]), asked["plate"], asked["unit"], _moment(asked["from"]), _moment(asked["until"])
    )


def reads_in(connection: Connection, scope: Scope, limit: int = MOST_READS + 1) -> list[ScopeRead]:
    """Return the reads that are meant and held, oldest first, at most *limit*."""
    rows = connection.execute(
        select(reads.c.read_id, reads.c.unit_id, reads.c.settled_at)
        .where(scope.condition)
        .order_by(reads.c.settled_at, reads.c.read_id)
        .limit(limit)
    )
    return [ScopeRead(row.read_id, row.unit_id, row.settled_at) for row in rows]


def chosen_in(connection: Connection, scope: Scope, chosen: Iterable[str] = ()) -> list[str]:
    """Return the ids of the reads in *scope*, or those *chosen* of them.

    Raises EvidenceRefusedError if one of *chosen* is outside, nothing is left, or it is more than a package
    may hold.
    """
    wanted = {each.strip() for each in chosen} - {""}
    if len(wanted) > MOST_READS:
        raise EvidenceRefusedError(f"a package holds at most {MOST_READS} reads: make several")
    condition = scope.condition if not wanted else and_(scope.condition, reads.c.read_id.in_(wanted))
    statement = select(reads.c.read_id).where(condition).order_by(reads.c.settled_at, reads.c.read_id)
    found = list(connection.execute(statement.limit(MOST_READS + 1)).scalars())
    if outside := len(wanted - set(found)):
        raise EvidenceRefusedError(f"{outside} of the chosen reads are outside the scope, or are not held")
    if not found:
        raise EvidenceRefusedError("no read that is held is in the scope")
    if len(found) > MOST_READS:
        raise EvidenceRefusedError(
            f"more than {MOST_READS} reads are in the scope: narrow it, or choose of them"
        )
    return found


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
