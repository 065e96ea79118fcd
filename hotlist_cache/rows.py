"""Rows of text, each found by its number without reading the others.

A rack of rows is a table of offsets and the rows themselves, each ending in a line feed. Only every sixteenth
row has an offset, which keeps the table small: finding a row cuts 16 rows, about 0.6 kB, at their line feeds.
"""

from collections.abc import Iterable
from struct import Struct

from hotlist_cache.errors import SnapshotRejectedError

SEPARATOR = "\x1f"
"""Stands between the fields of a row; like the line feed it cannot occur in a field."""

_GROUP = 16
_OFFSET_BYTES = 8
_TWO_OFFSETS = Struct(">QQ")


def encode_rows(rows: Iterable[bytes]) -> bytes:
    """Return *rows* as a rack. None of them holds a line feed."""
    offsets = bytearray()
    body = bytearray()
    for number, row in enumerate(rows):
        if not number % _GROUP:
            offsets += len(body).to_bytes(_OFFSET_BYTES, "big")
        body += row
        body += b"\n"
    offsets += len(body).to_bytes(_OFFSET_BYTES, "big")
    return bytes(offsets + body)


class Rows:
    """A rack of rows over bytes that somebody else keeps. Makes no object until a row is asked for."""

    def __init__(self, data: memoryview, count: int, what: str) -> None:
        """*data* is what `encode_rows` made of *count* rows; *what* names it in errors.

        Raises SnapshotRejectedError if *data* cannot hold that many rows.
        """
        self.count = count
        self._what = what
        start = ((count + _GROUP - 1) // _GROUP + 1) * _OFFSET_BYTES
        if len(data) < start:
            raise SnapshotRejectedError(f"hotlist: {what} are cut short; publish the list again")
        self._offsets, self._body = data[:start], data[start:]
        if int.from_bytes(self._offsets[-_OFFSET_BYTES:], "big") != len(self._body):
            raise SnapshotRejectedError(f"hotlist: {what} have another length than stated; publish it again")

    def row(self, number: int) -> str:
        """Return row *number*, counted from 0.

        Raises SnapshotRejectedError if the rack is malformed there.
        """
        if not 0 <= number < self.count:
            raise SnapshotRejectedError(f"hotlist: it names {self._what} it does not hold; publish it again")
        group, within = divmod(number, _GROUP)
        start, end = _TWO_OFFSETS.unpack_from(self._offsets, group * _OFFSET_BYTES)
        try:
            return bytes(self._body[start:end]).split(b"\n", within + 1)[within].decode()
        except (IndexError, UnicodeDecodeError):
            raise SnapshotRejectedError(
                f"hotlist: {self._what}: row {number} is malformed; publish the list again"
            ) from None
