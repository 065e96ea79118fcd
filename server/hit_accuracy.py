"""How well plates are read in service: from what people said of hits, and of reads drawn at random.

Two measures that must not be mixed. Hits are few, and each met a list: of all reads that a misread turns into
a listed plate, every one is here, so that hits look worse than reads are. The sample is of all reads, and is
small. Both are told with their 95 % interval, none below 10 cases, and beside them how much nobody judged:
silence is not accuracy.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Subquery, and_, func, select

from hotlist_cache.verification import Disposition
from server.audit_period import Period
from server.database import reading
from server.daylight import daylight
from server.dispositions import Verdict
from server.hit_tables import dispositions
from server.intervals import Share
from server.plate_differences import Difference, from_text
from server.tables import hits, reads

BANDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.01)
"""Upper ends of the bands of confidence, each excluded."""
_RIGHT = (Disposition.CONFIRMED, Disposition.NO_LONGER_WANTED, Verdict.AS_READ)
"""The plate and its state were as read; a list that is out of date is not the reader's fault."""
Rows = Sequence[Any]
_JUDGED = (*_RIGHT, Disposition.MISREAD, Disposition.WRONG_JURISDICTION)


@dataclass(frozen=True, slots=True)
class Case:
    """One read that somebody said something of."""

    verdict: str
    unit_id: str
    camera: str
    list_name: str
    """"" of a read drawn at random."""
    state: str
    """As read; "" where it was not known."""
    seen_at: datetime
    daylight: str
    confidence: float
    """Of the weakest character."""
    plate: str = field(repr=False)
    """As read; "" where the read is purged."""
    differences: tuple[Difference, ...] = field(default=(), repr=False)

    @property
    def judged(self) -> bool:
        """Whether it says anything of the reader; "not pursued" does not."""
        return self.verdict in _JUDGED


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a camera, a state, an hour."""

    name: str
    judged: int
    right: Share
    misread: Share
    wrong_state: Share
    stale: Share
    """No longer wanted."""
    said: float
    """The mean confidence that the reader gave, in [0, 1]; 0 where nothing was judged."""


@dataclass(frozen=True, slots=True)
class CharacterRow:
    """One character as it was read, over all reads whose true plate is known."""

    read: str
    wrong: Share
    taken_for: tuple[tuple[str, int], ...]
    """What it truly was, the most frequent first; "" where there was none."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One of the two measures, by everything that is asked."""

    whole: Row
    by: tuple[tuple[str, tuple[Row, ...]], ...]
    """Title and lines."""
    characters: tuple[CharacterRow, ...]
    """Those that were wrong at least once."""
    missed: tuple[tuple[str, int], ...]
    """Characters of the plate that were not read at all."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Everything the page of accuracy says."""

    period: Period
    hits: int
    """Of reads of the period that are held."""
    without: Share
    """Of them nobody said anything of so many."""
    not_pursued: int
    measured: Measure
    drawn: int
    """Reads drawn at random in all."""
    unjudged: Share
    """Of them not judged, or the picture did not tell."""
    sample: Measure


def accuracy(connection: Connection, period: Period, named: Callable[[str], str] = str) -> Accuracy:
    """Return how well plates were read in *period*, by the time at which they were seen.

    *named* gives a list's name as it may be shown.
    """
    return _told(period, _gathered(connection, period), named)


def accuracy_of(engine: Engine, period: Period, named: Callable[[str], str] = str) -> Accuracy:
    """The same in a transaction of its own, which ends before anything is computed: on SQLite nobody writes
    while somebody reads."""
    with reading(engine) as connection:
        rows = _gathered(connection, period)
    return _told(period, rows, named)


def _gathered(connection: Connection, period: Period) -> tuple[Rows, Rows, int]:
    held = hits.c.settled_at >= period.start, hits.c.settled_at < period.end
    count = connection.execute(select(func.count()).select_from(hits).where(*held)).scalar_one()
    return _hit_rows(connection, period), _sample_rows(connection, period), count


def _told(period: Period, rows: tuple[Rows, Rows, int], named: Callable[[str], str]) -> Accuracy:
    found = [replace(case, list_name=named(case.list_name)) for case in _of_hits(rows[0])]
    drawn, count = _of_sample(rows[1]), rows[2]
    told = sum(case.judged for case in drawn)
    return Accuracy(
        period=period,
        hits=count,
        without=Share(count - len(found), count),
        not_pursued=sum(case.verdict == Disposition.NOT_PURSUED for case in found),
        measured=measure(found, of_hits=True),
        drawn=len(drawn),
        unjudged=Share(len(drawn) - told, len(drawn)),
        sample=measure(drawn, of_hits=False),
    )


def measure(cases: Sequence[Case], *, of_hits: bool) -> Measure:
    """Return what *cases* say, by camera, unit, state, hour, light, confidence and, of hits, list."""
    judged = [case for case in cases if case.judged]
    by = [
        ("Camera", _rows(judged, [f"{case.unit_id}, {case.camera}" for case in judged])),
        ("Unit", _rows(judged, [case.unit_id for case in judged])),
        ("State as read", _rows(judged, [case.state or "unknown" for case in judged])),
        ("Light", _rows(judged, [case.daylight for case in judged])),
        ("Hour, UTC", _rows(judged, [f"{case.seen_at:%H}" for case in judged])),
        ("Confidence of the weakest character", _rows(judged, [band_of(case.confidence) for case in judged])),
    ]
    if of_hits:
        by.insert(2, ("List", _rows(judged, [case.list_name for case in judged])))
    return Measure(_row("all", judged), tuple(by), _characters(judged), _missed(judged))


def band_of(confidence: float) -> str:
    """Return the band that *confidence*, in [0, 1], is in: "0.90 to 0.95"."""
    low = 0.0
    for high in BANDS:
        if confidence < high:
            return f"{low:.2f} to {min(high, 1.0):.2f}"
        low = high
    return f"{BANDS[-2]:.2f} to 1.00"


def _rows(cases: Sequence[Case], names: Iterable[str]) -> tuple[Row, ...]:
    found: dict[str, list[Case]] = {}
    for case, name in zip(cases, names, strict=True):
        found.setdefault(name, []).append(case)
    return tuple(_row(name, found[name]) for name in sorted(found))


def _row(name: str, cases: Sequence[Case]) -> Row:
    came, of = Counter(case.verdict for case in cases), len(cases)
    return Row(
        name,
        of,
        Share(sum(came[verdict] for verdict in _RIGHT), of),
        Share(came[Disposition.MISREAD], of),
        Share(came[Disposition.WRONG_JURISDICTION], of),
        Share(came[Disposition.NO_LONGER_WANTED], of),
        sum(case.confidence for case in cases) / of if of else 0.0,
    )


def _characters(cases: Iterable[Case]) -> tuple[CharacterRow, ...]:
    stood: Counter[str] = Counter()
    taken: dict[str, Counter[str]] = {}
    for case in cases:
        # A car says "misread" and not what the plate was: then nothing is known of any character.
        if not case.plate or (case.verdict == Disposition.MISREAD and not case.differences):
            continue
        stood.update(case.plate)
        for each in case.differences:
            if each.read:
                taken.setdefault(each.read, Counter())[each.true] += 1
    rows = [
        CharacterRow(read, Share(true.total(), stood[read]), tuple(true.most_common()))
        for read, true in taken.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.wrong.count, row.read)))


def _missed(cases: Iterable[Case]) -> tuple[tuple[str, int], ...]:
    found = Counter(each.true for case in cases for each in case.differences if not each.read)
    return tuple(found.most_common())


def _hit_rows(connection: Connection, period: Period) -> Rows:
    last = _last()
    return connection.execute(
        select(
            hits.c.disposition,
            hits.c.list_name,
            hits.c.settled_at,
            reads.c.unit_id,
            reads.c.camera,
            reads.c.jurisdiction,
            reads.c.jurisdiction_confidence,
            reads.c.confidence,
            reads.c.plate,
            reads.c.latitude_deg,
            reads.c.longitude_deg,
            dispositions.c.differences,
        )
        # With the time, PostgreSQL looks into the read's own month alone.
        .join(reads, and_(reads.c.read_id == hits.c.read_id, reads.c.settled_at == hits.c.settled_at))
        .outerjoin(last, and_(last.c.read_id == hits.c.read_id, last.c.hit_id == hits.c.hit_id))
        .outerjoin(dispositions, dispositions.c.number == last.c.number)
        .where(
            hits.c.disposition.is_not(None),
            hits.c.settled_at >= period.start,
            hits.c.settled_at < period.end,
        )
    ).all()


def _of_hits(rows: Rows) -> list[Case]:
    return [
        Case(
            row.disposition,
            row.unit_id,
            row.camera,
            row.list_name,
            (row.jurisdiction or "") if (row.jurisdiction_confidence or 0.0) >= 0.5 else "",
            row.settled_at,
            daylight(row.settled_at, row.latitude_deg, row.longitude_deg),
            row.confidence,
            row.plate,
            from_text(row.differences or ""),
        )
        for row in rows
    ]


def _sample_rows(connection: Connection, period: Period) -> Rows:
    last = _last()
    return connection.execute(
        select(dispositions, reads.c.plate)
        .join(last, last.c.number == dispositions.c.number)
        .outerjoin(
            reads,
            and_(reads.c.read_id == dispositions.c.read_id, reads.c.settled_at == dispositions.c.seen_at),
        )
        .where(
            dispositions.c.hit_id == "",
            dispositions.c.seen_at >= period.start,
            dispositions.c.seen_at < period.end,
        )
    ).all()


def _of_sample(rows: Rows) -> list[Case]:
    return [
        Case(
            row.verdict,
            row.unit_id,
            row.camera,
            "",
            row.state,
            row.seen_at,
            row.daylight,
            row.confidence,
            row.plate or "",
            from_text(row.differences),
        )
        for row in rows
    ]


def _last() -> Subquery:
    return (
        select(dispositions.c.read_id, dispositions.c.hit_id, func.max(dispositions.c.number).label("number"))
        .group_by(dispositions.c.read_id, dispositions.c.hit_id)
        .subquery()
    )
