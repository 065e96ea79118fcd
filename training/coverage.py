"""How far a reader's confidence can be believed: coverage against misreads, and calibration.

A read is sorted by its weakest character, for a plate is only as sure as its least sure character. Which
threshold the unit uses depends on how much it saw (`recognizer.track`): a single picture is given out from
`RecognizerConfig.single_frame_confidence`, which is the operating point of everything measured on single
pictures; a track of several frames that has ended, by its vote, from `min_confidence`; a track is settled
early from `sure_confidence`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recognizer.config import RecognizerConfig
from recognizer.plate import fold
from training.attempts import Attempt, alignment

_CONFIG = RecognizerConfig()
OPERATING_POINT = _CONFIG.single_frame_confidence
NAMED_POINTS = {
    _CONFIG.single_frame_confidence: "operating point: one frame",
    _CONFIG.sure_confidence: "vote, settled early",
    _CONFIG.min_confidence: "vote, track ended",
}
THRESHOLDS = tuple(sorted({0.0, 0.5, 0.95, 0.98, 0.99, *NAMED_POINTS}))
_BINS = 10


@dataclass(frozen=True, slots=True)
class Point:
    """What is given out from one threshold on."""

    threshold: float
    coverage: float
    """Share of all plates whose read is given out."""
    misreads_per_1000: float | None
    """Of 1,000 reads given out, those that are wrong, O taken as 0 and I as 1; None where none is given."""


def point(attempts: Sequence[Attempt], threshold: float) -> Point:
    """Return what is given out of *attempts*, which must not be empty, from *threshold* on."""
    given = [a for a in attempts if a.given(threshold)]
    misreads = 1000 * sum(not a.right for a in given) / len(given) if given else None
    return Point(threshold, len(given) / len(attempts), misreads)


def curve(attempts: Sequence[Attempt], thresholds: Sequence[float] = THRESHOLDS) -> tuple[Point, ...]:
    """Return the point of each of *thresholds*, in their order."""
    return tuple(point(attempts, threshold) for threshold in thresholds)


def point_figures(found: Point) -> dict[str, float]:
    """Return *found* as figures of a Measurement."""
    figures = {"coverage": found.coverage}
    if found.misreads_per_1000 is not None:
        figures["misreads_per_1000"] = found.misreads_per_1000
    return figures


def calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = _BINS) -> float:
    """Return the expected calibration error: the gap between mean confidence and accuracy in each of *bins*
    equal parts of [0, 1], weighed by how much lies in each (Guo et al. 2017)."""
    sure, true = np.asarray(confidences, float), np.asarray(right, float)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        abs(sure[place == part].mean() - true[place == part].mean()) * (place == part).mean()
        for part in range(bins)
        if (place == part).any()
    ]
    return float(np.sum(gaps))


def calibration_figures(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Return the calibration error of the weakest character (is the whole text right?) and of every character
    (is it the one that stands there?). Plates of which nothing was read have no confidence and are left out.
    """
    read = [a for a in attempts if a.text]
    characters = [
        pair
        for a in read
        for pair in zip(a.confidences, alignment(fold(a.truth), fold(a.text))[1], strict=True)
    ]
    return {
        "ece_weakest": calibration_error([a.weakest for a in read], [a.right for a in read]),
        "ece_character": calibration_error([c for c, _ in characters], [right for _, right in characters]),
    }


def draw(pools: dict[str, Sequence[Attempt]], path: Path) -> None:
    """Write the curves of *pools*, by what they are called, as a picture to *path*.

    Needs matplotlib, which only the training environment has.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.5))
    for name, attempts in pools.items():
        points = curve(attempts, [step / 200 for step in range(200)])
        shown = [(p.coverage, p.misreads_per_1000) for p in points if p.misreads_per_1000 is not None]
        [line] = axes.plot([x for x, _ in shown], [y for _, y in shown], label=name)
        for threshold, mark in zip(NAMED_POINTS, "os^", strict=True):
            found = point(attempts, threshold)
            if found.misreads_per_1000 is not None:
                axes.plot(found.coverage, found.misreads_per_1000, mark, color=line.get_color())
    marks = zip(NAMED_POINTS.items(), ("circle", "square", "triangle"), strict=True)
    axes.set_title("; ".join(f"{mark}: {at:g} ({name})" for (at, name), mark in marks), fontsize=8)
    axes.set_xlabel("coverage: share of plates whose read is given out")
    axes.set_ylabel("misreads per 1,000 reads given out")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
