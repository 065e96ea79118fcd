"""Read the file of any source the department knows."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import BinaryIO

from hotlist_cache.entry import Entry
from hotlist_cache.errors import ImportRefusedError
from hotlist_cache.importing import ImportRules, RefusedRow, import_entries
from hotlist_cache.sources.clew import CLEW
from hotlist_cache.sources.codes import LIST_CODES
from hotlist_cache.sources.delimited import FLORIDA, TEXAS, WASHINGTON
from hotlist_cache.sources.fields import derive_id, parse_plate
from hotlist_cache.sources.lines import Lines
from hotlist_cache.sources.ncic import NCIC
from hotlist_cache.sources.new_york import NEW_YORK
from hotlist_cache.sources.source import Listed, Source
from hotlist_cache.states import parse_ncic_state

MAPPED_CSV = "csv"
SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "clew": CLEW,
        "ncic": NCIC,
        "texas": TEXAS,
        "florida": FLORIDA,
        "washington": WASHINGTON,
        "new-york": NEW_YORK,
    }
)
"""By the name a person gives; beside them there is `MAPPED_CSV`."""
_MAX_FIELD_CHARACTERS = 128
_jurisdiction = lru_cache(maxsize=4096)(parse_ncic_state)


def read_source(
    source: str, file: BinaryIO, rules: ImportRules, refused: Callable[[RefusedRow], None]
) -> Iterator[Entry]:
    """Yield the entries of *file*, which *source* wrote, as they are read.

    *refused* is told of every row that is not taken, also of those that the agency's codes switch off. Of
    *rules*, a source takes `codes`, `file_name` and `source`, and where its file does not say what plates
    are wanted for, `list_name` and `priority`; the mapped CSV takes the rest. The same record has the same id
    each time.

    Raises ImportRefusedError, also in the midst: what was yielded before is then to be thrown away. That is
    if the file's frame, encoding or count is not as it must be, if it holds no record, or if every one of
    its rows was refused. Raises ValueError if there is no such source.
    """
    if source == MAPPED_CSV:
        return import_entries(file, rules, refused)
    if source not in SOURCES:
        raise ValueError(f"no source {source!r}; known: {MAPPED_CSV}, {', '.join(SOURCES)}")
    return _entries(SOURCES[source], Lines(file), rules, refused)


def _entries(
    source: Source, lines: Lines, rules: ImportRules, refused: Callable[[RefusedRow], None]
) -> Iterator[Entry]:
    if source.says_list and rules.list_name:
        raise ImportRefusedError(
            f"import: {source.title} says itself what plates are wanted for; give no list name"
        )
    if not source.says_list and not rules.list_name:
        raise ImportRefusedError(
            f"import: {source.title} does not say what plates are wanted for; give a list name"
        )
    understood = 0
    refusals = 0
    for line, text in source.rows(lines, rules):
        try:
            entry = _entry(source, text, rules)
        except ValueError as error:
            refusals += 1
            refused(RefusedRow(line, str(error)))
            continue
        understood += 1
        if isinstance(entry, str):
            refused(RefusedRow(line, f"the agency switched {entry} off", switched_off=entry))
        else:
            yield entry
    if not understood:
        raise ImportRefusedError(
            f"import: all {refusals} rows were refused; check that this is a file of {source.title}"
            if refusals
            else f"import: the file holds no record of {source.title}; fetch it again"
        )


def _entry(source: Source, text: str, rules: ImportRules) -> Entry | str:
    """Return the entry, or its code if that is switched off.

    Raises ValueError saying why the row is refused, without quoting it.
    """
    if not text.isascii():
        # Columns are counted in characters, and no plate, make or number of these sources needs another.
        raise ValueError("it holds a character that is not ASCII")
    if not text.isprintable():
        raise ValueError("it holds a control character")
    listed = source.parse(text, rules)
    if listed.code or source.says_list:
        if (code := LIST_CODES.get(listed.code)) is None:
            raise ValueError("its list code is unknown")
        if (priority := rules.codes.get(code.code)) is None:
            return code.code
        list_name, reason = code.list_name, code.reason
    else:
        list_name, reason, priority = rules.list_name, "", rules.priority
    if (
        max(map(len, (listed.entry_id, listed.vehicle, listed.case_number, listed.origin)))
        > _MAX_FIELD_CHARACTERS
    ):
        raise ValueError(f"a field is longer than {_MAX_FIELD_CHARACTERS} characters")
    pattern = parse_plate(listed.plate.strip())
    jurisdiction = _jurisdiction(listed.state)
    return Entry(
        listed.entry_id or _id(source, listed, pattern, list_name),
        pattern,
        jurisdiction,
        list_name,
        reason,
        priority,
        listed.vehicle,
        listed.case_number,
        ", ".join(filter(None, (rules.source or source.title, listed.origin))),
    )


def _id(source: Source, listed: Listed, pattern: str, list_name: str) -> str:
    # Not of priority and reason: an agency may change what it makes of a record, which stays the same record.
    return derive_id(
        source.title,
        pattern,
        listed.state.strip(),
        list_name,
        listed.vehicle,
        listed.case_number,
        listed.origin,
    )
