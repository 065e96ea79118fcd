"""Crops without a plate, so that the reader can say that nothing is written there.

They are what a detector might hand over by mistake: its weak claims on training frames and pictures of signs
that meet no plate, and windows of a plate's shape cut anywhere else. A claim that is strong, that is known as
an unlabelled plate, or on which the teacher reads a sure text, may be a plate that nobody labelled: it is
left out.

    python -m training.reader.nothing --detector training/detector/checkpoint.pt --out ../crops-real
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from fast_plate_ocr import LicensePlateRecognizer

from training import degrade
from training.detector.frames import LabelledFrame, read_negatives, read_set, shared_root
from training.detector.measure import Boxes, iou
from training.detector.net import PlateNet
from training.detector.samples import read_ignored
from training.detector.train import HERE, detector
from training.reader.photos import FRAMES
from training.reader.samples import PREFIX_SLOTS, SLOTS, UNKNOWN, Samples, encode, save_chunk

WEAK, STRONG = 0.06, 0.5
"""Claims between these scores are taken; above the second, one in a set without full labels may be right."""
_LEGIBLE = 0.5
"""Weakest character from which on the teacher's reading speaks for a plate."""


def claims(frame: LabelledFrame, found: Boxes, unsure: Boxes) -> Boxes:
    """Return those of *found*, (n, 5), that surely are no plates of *frame*."""
    strongest = 1.01 if frame.name.startswith("negatives/") else STRONG
    known = np.concatenate([frame.boxes, unsure.reshape(-1, 4)])
    far = iou(found[:, :4], known).max(axis=1, initial=0.0) < 0.02
    weak = (found[:, 4] >= WEAK) & (found[:, 4] < strongest)
    large = (found[:, 2] - found[:, 0] >= 16) & (found[:, 3] - found[:, 1] >= 6)
    return found[far & weak & large]


def windows(rng: np.random.Generator, frame: LabelledFrame, unsure: Boxes, count: int) -> Boxes:
    """Return up to *count* windows of a plate's shape that meet no plate of *frame*, (n, 4)."""
    height, width = frame.pixels.shape[:2]
    known = np.concatenate([frame.boxes, unsure.reshape(-1, 4)])
    kept = []
    for _ in range(count):
        w = float(np.exp(rng.uniform(np.log(30), np.log(max(32, width * 0.4)))))
        h = w / rng.uniform(1.6, 5.0)
        if w >= width or h >= height:
            continue
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        box = np.array([[x, y, x + w, y + h]], np.float32)
        if iou(box, known).max(initial=0.0) == 0.0:
            kept.append(box[0])
    return np.array(kept, np.float32).reshape(-1, 4)


def views(
    frames: Iterator[LabelledFrame], net: PlateNet, teacher: LicensePlateRecognizer, seed: int, count: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield *count* altered crops, as the reader sees them, of each place that holds no plate."""
    rng = np.random.default_rng(seed)
    detect, ignored = detector(net, 384, WEAK), read_ignored(HERE / "unlabelled.json")
    for frame in frames:
        unsure = ignored.get(frame.name, np.zeros((0, 4), np.float32))
        chosen = [*claims(frame, detect(frame.pixels), unsure)[:4, :4], *windows(rng, frame, unsure, 1)]
        for left, top, right, bottom in chosen:
            box = (float(left), float(top), float(right), float(bottom))
            view = degrade.degrade_photo(rng, frame.pixels, box)
            [reading] = teacher.run(view[None], return_confidence=True)
            weakest = float(np.asarray(reading.char_probs).min())
            if len(reading.plate) >= 5 and weakest >= _LEGIBLE:
                continue
            yield view
            for _ in range(count - 1):
                yield degrade.degrade_photo(rng, frame.pixels, box)


def main() -> None:
    parser = argparse.ArgumentParser(description="make training views of what is no plate")
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--views", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    net = PlateNet()
    net.load_state_dict(torch.load(arguments.detector)["net"])
    models = shared_root() / "models"
    teacher = LicensePlateRecognizer(
        onnx_model_path=models / "cct_xs_v2_global.onnx",
        plate_config_path=models / "cct_v2_global_plate_config.yaml",
        providers=["CPUExecutionProvider"],
    )
    frames = (frame for name in FRAMES for frame in read_set(name, "train"))
    found = [
        *views(read_negatives(), net, teacher, 3, arguments.views),
        *views(frames, net, teacher, 4, arguments.views),
    ]
    n = len(found)
    samples = Samples(
        np.stack(found),
        np.tile(encode(""), (n, 1)),
        np.tile(encode("", PREFIX_SLOTS), (n, 1)),
        np.full(n, UNKNOWN, np.int64),
        np.full((n, SLOTS, 2), np.nan, np.float32),
    )
    save_chunk(samples, arguments.out / "nothing")
    print(f"{n} crops without a plate")


if __name__ == "__main__":
    main()
