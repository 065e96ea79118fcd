"""Encrypt a record before it is stored; open it at the department, and on the unit inside its local window.

Each record is sealed with AES-256-GCM under an epoch key. The epoch key is made on the unit and sealed by
HPKE (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) to the department's public key. For the local window it is
also kept wrapped under a key of the window (`sync.window`), which is destroyed at the window's end: from then
on the department alone can open what was sealed.

A nonce is a counter within one epoch. It lives and dies with the sealer: an epoch key that is unwrapped
again, after a restart or for a look-up, opens records and never seals one, so no nonce is used twice under
one key.

AES-GCM does not hide how long a record is, and without its picture a record is as long as its plate and hits
make it. So each is filled up to a multiple of 512 bytes first.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sync.batch import SealedEpoch, SealedRead
from sync.errors import SealBrokenError

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_KEY_BYTES = 32
_NONCE_BYTES = 12
_BLOCK_BYTES = 512


class EpochSealer:
    """Seals records of one unit during one epoch. Not for several threads at a time, nor across a fork.

    To close an epoch, let go of its sealer and make a new one: what it sealed can then be opened by the
    department, and by who holds the key it was `wrapped` under.
    """

    def __init__(self, unit_id: str, department: X25519PublicKey | None) -> None:
        """*department* None: the key is sealed to nobody, and what it seals is never sent."""
        key = AESGCM.generate_key(256)
        epoch_id = secrets.token_hex(16)
        sealed_key = (
            b""
            if department is None
            else _SUITE.encrypt(key, department, info=_epoch_info(unit_id, epoch_id))
        )
        self.epoch = SealedEpoch(epoch_id, unit_id, sealed_key)
        self._key = key
        self._aead = AESGCM(key)
        self._count = 0

    def wrapped(self, window_key: bytes) -> bytes:
        """Return the epoch key encrypted under *window_key* (32 bytes), bound to this epoch: for opening."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        bound = _window_info(self.epoch.unit_id, self.epoch.epoch_id)
        return nonce + AESGCM(window_key).encrypt(nonce, self._key, bound)

    def seal(self, read_id: str, record: bytes) -> SealedRead:
        """Return *record* sealed, bound to this unit, epoch and *read_id*."""
        # Counted up before it is used: an error in between wastes a nonce and repeats none.
        nonce = self._count.to_bytes(_NONCE_BYTES, "big")
        self._count += 1
        bound = _read_info(self.epoch.unit_id, self.epoch.epoch_id, read_id)
        ciphertext = self._aead.encrypt(nonce, _padded(record), bound)
        return SealedRead(read_id, self.epoch.epoch_id, nonce + ciphertext)


class EpochOpener:
    """Opens records sealed in one epoch; made at the department with its private key."""

    def __init__(self, epoch: SealedEpoch, department: X25519PrivateKey) -> None:
        """Raises SealBrokenError if *epoch* was altered, or sealed for another unit or department."""
        try:
            key = _SUITE.decrypt(
                epoch.sealed_key, department, info=_epoch_info(epoch.unit_id, epoch.epoch_id)
            )
        except (InvalidTag, ValueError) as error:
            raise SealBrokenError(
                f"epoch {epoch.epoch_id}: key does not open; quarantine the batch"
            ) from error
        if len(key) != _KEY_BYTES:
            raise SealBrokenError(f"epoch {epoch.epoch_id}: key has a wrong length; quarantine the batch")
        self._aead = AESGCM(key)
        self.epoch = epoch

    def open(self, read: SealedRead) -> bytes:
        """Return the record in *read*.

        Raises SealBrokenError if it was altered or belongs to another unit, epoch or read id.
        """
        return _opened(self._aead, self.epoch, read)


class WindowOpener:
    """Opens records sealed in one epoch on the unit that sealed them, while its local window lasts."""

    def __init__(self, epoch: SealedEpoch, wrapped: bytes, window_key: bytes) -> None:
        """*wrapped* is what `EpochSealer.wrapped` gave under *window_key*.

        Raises SealBrokenError if it was altered, or belongs to another epoch or key.
        """
        nonce, ciphertext = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        bound = _window_info(epoch.unit_id, epoch.epoch_id)
        try:
            key = AESGCM(window_key).decrypt(nonce, ciphertext, bound)
        except (InvalidTag, ValueError) as error:
            raise SealBrokenError(f"epoch {epoch.epoch_id}: its key is not in this window") from error
        self._aead = AESGCM(key)
        self.epoch = epoch

    def open(self, read: SealedRead) -> bytes:
        """Return the record in *read*.

        Raises SealBrokenError if it was altered or belongs to another unit, epoch or read id.
        """
        return _opened(self._aead, self.epoch, read)


def _opened(aead: AESGCM, epoch: SealedEpoch, read: SealedRead) -> bytes:
    nonce, ciphertext = read.sealed[:_NONCE_BYTES], read.sealed[_NONCE_BYTES:]
    bound = _read_info(epoch.unit_id, read.epoch_id, read.read_id)
    try:
        return _unpadded(aead.decrypt(nonce, ciphertext, bound))
    except (InvalidTag, ValueError) as error:
        raise SealBrokenError(f"read {read.read_id}: does not open; quarantine the batch") from error


def _epoch_info(unit_id: str, epoch_id: str) -> bytes:
    return _joined(b"alpr-edge epoch v1", unit_id, epoch_id)


def _read_info(unit_id: str, epoch_id: str, read_id: str) -> bytes:
    return _joined(b"alpr-edge read v1", unit_id, epoch_id, read_id)


def _window_info(unit_id: str, epoch_id: str) -> bytes:
    return _joined(b"alpr-edge window v1", unit_id, epoch_id)


def _joined(tag: bytes, *names: str) -> bytes:
    # Each part carries its length: "ab"+"c" and "a"+"bc" must not bind alike.
    parts = [tag, *(name.encode() for name in names)]
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def _padded(record: bytes) -> bytes:
    # ISO/IEC 7816-4: a one bit, then zeros. At least one byte is added, so taking it off is never in doubt.
    return record + b"\x80" + bytes(-(len(record) + 1) % _BLOCK_BYTES)


def _unpadded(padded: bytes) -> bytes:
    record = padded.rstrip(b"\x00")
    if not record.endswith(b"\x80"):
        raise ValueError("padding does not end the record")
    return record[:-1]
