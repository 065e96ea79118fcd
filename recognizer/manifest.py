"""Finds a model pack and verifies every file of it before any model is loaded.

The pack "builtin" is the repository's `models/`; other packs lie in a folder each, by name. Nothing
unverified reaches the model runtime.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from recognizer.errors import ModelInvalidError
from recognizer.pack import MANIFEST, ModelFile, Pack, decode_pack

BUILTIN = "builtin"


def builtin_folder() -> Path:
    """Return the folder of the pack "builtin": `models/` of a checkout, else what the wheel installed.

    Raises ModelInvalidError if neither is there.
    """
    places = (
        Path(__file__).resolve().parents[1] / "models",
        Path(sys.prefix) / "share" / "alpr-edge" / "models",
    )
    for place in places:
        if (place / MANIFEST).is_file():
            return place
    raise ModelInvalidError(f"no {MANIFEST} in {places[0]} or {places[1]}: install alpr-edge again")


def installed_folders() -> tuple[Path, ...]:
    """Return where packs are installed, by name: the person's own folder, the machine's, and what came with
    the program."""
    own = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(own) / "alpr-edge" / "models", Path("/var/lib/alpr-edge/models"), builtin_folder()


def pack_folder(model_pack: str, installed: Sequence[Path]) -> Path:
    """Return the folder that *model_pack* of the configuration means.

    "builtin" is ours; a text with a slash is the path of a folder; any other is a pack in one of the folders
    *installed*. Raises ModelInvalidError if there is none.
    """
    if model_pack == BUILTIN:
        return builtin_folder()
    places = [Path(model_pack)] if "/" in model_pack else [folder / model_pack for folder in installed]
    for place in places:
        if (place / MANIFEST).is_file():
            return place
    remedy = (
        "give the path of a model pack" if "/" in model_pack else f"alpr-edge models install {model_pack}"
    )
    looked = " or ".join(str(place) for place in places)
    raise ModelInvalidError(f"model pack {model_pack!r}: no {MANIFEST} in {looked}: {remedy}")


def load_pack(model_pack: str, installed: Sequence[Path] | None = None) -> Pack:
    """Return the pack that *model_pack* means (see `pack_folder`), every file of it verified.

    *installed* None looks in `installed_folders()`. Raises ModelInvalidError naming the file and its fault.
    """
    folder = pack_folder(model_pack, installed_folders() if installed is None else installed)
    manifest = folder / MANIFEST
    try:
        text = manifest.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelInvalidError(f"{manifest} cannot be read: {error}") from error
    pack = decode_pack(text, folder)
    for file in pack.files:
        verify(pack.path(file), file)
    return pack


def verify(path: Path, expected: ModelFile) -> None:
    """Raise ModelInvalidError unless the file at *path* has the size and SHA-256 of *expected*."""
    try:
        size = path.stat().st_size
        if size != expected.bytes:
            raise ModelInvalidError(
                f"{path} has {size} bytes, its manifest says {expected.bytes}: install it again"
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelInvalidError(
            f"{path} cannot be read: {error.strerror}; install the model pack again"
        ) from error
    if digest != expected.sha256:
        raise ModelInvalidError(
            f"{path} has SHA-256 {digest[:16]}…, its manifest says {expected.sha256[:16]}…: "
            "it was altered or damaged; install the model pack again"
        )
