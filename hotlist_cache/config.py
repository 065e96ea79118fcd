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

    min_look_alike_probability: float = 0.02
    """A listed character that looks like the one read counts if the reader finds it at least so likely."""
    min_other_probability: float = 0.25
    """A listed character of any shape counts if the reader finds it at least so likely."""
    unsure_below: float = 0.5
    """Where the reader finds its own character less likely than this, all that look like it count."""
    max_unsure_characters: int = 2
    """A read with more unsure characters than this is too poor for the rule above."""
    fold_needs_support: bool = False
    """Whether O for 0 and I for 1 need the reader's support too.

    Off by default: several states print them alike and some feeds write O as 0, so how sure the reader is
    of one of them says nothing about the list.
    """

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
            "min_look_alike_probability",
            "min_other_probability",
            "unsure_below",
            "min_state_confidence",
            "min_different_state_confidence",
            "sure_confidence",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1")
        for name in ("max_age_h", "cooldown_s", "max_clock_lead_s", "max_unsure_characters", "sure_frames"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative")
