"""Frozen bytes: what was sealed, signed and acknowledged by an earlier version is still understood alike.

`open_as_the_protocol_page_says` is a second implementation, made from docs/protocol.md and nothing else of
ours: it is what another department's server would be.
"""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sync.batch import SignedBatch, decode_batch, decode_receipt
from sync.errors import SyncError
from sync.record import decode_record
from sync.seal import EpochOpener

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "sync.json").read_text())
UNIT_KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["keys"]["unit_ed25519"]))
RECEIPT_KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["keys"]["receipt_ed25519"]))
DEPARTMENT = X25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["keys"]["department_x25519"]))


def signed_in(case: dict[str, str]) -> SignedBatch:
    return SignedBatch(case["batch_id"], bytes.fromhex(case["payload"]), bytes.fromhex(case["signature"]))


GOOD = signed_in(VECTORS["batches"][0])


@pytest.mark.parametrize("case", VECTORS["batches"], ids=lambda case: case["name"].replace(" ", "-"))
def test_a_batch_from_the_vectors_comes_to_its_expected_end(case: dict[str, str]) -> None:
    try:
        batch = decode_batch(signed_in(case), UNIT_KEY.public_key())
        openers = {epoch.epoch_id: EpochOpener(epoch, DEPARTMENT) for epoch in batch.epochs}
        opened = {read.read_id: openers[read.epoch_id].open(read).hex() for read in batch.reads}
    except SyncError as error:
        assert type(error).__name__ == case["expect"]
        return
    assert case["expect"] == "good"
    assert opened == VECTORS["records"]


@pytest.mark.parametrize("case", VECTORS["receipts"], ids=lambda case: case["name"].replace(" ", "-"))
def test_a_receipt_from_the_vectors_comes_to_its_expected_end(case: dict[str, str]) -> None:
    try:
        receipt = decode_receipt(bytes.fromhex(case["data"]), RECEIPT_KEY.public_key(), GOOD, VECTORS["unit"])
    except SyncError as error:
        assert type(error).__name__ == case["expect"]
        return
    assert case["expect"] == "good"
    assert receipt.reads == 2


def test_the_bytes_shown_on_the_protocol_page_are_those_of_the_vectors() -> None:
    page = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text()
    shown = page.split("So begins a batch")[1].split("```")[1]
    # Each line: hexadecimal, then at least two spaces, then what it says.
    beginning = "".join(line.strip().split("  ")[0].replace(" ", "") for line in shown.splitlines()[1:6])
    assert len(beginning) == 82
    assert GOOD.payload.hex().startswith(beginning.removesuffix("…"))


def test_records_from_the_vectors_are_understood() -> None:
    first, second = (decode_record(bytes.fromhex(record)) for record in VECTORS["records"].values())
    assert (first.read.plate, first.hits[0].list_name) == ("TEST123", "Stolen vehicle")
    assert (second.read.plate, second.read.evidence, second.hits) == ("ABC987", b"", ())
    assert (first.read.prefix, first.read.revises, first.hits[0].form) == ("", None, "plate")
    assert (first.incident, decode_record(bytes.fromhex(VECTORS["canvass"])).incident) == ("", "26-0042")


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    return hmac.new(salt or bytes(32), material, hashlib.sha256).digest()


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([count]), hashlib.sha256).digest()
        out, count = out + block, count + 1
    return out[:length]


def labelled(suite: bytes, label: bytes, material: bytes) -> bytes:
    return b"HPKE-v1" + suite + label + material


def hpke_open(secret: X25519PrivateKey, sealed: bytes, info: bytes) -> bytes:
    """RFC 9180 §5.1.1, base mode, single shot, with no associated data."""
    encapsulated, ciphertext = sealed[:32], sealed[32:]
    public = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = secret.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    kem = b"KEM\x00\x20"
    prk = hkdf_extract(b"", labelled(kem, b"eae_prk", shared))
    info_kem = b"\x00\x20" + labelled(kem, b"shared_secret", encapsulated + public)
    shared = hkdf_expand(prk, info_kem, 32)
    suite = b"HPKE\x00\x20\x00\x01\x00\x02"
    id_hash = hkdf_extract(b"", labelled(suite, b"psk_id_hash", b""))
    info_hash = hkdf_extract(b"", labelled(suite, b"info_hash", info))
    context = b"\x00" + id_hash + info_hash
    prk = hkdf_extract(shared, labelled(suite, b"secret", b""))
    key = hkdf_expand(prk, b"\x00\x20" + labelled(suite, b"key", context), 32)
    nonce = hkdf_expand(prk, b"\x00\x0c" + labelled(suite, b"base_nonce", context), 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


def joined(*parts: str) -> bytes:
    return b"".join(len(part).to_bytes(2, "big") + part.encode() for part in parts)


def open_as_the_protocol_page_says(payload: bytes) -> dict[str, bytes]:
    batch = cbor2.loads(payload)
    records = {}
    keys = {
        epoch_id: hpke_open(DEPARTMENT, sealed, joined("alpr-edge epoch v1", batch["unit"], epoch_id))
        for epoch_id, sealed in batch["epochs"]
    }
    for read_id, epoch_id, sealed in batch["reads"]:
        bound = joined("alpr-edge read v1", batch["unit"], epoch_id, read_id)
        padded = AESGCM(keys[epoch_id]).decrypt(sealed[:12], sealed[12:], bound)
        assert len(padded) % 512 == 0
        records[read_id] = padded[: padded.rindex(b"\x80")]
    return records


def test_a_second_implementation_from_the_protocol_page_opens_the_same_records() -> None:
    opened = open_as_the_protocol_page_says(GOOD.payload)
    assert {read_id: record.hex() for read_id, record in opened.items()} == VECTORS["records"]
