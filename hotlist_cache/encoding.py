"""Entries made into a section, with nothing but the standard library: the server publishes with this."""

import hashlib
import re
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, compress, islice
from operator import eq, sub

import cbor2

from hotlist_cache.columns import COLUMNS, CONTEXT_FIELDS, PATTERN_BYTES, SEPARATOR, Shape, padded
from hotlist_cache.formats import RANK_BYTES, Format, format_of
from hotlist_cache.packed import KEY_BYTES, MAX_CHARACTERS, pack, pack_folded, unpack
from hotlist_cache.section import FORMAT_BYTES, FORMAT_NUMBER_BYTES

Row = tuple[str, ...]
"""The pattern, and the text in each column."""

_PLATE = re.compile(rf"[A-Z0-9]{{1,{MAX_CHARACTERS}}}")
_PATTERN = re.compile(rf"[A-Z0-9?*]{{1,{PATTERN_BYTES}}}")
_ARRAY_TYPES = {1: "B", 2: "H", 4: "I"}


@dataclass(frozen=True, slots=True)
class Section:
    """Rows ready to travel."""

    shape: Shape
    data: bytes = field(repr=False)
    content: bytes
    """SHA-256 of the rows as columns."""
    repeated: tuple[Row, ...] = field(default=(), repr=False)
    """The rows that were given again, as often as they were."""


def encode_section(rows: Iterable[Row]) -> Section:
    """Return *rows* as they travel. A row given twice is held once.

    Takes each row only once and keeps about 120 bytes of it, so that millions can be streamed in.

    Raises ValueError if a pattern is not one, or a text holds a line feed.
    """
    plates, patterns = _Rows(), _Rows()
    numbered: list[dict[str, int]] = [{} for _ in COLUMNS]
    formats: list[Format] = []
    ranks = array("Q")
    for pattern, *texts in rows:
        if _PLATE.fullmatch(pattern):
            kept = plates
            kept.sort_keys.append(pack_folded(pattern) + pack(pattern))
            plate_format = format_of(pattern)
            formats.append(plate_format)
            ranks.append(plate_format.rank(pattern))
        elif _PATTERN.fullmatch(pattern):
            kept = patterns
            kept.sort_keys.append(pattern.encode().ljust(PATTERN_BYTES, b"\0"))
        else:
            raise ValueError("an entry's pattern is not of A-Z, 0-9, ? and *, up to 16")
        for numbers, known, text in zip(kept.numbers, numbered, texts, strict=True):
            numbers.append(known.setdefault(text, len(known)))
    tables = [_sorted(column, known, (plates, patterns)) for column, known in enumerate(numbered)]
    numbered.clear()
    order, patterns_order = plates.order(), patterns.order()
    groups: dict[Format, list[int]] = {}
    for row in order:
        groups.setdefault(formats[row], []).append(row)
    groups = dict(sorted(groups.items(), key=lambda item: item[0].number))
    heaps = [b"".join(text + b"\n" for text in table) for table in tables]
    sizes = tuple((len(table), len(heap)) for table, heap in zip(tables, heaps, strict=True))
    shape = Shape(len(order), len(patterns_order), sizes)
    pattern_part = b"".join(patterns.sort_keys[row] for row in patterns_order)
    digest = hashlib.sha256()
    _feed(digest.update, b"".join(plates.sort_keys[row][KEY_BYTES:] for row in order))
    _feed(digest.update, pattern_part)
    parts = [_format_part(groups), *map(_deflated, _rank_planes(ranks, groups)), _deflated(pattern_part)]
    for column, (table, heap, number_bytes) in enumerate(zip(tables, heaps, shape.widths, strict=True)):
        behind = patterns.taken(column, patterns_order, number_bytes)
        _feed(digest.update, (plates.taken(column, order, number_bytes) + behind).tobytes())
        starts = accumulate((len(text) + 1 for text in table[:-1]), initial=0)
        _feed(digest.update, array("I", starts if table else ()).tobytes())
        _feed(digest.update, heap)
        moved = (plates.taken(column, chain.from_iterable(groups.values()), number_bytes) + behind).tobytes()
        parts.append(_deflated(b"".join(moved[plane::number_bytes] for plane in range(number_bytes))))
        parts.append(_deflated(heap))
    repeated = tuple(chain(plates.repeated(_plate, tables), patterns.repeated(_pattern, tables)))
    return Section(shape, cbor2.dumps(parts), digest.digest(), repeated)


class _Rows:
    """Rows in the order in which they came."""

    def __init__(self) -> None:
        self.sort_keys: list[bytes] = []
        self.numbers = [array("I") for _ in COLUMNS]
        self._repeated: list[int] = []

    def order(self) -> list[int]:
        """Return the rows' indices as the list sorts them, of equal rows one."""
        keys = self.sort_keys
        order = sorted(range(len(keys)), key=keys.__getitem__)
        in_order = [keys[row] for row in order]
        same = map(eq, in_order, islice(in_order, 1, None))
        repeated = list(compress(range(len(order)), same))
        if not repeated:
            return order
        # Rows of one plate are few: they alone are sorted by their numbers.
        gone = set()
        start = 0
        while start < len(repeated):
            end = start
            while end + 1 < len(repeated) and repeated[end + 1] == repeated[end] + 1:
                end += 1
            run = slice(repeated[start], repeated[end] + 2)
            order[run] = sorted(order[run], key=self._row_numbers)
            for place in range(run.start + 1, run.stop):
                if self._row_numbers(order[place - 1]) == self._row_numbers(order[place]):
                    gone.add(place)
                    self._repeated.append(order[place])
            start = end + 1
        return [row for place, row in enumerate(order) if place not in gone] if gone else order

    def taken(self, column: int, rows: Iterable[int], number_bytes: int) -> "array[int]":
        """Return the numbers that *rows* have in *column*; none if they take no bytes."""
        if not number_bytes:
            return array("B")
        return array(_ARRAY_TYPES[number_bytes], map(self.numbers[column].__getitem__, rows))

    def repeated(self, name: Callable[[bytes], str], tables: Sequence[Sequence[bytes]]) -> Iterator[Row]:
        """Yield what `order` left out; *name* makes a pattern of a sort key."""
        for row in self._repeated:
            texts = (
                table[number].decode() for table, number in zip(tables, self._row_numbers(row), strict=True)
            )
            yield (name(self.sort_keys[row]), *texts)

    def _row_numbers(self, row: int) -> tuple[int, ...]:
        return tuple(numbers[row] for numbers in self.numbers)


def _plate(sort_key: bytes) -> str:
    return unpack(sort_key[KEY_BYTES:])


def _pattern(sort_key: bytes) -> str:
    return sort_key.rstrip(b"\0").decode("ascii")


def _sorted(column: int, table: dict[str, int], kept: Iterable[_Rows]) -> list[bytes]:
    """Return the texts of *table* sorted, and let the rows of *kept* name them by their new places."""
    texts = sorted(table)
    separators = CONTEXT_FIELDS - 1 if COLUMNS[column] == "context" else 0
    if any("\n" in text or text.count(SEPARATOR) != separators for text in texts):
        raise ValueError("a text of an entry holds a control character")
    places = array("I", bytes(4 * len(texts)))
    for place, text in enumerate(texts):
        places[table[text]] = place
    for rows in kept:
        rows.numbers[column] = array("I", map(places.__getitem__, rows.numbers[column]))
    return [text.encode() for text in texts]


def _format_part(groups: Mapping[Format, list[int]]) -> bytes:
    return b"".join(
        plate_format.number.to_bytes(FORMAT_NUMBER_BYTES, "big")
        + len(rows).to_bytes(FORMAT_BYTES - FORMAT_NUMBER_BYTES, "big")
        for plate_format, rows in groups.items()
    )


def _rank_planes(ranks: "array[int]", groups: Mapping[Format, list[int]]) -> Iterator[bytes]:
    differences = array("Q")
    for rows in groups.values():
        own = array("Q", map(ranks.__getitem__, rows))
        differences.extend(own[:1])
        differences.extend(map(sub, own[1:], own))
    moved = differences.tobytes()
    for plane in range(RANK_BYTES):
        yield moved[plane :: differences.itemsize]


def _deflated(data: bytes) -> bytes:
    """Return *data* deflated as short as it gets, or as it is if that is not longer."""
    best = data
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY):
        deflating = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
        deflated = deflating.compress(data) + deflating.flush()
        if len(deflated) < len(best):
            best = deflated
    return best


def _feed(update: Callable[[bytes], object], part: bytes) -> None:
    update(part)
    update(bytes(padded(len(part)) - len(part)))
