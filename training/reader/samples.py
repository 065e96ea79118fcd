"""Samples as arrays, and the pre-rendered ones on disk.

A chunk is a folder of .npy files, written whole and renamed at the end, so that a training run may
pick up new chunks while a renderer is still at work. Rendering takes 6 ms a crop and core: it never runs
inside the training loop.

    python -m training.reader.samples --out ../crops --first 0 --count 20
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training import degrade, formats
from training.plates import render_plate

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
SLOTS = formats.MAX_CHARACTERS
PREFIX_SLOTS = 3
"""Letters that may stand stacked beside the serial."""
PAD = ALPHABET.index("_")
REGIONS = formats.JURISDICTIONS
UNKNOWN = -1
"""Target of what is not known of a sample: jurisdiction, prefix or the whole text. It takes no part in the
loss."""

RENDER_HEIGHT_PX = 80


@dataclass(frozen=True, slots=True)
class Samples:
    """Crops and what is known about them; the images may be a memory map."""

    images: npt.NDArray[np.uint8]
    """Shape (n, 64, 128, 3), RGB."""
    slots: npt.NDArray[np.int64]
    """Shape (n, SLOTS): places in ALPHABET, padded with PAD; all UNKNOWN where the text is."""
    prefixes: npt.NDArray[np.int64]
    """Shape (n, PREFIX_SLOTS): the stacked letters likewise."""
    regions: npt.NDArray[np.int64]
    """Shape (n,): places in REGIONS or UNKNOWN."""
    centres: npt.NDArray[np.float32]
    """Shape (n, SLOTS, 2): x and y of the characters as shares of the crop; NaN where unknown."""
    teacher: npt.NDArray[np.float16] | None = None
    """Shape (n, SLOTS, len(ALPHABET)): the probabilities that a teacher gives each character."""

    def __len__(self) -> int:
        return len(self.images)


def encode(text: str | None, slots: int = SLOTS) -> npt.NDArray[np.int64]:
    """Return the slots of *text*, UNKNOWN in all if it is None.

    Raises ValueError if it is longer than *slots* or has other characters.
    """
    if text is None:
        return np.full(slots, UNKNOWN, np.int64)
    if len(text) > slots:
        raise ValueError(f"a text of at most {slots} characters is wanted, not of {len(text)}")
    return np.array([ALPHABET.index(c) for c in text] + [PAD] * (slots - len(text)), np.int64)


def region_index(jurisdiction: str) -> int:
    """Return the place of *jurisdiction* in REGIONS, UNKNOWN if it is blank or not among them."""
    return REGIONS.index(jurisdiction) if jurisdiction in REGIONS else UNKNOWN


def render_chunk(seed: int, size: int, jurisdictions: Sequence[str] = ()) -> Samples:
    """Return *size* rendered crops; equal seeds give equal chunks where the same typefaces are installed.

    *jurisdictions* take equal shares; none means all by their weight.
    """
    rng = np.random.default_rng([seed, 2026])
    images = np.empty((size, degrade.HEIGHT, degrade.WIDTH, 3), np.uint8)
    slots = np.empty((size, SLOTS), np.int64)
    prefixes = np.empty((size, PREFIX_SLOTS), np.int64)
    regions = np.empty(size, np.int64)
    centres = np.full((size, SLOTS, 2), np.nan, np.float32)
    for i in range(size):
        wanted = jurisdictions[i % len(jurisdictions)] if jurisdictions else None
        plate = render_plate(rng, wanted, height_px=RENDER_HEIGHT_PX)
        crop = degrade.degrade(rng, plate)
        images[i], slots[i], regions[i] = crop.image, encode(plate.text), region_index(plate.jurisdiction)
        prefixes[i] = encode(plate.prefix, PREFIX_SLOTS)
        centres[i, : len(plate.text)] = crop.centres
    return Samples(images, slots, prefixes, regions, centres)


def save_chunk(samples: Samples, folder: Path) -> None:
    """Write *samples* as the chunk *folder*."""
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    np.save(partial / "images.npy", samples.images)
    np.save(partial / "centres.npy", samples.centres)
    labels = np.concatenate([samples.slots, samples.prefixes, samples.regions[:, None]], axis=1)
    np.save(partial / "labels.npy", labels)
    if samples.teacher is not None:
        np.save(partial / "teacher.npy", samples.teacher)
    partial.rename(folder)


def load_chunk(folder: Path) -> Samples:
    """Return the chunk *folder*, its images as a memory map. Raises FileNotFoundError if it is not
    complete."""
    labels = np.load(folder / "labels.npy")
    images = np.load(folder / "images.npy", mmap_mode="r")
    end = SLOTS + PREFIX_SLOTS
    centres = np.load(folder / "centres.npy")
    taught = folder / "teacher.npy"
    teacher = np.load(taught) if taught.exists() else None
    return Samples(images, labels[:, :SLOTS], labels[:, SLOTS:end], labels[:, end], centres, teacher)


def load_chunks(root: Path, names: str = "*") -> list[Samples]:
    """Return all complete chunks under *root* whose name fits the pattern *names*."""
    return [load_chunk(folder) for folder in sorted(root.glob(names)) if folder.suffix != ".partial"]


def main() -> None:
    """Render chunks --first to --first + --count - 1 into --out; chunks that exist are left alone."""
    parser = argparse.ArgumentParser(description="render chunks of plate crops for training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--jurisdiction", nargs="*", default=[], choices=formats.JURISDICTIONS[:-1])
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    for number in range(arguments.first, arguments.first + arguments.count):
        folder = arguments.out / f"chunk-{number:03d}"
        if not folder.exists():
            save_chunk(render_chunk(number, arguments.size, tuple(arguments.jurisdiction)), folder)
            print(f"{folder.name}: {arguments.size} crops", flush=True)


if __name__ == "__main__":
    main()
