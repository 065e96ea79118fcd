"""Write a trained detector as ONNX: ``python -m training.detector.export CHECKPOINT models/builtin``.

The file holds everything from letterboxed pixels to final boxes, as open-image-models' ``yolo_v9``
backend expects: input (1, 3, N, N) float32 RGB in 0..1, output (n, 7): batch, left, top, right,
bottom, class, score. Inside it first cuts off the grey bars of the letterbox, because the network
takes any height and width: a 16:9 frame then costs 60 % of a square.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.detector.net import STRIDES, PlateNet, decode, fused
from training.halved import halved

SIZES_PX = (384, 512, 640)
GREY = 114 / 255
"""What open-image-models pads with; recognizer pads with the same."""
LEAST_SCORE = 0.05
OVERLAP = 0.5
MOST_BOXES = 100
OPSET = 18


class Decoded(nn.Module):
    """The network with its maps turned into boxes (1, cells, 4) and scores (1, 1, cells)."""

    def __init__(self, net: PlateNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        parts = [decode(head, stride) for head, stride in zip(self.net(pixels), STRIDES, strict=True)]
        return torch.cat([boxes for boxes, _ in parts], 1), torch.cat([s for _, s in parts], 1)[:, None]


def network_graph(net: PlateNet) -> onnx.ModelProto:
    """Return the network, batch norm folded in, for any height and width that 32 divides."""
    buffer = io.BytesIO()
    torch.onnx.export(
        Decoded(fused(net)),
        (torch.zeros(1, 3, 64, 96),),
        buffer,
        input_names=["cut"],
        output_names=["cut_boxes", "scores"],
        dynamic_axes={"cut": {2: "h", 3: "w"}, "cut_boxes": {1: "cells"}, "scores": {2: "cells"}},
        opset_version=OPSET,
        dynamo=False,
    )
    return onnx.load_from_string(buffer.getvalue())


def end_to_end(net: PlateNet, size_px: int) -> onnx.ModelProto:
    """Return the whole graph for square input of *size_px*."""
    core = network_graph(net).graph
    nodes: list[onnx.NodeProto] = []
    constants = {
        "grey": np.array(GREY, np.float32),
        "least_difference": np.array(0.5 / 255, np.float32),
        "colour_axis": np.array([1], np.int64),
        "axes_for_rows": np.array([2], np.int64),
        "axes_for_columns": np.array([1], np.int64),
        "step": np.array([32], np.int64),
        "size": np.array([size_px], np.int64),
        "row_axis": np.array([2], np.int64),
        "column_axis": np.array([3], np.int64),
        "first_axis": np.array([1], np.int64),
        "zero_axis": np.array([0], np.int64),
        "most_boxes": np.array([MOST_BOXES], np.int64),
        "overlap": np.array([OVERLAP], np.float32),
        "least_score": np.array([LEAST_SCORE], np.float32),
        "box_column": np.array(2, np.int64),
        "flat": np.array([-1], np.int64),
    }

    def add(kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    add("Sub", ["images", "grey"], "from_grey")
    add("Abs", ["from_grey"], "coloured_difference")
    # One colour at a time first: both sides at once cost 4 ms more, a quarter of the whole network.
    add("ReduceMax", ["coloured_difference", "colour_axis"], "difference", keepdims=0)
    for side, axes in (("row", "axes_for_rows"), ("column", "axes_for_columns")):
        add("ReduceMax", ["difference", axes], f"{side}_difference", keepdims=0)
        add("Greater", [f"{side}_difference", "least_difference"], f"{side}_is_picture")
        add("Cast", [f"{side}_is_picture"], f"{side}_marks", to=TensorProto.INT32)
        # A wholly grey input has no first picture row: both ends then span everything.
        first = add("ArgMax", [f"{side}_marks"], f"{side}_first", axis=1, keepdims=0)
        last = add("ArgMax", [f"{side}_marks"], f"{side}_last", axis=1, keepdims=0, select_last_index=1)
        add("Sub", [last, first], f"{side}_span")
        add("Div", [f"{side}_span", "step"], f"{side}_steps")
        add("Mul", [f"{side}_steps", "step"], f"{side}_floor")
        add("Add", [f"{side}_floor", "step"], f"{side}_extent")
        add("Sub", ["size", f"{side}_extent"], f"{side}_latest")
        add("Min", [first, f"{side}_latest"], f"{side}_start")
        add("Add", [f"{side}_start", f"{side}_extent"], f"{side}_end")
    add("Slice", ["images", "row_start", "row_end", "row_axis"], "cut_rows")
    add("Slice", ["cut_rows", "column_start", "column_end", "column_axis"], "cut")
    nodes.extend(core.node)
    add("Concat", ["column_start", "row_start", "column_start", "row_start"], "corner", axis=0)
    add("Cast", ["corner"], "corner_px", to=TensorProto.FLOAT)
    add("Add", ["cut_boxes", "corner_px"], "boxes")
    add("NonMaxSuppression", ["boxes", "scores", "most_boxes", "overlap", "least_score"], "selected")
    add("Gather", ["selected", "box_column"], "kept", axis=1)
    add("Squeeze", ["boxes", "zero_axis"], "all_boxes")
    add("Gather", ["all_boxes", "kept"], "kept_boxes", axis=0)
    add("Reshape", ["scores", "flat"], "all_scores")
    add("Gather", ["all_scores", "kept"], "kept_scores", axis=0)
    add("Unsqueeze", ["kept_scores", "first_axis"], "score_column")
    add("Sub", ["score_column", "score_column"], "zeros")
    add("Concat", ["zeros", "kept_boxes", "zeros", "score_column"], "output", axis=1)
    graph = helper.make_graph(
        nodes,
        "plate-detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size_px, size_px])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["plates", 7])],
        [*core.initializer, *(numpy_helper.from_array(value, key) for key, value in constants.items())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES_PX))
    arguments = parser.parse_args()
    net = PlateNet()
    net.load_state_dict(torch.load(arguments.checkpoint)["net"])
    for size_px in arguments.sizes:
        path = arguments.folder / f"plate-detector-{size_px}.onnx"
        onnx.save(halved(end_to_end(net, size_px)), path)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
