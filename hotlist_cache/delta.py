"""A signed change from one list to a later one: what to delete, then what to add.

Layout: magic (8 bytes), payload (CBOR), signature (64) over a domain tag and the payload. The payload is a
map: `v`; `base`, the sequence and content digest of the list it changes; `list`, the signed header of the
list it makes, the very bytes with which that list begins when it travels whole; `deletes` and `adds`, each a
shape (`columns`) and a section (`section`). An entry that changed is deleted and added.

So a unit that applied changes and one that fetched the whole list hold the same header and the same columns,
byte for byte: the header's content digest is asked of the result. It is a plain SHA-256 over all columns.
That reads 50 MB for five million entries, some 0.05 s where the processor has instructions for it and 0.2 s
where not, about what laying out the columns costs anyway; a tree of hashes would save none of that, since
an entry added moves all behind it, and a sum of hashes of rows is either slow or forgeable.

The rules, in the order in which they are asked. What fails one is rejected, and the list in force stays; the
unit then fetches the whole list:

 1. The bytes begin as a delta does, and are not cut short.
 2. A key that the unit accepts signed them, and the header in them.
 3. The payload and the header have all their fields, in versions this software knows, and nothing else.
 4. The base is the list in force, or what the delta before it makes.
 5. The list it makes is of a higher sequence and not shrunken: rules 6 and 7 of `snapshot`. The last one of
    several was not issued in the future and has not expired: rules 4 and 5 there.
 6. Each entry to delete is there, each to add is not.
 7. The result has the shape and the digest that the header says: rule 9 of `snapshot`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hotlist_cache.columns import Shape, shape_of, whole
from hotlist_cache.comparing import compare
from hotlist_cache.encoding import Row, Section, encode_section
from hotlist_cache.errors import HotlistError, SnapshotRejectedError
from hotlist_cache.header import (
    SIGNATURE_BYTES,
    Buffer,
    SnapshotHeader,
    read_header,
    sha256_of,
    signed_by,
    verify_header,
)

VERSION = 1
MAX_CHANGES = 500_000
"""A change of more entries is better fetched as the whole list."""

_MAGIC = b"ALPRDEL1"
_TAG = b"alpr-edge hotlist delta v1\x00"


class DeltaNotForThisListError(HotlistError):
    """A delta changes another list than the one in force: keep that, and fetch the whole list."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A verified change: rules 1 to 3."""

    base_sequence: int
    base_content: bytes
    header: SnapshotHeader
    """Of the list it makes."""
    signed_header: bytes = field(repr=False)
    deletes: tuple[Shape, bytes] = field(repr=False)
    adds: tuple[Shape, bytes] = field(repr=False)


def encode_delta(base: Buffer, new: Buffer, *, key: Ed25519PrivateKey) -> bytes:
    """Return the change from the list *base* to the list *new*, both as they travel whole, signed by *key*.

    Needs no arrays: the server may call it. Of five million entries each it takes some 15 s and 1.5 GB.

    Raises ValueError if *new* is not the later list, or differs in more than `MAX_CHANGES` entries;
    SnapshotRejectedError if one of them is no list.
    """
    before, after = read_header(base), read_header(new)
    if before.sequence >= after.sequence:
        raise ValueError("a delta leads from a list to one of a higher sequence")
    old_body = memoryview(base)[len(base) - before.body_bytes :]
    new_body = memoryview(new)[len(new) - after.body_bytes :]
    gone, come = compare(old_body, before.shape, new_body, after.shape)
    return encode_change(before, bytes(memoryview(new)[: len(new) - after.body_bytes]), gone, come, key=key)


def encode_change(
    before: SnapshotHeader,
    signed_header: bytes,
    gone: Sequence[Row],
    come: Sequence[Row],
    *,
    key: Ed25519PrivateKey,
) -> bytes:
    """Return the change from the list *before* to that of *signed_header* by the rows that are *gone* and
    *come*, signed by *key*.

    Raises ValueError if they are more than `MAX_CHANGES`.
    """
    if len(gone) + len(come) > MAX_CHANGES:
        raise ValueError(f"more than {MAX_CHANGES} entries changed: let units fetch the whole list")
    payload = cbor2.dumps(
        {
            "v": VERSION,
            "base": [before.sequence, before.content],
            "list": signed_header,
            "deletes": _packed(encode_section(gone)),
            "adds": _packed(encode_section(come)),
        },
        canonical=True,
    )
    return _MAGIC + payload + key.sign(_TAG + payload)


def read_delta(data: Buffer, keys: Sequence[Ed25519PublicKey]) -> Delta:
    """Return the change in *data*: rules 1 to 3.

    Raises SnapshotRejectedError if a rule is broken.
    """
    data = bytes(data)
    # 1. The bytes begin as a delta does, and are not cut short.
    if not data.startswith(_MAGIC) or len(data) < len(_MAGIC) + SIGNATURE_BYTES:
        raise SnapshotRejectedError("hotlist: this is not a delta; fetch the whole list")
    payload, signature = data[len(_MAGIC) : -SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    # 2. A key that the unit accepts signed them, and the header in them.
    if not signed_by(keys, signature, _TAG + payload):
        raise SnapshotRejectedError(
            "hotlist: the delta is not signed by a key this unit accepts; fetch the whole list"
        )
    # 3. The payload and the header have all their fields.
    try:
        fields = cbor2.loads(payload)
        if fields["v"] != VERSION:
            raise SnapshotRejectedError(
                f"hotlist: the delta is of version {fields['v']}, not {VERSION}; update the older side"
            )
        sequence, content = fields["base"]
        signed_header = fields["list"]
        header, end = verify_header(signed_header, keys)
        delta = Delta(
            whole(sequence),
            sha256_of(content),
            header,
            signed_header,
            _opened(fields["deletes"]),
            _opened(fields["adds"]),
        )
    except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError) as error:
        raise SnapshotRejectedError("hotlist: the delta is malformed; fetch the whole list") from error
    if (
        end != len(signed_header)
        or len(fields) != 5
        or cbor2.dumps(fields, canonical=True) != payload
        or delta.deletes[0].rows + delta.adds[0].rows > MAX_CHANGES
    ):
        raise SnapshotRejectedError("hotlist: the delta is out of bounds; fetch the whole list")
    return delta


def read_chain(
    base: SnapshotHeader, deltas: Sequence[Buffer], keys: Sequence[Ed25519PublicKey]
) -> list[Delta]:
    """Return *deltas*, each of which changes what the one before makes, the first *base*: rules 1 to 4.

    Raises DeltaNotForThisListError if one is missing or they are for another list, SnapshotRejectedError if
    another rule is broken.
    """
    chain = []
    header = base
    for data in deltas:
        delta = read_delta(data, keys)
        # 4. The base is the list in force, or what the delta before it makes.
        if (delta.base_sequence, delta.base_content) != (header.sequence, header.content):
            raise DeltaNotForThisListError(
                f"hotlist: a delta to list {delta.header.sequence} changes list {delta.base_sequence}, "
                f"but there is list {header.sequence}; fetch the whole list"
            )
        chain.append(delta)
        header = delta.header
    return chain


def _packed(section: Section) -> list[object]:
    return [section.shape.to_cbor(), section.data]


def _opened(value: object) -> tuple[Shape, bytes]:
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], bytes):
        raise TypeError("a shape and a section expected")
    return shape_of(value[0]), value[1]
