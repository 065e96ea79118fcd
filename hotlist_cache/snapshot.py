"""A signed, dated whole list of wanted plates, and what may come into force. All rules of trust, numbered.

In the order in which they are asked; whatever fails one is rejected, and the list in force stays:

 1. The bytes begin as a snapshot does, and are not cut short before the body.
 2. A key that the unit accepts signed the header.
 3. The header has all its fields, in a version this software knows.
 4. It was not issued in the future, by the unit's clock with some allowance.
 5. It has not expired.
 6. Its sequence is not below the one in force; with an equal one, it is the very list in force.
 7. It has not lost more than the allowed share of entries, unless the department signed that it may.
 8. The body is as long as the header says, and has the digest that the header says.
 9. The body holds what the header says it holds, and its entries have the digest that the header says.

The layout of the header is told in `header`, that of the body in `section`. What is accepted is kept as
columns (`columns`), behind the signed header.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hotlist_cache.body import Body
from hotlist_cache.columns import Shape
from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.header import VERSION, Buffer, SnapshotHeader, read_header, verify_header
from hotlist_cache.publishing import EVERYTHING, Carried, encode_snapshot

__all__ = [
    "EVERYTHING",
    "VERSION",
    "Buffer",
    "Carried",
    "Snapshot",
    "SnapshotHeader",
    "encode_snapshot",
    "frame",
    "in_frame",
    "open_snapshot",
    "open_stored",
    "read_header",
    "verify_date",
    "verify_header",
    "verify_snapshot",
    "verify_successor",
]

_FRAME_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A verified list. Its entries stay in the bytes it was made of until they are asked for."""

    header: SnapshotHeader
    body: Body = field(repr=False, compare=False)
    signed_header: bytes = field(repr=False, compare=False)
    """Magic to signature: what proves the header without the body."""
    stored: memoryview = field(repr=False, compare=False)
    """The signed header, zeros up to a multiple of 64 bytes, the columns: what `open_stored` takes."""

    @property
    def columns(self) -> memoryview:
        """The entries as columns."""
        return self.stored[len(self.stored) - self.header.shape.bytes :]

    def entries(self) -> Iterator[Entry]:
        """Yield every entry. For reports and tests: makes one object per entry."""
        for number in range(self.header.count):
            yield self.body.entry(number)


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
    that never had one.

    Raises SnapshotRejectedError naming what is wrong and what to do; the list in force stays.
    """
    header, _ = verify_header(data, keys)
    verify_date(header, now, config)
    if in_force is not None:
        verify_successor(header, in_force, config)
    return open_snapshot(data, keys=keys)


def verify_date(header: SnapshotHeader, now: datetime, config: HotlistConfig) -> None:
    """Raise SnapshotRejectedError if a list with *header* may not come into force at *now*: rules 4 and 5."""
    what = f"hotlist {header.sequence}"
    # 4. It was not issued in the future.
    if header.issued_at > now + timedelta(seconds=config.max_clock_lead_s):
        raise SnapshotRejectedError(f"{what}: issued in the future; check the clocks of unit and department")
    # 5. It has not expired.
    if now >= header.expires_at:
        raise SnapshotRejectedError(f"{what}: expired; publish a new list, or check the unit's clock")


def verify_successor(header: SnapshotHeader, in_force: SnapshotHeader, config: HotlistConfig) -> None:
    """Raise SnapshotRejectedError if *header*'s list may not replace the one *in_force*: rules 6 and 7."""
    what = f"hotlist {header.sequence}"
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


def open_snapshot(data: Buffer, *, keys: Sequence[Ed25519PublicKey]) -> Snapshot:
    """Return the list in *data*, as it travelled, whatever its age: rules 1 to 3, 8 and 9.

    Raises SnapshotRejectedError if a rule is broken.
    """
    from hotlist_cache.expanding import expand  # arrays, which the server that imports this does not have

    header, start = verify_header(data, keys)
    view = memoryview(data)
    body = view[start:]
    what = f"hotlist {header.sequence}"
    # 8. The body is as long as the header says, and has the digest that the header says.
    if len(body) != header.body_bytes:
        raise SnapshotRejectedError(f"{what}: cut short or grown on the way; get it again")
    if hashlib.sha256(body).digest() != header.digest:
        raise SnapshotRejectedError(f"{what}: altered on the way; get it again")
    stored, columns = frame(bytes(view[:start]), header.shape)
    expand(body, header.shape, columns)
    return in_frame(header, start, stored)


def open_stored(data: Buffer, *, keys: Sequence[Ed25519PublicKey]) -> Snapshot:
    """Return the list that was `Snapshot.stored` as *data*, whatever its age: rules 1 to 3, and 9.

    For a list that was accepted before: a unit that starts with a wrong clock, or after a week in the garage,
    keeps its list, and the alert policy makes the alerts of an old one advisory. The snapshot goes on reading
    *data*: nobody changes it from here on.

    Raises SnapshotRejectedError if a rule is broken.
    """
    header, end = verify_header(data, keys)
    if len(data) != _framed(end) + header.shape.bytes:
        raise SnapshotRejectedError(f"hotlist {header.sequence}: cut short or grown; get it again")
    return in_frame(header, end, memoryview(data))


def frame(signed_header: bytes, shape: Shape) -> tuple[memoryview, memoryview]:
    """Return room for a list as `Snapshot.stored`, and therein the room for its columns, all zero."""
    start = _framed(len(signed_header))
    stored = memoryview(bytearray(start + shape.bytes))
    stored[: len(signed_header)] = signed_header
    return stored, stored[start:]


def in_frame(header: SnapshotHeader, header_bytes: int, stored: memoryview) -> Snapshot:
    """Return the list whose columns were written into *stored*, if they are what *header* says: rule 9.

    *header_bytes* is the length of the signed header.

    Raises SnapshotRejectedError if not.
    """
    columns = stored[len(stored) - header.shape.bytes :].toreadonly()
    if hashlib.sha256(columns).digest() != header.content:
        raise SnapshotRejectedError(
            f"hotlist {header.sequence}: its entries are not those that were signed; get it again"
        )
    stored = stored.toreadonly()
    return Snapshot(header, Body(columns, header.shape), bytes(stored[:header_bytes]), stored)


def _framed(signed_header_bytes: int) -> int:
    return -(-signed_header_bytes // _FRAME_ALIGNMENT) * _FRAME_ALIGNMENT
