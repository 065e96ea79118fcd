"""The entries of a snapshot as bytes that a unit searches without reading them through.

Five racks follow one another:

- keys: 8 bytes for each plate of up to ten characters, sorted by the folded plate, then by the plate;
- patterns: a row for each partial plate, and for each plate too long for a key;
- records: a row for each key, then one for each pattern: context and vehicle (numbers of their rows,
  hexadecimal), entry id, case number, effective and expires (seconds since 1970, hexadecimal, empty for
  none);
- contexts: jurisdiction, list name, reason, priority, source. Lists repeat these millions of times;
- vehicles: one free text a row.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.packed import KEY_BYTES, MAX_CHARACTERS, pack, pack_folded, unpack
from hotlist_cache.rows import SEPARATOR, Rows, encode_rows
from recognizer.plate import Jurisdiction

MAX_PATTERN_CHARACTERS = 16
_PLATE = re.compile(rf"[A-Z0-9]{{1,{MAX_CHARACTERS}}}")
_PATTERN = re.compile(rf"[A-Z0-9?*]{{1,{MAX_PATTERN_CHARACTERS}}}")
_Context = tuple[Jurisdiction | None, str, str, Priority, str]
_KEPT_CONTEXTS = 1024
_SORT_BYTES = 2 * KEY_BYTES


@dataclass(frozen=True, slots=True)
class EncodedBody:
    """What `encode_body` made of the entries it was given."""

    entries: int
    """Those with a key."""
    patterns: int
    contexts: int
    vehicles: int
    racks: tuple[bytes, ...] = field(repr=False)
    """Keys, patterns, records, contexts, vehicles."""


def encode_body(entries: Iterable[Entry]) -> EncodedBody:
    """Return *entries* as racks. An entry given twice is held once.

    Takes each entry only once and keeps about 130 bytes of it, so that millions can be streamed in.

    Raises ValueError if an entry's pattern is not one, or a text holds a control character.
    """
    contexts: dict[str, int] = {}
    vehicles: dict[str, int] = {}
    keyed: list[bytes] = []
    patterned: list[bytes] = []
    for entry in entries:
        context = _number(contexts, _context(entry), 4)
        vehicle = _number(vehicles, entry.vehicle, 0)
        record = _record(entry, context, vehicle)
        if _PLATE.fullmatch(entry.pattern):
            keyed.append(pack_folded(entry.pattern) + pack(entry.pattern) + record)
        elif _PATTERN.fullmatch(entry.pattern):
            patterned.append(entry.pattern.ljust(MAX_PATTERN_CHARACTERS).encode() + record)
        else:
            raise ValueError(f"entry {entry.entry_id}: its pattern is not of A-Z, 0-9, ? and *, up to 16")
    keyed = _sorted_once(keyed)
    patterned = _sorted_once(patterned)
    return EncodedBody(
        entries=len(keyed),
        patterns=len(patterned),
        contexts=len(contexts),
        vehicles=len(vehicles),
        racks=(
            b"".join(item[KEY_BYTES:_SORT_BYTES] for item in keyed),
            encode_rows(item[:MAX_PATTERN_CHARACTERS].rstrip() for item in patterned),
            encode_rows(_records(keyed, patterned)),
            encode_rows(text.encode() for text in contexts),
            encode_rows(text.encode() for text in vehicles),
        ),
    )


class Body:
    """The entries of a snapshot, read where they lie. Entries are made when they are asked for."""

    def __init__(
        self, racks: Sequence[memoryview], *, entries: int, patterns: int, shared: Sequence[int]
    ) -> None:
        """*racks* are those of `EncodedBody`, *shared* the numbers of contexts and vehicles.

        Raises SnapshotRejectedError if a rack cannot hold what it should.
        """
        self.keys, pattern_rack, records, contexts, vehicles = racks
        if len(self.keys) != entries * KEY_BYTES:
            raise SnapshotRejectedError(
                "hotlist: keys have another length than stated; publish the list again"
            )
        self.entries = entries
        self._patterns = Rows(pattern_rack, patterns, "patterns")
        self._records = Rows(records, entries + patterns, "records")
        self._contexts = Rows(contexts, shared[0], "contexts")
        self._known_contexts: dict[str, _Context] = {}
        self._vehicles = Rows(vehicles, shared[1], "vehicles")

    def entry(self, number: int) -> Entry:
        """Return entry *number*: that of a key, or from `entries` on that of a pattern.

        Raises SnapshotRejectedError if it is malformed.
        """
        record = self._records.row(number)
        try:
            if number < self.entries:
                pattern: str = unpack(bytes(self.keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]))
            else:
                pattern = self._patterns.row(number - self.entries)
            context, vehicle, entry_id, case_number, effective, expires = record.split(SEPARATOR)
            jurisdiction, list_name, reason, priority, source = self._context(context)
            return Entry(
                entry_id=entry_id,
                pattern=pattern,
                jurisdiction=jurisdiction,
                list_name=list_name,
                reason=reason,
                priority=priority,
                vehicle=self._vehicles.row(int(vehicle, 16)),
                case_number=case_number,
                source=source,
                effective=_moment(effective),
                expires=_moment(expires),
            )
        except (ValueError, OverflowError):
            # Without "from": the cause could quote a field.
            raise SnapshotRejectedError(
                f"hotlist: entry {number} is malformed; publish the list again"
            ) from None

    def _context(self, number: str) -> _Context:
        if (known := self._known_contexts.get(number)) is not None:
            return known
        jurisdiction, *texts, priority, source = self._contexts.row(int(number, 16)).split(SEPARATOR)
        list_name, reason = texts
        code = Jurisdiction(jurisdiction) if jurisdiction else None
        context = (code, list_name, reason, Priority(int(priority)), source)
        if len(self._known_contexts) < _KEPT_CONTEXTS:
            self._known_contexts[number] = context
        return context

    def patterns(self) -> Iterator[tuple[int, str]]:
        """Yield the number and text of every pattern."""
        for number in range(self._patterns.count):
            yield self.entries + number, self._patterns.row(number)


def _context(entry: Entry) -> str:
    fields = (entry.jurisdiction or "", entry.list_name, entry.reason, f"{entry.priority:d}", entry.source)
    return SEPARATOR.join(fields)


def _number(known: dict[str, int], text: str, separators: int) -> int:
    number = known.get(text)
    if number is None:
        number = known[text] = len(known)
        if "\n" in text or text.count(SEPARATOR) != separators:
            raise ValueError("a list, reason, source or vehicle text holds a control character")
    return number


def _record(entry: Entry, context: int, vehicle: int) -> bytes:
    times = f"{_seconds(entry.effective)}{SEPARATOR}{_seconds(entry.expires)}"
    row = SEPARATOR.join((f"{context:x}", f"{vehicle:x}", entry.entry_id, entry.case_number, times))
    if "\n" in row or row.count(SEPARATOR) != 5 or not entry.entry_id:
        raise ValueError("an entry id is empty, or it or a case number holds a control character")
    return row.encode()


def _seconds(moment: datetime | None) -> str:
    return "" if moment is None else f"{int(moment.timestamp()):x}"


def _moment(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds, 16), UTC) if seconds else None


def _sorted_once(items: list[bytes]) -> list[bytes]:
    items.sort()
    return [item for number, item in enumerate(items) if not number or item != items[number - 1]]


def _records(keyed: Iterable[bytes], patterned: Iterable[bytes]) -> Iterator[bytes]:
    for item in keyed:
        yield item[_SORT_BYTES:]
    for item in patterned:
        yield item[MAX_PATTERN_CHARACTERS:]
