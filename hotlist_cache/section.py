"""A section: the rows of a list, or of a change to one, as they travel.

A CBOR array of byte strings. The rows of plates are grouped by format (`formats`), the formats ascending, and
within one they stand as the list sorts them; the patterns follow.

- formats: 7 bytes for each: its number (3, big-endian) and its rows (4);
- ranks, six byte strings: the difference of each row's rank to that of the row before in the same format, 0
  before the first; the first string holds the lowest bytes of all differences, the last the highest;
- patterns: 16 bytes each, as in the columns;
- for each column its numbers, byte by byte as the ranks are, in one string; then its table.

Each of them stands as it is if it has the length that the shape asks for; a shorter one is deflated (RFC
1951). Neighbouring plates of a long list differ by little: most of a difference is in its lowest byte, which
Huffman coding alone makes a little shorter. LZMA makes it longer, and takes several times as long to open.
"""

import zlib

import cbor2

from hotlist_cache.columns import COLUMNS
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.formats import RANK_BYTES, Format, numbered

FORMAT_NUMBER_BYTES = 3
FORMAT_BYTES = 7
FORMATS = 0
RANKS = 1
PATTERNS = RANKS + RANK_BYTES
FIRST_COLUMN = PATTERNS + 1
"""Numbers and table of the first column; the others follow, two parts each."""
PARTS = FIRST_COLUMN + 2 * len(COLUMNS)


def read_parts(data: memoryview) -> list[bytes]:
    """Return the byte strings of a section, not yet inflated.

    Raises SnapshotRejectedError if *data* is no section.
    """
    try:
        parts = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, RecursionError):
        parts = None
    if (
        not isinstance(parts, list)
        or len(parts) != PARTS
        or not all(isinstance(part, bytes) for part in parts)
        or cbor2.dumps(parts) != data
    ):
        raise malformed("its parts")
    return parts


def read_formats(part: bytes, entries: int) -> list[tuple[Format, int]]:
    """Return each format of a section's first *part* with its number of rows.

    Raises SnapshotRejectedError if they are not those of *entries* rows, ascending.
    """
    formats = []
    for start in range(0, len(part), FORMAT_BYTES):
        record = part[start : start + FORMAT_BYTES]
        try:
            plate_format = numbered(int.from_bytes(record[:FORMAT_NUMBER_BYTES], "big"))
        except ValueError:
            raise malformed("a format") from None
        formats.append((plate_format, int.from_bytes(record[FORMAT_NUMBER_BYTES:], "big")))
    numbers = [plate_format.number for plate_format, _ in formats]
    if (
        len(part) % FORMAT_BYTES
        or numbers != sorted(set(numbers))
        or not all(rows for _, rows in formats)
        or sum(rows for _, rows in formats) != entries
    ):
        raise malformed("its formats")
    return formats


def inflate(part: bytes, length: int, what: str) -> bytes:
    """Return what *part* holds, which is *length* bytes, and never makes more of it than that.

    Raises SnapshotRejectedError if it holds something else.
    """
    if len(part) == length:
        return part
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # One byte more than there should be, so that a stream of the right length comes to its end; one that
        # goes on has a byte too many.
        data = inflating.decompress(part, length + 1)
    except zlib.error:
        raise malformed(what) from None
    if len(part) > length or len(data) != length or not inflating.eof or inflating.unused_data:
        raise malformed(what)
    return data


def malformed(what: str) -> SnapshotRejectedError:
    """Return the error for a list that holds something else than it states."""
    return SnapshotRejectedError(f"hotlist: {what} is malformed; publish the list again")
