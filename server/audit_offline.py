"""Check an export of the access log without the department: no database, no network, no settings.

    python3 audit_offline.py [--key FINGERPRINT] EXPORT

`evidence_verify.py` must lie beside it, for the signatures. Needs Python 3.10 or newer and nothing else. Exit
status 0: the export is whole. 1: it is not. 2: it cannot be read, or the call is wrong.

An export is JSON lines, each ended by a line feed:

    {"kind": "export", ...}       what it is, who asked for it and why, the public key, the digest before it
    {"kind": "checkpoint", ...}   a signed head; directly after the entry it signs
    {"kind": "entry", ...}        one entry, as it was digested
    {"kind": "end", ...}          counts, and the signature over all lines before it

A court or a defence lawyer can read all of what is relied on: this says again what `audit` and
`audit_checkpoints` digest and sign; a test holds the two together.
"""

import base64
import hashlib
import importlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORM = "alpr-server audit export 1"
SignatureCheck = Callable[[bytes, bytes, bytes], bool]
"""Whether a public key (32 bytes) made a signature (64 bytes) over a message."""

_ENTRY_TAG = b"alpr-server audit v1\x00"
_CHECKPOINT_TAG = b"alpr-server audit checkpoint v1\x00"
_END_TAG = b"alpr-server audit export v1\x00"
_ENTRY_FIELDS = ("sequence", "at", "actor", "action", "outcome", "purpose", "case_number", "source", "detail")


class ExportBrokenError(Exception):
    """The export is not what the department wrote: the message says where it breaks."""


@dataclass(frozen=True, slots=True)
class WholeExport:
    """What an unbroken export holds."""

    department: str
    entries: int
    first: int
    """Sequence number of its first entry."""
    last: int
    checkpoints: int
    key: str
    """Fingerprint of the key that signed it. Compare it with the one the department gave out earlier: who
    made up the whole file has signed it with a key of their own."""
    exported_at: str
    exported_by: str
    purpose: str


def fingerprint(public_key: bytes) -> str:
    """Return how a public key (32 bytes) is named: its SHA-256 in hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def checkpoint_message(number: int, sequence: int, digest: str, signed_at: str, key: str) -> bytes:
    """Return what a checkpoint's signature is over; *digest* and *key* in hexadecimal."""
    return _CHECKPOINT_TAG + json.dumps([number, sequence, digest, signed_at, key]).encode("ascii")


def end_message(sha256: str) -> bytes:
    """Return what an export's signature is over: the digest, in hexadecimal, of all lines before its last."""
    return _END_TAG + sha256.encode("ascii")


def verify_export(lines: Iterable[bytes], signed: SignatureCheck, key: str | None = None) -> WholeExport:
    """Return what the export in *lines*, with their line feeds, holds; *key* is the fingerprint to expect.

    None: any key will do. An empty one is no key, and fits no export.

    Raises ExportBrokenError if an entry was altered, removed, put in or written anew, if it ends too early or
    if another key signed it.
    """
    source = iter(lines)
    first_line = next(source, b"")
    head = _parsed(first_line, 1)
    if head.get("kind") != "export" or head.get("form") != FORM:
        raise ExportBrokenError("this is no export of an access log, or of a newer program")
    public = _bytes(head, "public_key", 1)
    known = fingerprint(public)
    if key is not None and key != known:
        raise ExportBrokenError(f"it was signed with the key {known}, not with {key or 'an empty one'}")
    follower = _Follower(public, known, signed, _bytes(head, "previous", 1), _number(head, "first", 1) - 1)
    digest = hashlib.sha256(first_line)
    for at, line in enumerate(source, 2):
        record = _parsed(line, at)
        kind = record.get("kind")
        if kind == "entry":
            follower.entry(record, at)
        elif kind == "checkpoint":
            follower.checkpoint(record, at)
        elif kind == "end":
            if next(source, None) is not None:
                raise ExportBrokenError(f"line {at + 1}: there is more after the end")
            follower.end(record, digest.hexdigest(), at)
            return WholeExport(
                department=str(head.get("department", "")),
                entries=follower.entries,
                first=_number(head, "first", 1),
                last=follower.sequence,
                checkpoints=follower.checkpoints,
                key=known,
                exported_at=str(head.get("exported_at", "")),
                exported_by=str(head.get("exported_by", "")),
                purpose=str(head.get("purpose", "")),
            )
        else:
            raise ExportBrokenError(f"line {at}: is neither entry, checkpoint nor end")
        digest.update(line)
    raise ExportBrokenError(f"it stops after entry {follower.sequence}: the end is missing")


class _Follower:
    """Goes along the chain, entry by entry."""

    def __init__(
        self, public: bytes, key: str, signed: SignatureCheck, previous: bytes, sequence: int
    ) -> None:
        self.sequence, self.entries, self.checkpoints = sequence, 0, 0
        self._public, self._key, self._signed = public, key, signed
        self._digest = previous
        self._number: int | None = None

    def entry(self, record: Mapping[str, Any], at: int) -> None:
        sequence = _number(record, "sequence", at)
        if sequence != self.sequence + 1:
            raise ExportBrokenError(
                f"line {at}: entry {self.sequence + 1} is missing; the next is {sequence}"
            )
        if _bytes(record, "previous", at) != self._digest:
            raise ExportBrokenError(f"line {at}: entry {sequence} does not follow the one before it")
        content = json.dumps([record.get(name) for name in _ENTRY_FIELDS])
        digest = hashlib.sha256(_ENTRY_TAG + self._digest + content.encode("ascii")).digest()
        if _bytes(record, "digest", at) != digest:
            raise ExportBrokenError(f"line {at}: entry {sequence} was altered")
        self.sequence, self._digest = sequence, digest
        self.entries += 1

    def checkpoint(self, record: Mapping[str, Any], at: int) -> None:
        number, sequence = _number(record, "number", at), _number(record, "sequence", at)
        digest = _bytes(record, "digest", at)
        message = checkpoint_message(
            number, sequence, digest.hex(), str(record.get("signed_at")), str(record.get("key"))
        )
        if record.get("key") != self._key:
            raise ExportBrokenError(f"line {at}: checkpoint {number} was signed with another key")
        if not self._signed(self._public, _signature(record, at), message):
            raise ExportBrokenError(f"line {at}: the signature of checkpoint {number} is wrong")
        if self._number is not None and number != self._number + 1:
            raise ExportBrokenError(f"line {at}: checkpoint {self._number + 1} is missing")
        if (sequence, digest) != (self.sequence, self._digest):
            raise ExportBrokenError(
                f"line {at}: entry {sequence} is not the one that checkpoint {number} signed"
            )
        self._number = number
        self.checkpoints += 1

    def end(self, record: Mapping[str, Any], sha256: str, at: int) -> None:
        counts = (_number(record, "entries", at), _number(record, "checkpoints", at))
        if counts != (self.entries, self.checkpoints):
            raise ExportBrokenError(
                f"line {at}: it should hold {counts[0]} entries and {counts[1]} checkpoints"
            )
        whole = record.get("sha256") == sha256
        if not whole or not self._signed(self._public, _signature(record, at), end_message(sha256)):
            raise ExportBrokenError(f"line {at}: the signature over the whole export is wrong")


def _parsed(line: bytes, at: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    # A line without its end is one that was cut; who reads it as whole would count what follows to it.
    if not isinstance(record, dict) or not line.endswith(b"\n"):
        raise ExportBrokenError(f"line {at}: is cut off or no JSON")
    return record


def _number(record: Mapping[str, Any], name: str, at: int) -> int:
    value = record.get(name)
    if type(value) is not int:
        raise ExportBrokenError(f"line {at}: {name} is not a whole number")
    return value


def _bytes(record: Mapping[str, Any], name: str, at: int) -> bytes:
    try:
        value = bytes.fromhex(record[name])
    except (KeyError, TypeError, ValueError):
        value = b""
    if len(value) != 32:
        raise ExportBrokenError(f"line {at}: {name} is not 32 bytes in hexadecimal")
    return value


def _signature(record: Mapping[str, Any], at: int) -> bytes:
    try:
        signature = base64.b64decode(record["signature"], validate=True)
        # Base64 has several spellings of one value; only one is ours.
        if base64.b64encode(signature).decode("ascii") == record["signature"]:
            return signature
    except (KeyError, TypeError, ValueError):
        pass
    raise ExportBrokenError(f"line {at}: its signature is not base64")


def main(arguments: list[str]) -> int:
    """Check what the command line names, print it, and return the exit status."""
    words, key = list(arguments), None
    if "--key" in words[:-1]:
        at = words.index("--key")
        key = words[at + 1].strip()
        del words[at : at + 2]
    if key == "":
        # What a shell makes of a variable that is not set: it must not pass for "any key".
        sys.stderr.write(
            "--key is empty: give the fingerprint that you were given before, or leave it away\n"
        )
        return 2
    if len(words) != 1 or words[0].startswith("-"):
        sys.stderr.write("usage: python3 audit_offline.py [--key FINGERPRINT] EXPORT\n")
        return 2
    # By its name alone: this runs as a script in whatever folder both files were copied to.
    signed: SignatureCheck = importlib.import_module("evidence_verify").ed25519_verify
    try:
        with Path(words[0]).open("rb") as lines:
            found = verify_export(lines, signed, key)
    except OSError as error:
        sys.stderr.write(f"{words[0]}: cannot be read ({error.strerror})\n")
        return 2
    except ExportBrokenError as error:
        sys.stdout.write(f"The export is NOT whole: {error}\n")
        return 1
    told = (
        f"department   {found.department}",
        f"entries      {found.first} to {found.last}",
        f"checkpoints  {found.checkpoints}, all agree",
        f"exported     {found.exported_at} by {found.exported_by}, for the purpose: {found.purpose}",
        f"key          {found.key}" + ("" if key else ": compare it with the one that you were given before"),
        "The export is whole.",
    )
    for line in told:
        # What somebody else wrote must not write over the screen of who checks it.
        sys.stdout.write("".join(each if each.isprintable() else "?" for each in line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
