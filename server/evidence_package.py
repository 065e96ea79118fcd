"""An evidence package: reads with their pictures and custody, the department's statement, and its signature.

    evidence/
      README.txt             what this is, and how to check it
      verify.py              checks it; needs Python alone
      statement.json         who made it, when, for which case, why, for whom
      custody.json           which unit handed the reads in when, and who looked at them
      reads/0001.json .jpg   each read, its hits, what officers answered, its picture
      receipts/0001.cbor     the signed receipts of the batches (docs/protocol.md)
      manifest.json          path, size and SHA-256 of each of these files; the public key
      manifest.sig           Ed25519 over the manifest, hexadecimal

The ZIP file is deterministic: the same reads and the same statement give the same bytes.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.resources import files

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from server.evidence_files import as_json, files_on
from server.evidence_verify import FOLDER, FORM, MANIFEST, SIGNATURE, STATEMENT, TAG
from server.pictures import Fetch

_EPOCH = (1980, 1, 1, 0, 0, 0)
_README = """\
Evidence package

Reads of licence plates by vehicles of the department named in statement.json, with their pictures, what they
met on lists of wanted plates, what officers answered, and who handed in and looked at what (custody.json).

A read says that a plate was seen, not who drove. A hit is a lead, not a fact: lists age, and readers misread.
How sure the reader was of each character stands with each read. Times are UTC.

A package that answers the request of another agency says of each look who looked, when and how. The purpose
and the case number of a look that was not for the case of the request are "withheld" in custody.json.

To check that nothing was changed, added or removed, with Python 3.8 or newer:

    python3 verify.py --key FINGERPRINT

FINGERPRINT is that of the department's evidence key. Ask the department for it by another way than the one
this package came by: on the telephone, on paper, in its published policy. Without --key the program prints
the fingerprint that it found, for you to compare.

verify.py could have been changed with the rest. Who must be sure takes it from the department or from the
project that made it, and checks this folder, or the ZIP file, with that one.
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """What the department states about a package."""

    department: str
    made_by: str
    made_at: datetime
    """Aware UTC. What was recorded before is in the package."""
    case_number: str
    purpose: str
    recipient: str = ""
    """Agency it is encrypted to; empty: none, it stays with the department."""
    request: int | None = None
    """Number of the release request that it answers."""
    legal_basis: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """A package before it is encrypted."""

    archive: bytes = field(repr=False)
    """ZIP."""
    manifest_sha256: str
    read_ids: tuple[str, ...]


def make_package(
    engine: Engine,
    read_ids: Sequence[str],
    statement: Statement,
    *,
    key: Ed25519PrivateKey,
    receipt_key: bytes,
    fetch: Fetch,
) -> Package:
    """Return the package of *read_ids*, signed with *key*; *fetch* gets pictures from outside the database.

    Raises EvidenceRefusedError if one of the reads is not held.
    """
    for_case = None if statement.request is None else statement.case_number
    found = files_on(engine, read_ids, receipt_key, statement.made_at, fetch, for_case=for_case)
    stated = asdict(statement) | {
        "form": "alpr-server evidence statement 1",
        "made_at": statement.made_at.isoformat(),
        "reads": len(found.read_ids),
    }
    content = {
        **found.files,
        "README.txt": _README.encode("ascii"),
        "verify.py": (files("server") / "evidence_verify.py").read_bytes(),
        STATEMENT: as_json(stated),
    }
    manifest = as_json(
        {
            "form": FORM,
            "public_key": key.public_key().public_bytes_raw().hex(),
            "files": [
                {"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for path, data in sorted(content.items())
            ],
        }
    )
    content[MANIFEST] = manifest
    content[SIGNATURE] = key.sign(TAG + manifest).hex().encode("ascii") + b"\n"
    return Package(_zip(content), hashlib.sha256(manifest).hexdigest(), found.read_ids)


def _zip(content: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    # Stored, not compressed: JPEG does not shrink, and what deflate writes differs between its versions.
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in sorted(content.items()):
            info = zipfile.ZipInfo(FOLDER + path, _EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, data)
    return out.getvalue()
