"""The trained network as the files a unit carries: ONNX and the plate config that fast-plate-ocr reads."""

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from training.degrade import HEIGHT, WIDTH
from training.halved import halved
from training.reader.net import ExportedReader, ReaderNet
from training.reader.samples import ALPHABET, REGIONS, SLOTS


class ExportDiffersError(RuntimeError):
    """The exported model does not say what the network says: do not ship it."""


def export(net: ReaderNet, model: Path) -> None:
    """Write *model* (.onnx) and its .yaml beside it, after checking that both ways of running agree.

    Weights are stored in half precision. Raises ExportDiffersError if ONNX Runtime's probabilities differ
    from PyTorch's by more than 0.01.
    """
    exported = ExportedReader(copy.deepcopy(net)).eval()
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8))
    names = {"input": {0: "n"}, "plate": {0: "n"}, "region": {0: "n"}, "prefix": {0: "n"}}
    model.parent.mkdir(parents=True, exist_ok=True)
    partial = model.with_suffix(".partial")
    with torch.no_grad():
        torch.onnx.export(
            exported,
            (crops[:1],),
            str(partial),
            input_names=["input"],
            output_names=["plate", "region", "prefix"],
            dynamic_axes=names,
            opset_version=17,
            dynamo=False,
        )
        expected = exported(crops)
    onnx.save(halved(onnx.load(partial)), partial)
    session = onnxruntime.InferenceSession(partial, providers=["CPUExecutionProvider"])
    for wanted, got in zip(expected, session.run(None, {"input": crops.numpy()}), strict=True):
        if float(np.abs(wanted.numpy() - got).max()) > 0.01:
            raise ExportDiffersError(f"{model.name}: ONNX Runtime and PyTorch disagree; use another opset")
    model.with_suffix(".yaml").write_text(config_text())
    partial.rename(model)


def config_text() -> str:
    """Return the plate config of the exported model."""
    regions = ", ".join(f"'{region}'" for region in REGIONS)
    lines = (
        f"max_plate_slots: {SLOTS}",
        f"alphabet: '{ALPHABET}'",
        "pad_char: '_'",
        f"img_height: {HEIGHT}",
        f"img_width: {WIDTH}",
        "keep_aspect_ratio: false",
        "interpolation: linear",
        "image_color_mode: rgb",
        f"plate_regions: [{regions}]",
    )
    return "\n".join(lines) + "\n"
