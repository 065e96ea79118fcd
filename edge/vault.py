"""The unit's keys: the only module that reads one from disk."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from edge.errors import VaultLockedError

STORAGE_KEY_BYTES = 32

_REMEDY = "enrol the unit again (alpr-server enroll) and copy its keys folder here"


@dataclass(frozen=True, slots=True)
class Keys:
    """What `alpr-server enroll` gave the unit. No read can be opened with any of them."""

    department: X25519PublicKey = field(repr=False)
    """Reads are sealed to it."""
    receipts: Ed25519PublicKey = field(repr=False)
    """Receipts must be signed by its owner."""
    hotlists: Ed25519PublicKey = field(repr=False)
    """Snapshots must be signed by its owner."""
    signing: Ed25519PrivateKey = field(repr=False)
    """The unit signs its batches with it."""
    storage: bytes = field(repr=False)
    """Seals the hotlist at rest."""
    tls_certificate: Path
    tls_key: Path
    tls_authority: Path
    updates_root: bytes = field(repr=False)
    """The root of trust in what the department publishes (TUF), as it was at enrolment."""
    page_certificate: Path | None = None
    """What the laptop's browser sees; None for a unit that was enrolled before there was a page."""
    page_key: Path | None = None


def unlock(keys_dir: Path) -> Keys:
    """Return the keys in *keys_dir*, or in systemd's credentials folder where the service has one.

    Raises VaultLockedError if a file is missing, is not such a key, or a private one can be read by others.
    """
    folder = Path(os.environ.get("CREDENTIALS_DIRECTORY", keys_dir))
    return Keys(
        department=_sealing_key(folder / "department.x25519.pub.pem"),
        receipts=_verifying_key(folder / "receipt.ed25519.pub.pem"),
        hotlists=_verifying_key(folder / "hotlist.ed25519.pub.pem"),
        signing=_signing(folder / "unit.ed25519.key.pem"),
        storage=_storage(folder / "storage.key"),
        tls_certificate=_present(folder / "unit.tls.cert.pem"),
        tls_key=_private(folder / "unit.tls.key.pem"),
        tls_authority=_present(folder / "ca.pem"),
        updates_root=_present(folder / "updates.root.json").read_bytes(),
        page_certificate=_page_file(folder / "page.tls.cert.pem"),
        page_key=_page_file(folder / "page.tls.key.pem"),
    )


def _present(path: Path) -> Path:
    if not path.is_file():
        raise VaultLockedError(f"{path}: key file is missing; {_REMEDY}")
    return path


def _private(path: Path) -> Path:
    # systemd guards its credentials folder itself, and shows the ACL it does so with as the group's bits.
    guarded = "CREDENTIALS_DIRECTORY" in os.environ
    if stat.S_IMODE(_present(path).stat().st_mode) & 0o077 and not guarded:
        raise VaultLockedError(
            f"{path}: others can read this private key; chmod 600 it, and enrol again if they did"
        )
    return path


def _page_file(path: Path) -> Path | None:
    return _private(path) if path.is_file() else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VaultLockedError(
            f"{path}: key cannot be read ({error.strerror}); run as the unit's user"
        ) from error


def _sealing_key(path: Path) -> X25519PublicKey:
    key = _public(path)
    if not isinstance(key, X25519PublicKey):
        raise VaultLockedError(f"{path}: is not an X25519 public key; {_REMEDY}")
    return key


def _verifying_key(path: Path) -> Ed25519PublicKey:
    key = _public(path)
    if not isinstance(key, Ed25519PublicKey):
        raise VaultLockedError(f"{path}: is not an Ed25519 public key; {_REMEDY}")
    return key


def _public(path: Path) -> PublicKeyTypes | None:
    try:
        return load_pem_public_key(_content(_present(path)))
    except ValueError:
        return None


def _signing(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(_content(_private(path)), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise VaultLockedError(f"{path}: is not an Ed25519 private key; {_REMEDY}")
    return key


def _storage(path: Path) -> bytes:
    key = _content(_private(path))
    if len(key) != STORAGE_KEY_BYTES:
        raise VaultLockedError(f"{path}: has {len(key)} bytes, not {STORAGE_KEY_BYTES}; {_REMEDY}")
    return key
