"""Write the snapshot vectors: `python -m tests.vectors.snapshots_make`, from the repository's root.

Only needed when the format changes, and then under a new version: units in service read what was written.
"""

import hashlib
from datetime import timedelta
from pathlib import Path

import cbor2

from hotlist_cache.entry import Priority
from hotlist_cache.snapshot import encode_snapshot
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


def make() -> dict[str, bytes]:
    """Return each vector under its file name, which says what is wrong with it."""
    good = encode_snapshot(ENTRIES, sequence=7, issued_at=ISSUED, expires_at=EXPIRES, key=KEY)
    header_end = 12 + int.from_bytes(good[8:12], "big")
    body = good[header_end + 64 :]
    header = cbor2.loads(good[12:header_end])

    def signed(**changes: object) -> bytes:
        fields = cbor2.dumps({**header, **changes}, canonical=True)
        signature = KEY.sign(b"alpr-edge hotlist v1\x00" + fields)
        return good[:8] + len(fields).to_bytes(4, "big") + fields + signature + body

    late = ISSUED + timedelta(days=30)
    return {
        "good": good,
        "not-a-snapshot": b"plate,state\n",
        "unsigned": good[:header_end] + bytes(64) + body,
        "signed-by-another": encode_snapshot(
            ENTRIES, sequence=7, issued_at=ISSUED, expires_at=EXPIRES, key=OTHER_KEY
        ),
        "altered": good[:-1] + b"!",
        "cut-short": good[:-1],
        "grown": good + b"\n",
        "expired": signed(expires=int(ISSUED.timestamp()) + 60),
        "of-the-future": encode_snapshot(
            ENTRIES, sequence=7, issued_at=late, expires_at=late + timedelta(days=1), key=KEY
        ),
        "older": encode_snapshot(ENTRIES, sequence=6, issued_at=ISSUED, expires_at=EXPIRES, key=KEY),
        "other-under-its-sequence": encode_snapshot(
            ENTRIES[1:], sequence=7, issued_at=ISSUED, expires_at=EXPIRES, key=KEY
        ),
        "shrunken": encode_snapshot(ENTRIES[:2], sequence=8, issued_at=ISSUED, expires_at=EXPIRES, key=KEY),
        "shrunken-approved": encode_snapshot(
            ENTRIES[:2], sequence=8, issued_at=ISSUED, expires_at=EXPIRES, key=KEY, shrink_approved=True
        ),
        "unknown-version": signed(v=2),
        "sequence-is-text": signed(sequence="8"),
        "rack-missing": signed(lengths=header["lengths"][:-1]),
        "count-too-high": signed(sequence=8, entries=header["entries"] + 1),
        "body-of-another": signed(sequence=8, digest=hashlib.sha256(b"").digest()),
    }


if __name__ == "__main__":
    for name, data in make().items():
        (FOLDER / f"{name}.snapshot").write_bytes(data)
