"""The department's signed word, whatever it is about: a batch, a book of local entries, an access log.

A CBOR array of the payload and an Ed25519 signature over a tag and that payload. Each kind has a tag of its
own: a receipt for one thing can never be shown as one for another.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sync import wire
from sync.errors import ReceiptInvalidError, WireFormatError

MAX_RECEIPT_BYTES = 4096
"""A larger answer is no receipt; ours are about 200 bytes."""

_T = TypeVar("_T")


def encode_signed(payload: bytes, tag: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return *payload* signed under *tag* by the department's *key*."""
    return wire.dumps([payload, key.sign(tag + payload)])


def decode_signed(
    data: bytes,
    tag: bytes,
    key: Ed25519PublicKey,
    *,
    version: int,
    parse: Callable[[dict[str, Any]], _T],
    encode: Callable[[_T], bytes],
    refusal: str,
) -> _T:
    """Return what *parse* makes of the fields in *data*, if the department's *key* signed them under *tag*.

    *encode* gives back the payload, which must be the one that came: there is one way to write a receipt.
    Raises ReceiptInvalidError with *refusal*, in which "%s" stands for what is wrong.
    """
    if len(data) > MAX_RECEIPT_BYTES:
        raise ReceiptInvalidError(refusal % "receipt is too long")
    try:
        payload, signature = (wire.octets(part) for part in wire.loads(data, "receipt"))
        # Signature first: nothing of an unsigned message is parsed.
        key.verify(signature, tag + payload)
        receipt = parse(wire.versioned(wire.loads(payload, "receipt"), "receipt", version))
        wire.must_be(payload, encode(receipt), "receipt")
        wire.must_be(data, wire.dumps([payload, signature]), "receipt")
    except InvalidSignature:
        raise ReceiptInvalidError(refusal % "receipt is not signed by the department") from None
    except (WireFormatError, KeyError, TypeError, ValueError) as error:
        raise ReceiptInvalidError(refusal % "receipt is malformed") from error
    return receipt
