"""Local books and their receipts: what is signed arrives whole or not at all."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hotlist_cache.entry import Priority
from hotlist_cache.local import LocalBook
from sync import local_book
from sync.batch import SignedBatch, decode_batch
from sync.errors import ReceiptInvalidError, SealBrokenError, SyncError, WireFormatError
from sync.local_book import (
    BookReceipt,
    SentBook,
    SignedBook,
    decode_book,
    decode_book_receipt,
    encode_book,
    encode_book_receipt,
    sent_book,
)
from sync.receipts import MAX_RECEIPT_BYTES
from tests.fakes import START, UNIT
from tests.hotlists import STORAGE_KEY

UNIT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
DEPARTMENT = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
DAY = timedelta(days=1)

LINES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(
    lambda text: bool(text.strip()) and text.isprintable()
)
PATTERNS = st.text("ABC123", min_size=3, max_size=10)
SPANS = st.timedeltas(timedelta(minutes=1), 30 * DAY)


def a_book(folder: Path) -> LocalBook:
    """One of each: held, removed, asked for, approved and lifted."""
    book = empty(folder)
    given: dict[str, Any] = {"state": "US-CA", "purpose": "Burglary", "case_number": "26-1", "lasting": DAY}
    first = book.add("7ABC123", officer="Officer 12", now=START, priority=Priority.HIGH, **given)
    book.add("8X?*99", officer="Officer 7", now=START + DAY / 7, **{**given, "state": ""})
    book.remove(first.entry.entry_id, officer="Officer 7", now=START + DAY / 3)
    for number in range(3):
        book.suppress("7ABC127", f"e{number}", officer="A", reason="Another", now=START, lasting=DAY)
    for known in book.suppressions[1:]:
        book.approve(known.suppression_id, supervisor="B", now=START)
    book.lift(book.suppressions[2].suppression_id, officer="A", now=START + DAY)
    return book


def empty(folder: Path) -> LocalBook:
    count = iter(range(1000))
    return LocalBook(folder, storage_key=STORAGE_KEY, new_id=lambda: f"{next(count)}")


def signed(payload: object) -> SignedBook:
    data = payload if isinstance(payload, bytes) else cbor2.dumps(payload, canonical=True)
    return SignedBook(data, UNIT_KEY.sign(b"alpr-edge local book v1\x00" + data))


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> SentBook:
    return sent_book(UNIT, a_book(tmp_path_factory.mktemp("book")))


def fields_of(book: SentBook) -> dict[str, Any]:
    fields = cbor2.loads(encode_book(book, UNIT_KEY).payload)
    assert isinstance(fields, dict)
    return fields


def test_a_book_comes_back_as_it_went(sent: SentBook) -> None:
    assert decode_book(encode_book(sent, UNIT_KEY), UNIT_KEY.public_key()) == sent
    assert [len(each) for each in (sent.entries, sent.removed, sent.suppressions, sent.lifted)] == [
        1,
        1,
        2,
        1,
    ]
    assert len(sent.changes) == 9


@given(st.lists(st.tuples(PATTERNS, LINES, LINES, LINES, SPANS), max_size=5), st.sets(st.integers(0, 4)))
def test_whatever_officers_can_add_and_remove_can_be_sent(
    tmp_path_factory: pytest.TempPathFactory,
    added: list[tuple[str, str, str, str, timedelta]],
    removed: set[int],
) -> None:
    book = empty(tmp_path_factory.mktemp("any"))
    ids = [
        book.add(
            pattern,
            state="",
            officer=officer,
            purpose=purpose,
            case_number=case,
            now=START + timedelta(microseconds=7),
            lasting=lasting,
        ).entry.entry_id
        for pattern, officer, purpose, case, lasting in added
    ]
    for number in removed & set(range(len(ids))):
        book.remove(ids[number], officer="Officer 1", now=START)
    again = LocalBook(book.path.parent, storage_key=STORAGE_KEY, new_id=str)
    again.load()
    went = sent_book(UNIT, again) if ids else sent_book(UNIT, book)
    assert decode_book(encode_book(went, UNIT_KEY), UNIT_KEY.public_key()) == sent_book(UNIT, book)


def test_the_same_book_is_encoded_to_the_same_bytes_and_a_changed_one_to_others(
    sent: SentBook, tmp_path: Path
) -> None:
    book = a_book(tmp_path)
    assert encode_book(sent_book(UNIT, book), UNIT_KEY) == encode_book(sent, UNIT_KEY)
    book.remove(book.entries[0].entry.entry_id, officer="C", now=START)
    assert encode_book(sent_book(UNIT, book), UNIT_KEY).digest != encode_book(sent, UNIT_KEY).digest


def test_every_flipped_bit_is_refused(sent: SentBook) -> None:
    book = encode_book(sent, UNIT_KEY)
    whole = book.payload + book.signature
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        altered = SignedBook(bytes(broken[: len(book.payload)]), bytes(broken[len(book.payload) :]))
        with pytest.raises(SealBrokenError):
            decode_book(altered, UNIT_KEY.public_key())


def test_a_book_of_another_signer_or_with_the_signature_of_a_batch_is_refused(sent: SentBook) -> None:
    with pytest.raises(SealBrokenError):
        decode_book(encode_book(sent, DEPARTMENT), UNIT_KEY.public_key())
    book = encode_book(sent, UNIT_KEY)
    with pytest.raises(SealBrokenError):
        decode_batch(SignedBatch("b1", book.payload, book.signature), UNIT_KEY.public_key())


@given(st.data())
def test_what_was_altered_before_it_was_signed_is_refused_or_another_whole_book(data: st.DataObject) -> None:
    """A hostile unit signs what it likes: only a book in its one form passes, and no other error comes."""
    book = SentBook(UNIT, (), (), (), (), ())
    payload = bytearray(PAYLOAD if data.draw(st.booleans()) else encode_book(book, UNIT_KEY).payload)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(payload) - 1))
        if data.draw(st.booleans()):
            payload[place] = data.draw(st.integers(0, 255))
        else:
            payload[place:place] = data.draw(st.binary(max_size=4))
    altered = signed(bytes(payload))
    try:
        found = decode_book(altered, UNIT_KEY.public_key())
    except WireFormatError:
        return
    assert encode_book(found, UNIT_KEY).payload == altered.payload


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=10))
def test_any_other_value_in_a_field_is_refused(value: object) -> None:
    for name in ("v", "unit", "entries", "removed", "suppressions", "lifted", "changes"):
        fields = cbor2.loads(PAYLOAD)
        if fields[name] == value or value == [] or (name == "unit" and isinstance(value, str)):
            continue
        with pytest.raises(WireFormatError):
            decode_book(signed(fields | {name: value}), UNIT_KEY.public_key())


def test_an_unknown_key_and_other_forms_of_the_same_value_are_refused(sent: SentBook) -> None:
    fields = fields_of(sent)
    for payload in (
        cbor2.dumps(fields | {"more": 1}, canonical=True),
        cbor2.dumps(dict(reversed(fields.items()))),
        encode_book(sent, UNIT_KEY).payload + b"\x00",
    ):
        with pytest.raises(WireFormatError):
            decode_book(signed(payload), UNIT_KEY.public_key())


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("entries", 0, "-id"),
        ("entries", 1, "7abc123"),
        ("entries", 1, "A" * 17),
        ("entries", 3, 4),
        ("entries", 3, True),
        ("entries", 4, " "),
        ("entries", 5, "two\nlines"),
        ("entries", 5, "x" * 201),
        ("entries", 7, -1),
        ("entries", 8, 0),
        ("suppressions", 1, ""),
        ("suppressions", 7, "A"),
        ("suppressions", 7, "a"),
        ("changes", 2, "edit"),
        ("changes", 3, ""),
    ],
)
def test_a_value_no_unit_would_keep_is_refused_without_being_repeated(
    sent: SentBook, name: str, place: int, value: object
) -> None:
    fields = fields_of(sent)
    fields[name][-1][place] = value
    with pytest.raises(WireFormatError) as caught:
        decode_book(signed(fields), UNIT_KEY.public_key())
    assert "7abc123" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"changes": ()},
        {"removed": ()},
        {"entries": (), "removed": ()},
    ],
)
def test_entries_may_be_missing_from_before_they_were_kept_but_none_stands_that_nobody_added(
    sent: SentBook, change: dict[str, Any]
) -> None:
    altered = encode_book(dataclasses.replace(sent, **change), UNIT_KEY)
    if "changes" not in change:
        assert decode_book(altered, UNIT_KEY.public_key()).changes == sent.changes
        return
    with pytest.raises(WireFormatError, match="not what its changes say"):
        decode_book(altered, UNIT_KEY.public_key())


def test_a_removed_entry_does_not_stand_among_those_held_nor_one_twice(sent: SentBook) -> None:
    for change in (
        {"entries": sent.entries + sent.removed, "removed": ()},
        {"entries": sent.entries * 2},
        {"removed": sent.removed + sent.entries, "entries": ()},
        {"suppressions": sent.suppressions + sent.lifted, "lifted": ()},
    ):
        with pytest.raises(WireFormatError):
            decode_book(encode_book(dataclasses.replace(sent, **change), UNIT_KEY), UNIT_KEY.public_key())


def test_a_suppression_nobody_approved_is_not_sent_as_approved(sent: SentBook) -> None:
    asked = dataclasses.replace(sent.suppressions[0], supervisor="B")
    altered = dataclasses.replace(sent, suppressions=(asked, *sent.suppressions[1:]))
    with pytest.raises(WireFormatError, match="approved by nobody else"):
        decode_book(encode_book(altered, UNIT_KEY), UNIT_KEY.public_key())


def test_a_book_beyond_its_limit_is_refused_unread(sent: SentBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_book, "MAX_BOOK_BYTES", 100)
    with pytest.raises(WireFormatError, match="larger"):
        decode_book(encode_book(sent, UNIT_KEY), UNIT_KEY.public_key())


def receipt_for(book: SignedBook) -> BookReceipt:
    return BookReceipt(UNIT, book.digest, 9, START)


def test_a_receipt_comes_back_as_it_went(sent: SentBook) -> None:
    book = encode_book(sent, UNIT_KEY)
    data = encode_book_receipt(receipt_for(book), DEPARTMENT)
    assert len(data) <= MAX_RECEIPT_BYTES
    assert decode_book_receipt(data, DEPARTMENT.public_key(), book, UNIT) == receipt_for(book)


def test_every_flipped_bit_of_a_receipt_is_refused(sent: SentBook) -> None:
    book = encode_book(sent, UNIT_KEY)
    data = encode_book_receipt(receipt_for(book), DEPARTMENT)
    for place in range(8 * len(data)):
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        with pytest.raises(ReceiptInvalidError):
            decode_book_receipt(bytes(broken), DEPARTMENT.public_key(), book, UNIT)


def test_a_receipt_of_another_book_unit_or_signer_is_refused(sent: SentBook) -> None:
    book = encode_book(sent, UNIT_KEY)
    good = receipt_for(book)
    for receipt, key in (
        (dataclasses.replace(good, digest=bytes(32)), DEPARTMENT),
        (dataclasses.replace(good, unit_id="unit-99"), DEPARTMENT),
        (good, UNIT_KEY),
    ):
        with pytest.raises(SyncError):
            decode_book_receipt(encode_book_receipt(receipt, key), DEPARTMENT.public_key(), book, UNIT)
    with pytest.raises(ReceiptInvalidError, match="too long"):
        decode_book_receipt(bytes(5000), DEPARTMENT.public_key(), book, UNIT)


def _payload() -> bytes:
    """A small book, made without a disk."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return encode_book(sent_book(UNIT, a_book(Path(folder))), UNIT_KEY).payload


PAYLOAD = _payload()
