"""The entries of a list, read where they lie (`columns`)."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from hotlist_cache.columns import COLUMNS, PATTERN_BYTES, SEPARATOR, Shape
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.packed import KEY_BYTES, unpack
from recognizer.plate import Jurisdiction

MAX_PATTERN_CHARACTERS = PATTERN_BYTES

_CONTEXT = COLUMNS.index("context")
_NUMBER_FORMATS: dict[int, Literal["B", "H", "I"]] = {1: "B", 2: "H", 4: "I"}
_KEPT_CONTEXTS = 1 << 16
_ID_BYTES = 8


class Context(NamedTuple):
    """What lists repeat millions of times."""

    jurisdiction: Jurisdiction | None
    list_name: str
    reason: str
    priority: Priority
    source: str


class Body:
    """The entries of a list. Makes no object for an entry until it is asked for."""

    def __init__(self, columns: memoryview, shape: Shape) -> None:
        """*columns* are of *shape*, already checked; nobody changes them from here on."""
        self.shape = shape
        self.entries = shape.entries
        keys, patterns, *parts = (columns[part] for part in shape.parts)
        self.keys = keys
        """8 bytes for each entry but those of patterns, big-endian."""
        self._patterns = patterns
        self._numbers = [
            part.cast(_NUMBER_FORMATS[width]) if width else None
            for part, width in zip(parts[0::3], shape.widths, strict=True)
        ]
        self._starts = [part.cast("I") for part in parts[1::3]]
        self._texts = parts[2::3]
        self._contexts: dict[int, Context] = {}

    def pattern(self, number: int) -> str:
        """Return the plate or partial plate of row *number*.

        Raises SnapshotRejectedError if there is none.
        """
        if not 0 <= number < self.shape.rows:
            raise SnapshotRejectedError("hotlist: it was asked for a row it does not hold; publish it again")
        if number < self.entries:
            return unpack(bytes(self.keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]))
        start = (number - self.entries) * PATTERN_BYTES
        return bytes(self._patterns[start : start + PATTERN_BYTES]).rstrip(b"\0").decode("ascii")

    def row(self, number: int) -> tuple[str, ...]:
        """Return the pattern of row *number* and its text in each column.

        Raises SnapshotRejectedError if there is none, ValueError if it is malformed.
        """
        return (self.pattern(number), *(self._text(c, number) for c in range(len(COLUMNS))))

    def entry(self, number: int) -> Entry:
        """Return entry *number*: that of a key, or from `entries` on that of a pattern.

        Raises SnapshotRejectedError if there is none, or it is malformed.
        """
        try:
            pattern, _, entry_id, vehicle, case_number, effective, expires = self.row(number)
            context = self.context(number)
            return Entry(
                entry_id=entry_id or _derived_id(pattern, context),
                pattern=pattern,
                jurisdiction=context.jurisdiction,
                list_name=context.list_name,
                reason=context.reason,
                priority=context.priority,
                vehicle=vehicle,
                case_number=case_number,
                source=context.source,
                effective=_moment(effective),
                expires=_moment(expires),
            )
        except (ValueError, OverflowError, OSError):
            # Without "from": the cause could quote a field.
            raise SnapshotRejectedError(
                f"hotlist: entry {number} is malformed; publish the list again"
            ) from None

    def context(self, number: int) -> Context:
        """Return what row *number* shares with others, without making an entry of it.

        Raises SnapshotRejectedError if there is no such row, ValueError if it is malformed.
        """
        if not 0 <= number < self.shape.rows:
            raise SnapshotRejectedError("hotlist: it was asked for a row it does not hold; publish it again")
        numbers = self._numbers[_CONTEXT]
        own = 0 if numbers is None else numbers[number]
        if (known := self._contexts.get(own)) is not None:
            return known
        jurisdiction, list_name, reason, priority, source = self._text(_CONTEXT, number).split(SEPARATOR)
        code = Jurisdiction(jurisdiction) if jurisdiction else None
        context = Context(code, list_name, reason, Priority(int(priority)), source)
        if len(self._contexts) < _KEPT_CONTEXTS:
            self._contexts[own] = context
        return context

    def patterns(self) -> Iterator[tuple[int, str]]:
        """Yield the number and text of every pattern."""
        for number in range(self.entries, self.shape.rows):
            yield number, self.pattern(number)

    def text_number(self, column: int, text: bytes) -> tuple[int, bool]:
        """Return which text of *column*'s table is *text*, or would follow it; and whether it is there."""
        low, high = 0, self.shape.tables[column][0]
        while low < high:
            middle = (low + high) // 2
            if self.table_text(column, middle) < text:
                low = middle + 1
            else:
                high = middle
        there = low < self.shape.tables[column][0] and self.table_text(column, low) == text
        return low, there

    def table_text(self, column: int, number: int) -> bytes:
        """Return text *number* of *column*'s table."""
        starts, texts = self._starts[column], self._texts[column]
        end = starts[number + 1] if number + 1 < len(starts) else len(texts)
        return bytes(texts[starts[number] : end - 1])

    def _text(self, column: int, number: int) -> str:
        numbers = self._numbers[column]
        return self.table_text(column, 0 if numbers is None else numbers[number]).decode()


def _derived_id(pattern: str, context: Context) -> str:
    """Return an id for an entry that carries none: the same in every list that holds it."""
    parts = (pattern, context.jurisdiction or "", context.list_name, context.source)
    return hashlib.sha256(SEPARATOR.join(parts).encode()).hexdigest()[: 2 * _ID_BYTES]


def _moment(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if seconds else None
