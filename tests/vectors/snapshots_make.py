"""Write the snapshot vectors: `python -m tests.vectors.snapshots_make`, from the repository's root.

Only needed when the format changes, and then under a new version: units in service read what was written.
"""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.snapshot import EVERYTHING, encode_snapshot
from tests.hotlists import EXPIRES, ISSUED, KEY, OTHER_KEY, an_entry

FOLDER = Path(__file__).parent / "snapshots"
ENTRIES = [
    an_entry("7ABC123", "1"),
    an_entry("7ABC123", "2", state="US-NV", priority=Priority.LOW),
    an_entry("ABO123", "3", expires=EXPIRES),
    an_entry("WX12345", "4", state="PL", effective=ISSUED),
    an_entry("8D?F*", "5", state=None, priority=Priority.MEDIUM),
    an_entry("ABCDEFGHJKLM", "6"),
]


def a_list(
    sequence: int,
    entries: list[Entry] = ENTRIES,
    *,
    issued_at: datetime = ISSUED,
    key: Ed25519PrivateKey = KEY,
    shrink_approved: bool = False,
) -> bytes:
    """Return a list that carries everything and expires a week after it is issued."""
    return encode_snapshot(
        entries,
        sequence=sequence,
        issued_at=issued_at,
        expires_at=issued_at + (EXPIRES - ISSUED),
        key=key,
        shrink_approved=shrink_approved,
        carried=EVERYTHING,
    )


def make() -> dict[str, bytes]:
    """Return each vector under its file name, which says what is wrong with it."""
    good = a_list(7)
    header_end = 12 + int.from_bytes(good[8:12], "big")
    body = good[header_end + 64 :]
    header = cbor2.loads(good[12:header_end])
    entries, *rest = header["shape"]

    def signed(**changes: object) -> bytes:
        fields = cbor2.dumps({**header, **changes}, canonical=True)
        signature = KEY.sign(b"alpr-edge hotlist v2\x00" + fields)
        return good[:8] + len(fields).to_bytes(4, "big") + fields + signature + body

    late = ISSUED + timedelta(days=30)
    return {
        "good": good,
        "not-a-snapshot": b"plate,state\n",
        "unsigned": good[:header_end] + bytes(64) + body,
        "signed-by-another": a_list(7, key=OTHER_KEY),
        "altered": good[:-1] + b"!",
        "cut-short": good[:-1],
        "grown": good + b"\n",
        "expired": signed(expires=int(ISSUED.timestamp()) + 60),
        "of-the-future": a_list(7, issued_at=late),
        "older": a_list(6),
        "other-under-its-sequence": a_list(7, ENTRIES[1:]),
        "shrunken": a_list(8, ENTRIES[:2]),
        "shrunken-approved": a_list(8, ENTRIES[:2], shrink_approved=True),
        "unknown-version": signed(v=3),
        "sequence-is-text": signed(sequence="8"),
        "column-missing": signed(shape=[entries, rest[0], rest[1][:-1]]),
        "count-too-high": signed(sequence=8, shape=[entries + 1, *rest]),
        "entries-of-another": signed(sequence=8, content=hashlib.sha256(b"").digest()),
        "body-of-another": signed(sequence=8, digest=hashlib.sha256(b"").digest()),
    }


if __name__ == "__main__":
    for name, data in make().items():
        (FOLDER / f"{name}.snapshot").write_bytes(data)
