"""Writes a model pack as the archive that a department publishes, once it reads given pictures rightly."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from edge.errors import EdgeError
from edge.pack_trial import faults
from recognizer.errors import ModelInvalidError
from recognizer.manifest import load_pack
from recognizer.plate import normalise
from recognizer.published import unpack_published, write_published


class PackUnfitError(EdgeError):
    """A unit would refuse the pack, or its pictures cannot be had: print the line, exit 65 (EX_DATAERR)."""

    exit_code = 65


def export_pack(model_pack: str, pictures: Sequence[str], out: Path) -> None:
    """Write the pack *model_pack* to the new file *out*; *pictures* are as "front.jpg=7ABC123,8XYZ987".

    Raises ValueError if a picture is not given so, ModelInvalidError if the pack is none, PackUnfitError if
    it does not read a picture as said, or a file cannot be read or written; there is then no *out*.
    """
    named = [_named(text) for text in pictures]
    pack = load_pack(model_pack)
    try:
        write_published(pack, named, out)
    except OSError as error:
        raise PackUnfitError(f"{error.filename or out}: {error.strerror}; nothing was written") from error
    try:
        with TemporaryDirectory() as folder:
            unpack_published(out, Path(folder), lambda path, content: _write(path, b"".join(content)))
            why = next(faults(Path(folder)), "")
    except (ModelInvalidError, OSError):
        out.unlink()
        raise
    if why:
        out.unlink()
        raise PackUnfitError(f"{why}; nothing was written. Look at the picture, or give another")


def _named(text: str) -> tuple[Path, tuple[str, ...]]:
    path, sign, plates = text.rpartition("=")
    if not sign or not path:
        raise ValueError("--picture: give a file and its plates, as front.jpg=7ABC123")
    return Path(path), tuple(sorted(normalise(plate) for plate in plates.split(",") if plate.strip()))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
