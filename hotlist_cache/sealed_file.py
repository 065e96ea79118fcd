"""A file that only the unit's storage key opens, written whole or not at all.

Layout: magic (8 bytes), salt (32, random), then chunks of 1 MiB, each sealed with AES-256-GCM; the last is
shorter, perhaps empty. As in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: "Online
Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015) a nonce is the number of its chunk and
a byte that is 1 for the last: a chunk left out, added, moved or taken for the last does not open.

The counted nonce is safe: each file has a key of its own, derived with HKDF-SHA256 from the storage key and
a fresh salt, so no nonce is used twice under one key. The purpose of a file is part of its key: the bytes of
one cannot be shown as another.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hotlist_cache.disk import Disk
from hotlist_cache.errors import HotlistError

KEY_BYTES = 32
CHUNK_BYTES = 1024 * 1024

_MAGIC = b"ALPRSEA1"
_SALT_BYTES = 32
_TAG_BYTES = 16
_COUNTER_BYTES = 11


class SealedFileDamagedError(HotlistError):
    """A sealed file does not open: set it aside."""


def write_sealed(disk: Disk, path: Path, content: memoryview, key: bytes, purpose: str) -> None:
    """Replace the file *path* by one that holds *content*, sealed.

    When this returns, the file survives a power cut; when it is cut short, by power or by an error, *path* is
    as it was, and `path` + ".new" may lie beside it. Only one writer at a time.

    Raises OSError if the disk fails or is full.
    """
    fresh = path.with_name(path.name + ".new")
    salt = secrets.token_bytes(_SALT_BYTES)
    aead = _aead(key, salt, purpose)
    try:
        with disk.create(fresh) as file:
            file.write(_MAGIC + salt)
            for number, (chunk, last) in enumerate(_chunks(content)):
                file.write(aead.encrypt(_nonce(number, last), chunk, _MAGIC + salt))
            disk.sync(file)
    except OSError:
        fresh.unlink(missing_ok=True)  # on a full disk, half a list is what others need the room for
        raise
    disk.rename(fresh, path)
    disk.sync_folder(path.parent)


def read_sealed(path: Path, key: bytes, purpose: str) -> bytearray:
    """Return what `write_sealed` put into *path* under the same *key* and *purpose*.

    Keeps one copy of the content and one chunk in memory.

    Raises FileNotFoundError if there is none, OSError if the disk fails, SealedFileDamagedError if not every
    byte of it is as it was written.
    """
    with path.open("rb") as file:
        start = file.read(len(_MAGIC) + _SALT_BYTES)
        if len(start) != len(_MAGIC) + _SALT_BYTES or not start.startswith(_MAGIC):
            raise SealedFileDamagedError(f"{path.name}: not a sealed file")
        aead = _aead(key, start[len(_MAGIC) :], purpose)
        content = bytearray(max(0, path.stat().st_size - len(start)))
        end = 0
        for number, (chunk, last) in enumerate(_sealed_chunks(file)):
            try:
                opened = aead.decrypt(_nonce(number, last), chunk, start)
            except (InvalidTag, ValueError):
                raise SealedFileDamagedError(f"{path.name}: chunk {number} does not open") from None
            content[end : end + len(opened)] = opened
            end += len(opened)
        del content[end:]
        return content


def _aead(key: bytes, salt: bytes, purpose: str) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"the storage key is not of {KEY_BYTES} bytes")
    info = b"alpr-edge sealed file v1\x00" + purpose.encode()
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, info).derive(key))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes((last,))


def _chunks(content: memoryview) -> Iterator[tuple[memoryview, bool]]:
    """Yield *content* in full chunks, then one that is shorter, perhaps empty, and the last."""
    full = len(content) // CHUNK_BYTES
    for number in range(full):
        yield content[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES], False
    yield content[full * CHUNK_BYTES :], True


def _sealed_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    size = CHUNK_BYTES + _TAG_BYTES
    while True:
        chunk = file.read(size)
        # A full chunk is never the last, a shorter one always is: a cut at a full chunk leaves no last one.
        yield chunk, len(chunk) < size
        if len(chunk) < size:
            return
