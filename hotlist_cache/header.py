"""What the department signed of a list, in bytes: the rules of trust that need nothing but a key.

Layout of a snapshot: magic (8 bytes), length of the header (4, big-endian), header (CBOR), signature (64),
body (`section`). The department signs a domain tag and the header with Ed25519. The header holds the SHA-256
of the body as it travels and that of the entries as columns: the first is asked before anything is unpacked,
the second names the content, however it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hotlist_cache.columns import Shape, shape_of, whole
from hotlist_cache.errors import SnapshotRejectedError

VERSION = 2

Buffer = bytes | bytearray | memoryview

SIGNATURE_BYTES = 64
_MAGIC = b"ALPRHOT2"
# A signature made for one purpose can never be shown as another: each has its own tag.
_TAG = b"alpr-edge hotlist v2\x00"
_LENGTH_BYTES = 4
_MAX_HEADER_BYTES = 4096
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """What the department signed of a list. Two equal headers are of the same list, byte for byte."""

    sequence: int
    """From 1; a list with a higher one replaces this list."""
    issued_at: datetime
    """Aware UTC, whole seconds."""
    expires_at: datetime
    """Aware UTC, whole seconds; not accepted at or after."""
    shrink_approved: bool
    """The department approved that this list is much shorter than the one before."""
    shape: Shape
    content: bytes
    """SHA-256 of the entries as columns: the same whether the list came whole or as changes to another."""
    digest: bytes
    """SHA-256 of the body as it travels."""
    body_bytes: int
    """Length of the body as it travels."""

    @property
    def entries(self) -> int:
        """Plates of up to ten characters."""
        return self.shape.entries

    @property
    def patterns(self) -> int:
        """Partial plates, and plates of more than ten characters."""
        return self.shape.patterns

    @property
    def count(self) -> int:
        """All entries of the list."""
        return self.shape.rows


def sign_header(header: SnapshotHeader, key: Ed25519PrivateKey) -> bytes:
    """Return *header* signed by *key*: magic to signature."""
    fields = {
        "v": VERSION,
        "sequence": header.sequence,
        "issued": int(header.issued_at.timestamp()),
        "expires": int(header.expires_at.timestamp()),
        "shrink_approved": header.shrink_approved,
        "shape": header.shape.to_cbor(),
        "content": header.content,
        "digest": header.digest,
        "bytes": header.body_bytes,
    }
    data = cbor2.dumps(fields, canonical=True)
    return _MAGIC + len(data).to_bytes(_LENGTH_BYTES, "big") + data + key.sign(_TAG + data)


def verify_header(data: Buffer, keys: Sequence[Ed25519PublicKey]) -> tuple[SnapshotHeader, int]:
    """Return the header at the start of *data* and where the body begins: rules 1 to 3 of `snapshot`.

    Raises SnapshotRejectedError if a rule is broken.
    """
    header, signature, end = _parts(data)
    # 2. A key that the unit accepts signed the header.
    if not signed_by(keys, signature, _TAG + header):
        raise SnapshotRejectedError(
            "hotlist: the snapshot is not signed by a key this unit accepts; get it again, "
            "and if that does not help, enroll the unit anew"
        )
    # 3. The header has all its fields, in a version this software knows.
    return _header(header), end


def read_header(data: Buffer) -> SnapshotHeader:
    """Return the header at the start of *data* without asking who signed it: rules 1 and 3 of `snapshot`.

    For bytes whose origin is sure by other means.

    Raises SnapshotRejectedError if a rule is broken.
    """
    return _header(_parts(data)[0])


def signed_by(keys: Sequence[Ed25519PublicKey], signature: bytes, message: bytes) -> bool:
    """Whether one of *keys* made *signature* over *message*."""
    for key in keys:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return True
    return False


def sha256_of(value: object) -> bytes:
    """Return *value* if it can be a SHA-256.

    Raises TypeError if not.
    """
    if not isinstance(value, bytes) or len(value) != _DIGEST_BYTES:
        raise TypeError("32 bytes expected")
    return value


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
    end = start + length + SIGNATURE_BYTES
    if len(view) < end or length > _MAX_HEADER_BYTES:
        raise SnapshotRejectedError("hotlist: the snapshot is cut short or altered; get it again")
    return bytes(view[start : start + length]), bytes(view[start + length : end]), end


def _header(data: bytes) -> SnapshotHeader:
    try:
        fields = cbor2.loads(data)
        if fields["v"] != VERSION:
            raise SnapshotRejectedError(
                f"hotlist: the snapshot is of version {fields['v']}, not {VERSION}; update the older side"
            )
        header = SnapshotHeader(
            sequence=whole(fields["sequence"]),
            issued_at=datetime.fromtimestamp(whole(fields["issued"]), UTC),
            expires_at=datetime.fromtimestamp(whole(fields["expires"]), UTC),
            shrink_approved=fields["shrink_approved"] is True,
            shape=shape_of(fields["shape"]),
            content=sha256_of(fields["content"]),
            digest=sha256_of(fields["digest"]),
            body_bytes=whole(fields["bytes"]),
        )
    except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise SnapshotRejectedError(
            "hotlist: the snapshot's header is malformed; publish it again"
        ) from error
    if header.sequence < 1:
        raise SnapshotRejectedError("hotlist: the snapshot's header is out of bounds; publish it again")
    return header
