"""One signed head of the access log: as a value, as a line of a file, and what signs and checks it."""

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from server.audit_offline import checkpoint_message
from server.errors import SettingsInvalidError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log as it was signed."""

    number: int
    sequence: int
    digest: bytes
    signed_at: datetime
    key: str
    """The signing key's fingerprint."""
    signature: bytes = field(repr=False)

    @property
    def message(self) -> bytes:
        """What is signed."""
        signed_at = self.signed_at.isoformat(timespec="microseconds")
        return checkpoint_message(self.number, self.sequence, self.digest.hex(), signed_at, self.key)

    @property
    def fields(self) -> dict[str, object]:
        """What stands in a line of a file."""
        return {
            "kind": "checkpoint",
            "number": self.number,
            "sequence": self.sequence,
            "digest": self.digest.hex(),
            "signed_at": self.signed_at.isoformat(timespec="microseconds"),
            "key": self.key,
            "signature": base64.b64encode(self.signature).decode("ascii"),
        }


def line_of(checkpoint: Checkpoint) -> bytes:
    """Return the line of a file that holds *checkpoint*, with its line feed."""
    return json.dumps(checkpoint.fields).encode("ascii") + b"\n"


def parse_lines(content: bytes) -> tuple[list[Checkpoint], int]:
    """Return the checkpoints in a file's *content*, and how many of its lines are none."""
    found, damaged = [], 0
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            signed_at = datetime.fromisoformat(value["signed_at"])
            if signed_at.tzinfo is None:
                raise ValueError("no offset")
            each = Checkpoint(
                int(value["number"]),
                int(value["sequence"]),
                bytes.fromhex(value["digest"]),
                signed_at,
                str(value["key"]),
                base64.b64decode(value["signature"], validate=True),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            damaged += 1
            continue
        found.append(each)
    return found, damaged


def raw(key: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def is_signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether *public_key* (32 bytes) made *signature* over *message*."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return the signing key. Raises SettingsInvalidError if it is missing or is no such key."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise SettingsInvalidError(
            f"{path}: cannot be read ({error.strerror}); restore it from the backup"
        ) from error
    except (ValueError, TypeError):
        # The cause is left out of the chain: it might quote the file, which is a private key.
        raise SettingsInvalidError(f"{path}: is not PEM of a key; restore it from the backup") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsInvalidError(f"{path}: holds a key of another kind; restore it from the backup")
    return key
