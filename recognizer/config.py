"""What can be set about recognising: the model pack, its cost, and when a track becomes a read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecognizerConfig:
    """`[recognizer]` of config.toml."""

    model_pack: str = "builtin"
    """Name of an installed pack, or the path of a folder with a manifest.toml."""
    detection_threshold: float | None = None
    """Least detection confidence; None takes the one the pack's manifest names."""
    unread_confidence: float = 0.7
    """A box in which the reader sees no character is a plate, too dirty or too far to be read, only from this
    detection confidence on. Below it is no plate."""
    threads: int = 2
    """Threads of one model run; both models run one after the other, so this is the most in use."""
    min_plate_width_px: int = 18
    """Narrower boxes are not read: below about two pixels a character there is nothing to read."""
    far_views: bool = True
    """Frames too wide for the detector to find what can be read (more than 1600 px with an input of 640) are
    looked at twice, coarsely as a whole and finely where far plates stand, for half as much time again."""
    lost_after_s: float = 0.7
    """A track ends when no candidate has joined it for this long."""
    sure_frames: int = 5
    """A track settles early once so many frames agree on every character ..."""
    sure_confidence: float = 0.7
    """... and the weakest voted position reaches this."""
    min_frames: int = 2
    """A track that ends gives a read if so many legible frames went into it ..."""
    single_frame_confidence: float = 0.9
    """... or a single one whose weakest position reaches this."""
    min_confidence: float = 0.35
    """The weakest voted position of any read; less is not given out."""
    min_characters: int = 3
    """Shorter texts are given out only when they are sure."""
    plate_confidence: float = 0.7
    """At least one frame of a read must be so sure that there is a plate: signs and stickers are found in
    many frames, but surely in none."""
    repeat_after_s: float = 8.0
    """The same plate at the same camera within this time of last being seen is the same passing."""

    def __post_init__(self) -> None:
        shares = {
            "detection_threshold": self.detection_threshold,
            "unread_confidence": self.unread_confidence,
            "sure_confidence": self.sure_confidence,
            "single_frame_confidence": self.single_frame_confidence,
            "min_confidence": self.min_confidence,
            "plate_confidence": self.plate_confidence,
        }
        for name, share in shares.items():
            if share is not None and not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} must be between 0 and 1, not {share}")
        counts = {
            "threads": self.threads,
            "min_plate_width_px": self.min_plate_width_px,
            "sure_frames": self.sure_frames,
            "min_frames": self.min_frames,
            "min_characters": self.min_characters,
        }
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1, not {count}")
        for name, duration in {
            "lost_after_s": self.lost_after_s,
            "repeat_after_s": self.repeat_after_s,
        }.items():
            if not duration > 0.0:
                raise ValueError(f"{name} must be more than 0, not {duration}")
