"""The fleet: each unit with what it last said of itself, and what of it needs a person.

Nothing here goes through the reads: ten thousand units are ten thousand rows of `units`. What is counted by
the day is asked for the few units of one page (`counted_today`), by indexes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Row, func, select

from server.map_view import Spot
from server.tables import hits, hotlist_snapshots, reads, units
from server.unit_needs import Facts, Need, needs_of
from server.unit_words import said_status
from sync.unit_status import UnitStatus

LIVE_FOR = timedelta(minutes=15)
"""So long a word holds: units tell their status each minute by MQTT, each five by HTTPS."""
PLACE_FOR = timedelta(days=30)
"""An older place says nothing of where a unit is."""
_RANK = {"bad": 0, "warn": 1}


@dataclass(frozen=True, slots=True)
class FleetUnit:
    """One unit as the fleet page shows it. Times are aware UTC."""

    unit_id: str
    revoked: bool
    enrolled_at: datetime
    certificate_expires_at: datetime
    last_batch_at: datetime | None
    heard_at: datetime | None
    """When it last said or sent anything."""
    live: bool
    """It is online and said so lately."""
    status: UnitStatus | None
    """What it last said of itself; None: nothing, or in the words of another version."""
    status_at: datetime | None
    other_version: bool
    """It speaks, but not in this version's words."""
    days_used: int
    """Of the 30 within which its oldest read must reach the department."""
    place: Spot | None
    """Of its newest read with a fix, if no older than `PLACE_FOR`."""
    place_at: datetime | None
    needs: tuple[Need, ...]
    """What of it needs a person, the worst first."""

    @property
    def level(self) -> str:
        """The worst of its needs: "bad", "warn" or "good"."""
        return self.needs[0].level if self.needs else "good"

    @property
    def clock_level(self) -> str:
        """Of the 30-day clock: "bad" from 28 days on, "warn" from 21."""
        return "bad" if self.days_used >= 28 else "warn" if self.days_used >= 21 else "good"


@dataclass(frozen=True, slots=True)
class NewestList:
    """The hotlist that the department published last."""

    sequence: int
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Fleet:
    """All units at one moment, those first that need a person most; the revoked last."""

    units: tuple[FleetUnit, ...]
    newest: NewestList | None

    @property
    def active(self) -> int:
        """How many may hand in."""
        return sum(not unit.revoked for unit in self.units)

    @property
    def live(self) -> int:
        """How many say now how they are."""
        return sum(unit.live for unit in self.units)

    @property
    def needing(self) -> tuple[FleetUnit, ...]:
        """Those that need a person."""
        return tuple(unit for unit in self.units if unit.needs)

    @property
    def reasons(self) -> list[tuple[str, str, int]]:
        """Why they do: kind of need, its worst level, how many units have it; the most urgent first."""
        counts: Counter[str] = Counter()
        worst: dict[str, str] = {}
        for unit in self.units:
            for kind in {need.kind for need in unit.needs}:
                counts[kind] += 1
            for need in unit.needs:
                if _RANK[need.level] <= _RANK[worst.get(need.kind, "warn")]:
                    worst[need.kind] = need.level
        order = sorted(counts, key=lambda kind: (_RANK[worst[kind]], -counts[kind], kind))
        return [(kind, worst[kind], counts[kind]) for kind in order]


@dataclass(frozen=True, slots=True)
class Today:
    """What the department holds of one unit since 0:00 UTC, by the reads' own times."""

    reads: int = 0
    hits: int = 0


def fleet(connection: Connection, now: datetime) -> Fleet:
    """Return all units as they stand at *now*."""
    newest = newest_list(connection)
    found = [_unit(row, newest, now) for row in connection.execute(select(units))]
    return Fleet(tuple(sorted(found, key=_urgency)), newest)


def one_unit(connection: Connection, unit_id: str, now: datetime) -> FleetUnit | None:
    """Return one unit as it stands at *now*; None if there is none of that id."""
    row = connection.execute(select(units).where(units.c.unit_id == unit_id)).first()
    return None if row is None else _unit(row, newest_list(connection), now)


def newest_list(connection: Connection) -> NewestList | None:
    """Return the list published last; None before the first."""
    row = connection.execute(
        select(hotlist_snapshots.c.sequence, hotlist_snapshots.c.issued_at)
        .order_by(hotlist_snapshots.c.sequence.desc())
        .limit(1)
    ).first()
    return None if row is None else NewestList(row.sequence, row.issued_at)


def counted_today(connection: Connection, unit_ids: Sequence[str], now: datetime) -> dict[str, Today]:
    """Return what is held of each of a few units since 0:00 UTC of *now*'s day; at most a hundred or so."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    until = midnight + timedelta(days=1)

    taken = select(reads.c.unit_id, func.count()).where(
        reads.c.unit_id.in_(unit_ids), reads.c.settled_at >= midnight, reads.c.settled_at < until
    )
    met = (
        select(reads.c.unit_id, func.count(func.distinct(hits.c.read_id)))
        .join(hits, hits.c.read_id == reads.c.read_id)
        .where(reads.c.unit_id.in_(unit_ids), reads.c.settled_at >= midnight, reads.c.settled_at < until)
    )
    read_counts = {str(u): int(n) for u, n in connection.execute(taken.group_by(reads.c.unit_id))}
    hit_counts = {str(u): int(n) for u, n in connection.execute(met.group_by(reads.c.unit_id))}
    return {each: Today(read_counts.get(each, 0), hit_counts.get(each, 0)) for each in unit_ids}


def _unit(row: Row[tuple[object, ...]], newest: NewestList | None, now: datetime) -> FleetUnit:
    revoked = row.revoked_at is not None
    status, said_at = said_status(row.status), row.state_at
    live = not revoked and row.state == "online" and said_at is not None and now - said_at <= LIVE_FOR
    heard_at = max((at for at in (row.last_batch_at, said_at) if at is not None), default=None)
    days_used = _days_used(row, status, now)
    placed = row.place_at is not None and now - row.place_at <= PLACE_FOR
    facts = Facts(
        status=status,
        live=live,
        enrolled_at=row.enrolled_at,
        heard_at=heard_at,
        days_used=days_used,
        certificate_expires_at=row.certificate_expires_at,
        newest_sequence=0 if newest is None else newest.sequence,
        newest_issued_at=None if newest is None else newest.issued_at,
    )
    return FleetUnit(
        unit_id=row.unit_id,
        revoked=revoked,
        enrolled_at=row.enrolled_at,
        certificate_expires_at=row.certificate_expires_at,
        last_batch_at=row.last_batch_at,
        heard_at=heard_at,
        live=live,
        status=status,
        status_at=row.status_at,
        other_version=row.state == "online" and status is None,
        days_used=days_used,
        place=Spot(row.latitude_deg, row.longitude_deg) if placed else None,
        place_at=row.place_at if placed else None,
        needs=() if revoked else needs_of(facts, now),
    )


def _days_used(row: Row[tuple[object, ...]], status: UnitStatus | None, now: datetime) -> int:
    """Return how old the oldest read that waits on the unit may be, in whole days.

    What a unit gathered after it was last heard is at most as old as that.
    """
    since: datetime = row.last_batch_at or row.enrolled_at
    if status is not None and (row.last_batch_at is None or row.status_at >= row.last_batch_at):
        waited = timedelta(days=max(0.0, min(30.0, 30.0 - status.days_left)))
        since = row.status_at - (waited if status.queued else timedelta(0))
    return max(0, (now - since).days)


def _urgency(unit: FleetUnit) -> tuple[bool, int, int, str]:
    worst = _RANK[unit.needs[0].level] if unit.needs else len(_RANK)
    return unit.revoked, worst, -len(unit.needs), unit.unit_id
