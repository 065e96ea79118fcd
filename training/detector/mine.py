"""Find plates that a training set shows but does not label.

``python -m training.detector.mine CHECKPOINT SHEET.png``

Writes ``unlabelled.json``, boxes the next run neither rewards nor punishes, and a contact sheet of
them for a person to look at. A second call with ``--plates`` and the numbers of the real plates on
the sheet keeps those alone: the others stay background, and teach. Frames of sets named in
``--trust`` need no look: there nearly every claim is a plate too far or dark to have been labelled.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from training.detector.frames import read_set
from training.detector.measure import iou
from training.detector.net import PlateNet
from training.detector.train import HERE, detector

SETS = (
    "openlpr_faisal",
    "ro_robertlucian",
    "us_reddit_plat",
    "kaggle_cars433",
    "openimages_useu",
    "ru_null07",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--plates", type=int, nargs="*")
    parser.add_argument("--trust", nargs="*", default=["ro_robertlucian"])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    net = PlateNet()
    net.load_state_dict(torch.load(arguments.checkpoint)["net"])
    detect = detector(net, arguments.size, arguments.threshold)
    found: dict[str, list[list[float]]] = {}
    tiles = []
    number = 0
    for name in arguments.sets:
        for frame in read_set(name, "train"):
            claims = detect(frame.pixels)
            table = iou(claims[:, :4], frame.boxes)
            for claim, row in zip(claims, table, strict=True):
                if len(row) and row.max() > 0.1:
                    continue
                if arguments.plates is None or number in arguments.plates or name in arguments.trust:
                    found.setdefault(frame.name, []).append([round(float(v), 1) for v in claim[:4]])
                tiles.append(_tile(frame.pixels, claim, f"{number} {claim[4]:.2f}"))
                number += 1
    columns = 16
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)]
    cv2.imwrite(str(arguments.sheet), np.vstack(rows))
    (HERE / "unlabelled.json").write_text(json.dumps(found, indent=0) + "\n")
    print(f"{number} claims, {sum(map(len, found.values()))} kept")


def _tile(
    pixels: "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]",
    claim: "np.ndarray[tuple[int], np.dtype[np.float32]]",
    words: str,
) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    x, y = (claim[0] + claim[2]) / 2, (claim[1] + claim[3]) / 2
    reach = max(12.0, float(claim[2] - claim[0]) * 1.1)
    grid = np.array(
        [[x - reach, y - reach * 0.7], [x + reach, y - reach * 0.7], [x - reach, y + reach * 0.7]], np.float32
    )
    matrix = cv2.getAffineTransform(grid, np.array([[0, 0], [120, 0], [0, 84]], np.float32))
    tile = cv2.warpAffine(pixels, matrix, (120, 84))
    cv2.putText(tile, words, (2, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)


if __name__ == "__main__":
    main()
