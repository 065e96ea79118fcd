"""Batches and receipts: what is signed arrives whole or not at all."""

import dataclasses

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sync.batch import (
    Batch,
    Receipt,
    SealedEpoch,
    SealedRead,
    SignedBatch,
    decode_batch,
    decode_receipt,
    encode_batch,
    encode_receipt,
)
from sync.errors import ReceiptInvalidError, SealBrokenError, WireFormatError
from sync.receipts import MAX_RECEIPT_BYTES
from tests.fakes import START, UNIT

UNIT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
DEPARTMENT = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))

ids = st.text("AZaz09._-", max_size=8).map("x".__add__)


def a_batch(reads: int = 2) -> Batch:
    epoch = SealedEpoch("e1", UNIT, b"k" * 80)
    return Batch(
        "b1", UNIT, START, (epoch,), tuple(SealedRead(f"r{n}", "e1", b"s" * 40) for n in range(reads))
    )


def resigned(fields: object) -> SignedBatch:
    payload = fields if isinstance(fields, bytes) else cbor2.dumps(fields, canonical=True)
    return SignedBatch("b1", payload, UNIT_KEY.sign(b"alpr-edge batch v1\x00" + payload))


def fields_of(batch: Batch) -> dict[str, object]:
    fields = cbor2.loads(encode_batch(batch, UNIT_KEY).payload)
    assert isinstance(fields, dict)
    return fields


@given(st.lists(st.tuples(ids, st.binary(max_size=60)), min_size=1, unique_by=lambda pair: pair[0]), ids)
def test_any_batch_comes_back_as_it_went(reads: list[tuple[str, bytes]], batch_id: str) -> None:
    epoch = SealedEpoch("e1", UNIT, b"key")
    batch = Batch(batch_id, UNIT, START, (epoch,), tuple(SealedRead(i, "e1", s) for i, s in reads))
    assert decode_batch(encode_batch(batch, UNIT_KEY), UNIT_KEY.public_key()) == batch


def test_the_same_batch_is_encoded_to_the_same_bytes() -> None:
    assert encode_batch(a_batch(), UNIT_KEY) == encode_batch(a_batch(), UNIT_KEY)


def test_every_flipped_bit_of_a_batch_is_refused() -> None:
    signed = encode_batch(a_batch(), UNIT_KEY)
    whole = signed.payload + signed.signature
    for place in range(len(whole)):
        for bit in range(8):
            broken = whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
            altered = SignedBatch("b1", broken[: len(signed.payload)], broken[len(signed.payload) :])
            with pytest.raises(SealBrokenError):
                decode_batch(altered, UNIT_KEY.public_key())


def test_a_batch_signed_by_another_unit_is_refused() -> None:
    with pytest.raises(SealBrokenError, match="not signed by this unit"):
        decode_batch(encode_batch(a_batch(), DEPARTMENT), UNIT_KEY.public_key())


def test_an_envelope_that_names_another_batch_is_refused() -> None:
    signed = dataclasses.replace(encode_batch(a_batch(), UNIT_KEY), batch_id="b2")
    with pytest.raises(WireFormatError, match="names another batch"):
        decode_batch(signed, UNIT_KEY.public_key())


READ = ["r1", "e1", b"s"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"v": 2}, "version 1"),
        ({"reads": []}, "holds no read"),
        ({"reads": [READ, READ]}, "twice"),
        ({"reads": [["r1", "other", b"s"]]}, "epochs are not those"),
        ({"epochs": []}, "epochs are not those"),
        ({"epochs": [["e1", b"k"], ["e1", b"k"]], "reads": [READ]}, "twice"),
        ({"reads": [["r1", "e1", "text"]]}, "wrong type"),
        ({"reads": [["r1", "e1"]]}, "wrong type"),
        ({"reads": 7}, "wrong type"),
        ({"batch": ""}, "wrong type"),
        ({"batch": "../../b1"}, "wrong type"),
        ({"unit": "a/b"}, "wrong type"),
        ({"made": -1}, "wrong type"),
        ({"made": 1.5}, "wrong type"),
        ({"made": 2**62}, "wrong type"),
        ({"made": True}, "wrong type"),
        ({"extra": 1}, "deterministic form"),
    ],
)
def test_a_signed_batch_with_a_wrong_field_is_refused(change: dict[str, object], why: str) -> None:
    with pytest.raises(WireFormatError, match=why):
        decode_batch(resigned(fields_of(a_batch()) | change), UNIT_KEY.public_key())


def test_a_signed_batch_without_one_of_its_fields_is_refused() -> None:
    for name in fields_of(a_batch()):
        fields = fields_of(a_batch())
        del fields[name]
        with pytest.raises(WireFormatError):
            decode_batch(resigned(fields), UNIT_KEY.public_key())


def test_signed_bytes_in_another_than_the_deterministic_form_are_refused() -> None:
    payload = encode_batch(a_batch(), UNIT_KEY).payload
    unsorted = cbor2.dumps(dict(reversed(fields_of(a_batch()).items())))
    nested = b"\x81" * 5000 + b"\x01"
    for other in (payload + b"\x00", unsorted, b"", b"\xff", nested, b"\xbf\xff", cbor2.dumps([1])):
        with pytest.raises(WireFormatError):
            decode_batch(resigned(other), UNIT_KEY.public_key())


@given(st.binary(max_size=200))
def test_signed_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    with pytest.raises(WireFormatError):
        decode_batch(resigned(noise), UNIT_KEY.public_key())


def test_a_batch_for_a_unit_id_that_is_no_topic_level_is_not_made() -> None:
    with pytest.raises(ValueError, match="an id is"):
        encode_batch(dataclasses.replace(a_batch(), unit_id="unit/#"), UNIT_KEY)


SENT = encode_batch(a_batch(), UNIT_KEY)
RECEIPT = Receipt("b1", UNIT, SENT.digest, 2, START)


def test_a_receipt_comes_back_as_it_went() -> None:
    data = encode_receipt(RECEIPT, DEPARTMENT)
    assert decode_receipt(data, DEPARTMENT.public_key(), SENT, UNIT) == RECEIPT
    assert len(data) < MAX_RECEIPT_BYTES // 4


def test_every_flipped_bit_of_a_receipt_is_refused() -> None:
    data = encode_receipt(RECEIPT, DEPARTMENT)
    for place in range(len(data)):
        for bit in range(8):
            altered = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            with pytest.raises(ReceiptInvalidError):
                decode_receipt(altered, DEPARTMENT.public_key(), SENT, UNIT)


def test_a_receipt_cut_short_or_lengthened_is_refused() -> None:
    data = encode_receipt(RECEIPT, DEPARTMENT)
    for other in [data[:end] for end in range(len(data))] + [data + b"\x00", data + bytes(MAX_RECEIPT_BYTES)]:
        with pytest.raises(ReceiptInvalidError):
            decode_receipt(other, DEPARTMENT.public_key(), SENT, UNIT)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(RECEIPT, batch_id="b2"),
        dataclasses.replace(RECEIPT, unit_id="unit-08"),
        dataclasses.replace(RECEIPT, digest=bytes(32)),
    ],
)
def test_a_receipt_for_something_else_is_refused(other: Receipt) -> None:
    with pytest.raises(ReceiptInvalidError, match="names other bytes"):
        decode_receipt(encode_receipt(other, DEPARTMENT), DEPARTMENT.public_key(), SENT, UNIT)


def test_a_batchs_signature_cannot_be_shown_as_a_receipts() -> None:
    payload = cbor2.loads(encode_receipt(RECEIPT, DEPARTMENT))[0]
    signature = DEPARTMENT.sign(b"alpr-edge batch v1\x00" + payload)
    with pytest.raises(ReceiptInvalidError, match="not signed"):
        decode_receipt(cbor2.dumps([payload, signature]), DEPARTMENT.public_key(), SENT, UNIT)


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a receipt", cbor2.dumps([b"", b"", b""]), b"\xa0"])
def test_what_is_no_receipt_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(ReceiptInvalidError, match="keep the batch"):
        decode_receipt(data, DEPARTMENT.public_key(), SENT, UNIT)
