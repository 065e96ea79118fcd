"""Texas, Florida and Washington: one record a line, its fields between commas or semicolons.

    Texas       id, state record id, date, plate, state, registration year, vehicle year, make, model, body,
                colour
    Florida     ;-separated, plate in the 11th field, state in the 13th
    Washington  type, ORI, plate, state, plate year, plate type, VIN, year, make, model, style, colour, date,
                case, remarks

A first line that names the columns may stand there or not. VIN and remarks are not taken over: the first is
nothing an officer compares through a window, the second names people.
"""

from hotlist_cache.importing import ImportRules
from hotlist_cache.sources.codes import LIST_CODES
from hotlist_cache.sources.source import Listed, Source, described, named_rows, split

_TEXAS_FIELDS = 11
_FLORIDA_LEAST_FIELDS = 13
_WASHINGTON_LEAST_FIELDS = 14
"""Without the remarks, which may hold commas of their own."""
_CODES_BY_NAME = {code.list_name.upper(): code.code for code in LIST_CODES.values()}


def _texas(text: str, rules: ImportRules) -> Listed:
    fields = split(text, ",")
    if len(fields) != _TEXAS_FIELDS:
        raise ValueError(f"it has {len(fields)} fields, not {_TEXAS_FIELDS}")
    entry_id, state_record, _, plate, state, _, year, make, model, body, colour = fields
    if not entry_id.strip():
        raise ValueError("the record's id is missing")
    return Listed(
        plate,
        state,
        entry_id=entry_id.strip(),
        vehicle=described(colour, year, make, model, body),
        case_number=state_record.strip(),
    )


def _florida(text: str, rules: ImportRules) -> Listed:
    fields = split(text, ";")
    if len(fields) < _FLORIDA_LEAST_FIELDS:
        raise ValueError(f"it has {len(fields)} fields, not at least {_FLORIDA_LEAST_FIELDS}")
    return Listed(fields[10], fields[12])


def _washington(text: str, rules: ImportRules) -> Listed:
    fields = split(text, ",")
    if len(fields) < _WASHINGTON_LEAST_FIELDS:
        raise ValueError(f"it has {len(fields)} fields, not at least {_WASHINGTON_LEAST_FIELDS}")
    kind, ori, plate, state, _, _, _, year, make, model, style, colour, _, case = fields[:14]
    kind = kind.strip().upper()
    return Listed(
        plate,
        state,
        _CODES_BY_NAME.get(kind, kind),
        vehicle=described(colour, year, make, model, style),
        case_number=case.strip(),
        origin=described("ORI" if ori.strip() else "", ori),
    )


TEXAS = Source("Texas", named_rows, _texas, says_list=False)
FLORIDA = Source("Florida", named_rows, _florida, says_list=False)
WASHINGTON = Source("Washington", named_rows, _washington)
