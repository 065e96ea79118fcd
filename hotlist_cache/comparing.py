"""What two lists as they travel do not have in common, found with nothing but the standard library."""

from array import array
from collections.abc import Iterator
from itertools import accumulate, repeat

from hotlist_cache.columns import COLUMNS, PATTERN_BYTES, Shape
from hotlist_cache.encoding import Row
from hotlist_cache.formats import RANK_BYTES, numbered
from hotlist_cache.section import (
    FIRST_COLUMN,
    FORMATS,
    PATTERNS,
    RANKS,
    inflate,
    malformed,
    read_formats,
    read_parts,
)

_ARRAY_TYPES = {1: "B", 2: "H", 4: "I"}
_RANK_ARRAY_BYTES = 8
_PATTERNS = 0  # stands for the patterns where others have the number of a format

_Place = tuple[int | bytes, ...]
"""A rank or pattern, and a number for each column."""


def compare(
    base: memoryview, base_shape: Shape, new: memoryview, new_shape: Shape
) -> tuple[list[Row], list[Row]]:
    """Return the rows that the section *base* has and *new* has not, and those that *new* has and *base* not.

    Both sections are of their shapes. Needs about 300 bytes for each row of the largest format.

    Raises SnapshotRejectedError if one of them is malformed.
    """
    before, after = _Travelling(base, base_shape), _Travelling(new, new_shape)
    texts: list[list[bytes]] = []
    for own, others in zip(before.tables, after.tables, strict=True):
        # One numbering for both: that of the new list, then the texts that only the base has.
        places = {text: number for number, text in enumerate(others)}
        renumbered = [places.setdefault(text, len(places)) for text in own]
        before.renumbered.append(renumbered)
        texts.append(list(places))
    gone: list[Row] = []
    come: list[Row] = []
    for number in sorted({*before.starts, *after.starts}):
        old, fresh = set(before.places(number)), set(after.places(number))
        gone += (_row(number, place, texts) for place in old - fresh)
        come += (_row(number, place, texts) for place in fresh - old)
    return gone, come


class _Travelling:
    """A section, opened but for its rows."""

    def __init__(self, data: memoryview, shape: Shape) -> None:
        parts = read_parts(data)
        self.starts: dict[int, slice] = {}
        """Where the rows of each format stand."""
        start = 0
        for plate_format, rows in read_formats(parts[FORMATS], shape.entries):
            self.starts[plate_format.number] = slice(start, start + rows)
            start += rows
        self.starts[_PATTERNS] = slice(start, shape.rows)
        differences = bytearray(shape.entries * _RANK_ARRAY_BYTES)
        for plane in range(RANK_BYTES):
            differences[plane::_RANK_ARRAY_BYTES] = inflate(parts[RANKS + plane], shape.entries, "ranks")
        self._differences = array("Q", bytes(differences))
        self._patterns = inflate(parts[PATTERNS], shape.patterns * PATTERN_BYTES, "patterns")
        self.tables: list[list[bytes]] = []
        self._numbers: list[array[int] | None] = []
        self.renumbered: list[list[int]] = []
        """For each column, what stands for each of its numbers; empty: the numbers themselves."""
        for column, (name, width) in enumerate(zip(COLUMNS, shape.widths, strict=True)):
            at = FIRST_COLUMN + 2 * column
            moved = inflate(parts[at], shape.rows * width, name)
            numbers = bytearray(len(moved))
            for plane in range(width):
                numbers[plane::width] = moved[plane * shape.rows : (plane + 1) * shape.rows]
            self._numbers.append(array(_ARRAY_TYPES[width], bytes(numbers)) if width else None)
            self.tables.append(inflate(parts[at + 1], shape.tables[column][1], name).split(b"\n")[:-1])
            if numbers and max(self._numbers[-1] or ()) >= len(self.tables[-1]):
                raise malformed(name)

    def places(self, number: int) -> Iterator[_Place]:
        """Yield the rows of format *number*, or of the patterns."""
        rows = self.starts.get(number, slice(0, 0))
        plates: Iterator[int | bytes]
        if number == _PATTERNS:
            first = rows.start
            plates = (
                self._patterns[(row - first) * PATTERN_BYTES : (row - first + 1) * PATTERN_BYTES]
                for row in range(rows.start, rows.stop)
            )
        else:
            plates = accumulate(self._differences[rows])
        return zip(plates, *(self._column(column, rows) for column in range(len(COLUMNS))), strict=True)

    def _column(self, column: int, rows: slice) -> Iterator[int]:
        numbers = self._numbers[column]
        own: Iterator[int] = repeat(0, rows.stop - rows.start) if numbers is None else iter(numbers[rows])
        return map(self.renumbered[column].__getitem__, own) if self.renumbered else own


def _row(number: int, place: _Place, texts: list[list[bytes]]) -> Row:
    plate, *numbers = place
    if isinstance(plate, bytes):
        pattern = plate.rstrip(b"\0").decode("ascii")
    else:
        pattern = numbered(number).plate(plate)
    columns = (texts[column][int(own)].decode() for column, own in enumerate(numbers))
    return (pattern, *columns)
