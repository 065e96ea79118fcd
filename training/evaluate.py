"""Measures a model pack on real pictures with the project's own scorers, through the unit's own code.

    python -m training.evaluate --json training/runs/<name>/pack.json --write

`--write` puts the figures into `models/manifest.toml`, so that nobody types them. `--reader FILE
--reader-config FILE` measures another reader behind the same detector, in the same run. Pictures are read
from the shared folder beside the repository (or ALPR_SHARED); only sets that no model was trained on, or
their validation parts, are measured.

What is measured:

end to end
    Full frames. `exact`: the text of the labelled plate is read exactly by any plate found in its picture;
    `exact_folded`: the same with O = 0 and I = 1; `detected` and `false_per_image` where boxes are labelled.
detector
    Validation frames: recall at an overlap of 0.5 and 0.3, false plates a frame.
reader
    Validation crops: `exact`, `exact_folded`, character accuracy, and, of the reads whose weakest character
    is at least 0.9, their share (`sure`) and how many are right (`exact_when_sure`).
video
    Reads given out by track and vote; `right`: how many are the plate the recording is known for.

Speed is measured by the unit's bench, not here.
"""

import argparse
import csv
import importlib
import io
import itertools
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera.frame import Frame, Moment, TimeQuality
from edge.reading import read_images
from recognizer.config import RecognizerConfig
from recognizer.manifest import load_pack
from recognizer.onnx import Recognizer
from recognizer.pack import MANIFEST, Measurement, ModelFile, encode_pack
from recognizer.plate import fold, normalise
from recognizer.read import PlateRead
from recognizer.track import Tracker
from training.adopt import READER_IN, READER_OUT, labels, tensors
from training.detector.frames import read_set, shared_root

FRAMES = ("pl_put_2acholsk1", "nl_tudelft", "at_gabrielr33", "us_mcam16", "us_cal_ew2266")
DETECTION = ("us_reddit_plat", "openimages_useu", "kaggle_cars433", "openlpr_faisal", "ro_robertlucian",
"ru_null07",
             "es_ulpgc", "italy_purnekar")  # fmt: skip
CROPS = {
    # Sets that no model may be trained on are measured whole, the others by their validation part.
    "us_states51_guilty": "labels.csv", "us_states_kaggle_test": "labels.csv", "italy_purnekar": "labels.csv",
    "nl_tudelft": "labels.csv", "us_cal_ew2266": "labels.csv", "uz_izzatullo": "val.csv",
    "id_thomaswijaya": "val.csv", "ar_ankandrew": "val.csv", "co_oaac": "val.csv", "us_reddit_plat":
    "val.csv", "openimages_useu": "val.csv", "kaggle_cars433": "val.csv", "openlpr_faisal": "val.csv",
}  # fmt: skip
SURE = 0.9
COUNTED = ("false_per_image", "plates_per_image", "reads", "candidates", "right")
"""Figures that are no shares."""
_START = datetime(2000, 1, 1, tzinfo=UTC)


def scorer(name: str) -> Any:
    """Return the scoring script *name* of the shared folder as a module."""
    folder = str(shared_root() / "eval")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def end_to_end(recognizer: Recognizer, name: str) -> Measurement:
    """Score full frames with score.py: a text without a labelled box counts wherever it was read."""
    score, folder = scorer("score"), shared_root() / "data" / "e2e" / name
    texts = dict(labels(folder / "labels.csv"))
    out = io.StringIO()
    result = read_images(list(texts), recognizer, out)
    if result.unreadable:
        raise SystemExit("\n".join(result.unreadable))
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as lines:
        lines.write(out.getvalue())
        lines.flush()
        predictions = score.load_jsonl(lines.name)
    boxes = _boxes(folder / "boxes.csv")
    nowhere = [0.0, 0.0, 1.0, 1.0]
    truth = {path.name: [(text, boxes.get(path.name, nowhere))] for path, text in texts.items()}
    scored = score.score(truth, predictions)
    folded = [
        any(score.fold(plate["text"]) == score.fold(text) for plate in predictions[path.name]["plates"])
        for path, text in texts.items()
    ]
    figures = {"exact": scored["exact_anywhere"], "exact_folded": float(np.mean(folded))}
    if boxes:
        figures |= {
            "detected": scored["recall_iou30"],
            "false_per_image": scored["false_positives_per_image"],
        }
    else:
        figures["plates_per_image"] = result.plates / result.images
    return Measurement("end to end", name, len(texts), _rounded(figures))


def detector(recognizer: Recognizer, name: str) -> Measurement:
    """Score found boxes against labelled ones, best overlap first, one to one."""
    score = scorer("score")
    plates = images = strict = loose = false = 0
    for frame in read_set(name, "val"):
        found = [c.box for c in recognizer.candidates_in(frame.pixels)]
        boxes = [[b.left, b.top, b.right, b.bottom] for b in found]
        overlap = score.iou_matrix(frame.boxes, boxes)
        matched = score.match_count(overlap, score.MATCH_IOU)
        strict += score.match_count(overlap, score.STRICT_IOU)
        loose, false = loose + matched, false + len(boxes) - matched
        images, plates = images + 1, plates + len(frame.boxes)
    figures = {"recall_50": strict / plates, "recall_30": loose / plates, "false_per_image": false / images}
    return Measurement("detector", name, images, _rounded(figures))


def reader(recognizer: Recognizer, name: str, part: str) -> Measurement:
    """Score crops with score_ocr.py."""
    score_ocr, folder = scorer("score_ocr"), shared_root() / "data" / "ocr" / name
    texts = dict(labels(folder / part))
    predictions: dict[str, Any] = {}
    sure: list[bool] = []
    for path, text in texts.items():
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            raise SystemExit(f"{path} cannot be read")
        reading = recognizer.read(np.asarray(pixels, np.uint8))
        predictions[path.name] = {"text": reading.text}
        if min((position[0][1] for position in reading.positions), default=0.0) >= SURE:
            sure.append(fold(normalise(reading.text)) == fold(normalise(text)))
    scored = score_ocr.score_crops({path.name: (text, "") for path, text in texts.items()}, predictions)
    figures = {key: scored[key] for key in ("exact", "exact_folded", "char_accuracy")}
    figures |= {"sure": len(sure) / len(texts), "exact_when_sure": float(np.mean(sure)) if sure else 0.0}
    return Measurement("reader", name, len(texts), _rounded(figures))


def recordings() -> Iterator[tuple[Path, str, str | None]]:
    """Give each recording, a name for it that holds no plate, and the plate it is known for, if its name says
    so."""
    for number, path in enumerate(sorted((shared_root() / "data" / "video").iterdir()), 1):
        parts = path.stem.split("_")
        plates = [part for part in parts if re.fullmatch(r"(?=.*[0-9])[A-Z0-9]{5,8}", part)]
        shown = "_".join(part for part in parts if part not in plates)
        yield path, f"{number} {shown}", plates[0] if plates else None


def video(recognizer: Recognizer, path: Path, shown: str, plate: str | None) -> Measurement:
    """Run a recording through recogniser and tracker at its own speed."""
    recording = cv2.VideoCapture(str(path))
    rate = recording.get(cv2.CAP_PROP_FPS) or 25.0
    ids = itertools.count()
    tracker = Tracker(RecognizerConfig(), lambda: str(next(ids)))
    reads: list[PlateRead] = []
    sequence = found = 0
    while (grabbed := recording.read())[0]:
        at_s = sequence / rate
        moment = Moment(_START + timedelta(seconds=at_s), round(at_s * 1e9), "", TimeQuality.UNSYNCHRONISED)
        frame = Frame(shown, sequence, moment, np.asarray(grabbed[1], np.uint8))
        candidates = recognizer.candidates(frame)
        found += len(candidates)
        reads += tracker.update(frame, candidates)
        sequence += 1
    reads += tracker.flush()
    figures = {"reads": float(len(reads)), "candidates": float(found)}
    if plate is not None:
        figures["right"] = float(sum(fold(read.plate) == fold(normalise(plate)) for read in reads))
    return Measurement("video", shown, sequence, figures)


def measure(recognizer: Recognizer) -> list[Measurement]:
    """Measure everything, printing each row as it comes."""
    rows = []
    for row in _all(recognizer):
        figures = "  ".join(f"{key} {value:g}" for key, value in row.figures.items())
        print(f"{row.stage:<11} {row.set:<24} {row.samples:>4}  {figures}", flush=True)
        rows.append(row)
    return rows


def _all(recognizer: Recognizer) -> Iterator[Measurement]:
    frames = [end_to_end(recognizer, name) for name in FRAMES]
    yield from frames
    total = sum(row.samples for row in frames)
    together = {
        key: sum(row.figures[key] * row.samples for row in frames) / total
        for key in ("exact", "exact_folded")
    }
    yield Measurement("end to end", "all", total, _rounded(together))
    for name, part in CROPS.items():
        yield reader(recognizer, name, part)
    for name in DETECTION:
        yield detector(recognizer, name)
    for path, shown, plate in recordings():
        yield video(recognizer, path, shown, plate)


def write_figures(readme: Path, rows: Sequence[Measurement]) -> None:
    """Put *rows* as tables between the marks in *readme*. Raises ValueError if it has no marks."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition("<!-- figures: begin -->")
    _, end, after = rest.partition("<!-- figures: end -->")
    if not begin or not end:
        raise ValueError(f"{readme} has no marks for the figures")
    tables = []
    for stage in dict.fromkeys(row.stage for row in rows):
        mine = [row for row in rows if row.stage == stage]
        names = list(dict.fromkeys(name for row in mine for name in row.figures))
        lines = [f"| {stage} | samples | " + " | ".join(name.replace("_", " ") for name in names) + " |"]
        lines.append("|---|--:|" + "--:|" * len(names))
        for row in mine:
            cells = [_cell(name, row.figures.get(name)) for name in names]
            lines.append(f"| {row.set} | {row.samples} | " + " | ".join(cells) + " |")
        tables.append("\n".join(lines))
    readme.write_text(before + begin + "\n" + "\n\n".join(tables) + "\n" + end + after, encoding="utf-8")


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if name in COUNTED else f"{100 * value:.1f}"


def _boxes(path: Path) -> dict[str, list[float]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as handle:
        rows = list(csv.DictReader(handle))
    return {Path(row["image_path"]).name: [float(row[k]) for k in ("x1", "y1", "x2", "y2")] for row in rows}


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {key: round(float(value), 4) for key, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pack", default="builtin", help="pack to measure")
    parser.add_argument("--reader", type=Path, help="another reader's weights, behind the pack's detector")
    parser.add_argument("--reader-config", type=Path, help="its plate configuration")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument(
        "--write", action="store_true", help="write the figures into the pack's manifest and page"
    )
    arguments = parser.parse_args()
    if bool(arguments.reader) != bool(arguments.reader_config) or (arguments.reader and arguments.write):
        parser.error(
            "--reader and --reader-config belong together, and their figures are not the pack's: no --write"
        )
    pack = load_pack(arguments.pack)
    measured = pack
    if arguments.reader:
        # Absolute names, so that the files may lie outside the pack; their digests are not pinned anywhere.
        crop, outputs = tensors(arguments.reader, READER_IN, READER_OUT)
        other = replace(
            pack.reader,
            weights=ModelFile(str(arguments.reader.resolve()), "", 0),
            config=ModelFile(str(arguments.reader_config.resolve()), "", 0),
            input=crop,
            outputs=outputs,
        )
        measured = replace(pack, reader=other)
    rows = measure(Recognizer(measured, RecognizerConfig(threads=arguments.threads)))
    if arguments.json:
        arguments.json.write_text(
            json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8"
        )
    if arguments.write:
        (pack.folder / MANIFEST).write_text(
            encode_pack(replace(pack, accuracy=tuple(rows))), encoding="utf-8"
        )
        if (card := pack.folder / "README.md").is_file():
            write_figures(card, rows)


if __name__ == "__main__":
    main()
