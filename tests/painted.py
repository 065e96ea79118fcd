"""Plates that the tiny models of tests/data/models read, painted into frames; and the pack of those
models."""

import hashlib
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from camera.frame import Frame, Moment, TimeQuality
from recognizer import Box
from recognizer.pack import MANIFEST, Model, ModelFile, Pack, Tensor, encode_pack
from recognizer.published import write_published

MODELS = Path(__file__).resolve().parent / "data" / "models"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
REGIONS = ("US-CA", "PL", "Unknown")
START = datetime(2030, 1, 1, tzinfo=UTC)

Pixels = npt.NDArray[np.uint8]

_PREFIX = Tensor("float32", (-1, 3, 37), "probability of each character in each place of the prefix")


def street(width: int = 128, height: int = 128) -> Pixels:
    """Return a grey picture without a plate."""
    return np.full((height, width, 3), 90, np.uint8)


def paint(pixels: Pixels, box: Box, text: str, region: str = "US-CA") -> Pixels:
    """Return *pixels* with a plate in *box*; *text* has up to eight of A-Z, 0-9, the rest is left empty."""
    painted = pixels.copy()
    plate = painted[box.top : box.bottom, box.left : box.right]
    plate[..., 0] = 255
    plate[..., 1] = round(REGIONS.index(region) * 255 / (len(REGIONS) - 1))
    stripes = (np.arange(box.width) * 8) // box.width
    levels = [round(ALPHABET.index(c) * 255 / (len(ALPHABET) - 1)) for c in text.ljust(8, "_")]
    plate[..., 2] = np.array(levels, np.uint8)[stripes]
    return painted


def moment(at_s: float) -> Moment:
    return Moment(START + timedelta(seconds=at_s), round(at_s * 1e9), "boot", TimeQuality.SYNCHRONISED)


def frame(pixels: Pixels, at_s: float = 0.0, sequence: int = 0, camera: str = "front") -> Frame:
    return Frame(camera, sequence, moment(at_s), pixels)


def model_file(path: Path, folder: Path) -> ModelFile:
    content = path.read_bytes()
    return ModelFile(str(path.relative_to(folder)), hashlib.sha256(content).hexdigest(), len(content))


def tiny_pack(folder: Path, detector: str = "detector.onnx", reader: str = "reader.onnx") -> Pack:
    """Write a pack of the tiny models into *folder* and return what its manifest says."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (detector, reader, "reader.yaml"):
        shutil.copyfile(MODELS / name, folder / name)
    pack = Pack(
        name="tiny",
        folder=folder,
        detector=Model(
            weights=model_file(folder / detector, folder),
            licence="Apache-2.0",
            source="tests/data/models/make.py",
            input=Tensor("float32", (1, 3, 128, 128), "RGB in 0..1, letterboxed"),
            outputs=(Tensor("float32", (-1, 7), "batch, x1, y1, x2, y2, class, score"),),
            threshold=0.4,
        ),
        reader=Model(
            weights=model_file(folder / reader, folder),
            licence="Apache-2.0",
            source="tests/data/models/make.py",
            input=Tensor("uint8", (-1, 64, 128, 3), "RGB"),
            outputs=(
                Tensor("float32", (-1, 10, 37), "probability of each character in each slot"),
                Tensor("float32", (-1, 3), "probability of each region"),
                *([_PREFIX] if "prefix" in reader else []),
            ),
            config=model_file(folder / "reader.yaml", folder),
        ),
    )
    (folder / MANIFEST).write_text(encode_pack(pack), encoding="utf-8")
    return pack


def tiny_archive(
    out: Path,
    *,
    text: str = "TEST123",
    reads: str = "TEST123",
    reader: str = "reader.onnx",
    name: str = "tiny",
) -> Path:
    """Write the tiny pack as a department publishes it: its self-test shows *text*, and says that *reads* is
    to be read. *out* is a new file."""
    folder = out.with_name(f"{out.name}-source")
    pack = replace(tiny_pack(folder, reader=reader), name=name)
    picture = folder / "plate.png"
    cv2.imwrite(str(picture), paint(street(), Box(6, 30, 62, 54), text))
    write_published(pack, [(picture, (reads,))], out)
    return out
