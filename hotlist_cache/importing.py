"""Take a list from a CSV or TSV file, row by row.

The file's first row names its columns; a mapping says which of them holds what. A row that cannot be taken is
refused and reported with its line, never with its plate, and the others go on. A file that is not what it
should be is refused as a whole, since a list with a silent hole is worse than the older list.

A file is complete, or incremental: then a mapped column `action` says of each row whether its record is
listed from now on or no longer.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import BinaryIO, TypeVar

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import ImportRefusedError
from hotlist_cache.sources.codes import DEFAULT_CODES
from hotlist_cache.sources.fields import derive_id, in_utc, parse_moment, parse_pattern
from hotlist_cache.sources.lines import Lines
from hotlist_cache.states import is_country, parse_jurisdiction

FIELDS = (
    "plate",
    "state",
    "list",
    "reason",
    "priority",
    "make",
    "model",
    "colour",
    "year",
    "case",
    "source",
    "effective",
    "expires",
    "notes",
    "id",
)
"""What a column may hold. A column that is not mapped and bears none of these names is not read."""
ACTION = "action"
"""A column that is read only if it is mapped: it makes the file incremental."""

_ALIASES = {"colour": ("color",), "case": ("case_number",), "list": ("list_name",)}
_jurisdiction = lru_cache(maxsize=4096)(parse_jurisdiction)
_DELIMITERS = ",\t;|"
_PRIORITIES = {str(p.value): p for p in Priority} | {p.name.lower(): p for p in Priority}
_LISTED = ("add", "a", "new", "insert", "i", "update", "u")
_NO_LONGER_LISTED = ("delete", "d", "del", "remove", "cancel")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_MAX_ROW_CHARACTERS = 4000
_MAX_QUOTED_CHARACTERS = 262144
_Taken = TypeVar("_Taken")


@dataclass(frozen=True, slots=True)
class ImportRules:
    """How a department's file is to be understood."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Of `FIELDS` and `ACTION`, which column of the file holds it; case does not matter. A field left out is
    looked for under its own name and may be missing, but for the plate."""
    delimiter: str = ""
    """One character; empty: that of comma, tab, semicolon and bar which the first row holds most often."""
    country: str = "US"
    """Whose states two letters mean first."""
    timezone: tzinfo = UTC
    """Of dates and times that do not say."""
    list_name: str = ""
    """For rows that name none; a row without is refused if this is empty."""
    source: str = ""
    """For rows that name none."""
    priority: Priority = Priority.MEDIUM
    """For rows that name none."""
    min_known_characters: int = 3
    """A partial plate with fewer letters and digits would meet too many vehicles: refused."""
    codes: Mapping[str, Priority] = field(default_factory=lambda: DEFAULT_CODES)
    """What a source's list codes are taken at; rows of any other code are not taken."""
    file_name: str = ""
    """What the source named the file: some say nowhere else which list it is."""

    @property
    def incremental(self) -> bool:
        """Whether the file changes what was listed, instead of being all of it."""
        return ACTION in self.columns


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that was not taken. Never says what stood in it."""

    line: int
    """Of the file, from 1; the row's first if it spans several."""
    why: str
    switched_off: str = ""
    """The list code that the agency does not take; empty: there is something wrong with the row."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a row of an incremental file does to the list."""

    line: int
    """Of the file, from 1."""
    entry_id: str
    entry: Entry | None
    """What is listed under the id from now on; None: nothing any more."""


def import_entries(
    file: BinaryIO, rules: ImportRules, refused: Callable[[RefusedRow], None]
) -> Iterator[Entry]:
    """Yield the entries of *file*, in UTF-8 with or without a byte order mark, as they are read.

    *refused* is told of every row that is not taken. The same row gives the same entry, with the same id,
    each time. An expiry given as a date without a time means the end of that day.

    Raises ImportRefusedError, also in the midst: what was yielded before is then to be thrown away. That is
    if the file is empty, not UTF-8, ends within a quoted field, lacks the header or a mapped column, holds no
    row, or if every one of its rows was refused. Raises ValueError if the file is incremental.
    """
    if rules.incremental:
        raise ValueError("an incremental file gives changes, not a list")
    return _read(file, rules, refused, lambda _, get: _entry(get, rules))


def import_changes(
    file: BinaryIO, rules: ImportRules, refused: Callable[[RefusedRow], None]
) -> Iterator[Change]:
    """Yield the changes of an incremental *file*, whose mapped `ACTION` is "add" or "delete", in their order.

    A record that is no longer listed is told by its id or, without one, by all that was told of it when it
    was added. A file may hold no change. For the rest see `import_entries`.

    Raises ImportRefusedError as it does, and ValueError if the file is not incremental.
    """
    if not rules.incremental:
        raise ValueError("a complete file gives a list, not changes")
    return _read(file, rules, refused, lambda line, get: _change(line, get, rules))


_Get = Callable[[str], str]
"""Gives what stands in a field; empty where there is none."""


def _read(
    file: BinaryIO,
    rules: ImportRules,
    refused: Callable[[RefusedRow], None],
    take: Callable[[int, _Get], _Taken],
) -> Iterator[_Taken]:
    if not is_country(rules.country):
        raise ImportRefusedError(
            f"import: {rules.country} is not the code of a country; give two letters, as US"
        )
    lines = _RowLines(Lines(file))
    try:
        header_line = next(lines, "")
        delimiter = rules.delimiter or max(_DELIMITERS, key=header_line.count)
        header = next(csv.reader([header_line], delimiter=delimiter, strict=True), [])
        columns = _columns(header, rules)
        # Strict: a quote that is never closed would otherwise swallow every row after it.
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        yield from _taken(
            rows, lines, columns, refused, take, width=len(header), may_be_empty=rules.incremental
        )
    except csv.Error:
        # Without "from": the cause would quote the file.
        raise ImportRefusedError(
            f"import: at or before line {lines.read} a quoted field is not closed or holds a bare quote; "
            "mend the file"
        ) from None


class _RowLines:
    """The lines of a file, as many for one row as a row may have.

    Raises csv.Error if it has more: the quotes are then wrong, and would gather the whole file in memory.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._characters = 0

    @property
    def read(self) -> int:
        """The number of the line given last, from 1."""
        return self._lines.read

    def begin_row(self) -> None:
        """The row that was read has its end."""
        self._characters = 0

    def __iter__(self) -> "_RowLines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._characters += len(line)
        if self._characters > _MAX_QUOTED_CHARACTERS:
            raise csv.Error
        return line


def _taken(
    rows: Iterator[list[str]],
    lines: _RowLines,
    columns: Mapping[str, int],
    refused: Callable[[RefusedRow], None],
    take: Callable[[int, _Get], _Taken],
    *,
    width: int,
    may_be_empty: bool,
) -> Iterator[_Taken]:
    taken = 0
    refusals = 0
    line = lines.read + 1
    for row in rows:
        lines.begin_row()
        if row:
            try:
                if len(row) != width:
                    raise ValueError("it has another number of fields than the header")
                value = take(line, _fields(row, columns))
            except ValueError as error:
                refusals += 1
                refused(RefusedRow(line, str(error)))
            else:
                taken += 1
                yield value
        line = lines.read + 1
    if refusals and not taken:
        raise ImportRefusedError(
            f"import: all {refusals} rows were refused; check the column mapping and the delimiter"
        )
    if not taken and not may_be_empty:
        raise ImportRefusedError("import: the file holds its header alone; fetch it again")


def _columns(header: list[str], rules: ImportRules) -> dict[str, int]:
    if unknown := set(rules.columns) - set(FIELDS) - {ACTION}:
        raise ImportRefusedError(
            f"import: no such field to map: {', '.join(sorted(unknown))}; "
            f"known: {', '.join((*FIELDS, ACTION))}"
        )
    names = [name.strip().lower() for name in header]
    columns = {}
    for field_name in (*FIELDS, ACTION) if rules.incremental else FIELDS:
        mapped = rules.columns.get(field_name)
        wanted = (mapped,) if mapped is not None else (field_name, *_ALIASES.get(field_name, ()))
        found = [number for number, name in enumerate(names) if name in {w.strip().lower() for w in wanted}]
        if len(found) > 1:
            raise ImportRefusedError(f"import: two columns for {field_name}; map the right one")
        if found:
            columns[field_name] = found[0]
        elif mapped is not None or field_name == "plate":
            # The header itself is not quoted: where it is missing, its place is taken by a row.
            raise ImportRefusedError(
                f"import: the first line names no column {wanted[0]!r} for {field_name}; "
                "check that the file has a header, its delimiter and the mapping"
            )
    return columns


def _fields(row: list[str], columns: Mapping[str, int]) -> _Get:
    """Raises ValueError if the row is too long to be one."""
    # One look at the whole row, since nearly every row is clean and this runs five million times.
    whole = "".join(row)
    if not whole.isprintable():
        row = [_CONTROL.sub(" ", text) for text in row]
    if len(whole) > _MAX_ROW_CHARACTERS:
        raise ValueError(f"it is longer than {_MAX_ROW_CHARACTERS} characters")
    values = {name: row[column].strip() for name, column in columns.items()}
    return lambda name: values.get(name, "")


def _change(line: int, get: _Get, rules: ImportRules) -> Change:
    """Raises ValueError saying why the row is refused, without quoting it."""
    action = get(ACTION).lower()
    listed = action in _LISTED
    if not listed and action not in _NO_LONGER_LISTED:
        raise ValueError("its action is neither add nor delete")
    if not listed and (entry_id := get("id")):
        return Change(line, entry_id, None)
    entry = _entry(get, rules)
    return Change(line, entry.entry_id, entry if listed else None)


def _entry(get: _Get, rules: ImportRules) -> Entry:
    """Raises ValueError saying why the row is refused, without quoting it."""
    list_name = get("list") or rules.list_name
    if not list_name:
        raise ValueError("it names no list, and no list name was given for the file")
    effective, expires = _moments(get("effective"), get("expires"), rules.timezone, rules.country)
    pattern = parse_pattern(get("plate"), rules.min_known_characters)
    jurisdiction = _jurisdiction(get("state"), rules.country)
    reason = "; ".join(filter(None, (get("reason"), get("notes"))))
    priority = _priority(get("priority"), rules.priority)
    vehicle = " ".join(filter(None, (get("colour"), get("year"), get("make"), get("model"))))
    case_number = get("case")
    source = get("source") or rules.source
    # Derived from everything in the record: the same record has the same id in each list.
    parts = (pattern, jurisdiction or "", list_name, reason, priority.value, vehicle, case_number, source)
    return Entry(
        get("id") or derive_id(*parts, effective, expires),
        pattern,
        jurisdiction,
        list_name,
        reason,
        priority,
        vehicle,
        case_number,
        source,
        effective,
        expires,
    )


def _priority(text: str, default: Priority) -> Priority:
    if not text:
        return default
    priority = _PRIORITIES.get(text.lower())
    if priority is None:
        raise ValueError("the priority is not low, medium, high or 1 to 3")
    return priority


@lru_cache(maxsize=65536)
def _moments(
    effective: str, expires: str, timezone: tzinfo, country: str
) -> tuple[datetime | None, datetime | None]:
    begins, _ = parse_moment(effective, "effective", timezone, country)
    ends, whole_day = parse_moment(expires, "expires", timezone, country)
    if ends is not None and whole_day:
        ends = ends + timedelta(days=1)
    if begins is not None and ends is not None and not begins < ends:
        raise ValueError("it expires before it takes effect")
    return in_utc(begins), in_utc(ends)
