"""The unit's access log: who did or saw what, when, why; hash-chained, signed, verifiable by anybody.

Each entry names the digest of the one before it and is signed by the unit's key, so one that was altered,
removed, put in between or moved breaks the chain. The newest entries of a chain can be cut off unseen; what
shows it is a head noted elsewhere: the department notes one with each piece it receives, an auditor may too.

A detail that holds a plate is sealed to the department (HPKE, as reads are): the unit itself cannot read it
again. The form is CBOR in one deterministic form.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sync import wire
from sync.errors import ReceiptInvalidError, SealBrokenError, WireFormatError
from sync.receipts import decode_signed, encode_signed

VERSION = 1
MOST_RECORDS = 1000
"""Entries that travel together."""
MAX_PIECE_BYTES = 8 * 1024 * 1024

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_START_TAG = b"alpr-edge access log v1\x00"
_ENTRY_TAG = b"alpr-edge access log entry v1\x00"
_SIGN_TAG = b"alpr-edge access log signature v1\x00"
_PIECE_TAG = b"alpr-edge access log piece v1\x00"
_RECEIPT_TAG = b"alpr-edge access log receipt v1\x00"
_DETAIL_TAG = b"alpr-edge access log detail v1\x00"
_BLOCK_BYTES = 256
_MOST_CHARACTERS = 256


class LogBrokenError(SealBrokenError):
    """The chain does not hold: an entry was altered, removed, put in between or cut off. Tell the auditor."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did, before it has its place in the log."""

    actor: str
    """A name of the roster; "unknown" where nobody of it; "unit" for the unit itself."""
    role: str
    action: str
    """Dotted: what it was done to, then what was done, e.g. "hit.verify"."""
    outcome: str = "success"
    """"success" or "refused"."""
    purpose: str = ""
    case_number: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    """What may be read by who holds the unit: ids and counts, no plate."""
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What is sealed to the department: what was asked for, plates."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry in its place."""

    sequence: int
    """From 1, without a gap."""
    at: datetime
    """Aware UTC, as the unit knew it."""
    quality: str
    """How far the time can be trusted: synchronised, gps, unsynchronised."""
    actor: str
    role: str
    action: str
    outcome: str
    purpose: str
    case_number: str
    detail: Mapping[str, str]
    sealed: bytes = field(repr=False)
    """The deed's secret, sealed to the department; empty if there is none."""
    previous: bytes = field(repr=False)
    """Digest of the entry before; of the first: `start(unit)`."""

    def encoded(self) -> bytes:
        """Return it in its one form."""
        return wire.dumps(
            [
                VERSION,
                self.sequence,
                wire.microseconds(self.at),
                self.quality,
                self.actor,
                self.role,
                self.action,
                self.outcome,
                self.purpose,
                self.case_number,
                dict(self.detail),
                self.sealed,
                self.previous,
            ]
        )

    @property
    def digest(self) -> bytes:
        """SHA-256 that the next entry names."""
        return hashlib.sha256(_ENTRY_TAG + self.encoded()).digest()


@dataclass(frozen=True, slots=True)
class LogRecord:
    """An entry as it is stored and travels: its bytes, and the unit's signature over its digest."""

    data: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogHead:
    """The newest entry's place and digest: all that is needed to notice a cut."""

    sequence: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.sequence}:{self.digest.hex()}"


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Entries on their way to the department, in order."""

    unit_id: str
    records: tuple[LogRecord, ...]


@dataclass(frozen=True, slots=True)
class LogReceipt:
    """The server's word that it holds a unit's log up to a head."""

    unit_id: str
    head: LogHead
    received_at: datetime
    """Aware UTC, whole seconds, by the server's clock."""


def start(unit_id: str) -> LogHead:
    """Return the head of an empty log of *unit_id*: one unit's entries cannot begin another's log."""
    return LogHead(0, hashlib.sha256(_START_TAG + unit_id.encode()).digest())


def parse_head(text: str) -> LogHead:
    """Return the head that `str` made *text* of. Raises ValueError if it is none."""
    sequence, colon, digest = text.strip().partition(":")
    if not colon or not sequence.isdecimal() or len(digest) != 64:
        raise ValueError("a head is written SEQUENCE:DIGEST, the digest with 64 hexadecimal digits")
    return LogHead(int(sequence), bytes.fromhex(digest))


def made(
    deed: Deed,
    head: LogHead,
    *,
    at: datetime,
    quality: str,
    unit_id: str,
    key: Ed25519PrivateKey,
    department: X25519PublicKey,
) -> tuple[LogEntry, LogRecord]:
    """Return *deed* as the entry after *head*, signed by the unit's *key*."""
    sequence = head.sequence + 1
    entry = LogEntry(
        sequence=sequence,
        at=at,
        quality=quality,
        actor=_short(deed.actor),
        role=_short(deed.role),
        action=_short(deed.action),
        outcome=_short(deed.outcome),
        purpose=_short(deed.purpose),
        case_number=_short(deed.case_number),
        detail={_short(name): _short(value) for name, value in deed.detail.items()},
        sealed=_sealed(deed.secret, unit_id, sequence, department) if deed.secret else b"",
        previous=head.digest,
    )
    return entry, LogRecord(entry.encoded(), key.sign(_to_sign(unit_id, entry)))


def followed(
    records: Iterable[LogRecord], head: LogHead, unit_id: str, key: Ed25519PublicKey
) -> list[LogEntry]:
    """Return the entries in *records*, each of which must follow the one before it, the first *head*.

    Raises LogBrokenError naming the first that does not.
    """
    entries = []
    for record in records:
        entry = read_entry(record)
        if entry.sequence != head.sequence + 1:
            raise LogBrokenError(f"entry {head.sequence + 1} is missing: the next one is {entry.sequence}")
        if entry.previous != head.digest:
            raise LogBrokenError(f"entry {entry.sequence} does not follow the one before it")
        try:
            key.verify(record.signature, _to_sign(unit_id, entry))
        except InvalidSignature:
            raise LogBrokenError(f"entry {entry.sequence} was altered, or another unit signed it") from None
        head = LogHead(entry.sequence, entry.digest)
        entries.append(entry)
    return entries


def read_entry(record: LogRecord) -> LogEntry:
    """Return the entry in *record*, unverified. Raises LogBrokenError if it is none."""
    try:
        parts = wire.loads(record.data, "log entry")
        (
            version,
            sequence,
            at,
            quality,
            actor,
            role,
            action,
            outcome,
            purpose,
            case,
            detail,
            sealed,
            previous,
        ) = parts
        if version != VERSION or not isinstance(detail, dict):
            raise ValueError("of another version")
        entry = LogEntry(
            sequence=wire.whole(sequence),
            at=wire.from_microseconds(at),
            quality=wire.text(quality),
            actor=wire.text(actor),
            role=wire.text(role),
            action=wire.text(action),
            outcome=wire.text(outcome),
            purpose=wire.text(purpose),
            case_number=wire.text(case),
            detail={wire.text(name): wire.text(value) for name, value in detail.items()},
            sealed=wire.octets(sealed),
            previous=wire.octets(previous),
        )
        wire.must_be(record.data, entry.encoded(), "log entry")
    except (WireFormatError, TypeError, ValueError) as error:
        raise LogBrokenError(f"an entry of the access log is malformed ({type(error).__name__})") from None
    return entry


def open_detail(entry: LogEntry, unit_id: str, department: X25519PrivateKey) -> dict[str, str]:
    """Return what *entry* keeps for the department; empty if there is none.

    Raises SealBrokenError if it was altered or belongs to another unit or place in the log.
    """
    if not entry.sealed:
        return {}
    try:
        padded = _SUITE.decrypt(entry.sealed, department, info=_detail_info(unit_id, entry.sequence))
        fields = wire.loads(padded[4 : 4 + int.from_bytes(padded[:4], "big")], "detail")
        return {wire.text(name): wire.text(value) for name, value in fields.items()}
    except (InvalidTag, WireFormatError, ValueError, TypeError, AttributeError) as error:
        raise SealBrokenError(f"detail of entry {entry.sequence} does not open") from error


def encode_piece(piece: LogPiece, key: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    """Return *piece* as bytes with the unit's signature over them."""
    payload = _piece_payload(piece)
    return payload, key.sign(_PIECE_TAG + payload)


def decode_piece(payload: bytes, signature: bytes, key: Ed25519PublicKey) -> LogPiece:
    """Return the piece in *payload* if the unit's *key* signed it; its chain is yet to be followed.

    Raises SealBrokenError if the signature does not fit, WireFormatError if the bytes are no piece.
    """
    if len(payload) > MAX_PIECE_BYTES:
        raise WireFormatError(f"piece of the access log is larger than {MAX_PIECE_BYTES} bytes")
    try:
        key.verify(signature, _PIECE_TAG + payload)
    except InvalidSignature:
        raise SealBrokenError("piece of the access log is not signed by this unit's key") from None
    what = "piece of the access log"
    fields = wire.versioned(wire.loads(payload, what), what, VERSION)
    try:
        piece = LogPiece(
            wire.identifier(fields["unit"]),
            tuple(LogRecord(wire.octets(data), wire.octets(signed)) for data, signed in fields["records"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireFormatError(
            f"piece of the access log has a field missing or of a wrong type ({type(error).__name__})"
        ) from None
    if len(piece.records) > MOST_RECORDS:
        raise WireFormatError(f"piece of the access log holds more than {MOST_RECORDS} entries")
    wire.must_be(payload, _piece_payload(piece), "piece of the access log")
    return piece


def encode_log_receipt(receipt: LogReceipt, key: Ed25519PrivateKey) -> bytes:
    """Return *receipt* as bytes, signed by the department's *key*: a CBOR array of payload and signature."""
    return encode_signed(_receipt_payload(receipt), _RECEIPT_TAG, key)


def decode_log_receipt(data: bytes, key: Ed25519PublicKey, unit_id: str) -> LogReceipt:
    """Return the receipt in *data* if the department's *key* signed it for *unit_id*.

    Raises ReceiptInvalidError if not. Whether its head is in the unit's log is for the caller to see.
    """
    again = "access log: %s; it is sent again"
    receipt = decode_signed(
        data, _RECEIPT_TAG, key, version=VERSION, parse=_receipt, encode=_receipt_payload, refusal=again
    )
    if receipt.unit_id != unit_id:
        raise ReceiptInvalidError(again % "receipt names another unit")
    return receipt


def _piece_payload(piece: LogPiece) -> bytes:
    records: Sequence[object] = [[each.data, each.signature] for each in piece.records]
    return wire.dumps({"v": VERSION, "unit": wire.identifier(piece.unit_id), "records": records})


def _receipt(fields: dict[str, Any]) -> LogReceipt:
    return LogReceipt(
        wire.identifier(fields["unit"]),
        LogHead(wire.whole(fields["sequence"]), wire.octets(fields["digest"])),
        wire.from_seconds(fields["received"]),
    )


def _receipt_payload(receipt: LogReceipt) -> bytes:
    return wire.dumps(
        {
            "v": VERSION,
            "unit": wire.identifier(receipt.unit_id),
            "sequence": receipt.head.sequence,
            "digest": receipt.head.digest,
            "received": wire.seconds(receipt.received_at),
        }
    )


def _to_sign(unit_id: str, entry: LogEntry) -> bytes:
    return _SIGN_TAG + len(unit_id).to_bytes(2, "big") + unit_id.encode() + entry.digest


def _sealed(secret: Mapping[str, str], unit_id: str, sequence: int, department: X25519PublicKey) -> bytes:
    data = wire.dumps(dict(secret))
    filled = len(data).to_bytes(4, "big") + data
    # How long it is must not tell how long the plate was.
    filled += bytes(-len(filled) % _BLOCK_BYTES)
    return _SUITE.encrypt(filled, department, info=_detail_info(unit_id, sequence))


def _detail_info(unit_id: str, sequence: int) -> bytes:
    return _DETAIL_TAG + len(unit_id).to_bytes(2, "big") + unit_id.encode() + sequence.to_bytes(8, "big")


def _short(text: str) -> str:
    """Return *text* in one line that fits an entry: what people type must not make a log unreadable."""
    return "".join(sign if sign.isprintable() else " " for sign in text)[:_MOST_CHARACTERS]
