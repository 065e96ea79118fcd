"""The training run: one config file, one seed, one log, one learning curve.

    python -m training.reader.train training/reader/first.toml

The run is measured in minutes, not epochs, for the machine is shared. The rate is constant, then falls to
nought; real plates enter in a small share and grow to a third. A snapshot is exported every few minutes, so
that others can use it while the run goes on. Set MALLOC_ARENA_MAX=1, MALLOC_MMAP_MAX_=0 and large
MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ (twice the speed), and OMP_WAIT_POLICY=PASSIVE where other work
shares the processor (four times the speed, measured at a load of eleven on two cores).
"""

import argparse
import copy
import json
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.reader.export import export
from training.reader.loss import Targets, Weights, reader_loss
from training.reader.measure import ValidationSet, share_exact, validation_sets
from training.reader.net import ReaderNet, Reading
from training.reader.photos import shared_folder
from training.reader.samples import ALPHABET, Samples, load_chunk, load_chunks


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
    threads: int
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

    def __init__(self, config: RunConfig, root: Path) -> None:
        self._config, self._root = config, root
        self._rng = np.random.default_rng(config.seed)
        self._shares = {
            "labelled": config.labelled,
            "street": config.street,
            "states": config.states,
            "nothing": config.nothing,
        }
        self._real = {name: load_chunk(root / config.real_dir / name) for name in self._shares}
        self._rendered: list[Samples] = []
        self.refresh()

    def refresh(self) -> int:
        """Look for new rendered chunks; return how many crops there are."""
        self._rendered = load_chunks(self._root / self._config.rendered_dir)
        return sum(len(chunk) for chunk in self._rendered)

    def contents(self) -> dict[str, int]:
        """Return how many crops there are of each kind; those of real plates are altered views."""
        real = {name: len(samples) for name, samples in self._real.items()}
        return {"rendered": sum(len(chunk) for chunk in self._rendered), **real}

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
            parts.append(self._take(self._rendered[int(self._rng.integers(len(self._rendered)))], count))
        images = self._vary(np.concatenate([part[0] for part in parts]))
        known = [torch.from_numpy(np.concatenate([part[i] for part in parts])) for i in (1, 2, 3, 4)]
        return torch.from_numpy(images), Targets(*known)

    def _take(self, samples: Samples, count: int) -> tuple[npt.NDArray[Any], ...]:
        chosen = np.sort(self._rng.integers(len(samples), size=count))
        return (
            samples.images[chosen],
            samples.slots[chosen],
            samples.prefixes[chosen],
            samples.regions[chosen],
            samples.centres[chosen],
        )

    def _vary(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Another brightness and contrast each time a crop comes back."""
        n = len(images)
        gain = self._rng.uniform(0.75, 1.2, (n, 1, 1, 1)).astype(np.float32)
        shift = self._rng.uniform(-20, 20, (n, 1, 1, 1)).astype(np.float32)
        return np.asarray(np.clip(images * gain + shift, 0, 255), np.uint8)


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


def _resume(net: ReaderNet, path: Path) -> None:
    """Load what of the checkpoint fits; what it lacks or has in another shape stays as it was made."""
    have = net.state_dict()
    saved = {k: v.float() if v.dtype == torch.half else v for k, v in torch.load(path).items()}
    fitting = {k: v for k, v in saved.items() if k in have and have[k].shape == v.shape}
    print("made anew:", sorted(set(have) - set(fitting)), flush=True)
    net.load_state_dict(have | fitting)


def _save(net: ReaderNet, path: Path) -> None:
    half = {
        name: value.half() if value.dtype.is_floating_point else value
        for name, value in net.state_dict().items()
    }
    torch.save(half, path)


def run(config: RunConfig, name: str) -> None:
    """Train to the end; leave log, curve, checkpoint and model."""
    repository = Path(__file__).resolve().parents[2]
    out = repository / "training/runs" / name
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    feed = Feed(config, repository.parent)
    sets = validation_sets(shared_folder() / "data")
    net = ReaderNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub lacks it
    if config.resume:
        _resume(net, repository / config.resume)
    average = copy.deepcopy(net).eval()
    kept, current = _floats(average), _floats(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.rate, weight_decay=0.01, fused=True)
    log: list[dict[str, float]] = []
    checks: list[dict[str, float]] = []
    start, snapshots, step = time.monotonic(), 0, 0
    sums: dict[str, float] = {}
    with (out / "log.jsonl").open("w") as handle:
        while (elapsed := (time.monotonic() - start) / 60) < config.minutes:
            progress = elapsed / config.minutes
            for group in optimizer.param_groups:
                group["lr"] = rate_at(config, progress, step)
            crops, targets = feed.batch(progress)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bfloat16):
                low = net(crops)
            reading = Reading(
                low.slots.float(),
                low.prefixes.float(),
                low.regions.float(),
                low.attention.float(),
                low.columns.float(),
                low.lengths.float(),
            )
            weights = Weights(attention=0.3 if progress < 0.4 else config.late_attention, pad=config.pad)
            loss, parts = reader_loss(reading, targets, weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0, foreach=True)
            optimizer.step()
            step += 1
            with torch.no_grad():
                torch._foreach_lerp_(kept, current, 1 - min(config.ema, step / (step + 10)))
            for part, value in parts.items():
                sums[part] = sums.get(part, 0.0) + value / 100
            if step % 100 == 0:
                entry = {
                    "crops": step * config.batch,
                    "minutes": round(elapsed, 2),
                    **{k: round(v, 4) for k, v in sums.items()},
                }
                log.append(entry)
                handle.write(json.dumps(entry) + "\n")
                handle.flush()
                sums = {}
            if elapsed > config.snapshot_minutes * (snapshots + 1):
                snapshots += 1
                check = {"crops": float(step * config.batch), **_checked(average, sets)}
                checks.append(check)
                handle.write(json.dumps({"check": check, "rendered": feed.refresh()}) + "\n")
                export(average, repository / config.model)
                _save(average, repository / "training/reader/checkpoint.pt")
                _draw_curve(log, checks, out / "curve.png")
        checks.append({"crops": float(step * config.batch), **_checked(average, sets)})
        handle.write(json.dumps({"check": checks[-1]}) + "\n")
    (out / "data.json").write_text(json.dumps(feed.contents(), indent=1) + "\n")
    export(average, repository / config.model)
    _save(average, repository / "training/reader/checkpoint.pt")
    _draw_curve(log, checks, out / "curve.png")


def main() -> None:
    """Train by a config file; the run is named after it."""
    parser = argparse.ArgumentParser(description="train the plate reader")
    parser.add_argument("config", type=Path)
    arguments = parser.parse_args()
    config, name = load_config(arguments.config), f"reader-{arguments.config.stem}"
    folder = Path(__file__).resolve().parents[1] / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(arguments.config.read_text())
    run(config, name)


if __name__ == "__main__":
    main()
