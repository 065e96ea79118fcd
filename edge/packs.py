"""Installs the official fast-alpr models as a pack beside our own, for those who want to compare or prefer
them.

The files come from their upstream releases; their sizes and digests are pinned here, and nothing else is
kept.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from edge.errors import EdgeError
from recognizer.errors import ModelInvalidError
from recognizer.manifest import verify
from recognizer.pack import MANIFEST, Model, ModelFile, Pack, Tensor, encode_pack

_BLOCK_BYTES = 1 << 16
_TIMEOUT_S = 30.0


class PackUnavailableError(EdgeError):
    """A pack cannot be fetched or written: print the line, exit 69 (EX_UNAVAILABLE)."""

    exit_code = 69


@dataclass(frozen=True, slots=True)
class Published:
    """A pack that others publish."""

    detector: Model
    reader: Model
    addresses: dict[str, str]
    """Where each file is published, by its name."""


_DETECTORS = "https://github.com/ankandrew/open-image-models/releases/download/assets"
_READERS = "https://github.com/ankandrew/cnn-ocr-lp/releases/download/arg-plates"
_DETECTOR = ModelFile(
    "yolo-v9-t-384-license-plates-end2end.onnx",
    "888397b96d761c89db40bc9c305838e8652660f5e282c2cadebbe8d2951a77a8",
    7_771_218,
)
_READER = ModelFile(
    "cct_xs_v2_global.onnx",
    "8031afb5fdc6b4d80462c9d542f1284ebd2cfddf5dbacd62609848d7e2855f44",
    3_344_292,
)
_READER_CONFIG = ModelFile(
    "cct_xs_v2_global_plate_config.yaml",
    "0335c74a305173bb6f393efed0fde03cadeaa0b649ed8e19f431016d8232d0a6",
    1_725,
)

PUBLISHED = {
    # What `fast_alpr.ALPR()` 0.4 loads when nothing is chosen.
    "fast-alpr": Published(
        detector=Model(
            weights=_DETECTOR,
            licence="MIT",
            source=f"{_DETECTORS}/{_DETECTOR.file}",
            input=Tensor("float32", (-1, 3, 384, 384), "RGB in 0..1, letterboxed on grey 114"),
            outputs=(Tensor("float32", (-1, 7), "batch, left, top, right, bottom, class, score"),),
            threshold=0.4,
        ),
        reader=Model(
            weights=_READER,
            licence="MIT",
            source=f"{_READERS}/{_READER.file}",
            input=Tensor("uint8", (-1, 64, 128, 3), "RGB, the plate's crop, stretched"),
            outputs=(
                Tensor("float32", (-1, 10, 37), "probability of 0-9, A-Z and nothing in each of 10 slots"),
                Tensor("float32", (-1, 66), "probability of each country of the plate configuration"),
            ),
            config=_READER_CONFIG,
        ),
        addresses={
            _DETECTOR.file: f"{_DETECTORS}/{_DETECTOR.file}",
            _READER.file: f"{_READERS}/{_READER.file}",
            _READER_CONFIG.file: f"{_READERS}/{_READER_CONFIG.file}",
        },
    )
}


def install_pack(name: str, into: Path, *, source: Path | None = None) -> Path:
    """Install the published pack *name* in the folder *into* and return the pack's own folder.

    *source* is a folder that already holds the files, for units without internet; None fetches them. A pack
    that is there already is replaced once every new file was verified; until then it stays as it is.

    Raises ModelInvalidError if a file is not the pinned one (it is removed again), PackUnavailableError if it
    cannot be had or written, ValueError if no pack of that name is known.
    """
    if name not in PUBLISHED:
        raise ValueError(f"no published model pack {name!r}: known are {', '.join(sorted(PUBLISHED))}")
    published, folder = PUBLISHED[name], into / name
    files = [published.detector.weights, published.reader.weights]
    files += [model.config for model in (published.detector, published.reader) if model.config is not None]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fetched = [_fetched(file, folder, published.addresses[file.file], source) for file in files]
        for part, file in zip(fetched, files, strict=True):
            part.replace(folder / file.file)
        # The manifest last: without it a folder is no pack.
        pack = Pack(name, folder, published.detector, published.reader)
        _write(folder / MANIFEST, encode_pack(pack).encode())
    except OSError as error:
        raise PackUnavailableError(f"model pack {name}: {folder}: {error.strerror}") from error
    finally:
        for part in folder.glob("*.part"):
            part.unlink()
    return folder


def _fetched(file: ModelFile, folder: Path, address: str, source: Path | None) -> Path:
    """Return the path of a verified, still provisional copy of *file* in *folder*."""
    part = folder / f"{file.file}.part"
    if source is not None:
        if not (source / file.file).is_file():
            raise PackUnavailableError(f"{source} has no {file.file}: download it from {address}")
        shutil.copyfile(source / file.file, part)
    else:
        with part.open("wb") as out:
            for block in _blocks(address, file.bytes):
                out.write(block)
    try:
        verify(part, file)
    except ModelInvalidError as error:
        origin = str(source / file.file) if source is not None else address
        raise ModelInvalidError(
            f"{origin} is not the {file.file} that is pinned ({_what(part, file)}): nothing was installed"
        ) from error
    with part.open("rb") as written:
        os.fsync(written.fileno())
    return part


def _blocks(address: str, limit_bytes: int) -> Iterator[bytes]:
    """Give what *address* holds, at most one byte more than *limit_bytes*: a server can send without end."""
    received = 0
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=_TIMEOUT_S) as response:
            response.raise_for_status()
            for block in response.iter_bytes(_BLOCK_BYTES):
                yield block[: limit_bytes + 1 - received]
                received += len(block)
                if received > limit_bytes:
                    return
    except httpx.HTTPStatusError as error:
        raise PackUnavailableError(f"{address} answered {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise PackUnavailableError(
            f"{address} cannot be reached ({type(error).__name__}): "
            "check the connection, or copy the files here and use --from FOLDER"
        ) from error


def _what(part: Path, file: ModelFile) -> str:
    size = part.stat().st_size
    if size > file.bytes:
        return f"it is larger than {file.bytes} bytes"
    if size < file.bytes:
        return f"{size} of {file.bytes} bytes"
    return f"its SHA-256 starts with {hashlib.sha256(part.read_bytes()).hexdigest()[:16]}"


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the renames outlast a power cut
    finally:
        os.close(folder)
