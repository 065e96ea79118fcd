"""Entries made into a signed list, with nothing but the standard library: what the server needs."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hotlist_cache.columns import MAX_ENTRIES, SEPARATOR
from hotlist_cache.encoding import Row, encode_section
from hotlist_cache.entry import Entry
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
    if sequence < 1:
        raise ValueError("a sequence counts from 1")
    if issued_at.tzinfo is None or expires_at.tzinfo is None or not issued_at < expires_at:
        raise ValueError("a list is issued at an aware time before the aware time at which it expires")
    section = encode_section(_rows(entries, carried))
    if section.shape.rows > MAX_ENTRIES:
        raise ValueError(f"a list holds at most {MAX_ENTRIES} entries")
    header = SnapshotHeader(
        sequence=sequence,
        issued_at=_whole_second(issued_at),
        expires_at=_whole_second(expires_at),
        shrink_approved=shrink_approved,
        shape=section.shape,
        content=section.content,
        digest=hashlib.sha256(section.data).digest(),
        body_bytes=len(section.data),
    )
    return sign_header(header, key) + section.data


def _rows(entries: Iterable[Entry], carried: Carried) -> Iterator[Row]:
    for entry in entries:
        if not entry.entry_id:
            raise ValueError("an entry id is empty, or holds a control character")
        context = SEPARATOR.join(
            (entry.jurisdiction or "", entry.list_name, entry.reason, f"{entry.priority:d}", entry.source)
        )
        yield (
            entry.pattern,
            context,
            entry.entry_id if carried.record_ids else "",
            entry.vehicle if carried.vehicles else "",
            entry.case_number if carried.case_numbers else "",
            _seconds(entry.effective) if carried.times else "",
            _seconds(entry.expires) if carried.times else "",
        )


def _seconds(moment: datetime | None) -> str:
    return "" if moment is None else f"{int(moment.timestamp())}"


def _whole_second(moment: datetime) -> datetime:
    return datetime.fromtimestamp(int(moment.timestamp()), UTC)
