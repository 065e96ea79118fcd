"""Signing where the persons are: a file of metadata comes to them, they read it, sign it, and send it back.

Nothing else of the repository is needed on their machine, and of what comes back only signatures that fit are
taken.
"""

from pathlib import Path
from typing import Any

from securesystemslib.signer import Signature
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Delegations, Metadata, Root, Signed, Targets
from tuf.api.serialization import DeserializationError

from server.files import replacing
from server.repository_errors import RepositoryRefusedError
from server.repository_keys import NamedKey, Secrets, failed, signer_of
from sync.trust_check import MAX_BYTES, TARGETS

AnyMetadata = Metadata[Any]
"""Of any role: python-tuf's own type parameter must be one of four."""


def read_metadata(path: Path) -> AnyMetadata:
    """Return the metadata in the file *path*, signed or not. Raises RepositoryRefusedError if it has none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES[TARGETS] + 1)
    except OSError as error:
        raise RepositoryRefusedError(f"{path} cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES[TARGETS]:
        raise RepositoryRefusedError(f"{path} is larger than metadata may be")
    try:
        return AnyMetadata.from_bytes(data)
    except DeserializationError as error:
        raise RepositoryRefusedError(f"{path} is not metadata; copy it anew") from error


def sign_file(path: Path, key: NamedKey, secrets: Secrets) -> None:
    """Add *key*'s signature to the metadata file *path*, which is replaced whole.

    Show `describe` to the person before. Raises RepositoryRefusedError if the file is no metadata,
    SigningFailedError if the key cannot be used.
    """
    metadata = read_metadata(path)
    add_signature(metadata, key, secrets)
    with replacing(path) as file:
        file.write(metadata.to_bytes())


def add_signature(metadata: AnyMetadata, key: NamedKey, secrets: Secrets) -> Signature:
    """Sign *metadata* with *key*, beside the signatures it has. Raises SigningFailedError."""
    signer = signer_of(key, secrets)
    try:
        signature = metadata.sign(signer, append=True)
    except UnsignedMetadataError as error:
        raise failed(key.name, error) from None
    key.public.verify_signature(signature, metadata.signed_bytes)
    return signature


def describe(new: Signed, old: Signed | None) -> list[str]:
    """Return what *new* says, in lines for the person who is to sign it, and how it differs from *old*."""
    lines = [f"{new.type} version {new.version}, valid until {new.expires:%Y-%m-%d %H:%M} UTC"]
    if isinstance(new, Targets):
        before = old if isinstance(old, Targets) else None
        lines += _target_lines(new, before)
        lines += _delegation_lines(new.delegations, None if before is None else before.delegations)
    elif isinstance(new, Root):
        former = old.roles if isinstance(old, Root) else {}
        for name, role in new.roles.items():
            was = former[name].keyids if name in former else []
            lines.append(f"  {name}: {role.threshold} of {len(role.keyids)} keys")
            lines += _key_lines(role.keyids, was)
    return lines


def _target_lines(new: Targets, old: Targets | None) -> list[str]:
    lines = []
    before = {} if old is None else old.targets
    for path, file in sorted(new.targets.items()):
        if path not in before or before[path] != file:
            sign = "~" if path in before else "+"
            lines.append(
                f"  {sign} {path}: {file.length} bytes, SHA-256 {file.hashes['sha256']}, {file.custom}"
            )
    return lines + [f"  - {path}" for path in sorted(before.keys() - new.targets.keys())]


def _delegation_lines(new: Delegations | None, old: Delegations | None) -> list[str]:
    lines = []
    before = {} if old is None or old.roles is None else old.roles
    for name, role in ({} if new is None or new.roles is None else new.roles).items():
        lines.append(
            f"  {name} may sign {', '.join(role.paths or [])}: {role.threshold} of {len(role.keyids)}"
        )
        lines += _key_lines(role.keyids, before[name].keyids if name in before else [])
    return lines


def _key_lines(new: list[str], old: list[str]) -> list[str]:
    return [f"    + key {keyid}" for keyid in new if keyid not in old] + [
        f"    - key {keyid}" for keyid in old if keyid not in new
    ]
