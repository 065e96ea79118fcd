"""How well a reader reads real crops; the crops are those of `shared/data`, none of them trained on.

    python -m training.reader.measure models/builtin/plate-reader.onnx --json metrics.json

writes exact and folded shares (as shared/eval/score_ocr.py defines them) next to the peer's on the same
crops, time for one crop on one thread, jurisdiction accuracy and the expected calibration error of the
weakest character.
"""

import argparse
import csv
import importlib.util
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from fast_plate_ocr import LicensePlateRecognizer

from training.degrade import HEIGHT, PADDING, WIDTH
from training.reader.photos import COUNTRY_CODES, LABELLED, open_picture, rows, shared_folder

WHOLE_SETS = (
    "us_states_kaggle_test",
    "us_cal_ew2266",
    "italy_purnekar",
    "nl_tudelft",
    "ar_ankandrew",
    "co_oaac",
    "id_thomaswijaya",
    "uz_izzatullo",
)
"""Sets of which nothing is trained on: all their labelled crops count. us_states51_guilty shows whole cars'
ends, not crops."""


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Crops of one source with their truth."""

    name: str
    images: npt.NDArray[np.uint8]
    """Shape (n, 64, 128, 3), RGB, resized as fast-plate-ocr does."""
    texts: list[str]
    regions: list[str]


def validation_sets(data: Path) -> list[ValidationSet]:
    """Return every validation set found under *data*."""
    found = []
    for name in (*LABELLED, *WHOLE_SETS):
        folder = data / "ocr" / name
        table = rows(folder / ("val.csv" if name in LABELLED else "labels.csv"))
        pictures = [open_picture(folder / row["image_path"]) for row in table]
        found.append(_set_of(name, pictures, table))
    pictures, table = [], []
    for name in ("us_mcam16", "us_cal_ew2266"):
        folder = data / "e2e" / name
        boxes = {row["image_path"]: row for row in rows(folder / "boxes.csv")}
        for row in rows(folder / "labels.csv"):
            if row["plate_text"] and " " not in row["plate_text"] and row["image_path"] in boxes:
                box = [float(boxes[row["image_path"]][key]) for key in ("x1", "y1", "x2", "y2")]
                pictures.append(_padded_cut(open_picture(folder / row["image_path"]), box))
                table.append(row)
    found.append(_set_of("e2e_us_boxes", pictures, table))
    return found


def _padded_cut(picture: npt.NDArray[np.uint8], box: list[float]) -> npt.NDArray[np.uint8]:
    left, top, right, bottom = box
    dx, dy = (right - left) * PADDING, (bottom - top) * PADDING
    return picture[max(int(top - dy), 0) : int(bottom + dy + 1), max(int(left - dx), 0) : int(right + dx + 1)]


def _set_of(name: str, pictures: list[npt.NDArray[np.uint8]], table: list[dict[str, str]]) -> ValidationSet:
    images = [
        cv2.cvtColor(cv2.resize(p, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
        for p in pictures
    ]
    return ValidationSet(
        name, np.stack(images), [row["plate_text"] for row in table], [row["plate_region"] for row in table]
    )


def fold(text: str) -> str:
    """Return *text* with the look-alikes O/0 and I/1 made one, as shared/eval does."""
    return text.replace("O", "0").replace("I", "1")


def share_exact(readings: list[str], texts: list[str]) -> tuple[float, float]:
    """Return the exact and the folded share."""
    exact = np.mean([a == b for a, b in zip(readings, texts, strict=True)])
    folded = np.mean([fold(a) == fold(b) for a, b in zip(readings, texts, strict=True)])
    return float(exact), float(folded)


def calibration_error(
    confidences: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], bins: int = 10
) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy over equal bins."""
    place = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = [
        abs(confidences[place == b].mean() - right[place == b].mean()) * (place == b).mean()
        for b in range(bins)
        if (place == b).any()
    ]
    return float(np.sum(gaps))


def _scorer(shared: Path) -> ModuleType:
    sys.path.insert(0, str(shared / "eval"))
    spec = importlib.util.spec_from_file_location("score_ocr", shared / "eval/score_ocr.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{shared / 'eval/score_ocr.py'} is not there: set ALPR_SHARED")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _median_ms(model: Path, image: npt.NDArray[np.uint8]) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    times = []
    for _ in range(300):
        start = time.perf_counter()
        session.run(None, {"input": image[None]})
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))


def measure(model: Path, config: Path, sets: list[ValidationSet], shared: Path) -> dict[str, Any]:
    """Return the figures of one model on every set."""
    recognizer = LicensePlateRecognizer(
        onnx_model_path=model, plate_config_path=config, providers=["CPUExecutionProvider"]
    )
    scorer = _scorer(shared)
    result: dict[str, Any] = {"sets": {}, "median_ms_one_thread": _median_ms(model, sets[0].images[0])}
    weakest, right, named, total = [], [], 0, 0
    for each in sets:
        readings = recognizer.run(each.images, return_confidence=True)
        truth = {
            str(i): (text, region)
            for i, (text, region) in enumerate(zip(each.texts, each.regions, strict=True))
        }
        scored = scorer.score_crops(truth, {str(i): {"text": r.plate} for i, r in enumerate(readings)})
        result["sets"][each.name] = {
            key: scored[key] for key in ("crops", "exact", "exact_folded", "char_accuracy", "exact_ci95")
        }
        hits = [
            (r.region == region or COUNTRY_CODES.get(r.region or "") == region)
            for r, region in zip(readings, each.regions, strict=True)
            if region
        ]
        if hits:
            result["sets"][each.name]["jurisdiction"] = sum(hits) / len(hits)
        named, total = named + sum(hits), total + len(hits)
        for reading, text in zip(readings, each.texts, strict=True):
            weakest.append(float(np.asarray(reading.char_probs).min()))
            right.append(fold(reading.plate) == fold(text))
    result["jurisdiction"] = named / max(total, 1)
    result["calibration_error"] = calibration_error(np.array(weakest), np.array(right))
    result["exact_folded_all"] = float(np.mean(right))
    return result


def main() -> None:
    """Measure a model and the peer in the same run."""
    parser = argparse.ArgumentParser(description="measure a plate reader on real crops")
    parser.add_argument("model", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    shared = shared_folder()
    sets = validation_sets(shared / "data")
    peer = measure(
        shared / "models/cct_xs_v2_global.onnx",
        shared / "models/cct_v2_global_plate_config.yaml",
        sets,
        shared,
    )
    ours = measure(arguments.model, arguments.model.with_suffix(".yaml"), sets, shared)
    table = csv.writer(sys.stdout, delimiter="\t")
    table.writerow(["set", "crops", "exact", "folded", "peer exact", "peer folded"])
    for name, figures in ours["sets"].items():
        other = peer["sets"][name]
        shares = [figures["exact"], figures["exact_folded"], other["exact"], other["exact_folded"]]
        table.writerow([name, figures["crops"], *(f"{100 * share:.1f}" for share in shares)])
    print({k: v for k, v in ours.items() if k != "sets"}, {k: v for k, v in peer.items() if k != "sets"})
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"reader": ours, "peer_cct_xs_v2_global": peer}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
