"""The file of the window's secrets, `window.keys`: what is destroyed must not be found again.

It has a fixed size and is overwritten in place, never replaced: its blocks on the disk hold the newest
secrets and nothing older. (A file system that copies on write, or journals data, defeats this; ext4 as it
comes does not.) There are two pages with the same content, each encrypted under a key made of the unit's
storage key and, where there is a TPM, of a second secret that lies in it alone and is another after each
writing. A power cut tears at most one page.

What a flash card keeps of an overwritten block, out of reach of its reader, cannot be helped from here; with
a TPM such a remnant opens no more, because the key it was encrypted under was overwritten inside the TPM.
"""

import hmac
import os
import secrets
import struct
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.errors import WindowLostError
from sync.window import Slot

PAGE_BYTES = 4096
MOST_SLOTS = 84
"""What a page holds; 42 for each of two windows, and none needs more than 41."""

_HEAD = struct.Struct(">QI")
_SLOT = struct.Struct(">QQ32s")
_NONCE_BYTES = 12
_PLAIN_BYTES = PAGE_BYTES - _NONCE_BYTES - 16
_BOUND = b"alpr-edge window keys v1"


class Anchor(Protocol):
    """A place for one secret of 32 bytes in which the old one is gone once there is a new one."""

    def read(self) -> bytes:
        """Return the secret; empty if there is none yet. Raises WindowLostError if it cannot be told."""

    def replace(self, secret: bytes) -> None:
        """Put *secret* in the old one's place. Raises WindowLostError if it cannot be done."""


class SlotFile:
    """The file and its anchor. For one thread at a time."""

    def __init__(self, path: Path, storage_key: bytes, anchor: Anchor | None) -> None:
        """*anchor* None: there is no TPM. The file is made by the first `replace`."""
        self._path = path
        self._key = hmac.digest(storage_key, _BOUND, sha256)
        self._anchor = anchor
        self._generation = 0
        self.settled = True
        """Whether both pages hold the same; not after a power cut in the middle of `replace`."""

    def load(self) -> tuple[Slot, ...]:
        """Return the slots in the file; none if there is no file.

        Raises WindowLostError if neither page opens (another storage key or TPM, damage) or the TPM does not
        answer, OSError if the file cannot be read.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        key = self._key_with(b"" if self._anchor is None else self._anchor.read())
        pages = (content[:PAGE_BYTES], content[PAGE_BYTES:])
        found = [page for each in pages if (page := _opened(each, key)) is not None]
        if not found:
            raise WindowLostError(
                f"{self._path.name} does not open: another storage key, another TPM, or damage;"
                " the unit's own look-up begins anew, the department has every read"
            )
        self._generation, slots = max(found, key=lambda page: page[0])
        self.settled = found == [(self._generation, slots)] * 2
        return slots

    def replace(self, slots: Sequence[Slot]) -> None:
        """Make *slots* all that the file holds; when this returns, it is on the disk.

        Of more than `MOST_SLOTS` the last to end are kept. Raises OSError or WindowLostError; the file then
        holds the old slots or the new ones, and `replace` is to be called again.
        """
        kept = sorted(slots, key=lambda slot: slot.ends)[-MOST_SLOTS:]
        self._generation += 1
        self.settled = False
        plain = _HEAD.pack(self._generation, len(kept))
        plain += b"".join(_SLOT.pack(slot.number, slot.ends, slot.secret) for slot in kept)
        anchored = b"" if self._anchor is None else secrets.token_bytes(32)
        key = self._key_with(anchored)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # One after the other: until the TPM holds the new secret the second page opens under the old one,
            # and from then on the first.
            self._write(descriptor, 0, plain, key)
            if self._anchor is not None:
                self._anchor.replace(anchored)
            self._write(descriptor, 1, plain, key)
            self.settled = True
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, number: int, plain: bytes, key: bytes) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        page = nonce + AESGCM(key).encrypt(nonce, plain.ljust(_PLAIN_BYTES, b"\0"), _BOUND)
        if os.pwrite(descriptor, page, number * PAGE_BYTES) != PAGE_BYTES:
            raise OSError(f"{self._path.name}: a page was not written whole")
        os.fsync(descriptor)

    def _key_with(self, anchored: bytes) -> bytes:
        return hmac.digest(self._key, anchored, sha256)


def _opened(page: bytes, key: bytes) -> tuple[int, tuple[Slot, ...]] | None:
    try:
        plain = AESGCM(key).decrypt(page[:_NONCE_BYTES], page[_NONCE_BYTES:], _BOUND)
    except (InvalidTag, ValueError):
        return None
    generation, count = _HEAD.unpack_from(plain)
    packed = plain[_HEAD.size : _HEAD.size + count * _SLOT.size]
    return generation, tuple(Slot(*fields) for fields in _SLOT.iter_unpack(packed))
