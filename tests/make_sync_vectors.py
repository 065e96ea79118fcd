"""Writes tests/vectors/sync.json; by hand when the wire format changes: `python -m tests.make_sync_vectors`.

The keys are for tests alone: each is one byte repeated 32 times.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sync.batch import Batch, Receipt, SignedBatch, encode_batch, encode_receipt
from sync.record import encode_record
from sync.seal import EpochSealer
from tests.fakes import UNIT, a_hit, a_read

PATH = Path(__file__).parent / "vectors" / "sync.json"


def main() -> None:
    """Write the vectors anew; HPKE draws random numbers, so all bytes change."""
    unit_key = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
    receipt_key = Ed25519PrivateKey.from_private_bytes(bytes([2] * 32))
    department = X25519PrivateKey.from_private_bytes(bytes([3] * 32))
    sealer = EpochSealer(UNIT, department.public_key())
    made = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    reads = [a_read("read-a"), a_read("read-b", plate="ABC987", evidence=b"")]
    records = [encode_record(UNIT, reads[0], [a_hit(reads[0])]), encode_record(UNIT, reads[1], [])]
    sealed = [sealer.seal(read.read_id, record) for read, record in zip(reads, records, strict=True)]
    batch = Batch("batch-1", UNIT, made, (sealer.epoch,), tuple(sealed))
    signed = encode_batch(batch, unit_key)
    receipt = encode_receipt(Receipt("batch-1", UNIT, signed.digest, 2, made), receipt_key)

    def batch_case(name: str, expect: str, other: SignedBatch) -> dict[str, str]:
        fields = {"payload": other.payload.hex(), "signature": other.signature.hex()}
        return {"name": name, "expect": expect, "batch_id": other.batch_id} | fields

    def resigned(payload: bytes) -> SignedBatch:
        return SignedBatch("batch-1", payload, unit_key.sign(b"alpr-edge batch v1\x00" + payload))

    altered_seal = signed.payload.replace(sealed[0].sealed, sealed[0].sealed[:-1] + b"\x00")
    swapped = signed.payload.replace(b"read-a", b"read-x").replace(b"read-b", b"read-a")
    forged = encode_receipt(Receipt("batch-1", UNIT, signed.digest, 2, made), unit_key)
    other = encode_receipt(Receipt("batch-1", UNIT, bytes(32), 2, made), receipt_key)
    vectors = {
        "unit": UNIT,
        "keys": {"unit_ed25519": "01" * 32, "receipt_ed25519": "02" * 32, "department_x25519": "03" * 32},
        "canvass": encode_record(UNIT, a_read("read-c"), [], incident="26-0042").hex(),
        "records": {r.read_id: record.hex() for r, record in zip(reads, records, strict=True)},
        "batches": [
            batch_case("as it should be", "good", signed),
            batch_case("last byte altered", "SealBrokenError", _altered(signed)),
            batch_case("signed by another key", "SealBrokenError", encode_batch(batch, receipt_key)),
            batch_case("envelope of another batch", "WireFormatError", _renamed(signed)),
            batch_case("a byte behind the end", "WireFormatError", resigned(signed.payload + b"\x00")),
            batch_case("read altered, signed again", "SealBrokenError", resigned(altered_seal)),
            batch_case("reads renamed, signed again", "SealBrokenError", resigned(swapped)),
        ],
        "receipts": [
            {"name": "as it should be", "expect": "good", "data": receipt.hex()},
            {"name": "last byte altered", "expect": "ReceiptInvalidError", "data": _flipped(receipt).hex()},
            {"name": "signed by the unit itself", "expect": "ReceiptInvalidError", "data": forged.hex()},
            {"name": "for other bytes", "expect": "ReceiptInvalidError", "data": other.hex()},
            {"name": "cut short", "expect": "ReceiptInvalidError", "data": receipt[:-1].hex()},
        ],
    }
    PATH.write_text(json.dumps(vectors, indent=1) + "\n")


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _altered(signed: SignedBatch) -> SignedBatch:
    return SignedBatch(signed.batch_id, _flipped(signed.payload), signed.signature)


def _renamed(signed: SignedBatch) -> SignedBatch:
    return SignedBatch("batch-2", signed.payload, signed.signature)


if __name__ == "__main__":
    main()
