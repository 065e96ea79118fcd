"""Check an evidence package: that every file is there, is the one that was signed, and that none was added.

    python3 verify.py                   checks the folder in which this file lies
    python3 verify.py PACKAGE           checks another folder, or a ZIP file that need not be unpacked
    python3 verify.py --key FINGERPRINT PACKAGE
                                        the same, and that this key signed it: ask the department for its
                                        fingerprint by another way than the one the package came by

Needs Python 3.8 or newer and nothing else. Exit status 0: the package is whole. 1: it is not. 2: there is no
package to check, or the call is wrong.

This file stands in each package, so a forger may have changed it too. Who must be sure takes one from the
department or the project, by another way.
"""

from __future__ import annotations

import hashlib
import json
import stat
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

FORM = "alpr-server evidence package 1"
FOLDER = "evidence/"
"""In a ZIP file everything stands in this folder."""
MANIFEST, SIGNATURE, STATEMENT = "manifest.json", "manifest.sig", "statement.json"
TAG = b"alpr-server evidence manifest v1\x00"
"""Stands before the manifest in what is signed: no signature made for another purpose fits."""
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024
_REPACKED = (
    "the ZIP file is not as the department's program wrote it, so other programs may find more or other in "
    "it: get the package anew, or unpack it and check the folder that you then rely on"
)


class PackageBrokenError(Exception):
    """Nothing of the package can be relied on: the message says why."""


class NoPackageError(Exception):
    """There is nothing that could be checked."""


class Findings:
    """What holds and what does not, in plain words."""

    def __init__(self) -> None:
        self.holds: list[str] = []
        self.broken: list[str] = []
        self.notes: list[str] = []

    @property
    def whole(self) -> bool:
        """Whether nothing is broken."""
        return not self.broken


# Ed25519 verification, RFC 8032 section 5.1. Points are (X, Y, Z, T) in extended coordinates: x = X/Z,
# y = Y/Z, xy = T/Z. Verifying handles no secret, so it need not take the same time for all values.

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)


def ed25519_verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the Ed25519 key *public_key* (32 bytes) made *signature* (64 bytes) over *message*."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key = _decoded(public_key)
    scalar = int.from_bytes(signature[32:], "little")
    # A scalar as large as the order would be a second signature for the same message (section 5.1.7).
    if key is None or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    x, y, z, t = key
    # R = S B - k A, compared as bytes: a point that is written otherwise than as itself is refused as well.
    point = _sum(_times(scalar, _BASE), _times(challenge, (-x % _P, y, z, -t % _P)))
    return _encoded(point) == signature[:32]


def _sum(left: tuple[int, int, int, int], right: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x1, y1, z1, t1 = left
    x2, y2, z2, t2 = right
    a = (y1 - x1) * (y2 - x2) % _P
    b = (y1 + x1) * (y2 + x2) % _P
    c = 2 * t1 * t2 * _D % _P
    d = 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _sum(total, point)
        point = _sum(point, point)
        scalar >>= 1
    return total


def _x_of(y: int, sign: int) -> int | None:
    """Return the x of the curve's point at *y* whose lowest bit is *sign*, None if there is none."""
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    return x if x & 1 == sign else _P - x


def _decoded(text: bytes) -> tuple[int, int, int, int] | None:
    number = int.from_bytes(text, "little")
    y, sign = number & (2**255 - 1), number >> 255
    x = _x_of(y, sign) if y < _P else None
    return None if x is None else (x, y, 1, x * y % _P)


def _encoded(point: tuple[int, int, int, int]) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, _P - 2, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _base() -> tuple[int, int, int, int]:
    y = 4 * pow(5, _P - 2, _P) % _P
    x = _x_of(y, 0)
    assert x is not None
    return x, y, 1, x * y % _P


_BASE = _base()


class FolderPackage:
    """A package that was unpacked."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, findings: Findings) -> list[str]:
        """Return the paths of all files, from the package's folder on."""
        found = []
        for path in sorted(self._root.rglob("*")):
            name, mode = path.relative_to(self._root).as_posix(), path.lstat().st_mode
            if stat.S_ISREG(mode):
                found.append(name)
            elif not stat.S_ISDIR(mode):
                findings.broken.append(f"{_shown(name)} is a link or another thing than a file")
        return found

    def size(self, name: str) -> int:
        """Return how many bytes a file has."""
        return (self._root / name).stat().st_size

    def open(self, name: str) -> BinaryIO:
        """Open a file."""
        return (self._root / name).open("rb")


class ZipPackage:
    """A package as it came, in one file."""

    def __init__(self, archive: zipfile.ZipFile, file: BinaryIO) -> None:
        """*file* is what *archive* reads."""
        self._archive = archive
        self._file = file

    def names(self, findings: Findings) -> list[str]:
        """Return the paths of all files, from the package's folder on."""
        if not _is_plain(self._file):
            findings.broken.append(_REPACKED)
        found = []
        for info in self._archive.infolist():
            if not info.filename.startswith(FOLDER):
                findings.broken.append(f"{_shown(info.filename)} was added beside the package's folder")
            elif not info.is_dir():
                found.append(info.filename[len(FOLDER) :])
        # Programs differ in which of two files of one name they unpack.
        for name in sorted({name for name in found if found.count(name) > 1} if _doubled(found) else ()):
            findings.broken.append(f"{_shown(name)} stands twice in the ZIP file")
        return sorted(set(found))

    def size(self, name: str) -> int:
        """Return how many bytes a file has."""
        return self._archive.getinfo(FOLDER + name).file_size

    def open(self, name: str) -> BinaryIO:
        """Open a file."""
        return self._archive.open(FOLDER + name)  # type: ignore[return-value] # it reads as a file does


# A ZIP file names its files twice: before each, and in a directory at its end. A program that reads it from
# the start may unpack what the directory does not name. So a package is plain: its files lie one after
# another from the first byte on, stored, each told alike in both places; then comes the directory; and there
# is nothing before, between or behind.


def _is_plain(file: BinaryIO) -> bool:
    """Whether the ZIP *file* has nothing in it but the files that its directory names."""
    size = file.seek(0, 2)
    file.seek(max(size - 22, 0))
    end = file.read(22)
    if len(end) != 22:
        return False
    mark, disk, disk_of_directory, here, files, length, start, comment = struct.unpack("<4s4H2LH", end)
    if mark != b"PK\5\6" or disk or disk_of_directory or here != files or comment:
        return False
    if start + length + 22 != size:
        return False
    file.seek(start)
    directory, at, place = file.read(length), 0, 0
    for _ in range(files):
        head = directory[at : at + 46]
        if len(head) != 46 or head[:4] != b"PK\1\2":
            return False
        # Version, flags, method, time, date, CRC, sizes, length of the name: the same in both places.
        again = head[6:30]
        flags, method = struct.unpack("<2H", again[2:6])
        packed, unpacked, named = struct.unpack("<2LH", again[14:])
        extra, remark, its_disk = struct.unpack("<3H", head[30:36])
        (offset,) = struct.unpack("<L", head[42:])
        name = directory[at + 46 : at + 46 + named]
        # Of the flags, only that the name is UTF-8.
        if extra or remark or its_disk or method or flags & ~0x800 or packed != unpacked or offset != place:
            return False
        file.seek(place)
        if file.read(30 + named) != b"PK\3\4" + again + b"\0\0" + name:
            return False
        at += 46 + named
        place += 30 + named + packed
    return bool(at == length and place == start)


def verify_package(path: Path, key: str | None = None) -> Findings:
    """Return what holds and what does not of the package at *path*, a folder or a ZIP file.

    *key* is the fingerprint to expect, None for any; an empty one is no key, and fits no package. Raises
    NoPackageError if there is no package.
    """
    findings = Findings()
    if path.is_dir():
        _verify(FolderPackage(path), key, findings)
        return findings
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            _verify(ZipPackage(archive, file), key, findings)
    except OSError as error:
        raise NoPackageError(f"{path}: cannot be read ({error.strerror})") from error
    except zipfile.BadZipFile as error:
        raise NoPackageError(f"{path}: is no ZIP file, or a damaged one; is it still encrypted?") from error
    return findings


def _verify(package: FolderPackage | ZipPackage, key: str | None, findings: Findings) -> None:
    try:
        names = package.names(findings)
        if MANIFEST not in names:
            raise PackageBrokenError(f"{MANIFEST} is missing: nothing says what belongs to the package")
        content = _read(package, MANIFEST)
        manifest = _parsed(content)
        files = _files(manifest)
        _check_signature(package, names, content, manifest=manifest, key=key, findings=findings)
        _check_files(package, names, files, findings)
        if STATEMENT in files and findings.whole:
            _tell_statement(_read(package, STATEMENT), findings)
    except PackageBrokenError as error:
        findings.broken.append(str(error))


def _check_signature(
    package: FolderPackage | ZipPackage,
    names: list[str],
    content: bytes,
    *,
    manifest: dict[str, Any],
    key: str | None,
    findings: Findings,
) -> None:
    public = _hex(manifest.get("public_key"), 32)
    if public is None:
        raise PackageBrokenError(f"{MANIFEST} names no key that could have signed it")
    fingerprint = hashlib.sha256(public).hexdigest()
    signature = _hex(_read(package, SIGNATURE).decode("ascii", "replace"), 64) if SIGNATURE in names else None
    if signature is None:
        findings.broken.append(f"{SIGNATURE} is missing or is no signature: the manifest is not signed")
    elif not ed25519_verify(public, signature, TAG + content):
        findings.broken.append(
            f"the signature does not fit: {MANIFEST} was changed, or another key signed it than it names"
        )
    else:
        findings.holds.append(f"the manifest was signed with the key {fingerprint}")
    if key is None:
        findings.notes.append(
            "Compare the key with the one that the department gave out by another way: who makes up a whole "
            "package signs it with a key of their own."
        )
    elif key.strip().lower() != fingerprint:
        findings.broken.append(f"the key is {fingerprint}, not the one that was expected")
    else:
        findings.holds.append("the key is the one that was expected")


def _check_files(
    package: FolderPackage | ZipPackage,
    names: list[str],
    files: dict[str, tuple[int, str]],
    findings: Findings,
) -> None:
    there, good = set(names) - {MANIFEST, SIGNATURE}, 0
    for name in sorted(set(files) - there):
        findings.broken.append(f"{_shown(name)} is missing")
    for name in sorted(there - set(files)):
        findings.broken.append(f"{_shown(name)} was added: the manifest does not name it")
    for name in sorted(there & set(files)):
        size, digest = files[name]
        # The size first: a file that unpacks to a thousand times its size is not even read.
        if package.size(name) != size or _sha256(package, name) != digest:
            findings.broken.append(f"{_shown(name)} was changed: it is not the file that was signed")
        else:
            good += 1
    findings.holds.append(f"{good} of {len(files)} files are there and are what the manifest says")


def _tell_statement(content: bytes, findings: Findings) -> None:
    statement = _parsed(content)
    told = [
        ("department", "Department"),
        ("made_by", "Made by"),
        ("made_at", "Made at"),
        ("case_number", "Case"),
        ("purpose", "Purpose"),
        ("reads", "Reads"),
    ]
    for name, label in told:
        findings.notes.append(f"{label}: {_shown(str(statement.get(name, 'not stated')))}")


def _files(manifest: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """Return size and SHA-256 of each file that the manifest names."""
    if manifest.get("form") != FORM:
        raise PackageBrokenError(f"{MANIFEST} is of another kind of package, or of a newer program")
    listed, found = manifest.get("files"), {}
    for each in listed if isinstance(listed, list) else [None]:
        values = each if isinstance(each, dict) else {}
        name, size, digest = values.get("path"), values.get("bytes"), values.get("sha256")
        if not isinstance(name, str) or type(size) is not int or _hex(digest, 32) is None:
            raise PackageBrokenError(f"{MANIFEST} has a line that names no file, size and SHA-256")
        if name in found or name in (MANIFEST, SIGNATURE):
            raise PackageBrokenError(f"{MANIFEST} names {_shown(name)} where it must not")
        found[name] = (size, str(digest).lower())
    return found


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise PackageBrokenError("a file that must be JSON is none: it was changed or cut")
    return value


def _read(package: FolderPackage | ZipPackage, name: str) -> bytes:
    if package.size(name) > MAX_MANIFEST_BYTES:
        raise PackageBrokenError(f"{_shown(name)} is too large to be what it should")
    try:
        with package.open(name) as file:
            return file.read()
    except (OSError, RuntimeError, zipfile.BadZipFile, EOFError, ValueError):
        raise PackageBrokenError(f"{_shown(name)} cannot be read: it is damaged") from None


def _sha256(package: FolderPackage | ZipPackage, name: str) -> str:
    digest = hashlib.sha256()
    try:
        with package.open(name) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except (OSError, RuntimeError, zipfile.BadZipFile, EOFError, ValueError):
        return ""
    return digest.hexdigest()


def _hex(value: object, length: int) -> bytes | None:
    try:
        found = bytes.fromhex(value.strip()) if isinstance(value, str) else b""
    except ValueError:
        return None
    return found if len(found) == length else None


def _doubled(names: list[str]) -> bool:
    return len(names) != len(set(names))


def _shown(text: str) -> str:
    # A name comes from whoever made the file: it must not write over the screen of who checks it.
    return "".join(each if each.isprintable() else "?" for each in text)[:200]


def main(arguments: list[str]) -> int:
    """Check what the command line names, print it, and return the exit status."""
    key, paths = None, list(arguments)
    if "--key" in paths[:-1]:
        at = paths.index("--key")
        key = paths[at + 1].strip()
        del paths[at : at + 2]
    if key == "":
        # What a shell makes of a variable that is not set: it must not pass for "any key".
        sys.stderr.write(
            "--key is empty: give the fingerprint that the department gave out, or leave it away\n"
        )
        return 2
    if len(paths) > 1 or any(path.startswith("-") for path in paths):
        sys.stderr.write("usage: python3 verify.py [--key FINGERPRINT] [PACKAGE]\n")
        return 2
    try:
        findings = verify_package(Path(paths[0]) if paths else Path(__file__).resolve().parent, key)
    except NoPackageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for line in findings.holds:
        sys.stdout.write(f"holds    {line}\n")
    for line in findings.broken:
        sys.stdout.write(f"BROKEN   {line}\n")
    for line in findings.notes:
        sys.stdout.write(f"         {line}\n")
    sys.stdout.write("The package is whole.\n" if findings.whole else "The package is NOT whole.\n")
    return 0 if findings.whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
