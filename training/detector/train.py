"""Train the detector: ``python -m training.detector.train training/detector/first.toml``.

Stops after the configured seconds, not steps; continues from ``training/runs/<name>/resume.pt`` if
that is there. Two processes: one makes samples, one learns.
"""

import argparse
import copy
import json
import math
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from training.detector.dressing import Wardrobe
from training.detector.frames import LabelledFrame, Pixels, read_negatives, read_set
from training.detector.loss import loss, targets
from training.detector.measure import Boxes, letterbox, measure, suppress
from training.detector.net import STRIDES, PlateNet, decode, fused
from training.detector.samples import SampleConfig, SampleMaker, read_ignored

HERE = Path(__file__).parent
RUNS = HERE.parent / "runs"
SAVE_EVERY_S = 90.0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    name: str
    seed: int
    batch: int
    seconds: float
    peak_rate: float
    weight_decay: float
    ema: float
    check_every_s: float
    sets: dict[str, float]
    sample: SampleConfig
    background: float = 1.0
    """Weight of false heat; see `loss`."""
    bfloat16: bool = False
    """Mixed precision: 2.5 times faster on processors with AMX, ten times slower on those without."""
    start_from: str = ""
    """Checkpoint to begin with, relative to the repository; empty for a fresh network."""


def read_config(path: Path) -> TrainConfig:
    table: dict[str, Any] = tomllib.loads(path.read_text())
    sample = {key: tuple(v) if isinstance(v, list) else v for key, v in table.pop("sample").items()}
    return TrainConfig(sample=SampleConfig(**sample), **table)


class Batches(torch.utils.data.IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches: pixels (batch, 3, size, size) uint8 RGB, boxes (n, 6) with the batch index first."""

    def __init__(self, maker: SampleMaker, batch: int, seed: int) -> None:
        self._maker, self._batch, self._seed = maker, batch, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        cv2.setNumThreads(0)
        rng = np.random.default_rng(self._seed)
        while True:
            pixels, rows = [], []
            for index in range(self._batch):
                image, boxes = self._maker.sample(rng)
                pixels.append(image[..., ::-1].transpose(2, 0, 1))
                rows.append(np.concatenate([np.full((len(boxes), 1), index, np.float32), boxes], axis=1))
            # The last row only says how many pictures there are; it is too small to matter.
            rows.append(np.array([[self._batch - 1, 0, 0, 0.1, 0.1, 0]], np.float32))
            yield (
                torch.from_numpy(np.ascontiguousarray(pixels)),
                torch.from_numpy(np.concatenate(rows)).float(),
            )


def detector(net: PlateNet, size_px: int, least: float = 0.05) -> "Any":
    """Return a function from a BGR frame to (n, 5) boxes with scores, at input size *size_px*."""
    ready = fused(net).to(memory_format=torch.channels_last)

    def detect(frame: Pixels) -> Boxes:
        square, scale, left, top = letterbox(frame, size_px)
        pixels = torch.from_numpy(square[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255.0
        with torch.no_grad():
            heads = ready(pixels.contiguous(memory_format=torch.channels_last))
            parts = [decode(head, stride) for head, stride in zip(heads, STRIDES, strict=True)]
        boxes = torch.cat([boxes[0] for boxes, _ in parts]).numpy()
        scores = torch.cat([scores[0] for _, scores in parts]).numpy()
        found = suppress(boxes, scores, least)
        found[:, :4] = (found[:, :4] - np.array([left, top, left, top])) / scale
        return found

    return detect


def check(net: PlateNet, frames: dict[str, list[LabelledFrame]], size_px: int) -> dict[str, Any]:
    detect = detector(net, size_px)
    table: dict[str, Any] = {}
    for name, some in frames.items():
        outcome = measure(some, detect, size_px)
        table[name] = [
            round(outcome.recall(0.5, 0.4), 3),
            round(outcome.recall(0.3, 0.4), 3),
            round(outcome.false_per_image(0.4), 3),
        ]
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--seconds", type=float, help="end sooner than the configuration says")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    config = read_config(arguments.config)
    seconds = arguments.seconds or config.seconds
    folder = RUNS / config.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(arguments.config.read_text())
    torch.manual_seed(config.seed)
    torch.set_num_threads(arguments.threads)

    frames, weights = [], []
    for name, weight in config.sets.items():
        read = list(read_set(name, "train"))
        frames += read
        weights += [weight] * len(read)
    maker = SampleMaker(
        config.sample,
        frames,
        weights,
        list(read_negatives()),
        read_ignored(HERE / "unlabelled.json"),
        Wardrobe(config.seed) if config.sample.dressed or config.sample.lettering else None,
    )
    held = {name: list(read_set(name, "val"))[::2] for name in config.sets}

    net = PlateNet().to(memory_format=torch.channels_last)
    if config.start_from:
        net.load_state_dict(torch.load(HERE.parents[1] / config.start_from)["net"])
    average = copy.deepcopy(net).eval()
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=config.peak_rate, weight_decay=config.weight_decay, fused=True
    )
    step, spent = 0, 0.0
    resume = folder / "resume.pt"
    if resume.exists():
        state = torch.load(resume)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["spent"]
    loader = torch.utils.data.DataLoader(
        Batches(maker, config.batch, config.seed + step), batch_size=None, num_workers=1, prefetch_factor=6
    )
    averaged = [value for value in average.state_dict().values() if value.is_floating_point()]
    learned = [value for value in net.state_dict().values() if value.is_floating_point()]
    log = (folder / "log.jsonl").open("a", buffering=1)
    began, checked, saved = time.monotonic() - spent, spent, spent
    running: dict[str, float] = {}
    for pixels, boxes in loader:
        spent = time.monotonic() - began
        progress = min(1.0, spent / seconds)
        warm = min(1.0, (step + 1) / 100)
        rate = config.peak_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = pixels.contiguous(memory_format=torch.channels_last).float() / 255.0
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bfloat16):
            heads = net(batch)
        full = (heads[0].float(), heads[1].float(), heads[2].float())
        total, parts = loss(full, targets(boxes, config.sample.size_px), config.background)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        step += 1
        keep = min(config.ema, (1 + step) / (20 + step))
        with torch.no_grad():
            torch._foreach_lerp_(averaged, learned, 1 - keep)
        for key, value in parts.items():
            running[key] = running.get(key, value) * 0.98 + value * 0.02
        if step % 50 == 0:
            row = {"step": step, "images": step * config.batch, "s": round(spent), "rate": round(rate, 6)}
            log.write(json.dumps(row | {k: round(v, 4) for k, v in running.items()}) + "\n")
        ended = progress >= 1.0
        if spent - checked >= config.check_every_s or (ended and config.check_every_s < seconds):
            checked = spent
            table = check(average, held, 512)
            log.write(json.dumps({"step": step, "images": step * config.batch, "check_at_512": table}) + "\n")
        if ended or spent - saved >= SAVE_EVERY_S:
            saved = spent
            state = {
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            torch.save(state | {"step": step, "spent": spent}, resume)
        if ended:
            break
    half = {
        key: value.half() if value.dtype.is_floating_point else value
        for key, value in average.state_dict().items()
    }
    torch.save({"net": half}, folder / "checkpoint.pt")


if __name__ == "__main__":
    main()
