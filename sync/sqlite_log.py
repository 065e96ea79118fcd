"""Whether SQLite would drop commits of a write-ahead log, because of a bit that turned over in its midst.

SQLite plays a log back up to the first frame whose checksum is wrong. After a power cut that is where the
last writing was torn; after a bad sector it is anywhere, and all that was committed behind it is gone without
a word. The format: sqlite.org/fileformat2.html, "The Write-Ahead Log".
"""

import struct
from pathlib import Path

from sync.sqlite_pages import PAGE_BYTES

MOST_BYTES = 64 * 1024 * 1024
"""A longer log is not looked at: it has some 4 MB unless somebody kept it from being written back."""
_HEADER_BYTES, _FRAME_BYTES = 32, 24
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""Of the header; and the byte order of the checksums."""


def drops_commits(log: Path) -> bool:
    """Return whether committed frames stand in the file *log* behind its first wrong checksum, so that SQLite
    would not play them back. Raises OSError."""
    if not log.exists() or not _HEADER_BYTES < log.stat().st_size <= MOST_BYTES:
        return False
    content = log.read_bytes()
    order = _MAGIC.get(int.from_bytes(content[:4], "big"))
    if order is None:
        return _commits(content, _HEADER_BYTES, None)
    sums = _summed(content[:24], (0, 0), order)
    if sums != struct.unpack(">II", content[24:32]):
        return _commits(content, _HEADER_BYTES, None)
    salts = content[16:24]
    at = _HEADER_BYTES
    while at + _FRAME_BYTES + PAGE_BYTES <= len(content):
        head = content[at : at + _FRAME_BYTES]
        page = content[at + _FRAME_BYTES : at + _FRAME_BYTES + PAGE_BYTES]
        sums = _summed(page, _summed(head[:8], sums, order), order)
        if head[8:16] != salts or sums != struct.unpack(">II", head[16:]):
            return _commits(content, at, salts)
        at += _FRAME_BYTES + PAGE_BYTES
    return False


def _commits(content: bytes, start: int, salts: bytes | None) -> bool:
    """Return whether a frame from *start* on ends a commit; *salts* None: of whichever time."""
    for at in range(start, len(content) - _FRAME_BYTES - PAGE_BYTES + 1, _FRAME_BYTES + PAGE_BYTES):
        number, pages_after = struct.unpack(">II", content[at : at + 8])
        if number and pages_after and salts in (None, content[at + 8 : at + 16]):
            return True
    return False


def _summed(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
