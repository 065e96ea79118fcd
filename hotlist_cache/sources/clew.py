"""California Department of Justice, CLEW: `svs.tbl`, `sfr.tbl` and `slr.tbl`.

    DATE07/02/2018 09:00
    ABC1234 CA1220190515        plate 0-8, state 8-10, county 10-12, date of loss 12-20
    TOTAL RECORD 0000001

Which list it is stands in the file's name alone.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from hotlist_cache.errors import ImportRefusedError
from hotlist_cache.importing import ImportRules
from hotlist_cache.sources.lines import Lines
from hotlist_cache.sources.source import Listed, Row, Source

_CODES = {"svs": "V", "sfr": "F", "slr": "P"}
_HEADER = re.compile(r"DATE([0-9]{2}/[0-9]{2}/[0-9]{4} [0-9]{2}:[0-9]{2})")
_FOOTER = re.compile(r"TOTAL RECORD +([0-9]{1,10})")
_RECORD_CHARACTERS = 20
_LEAST_CHARACTERS = 10


def _rows(lines: Lines, rules: ImportRules) -> Iterator[Row]:
    if rules.file_name[:3].lower() not in _CODES:
        raise ImportRefusedError(
            "import: only its name says which list a CLEW file is; it must begin with svs (stolen vehicle), "
            "sfr (felony) or slr (stolen plate)"
        )
    _require_header(next(lines, ""))
    records = 0
    for line in lines:
        text = line.rstrip()
        if text.startswith("TOTAL RECORD"):
            _require_count(text, records, lines.read)
            break
        if text:
            records += 1
            yield lines.read, text
    else:
        raise ImportRefusedError(
            f"import: the line TOTAL RECORD is missing after line {lines.read}, so the file was cut short; "
            "fetch it again"
        )
    for line in lines:
        if line.strip():
            raise ImportRefusedError(
                f"import: line {lines.read} stands after TOTAL RECORD; fetch the file again"
            )


def _require_header(line: str) -> None:
    try:
        found = _HEADER.fullmatch(line.rstrip())
        datetime.strptime(found[1] if found else "", "%m/%d/%Y %H:%M")  # noqa: DTZ007  # never compared
    except ValueError:
        raise ImportRefusedError(
            "import: the first line is not that of a CLEW file (DATE07/02/2018 09:00); fetch it again"
        ) from None


def _require_count(text: str, records: int, line: int) -> None:
    found = _FOOTER.fullmatch(text)
    if found is None or int(found[1]) != records:
        stated = int(found[1]) if found else "no number"
        raise ImportRefusedError(
            f"import: line {line}, TOTAL RECORD, states {stated}, but the file holds {records} records; "
            "fetch it again"
        )


def _parse(text: str, rules: ImportRules) -> Listed:
    if not _LEAST_CHARACTERS <= len(text) <= _RECORD_CHARACTERS:
        raise ValueError(f"it is not of {_LEAST_CHARACTERS} to {_RECORD_CHARACTERS} characters")
    require_date(text[12:20])
    county = text[10:12].strip()
    return Listed(
        text[:8],
        text[8:10],
        _CODES[rules.file_name[:3].lower()],
        origin=f"county {county}" if county else "",
    )


def require_date(text: str) -> None:
    """Raises ValueError unless *text* is YYYYMMDD or blank. A date elsewhere shows that columns have moved.

    The date is not taken over: it says neither from when nor until when a plate is wanted.
    """
    try:
        if text.strip(" 0"):
            datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007  # never compared
    except ValueError:
        raise ValueError("the date is not YYYYMMDD") from None


CLEW = Source("CLEW", _rows, _parse)
