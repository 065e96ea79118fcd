"""Entries made into a signed list, with nothing but the standard library: what the server needs."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hotlist_cache.columns import MAX_ENTRIES, SEPARATOR, Shape
from hotlist_cache.encoding import Row, encode_section
from hotlist_cache.entry import LOCAL_ID, Entry
from hotlist_cache.header import SnapshotHeader, sign_header


@dataclass(frozen=True, slots=True)
class Carried:
    """What a list carries of its entries beside plate, jurisdiction, list name, reason, priority and source.

    What is not carried never leaves the department. Two entries that then no longer differ are held once.
    """

    record_ids: bool = False
    """Without them an entry's id is derived from its plate, jurisdiction, list name and source."""
    vehicles: bool = False
    case_numbers: bool = False
    times: bool = True
    """When an entry comes into force and ends. Without them it is in force as long as the list is."""
    withheld: tuple[str, ...] = ()
    """Names of lists, "*" for any run of characters, case aside, of whose entries reason, source, case number
    and record id are not carried: the alert names the list, and no more."""

    def withholds(self, list_name: str) -> bool:
        """Whether of the entries of *list_name* no more is carried than that they are wanted."""
        name = list_name.casefold()
        return any(fnmatchcase(name, pattern.casefold()) for pattern in self.withheld)


EVERYTHING = Carried(record_ids=True, vehicles=True, case_numbers=True, times=True)


def encode_snapshot(
    entries: Iterable[Entry],
    *,
    sequence: int,
    issued_at: datetime,
    expires_at: datetime,
    key: Ed25519PrivateKey,
    shrink_approved: bool = False,
    carried: Carried = Carried(),
) -> bytes:
    """Return *entries* as a list signed by the department's *key*.

    *sequence* is higher than that of every list published before. Times are aware; fractions of a second are
    dropped, in the entries too. *entries* is read once; an entry given twice is held once.

    Raises ValueError for a sequence below 1, a list that would expire before it is issued, an entry whose
    pattern is not one, a text with a control character, and more entries than a unit takes.
    """
    issue = Issue(sequence, issued_at, expires_at, shrink_approved)
    section = encode_section(rows_of(entries, carried))
    return sign_header(issue.header(section.shape, section.content, section.data), key) + section.data


@dataclass(frozen=True, slots=True)
class Issue:
    """When and how a list is published; fractions of a second are dropped.

    Raises ValueError for a sequence below 1, and a list that would expire before it is issued.
    """

    sequence: int
    issued_at: datetime
    expires_at: datetime
    shrink_approved: bool = False

    def __post_init__(self) -> None:
        if self.sequence < 1:
            raise ValueError("a sequence counts from 1")
        aware = self.issued_at.tzinfo is not None and self.expires_at.tzinfo is not None
        if not aware or not self.issued_at < self.expires_at:
            raise ValueError("a list is issued at an aware time before the aware time at which it expires")

    def header(self, shape: Shape, content: bytes, body: bytes) -> SnapshotHeader:
        """Return what is to be signed of a list of that *shape* and *content*; *body* is empty of one that
        travels as a change alone.

        Raises ValueError if it holds more entries than a unit takes.
        """
        if shape.rows > MAX_ENTRIES:
            raise ValueError(f"a list holds at most {MAX_ENTRIES} entries")
        return SnapshotHeader(
            sequence=self.sequence,
            issued_at=_whole_second(self.issued_at),
            expires_at=_whole_second(self.expires_at),
            shrink_approved=self.shrink_approved,
            shape=shape,
            content=content,
            digest=hashlib.sha256(body).digest(),
            body_bytes=len(body),
        )


def rows_of(entries: Iterable[Entry], carried: Carried) -> Iterator[Row]:
    """Yield what a list carries of each of *entries*.

    Raises ValueError for an entry without an id.
    """
    withheld: dict[str, bool] = {}
    for entry in entries:
        if not entry.entry_id:
            raise ValueError("an entry id is empty, or holds a control character")
        if (hidden := withheld.get(entry.list_name)) is None:
            hidden = withheld[entry.list_name] = carried.withholds(entry.list_name)
        # By its id the unit that an offered local entry came from knows it as its own, and tells it once.
        with_id = (carried.record_ids and not hidden) or entry.entry_id.startswith(LOCAL_ID)
        reason, source = ("", "") if hidden else (entry.reason, entry.source)
        context = SEPARATOR.join(
            (entry.jurisdiction or "", entry.list_name, reason, f"{entry.priority:d}", source)
        )
        yield (
            entry.pattern,
            context,
            entry.entry_id if with_id else "",
            entry.vehicle if carried.vehicles else "",
            entry.case_number if carried.case_numbers and not hidden else "",
            _seconds(entry.effective) if carried.times else "",
            _seconds(entry.expires) if carried.times else "",
        )


def _seconds(moment: datetime | None) -> str:
    return "" if moment is None else f"{int(moment.timestamp())}"


def _whole_second(moment: datetime) -> datetime:
    return datetime.fromtimestamp(int(moment.timestamp()), UTC)
