"""The lines of a file, counted and bounded: a file of any size and any bytes is read in little memory."""

import re
from typing import BinaryIO

from hotlist_cache.errors import ImportRefusedError

MAX_LINE_BYTES = 65536
"""A longer line is no record of any source: the file is something else, or its line ends are gone."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class Lines:
    """Yields each line with its end: line feed, carriage return, or both. UTF-8, with or without its mark.

    Raises ImportRefusedError, naming the line, if it is not UTF-8 or is longer than `MAX_LINE_BYTES`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.read = 0
        """The number of the line given last, from 1."""
        self.whole = False
        """Whether the line given last had an end: a file cut short usually lacks its last one."""
        self._file = file
        self._waiting: list[str] = []

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._waiting.pop() if self._waiting else self._next()
        self.read += 1
        self.whole = line.endswith(("\n", "\r"))
        return line

    def _next(self) -> str:
        data = self._file.readline(MAX_LINE_BYTES + 1)
        if len(data) > MAX_LINE_BYTES:
            raise ImportRefusedError(
                f"import: line {self.read + 1} is longer than {MAX_LINE_BYTES} bytes; "
                "this is not a list, or its line ends are lost: fetch it again"
            )
        if not self.read:
            data = data.removeprefix(_BYTE_ORDER_MARK)
        if not data:
            raise StopIteration
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            # Without "from": the cause would quote the file.
            raise ImportRefusedError(
                f"import: line {self.read + 1} is not UTF-8 text; save the file as UTF-8"
            ) from None
        returns = text.count("\r")
        if not returns or (returns == 1 and text.endswith("\r\n")):
            return text
        # Lone carriage returns end lines, too, as old programs write them.
        self._waiting = _LINE.findall(text)[::-1]
        return self._waiting.pop()
