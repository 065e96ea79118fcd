"""Measure exported detectors: ``python -m training.detector.report RUN models/builtin --sizes 384 512 640``.

Writes ``training/runs/<RUN>/metrics.json`` (recall by set and by plate width, false plates an image,
milliseconds on one thread, threshold) and ``curve.png`` from the run's log.
"""

import argparse
import json
import statistics
import time
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from training.detector.frames import Boxes, LabelledFrame, Pixels, read_boxes, read_set, unsqueezed
from training.detector.measure import Detect, Outcome, letterbox, measure
from training.detector.train import RUNS

CALIBRATED_ON = (
    "us_reddit_plat",
    "openimages_useu",
    "kaggle_cars433",
    "ru_null07",
    "openlpr_faisal",
    "ro_robertlucian",
)
VALIDATION = dict.fromkeys((*CALIBRATED_ON, "es_ulpgc"), ("val",)) | {"italy_purnekar": ("train", "val")}
"""The last two never train, so all of their frames measure."""
FALSE_PER_IMAGE = 0.10
"""The threshold is the lowest at which false plates stay under this share of images."""


def runner(path: Path) -> tuple[Detect, int]:
    """Return a detector of BGR frames on one thread, and its input size."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    size_px = int(session.get_inputs()[0].shape[2])

    def detect(frame: Pixels) -> Boxes:
        square, scale, left, top = letterbox(frame, size_px)
        pixels = (square[..., ::-1].transpose(2, 0, 1)[None] / 255.0).astype(np.float32)
        rows = session.run(None, {"images": pixels})[0]
        boxes = (rows[:, 1:5] - np.array([left, top, left, top])) / scale
        return np.concatenate([boxes, rows[:, 6:7]], axis=1).astype(np.float32)

    return detect, size_px


def milliseconds(path: Path, width_px: int, height_px: int, runs: int = 30) -> dict[str, float]:
    """Return the processor time of the network alone on one thread, for a frame of this shape.

    Processor time, not the clock's: other work on the machine then counts little.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    size_px = int(session.get_inputs()[0].shape[2])
    noise = np.random.default_rng(0).integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)
    square, *_ = letterbox(noise, size_px)
    pixels = (square[..., ::-1].transpose(2, 0, 1)[None] / 255.0).astype(np.float32)
    session.run(None, {"images": pixels})
    spent = []
    for _ in range(runs):
        began = time.process_time()
        session.run(None, {"images": pixels})
        spent.append((time.process_time() - began) * 1000)
    return {"fastest": round(min(spent), 1), "median": round(statistics.median(spent), 1)}


def threshold_of(outcomes: list[Outcome]) -> float:
    """Return the lowest score, in steps of 0.01, that keeps false plates under FALSE_PER_IMAGE."""
    images = sum(outcome.images for outcome in outcomes)
    for step in range(5, 96):
        false = sum(score >= step / 100 for outcome in outcomes for score in outcome.false_scores)
        if false <= FALSE_PER_IMAGE * images:
            return step / 100
    return 0.95


def measured(path: Path, sets: dict[str, list[LabelledFrame]]) -> dict[str, Any]:
    detect, size_px = runner(path)
    outcomes = {name: measure(frames, detect, size_px) for name, frames in sets.items()}
    threshold = threshold_of([outcomes[name] for name in CALIBRATED_ON])
    table = {
        name: {
            "images": outcome.images,
            "plates": len(outcome.widths_px),
            "recall_at_0.5": round(outcome.recall(0.5, threshold), 4),
            "recall_at_0.3": round(outcome.recall(0.3, threshold), 4),
            "false_per_image": round(outcome.false_per_image(threshold), 4),
        }
        for name, outcome in outcomes.items()
    }
    whole = Outcome(
        sum(o.images for o in outcomes.values()),
        tuple(w for o in outcomes.values() for w in o.widths_px),
        {k: tuple(s for o in outcomes.values() for s in o.found_at[k]) for k in (0.5, 0.3)},
        tuple(s for o in outcomes.values() for s in o.false_scores),
    )
    thresholds = {
        f"{t:.2f}": [
            round(whole.recall(0.5, t), 4),
            round(whole.recall(0.3, t), 4),
            round(whole.false_per_image(t), 4),
        ]
        for t in (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
    }
    return {
        "threshold": threshold,
        "sets": table,
        "all": {
            "recall_at_0.5": round(whole.recall(0.5, threshold), 4),
            "recall_at_0.3": round(whole.recall(0.3, threshold), 4),
            "false_per_image": round(whole.false_per_image(threshold), 4),
        },
        "recall_by_width_px_at_0.5": whole.recall_by_width(0.5, threshold),
        "recall_by_width_px_at_0.3": whole.recall_by_width(0.3, threshold),
        "threshold_to_recalls_and_false": thresholds,
        "ms_one_thread_square": milliseconds(path, 640, 640),
        "ms_one_thread_16_to_9": milliseconds(path, 1280, 720),
    }


def curve(folder: Path) -> None:
    """Draw the losses of a run over the images seen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "heat" in row]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3))
    for name, axis in (("heat", left), ("box", left), ("overlap", right)):
        axis.plot([row["images"] / 1000 for row in rows], [row[name] for row in rows], label=name)
    for axis in (left, right):
        axis.set_xlabel("thousand images")
        axis.legend()
        axis.grid(alpha=0.3)
    figure.suptitle(folder.name)
    figure.tight_layout()
    figure.savefig(folder / "curve.png", dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[384, 512, 640])
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    sets = {
        name: [unsqueezed(frame) for part in parts for frame in read_set(name, part)]
        for name, parts in VALIDATION.items()
    }
    for name in ("us_mcam16", "us_cal_ew2266"):
        sets[f"e2e/{name}"] = list(read_boxes(name))
    run = RUNS / arguments.run
    trained = tomllib.loads((run / "config.toml").read_text())["sets"]
    figures: dict[str, Any] = {
        "trained_on": {name: len(list(read_set(name, "train"))) for name in trained} | {"negatives": 219},
        "squeezed_sets": "frames that a collection squeezed into a square are widened to 4:3 first",
        "calibrated_on": {"validation frames of": CALIBRATED_ON, "false_per_image": FALSE_PER_IMAGE},
    }
    for size_px in arguments.sizes:
        figures[str(size_px)] = measured(arguments.folder / f"plate-detector-{size_px}.onnx", sets)
        print(size_px, json.dumps(figures[str(size_px)], indent=1))
    (run / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n")
    curve(run)


if __name__ == "__main__":
    main()
