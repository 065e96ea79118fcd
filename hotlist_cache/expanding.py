"""A section that came, laid out as columns; with arrays, so that nothing is done row by row."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hotlist_cache.columns import COLUMNS, PATTERN_BYTES, Shape
from hotlist_cache.formats import RANK_BYTES, Format
from hotlist_cache.packed import ALPHABET, CODE, KEY_BYTES, SHIFTS
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

Numbers = npt.NDArray[np.unsignedinteger]
Keys = npt.NDArray[np.uint64]

NUMBER_TYPES = {0: "<u1", 1: "<u1", 2: "<u2", 4: "<u4"}

_CHUNK = 1 << 16  # rows at a time: what is in between stays in the cache
_PIECE = 3  # characters looked up at once: a table of 26 ** 3 numbers stays in the cache too
_CHECKED_TEXTS = 1 << 16
"""Tables up to this are asked whether they are sorted; larger ones are of texts that nothing searches."""
_LANES = sum(1 << shift for shift in SHIFTS)


def expand(section: memoryview, shape: Shape, into: memoryview) -> None:
    """Write the rows of *section* as columns of *shape* into *into*, which is as long as they are, all zero.

    Raises SnapshotRejectedError if it does not hold what *shape* says, or a row twice.
    """
    parts = read_parts(section)
    places = shape.parts
    own = _keys(parts, shape)
    order = _order(own)
    keys: npt.NDArray[np.uint64] = np.frombuffer(into[places[0]], dtype=">u8")
    for chunk in _chunks(shape.entries):
        keys[chunk] = own[chunk] if order is None else own[order[chunk]]
    del own
    same_plate = _same(keys)
    patterns = inflate(parts[PATTERNS], shape.patterns * PATTERN_BYTES, "patterns")
    into[places[1]] = patterns
    same_pattern = _checked_patterns(patterns) + shape.entries
    repeated = np.concatenate((same_plate, same_pattern))
    distinct = np.zeros(len(repeated), dtype=bool)
    for column, (name, width) in enumerate(zip(COLUMNS, shape.widths, strict=True)):
        at = FIRST_COLUMN + 2 * column
        texts, size = shape.tables[column]
        numbers_at, starts_at, table_at = places[2 + 3 * column : 5 + 3 * column]
        table = inflate(parts[at + 1], size, name)
        into[table_at] = table
        np.frombuffer(into[starts_at], dtype="<u4")[:] = _starts(table, texts, name)
        moved = inflate(parts[at], shape.rows * width, name)
        if not width:
            continue
        came = np.frombuffer(moved, dtype=np.uint8)
        numbers: Numbers = np.frombuffer(into[numbers_at], dtype=NUMBER_TYPES[width])
        planes = numbers.view(np.uint8).reshape(shape.rows, width)
        for plane in range(width):
            planes[:, plane] = came[plane * shape.rows : (plane + 1) * shape.rows]
        if order is not None:
            numbers[: shape.entries] = numbers[order]
        used = np.zeros(1 << 8 * min(width, 2) if width < 4 else texts + 1, dtype=bool)
        used[np.minimum(numbers, texts) if width == 4 else numbers] = True
        if not used[:texts].all() or used[texts:].any():
            raise malformed(name)
        before, after = numbers[repeated], numbers[repeated + 1]
        if bool((~distinct & (before > after)).any()):
            raise malformed("the order of its rows")
        distinct |= before != after
    if not bool(distinct.all()):
        raise malformed("a row that it holds twice, and so it")


def fold_keys(keys: Keys) -> Keys:
    """Return *keys* in this machine's order with O taken as 0 and I as 1. All six-bit lanes at once.

    *keys* may be big-endian, as they lie in a list.
    """
    folded = np.empty(len(keys), dtype=np.uint64)
    low, high = np.uint64(0b011111 * _LANES), np.uint64(0b100000 * _LANES)
    for chunk in _chunks(len(keys)):
        own = keys[chunk].astype(np.uint64)
        for character, taken_as in (("O", "0"), ("I", "1")):
            # A lane that holds the character becomes 0. A lane's highest bit is then set in "others" unless
            # it is 0: adding 31 to its lower five carries into it, or it was set before. Nothing carries
            # out of a lane, so the neighbours do not disturb each other.
            lanes = own ^ np.uint64(CODE[character] * _LANES)
            others = ((lanes & low) + low) | lanes
            found = (~others & high) >> np.uint64(5)
            own -= found * np.uint64(CODE[character] - CODE[taken_as])
        folded[chunk] = own
    return folded


def _keys(parts: list[bytes], shape: Shape) -> Keys:
    """Return the keys as the rows of *parts* stand, in this machine's order."""
    ranks = np.zeros(shape.entries, dtype="<u8")
    planes = ranks.view(np.uint8).reshape(shape.entries, KEY_BYTES)
    for plane in range(RANK_BYTES):
        planes[:, plane] = np.frombuffer(inflate(parts[RANKS + plane], shape.entries, "ranks"), np.uint8)
    start = 0
    for plate_format, rows in read_formats(parts[FORMATS], shape.entries):
        own = ranks[start : start + rows]
        np.cumsum(own, out=own)
        # A sum that came round to 0 is less than the one before it: no difference reaches 2 ** 48.
        if int(own[-1]) >= plate_format.capacity or bool((own[1:] < own[:-1]).any()):
            raise malformed("a rank")
        pieces = list(_pieces(plate_format))
        for chunk in _chunks(rows):
            own[chunk] = _packed(own[chunk], pieces)
        start += rows
    return ranks


def _pieces(plate_format: Format) -> Iterator[tuple[int, Keys]]:
    """Yield, from the last characters to the first, how many values some have, and the bits of each value."""
    for run in reversed(plate_format.runs):
        codes = np.array([CODE[character] for character in run.characters], dtype=np.uint64)
        for end in range(run.end, run.start, -_PIECE):
            table = np.zeros(1, dtype=np.uint64)
            for position in range(max(run.start, end - _PIECE), end):
                table = (table[:, None] | (codes << np.uint64(SHIFTS[position]))[None, :]).ravel()
            yield len(table), table


def _packed(ranks: Keys, pieces: list[tuple[int, Keys]]) -> Keys:
    keys = np.zeros(len(ranks), dtype=np.uint64)
    for values, bits in pieces:
        rest = ranks // np.uint64(values)
        keys |= bits[(ranks - rest * np.uint64(values)).astype(np.intp)]
        ranks = rest
    return keys


def _order(keys: Keys) -> npt.NDArray[np.intp] | None:
    """Return how the list sorts *keys*, which come grouped by format; None if just so.

    Formats ascend, so plates that are the same but for O and 0 or I and 1 already stand as they should.
    """
    folded = fold_keys(keys)
    if bool((folded[1:] >= folded[:-1]).all()):
        return None
    return np.argsort(folded, kind="stable")


def _same(keys: Keys) -> npt.NDArray[np.intp]:
    """Return which rows are followed by one of the same plate."""
    found = [
        np.flatnonzero(keys[chunk.start : chunk.stop] == keys[chunk.start + 1 : chunk.stop + 1]) + chunk.start
        for chunk in _chunks(len(keys) - 1)
    ]
    return np.concatenate((np.zeros(0, np.intp), *found))


def _checked_patterns(patterns: bytes) -> npt.NDArray[np.intp]:
    """Return which of *patterns* are followed by one of the same text.

    Raises SnapshotRejectedError if they are not sorted, or one is none.
    """
    characters = np.frombuffer(patterns, dtype=np.uint8).reshape(-1, PATTERN_BYTES)
    wild = (characters == ord("?")) | (characters == ord("*"))
    allowed = np.isin(characters, np.frombuffer((ALPHABET + "?*\0").encode(), dtype=np.uint8))
    ended = characters == 0
    lengths = PATTERN_BYTES - ended.sum(axis=1)
    if (
        not allowed.all()
        or (ended[:, :-1] & ~ended[:, 1:]).any()
        or not (lengths > np.where(wild.any(axis=1), 0, len(SHIFTS))).all()
    ):
        raise malformed("a pattern")
    halves = np.frombuffer(patterns, dtype=">u8").reshape(-1, 2)
    first, second = halves[:, 0], halves[:, 1]
    same = first[1:] == first[:-1]
    if bool(((first[1:] < first[:-1]) | (same & (second[1:] < second[:-1]))).any()):
        raise malformed("the order of its patterns")
    return np.flatnonzero(same & (second[1:] == second[:-1]))


def _starts(table: bytes, texts: int, name: str) -> npt.NDArray[np.intp]:
    ends = np.flatnonzero(np.frombuffer(table, dtype=np.uint8) == ord("\n"))
    if len(ends) != texts or (texts and ends[-1] != len(table) - 1):
        raise malformed(name)
    if texts <= _CHECKED_TEXTS:
        each = table.split(b"\n")[:-1]
        if not all(one < other for one, other in pairwise(each)):
            raise malformed(name)
    starts = np.zeros(texts, dtype=np.intp)
    starts[1:] = ends[:-1] + 1
    return starts


def _chunks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _CHUNK):
        yield slice(start, min(start + _CHUNK, rows))
