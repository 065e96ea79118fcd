"""The FBI's NCIC extract for licence plate readers, `VEHEXTRT.txt`: one header line, then fixed columns.

    0-10 NIC number, its first letter the list code; 10-19 ORI; 19-27 date; 27-37 plate; 37-39 state;
    39-43 plate year; 43-45 plate type; 45-49 vehicle year; 49-53 make; 53-56 model; 56-58 style; 58- colour

There is no footer: a file cut between two lines shows only in that the list shrank.
"""

import re
from collections.abc import Iterator

from hotlist_cache.errors import ImportRefusedError
from hotlist_cache.importing import ImportRules
from hotlist_cache.sources.clew import require_date
from hotlist_cache.sources.lines import Lines
from hotlist_cache.sources.source import Listed, Row, Source, described, require_last_line_whole

_NIC_NUMBER = re.compile(r"[A-Z][0-9]{9}")
_ORI = re.compile(r"[A-Z0-9]{9}")
_LEAST_CHARACTERS = 39
_MOST_CHARACTERS = 80


def _rows(lines: Lines, rules: ImportRules) -> Iterator[Row]:
    header = next(lines, "").rstrip()
    if _NIC_NUMBER.match(header):
        raise ImportRefusedError(
            "import: the first line is a record, so the header is gone; fetch the file again"
        )
    if not header or not header.isascii() or not header.isprintable():
        raise ImportRefusedError(
            "import: the first line is not the header of an NCIC extract; fetch it again"
        )
    for line in lines:
        if text := line.rstrip():
            yield lines.read, text
    require_last_line_whole(lines)


def _parse(text: str, rules: ImportRules) -> Listed:
    if not _LEAST_CHARACTERS <= len(text) <= _MOST_CHARACTERS:
        raise ValueError(f"it is not of {_LEAST_CHARACTERS} to {_MOST_CHARACTERS} characters")
    number, ori = text[:10], text[10:19].strip()
    if not _NIC_NUMBER.fullmatch(number):
        raise ValueError("the NIC number is not a letter and nine digits")
    if ori and not _ORI.fullmatch(ori):
        raise ValueError("the ORI is not nine letters and digits")
    require_date(text[19:27])
    return Listed(
        text[27:37],
        text[37:39],
        number[0],
        entry_id=number,
        vehicle=described(text[58:], text[45:49], text[49:53], text[53:56], text[56:58]),
        origin=f"ORI {ori}" if ori else "",
    )


NCIC = Source("NCIC", _rows, _parse)
