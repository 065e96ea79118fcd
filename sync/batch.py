"""Sealed reads that travel together, and the server's signed word that it holds them.

The wire form is CBOR (RFC 8949) with text keys; `docs/protocol.md` gives it byte by byte. A batch is signed
by its unit and a receipt by the department, both with Ed25519 over a domain tag and the exact bytes, so a
batch may also travel on a USB stick, and a receipt proves which bytes were taken.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sync import wire
from sync.errors import ReceiptInvalidError, SealBrokenError, WireFormatError
from sync.receipts import decode_signed, encode_signed

VERSION = 1
MAX_BATCH_BYTES = 16 * 1024 * 1024
"""A larger batch is refused unread: a unit cuts its outbox into smaller ones."""

_BYTES_AN_ITEM = 32
"""A read without a picture takes some 400 bytes, for four items."""

# A signature made for one purpose can never be shown as another: each has its own tag.
_BATCH_TAG = b"alpr-edge batch v1\x00"
_RECEIPT_TAG = b"alpr-edge receipt v1\x00"


@dataclass(frozen=True, slots=True)
class SealedEpoch:
    """An epoch key, sealed to the department's public key with HPKE (RFC 9180)."""

    epoch_id: str
    unit_id: str
    sealed_key: bytes = field(repr=False)
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
    """At least one; no read id stands twice."""


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
    """How many reads of the batch the server now holds; all of them, or there is no receipt."""
    received_at: datetime
    """Aware UTC, whole seconds, by the server's clock."""


def encode_payload(batch: Batch) -> bytes:
    """Return the bytes of *batch* that are signed; the same batch gives the same bytes for ever."""
    return wire.dumps(
        {
            "v": VERSION,
            "batch": wire.identifier(batch.batch_id),
            "unit": wire.identifier(batch.unit_id),
            "made": wire.seconds(batch.made_at),
            "epochs": [[e.epoch_id, e.sealed_key] for e in batch.epochs],
            "reads": [[r.read_id, r.epoch_id, r.sealed] for r in batch.reads],
        }
    )


def encode_batch(batch: Batch, key: Ed25519PrivateKey) -> SignedBatch:
    """Return *batch* as bytes, signed by the unit's *key*.

    Ed25519 draws no random number: the same batch and key give the same signature.
    """
    payload = encode_payload(batch)
    return SignedBatch(batch.batch_id, payload, key.sign(_BATCH_TAG + payload))


def decode_batch(signed: SignedBatch, key: Ed25519PublicKey) -> Batch:
    """Return the batch in *signed* if the unit's *key* signed exactly these bytes.

    Raises SealBrokenError if the signature does not fit, WireFormatError if the bytes are not a batch.
    """
    if len(signed.payload) > MAX_BATCH_BYTES:
        raise WireFormatError(f"batch is larger than {MAX_BATCH_BYTES} bytes; send it in parts")
    # Signature first: nothing of an unsigned message is parsed.
    try:
        key.verify(signed.signature, _BATCH_TAG + signed.payload)
    except InvalidSignature:
        raise SealBrokenError("batch is not signed by this unit's key; quarantine it") from None
    content = wire.loads(signed.payload, "batch", bytes_an_item=_BYTES_AN_ITEM)
    fields = wire.versioned(content, "batch", VERSION)
    try:
        unit_id = wire.identifier(fields["unit"])
        batch = Batch(
            batch_id=wire.identifier(fields["batch"]),
            unit_id=unit_id,
            made_at=wire.from_seconds(fields["made"]),
            epochs=tuple(
                SealedEpoch(wire.identifier(i), unit_id, wire.octets(k)) for i, k in fields["epochs"]
            ),
            reads=tuple(
                SealedRead(wire.identifier(i), wire.identifier(e), wire.octets(s))
                for i, e, s in fields["reads"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireFormatError(f"batch has a field missing or of a wrong type ({error})") from error
    wire.must_be(signed.payload, encode_payload(batch), "batch")
    if batch.batch_id != signed.batch_id:
        raise WireFormatError(f"batch {batch.batch_id}: its envelope names another batch")
    if not batch.reads:
        raise WireFormatError(f"batch {batch.batch_id}: holds no read")
    if {r.epoch_id for r in batch.reads} != {e.epoch_id for e in batch.epochs}:
        raise WireFormatError(f"batch {batch.batch_id}: its epochs are not those its reads name")
    if not _unique(r.read_id for r in batch.reads) or not _unique(e.epoch_id for e in batch.epochs):
        raise WireFormatError(f"batch {batch.batch_id}: a read or an epoch stands in it twice")
    return batch


def encode_receipt(receipt: Receipt, key: Ed25519PrivateKey) -> bytes:
    """Return *receipt* as bytes, signed by the department's *key*: a CBOR array of payload and signature."""
    return encode_signed(_receipt_payload(receipt), _RECEIPT_TAG, key)


def decode_receipt(data: bytes, key: Ed25519PublicKey, sent: SignedBatch, unit_id: str) -> Receipt:
    """Return the receipt in *data* if the department's *key* signed it for the batch *sent* by *unit_id*.

    Raises ReceiptInvalidError if it is not signed, or names another batch, unit or other bytes: the batch
    then stays as if no receipt had come.
    """
    keep = f"batch {sent.batch_id}: %s; keep the batch"
    receipt = decode_signed(
        data, _RECEIPT_TAG, key, version=VERSION, parse=_receipt, encode=_receipt_payload, refusal=keep
    )
    if (receipt.batch_id, receipt.unit_id, receipt.digest) != (sent.batch_id, unit_id, sent.digest):
        raise ReceiptInvalidError(keep % "receipt names other bytes")
    return receipt


def read_receipt(data: bytes, key: Ed25519PublicKey) -> Receipt:
    """Return the receipt in *data*, of whichever batch, if the department's *key* signed it.

    For who holds receipts and no batches any more. Raises ReceiptInvalidError.
    """
    return decode_signed(
        data, _RECEIPT_TAG, key, version=VERSION, parse=_receipt, encode=_receipt_payload, refusal="%s"
    )


def _receipt(fields: dict[str, Any]) -> Receipt:
    return Receipt(
        batch_id=wire.identifier(fields["batch"]),
        unit_id=wire.identifier(fields["unit"]),
        digest=wire.octets(fields["digest"]),
        reads=wire.whole(fields["reads"]),
        received_at=wire.from_seconds(fields["received"]),
    )


def _receipt_payload(receipt: Receipt) -> bytes:
    return wire.dumps(
        {
            "v": VERSION,
            "batch": wire.identifier(receipt.batch_id),
            "unit": wire.identifier(receipt.unit_id),
            "digest": receipt.digest,
            "reads": receipt.reads,
            "received": wire.seconds(receipt.received_at),
        }
    )


def _unique(values: Iterable[str]) -> bool:
    seen = list(values)
    return len(seen) == len(set(seen))
