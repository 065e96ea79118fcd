"""Why a person may look at reads: the pick list of unit and server, and which reasons need a case number.

Source: the official law-enforcement uses that the two model policies name (D .03, PA .2), and the purposes
that Cal. Civ. Code 1798.90.52 wants recorded with each access.
"""

import re
from dataclasses import dataclass

_CASE_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./_-]{1,63}")


@dataclass(frozen=True, slots=True)
class PurposeKind:
    """One line of the pick list."""

    code: str
    label: str
    needs_case: bool


PURPOSES = (
    PurposeKind("stolen-vehicle", "Stolen vehicle or plate", True),
    PurposeKind("missing-person", "Missing or endangered person", True),
    PurposeKind("wanted-person", "Wanted person", True),
    PurposeKind("investigation", "Criminal investigation", True),
    PurposeKind("canvass", "Canvass around a major incident", True),
    PurposeKind("hit-verification", "Verify a hit of this shift", False),
    PurposeKind("quality-assurance", "Quality assurance: how well plates are read", False),
    PurposeKind("audit", "Audit or policy compliance", False),
    PurposeKind("equipment", "Equipment check by a technician", False),
)


def checked_case(code: str, case_number: str) -> str:
    """Return the case number that goes with the purpose *code*, trimmed; empty where none is needed or given.

    Raises ValueError, with what to tell the person, if it is not in the list or lacks its case number.
    """
    kind = next((kind for kind in PURPOSES if kind.code == code), None)
    if kind is None:
        raise ValueError("Pick a purpose from the list.")
    case_number = case_number.strip()
    if kind.needs_case and not case_number:
        raise ValueError(f"“{kind.label}” needs a case number.")
    if case_number and not _CASE_NUMBER.fullmatch(case_number):
        raise ValueError("A case number has 2 to 64 letters, digits, spaces and . / _ - only.")
    return case_number


def checked_incident(number: str) -> str:
    """Return the incident number *number*, trimmed: a canvass is for one, and it is its case number.

    Raises ValueError, with what to tell the person, if it is none.
    """
    return checked_case("canvass", number)


def label_of(code: str) -> str:
    """Return the words for a purpose's *code*."""
    return next((kind.label for kind in PURPOSES if kind.code == code), code)
