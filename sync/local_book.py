"""What officers put on a unit, as it travels to the department, and the department's word that it has it.

The form is CBOR as that of a batch; `docs/protocol.md` gives it key by key. The same book gives the same
bytes and the same signature for ever: by their digest the unit knows what the department has.

Changes are only ever added to. Their number tells an older book from a newer one, and a book whose first
changes are not those of the one before is another book.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.local import LIST_NAME, MOST, Change, LocalBook, LocalEntry, Suppression
from recognizer.plate import Jurisdiction
from sync import wire
from sync.errors import ReceiptInvalidError, SealBrokenError, WireFormatError
from sync.receipts import decode_signed, encode_signed

VERSION = 1
MAX_BOOK_BYTES = 16 * 1024 * 1024
"""A larger one is refused unread: 10,000 entries are some 2 MB, and a hundred thousand changes 10 MB."""
DEEDS = ("add", "remove", "suppress", "approve", "lift")

_BOOK_TAG = b"alpr-edge local book v1\x00"
_RECEIPT_TAG = b"alpr-edge local book receipt v1\x00"
_PATTERN = re.compile(r"[A-Z0-9?*]{1,16}")
_PLATE = re.compile(r"[A-Z0-9]{1,200}")
_MOST_CHARACTERS = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SentBook:
    """Everything in the book of one unit."""

    unit_id: str
    entries: tuple[LocalEntry, ...]
    removed: tuple[LocalEntry, ...]
    suppressions: tuple[Suppression, ...]
    lifted: tuple[Suppression, ...]
    changes: tuple[Change, ...]
    """All there ever were, the oldest first."""


@dataclass(frozen=True, slots=True)
class SignedBook:
    """A book as it travels: the exact bytes, and the unit's signature over them."""

    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload; what a receipt names."""
        return hashlib.sha256(self.payload).digest()


@dataclass(frozen=True, slots=True)
class BookReceipt:
    """The server's word that it holds a unit's book durably."""

    unit_id: str
    digest: bytes
    """SHA-256 of the book's payload."""
    changes: int
    """How many changes of the unit the server now holds: all in the book, or there is no receipt."""
    received_at: datetime
    """Aware UTC, whole seconds, by the server's clock."""


def sent_book(unit_id: str, book: LocalBook) -> SentBook:
    """Return what *book* holds now, for sending."""
    return SentBook(unit_id, book.entries, book.removed, book.suppressions, book.lifted, book.changes)


def encode_book(book: SentBook, key: Ed25519PrivateKey) -> SignedBook:
    """Return *book* as bytes, signed by the unit's *key*."""
    payload = _payload(book)
    return SignedBook(payload, key.sign(_BOOK_TAG + payload))


def decode_book(signed: SignedBook, key: Ed25519PublicKey) -> SentBook:
    """Return the book in *signed* if the unit's *key* signed exactly these bytes.

    Raises SealBrokenError if the signature does not fit, WireFormatError if the bytes are no book, or one
    that contradicts itself: an entry that nobody added, a removed one that nobody removed.
    """
    if len(signed.payload) > MAX_BOOK_BYTES:
        raise WireFormatError(f"local book is larger than {MAX_BOOK_BYTES} bytes")
    # Signature first: nothing of an unsigned message is parsed.
    try:
        key.verify(signed.signature, _BOOK_TAG + signed.payload)
    except InvalidSignature:
        raise SealBrokenError("local book is not signed by this unit's key") from None
    fields = wire.versioned(wire.loads(signed.payload, "local book"), "local book", VERSION)
    try:
        book = SentBook(
            unit_id=wire.identifier(fields["unit"]),
            entries=_each(fields["entries"], _entry),
            removed=_each(fields["removed"], _entry),
            suppressions=_each(fields["suppressions"], _suppression),
            lifted=_each(fields["lifted"], _suppression),
            changes=_each(fields["changes"], _change),
        )
    except (KeyError, TypeError, ValueError) as error:
        # By its type alone: the text of some errors quotes the value, which may be a plate.
        raise WireFormatError(
            f"local book has a field missing or of a wrong type ({type(error).__name__})"
        ) from None
    wire.must_be(signed.payload, _payload(book), "local book")
    _require_whole(book)
    return book


def encode_book_receipt(receipt: BookReceipt, key: Ed25519PrivateKey) -> bytes:
    """Return *receipt* as bytes, signed by the department's *key*: a CBOR array of payload and signature."""
    return encode_signed(_receipt_payload(receipt), _RECEIPT_TAG, key)


def decode_book_receipt(data: bytes, key: Ed25519PublicKey, sent: SignedBook, unit_id: str) -> BookReceipt:
    """Return the receipt in *data* if the department's *key* signed it for the book *sent* by *unit_id*.

    Raises ReceiptInvalidError if it is not signed, or names another unit or other bytes.
    """
    again = "local book: %s; it is sent again"
    receipt = decode_signed(
        data, _RECEIPT_TAG, key, version=VERSION, parse=_receipt, encode=_receipt_payload, refusal=again
    )
    if (receipt.unit_id, receipt.digest) != (unit_id, sent.digest):
        raise ReceiptInvalidError(again % "receipt names other bytes")
    return receipt


def _payload(book: SentBook) -> bytes:
    return wire.dumps(
        {
            "v": VERSION,
            "unit": wire.identifier(book.unit_id),
            "entries": [_entry_parts(each) for each in book.entries],
            "removed": [_entry_parts(each) for each in book.removed],
            "suppressions": [_suppression_parts(each) for each in book.suppressions],
            "lifted": [_suppression_parts(each) for each in book.lifted],
            "changes": [_change_parts(each) for each in book.changes],
        }
    )


def _receipt(fields: dict[str, Any]) -> BookReceipt:
    return BookReceipt(
        unit_id=wire.identifier(fields["unit"]),
        digest=wire.octets(fields["digest"]),
        changes=wire.whole(fields["changes"]),
        received_at=wire.from_seconds(fields["received"]),
    )


def _receipt_payload(receipt: BookReceipt) -> bytes:
    return wire.dumps(
        {
            "v": VERSION,
            "unit": wire.identifier(receipt.unit_id),
            "digest": receipt.digest,
            "changes": receipt.changes,
            "received": wire.seconds(receipt.received_at),
        }
    )


def _entry_parts(local: LocalEntry) -> list[object]:
    entry = local.entry
    return [
        entry.entry_id,
        entry.pattern,
        entry.jurisdiction,
        int(entry.priority),
        local.officer,
        local.purpose,
        entry.case_number,
        wire.microseconds(local.added_at),
        wire.microseconds(local.expires_at),
    ]


def _entry(parts: Sequence[Any]) -> LocalEntry:
    entry_id, pattern, state, priority, officer, purpose, case_number, *times = parts
    added_at, expires_at = _span(*times)
    entry = Entry(
        entry_id=wire.identifier(entry_id),
        pattern=_matching(_PATTERN, pattern),
        jurisdiction=None if state is None else Jurisdiction(_line(state)),
        list_name=LIST_NAME,
        reason=_line(purpose),
        priority=Priority(wire.whole(priority)),
        case_number=_line(case_number),
        source=_line(officer),
        effective=added_at.replace(microsecond=0),
        expires=expires_at.replace(microsecond=0),
    )
    return LocalEntry(entry, officer, purpose, added_at, expires_at)


def _suppression_parts(known: Suppression) -> list[object]:
    return [
        known.suppression_id,
        known.plate,
        known.entry_id,
        known.officer,
        known.reason,
        wire.microseconds(known.added_at),
        wire.microseconds(known.expires_at),
        known.supervisor,
    ]


def _suppression(parts: Sequence[Any]) -> Suppression:
    suppression_id, plate, entry_id, officer, reason, added, expires, supervisor = parts
    return Suppression(
        wire.identifier(suppression_id),
        _matching(_PLATE, plate),
        _line(entry_id),
        _line(officer),
        _line(reason),
        *_span(added, expires),
        _line(supervisor, may_be_empty=True),
    )


def _change_parts(change: Change) -> list[object]:
    return [
        wire.microseconds(change.at),
        change.actor,
        change.deed,
        change.subject,
        change.case_number,
    ]


def _change(parts: Sequence[Any]) -> Change:
    at, actor, deed, subject, case_number = parts
    if deed not in DEEDS:
        raise ValueError("a deed that is none")
    return Change(
        wire.from_microseconds(at),
        _line(actor),
        deed,
        wire.identifier(subject),
        _line(case_number, may_be_empty=True),
    )


def _require_whole(book: SentBook) -> None:
    """Raises WireFormatError if what stands in *book* is not what its changes say."""
    done: dict[str, set[str]] = {}
    for change in book.changes:
        done.setdefault(change.subject, set()).add(change.deed)
    if max(len(book.entries), len(book.suppressions)) > MOST:
        raise WireFormatError(f"local book holds more than {MOST} entries or suppressions")
    by_list = (
        ([each.entry.entry_id for each in book.entries], {"add"}),
        ([each.entry.entry_id for each in book.removed], {"add", "remove"}),
        ([each.suppression_id for each in book.suppressions], {"suppress"}),
        ([each.suppression_id for each in book.lifted], {"suppress", "lift"}),
    )
    known = [subject for subjects, _ in by_list for subject in subjects]
    if len(set(known)) < len(known):
        raise WireFormatError("local book holds an id twice")
    for subjects, deeds in by_list:
        for subject in subjects:
            if done.get(subject, set()) - {"approve"} != deeds:
                raise WireFormatError(f"local book: {subject} is not what its changes say")
    for each in (*book.suppressions, *book.lifted):
        approved = "approve" in done[each.suppression_id]
        if approved != bool(each.supervisor) or each.supervisor.casefold() == each.officer.casefold():
            raise WireFormatError(f"local book: {each.suppression_id} is approved by nobody else")


def _each(parts: object, read: Callable[[Sequence[Any]], T]) -> tuple[T, ...]:
    if not isinstance(parts, list) or not all(isinstance(part, list) for part in parts):
        raise TypeError("an array of arrays expected")
    return tuple(read(part) for part in parts)


def _span(added: object, expires: object) -> tuple[datetime, datetime]:
    span = wire.from_microseconds(added), wire.from_microseconds(expires)
    if not span[0] < span[1]:
        raise ValueError("it ends before it begins")
    return span


def _matching(form: re.Pattern[str], value: object) -> str:
    if form.fullmatch(text := wire.text(value)) is None:
        raise ValueError("a plate is of A-Z and 0-9")
    return text


def _line(value: object, *, may_be_empty: bool = False) -> str:
    text = wire.text(value)
    if not text.isprintable() or len(text) > _MOST_CHARACTERS or not (may_be_empty or text.strip()):
        raise ValueError("a text is of one line, and not longer than the unit takes it")
    return text
