"""Plate text: its normal form and the characters that many plate fonts do not tell apart."""

from typing import NewType

Plate = NewType("Plate", str)
"""Upper-case A-Z and 0-9 only; made by `normalise` alone."""

Jurisdiction = NewType("Jurisdiction", str)
"""ISO 3166 code of who issued a plate: "US-CA", "PL"; unknown is None, never a code."""

_FOLD = str.maketrans("OI", "01")


def normalise(text: str) -> Plate:
    """Return *text* in upper case with everything but A-Z and 0-9 dropped.

    Only ASCII counts: a Cyrillic letter that looks like a Latin one is dropped, not converted.
    """
    return Plate("".join(c for c in text.upper() if "A" <= c <= "Z" or "0" <= c <= "9"))


def fold(plate: Plate) -> Plate:
    """Return *plate* with O taken as 0 and I as 1, as several states print and file them alike."""
    return Plate(plate.translate(_FOLD))
