"""A change applied to a list: the columns of another list, the same as if it had come whole.

Separate from `delta`, since it takes arrays.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hotlist_cache.body import Body
from hotlist_cache.columns import COLUMNS, PATTERN_BYTES, Shape
from hotlist_cache.delta import Delta, read_chain
from hotlist_cache.encoding import Row
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.expanding import NUMBER_TYPES, Numbers, expand, fold_keys
from hotlist_cache.header import Buffer
from hotlist_cache.packed import KEY_BYTES, MAX_CHARACTERS, pack, pack_folded
from hotlist_cache.snapshot import Snapshot, frame, in_frame

_Indices = npt.NDArray[np.intp]
_PATTERN_TYPE = f"V{PATTERN_BYTES}"


def apply_delta(base: Snapshot, delta: Buffer, *, keys: Sequence[Ed25519PublicKey]) -> Snapshot:
    """Return the list that *delta* makes of *base*, whatever its age: rules 1 to 4, 6 and 7 of `delta`.

    *base* stays as it is.

    Raises DeltaNotForThisListError if *delta* is for another list, SnapshotRejectedError if another rule is
    broken. Either way the whole list helps.
    """
    return apply_chain(base, read_chain(base.header, [delta], keys))


def apply_chain(base: Snapshot, chain: Sequence[Delta]) -> Snapshot:
    """Return what *chain*, one change after another, makes of *base*: rules 6 and 7 of `delta`.

    The lists between are not made: changes are joined first, so that many small ones cost as one.

    Raises SnapshotRejectedError if a rule is broken.
    """
    if not chain:
        return base
    deletes: set[Row] = set()
    adds: set[Row] = set()
    for delta in chain:
        gone, come = _rows(*delta.deletes), _rows(*delta.adds)
        # 6. Each entry to delete is there, each to add is not. Of the base it is asked below.
        if deletes & gone or adds & come or gone & come:
            raise _misfit("it deletes what is not there, or adds what is")
        deletes, adds = (deletes - come) | (gone - adds), (adds - gone) | (come - deletes)
    last = chain[-1]
    frames = []

    def room(shape: Shape) -> memoryview:
        # 7. The result has the shape and the digest that the header says: the digest is asked in `in_frame`.
        if shape != last.header.shape:
            raise _misfit("it does not make the list that it says")
        frames.append(frame(last.signed_header, shape))
        return frames[0][1]

    merge(base, deletes, adds, room)
    return in_frame(last.header, len(last.signed_header), frames[0][0])


def added_patterns(delta: Delta) -> list[str]:
    """Return the plates and partial plates that *delta* adds, in no order."""
    return [row[0] for row in _rows(*delta.adds)]


def added_plates(before: Snapshot, after: Snapshot, most: int) -> list[str] | None:
    """Return the whole plates that *after* lists and *before* does not, O taken as 0 and I as 1; None if they
    are more than *most*. Of five million each it takes a second."""
    old, new = (fold_keys(np.frombuffer(each.body.keys, dtype=">u8")) for each in (before, after))
    if not len(new):
        return []
    places = np.searchsorted(old, new)  # both are sorted so
    known = old[np.minimum(places, len(old) - 1)] == new if len(old) else np.zeros(len(new), dtype=bool)
    added = np.flatnonzero(~known)
    return None if len(added) > most else [after.body.pattern(int(row)) for row in added]


def _rows(shape: Shape, section: bytes) -> set[Row]:
    columns = memoryview(bytearray(shape.bytes))
    expand(memoryview(section), shape, columns)
    body = Body(columns, shape)
    try:
        return {body.row(number) for number in range(shape.rows)}
    except ValueError:
        raise _misfit("a text in it is malformed") from None


def holds(base: Snapshot, row: Row) -> bool:
    """Whether *base* holds *row*."""
    try:
        _placed(base, [], [row])
    except SnapshotRejectedError:
        return True
    return False


def merge(
    base: Snapshot, deletes: Iterable[Row], adds: Iterable[Row], room: Callable[[Shape], memoryview]
) -> Shape:
    """Write the columns of *base* without *deletes* and with *adds* into the room that *room* gives for
    their shape, all zero, and return the shape.

    Raises SnapshotRejectedError if a row to delete is not there, or one to add is.
    """
    going, coming = sorted(deletes), sorted(adds)
    plates = sorted((row for row in coming if _is_plate(row)), key=lambda row: (pack_folded(row[0]), row))
    patterns = [row for row in coming if not _is_plate(row)]
    change = _placed(base, going, plates + patterns)
    tables = [_Table(base, column, change) for column in range(len(COLUMNS))]
    before = base.header.shape
    plates_gone = int(np.searchsorted(change.deleted, before.entries))
    entries = before.entries + len(plates) - plates_gone
    rows = before.rows + len(change.adds) - len(change.deletes)
    shape = Shape(entries, rows - entries, tuple((table.texts, table.bytes) for table in tables))
    columns = room(shape)
    keys = np.frombuffer(b"".join(pack(row[0]) for row in plates), dtype=">u8")
    texts = b"".join(row[0].encode().ljust(PATTERN_BYTES, b"\0") for row in patterns)
    keys_at, patterns_at, *parts = shape.parts
    old_keys_at, old_patterns_at, *_ = before.parts
    columns[keys_at] = _spliced(
        np.frombuffer(base.columns[old_keys_at], dtype=">u8"),
        change.deleted[:plates_gone],
        change.added_before[: len(plates)],
        keys,
    ).data.cast("B")
    columns[patterns_at] = _spliced(
        np.frombuffer(base.columns[old_patterns_at], dtype=_PATTERN_TYPE),
        change.deleted[plates_gone:] - before.entries,
        change.added_before[len(plates) :] - before.entries,
        np.frombuffer(texts, dtype=_PATTERN_TYPE),
    ).tobytes()
    for column, table in enumerate(tables):
        numbers_at, starts_at, texts_at = parts[3 * column : 3 * column + 3]
        table.write(columns[starts_at], columns[texts_at])
        if width := shape.widths[column]:
            own = [table.number(row[1 + column]) for row in change.adds]
            columns[numbers_at] = _spliced(
                table.renumbered(NUMBER_TYPES[width]),
                change.deleted,
                change.added_before,
                np.array(own, dtype=NUMBER_TYPES[width]),
            ).data.cast("B")
    return shape


@dataclass(frozen=True, slots=True)
class _Change:
    deletes: list[Row]
    adds: list[Row]
    """As the list sorts them."""
    deleted: _Indices
    """The rows of the deletes in the base, ascending."""
    added_before: _Indices
    """For each of the adds the row of the base before which it goes."""


def _placed(base: Snapshot, deletes: list[Row], adds: list[Row]) -> _Change:
    """Return where *deletes* are in *base* and where *adds* go: rule 6 of `delta`.

    Raises SnapshotRejectedError if one to delete is not there, or one to add is.
    """
    body = base.body
    changed = deletes + adds
    folded = fold_keys(np.frombuffer(body.keys, dtype=">u8"))
    wanted = np.frombuffer(
        b"".join(pack_folded(row[0]) if _is_plate(row) else bytes(KEY_BYTES) for row in changed), dtype=">u8"
    ).astype(np.uint64)
    low, high = np.searchsorted(folded, wanted, "left"), np.searchsorted(folded, wanted, "right")
    places: list[int] = []
    for i, row in enumerate(changed):
        near = range(low[i], high[i]) if _is_plate(row) else range(body.entries, body.shape.rows)
        # Rows of plates that fold alike, or of patterns, are sorted as their texts.
        place = near.start + bisect_left(near, row, key=body.row)
        there = place < near.stop and body.row(place) == row
        if there != (i < len(deletes)):
            raise _misfit("it deletes what is not there, or adds what is")
        places.append(place)
    return _Change(
        deletes,
        adds,
        np.array(sorted(places[: len(deletes)]), dtype=np.intp),
        np.array(places[len(deletes) :], dtype=np.intp),
    )


class _Table:
    """A column's table after a change: without the texts that nothing names any more, with the new ones."""

    def __init__(self, base: Snapshot, column: int, change: _Change) -> None:
        shape = base.header.shape
        self._parts = [base.columns[part] for part in shape.parts[2 + 3 * column : 5 + 3 * column]]
        self._rows = shape.rows
        self._width = shape.widths[column]
        self._old_texts, old_bytes = shape.tables[column]
        wanted = {row[1 + column] for row in change.adds}
        found = {text: base.body.text_number(column, text.encode()) for text in wanted}
        self._new = sorted((place, text.encode()) for text, (place, there) in found.items() if not there)
        gone = Counter(row[1 + column] for row in change.deletes if row[1 + column] not in wanted)
        numbers = {base.body.text_number(column, text.encode())[0]: rows for text, rows in gone.items()}
        uses = self._uses(sorted(numbers))
        self._gone = np.array(
            [number for number in sorted(numbers) if uses[number] == numbers[number]], np.intp
        )
        self.texts = self._old_texts + len(self._new) - len(self._gone)
        gone_bytes = sum(len(base.body.table_text(column, int(number))) + 1 for number in self._gone)
        self.bytes = old_bytes + sum(len(text) + 1 for _, text in self._new) - gone_bytes
        # What stands for each old number: less those gone before it, and more those put in before it.
        self._moved = np.arange(self._old_texts, dtype=np.intp)
        if len(self._gone) or self._new:
            self._moved -= np.searchsorted(self._gone, self._moved)
            put_in = np.array([place for place, _ in self._new], dtype=np.intp)
            self._moved += np.searchsorted(put_in, np.arange(self._old_texts), "right")
        self._number_of = {text: int(self._moved[place]) for text, (place, there) in found.items() if there}
        for i, (place, text) in enumerate(self._new):
            self._number_of[text.decode()] = place - int(np.searchsorted(self._gone, place)) + i

    def number(self, text: str) -> int:
        """Return the number of *text*, which a row to add has."""
        return self._number_of[text]

    def renumbered(self, kind: str) -> Numbers:
        """Return the number of each row of the base, as the new table has it, in numbers of *kind*."""
        if not self._width:
            only = self._moved[0] if len(self._moved) else 0
            return np.full(self._rows, only, dtype=kind)
        numbers: Numbers = np.frombuffer(self._parts[0], dtype=NUMBER_TYPES[self._width])
        if not len(self._gone) and not self._new:
            return numbers.astype(kind, copy=False)
        return self._moved.astype(kind)[numbers]

    def write(self, starts: memoryview, texts: memoryview) -> None:
        """Write the new table."""
        old_starts = np.frombuffer(self._parts[1], dtype="<u4").astype(np.int64)
        lengths = np.diff(old_starts, append=len(self._parts[2]))
        put_in = np.array([place for place, _ in self._new], dtype=np.intp)
        own = np.array([len(text) + 1 for _, text in self._new], dtype=np.int64)
        new_lengths = _spliced(lengths, self._gone, put_in, own)
        np.frombuffer(starts, dtype="<u4")[:] = np.cumsum(new_lengths) - new_lengths
        # Cut the old texts where something goes or comes, and join them again without and with it.
        ends = np.append(old_starts, len(self._parts[2]))
        cuts = [(int(ends[place]), int(ends[place]), text + b"\n") for place, text in self._new]
        cuts += [(int(ends[number]), int(ends[number + 1]), b"") for number in self._gone]
        at = done = 0
        for start, end, text in sorted(cuts, key=lambda cut: cut[:2]):
            kept = self._parts[2][done:start]
            texts[at : at + len(kept)] = kept
            at += len(kept)
            texts[at : at + len(text)] = text
            at += len(text)
            done = end
        texts[at:] = self._parts[2][done:]

    def _uses(self, numbers: list[int]) -> dict[int, int]:
        """Return how many rows of the base have each of *numbers*."""
        if not numbers:
            return {}
        if not self._width:
            return dict.fromkeys(numbers, self._rows)
        column: Numbers = np.frombuffer(self._parts[0], dtype=NUMBER_TYPES[self._width])
        asked = np.zeros(self._old_texts, dtype=bool)
        asked[numbers] = True
        found, counts = np.unique(column[asked[column]], return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _spliced(
    old: npt.NDArray[Any], deleted: _Indices, added_before: _Indices, added: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return *old* without what is at *deleted* and with *added* before the places that they had in *old*."""
    if len(added):
        at = added_before - np.searchsorted(deleted, added_before)
        return np.insert(np.delete(old, deleted) if len(deleted) else old, at, added)
    return np.delete(old, deleted) if len(deleted) else old


def _is_plate(row: Row) -> bool:
    return row[0].isalnum() and len(row[0]) <= MAX_CHARACTERS


def _misfit(why: str) -> SnapshotRejectedError:
    return SnapshotRejectedError(f"hotlist: a delta does not fit: {why}; fetch the whole list")
