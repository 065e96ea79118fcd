"""The entries of a list as columns: how they lie in memory and in the sealed file, where nothing is unpacked.

A row is an entry. First come the rows of the plates of up to ten characters, sorted by the plate with O taken
as 0 and I as 1, then by the plate; then those of partial and longer plates, sorted by their text. Rows of one
plate are sorted by the numbers of their columns. No two rows are the same. One after another lie

- keys: 8 bytes for each plate (`packed`);
- patterns: 16 bytes for each partial or longer plate, zero bytes behind;
- for each of `COLUMNS`: a number for each row, as wide as the table needs; where each text of the table
  begins (4 bytes each); and the table, sorted: the texts that occur, each with a line feed behind.

Numbers are little-endian but for the keys. Each part begins at a multiple of 8 bytes, zeros between. Nothing
of this is left to choice: the same entries give the same bytes, whoever puts them together, and their SHA-256
names the list's content.
"""

import sys
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.packed import KEY_BYTES

COLUMNS = ("context", "entry_id", "vehicle", "case_number", "effective", "expires")
"""A context is jurisdiction, list name, reason, priority and source. Times are seconds since 1970, decimal;
what an entry lacks is the empty text."""
CONTEXT_FIELDS = 5
SEPARATOR = "\x1f"
"""Stands between the fields of a context; like the line feed it cannot occur in a text."""
PATTERN_BYTES = 16
START_BYTES = 4
ALIGNMENT = 8
MAX_ENTRIES = 50_000_000
MAX_TEXT_BYTES = 1 << 30

if sys.byteorder != "little":
    raise ImportError("hotlists are read where they lie, which is in little-endian order")


@dataclass(frozen=True)
class Shape:
    """How many rows and texts there are: from this follows where each part lies."""

    entries: int
    """Plates of up to ten characters."""
    patterns: int
    """Partial plates, and plates of more than ten characters."""
    tables: tuple[tuple[int, int], ...]
    """For each of `COLUMNS` the number of its texts, and their bytes with line feeds."""

    @property
    def rows(self) -> int:
        return self.entries + self.patterns

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Bytes of a number of each column: none where all rows have the same text."""
        return tuple(width(texts) for texts, _ in self.tables)

    @cached_property
    def parts(self) -> tuple[slice, ...]:
        """Where each part lies: keys, patterns, then three for each column."""
        lengths = [self.entries * KEY_BYTES, self.patterns * PATTERN_BYTES]
        for (texts, text_bytes), number_bytes in zip(self.tables, self.widths, strict=True):
            lengths += [self.rows * number_bytes, texts * START_BYTES, text_bytes]
        starts = accumulate((padded(length) for length in lengths), initial=0)
        return tuple(slice(start, start + length) for start, length in zip(starts, lengths, strict=False))

    @cached_property
    def bytes(self) -> int:
        """Of all columns."""
        return padded(self.parts[-1].stop)

    def to_cbor(self) -> list[Any]:
        """Return the shape as a header states it."""
        return [self.entries, self.patterns, [list(table) for table in self.tables]]


def shape_of(value: Any) -> Shape:
    """Return the shape that a header states as *value*.

    Raises TypeError or ValueError if it is none, SnapshotRejectedError if it is out of bounds.
    """
    entries, patterns, tables = value
    shape = Shape(
        whole(entries), whole(patterns), tuple((whole(texts), whole(size)) for texts, size in tables)
    )
    least = min(shape.rows, 1)
    if (
        shape.rows > MAX_ENTRIES
        or len(shape.tables) != len(COLUMNS)
        or sum(size for _, size in shape.tables) > MAX_TEXT_BYTES
        or any(not least <= texts <= min(shape.rows, size) for texts, size in shape.tables)
        or (not shape.rows and any(size > 0 for _, size in shape.tables))
    ):
        raise SnapshotRejectedError("hotlist: its numbers are out of bounds; publish it again")
    return shape


def whole(value: object) -> int:
    """Return *value* if it is a whole number from 0 on.

    Raises TypeError if not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("a whole number expected")
    return value


def width(texts: int) -> int:
    """Return how many bytes tell *texts* texts apart: 0, 1, 2 or 4."""
    if texts <= 1:
        return 0
    return 1 if texts <= 1 << 8 else 2 if texts <= 1 << 16 else 4


def padded(length: int) -> int:
    """Return the next multiple of the alignment."""
    return -(-length // ALIGNMENT) * ALIGNMENT
