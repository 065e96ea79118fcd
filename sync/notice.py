"""The department's word that a hotlist snapshot is there to be pulled.

It is only a hint: what makes a snapshot valid is the department's signature inside it. A false notice can
cost one useless download of a bounded size, no more.
"""

import json
import re
from dataclasses import dataclass

from sync.errors import WireFormatError

MAX_NOTICE_BYTES = 1024
MAX_HOTLIST_BYTES = 2 * 1024 * 1024 * 1024
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class HotlistNotice:
    """Names the newest snapshot."""

    sequence: int
    """Grows with every snapshot."""
    sha256: str
    """Of the snapshot's file, 64 lower-case hexadecimal digits."""
    size_bytes: int


def encode_notice(notice: HotlistNotice) -> bytes:
    """Return *notice* as JSON, as `GET /v1/hotlist` and the topic `alpr/hotlist` carry it."""
    fields = {"sequence": notice.sequence, "sha256": notice.sha256, "bytes": notice.size_bytes}
    return json.dumps(fields).encode()


def parse_notice(data: bytes) -> HotlistNotice:
    """Return the notice in *data*; keys that are not known are left out.

    Raises WireFormatError if it is not one, or names a snapshot larger than `MAX_HOTLIST_BYTES`.
    """
    if len(data) > MAX_NOTICE_BYTES:
        raise WireFormatError(f"hotlist notice is larger than {MAX_NOTICE_BYTES} bytes; left unread")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise WireFormatError("hotlist notice is not JSON") from None
    if not isinstance(fields, dict):
        raise WireFormatError("hotlist notice is not a JSON object")
    sequence, digest, size = fields.get("sequence"), fields.get("sha256"), fields.get("bytes")
    if type(sequence) is not int or not 0 < sequence < 2**63:
        raise WireFormatError("hotlist notice: sequence is not a positive whole number")
    if not isinstance(digest, str) or _HEX_DIGEST.fullmatch(digest) is None:
        raise WireFormatError("hotlist notice: sha256 is not 64 lower-case hexadecimal digits")
    if type(size) is not int or not 0 < size <= MAX_HOTLIST_BYTES:
        raise WireFormatError(f"hotlist notice: bytes is not in 1 to {MAX_HOTLIST_BYTES}")
    return HotlistNotice(sequence, digest, size)
