"""The access log as it travels: signed pieces, receipts, details for the department alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sync.access_log import (
    Deed,
    LogBrokenError,
    LogHead,
    LogPiece,
    LogReceipt,
    LogRecord,
    decode_log_receipt,
    decode_piece,
    encode_log_receipt,
    encode_piece,
    followed,
    made,
    open_detail,
    parse_head,
    read_entry,
    start,
)
from sync.errors import ReceiptInvalidError, SealBrokenError, WireFormatError

UNIT = "unit-07"
AT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DEPARTMENT = X25519PrivateKey.generate()
TEXTS = st.text(max_size=300)


def record_of(deed: Deed, head: LogHead, unit_id: str = UNIT, key: Ed25519PrivateKey = KEY) -> LogRecord:
    department = DEPARTMENT.public_key()
    return made(deed, head, at=AT, quality="gps", unit_id=unit_id, key=key, department=department)[1]


def chain(count: int) -> list[LogRecord]:
    records, head = list[LogRecord](), start(UNIT)
    for number in range(count):
        records.append(record_of(Deed("reyes", "officer", f"deed.{number}"), head))
        entry = read_entry(records[-1])
        head = LogHead(entry.sequence, entry.digest)
    return records


@given(TEXTS, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=5), st.dictionaries(TEXTS, TEXTS, max_size=5))
def test_whatever_people_type_stands_in_one_line_and_comes_back(
    actor: str, case: str, detail: dict[str, str], secret: dict[str, str]
) -> None:
    deed = Deed(actor, "officer", "reads.search", case_number=case, detail=detail, secret=secret)
    [entry] = followed([record_of(deed, start(UNIT))], start(UNIT), UNIT, KEY.public_key())
    assert entry.actor.isprintable() and entry.case_number.isprintable() and len(entry.actor) <= 256
    if actor.isprintable() and len(actor) <= 256:
        assert entry.actor == actor
    assert open_detail(entry, UNIT, DEPARTMENT) == secret


def test_a_detail_opens_for_the_department_alone_and_in_its_place_alone() -> None:
    entry = read_entry(record_of(Deed("r", "officer", "a", secret={"plate": "8ABC012"}), start(UNIT)))
    assert open_detail(entry, UNIT, DEPARTMENT) == {"plate": "8ABC012"}
    for other, unit_id, key in (
        (entry, UNIT, X25519PrivateKey.generate()),
        (entry, "unit-08", DEPARTMENT),
        (replace(entry, sequence=2), UNIT, DEPARTMENT),
    ):
        with pytest.raises(SealBrokenError):
            open_detail(other, unit_id, key)


def test_the_length_of_a_detail_does_not_tell_that_of_the_plate() -> None:
    entries = [
        read_entry(record_of(Deed("r", "officer", "a", secret={"plate": plate}), start(UNIT)))
        for plate in ("8", "8ABC012")
    ]
    assert len(entries[0].sealed) == len(entries[1].sealed)


@pytest.mark.parametrize("altered", ["actor", "case_number", "at", "detail"])
def test_an_altered_entry_does_not_follow(altered: str) -> None:
    records = chain(3)
    entry = read_entry(records[1])
    other = {"actor": "tanaka", "case_number": "26-1", "at": AT + timedelta(1), "detail": {"a": "b"}}[altered]
    forged = LogRecord(replace(entry, **{altered: other}).encoded(), records[1].signature)  # type: ignore[arg-type]
    with pytest.raises(LogBrokenError, match="entry 2 was altered"):
        followed([records[0], forged, records[2]], start(UNIT), UNIT, KEY.public_key())


def test_a_chain_goes_on_from_the_head_that_is_held() -> None:
    records = chain(5)
    held = read_entry(records[2])
    rest = followed(records[3:], LogHead(3, held.digest), UNIT, KEY.public_key())
    assert [entry.sequence for entry in rest] == [4, 5]
    with pytest.raises(LogBrokenError, match="entry 3 is missing"):
        followed(records[3:], LogHead(2, read_entry(records[1]).digest), UNIT, KEY.public_key())
    with pytest.raises(LogBrokenError, match="does not follow"):
        followed(records[3:], LogHead(3, bytes(32)), UNIT, KEY.public_key())


def test_a_piece_comes_back_as_it_was_sent() -> None:
    piece = LogPiece(UNIT, tuple(chain(3)))
    assert decode_piece(*encode_piece(piece, KEY), KEY.public_key()) == piece


def test_a_piece_of_another_key_is_not_read() -> None:
    payload, signature = encode_piece(LogPiece(UNIT, tuple(chain(1))), OTHER)
    with pytest.raises(SealBrokenError):
        decode_piece(payload, signature, KEY.public_key())


@given(st.binary(max_size=200))
def test_bytes_that_are_no_piece_are_refused_whole(data: bytes) -> None:
    signature = KEY.sign(b"alpr-edge access log piece v1\x00" + data)
    with pytest.raises(WireFormatError):
        decode_piece(data, signature, KEY.public_key())


@given(st.binary(max_size=200))
def test_bytes_that_are_no_entry_are_refused(data: bytes) -> None:
    with pytest.raises(LogBrokenError):
        read_entry(LogRecord(data, b""))


def test_a_receipt_is_believed_of_the_department_for_this_unit_alone() -> None:
    receipt = LogReceipt(UNIT, LogHead(3, bytes(32)), AT)
    data = encode_log_receipt(receipt, KEY)
    assert decode_log_receipt(data, KEY.public_key(), UNIT) == receipt
    for key, unit_id, changed in (
        (OTHER, UNIT, data),
        (KEY, "unit-08", data),
        (KEY, UNIT, data[:-1]),
        (KEY, UNIT, b"x" * 5000),
    ):
        with pytest.raises(ReceiptInvalidError):
            decode_log_receipt(changed, key.public_key(), unit_id)


def test_a_head_is_written_down_and_read_again() -> None:
    head = LogHead(12, bytes(range(32)))
    assert parse_head(f" {head}\n") == head
    for wrong in ("", "12", "12:ab", "x:" + "00" * 32, "12:" + "zz" * 32):
        with pytest.raises(ValueError, match=r"SEQUENCE|hex"):
            parse_head(wrong)
