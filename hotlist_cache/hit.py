"""A read that met an entry, and what the officer is told of it."""

from dataclasses import dataclass, field
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


class Outcome(StrEnum):
    """What a hit is to the officer."""

    HIT = "hit"
    POSSIBLE = "possible hit"
    """Another tone, "check plate"."""
    NONE = "none"
    """Recorded, not told."""


class MatchForm(StrEnum):
    """Which text of the read met the entry: lists write stacked letters first, last or not at all."""

    PLATE = "plate"
    """Its plate alone."""
    PREFIX_FIRST = "prefix first"
    """Its prefix, then its plate."""
    PREFIX_LAST = "prefix last"


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
    """0: an officer's own entry, of no list."""
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
    """Positions in the read's plate, from 0, that do not show the listed character; only if look-alike. One
    among the stacked letters is none of them: `listed` tells."""
    list_age: ListAge
    form: MatchForm = MatchForm.PLATE
    text_probability: float = 1.0
    """That the plate bears the listed text, against all other plates there are, in [0, 1]. Of a partial
    plate: that the characters it names are read right."""
    state_probability: float = 1.0
    """That it is of the listed state, if it bears the listed text; 1 where the list names none."""
    outcome: Outcome = Outcome.HIT

    @property
    def probability(self) -> float:
        """That the plate is the listed one, text and state."""
        return self.text_probability * self.state_probability

    @property
    def misread(self) -> tuple[str, ...]:
        """What differs, for a person: "3rd character reads B, listed 8"."""
        _, listed = self.listed
        if len(listed) != len(self.read.plate):
            return ()
        return tuple(
            f"{_ordinal(i + 1)} character reads {self.read.plate[i]}, listed {listed[i]}"
            for i in self.differing
        )

    def explain(self, now: datetime) -> str:
        """Return in one line for a person why this is a hit at *now* (aware UTC). It holds plates."""
        hours = self.list_age.age(now) / timedelta(hours=1)
        listed = f"listed {self.entry.pattern}" + (
            f" ({self.entry.jurisdiction})" if self.entry.jurisdiction else ", no state"
        )
        parts = [
            self.outcome.value,
            f"{listed}, read {self.read.prefix}{self.read.plate}",
            *self.misread,
            f"plate {_percent(self.text_probability)}, state {self.state.value}"
            f" {_percent(self.state_probability)}",
            f"list {self.list_age.snapshot_sequence}, {hours:.1f} h old"
            if self.list_age.snapshot_sequence
            else f"local entry, {hours:.1f} h old",
        ]
        return "; ".join(parts)

    @property
    def listed(self) -> tuple[str, str]:
        """What is listed as prefix and as plate. A partial plate is not taken apart: its prefix is empty."""
        pattern = self.entry.pattern
        if self.form is MatchForm.PLATE or self.kind is MatchKind.WILDCARD:
            return "", pattern
        if self.form is MatchForm.PREFIX_FIRST:
            stacked = len(self.read.prefix)
            return pattern[:stacked], pattern[stacked:]
        return pattern[len(self.read.plate) :], pattern[: len(self.read.plate)]


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
    corrected: bool = False
    """The read was corrected after this was told, and the alert no longer holds."""


@dataclass(frozen=True, slots=True)
class Correction:
    """An alert that no longer holds, because its read was corrected. The officer hears of it like of the
    alert."""

    alert: Alert
    read: PlateRead
    """What the vehicle reads now."""
    hit_gone: bool
    """The entry of the alert is not met any more. Otherwise it is met by the new plate."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A read of a plate that was listed only afterwards."""

    plate: str = field(repr=False)
    """As it is listed."""
    read_id: str
    camera: str
    at: datetime
    """Aware UTC."""


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def _percent(probability: float) -> str:
    """Never 0 % or 100 %: neither is ever known."""
    return f"{min(max(100 * probability, 0.1), 99.9):.1f} %"
