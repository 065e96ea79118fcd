"""The training run: one config file, one seed, one log, one learning curve.

    python -m training.reader.train training/reader/first.toml

The run is measured in minutes, not epochs, for the machine is shared. The rate is constant, then falls to
nought; real plates enter in a small share and grow to a third. Every few minutes a snapshot is kept. Several
processes may share a run, one for each core: each has its own batches, and their gradients are averaged at
every step. Set MALLOC_ARENA_MAX=1, MALLOC_MMAP_MAX_=0 and large MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_
(twice the speed), and OMP_WAIT_POLICY=PASSIVE where other work shares the processor (four times the speed,
measured at a load of eleven on two cores).
"""

import argparse
import copy
import json
import time
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor

from training.reader.export import export
from training.reader.loss import Targets, Weights, reader_loss
from training.reader.measure import ValidationSet, share_exact, validation_sets
from training.reader.net import ReaderNet, Reading, load_reader
from training.reader.photos import shared_folder
from training.reader.samples import ALPHABET, SLOTS, Samples, load_chunk, load_chunks
from training.reader.vary import Variation


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The config file; every key must be given."""

    seed: int
    minutes: float
    batch: int
    rate: float
    fall_from: float
    """Share of the run after which the rate falls to nought."""
    ema: float
    processes: int
    """One core each."""
    variation: float
    """How far crops are altered each time they come back; see `vary.Variation`."""
    bfloat16: bool
    """Mixed precision; 2.4 times faster on processors with AMX, slower on those without."""
    labelled: tuple[float, float]
    """Share of labelled real crops in a batch, at the start and at the end."""
    street: tuple[float, float]
    """Share of plates of street frames that the teacher read."""
    states: tuple[float, float]
    """Share of frontal state plates that the teacher read."""
    nothing: tuple[float, float]
    """Share of crops that hold no plate: the reader learns to say so."""
    pad: float
    """Weight of an empty slot against a character's; see `loss.Weights`."""
    late_attention: float
    """Weight of the attention's part of the loss after the first four tenths; 0.3 before."""
    rendered_dir: str
    real_dir: str
    """Relative to the repository's parent folder."""
    snapshot_minutes: float
    snapshot_dir: str
    """Where every snapshot's weights are kept, to choose among them or average them; likewise relative."""
    model: str
    resume: str
    """Checkpoint to start from; empty for none."""


def load_config(path: Path) -> RunConfig:
    """Read a config file. Raises TypeError naming a key that is missing or unknown."""
    table: dict[str, Any] = tomllib.loads(path.read_text())
    for key, value in table.items():
        table[key] = tuple(value) if isinstance(value, list) else value
    return RunConfig(**table)


class Feed:
    """Batches from rendered and real chunks; new chunks are found by refresh()."""

    def __init__(self, config: RunConfig, root: Path, seed: int) -> None:
        self._config, self._root = config, root
        self._rng = np.random.default_rng(seed)
        self._shares = {
            "labelled": config.labelled,
            "street": config.street,
            "states": config.states,
            "nothing": config.nothing,
        }
        self._vary = Variation(seed, config.variation)
        self._real: dict[str, list[Samples]] = {}
        self._rendered: list[Samples] = []
        self.refresh()

    def refresh(self) -> int:
        """Look for new chunks; return how many rendered crops there are."""
        real = self._root / self._config.real_dir
        self._real = {name: load_chunks(real, f"{name}*") for name in self._shares}
        self._rendered = load_chunks(self._root / self._config.rendered_dir)
        return sum(len(chunk) for chunk in self._rendered)

    def contents(self) -> dict[str, int]:
        """Return how many crops there are of each kind; those of real plates are altered views."""
        kinds = {"rendered": self._rendered, **self._real}
        return {name: sum(len(chunk) for chunk in chunks) for name, chunks in kinds.items()}

    def batch(self, progress: float) -> tuple[Tensor, Targets]:
        """Return crops and targets for a run that is *progress* (0..1) old."""
        size = self._config.batch
        parts = []
        for name, (first, last) in self._shares.items():
            count = min(size, int(self._rng.binomial(self._config.batch, first + (last - first) * progress)))
            parts.append(self._take(self._real[name], count))
            size -= count
        # Two chunks a batch: reading a memory map is cheap, seeking in all of them is not.
        for count in (size // 2, size - size // 2):
            parts.append(self._take(self._rendered, count))
        joined = [torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)]
        images, slots, prefixes, regions, centres, teacher = joined
        images, centres = self._vary(images, centres)
        return images, Targets(slots, prefixes, regions, centres, teacher)

    def _take(self, chunks: list[Samples], count: int) -> tuple[npt.NDArray[Any], ...]:
        samples = chunks[int(self._rng.integers(len(chunks)))]
        chosen = np.sort(self._rng.integers(len(samples), size=count))
        if samples.teacher is None:
            teacher = np.full((count, SLOTS, len(ALPHABET)), np.nan, np.float32)
        else:
            teacher = samples.teacher[chosen].astype(np.float32)
        return (
            samples.images[chosen],
            samples.slots[chosen],
            samples.prefixes[chosen],
            samples.regions[chosen],
            samples.centres[chosen],
            teacher,
        )


def rate_at(config: RunConfig, progress: float, step: int) -> float:
    """Learning rate: warm-up over 300 steps, constant, then linear to nought."""
    warm = min(1.0, (step + 1) / 300)
    fall = min(1.0, (1 - progress) / (1 - config.fall_from))
    return config.rate * warm * max(fall, 0.003)


def read_texts(net: ReaderNet, images: npt.NDArray[np.uint8]) -> list[str]:
    """Return what the network reads on crops of shape (n, 64, 128, 3)."""
    texts = []
    with torch.no_grad():
        for start in range(0, len(images), 128):
            best = net(torch.from_numpy(images[start : start + 128])).slots.argmax(-1).numpy()
            texts += ["".join(ALPHABET[i] for i in row).rstrip("_") for row in best]
    return texts


def _floats(net: ReaderNet) -> list[Tensor]:
    """Weights and running statistics: what an average is made of."""
    return [value for value in net.state_dict().values() if value.dtype.is_floating_point]


def _draw_curve(log: list[dict[str, float]], checks: list[dict[str, float]], path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    crops = [entry["crops"] / 1e3 for entry in log]
    for part in ("slots", "attention", "columns", "length", "region", "prefix"):
        left.plot(crops, [entry.get(part, np.nan) for entry in log], label=part, linewidth=0.8)
    left.set(xlabel="thousand crops seen", ylabel="loss", yscale="log")
    left.legend()
    for name in [key for key in (checks[0] if checks else {}) if key != "crops"]:
        right.plot(
            [c["crops"] / 1e3 for c in checks], [100 * c[name] for c in checks], label=name, linewidth=0.9
        )
    right.set(xlabel="thousand crops seen", ylabel="exact, folded, %", ylim=(0, 100))
    right.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _checked(net: ReaderNet, sets: list[ValidationSet]) -> dict[str, float]:
    return {each.name: round(share_exact(read_texts(net, each.images), each.texts)[1], 4) for each in sets}


def _save(net: ReaderNet, path: Path) -> None:
    half = {
        name: value.half() if value.dtype.is_floating_point else value
        for name, value in net.state_dict().items()
    }
    torch.save(half, path)


def _held(root: Path) -> ValidationSet:
    """What of the training pictures is held back, to choose snapshots by."""
    samples = load_chunk(root / "held")
    texts = ["".join(ALPHABET[i] for i in row).rstrip("_") for row in samples.slots]
    return ValidationSet("held_back", np.array(samples.images), texts, [""] * len(texts))


def _step(net: ReaderNet, feed: Feed, config: RunConfig, progress: float) -> dict[str, float]:
    """Leave the gradients of one batch; return the parts of its loss."""
    crops, targets = feed.batch(progress)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bfloat16):
        low = net(crops)
    reading = Reading(*(getattr(low, each.name).float() for each in fields(Reading)))
    weights = Weights(attention=0.3 if progress < 0.4 else config.late_attention, pad=config.pad)
    loss, parts = reader_loss(reading, targets, weights)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return parts


def _share_gradients(net: ReaderNet, minutes: float) -> float:
    """Give all processes the mean of their gradients; return the mean of their *minutes*, by which all go."""
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    together = torch.cat([*(g.flatten() for g in gradients), torch.tensor([minutes])])
    dist.all_reduce(together)
    together /= dist.get_world_size()
    start = 0
    for gradient in gradients:
        gradient.copy_(together[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
    return float(together[-1])


def run(rank: int, config: RunConfig, name: str) -> None:
    """Train to the end as process *rank*; the first leaves log, curve, checkpoint and model."""
    repository = Path(__file__).resolve().parents[2]
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    if config.processes > 1:
        address = f"file://{repository.parent / 'reader-run.meeting'}"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=config.processes)
    feed = Feed(config, repository.parent, 1000 * config.seed + rank)
    start = repository / config.resume if config.resume else None
    net = (load_reader(start) if start else ReaderNet()).train()
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub lacks it
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.rate, weight_decay=0.01, fused=True)
    keeper = _Keeper(config, name, net, feed) if rank == 0 else None
    began, step, elapsed = time.monotonic(), 0, 0.0
    while elapsed < config.minutes:
        progress = elapsed / config.minutes
        for group in optimizer.param_groups:
            group["lr"] = rate_at(config, progress, step)
        optimizer.zero_grad(set_to_none=True)
        parts = _step(net, feed, config, progress)
        elapsed = (time.monotonic() - began) / 60
        if config.processes > 1:
            elapsed = _share_gradients(net, elapsed)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0, foreach=True)
        optimizer.step()
        step += 1
        if keeper:
            keeper.after_step(step, elapsed, parts)
        if step % 2000 == 0:
            feed.refresh()
    if keeper:
        keeper.finish(step)


class _Keeper:
    """The average of the weights, the log, the curve and the snapshots."""

    def __init__(self, config: RunConfig, name: str, net: ReaderNet, feed: Feed) -> None:
        self._config, self._net, self._feed = config, net, feed
        self._repository = Path(__file__).resolve().parents[2]
        root = self._repository.parent
        self._out = self._repository / "training/runs" / name
        self._snapshots = root / config.snapshot_dir
        self._snapshots.mkdir(parents=True, exist_ok=True)
        self._sets = [_held(root / config.real_dir), *validation_sets(shared_folder() / "data")]
        self._average = copy.deepcopy(net).eval()
        self._log: list[dict[str, float]] = []
        self._checks: list[dict[str, float]] = []
        self._sums: dict[str, float] = {}
        self._handle = (self._out / "log.jsonl").open("w", buffering=1)

    def after_step(self, step: int, elapsed: float, parts: dict[str, float]) -> None:
        """Average, and from time to time log and keep a snapshot."""
        config = self._config
        with torch.no_grad():
            share = 1 - min(config.ema, step / (step + 10))
            torch._foreach_lerp_(_floats(self._average), _floats(self._net), share)
        for part, value in parts.items():
            self._sums[part] = self._sums.get(part, 0.0) + value / 100
        if step % 100 == 0:
            entry = {"crops": self._crops(step), "minutes": round(elapsed, 2)}
            self._log.append(entry | {part: round(value, 4) for part, value in self._sums.items()})
            self._handle.write(json.dumps(self._log[-1]) + "\n")
            self._sums = {}
        if elapsed > config.snapshot_minutes * (len(self._checks) + 1):
            self._snapshot(step)

    def finish(self, step: int) -> None:
        """Keep what the run came to."""
        self._snapshot(step)
        export(self._average, self._repository / self._config.model)
        _save(self._average, self._repository / "training/reader/checkpoint.pt")
        (self._out / "data.json").write_text(json.dumps(self._feed.contents(), indent=1) + "\n")
        self._handle.close()

    def _crops(self, step: int) -> float:
        return float(step * self._config.batch * self._config.processes)

    def _snapshot(self, step: int) -> None:
        check = {"crops": self._crops(step), **_checked(self._average, self._sets)}
        self._checks.append(check)
        self._handle.write(json.dumps({"check": check}) + "\n")
        _save(self._average, self._snapshots / f"{len(self._checks):02d}.pt")
        _draw_curve(self._log, self._checks, self._out / "curve.png")


def main() -> None:
    """Train by a config file; the run is named after it."""
    parser = argparse.ArgumentParser(description="train the plate reader")
    parser.add_argument("config", type=Path)
    arguments = parser.parse_args()
    config, name = load_config(arguments.config), f"reader-{arguments.config.stem}"
    folder = Path(__file__).resolve().parents[1] / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(arguments.config.read_text())
    if config.processes == 1:
        run(0, config, name)
    else:
        torch.multiprocessing.spawn(run, (config, name), nprocs=config.processes)


if __name__ == "__main__":
    main()
