"""A unit's keys folder as `alpr-server enroll` writes it, but for TLS, and the department's other halves."""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from server.publications import Publications


@dataclass(frozen=True)
class DepartmentKeys:
    """What the department keeps."""

    seal: X25519PrivateKey
    receipts: Ed25519PrivateKey
    hotlists: Ed25519PrivateKey
    unit: Ed25519PrivateKey


def make_keys(folder: Path) -> DepartmentKeys:
    """Write a unit's keys into *folder*, which is made."""
    folder.mkdir(mode=0o700)
    made = DepartmentKeys(
        X25519PrivateKey.generate(),
        Ed25519PrivateKey.generate(),
        Ed25519PrivateKey.generate(),
        Ed25519PrivateKey.generate(),
    )
    for name, key in (
        ("department.x25519", made.seal),
        ("receipt.ed25519", made.receipts),
        ("hotlist.ed25519", made.hotlists),
    ):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub.pem").write_bytes(pem)
    private = made.unit.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, content in (
        ("unit.ed25519.key.pem", private),
        ("storage.key", bytes(range(32))),
        ("unit.tls.cert.pem", b"certificate"),
        ("unit.tls.key.pem", b"key"),
        ("ca.pem", b"authority"),
        ("updates.root.json", first_root()),
    ):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return made


@cache
def first_root() -> bytes:
    """Return the root of a real, empty publication, made once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "keys").mkdir()
        publications = Publications(folder / "updates")
        publications.found(folder / "keys", datetime.now(UTC))
        return publications.first_root
