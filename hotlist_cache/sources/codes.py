"""What a plate may be wanted for, by the letters that sources give it, and how loudly each is told.

The letters are those of the NCIC licence plate reader extract. Its files are named in "License Plate Reader
Data Extract in NCIC", FBI CJIS, 4 June 2024; N is the first letter of the Immigration Violator File's
numbers. Priorities are for the officer in the car: HIGH where somebody is in danger or the vehicle itself may
be stopped, MEDIUM where a person or a plate is looked for, LOW where knowing is all there is to do.

Off unless the agency switches them on are those that by themselves give no ground for a stop: to alert on
them is a decision of the agency's own policy, and in some states of its law (California: Gov. Code 7284.6
for immigration).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hotlist_cache.entry import Priority

_PRIORITIES = {p.name.lower(): p for p in Priority}


@dataclass(frozen=True, slots=True)
class ListCode:
    """One letter of a source."""

    code: str
    list_name: str
    reason: str
    """One sentence for the officer: what is listed, and what it does not allow."""
    priority: Priority
    on: bool = True
    """Whether it is taken where an agency said nothing."""


_NO_STOP = "no ground for a stop by itself"
LIST_CODES = {
    code.code: code
    for code in (
        ListCode("A", "Amber alert", "Abducted child", Priority.HIGH),
        ListCode("F", "Felony", "Vehicle of a felony", Priority.HIGH),
        ListCode("L", "Violent person", f"Violent person: approach with caution, {_NO_STOP}", Priority.HIGH),
        ListCode("V", "Stolen vehicle", "Vehicle reported stolen", Priority.HIGH),
        ListCode("R", "Canadian stolen", "Reported stolen in Canada", Priority.HIGH),
        ListCode("P", "Stolen plate", "Plate reported stolen, the vehicle may be another", Priority.MEDIUM),
        ListCode("W", "Wanted person", "Vehicle of a wanted person", Priority.MEDIUM),
        ListCode("M", "Missing person", "Vehicle of a missing person: check welfare", Priority.MEDIUM),
        ListCode("T", "Gang or terrorist", f"Approach with caution, {_NO_STOP}", Priority.MEDIUM),
        ListCode("K", "Protective interest", f"Threat to a protected person, {_NO_STOP}", Priority.LOW),
        ListCode("H", "Protection order", f"Subject of a protection order, {_NO_STOP}", Priority.LOW, False),
        ListCode("C", "Supervised release", f"Person on release, {_NO_STOP}", Priority.LOW, False),
        ListCode("X", "Sex offender", f"Registered sex offender, {_NO_STOP}", Priority.LOW, False),
        ListCode("N", "Immigration violator", f"Administrative record, {_NO_STOP}", Priority.LOW, False),
    )
}
"""By letter."""

DEFAULT_CODES: Mapping[str, Priority] = MappingProxyType(
    {code.code: code.priority for code in LIST_CODES.values() if code.on}
)
"""What is taken where the agency said nothing."""


def parse_codes(text: str) -> Mapping[str, Priority]:
    """Return the codes that *text* switches on, each with its priority.

    *text* names letters between commas, each alone or with a priority ("A,F,V,P,W=low"), or "all".

    Raises ValueError naming what is no code or no priority.
    """
    codes = {}
    for term in text.replace(" ", "").split(","):
        letters, equals, name = term.partition("=")
        named = LIST_CODES if letters.lower() == "all" else {letters.upper()} & set(LIST_CODES)
        if not named or (equals and name.lower() not in _PRIORITIES):
            raise ValueError(
                f"{term!r}: name letters of {''.join(LIST_CODES)}, each alone or as W=low, or all"
            )
        for letter in named:
            codes[letter] = _PRIORITIES[name.lower()] if equals else LIST_CODES[letter].priority
    return codes
