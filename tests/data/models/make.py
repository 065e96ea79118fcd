"""Builds the tiny models of this folder: python tests/data/models/make.py (needs onnx 1.23, which no unit
has).

They read an invented kind of plate, a patch of saturated blue: the detector finds one in each half of the
picture, the reader takes each of eight characters from the red level of one of eight stripes, and the region
from the green level. So a test can paint a plate of its own and know what must be read. No weights, no
training: our own work.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

onnx: Any = importlib.import_module("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, UINT8, INT64, BOOL = (getattr(onnx.TensorProto, name) for name in ("FLOAT", "UINT8", "INT64", "BOOL"))

FOLDER = Path(__file__).resolve().parent
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
REGIONS = ["US-CA", "PL", "Unknown"]
SIDE_PX = 128
CHARACTERS, SLOTS = 8, 10
SERIAL = 5
READER_PX = (64, 128)


class Graph:
    """Nodes and constants in the order of use."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, dtype: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def rename(self, old: str, new: str) -> None:
        self.nodes.append(helper.make_node("Identity", [old], [new]))

    def save(self, file: str, inputs: list[Any], outputs: list[Any]) -> None:
        graph = helper.make_graph(self.nodes, file.split(".")[0], inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        (FOLDER / file).write_bytes(model.SerializeToString(deterministic=True))


def detector(file: str, broken: bool = False) -> None:
    g = Graph()
    threshold = g.constant(0.85, np.float32)
    blue = g.add("Slice", "images", *(g.constant([v], np.int64) for v in (2, 3, 1)))
    mask = g.add("Cast", g.add("Greater", blue, threshold), to=FLOAT)
    right_to_left = np.arange(SIDE_PX, 0, -1, dtype=np.float32)
    rows = []
    for half in (0, 1):
        keep = np.zeros((1, 1, 1, SIDE_PX), np.float32)
        keep[..., half * SIDE_PX // 2 : (half + 1) * SIDE_PX // 2] = 1
        part = g.add("Mul", mask, g.constant(keep, np.float32))
        row = [g.constant([0.0], np.float32)]
        for shape in ((1, 1, 1, SIDE_PX), (1, 1, SIDE_PX, 1)):
            ruler = g.constant(right_to_left.reshape(shape), np.float32)
            most = g.add("ReduceMax", g.add("Mul", part, ruler), axes=[0, 1, 2, 3], keepdims=0)
            row.append(g.add("Sub", g.constant([SIDE_PX], np.float32), most))
        for shape in ((1, 1, 1, SIDE_PX), (1, 1, SIDE_PX, 1)):
            ruler = g.constant(right_to_left[::-1].reshape(shape), np.float32)
            most = g.add("ReduceMax", g.add("Mul", part, ruler), axes=[0, 1, 2, 3], keepdims=0)
            row.append(g.add("Reshape", most, g.constant([1], np.int64)))
        found = g.add(
            "Reshape", g.add("ReduceMax", part, axes=[0, 1, 2, 3], keepdims=0), g.constant([1], np.int64)
        )
        score = g.add("Mul", found, g.constant([0.9], np.float32))
        rows.append(g.add("Concat", *row, g.constant([0.0], np.float32), score, axis=0))
    both = g.add("Reshape", g.add("Concat", *rows, axis=0), g.constant([2, 7], np.int64))
    scores = g.add(
        "Reshape",
        g.add("Slice", both, *(g.constant([v], np.int64) for v in (6, 7, 1))),
        g.constant([2], np.int64),
    )
    kept = g.add("Compress", both, g.add("Greater", scores, g.constant(0.1, np.float32)), axis=0)
    if broken:
        # An index that only the run can know, so that the model loads: row 1000 of the rows found.
        index = g.add(
            "Add",
            g.add("Cast", g.add("ReduceMax", mask, axes=[0, 1, 2, 3], keepdims=0), to=INT64),
            g.constant(1000, np.int64),
        )
        kept = g.add("Gather", kept, g.add("Reshape", index, g.constant([1], np.int64)), axis=0)
    g.rename(kept, "detections")
    g.save(
        file,
        [helper.make_tensor_value_info("images", FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("detections", FLOAT, ["n", 7])],
    )


def reader(file: str, softmax: bool = True, prefix: bool = False) -> None:
    """With *prefix* the last three of the eight stripes are the letters stacked beside the first five."""
    g = Graph()
    height, width = READER_PX
    rows = g.constant(np.arange(height // 2 - 4, height // 2 + 4), np.int64)
    middle = g.add("Gather", g.add("Cast", "input", to=FLOAT), rows, axis=1)
    line = g.add("ReduceMean", middle, axes=[1], keepdims=0)  # (N, width, 3)
    # The crop has 5 % of the plate's width on each side: the plate itself is the middle 1 / 1.1 of it.
    inner = width / 1.1
    centres = [(width - inner) / 2 + (place + 0.5) * inner / CHARACTERS for place in range(CHARACTERS)]
    stripes = g.add("Gather", line, g.constant([round(c) for c in centres], np.int64), axis=1)  # (N, 8, 3)
    red = g.add("Slice", stripes, *(g.constant([v], np.int64) for v in (0, 1, 2)))
    levels = g.constant(np.arange(len(ALPHABET)) * 255.0 / (len(ALPHABET) - 1), np.float32)
    distance = g.add("Sub", red, levels)
    logits = g.add("Mul", g.add("Mul", distance, distance), g.constant(-0.1, np.float32))
    outputs = []
    if prefix:
        stacked = g.add("Slice", logits, *(g.constant([v], np.int64) for v in (SERIAL, CHARACTERS, 1)))
        logits = g.add("Slice", logits, *(g.constant([v], np.int64) for v in (0, SERIAL, 1)))
        g.rename(g.add("Softmax", stacked, axis=-1), "prefix")
        shape = ["N", CHARACTERS - SERIAL, len(ALPHABET)]
        outputs.append(helper.make_tensor_value_info("prefix", FLOAT, shape))
    empty = SLOTS - (SERIAL if prefix else CHARACTERS)
    blank = np.full((1, empty, len(ALPHABET)), -50.0, np.float32)
    blank[..., -1] = 0.0
    ones = g.add("Slice", logits, *(g.constant([v], np.int64) for v in (0, empty, 1)))
    padding = g.add("Add", g.add("Mul", ones, g.constant(0.0, np.float32)), g.constant(blank, np.float32))
    slots = g.add("Concat", logits, padding, axis=1)
    g.rename(g.add("Softmax", slots, axis=-1) if softmax else slots, "plate")
    green = g.add(
        "ReduceMean",
        g.add("Slice", stripes, *(g.constant([v], np.int64) for v in (1, 2, 2))),
        axes=[1],
        keepdims=0,
    )
    steps = g.constant(np.arange(len(REGIONS)) * 255.0 / (len(REGIONS) - 1), np.float32)
    away = g.add("Sub", green, steps)
    region = g.add("Mul", g.add("Mul", away, away), g.constant(-0.001, np.float32))
    g.rename(g.add("Softmax", region, axis=-1), "region")
    g.save(
        file,
        [helper.make_tensor_value_info("input", UINT8, ["N", height, width, 3])],
        [
            helper.make_tensor_value_info("plate", FLOAT, ["N", SLOTS, len(ALPHABET)]),
            helper.make_tensor_value_info("region", FLOAT, ["N", len(REGIONS)]),
            *outputs,
        ],
    )


def main() -> None:
    detector("detector.onnx")
    detector("detector-broken.onnx", broken=True)
    reader("reader.onnx")
    reader("reader-logits.onnx", softmax=False)
    reader("reader-prefix.onnx", prefix=True)
    (FOLDER / "reader.yaml").write_text(
        f"max_plate_slots: {SLOTS}\nalphabet: '{ALPHABET}'\npad_char: '_'\nimg_height: {READER_PX[0]}\n"
        f"img_width: {READER_PX[1]}\nkeep_aspect_ratio: false\ninterpolation: linear\nimage_color_mode: rgb\n"
        f"plate_regions: {REGIONS}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
