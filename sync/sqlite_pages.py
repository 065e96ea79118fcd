"""Rows of a damaged SQLite file, page by page, without its trees: what SQLite itself no longer reads.

Reads the documented file format (sqlite.org/fileformat2.html): leaf pages of tables, pages of indexes,
overflow chains, frames of a write-ahead log. Nothing is checked but shapes, and no row is warranted: a page
that no longer belongs to the file gives its rows too. Whoever asks must know a right row from a wrong one.
"""

import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

PAGE_BYTES = 4096
"""What the outbox is written with; the file's own word for it may be damaged."""
MAX_PAYLOAD_BYTES = 32 * 1024 * 1024
_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR = 0x0D, 0x0A, 0x02
_FILE_HEADER_BYTES = 100
_WAL_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24

Value = None | int | float | bytes | str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table or of an index."""

    number: int
    """Of a table's row, which stands instead of its INTEGER PRIMARY KEY; 0 in an index."""
    values: tuple[Value, ...]


class Pages:
    """All pages of one database file and of the log beside it, read only."""

    def __init__(self, path: Path) -> None:
        """Of the two files one may be missing. Raises OSError if one that is there cannot be opened."""
        self.unreadable = 0
        """Places that the disk itself did not give, once for each time they were asked for."""
        self._frames: dict[int, int] = {}
        """Where the newest version of a page begins in the log."""
        self._offsets: list[int] = []
        self._wal = self._file = -1
        self._pages = 0
        if path.exists():
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._pages = os.fstat(self._file).st_size // PAGE_BYTES
        log = path.with_name(path.name + "-wal")
        if log.exists():
            self._wal = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
            self._find_frames()

    def __enter__(self) -> "Pages":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None
    ) -> None:
        for descriptor in (self._file, self._wal):
            if descriptor >= 0:
                os.close(descriptor)

    def rows(self, *, short: bool = False, start: int = 0) -> Iterator[list[Row]]:
        """Yield the rows that each page holds, the log's pages first, from number *start* on: for many pages
        none. *short*: only those that lie on one page."""
        for offset in self._offsets[start:]:
            yield self._rows(self._read(self._wal, PAGE_BYTES, offset), 0, short=short)
        for number in range(max(0, start - len(self._offsets)), self._pages):
            page = self._read(self._file, PAGE_BYTES, number * PAGE_BYTES)
            yield self._rows(page, 0 if number else _FILE_HEADER_BYTES, short=short)

    def _find_frames(self) -> None:
        size = os.fstat(self._wal).st_size
        offsets = range(_WAL_HEADER_BYTES, size - _FRAME_HEADER_BYTES, _FRAME_HEADER_BYTES + PAGE_BYTES)
        heads = [(at, self._read(self._wal, _FRAME_HEADER_BYTES, at)) for at in offsets]
        salts = self._read(self._wal, _WAL_HEADER_BYTES, 0)[16:24]
        if salts not in {head[8:16] for _, head in heads}:
            # The log's own header is gone: most of it is of one time.
            salts = Counter(head[8:16] for _, head in heads).most_common(1)[0][0] if heads else b""
        for at, head in heads:
            if head[8:16] == salts:  # of another log's time otherwise
                self._frames[int.from_bytes(head[:4], "big")] = at + _FRAME_HEADER_BYTES
                self._offsets.append(at + _FRAME_HEADER_BYTES)

    def _page(self, number: int) -> bytes:
        offset = self._frames.get(number)
        if offset is not None:
            return self._read(self._wal, PAGE_BYTES, offset)
        return self._read(self._file, PAGE_BYTES, (number - 1) * PAGE_BYTES)

    def _read(self, descriptor: int, size: int, offset: int) -> bytes:
        """Return what stands there; nothing where the disk does not give it: the rest is worth having."""
        if descriptor < 0:
            return b""
        try:
            return os.pread(descriptor, size, offset)
        except OSError:
            self.unreadable += 1
            return b""

    def _rows(self, page: bytes, start: int, *, short: bool) -> list[Row]:
        if len(page) != PAGE_BYTES or page[start] not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR):
            return []
        kind = page[start]
        pointers = start + (12 if kind == _INDEX_INTERIOR else 8)
        cells = int.from_bytes(page[start + 3 : start + 5], "big")
        found = []
        for index in range(min(cells, (PAGE_BYTES - pointers) // 2)):
            at = int.from_bytes(page[pointers + 2 * index : pointers + 2 * index + 2], "big")
            try:
                row = self._row(page, at, kind, short=short)
            except (IndexError, ValueError, struct.error):
                continue
            if row is not None:
                found.append(row)
        return found

    def _row(self, page: bytes, at: int, kind: int, *, short: bool) -> Row | None:
        """Return the row of the cell that begins at *at*; raises IndexError, ValueError or struct.error."""
        number = 0
        if kind == _INDEX_INTERIOR:
            at += 4  # the child on its left
        size, at = _varint(page, at)
        if kind == _TABLE_LEAF:
            number, at = _varint(page, at)
        if not 0 < size <= MAX_PAYLOAD_BYTES:
            raise ValueError("no payload is so large")
        most = PAGE_BYTES - 35 if kind == _TABLE_LEAF else (PAGE_BYTES - 12) * 64 // 255 - 23
        if size <= most:
            return Row(number, _record(page[at : at + size], size))
        if short:
            return None
        least = (PAGE_BYTES - 12) * 32 // 255 - 23
        here = least + (size - least) % (PAGE_BYTES - 4)
        if here > most:
            here = least
        payload = bytearray(page[at : at + here])
        following = int.from_bytes(page[at + here : at + here + 4], "big")
        while len(payload) < size:
            content = self._page(following) if following else b""
            if len(content) != PAGE_BYTES:
                raise ValueError("the chain ends before the row does")
            payload += content[4 : 4 + size - len(payload)]
            following = int.from_bytes(content[:4], "big")
        return Row(number, _record(bytes(payload), size))


def _record(payload: bytes, size: int) -> tuple[Value, ...]:
    if len(payload) != size:
        raise ValueError("the row runs over its page")
    header, at = _varint(payload, 0)
    types = []
    while at < header:
        kind, at = _varint(payload, at)
        types.append(kind)
    values: list[Value] = []
    for kind in types:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != size:
        raise ValueError("the row is of another length than its columns")
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind <= 7:
        end = at + (1, 2, 3, 4, 6, 8, 8)[kind - 1]
        content = payload[at:end]
        if kind == 7:
            return struct.unpack(">d", content)[0], end
        return int.from_bytes(content, "big", signed=True), end
    if kind < 12:
        raise ValueError("no such column")
    end = at + (kind - 12) // 2
    content = payload[at:end]
    return (content.decode() if kind % 2 else content), end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9
