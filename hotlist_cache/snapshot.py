"""A signed, dated whole list of wanted plates, in bytes. All rules of trust stand here, numbered.

Layout: magic (8 bytes), length of the header (4, big-endian), header (CBOR), signature (64), body (`body`).
The department signs a domain tag and the header with Ed25519; the header holds the SHA-256 of the body. The
rules, in the order in which they are asked; whatever fails one is rejected, and the list in force stays:

 1. The bytes begin as a snapshot does, and are not cut short before the body.
 2. A key that the unit accepts signed the header.
 3. The header has all its fields, in a version this software knows.
 4. It was not issued in the future, by the unit's clock with some allowance.
 5. It has not expired.
 6. Its sequence is not below the one in force; with an equal one, it is the very list in force.
 7. It has not lost more than the allowed share of entries, unless the department signed that it may.
 8. The body is as long as the header says, and has the digest that the header says.
 9. Each rack of the body can hold what the header says it holds.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hotlist_cache.body import Body, encode_body
from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry
from hotlist_cache.errors import SnapshotRejectedError

VERSION = 1
MAX_ENTRIES = 50_000_000

Buffer = bytes | bytearray | memoryview

_MAGIC = b"ALPRHOT1"
# A signature made for one purpose can never be shown as another: each has its own tag.
_TAG = b"alpr-edge hotlist v1\x00"
_LENGTH_BYTES = 4
_MAX_HEADER_BYTES = 4096
_SIGNATURE_BYTES = 64
_RACKS = 5


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """What the department signed of a list. Two equal headers are of the same list, byte for byte."""

    sequence: int
    """From 1; a list with a higher one replaces this list."""
    issued_at: datetime
    """Aware UTC, whole seconds."""
    expires_at: datetime
    """Aware UTC, whole seconds; not accepted at or after."""
    entries: int
    """Plates of up to ten characters."""
    patterns: int
    """Partial plates, and plates of more than ten characters."""
    shrink_approved: bool
    """The department approved that this list is much shorter than the one before."""
    shared: tuple[int, int]
    """How many contexts and vehicles the body holds."""
    lengths: tuple[int, ...]
    """Of the body's racks, in bytes."""
    digest: bytes
    """SHA-256 of the body."""

    @property
    def count(self) -> int:
        """All entries of the list."""
        return self.entries + self.patterns


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A verified list. Its entries stay in the bytes it was made of until they are asked for."""

    header: SnapshotHeader
    body: Body = field(repr=False, compare=False)
    signed_header: bytes = field(repr=False, compare=False)
    """Magic to signature: what proves the header without the body."""

    def entries(self) -> Iterator[Entry]:
        """Yield every entry. For reports and tests: makes one object per entry."""
        for number in range(self.header.count):
            yield self.body.entry(number)


def encode_snapshot(
    entries: Iterable[Entry],
    *,
    sequence: int,
    issued_at: datetime,
    expires_at: datetime,
    key: Ed25519PrivateKey,
    shrink_approved: bool = False,
) -> bytes:
    """Return *entries* as a list signed by the department's *key*.

    *sequence* is higher than that of every list published before. Times are aware; fractions of a second are
    dropped, in the entries too. *entries* is read once; an entry given twice is held once.

    Raises ValueError for a sequence below 1, a list that would expire before it is issued, an entry whose
    pattern is not one, and a text with a control character.
    """
    if sequence < 1:
        raise ValueError("a sequence counts from 1")
    if issued_at.tzinfo is None or expires_at.tzinfo is None or not issued_at < expires_at:
        raise ValueError("a list is issued at an aware time before the aware time at which it expires")
    body = encode_body(entries)
    digest = hashlib.sha256()
    for rack in body.racks:
        digest.update(rack)
    header = cbor2.dumps(
        {
            "v": VERSION,
            "sequence": sequence,
            "issued": int(issued_at.timestamp()),
            "expires": int(expires_at.timestamp()),
            "entries": body.entries,
            "patterns": body.patterns,
            "shrink_approved": shrink_approved,
            "shared": [body.contexts, body.vehicles],
            "lengths": [len(rack) for rack in body.racks],
            "digest": digest.digest(),
        },
        canonical=True,
    )
    start = _MAGIC + len(header).to_bytes(_LENGTH_BYTES, "big") + header
    return b"".join((start, key.sign(_TAG + header), *body.racks))


def verify_header(data: Buffer, keys: Sequence[Ed25519PublicKey]) -> tuple[SnapshotHeader, int]:
    """Return the header at the start of *data* and where the body begins: rules 1 to 3.

    Raises SnapshotRejectedError if a rule is broken.
    """
    header, signature, end = _parts(data)
    # 2. A key that the unit accepts signed the header. Nothing of it is looked at before.
    if not any(_signed_by(key, signature, header) for key in keys):
        raise SnapshotRejectedError(
            "hotlist: the snapshot is not signed by a key this unit accepts; get it again, "
            "and if that does not help, enroll the unit anew"
        )
    # 3. The header has all its fields, in a version this software knows.
    return _header(header), end


def read_header(data: Buffer) -> SnapshotHeader:
    """Return the header at the start of *data* without asking who signed it: rules 1 and 3.

    For bytes whose origin is sure by other means.

    Raises SnapshotRejectedError if a rule is broken.
    """
    return _header(_parts(data)[0])


def _parts(data: Buffer) -> tuple[bytes, bytes, int]:
    """Return header, signature and where the body begins."""
    view = memoryview(data)
    # 1. The bytes begin as a snapshot does, and are not cut short before the body.
    start = len(_MAGIC) + _LENGTH_BYTES
    if bytes(view[: len(_MAGIC)]) != _MAGIC:
        raise SnapshotRejectedError(
            "hotlist: this is not a snapshot; get it from the department's server again"
        )
    length = int.from_bytes(view[len(_MAGIC) : start], "big")
    end = start + length + _SIGNATURE_BYTES
    if len(view) < end or length > _MAX_HEADER_BYTES:
        raise SnapshotRejectedError("hotlist: the snapshot is cut short or altered; get it again")
    return bytes(view[start : start + length]), bytes(view[start + length : end]), end


def verify_snapshot(
    data: Buffer,
    *,
    keys: Sequence[Ed25519PublicKey],
    now: datetime,
    in_force: SnapshotHeader | None,
    config: HotlistConfig,
) -> Snapshot:
    """Return the list in *data* if it may replace the one *in_force* at *now*: rules 1 to 9.

    *in_force* is the header of the newest list ever accepted, also if that list is gone since; None on a unit
    that never had one. The snapshot goes on reading *data*: nobody changes it from here on.

    Raises SnapshotRejectedError naming what is wrong and what to do; the list in force stays.
    """
    header, _ = verify_header(data, keys)
    what = f"hotlist {header.sequence}"
    # 4. It was not issued in the future.
    if header.issued_at > now + timedelta(seconds=config.max_clock_lead_s):
        raise SnapshotRejectedError(f"{what}: issued in the future; check the clocks of unit and department")
    # 5. It has not expired.
    if now >= header.expires_at:
        raise SnapshotRejectedError(f"{what}: expired; publish a new list, or check the unit's clock")
    if in_force is not None:
        # 6. Its sequence is not below the one in force; with an equal one, it is the very list in force.
        if header.sequence < in_force.sequence:
            raise SnapshotRejectedError(
                f"{what}: older than list {in_force.sequence}, which this unit accepted; publish a new list"
            )
        if header.sequence == in_force.sequence and header != in_force:
            raise SnapshotRejectedError(
                f"{what}: not the list this unit accepted under that sequence; publish it under a new one"
            )
        # 7. It has not lost more than the allowed share of entries.
        least = in_force.count * (1 - config.max_shrink)
        if header.count < least and not header.shrink_approved:
            raise SnapshotRejectedError(
                f"{what}: shrunken from {in_force.count} to {header.count} entries; "
                "check the source, or publish it with the shrinking approved"
            )
    return open_snapshot(data, keys=keys)


def open_snapshot(data: Buffer, *, keys: Sequence[Ed25519PublicKey]) -> Snapshot:
    """Return the list in *data* whatever its age: rules 1 to 3, 8 and 9.

    For a list that was accepted before: a unit that starts with a wrong clock, or after a week in the garage,
    keeps its list, and the alert policy makes the alerts of an old one advisory.

    Raises SnapshotRejectedError if a rule is broken.
    """
    header, start = verify_header(data, keys)
    view = memoryview(data)
    body = view[start:].toreadonly()
    what = f"hotlist {header.sequence}"
    # 8. The body is as long as the header says, and has the digest that the header says.
    if len(body) != sum(header.lengths):
        raise SnapshotRejectedError(f"{what}: cut short or grown on the way; get it again")
    if hashlib.sha256(body).digest() != header.digest:
        raise SnapshotRejectedError(f"{what}: altered on the way; get it again")
    # 9. Each rack of the body can hold what the header says it holds.
    racks = []
    for length in header.lengths:
        racks.append(body[:length])
        body = body[length:]
    entries = Body(racks, entries=header.entries, patterns=header.patterns, shared=header.shared)
    return Snapshot(header, entries, bytes(view[:start]))


def _signed_by(key: Ed25519PublicKey, signature: bytes, header: bytes) -> bool:
    try:
        key.verify(signature, _TAG + header)
    except InvalidSignature:
        return False
    return True


def _header(data: bytes) -> SnapshotHeader:
    try:
        fields = cbor2.loads(data)
        if fields["v"] != VERSION:
            raise SnapshotRejectedError(
                f"hotlist: the snapshot is of version {fields['v']}, not {VERSION}; update the older side"
            )
        contexts, vehicles = fields["shared"]
        header = SnapshotHeader(
            sequence=_whole(fields["sequence"]),
            issued_at=datetime.fromtimestamp(_whole(fields["issued"]), UTC),
            expires_at=datetime.fromtimestamp(_whole(fields["expires"]), UTC),
            entries=_whole(fields["entries"]),
            patterns=_whole(fields["patterns"]),
            shrink_approved=fields["shrink_approved"] is True,
            shared=(_whole(contexts), _whole(vehicles)),
            lengths=tuple(_whole(length) for length in fields["lengths"]),
            digest=bytes(fields["digest"]),
        )
    except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise SnapshotRejectedError(
            "hotlist: the snapshot's header is malformed; publish it again"
        ) from error
    if header.sequence < 1 or header.count > MAX_ENTRIES or len(header.lengths) != _RACKS:
        raise SnapshotRejectedError("hotlist: the snapshot's header is out of bounds; publish it again")
    return header


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("a whole number expected")
    return value
