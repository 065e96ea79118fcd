"""Read any footage with the real pipeline: a newcomer's first run, and our regression test."""

import csv
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from camera.config import CameraConfig, GpsConfig
from camera.frame import Frame
from edge.annotate import Annotator
from edge.cameras import CameraBank
from edge.clock import Clock
from edge.pipeline import Pipeline, ReadWithHits, Step, marked
from hotlist_cache.hit import Alert, Correction

COLUMNS = (
    "read_id",
    "camera",
    "first_seen_s",
    "settled_s",
    "plate",
    "confidence",
    "character_confidences",
    "jurisdiction",
    "jurisdiction_confidence",
    "frames",
    "left",
    "top",
    "right",
    "bottom",
    "hits",
    "prefix",
    "prefix_confidence",
    "revises",
)


@dataclass(frozen=True, slots=True)
class Replay:
    """What a recording came to."""

    frames: int
    started_at: datetime | None
    """The moment of the first frame, aware UTC; None where there was none."""
    reads: tuple[ReadWithHits, ...]
    """In the order in which they were given out, corrected ones among them."""
    alerts: tuple[Alert, ...]
    seconds: float
    """Wall time it took, models' loading excluded."""


def replay(
    recording: Path,
    pipeline: Pipeline,
    clock: Clock,
    *,
    annotator: Annotator | None = None,
    on_step: Callable[[Frame, Step], None] | None = None,
) -> Replay:
    """Run every frame of *recording* (a video file or a folder of images) through *pipeline*.

    Raises RecordingUnreadableError if it is not a recording.
    """
    bank = CameraBank(
        (CameraConfig(name="recording", source=str(recording), pace="fast"),), GpsConfig(gpsd=""), clock
    )
    frames = 0
    reads: list[ReadWithHits] = []
    alerts: list[Alert] = []
    corrections: list[Correction] = []
    started_ns = clock.now().monotonic_ns
    first = last = None
    try:
        while not bank.finished:
            if (frame := bank.next_frame(timeout_s=1.0)) is None:
                continue
            frames, first, last = frames + 1, first or frame.captured_at, frame
            step = pipeline.step(frame)
            reads += step.reads
            alerts += step.alerts
            corrections += step.corrections
            if annotator is not None:
                annotator.add(frame, step)
            if on_step is not None:
                on_step(frame, step)
        if last is not None:
            step = pipeline.finish(last.captured_at)
            reads += step.reads
            alerts += step.alerts
    finally:
        bank.close()
        if annotator is not None:
            annotator.close()
    told = marked(alerts, corrections)
    return Replay(frames, first, tuple(reads), told, (clock.now().monotonic_ns - started_ns) / 1e9)


def write_reads(path: Path, done: Replay) -> None:
    """Write the reads of *done* as CSV with the columns `COLUMNS`; times are in seconds from its start."""
    start = done.started_at.timestamp() if done.started_at else 0.0
    with path.open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(COLUMNS)
        for item in done.reads:
            read, opinion = item.read, item.read.jurisdiction
            table.writerow(
                [
                    read.read_id,
                    read.camera,
                    f"{read.first_seen.utc.timestamp() - start:.3f}",
                    f"{read.settled.utc.timestamp() - start:.3f}",
                    read.plate,
                    f"{read.confidence:.3f}",
                    " ".join(f"{value:.3f}" for value in read.confidences),
                    "" if opinion is None else opinion.code,
                    "" if opinion is None else f"{opinion.confidence:.3f}",
                    read.frames,
                    *dataclasses.astuple(read.box),
                    " ".join(hit.entry.list_name for hit in item.hits),
                    read.prefix,
                    f"{read.prefix_confidence:.3f}" if read.prefix else "",
                    read.revises or "",
                ]
            )
