"""What a source's module says: how its file is framed, and what stands where in a record."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hotlist_cache.errors import ImportRefusedError
from hotlist_cache.importing import ImportRules
from hotlist_cache.sources.lines import Lines

Row = tuple[int, str]
"""The number of a line, from 1, and the record in it, without the line's end."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One record as its source writes it, before anything of it is judged. Names and births are not in it."""

    plate: str = field(repr=False)
    state: str
    """As the NCIC writes it."""
    code: str = ""
    """Of `codes.LIST_CODES`; empty: the source does not say what the plate is wanted for."""
    entry_id: str = ""
    """The source's own number of the record; empty: it has none."""
    vehicle: str = field(default="", repr=False)
    case_number: str = field(default="", repr=False)
    origin: str = ""
    """Who entered it there, for the officer who asks whether it still stands."""


@dataclass(frozen=True, slots=True)
class Source:
    """How one source's file is read."""

    title: str
    """Who lists, as an entry says it."""
    rows: Callable[[Lines, ImportRules], Iterator[Row]]
    """Yields the records of a file. Raises ImportRefusedError if its frame is not that of the source."""
    parse: Callable[[str, ImportRules], Listed]
    """Takes a record apart. Raises ValueError saying why it cannot be, without quoting it."""
    says_list: bool = True
    """Whether its files say what a plate is wanted for."""


def split(text: str, delimiter: str) -> list[str]:
    """Return the fields of a record of one line. Raises ValueError if a quote is bare or not closed."""
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        # Without "from": the cause could quote the record.
        raise ValueError("a quoted field is not closed or holds a bare quote") from None


def described(*parts: str) -> str:
    """Return a vehicle's description of those *parts* that are there."""
    return " ".join(part for part in map(str.strip, parts) if part)


def plain_rows(lines: Lines, rules: ImportRules) -> Iterator[Row]:
    """Yield every line that is not blank.

    Raises ImportRefusedError if the last line has no end: such files have no footer that would show a cut.
    """
    for line in lines:
        if line.strip():
            yield lines.read, line.rstrip("\r\n")
    require_last_line_whole(lines)


def named_rows(lines: Lines, rules: ImportRules) -> Iterator[Row]:
    """Yield what `plain_rows` does, but for a first line that names the columns: it has no digit.

    Only for sources whose every record has one, in its date or number. Raises as it does.
    """
    for line, text in plain_rows(lines, rules):
        if line > 1 or any(character.isdigit() for character in text):
            yield line, text


def require_last_line_whole(lines: Lines) -> None:
    """Raises ImportRefusedError if the file ended within a line."""
    if lines.read and not lines.whole:
        raise ImportRefusedError(
            f"import: the file ends within line {lines.read}, so it was cut short; fetch it again"
        )
