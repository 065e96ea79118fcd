"""A read that met an entry, and what the officer is told of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hotlist_cache.entry import Entry, Priority
from recognizer.read import PlateRead


class MatchKind(StrEnum):
    """How a read met an entry."""

    EXACT = "exact"
    LOOK_ALIKE = "look-alike"
    """The same but for characters that look alike (O and 0, 8 and B, …)."""
    WILDCARD = "wildcard"


class StateMatch(StrEnum):
    """Whether the read's jurisdiction is the entry's."""

    SAME = "same"
    UNKNOWN = "unknown"
    """The reader or the list does not say: lower tier, spoken "check state"."""
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class ListAge:
    """Which snapshot a hit was made from: lists age, and a hit is a lead, not a fact."""

    snapshot_sequence: int
    issued_at: datetime
    """Aware UTC."""
    expires_at: datetime | None = None
    """Aware UTC; from then on the list is stale whatever its age. None where it is no longer known."""

    def age(self, now: datetime) -> timedelta:
        """How old the list is at *now* (aware UTC)."""
        return now - self.issued_at


@dataclass(frozen=True, slots=True)
class HotlistHit:
    """A read and the entry it met. A lead, not a fact."""

    hit_id: str
    """Random; logs carry this."""
    read: PlateRead
    entry: Entry
    kind: MatchKind
    state: StateMatch
    differing: tuple[int, ...]
    """Positions in the read's plate, from 0, that do not show the listed character; only if look-alike."""
    list_age: ListAge


@dataclass(frozen=True, slots=True)
class Alert:
    """A hit the officer hears and sees. Always unverified until a person has checked it."""

    alert_id: str
    hit: HotlistHit
    priority: Priority
    """The entry's, or one below it where there is doubt: state, look-alike, list stale, read unsure."""
    raised_at: datetime
    """Aware UTC; the capture time of the frame that settled the read."""
    advisory_only: bool
    """The list is older than the agency's limit: inform, do not act on it."""
