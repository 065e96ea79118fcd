"""A listed plate with its reason."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from recognizer.plate import Jurisdiction

LOCAL_ID = "local-"
"""How the id of an entry begins that an officer put on a unit, there and on every list that offers it."""


class Priority(IntEnum):
    """How loudly an alert sounds; a higher one overrides mute. The numbers are on the wire."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One wanted plate or partial plate."""

    entry_id: str
    """Stable across snapshots of the same list: the source's record number, or derived from the record."""
    pattern: str = field(repr=False)
    """A-Z and 0-9; "?" stands for any one character, "*" for any run of characters, also none."""
    jurisdiction: Jurisdiction | None
    """None: the source did not say. A hit on such an entry is of a lower tier (check state)."""
    list_name: str
    """As the department calls it, e.g. "Stolen vehicle"."""
    reason: str
    priority: Priority
    vehicle: str = field(default="", repr=False)
    """Colour, year, make, model as listed, for the officer to compare; free text."""
    case_number: str = field(default="", repr=False)
    source: str = ""
    """Who listed it: agency or file."""
    effective: datetime | None = None
    """Aware UTC; not matched before."""
    expires: datetime | None = None
    """Aware UTC; not matched at or after."""

    def in_force(self, now: datetime) -> bool:
        """Whether the entry may raise a hit at *now* (aware UTC)."""
        if self.effective is not None and now < self.effective:
            return False
        return self.expires is None or now < self.expires

    @property
    def is_wildcard(self) -> bool:
        """Whether the pattern stands for more than one plate."""
        return "?" in self.pattern or "*" in self.pattern
