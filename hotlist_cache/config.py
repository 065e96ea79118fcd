"""What an agency may set about its lists, matches and alerts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HotlistConfig:
    """Settings of the hotlist on a unit. Probabilities and confidences are in [0, 1].

    Raises ValueError if a value is out of its range.
    """

    max_age_h: float = 24.0
    """A list issued longer ago than this makes its alerts advisory only."""
    cooldown_s: float = 300.0
    """The same plate and entry sound again only after this; another entry or plate always sounds."""

    max_shrink: float = 0.5
    """The largest share of entries a new list may lose unless the department approved the shrinking."""
    max_clock_lead_s: float = 600.0
    """A list issued further in the future than this by the unit's clock is refused."""

    hit_probability: float = 0.5
    """A plate at least so likely to be the listed one is a hit."""
    possible_probability: float = 0.05
    """One at least so likely is a possible hit: another tone, "check plate". Below it nothing is told, but of
    what reads exactly as listed."""
    wanted_share: float = 0.002
    """Of vehicles that pass, those on a list. Departments report one in a thousand to one in a hundred."""
    vehicles_around: float = 5_000_000.0
    """Vehicles that might pass: no listed one is met oftener than any one of them."""
    home: str = ""
    """Jurisdiction of most vehicles around, as "US-CA"; empty: as many of each as the list holds."""
    shared_serials: float = 0.1
    """How likely another state has issued the same text, in [0, 1]."""

    min_state_confidence: float = 0.5
    """Below this the reader's opinion of the jurisdiction is not heard."""
    min_different_state_confidence: float = 0.8
    """A jurisdiction other than the entry's must be at least so sure, since it silences the alert."""

    sure_confidence: float = 0.5
    """A read whose weakest character is below this is told of one priority lower."""
    sure_frames: int = 2
    """A read voted from fewer frames than this is told of one priority lower."""

    def __post_init__(self) -> None:
        for name in (
            "max_shrink",
            "hit_probability",
            "shared_serials",
            "min_state_confidence",
            "min_different_state_confidence",
            "sure_confidence",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1")
        if not 0 < self.possible_probability <= self.hit_probability or self.possible_probability == 1:
            raise ValueError("possible_probability must lie between 0 and hit_probability, 0 and 1 excluded")
        if not 0 < self.wanted_share <= 1:
            raise ValueError("wanted_share must lie between 0 and 1, 0 excluded")
        if not self.vehicles_around >= 1:
            raise ValueError("vehicles_around must be at least 1")
        for name in ("max_age_h", "cooldown_s", "max_clock_lead_s", "sure_frames"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative")
