"""What one frame says (`PlateCandidate`) and what a whole passing says (`PlateRead`)."""

from dataclasses import dataclass, field

from camera.fix import Fix
from camera.frame import Moment
from recognizer.plate import Jurisdiction, Plate

Position = tuple[tuple[str, float], ...]
"""One character place: the likeliest characters with their probabilities, best first.

Characters are A-Z and 0-9, or "" for "nothing stands here". Probabilities are in [0, 1] and sum to at most 1:
what the reader finds very unlikely is left out.
"""


@dataclass(frozen=True, slots=True)
class Box:
    """Left, top, right, bottom in whole-frame pixels, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class JurisdictionOpinion:
    """Who seems to have issued a plate, and how sure the reader is, in [0, 1]."""

    code: Jurisdiction
    confidence: float

    @property
    def likely(self) -> bool:
        """Whether it is more likely than all others together; less is not shown to a person as the state."""
        return self.confidence >= 0.5


@dataclass(frozen=True, slots=True)
class PlateCandidate:
    """One frame's opinion of one plate."""

    text: Plate = field(repr=False)
    """The likeliest characters joined; may be empty when the reader saw nothing legible."""
    positions: tuple[Position, ...] = field(repr=False)
    """One per character of `text`, never averaged: one bad character must stay visible."""
    box: Box
    detection_confidence: float
    """That there is a plate at all, in [0, 1]."""
    jurisdiction: JurisdictionOpinion | None
    sharpness: float
    """Variance of the Laplacian of the grey crop resized to 64 px height; larger is sharper."""
    evidence: bytes = field(repr=False)
    """JPEG of the plate with its margin."""
    prefix: tuple[Position, ...] = field(default=(), repr=False)
    """One per small letter stacked beside the characters; empty where there is none, or the reader knows of
    none."""

    @property
    def confidences(self) -> tuple[float, ...]:
        """The probability of each character of `text`, in order."""
        return tuple(position[0][1] for position in self.positions)

    @property
    def prefix_text(self) -> Plate:
        """The likeliest stacked letters joined, top to bottom."""
        return Plate("".join(position[0][0] for position in self.prefix))


@dataclass(frozen=True, slots=True)
class Rival:
    """What those frames of a passing read that saw another number of characters."""

    plate: Plate = field(repr=False)
    positions: tuple[Position, ...] = field(repr=False)
    """One per character of `plate`."""
    share: float
    """Of the frames' weight, in [0, 0.5]."""


@dataclass(frozen=True, slots=True)
class PlateRead:
    """One vehicle, one passing, one plate text, with evidence, time and place."""

    read_id: str
    """Random and unique for ever; says nothing of the plate. Logs carry this."""
    camera: str
    plate: Plate = field(repr=False)
    positions: tuple[Position, ...] = field(repr=False)
    """The vote per character, one per character of `plate`."""
    confidence: float
    """That of the weakest position, in [0, 1]: a plate is only as sure as its least sure character."""
    jurisdiction: JurisdictionOpinion | None
    first_seen: Moment
    settled: Moment
    """The moment of the frame that settled the read."""
    box: Box
    """In the frame of the best candidate."""
    frames: int
    """Candidates that went into the vote."""
    evidence: bytes = field(repr=False)
    """JPEG of the best candidate's plate with its margin."""
    fix: Fix | None = field(default=None, repr=False)
    """Where the unit was at the best candidate."""
    prefix: Plate = field(default=Plate(""), repr=False)
    """The small letters stacked beside the plate's characters, on either side, top to bottom; no part of
    `plate`. Empty where there are none, and where the vote is not sure of them."""
    prefix_confidence: float = 0.0
    """That of the least sure stacked letter, in [0, 1]; 0 where there is none."""
    revises: str | None = None
    """Id of the read of this same passing that this one corrects; None for the first."""
    rival: Rival | None = field(default=None, repr=False)
    """For the match alone, not stored."""

    @property
    def confidences(self) -> tuple[float, ...]:
        """The voted probability of each character of `plate`, in order."""
        return tuple(position[0][1] for position in self.positions)
