"""Where pictures lie once they left the database: a folder, or a bucket of any S3 service (`picture_s3`).

What lies there is encrypted and named by a keyed digest: whoever runs the disk or the bucket learns how many
pictures there are, how large and how old, and nothing else. `pictures` decides what goes there and when.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.errors import ServerError, SettingsInvalidError
from server.keys import write_private

KEY_FILE = "pictures.key"
_KEY_BYTES, _NONCE_BYTES = 32, 12


class PictureStoreError(ServerError):
    """The store does not answer now: nothing is lost, it is tried again later; tell the administrator."""


class PictureLostError(ServerError):
    """The store holds no such picture, or another than was put there: say so beside the read; look for it in
    the store's backup."""


class PictureStore(Protocol):
    """Holds bytes under names. May be used by several threads."""

    def put(self, name: str, content: bytes) -> None:
        """Keep *content*, durably when this returns. Raises PictureStoreError."""

    def get(self, name: str) -> bytes:
        """Return what was put under *name*. Raises PictureLostError, PictureStoreError."""

    def remove(self, names: Sequence[str]) -> None:
        """Keep none of *names* any longer, whether or not they were held. Raises PictureStoreError."""

    def names(self) -> Iterator[str]:
        """Give the name of everything that is held. Raises PictureStoreError."""


@dataclass(frozen=True, slots=True)
class FolderStore:
    """Files in a folder, 256 folders in it."""

    root: Path

    def put(self, name: str, content: bytes) -> None:
        """See `PictureStore`."""
        path = self._path(name)
        draft = path.with_name(f"{name}.{secrets.token_hex(4)}.new")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(draft, content)
            draft.replace(path)
            _sync(path.parent)
        except OSError as error:
            raise PictureStoreError(f"{self.root}: cannot be written ({error.strerror})") from error

    def get(self, name: str) -> bytes:
        """See `PictureStore`."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise PictureLostError(f"{self.root}: holds no picture {name}") from None
        except OSError as error:
            raise PictureStoreError(f"{self.root}: cannot be read ({error.strerror})") from error

    def remove(self, names: Sequence[str]) -> None:
        """See `PictureStore`."""
        try:
            for name in names:
                path = self._path(name)
                path.unlink(missing_ok=True)
                # Of a `put` that the power cut off.
                for draft in path.parent.glob(f"{name}.*.new"):
                    draft.unlink(missing_ok=True)
            for folder in {self._path(name).parent for name in names}:
                if folder.is_dir():
                    _sync(folder)
        except OSError as error:
            raise PictureStoreError(f"{self.root}: cannot be written ({error.strerror})") from error

    def names(self) -> Iterator[str]:
        """See `PictureStore`."""
        try:
            for path in self.root.glob("??/*"):
                yield path.name.partition(".")[0]
        except OSError as error:
            raise PictureStoreError(f"{self.root}: cannot be read ({error.strerror})") from error

    def _path(self, name: str) -> Path:
        return self.root / name[:2] / name


@dataclass(frozen=True, slots=True)
class PictureKey:
    """Names and encrypts pictures."""

    secret: bytes = field(repr=False)
    """32 bytes."""

    def name_of(self, read_id: str, jpeg: bytes) -> str:
        """Return the name of *jpeg* as the picture of this read: 64 characters of 0-9, a-f.

        It depends on the picture's content, so that another picture under it is found out; and on the read,
        so that no two reads share one and each can be destroyed with its own.
        """
        keyed = hmac.HMAC(self._derived(b"name"), hashes.SHA256())
        keyed.update(read_id.encode() + b"\0" + jpeg)
        return keyed.finalize().hex()

    def seal(self, name: str, jpeg: bytes) -> bytes:
        """Return *jpeg* encrypted (AES-256-GCM), bound to *name*."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._derived(b"content")).encrypt(nonce, jpeg, name.encode())

    def open(self, name: str, content: bytes) -> bytes:
        """Return the picture in *content*. Raises PictureLostError if it is not what was put there."""
        nonce, sealed = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
        try:
            return AESGCM(self._derived(b"content")).decrypt(nonce, sealed, name.encode())
        except (InvalidTag, ValueError):
            raise PictureLostError(f"picture {name} in the store was altered, or is of another key") from None

    def _derived(self, what: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, None, b"alpr pictures: " + what).derive(self.secret)


def picture_key(keys: Path) -> PictureKey:
    """Return the department's key for pictures in the folder *keys*, made the first time.

    Raises SettingsInvalidError if the file is no such key.
    """
    path = keys / KEY_FILE
    if not path.exists():
        draft = path.with_name(f"{KEY_FILE}.{secrets.token_hex(4)}.new")
        write_private(draft, secrets.token_bytes(_KEY_BYTES).hex().encode() + b"\n")
        with suppress(FileExistsError):  # another process was first: its key is taken
            path.hardlink_to(draft)
        draft.unlink()
    try:
        secret = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        raise SettingsInvalidError(f"{path}: is no key for pictures; restore it from the backup") from None
    if len(secret) != _KEY_BYTES:
        raise SettingsInvalidError(f"{path}: is no key for pictures; restore it from the backup")
    return PictureKey(secret)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
