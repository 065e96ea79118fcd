"""Sealed reads that travel together, and the server's signed word that it holds them.

The wire form is CBOR (RFC 8949) with text keys; `docs/protocol.md` gives it byte by byte. A batch is signed
by its unit and a receipt by the department, both with Ed25519 over a domain tag and the exact bytes, so a
batch may also travel on a USB stick, and a receipt proves which bytes were taken.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sync.errors import ReceiptInvalidError, SealBrokenError, WireFormatError

VERSION = 1
MAX_BATCH_BYTES = 16 * 1024 * 1024
"""A larger batch is refused unread: a unit cuts its outbox into smaller ones."""

# A signature made for one purpose can never be shown as another: each has its own tag.
_BATCH_TAG = b"alpr-edge batch v1\x00"
_RECEIPT_TAG = b"alpr-edge receipt v1\x00"


@dataclass(frozen=True, slots=True)
class SealedEpoch:
    """An epoch key, sealed to the department's public key with HPKE (RFC 9180)."""

    epoch_id: str
    unit_id: str
    sealed_key: bytes
    """HPKE encapsulated key followed by ciphertext; bound to the unit and epoch through `info`."""


@dataclass(frozen=True, slots=True)
class SealedRead:
    """A record encrypted before it touches the disk."""

    read_id: str
    epoch_id: str
    sealed: bytes = field(repr=False)
    """12-byte nonce, then AES-256-GCM ciphertext with tag; bound to unit, epoch and read id."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Sealed reads that travel and are acknowledged together."""

    batch_id: str
    unit_id: str
    made_at: datetime
    """Aware UTC, whole seconds."""
    epochs: tuple[SealedEpoch, ...]
    """Exactly those that `reads` name."""
    reads: tuple[SealedRead, ...]


@dataclass(frozen=True, slots=True)
class SignedBatch:
    """A batch as it travels: the exact bytes, and the unit's signature over them."""

    batch_id: str
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload; what a receipt names."""
        return hashlib.sha256(self.payload).digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """The server's word that it holds a batch durably."""

    batch_id: str
    unit_id: str
    digest: bytes
    """SHA-256 of the batch's payload."""
    reads: int
    """How many reads of the batch the server now holds."""
    received_at: datetime
    """Aware UTC, whole seconds, by the server's clock."""


def encode_batch(batch: Batch, key: Ed25519PrivateKey) -> SignedBatch:
    """Return *batch* as bytes, signed by the unit's *key*."""
    payload = cbor2.dumps(
        {
            "v": VERSION,
            "batch": batch.batch_id,
            "unit": batch.unit_id,
            "made": _seconds(batch.made_at),
            "epochs": [[e.epoch_id, e.sealed_key] for e in batch.epochs],
            "reads": [[r.read_id, r.epoch_id, r.sealed] for r in batch.reads],
        },
        canonical=True,
    )
    return SignedBatch(batch.batch_id, payload, key.sign(_BATCH_TAG + payload))


def decode_batch(signed: SignedBatch, key: Ed25519PublicKey) -> Batch:
    """Return the batch in *signed* if the unit's *key* signed exactly these bytes.

    Raises SealBrokenError if the signature does not fit, WireFormatError if the bytes are not a batch.
    """
    try:
        key.verify(signed.signature, _BATCH_TAG + signed.payload)
    except InvalidSignature:
        raise SealBrokenError(
            f"batch {signed.batch_id}: not signed by this unit's key; quarantine it"
        ) from None
    fields = _fields(signed.payload, "batch")
    try:
        unit_id = _text(fields["unit"])
        batch = Batch(
            batch_id=_text(fields["batch"]),
            unit_id=unit_id,
            made_at=_moment(fields["made"]),
            epochs=tuple(SealedEpoch(_text(i), unit_id, _octets(k)) for i, k in fields["epochs"]),
            reads=tuple(SealedRead(_text(i), _text(e), _octets(s)) for i, e, s in fields["reads"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WireFormatError(
            f"batch {signed.batch_id}: field missing or of a wrong type ({error})"
        ) from error
    if batch.batch_id != signed.batch_id:
        raise WireFormatError(f"batch {signed.batch_id}: its envelope names another batch")
    if {r.epoch_id for r in batch.reads} != {e.epoch_id for e in batch.epochs}:
        raise WireFormatError(f"batch {signed.batch_id}: its epochs are not those its reads name")
    if not _unique(r.read_id for r in batch.reads) or not _unique(e.epoch_id for e in batch.epochs):
        raise WireFormatError(f"batch {signed.batch_id}: a read or an epoch stands in it twice")
    return batch


def encode_receipt(receipt: Receipt, key: Ed25519PrivateKey) -> bytes:
    """Return *receipt* as bytes, signed by the department's *key*: a CBOR array of payload and signature."""
    payload = cbor2.dumps(
        {
            "v": VERSION,
            "batch": receipt.batch_id,
            "unit": receipt.unit_id,
            "digest": receipt.digest,
            "reads": receipt.reads,
            "received": _seconds(receipt.received_at),
        },
        canonical=True,
    )
    return cbor2.dumps([payload, key.sign(_RECEIPT_TAG + payload)])


def decode_receipt(data: bytes, key: Ed25519PublicKey, sent: SignedBatch, unit_id: str) -> Receipt:
    """Return the receipt in *data* if the department's *key* signed it for the batch *sent* by *unit_id*.

    Raises ReceiptInvalidError if it is not signed, or names another batch, unit or other bytes: the batch
    then stays as if no receipt had come.
    """
    try:
        payload, signature = cbor2.loads(data)
        key.verify(_octets(signature), _RECEIPT_TAG + _octets(payload))
        fields = _fields(payload, "receipt")
        receipt = Receipt(
            batch_id=_text(fields["batch"]),
            unit_id=_text(fields["unit"]),
            digest=_octets(fields["digest"]),
            reads=int(fields["reads"]),
            received_at=_moment(fields["received"]),
        )
    except InvalidSignature:
        raise ReceiptInvalidError(
            f"batch {sent.batch_id}: receipt is not signed by the department; keep the batch"
        ) from None
    except (cbor2.CBORDecodeError, WireFormatError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ReceiptInvalidError(f"batch {sent.batch_id}: receipt is malformed; keep the batch") from error
    if (receipt.batch_id, receipt.unit_id, receipt.digest) != (sent.batch_id, unit_id, sent.digest):
        raise ReceiptInvalidError(f"batch {sent.batch_id}: receipt names other bytes; keep the batch")
    return receipt


def _fields(payload: bytes, what: str) -> dict[str, Any]:
    try:
        fields = cbor2.loads(payload)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        raise WireFormatError(f"{what} is not CBOR") from error
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise WireFormatError(f"{what} is not of version {VERSION}: update the older side")
    return fields


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(seconds: object) -> datetime:
    if not isinstance(seconds, int):
        raise TypeError("a time is whole seconds since 1970")
    return datetime.fromtimestamp(seconds, UTC)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("non-empty text expected")
    return value


def _octets(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("bytes expected")
    return value


def _unique(values: Iterable[str]) -> bool:
    seen = list(values)
    return len(seen) == len(set(seen))
