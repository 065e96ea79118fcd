"""A convoy: which plates were read again and again close to one plate.

A busy street gives every plate company. So beside how often two were together stands how often chance alone
would have it: if the other's reads of that time were strewn over all reads, so many of them would have fallen
close to this plate. It is an aid to the eye, no evidence: that cars share a street and an hour is no chance.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from recognizer.plate import fold, normalise
from server.alike import texts_alike
from server.canvass import reads_held, uncorrected
from server.ground import metres_between
from server.records import Place
from server.tables import reads

LONGEST = timedelta(days=92)
MOST_SECONDS, MOST_METRES = 600, 2_000.0
MOST_PASSINGS = 300
"""Reads of the plate whose surroundings are looked at: the newest."""
MOST_NEAR = 500
"""Reads looked at around each of them."""
MOST_COMPANIONS = 200
OCCASION = timedelta(minutes=5)
"""Reads of the plate that follow each other sooner are one occasion: one drive past several cameras."""
OFTEN = 3
"""A plate that is read so many times as often as it was close is a common one."""
_COLUMNS = ("read_id", "plate", "plate_folded", "confidence", "settled_at", "unit_id", "revises")


@dataclass(frozen=True, slots=True)
class ConvoyQuestion:
    """What is asked."""

    plate: str = field(repr=False)
    since: datetime
    """Aware UTC."""
    until: datetime
    within_s: int = 30
    within_m: float = 100.0
    """By another unit: so near. By the same unit the seconds are enough."""
    least: int = 2
    """Occasions on which they were together."""

    @property
    def asked(self) -> dict[str, Any]:
        """The query elements as the access log keeps them (Cal. Civ. Code 1798.90.52)."""
        return {
            "plate": self.plate,
            "from": self.since.isoformat(),
            "until": self.until.isoformat(),
            "within s": self.within_s,
            "within m": self.within_m,
            "at least": self.least,
        }


@dataclass(frozen=True, slots=True)
class Companion:
    """A plate that was close again and again."""

    plate: str = field(repr=False)
    together: int
    """Occasions."""
    first: datetime
    last: datetime
    units: tuple[str, ...]
    read_id: str
    """Of its surest read close by."""
    in_span: int
    """Reads of it in the time that was asked for."""
    overall: int
    """Reads of it that are held in all."""
    expected: float
    """Of its reads, so many would be close to the plate by chance."""
    chance: float
    """That it would be as often as it was, or oftener (Poisson)."""
    alike: bool
    """It could be the same plate, misread."""

    @property
    def common(self) -> bool:
        """Whether chance alone explains it: a car that is read often where this one is."""
        return self.chance >= 0.05 and self.in_span >= OFTEN * self.together


@dataclass(frozen=True, slots=True)
class Convoyed:
    """The answer."""

    companions: tuple[Companion, ...]
    """Most often together first, then the least likely by chance; at most `MOST_COMPANIONS`."""
    found: int
    """Companions in all, also those that are not told."""
    reads: int
    """Of the plate, in the time that was asked for, whose surroundings were looked at."""
    occasions: int
    cut: bool
    """More reads of the plate, or around one of them, than are looked at."""

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return not self.cut and self.found == len(self.companions)

    @property
    def read_ids(self) -> list[str]:
        """A read of each companion that is told."""
        return [each.read_id for each in self.companions]


@dataclass(slots=True)
class _Near:
    """What was read close to the plate."""

    occasions: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    rows: dict[str, dict[str, Row[Any]]] = field(default_factory=lambda: defaultdict(dict))
    cut: bool = False


def checked(question: ConvoyQuestion) -> ConvoyQuestion:
    """Return *question*. Raises ValueError, with what to tell the person, if it asks for too much."""
    if "?" in question.plate or "*" in question.plate or len(normalise(question.plate)) < 2:
        raise ValueError("Give a whole plate: letters and digits, without ? and *.")
    if not timedelta(0) < question.until - question.since <= LONGEST:
        raise ValueError(f"The time ends after it begins, within {LONGEST.days} days.")
    if not 1 <= question.within_s <= MOST_SECONDS or not 0 < question.within_m <= MOST_METRES:
        raise ValueError(f"Close is at most {MOST_SECONDS} seconds and {MOST_METRES:.0f} metres.")
    if not 2 <= question.least <= 100:
        raise ValueError("Together at least 2 times, and at most 100: once is no convoy.")
    return question


def convoy(connection: Connection, question: ConvoyQuestion) -> Convoyed:
    """Return the companions of a plate. Raises ValueError as `checked` does."""
    checked(question)
    wanted = str(fold(normalise(question.plate)))
    forms = (reads.c.plate_folded, reads.c.prefix_first_folded, reads.c.prefix_last_folded)
    during = reads.c.settled_at.between(question.since, question.until)
    statement = select(*(reads.c[name] for name in (*_COLUMNS, "latitude_deg", "longitude_deg")))
    own = connection.execute(
        statement.where(or_(*(form == wanted for form in forms)), during)
        .order_by(reads.c.settled_at.desc(), reads.c.read_id)
        .limit(MOST_PASSINGS + 1)
    ).all()
    passings = uncorrected(own[:MOST_PASSINGS])[::-1]
    near = _near(connection, question, passings)
    near.cut = near.cut or len(own) > MOST_PASSINGS
    for plate in {wanted, *(row.plate_folded for row in passings)}:
        near.occasions.pop(plate, None)
    enough = [plate for plate, at in near.occasions.items() if len(at) >= question.least]
    told = sorted(enough, key=lambda plate: (-len(near.occasions[plate]), plate))[:MOST_COMPANIONS]
    close = sum(len(near.rows[plate]) for plate in near.occasions)
    everything = connection.execute(select(func.count()).select_from(reads).where(during)).scalar_one()
    in_span, overall = _in_span(connection, told, question), reads_held(connection, told)
    same = _misreads(question.plate)
    companions = [
        _companion(
            near,
            plate,
            # Its own reads left out: else a rare pair would itself be what is usual.
            (close - len(near.rows[plate])) / max(everything - in_span[plate], 1),
            in_span=in_span[plate],
            overall=overall[plate],
            alike=plate in same,
        )
        for plate in told
    ]
    companions.sort(key=lambda each: (-each.together, each.expected, each.plate))
    occasions = len({number for number, _ in _occasions(passings)})
    return Convoyed(tuple(companions), len(enough), len(passings), occasions, near.cut)


def poisson_tail(expected: float, times: int) -> float:
    """Return the chance of *times* or more where *expected* are expected (Poisson)."""
    if times <= 0:
        return 1.0
    term, below = math.exp(-expected), 0.0
    for number in range(times):
        below += term
        term *= expected / (number + 1)
    if below < 0.999:
        return 1.0 - below
    # What is left would drown in rounding: it is added up from its own first term.
    tail, number = 0.0, times
    while term > tail * 1e-12 and number < times + 1000:
        tail += term
        number += 1
        term *= expected / number
    return tail


def _near(connection: Connection, question: ConvoyQuestion, passings: Sequence[Row[Any]]) -> _Near:
    near, within = _Near(), timedelta(seconds=question.within_s)
    for occasion, row in _occasions(passings):
        around = reads.c.settled_at.between(row.settled_at - within, row.settled_at + within)
        columns = [reads.c[name] for name in (*_COLUMNS, "latitude_deg", "longitude_deg")]
        ways = [select(*columns).where(reads.c.unit_id == row.unit_id, around)]
        if row.latitude_deg is not None:
            south, north, west, east = Place(row.latitude_deg, row.longitude_deg, question.within_m).sides
            inside = (reads.c.latitude_deg.between(south, north), reads.c.longitude_deg.between(west, east))
            ways.append(select(*columns).where(around, *inside))
        # Two questions, not one with OR: each is then answered by an index of its own.
        for number, way in enumerate(ways):
            found = connection.execute(way.limit(MOST_NEAR + 1)).all()
            near.cut = near.cut or len(found) > MOST_NEAR
            for each in uncorrected(found[:MOST_NEAR]):
                if number == 0 or _close(row, each, question.within_m):
                    near.occasions[each.plate_folded].add(occasion)
                    near.rows[each.plate_folded][each.read_id] = each
    return near


def _close(row: Row[Any], other: Row[Any], within_m: float) -> bool:
    ends = (row.latitude_deg, row.longitude_deg, other.latitude_deg, other.longitude_deg)
    return metres_between(*ends) <= within_m


def _occasions(passings: Sequence[Row[Any]]) -> Iterator[tuple[int, Row[Any]]]:
    """Give each of *passings*, oldest first, with the number of its occasion."""
    number, before = 0, None
    for row in passings:
        if before is not None and row.settled_at - before > OCCASION:
            number += 1
        before = row.settled_at
        yield number, row


def _in_span(connection: Connection, plates: Sequence[str], question: ConvoyQuestion) -> Counter[str]:
    rows = connection.execute(
        select(reads.c.plate_folded, func.count().label("held"))
        .where(reads.c.plate_folded.in_(plates))
        .where(reads.c.settled_at.between(question.since, question.until))
        .group_by(reads.c.plate_folded)
    )
    return Counter({row.plate_folded: row.held for row in rows})


def _misreads(plate: str) -> frozenset[str]:
    try:
        return frozenset(texts_alike(plate).texts)
    except ValueError:  # too short or too long to have any
        return frozenset()


def _companion(
    near: _Near, plate: str, share_close: float, *, in_span: int, overall: int, alike: bool
) -> Companion:
    rows = list(near.rows[plate].values())
    together, expected = len(near.occasions[plate]), in_span * share_close
    return Companion(
        Counter(row.plate for row in rows).most_common(1)[0][0],
        together,
        min(row.settled_at for row in rows),
        max(row.settled_at for row in rows),
        tuple(sorted({row.unit_id for row in rows})),
        max(rows, key=lambda row: row.confidence).read_id,
        in_span,
        overall,
        expected,
        poisson_tail(expected, together),
        alike,
    )
