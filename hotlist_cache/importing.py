"""Take a list from a CSV or TSV file, row by row.

The file's first row names its columns; a mapping says which of them holds what. A row that cannot be taken is
refused and reported with its line, never with its plate, and the others go on. A file that is not what it
should be is refused as a whole, since a list with a silent hole is worse than the older list.
"""

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import BinaryIO

from hotlist_cache.body import MAX_PATTERN_CHARACTERS
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import ImportRefusedError
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

_ALIASES = {"colour": ("color",), "case": ("case_number",), "list": ("list_name",)}
_jurisdiction = lru_cache(maxsize=4096)(parse_jurisdiction)
_DELIMITERS = ",\t;|"
_PRIORITIES = {str(p.value): p for p in Priority} | {p.name.lower(): p for p in Priority}
_PLATE_SEPARATORS = str.maketrans("", "", " -.'")
_PATTERN = re.compile(rf"[A-Z0-9?*]{{1,{MAX_PATTERN_CHARACTERS}}}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_AMERICAN_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_MAX_ROW_CHARACTERS = 4000
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class ImportRules:
    """How a department's file is to be understood."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Of `FIELDS`, which column of the file holds it; case does not matter. What is left out is looked for
    under its own name and may be missing, but for the plate."""
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


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that was not taken. Never says what stood in it."""

    line: int
    """Of the file, from 1; the row's first if it spans several."""
    why: str


def import_entries(
    file: BinaryIO, rules: ImportRules, refused: Callable[[RefusedRow], None]
) -> Iterator[Entry]:
    """Yield the entries of *file*, in UTF-8 with or without a byte order mark, as they are read.

    *refused* is told of every row that is not taken. The same row gives the same entry, with the same id,
    each time. An expiry given as a date without a time means the end of that day.

    Raises ImportRefusedError, also in the midst: what was yielded before is then to be thrown away. That is
    if the file is empty, not UTF-8, ends within a quoted field, lacks the header or a mapped column, or if
    every one of its rows was refused.
    """
    if not is_country(rules.country):
        raise ImportRefusedError(
            f"import: {rules.country} is not the code of a country; give two letters, as US"
        )
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="strict", newline="")
    lines = _Lines(text)
    try:
        header_line = next(lines, "")
        delimiter = rules.delimiter or max(_DELIMITERS, key=header_line.count)
        header = next(csv.reader([header_line], delimiter=delimiter, strict=True), [])
        columns = _columns(header, rules)
        # Strict: a quote that is never closed would otherwise swallow every row after it.
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        yield from _entries(rows, lines, columns, rules, refused, width=len(header))
    except UnicodeDecodeError:
        # Without "from", here and below: the cause would quote the file.
        raise ImportRefusedError(
            f"import: not UTF-8 text somewhere after line {lines.read}; save the file as UTF-8"
        ) from None
    except csv.Error:
        raise ImportRefusedError(
            f"import: at or before line {lines.read} a quoted field is not closed or holds a bare quote; "
            "mend the file"
        ) from None
    finally:
        text.detach()  # the file stays the caller's to close


class _Lines:
    """The lines of a file, counted."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.read = 0
        self._text = text

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.read += 1
        return line


def _entries(
    rows: Iterable[list[str]],
    lines: _Lines,
    columns: Mapping[str, int],
    rules: ImportRules,
    refused: Callable[[RefusedRow], None],
    *,
    width: int,
) -> Iterator[Entry]:
    taken = 0
    refusals = 0
    line = lines.read + 1
    for row in rows:
        if row:
            try:
                if len(row) != width:
                    raise ValueError("it has another number of fields than the header")
                entry = _entry(row, columns, rules)
            except ValueError as error:
                refusals += 1
                refused(RefusedRow(line, str(error)))
            else:
                taken += 1
                yield entry
        line = lines.read + 1
    if refusals and not taken:
        raise ImportRefusedError(
            f"import: all {refusals} rows were refused; check the column mapping and the delimiter"
        )


def _columns(header: list[str], rules: ImportRules) -> dict[str, int]:
    if unknown := set(rules.columns) - set(FIELDS):
        raise ImportRefusedError(
            f"import: no such field to map: {', '.join(sorted(unknown))}; known: {', '.join(FIELDS)}"
        )
    names = [name.strip().lower() for name in header]
    columns = {}
    for field_name in FIELDS:
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


def _entry(row: list[str], columns: Mapping[str, int], rules: ImportRules) -> Entry:
    """Raises ValueError saying why the row is refused, without quoting it."""
    # One look at the whole row, since nearly every row is clean and this runs five million times.
    whole = "".join(row)
    if not whole.isprintable():
        row = [_CONTROL.sub(" ", text) for text in row]
    if len(whole) > _MAX_ROW_CHARACTERS:
        raise ValueError(f"it is longer than {_MAX_ROW_CHARACTERS} characters")
    get = {name: row[column].strip() for name, column in columns.items()}.get
    list_name = get("list") or rules.list_name
    if not list_name:
        raise ValueError("it names no list, and no list name was given for the file")
    effective, expires = _moments(get("effective", ""), get("expires", ""), rules.timezone, rules.country)
    pattern = _pattern(get("plate", ""), rules.min_known_characters)
    jurisdiction = _jurisdiction(get("state", ""), rules.country)
    reason = "; ".join(filter(None, (get("reason"), get("notes"))))
    priority = _priority(get("priority", ""), rules.priority)
    vehicle = " ".join(filter(None, (get("colour"), get("year"), get("make"), get("model"))))
    case_number = get("case", "")
    source = get("source") or rules.source
    # Derived from everything in the record: the same record has the same id in each list.
    parts = (
        pattern,
        jurisdiction or "",
        list_name,
        reason,
        str(priority.value),
        vehicle,
        case_number,
        source,
    )
    times = f"{effective}\x1f{expires}"
    return Entry(
        get("id") or hashlib.sha256("\x1f".join((*parts, times)).encode()).hexdigest()[: 2 * _ID_BYTES],
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


def _pattern(text: str, min_known_characters: int) -> str:
    if not text:
        raise ValueError("the plate is missing")
    # Refused rather than dropped, as the reader does with what it sees: a plate without one of its characters
    # is another vehicle's. ASCII is asked for first, since upper() turns some letters into ASCII ones.
    pattern = text.translate(_PLATE_SEPARATORS).upper() if text.isascii() else ""
    while "**" in pattern:
        pattern = pattern.replace("**", "*")
    if not _PATTERN.fullmatch(pattern):
        raise ValueError(f"the plate is not 1 to {MAX_PATTERN_CHARACTERS} of A-Z, 0-9, ? and *")
    known = len(pattern) - pattern.count("?") - pattern.count("*")
    if known < len(pattern) and known < min_known_characters:
        raise ValueError(f"the partial plate has fewer than {min_known_characters} known characters")
    return pattern


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
    begins, _ = _moment(effective, "effective", timezone, country)
    ends, whole_day = _moment(expires, "expires", timezone, country)
    if ends is not None and whole_day:
        ends = ends + timedelta(days=1)
    if begins is not None and ends is not None and not begins < ends:
        raise ValueError("it expires before it takes effect")
    return _utc(begins), _utc(ends)


def _moment(text: str, name: str, timezone: tzinfo, country: str) -> tuple[datetime | None, bool]:
    """Return the moment, in the zone it was given in, and whether *text* was a date alone."""
    if not text:
        return None, False
    try:
        if american := _AMERICAN_DATE.fullmatch(text) if country == "US" else None:
            month, day, year = (int(part) for part in american.groups())
            return datetime(year, month, day, tzinfo=timezone), True
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} is not a date as 2025-07-31 or a time as 2025-07-31T18:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone)
    return moment, "T" not in text.upper() and ":" not in text


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise ValueError("a date lies out of the calendar") from None
