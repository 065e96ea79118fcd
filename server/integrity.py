"""The digest of a read: by it a read that turned into another one in the database is found out.

SQLite keeps no checksum of its pages, and PostgreSQL only where it was made with them. So each read has one
of its own (`reads.row_digest`), made when the read comes in, of everything that is stored of it then: its
row, the rows of its hits, its picture and its scene. It lies as three parts of 16 bytes:

    row | picture | scene     the first is of the row, the hits and the other two parts; of what a read has
                              not the last parts are left out, and no picture before a scene is zeros

Pictures have parts of their own because they may leave the database (`pictures`), and are not always at hand.
This is against bits that turn over, not against people: whoever can write to the database can write a digest.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import cbor2
from sqlalchemy import Column, Float

from server.tables import UtcTime, batches, hits, reads

DAMAGED = "This read was damaged in the database: do not act on it. Restore it from the backup."
PART_BYTES = 16

# A migration that changes one of these columns must write the digests anew.
READ_COLUMNS = tuple(column for column in reads.columns if column.name != "row_digest")
HIT_COLUMNS = tuple(
    column for column in hits.columns if column.name not in ("standing", "car_disposition", "disposition")
)
"""Those of a hit's row that are never changed."""
BATCH_COLUMNS = tuple(column for column in batches.columns if column.name != "row_digest")

_NONE = bytes(PART_BYTES)
_Values = Callable[[Any], tuple[Any, ...]]


def _places(columns: Sequence["Column[Any]"], kind: type[Any]) -> tuple[int, ...]:
    return tuple(place for place, column in enumerate(columns) if isinstance(column.type, kind))


class _Form:
    """How rows of some columns become values that are the same before they are stored and after."""

    def __init__(self, columns: Sequence["Column[Any]"]) -> None:
        names = [column.name for column in columns]
        self._of_dict: _Values = itemgetter(*names)
        self._of_row: _Values = attrgetter(*names)
        self._times, self._numbers = _places(columns, UtcTime), _places(columns, Float)

    def __call__(self, row: Any) -> list[Any]:
        values = list(self._of_dict(row) if type(row) is dict else self._of_row(row))
        for place in self._times:
            if values[place] is not None:
                values[place] = values[place].timestamp()
        for place in self._numbers:
            if values[place] is not None:
                # Whole numbers become floats in the database, and SQLite knows no negative zero.
                values[place] += 0.0
        return values


_read_values, _hit_values, _batch_values = _Form(READ_COLUMNS), _Form(HIT_COLUMNS), _Form(BATCH_COLUMNS)


def part_of(jpeg: bytes) -> bytes:
    """Return the part for a picture or scene: the first half of its SHA-256; empty if there is none."""
    return hashlib.sha256(jpeg).digest()[:PART_BYTES] if jpeg else b""


def digest_of(read: Any, its_hits: Collection[Any], picture: bytes, scene: bytes) -> bytes:
    """Return what is kept in `reads.row_digest`.

    *read* and *its_hits* are rows, or dicts as they are stored; *picture* and *scene* are parts.
    Raises TypeError, ValueError, AttributeError or OverflowError if a row holds what it cannot hold.
    """
    told = sorted((_hit_values(hit) for hit in its_hits), key=itemgetter(1)) if its_hits else ()
    pictures = (picture or _NONE) + scene if scene else picture
    content = cbor2.dumps(("alpr-server read 1", _read_values(read), told, pictures))
    return hashlib.sha256(content).digest()[:PART_BYTES] + pictures


def row_fits(read: Any, its_hits: Collection[Any]) -> bool:
    """Whether row and hits are those that came in; *read* must have a digest."""
    kept: bytes = read.row_digest
    try:
        return digest_of(read, its_hits, picture_part(kept), scene_part(kept)) == kept
    except (TypeError, ValueError, AttributeError, OverflowError, cbor2.CBOREncodeError):
        return False  # not even of the kinds that a row holds


def picture_part(kept: bytes) -> bytes:
    """Return the picture's part of `reads.row_digest`; empty if the read came without one."""
    part = kept[PART_BYTES : 2 * PART_BYTES]
    return b"" if part == _NONE else part


def scene_part(kept: bytes) -> bytes:
    """Return the scene's part, as `picture_part`."""
    return kept[2 * PART_BYTES :]


def jpeg_fits(part: bytes, jpeg: bytes | None, name: str | None) -> bool:
    """Whether a picture or scene is what came in: *jpeg* is what the database holds of it, *name* under which
    it lies outside; both are None if there is no row."""
    if name is not None:
        return bool(part) and not jpeg  # looked at when it is fetched
    return not part if jpeg is None else bool(jpeg) and part_of(jpeg) == part


def batch_digest(batch: Any) -> bytes:
    """Return what is kept in `batches.row_digest`, of a row or a dict. Raises as `digest_of`."""
    content = cbor2.dumps(("alpr-server batch 1", _batch_values(batch)))
    return hashlib.sha256(content).digest()[:PART_BYTES]


def batch_fits(batch: Any) -> bool:
    """Whether the batch's row, which must have a digest, is what was written."""
    kept: bytes = batch.row_digest
    try:
        return batch_digest(batch) == kept
    except (TypeError, ValueError, AttributeError, OverflowError, cbor2.CBOREncodeError):
        return False
