"""A model pack as a department publishes it: one archive, and nothing in it that its manifest does not name.

The archive is a ZIP file whose members are stored as they are: `manifest.toml`, and beside it the files that
it names, all by plain names. It holds at least one self-test picture with a plate. What is signed for can
still be wrong, by mistake or by malice, so all of it is checked before any of it is used.
"""

import hashlib
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from recognizer.errors import ModelInvalidError
from recognizer.pack import MANIFEST, Model, ModelFile, Pack, SelfTest, decode_pack, encode_pack

MAX_PACK_BYTES = 256 << 20
MAX_MANIFEST_BYTES = 1 << 20
MAX_PICTURE_BYTES = 16 << 20
MAX_FILES = 32

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_END, _END_BYTES = b"PK\x05\x06", 22
_BIG_END, _BIG_END_BYTES = b"PK\x06\x07", 20
"""What ends an archive, and what stands before that in one too large for us (APPNOTE.TXT 4.3.15, 4.3.16)."""
_MAX_DIRECTORY_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 16
_ENCRYPTED = 0x1
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)
"""So that the same pack is always the same file."""
_BROKEN = (
    zipfile.BadZipFile,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OverflowError,
)
"""What `zipfile` raises on bytes that are no archive of ours; OSError is the disk's."""


@dataclass(frozen=True, slots=True)
class Published:
    """A pack whose every file in the archive is what its manifest says."""

    pack: Pack
    """Its folder is where it was unpacked to; the archive itself where it was only checked."""
    manifest_sha256: str


def check_published(archive: Path) -> Published:
    """Return the pack in *archive*, every file of it verified.

    Raises ModelInvalidError naming the fault, OSError if the file cannot be read.
    """
    return unpack_published(archive, archive, _look)


def unpack_published(
    archive: Path, folder: Path, write: Callable[[Path, Iterable[bytes]], None]
) -> Published:
    """Give *write* each file of the pack in *archive*, by its path in *folder*, the manifest last.

    What a file holds is verified while it is given out: after ModelInvalidError nothing of *folder* may be
    used. Raises that, naming the fault, OSError if the archive cannot be read, and what *write* raises.
    """
    with _opened(archive) as zipped:
        text = _manifest(zipped)
        pack = decode_pack(text.decode("utf-8"), folder)
        _require_whole(pack, zipped)
        for file in pack.files:
            write(pack.path(file), _verified(zipped, file))
        write(folder / MANIFEST, [text])
        return Published(pack, hashlib.sha256(text).hexdigest())


def write_published(pack: Pack, pictures: Sequence[tuple[Path, tuple[str, ...]]], out: Path) -> None:
    """Write *pack* as an archive to the new file *out*, with *pictures* and the texts to be read in them.

    Raises ModelInvalidError if it could not be published so, OSError if the disk fails; *out* is then gone.
    """
    sources: dict[str, Path] = {}
    tests: list[SelfTest] = []
    for path, texts in pictures:
        content = path.read_bytes()
        name = f"self-test-{len(tests) + 1}{path.suffix.lower()}"
        file = ModelFile(name, hashlib.sha256(content).hexdigest(), len(content))
        tests.append(SelfTest(file, tuple(sorted(texts))))
        sources[name] = path
    for file in pack.files[: len(pack.files) - len(pack.self_tests)]:
        sources[Path(file.file).name] = pack.path(file)
    flat = replace(pack, detector=_flat(pack.detector), reader=_flat(pack.reader), self_tests=tuple(tests))
    with out.open("xb") as file_out:
        try:
            with zipfile.ZipFile(file_out, "w", zipfile.ZIP_STORED, allowZip64=False) as zipped:
                zipped.writestr(zipfile.ZipInfo(MANIFEST, _FIXED_DATE), encode_pack(flat).encode())
                for name in sorted(sources):
                    zipped.writestr(zipfile.ZipInfo(name, _FIXED_DATE), sources[name].read_bytes())
            file_out.flush()
            os.fsync(file_out.fileno())
            check_published(out)
        except BaseException:
            out.unlink()
            raise


def _flat(model: Model) -> Model:
    config = model.config
    return replace(
        model,
        weights=replace(model.weights, file=Path(model.weights.file).name),
        config=None if config is None else replace(config, file=Path(config.file).name),
    )


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        _require_small(archive)
        with zipfile.ZipFile(archive) as zipped:
            _require_plain(zipped, archive.stat().st_size)
            yield zipped
    except _BROKEN as error:
        raise ModelInvalidError(
            f"model pack: the archive is damaged, or not as it must be: {error}"
        ) from error


def _require_small(archive: Path) -> None:
    """Look at the archive's end before `zipfile` does, which would read a directory of any length."""
    size = archive.stat().st_size
    if size > MAX_PACK_BYTES:
        raise ModelInvalidError(f"model pack: the archive is larger than {MAX_PACK_BYTES} bytes")
    with archive.open("rb") as file:
        file.seek(max(0, size - _END_BYTES - _BIG_END_BYTES))
        tail = file.read()
    end = tail[-_END_BYTES:]
    if len(end) != _END_BYTES or not end.startswith(_END) or end[20:] != b"\0\0":
        raise ModelInvalidError("model pack: it is no archive, or not all of one")
    if tail[:-_END_BYTES].startswith(_BIG_END):
        raise ModelInvalidError("model pack: the archive is of the form for larger ones")
    files, directory_bytes = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    if files > MAX_FILES or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ModelInvalidError(f"model pack: the archive holds more than {MAX_FILES} files")


def _require_plain(zipped: zipfile.ZipFile, archive_bytes: int) -> None:
    names = [member.filename for member in zipped.infolist()]
    if len(set(names)) != len(names):
        raise ModelInvalidError("model pack: the archive holds two files of one name")
    for member in zipped.infolist():
        # The name as it stands there: `filename` ends at a zero byte.
        if not _NAME.fullmatch(member.orig_filename):
            raise ModelInvalidError("model pack: a file's name in the archive is a path, or not a plain one")
        if (
            member.compress_type != zipfile.ZIP_STORED
            or member.compress_size != member.file_size
            or member.flag_bits & _ENCRYPTED
        ):
            raise ModelInvalidError(f"model pack: {member.filename} is compressed or encrypted, not stored")
    # Members that lie over one another would give more than there is.
    if sum(member.file_size for member in zipped.infolist()) > archive_bytes:
        raise ModelInvalidError("model pack: the archive's files are larger than the archive")


def _manifest(zipped: zipfile.ZipFile) -> bytes:
    try:
        member = zipped.getinfo(MANIFEST)
    except KeyError:
        raise ModelInvalidError(f"model pack: the archive has no {MANIFEST}") from None
    if member.file_size > MAX_MANIFEST_BYTES:
        raise ModelInvalidError(f"model pack: {MANIFEST} is larger than {MAX_MANIFEST_BYTES} bytes")
    return zipped.read(member)


def _require_whole(pack: Pack, zipped: zipfile.ZipFile) -> None:
    if not _NAME.fullmatch(pack.name) or len(pack.name) > 60:
        raise ModelInvalidError("model pack: its name is not plain: letters, digits, dot, hyphen, underscore")
    named = [file.file for file in pack.files]
    if len(set(named)) != len(named) or MANIFEST in named:
        raise ModelInvalidError("model pack: the manifest names a file twice")
    there = {member.filename: member.file_size for member in zipped.infolist()}
    del there[MANIFEST]
    if sorted(named) != sorted(there):
        odd = sorted(set(named) ^ set(there))[0]
        raise ModelInvalidError(f"model pack: {odd} stands in the manifest or in the archive alone")
    for file in pack.files:
        if there[file.file] != file.bytes:
            raise ModelInvalidError(
                f"model pack: {file.file} has {there[file.file]} bytes, its manifest says {file.bytes}"
            )
    if not any(test.texts for test in pack.self_tests):
        raise ModelInvalidError("model pack: it has no self-test with a plate; no unit could try it")
    if any(test.picture.bytes > MAX_PICTURE_BYTES for test in pack.self_tests):
        raise ModelInvalidError(f"model pack: a self-test picture is larger than {MAX_PICTURE_BYTES} bytes")


def _verified(zipped: zipfile.ZipFile, expected: ModelFile) -> Iterator[bytes]:
    digest = hashlib.sha256()
    with zipped.open(expected.file) as member:
        while block := member.read(_BLOCK_BYTES):
            digest.update(block)
            yield block
    if digest.hexdigest() != expected.sha256:
        raise ModelInvalidError(
            f"model pack: {expected.file} has SHA-256 {digest.hexdigest()[:16]}…, "
            f"its manifest says {expected.sha256[:16]}…"
        )


def _look(path: Path, content: Iterable[bytes]) -> None:
    for _ in content:
        pass
