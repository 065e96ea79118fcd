"""The mean of several runs' weights, where each run went on from the one before: steadier than any of them.

python -m training.reader.mean second.pt third.pt --out training/reader/checkpoint.pt --model NEW.onnx
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from training.reader.export import export
from training.reader.net import ReaderNet


def mean(checkpoints: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of floating-point weights, and the first one's of all else."""
    first = checkpoints[0]
    return {
        name: torch.stack([each[name].float() for each in checkpoints]).mean(0)
        if value.dtype.is_floating_point
        else value
        for name, value in first.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="average checkpoints of the reader and export the mean")
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    arguments = parser.parse_args()
    weights = mean([torch.load(path) for path in arguments.checkpoints])
    net = ReaderNet()
    net.load_state_dict(weights)
    export(net.eval(), arguments.model)
    half = {name: value.half() if value.dtype.is_floating_point else value for name, value in weights.items()}
    torch.save(half, arguments.out)


if __name__ == "__main__":
    main()
