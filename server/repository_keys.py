"""The keys behind the department's publications: public halves here, private halves where a URI says.

    pem:/media/anna/targets.pem       a file, PKCS #8 PEM; encrypted (a person's) or not (an online key's)
    pem:../keys/updates-hotlist.pem   one that is moved and restored with the repository: from its folder on
    hsm:2?label=ALPR                  an HSM or smart card through PKCS #11 (python-pkcs11, PYKCS11LIB)
    awskms: gcpkms: azurekms: hv:     a key management service, through securesystemslib's signers

`keys.json` of the repository holds names, public keys and URIs, and never a private key.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.exceptions import Error as SslibError
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from server.files import replacing
from server.keys import write_private
from server.repository_errors import RepositoryRefusedError, SigningFailedError

PEM_SCHEME = "pem"

Secrets = Callable[[str], str]
"""Asked for a secret by its description ("passphrase of anna"), gives it."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """One key: who holds it, its public half, where its private half is."""

    name: str
    public: Key
    uri: str
    """Never relative."""


class KeyRing:
    """The keys that a repository knows, in one file."""

    def __init__(self, path: Path, within: Path | None = None) -> None:
        """Key files in the folder *within*, else in that of *path*, are remembered by how they lie to *path*.

        Raises RepositoryRefusedError if the file is there and is not a list of keys.
        """
        self._path = path
        self._within = within or path.parent
        self._keys: dict[str, NamedKey] = {}
        try:
            for name, fields in json.loads(path.read_bytes()).items():
                public = Key.from_dict(fields["keyid"], fields["public"])
                self._keys[name] = NamedKey(name, public, self._found(fields["uri"]))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RepositoryRefusedError(
                f"{path}: cannot be read as a list of keys; restore it from the backup"
            ) from error

    def add(self, name: str, public: Key, uri: str) -> None:
        """Remember that *name* holds the private half of *public* at *uri*.

        Raises RepositoryRefusedError if the name or the key is known already: a person counts once.
        """
        if not name.isprintable() or not name.strip():
            raise RepositoryRefusedError("a key's name must be printable text")
        for known in self._keys.values():
            if known.name == name or known.public.keyval == public.keyval:
                raise RepositoryRefusedError(f"key {name}: known already, as {known.name}")
        self._keys[name] = NamedKey(name, public, uri)
        content: dict[str, Any] = {
            key.name: {"keyid": key.public.keyid, "public": key.public.to_dict(), "uri": self._kept(key.uri)}
            for key in self._keys.values()
        }
        with replacing(self._path) as file:
            file.write(json.dumps(content, indent=2).encode())

    def _found(self, uri: str) -> str:
        """Return *uri* as it is used, from what `_kept` gave."""
        scheme, _, place = uri.partition(":")
        return pem_uri(self._path.parent / place) if scheme == PEM_SCHEME else uri

    def _kept(self, uri: str) -> str:
        """Return *uri* as it is written: a department's folder may be restored elsewhere."""
        scheme, _, place = uri.partition(":")
        if scheme != PEM_SCHEME or not _plain(Path(place)).is_relative_to(_plain(self._within)):
            return uri
        return f"{PEM_SCHEME}:{os.path.relpath(_plain(Path(place)), _plain(self._path.parent))}"

    def named(self, name: str) -> NamedKey:
        """Return the key of that name. Raises RepositoryRefusedError if there is none."""
        if name not in self._keys:
            raise RepositoryRefusedError(f"no key is called {name}: add it first")
        return self._keys[name]

    def of_id(self, keyid: str) -> NamedKey:
        """Return the key of that id. Raises RepositoryRefusedError if there is none."""
        for key in self._keys.values():
            if key.public.keyid == keyid:
                return key
        raise RepositoryRefusedError(
            f"key {keyid[:16]} is not in {self._path.name}: restore it from the backup"
        )


def make_key_file(path: Path, passphrase: str | None) -> Key:
    """Write a new Ed25519 key to the new file *path*, encrypted if *passphrase* is given.

    Returns its public half.

    Raises FileExistsError if *path* is there, ValueError if the passphrase is empty.
    """
    private = Ed25519PrivateKey.generate()
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase.encode())
    write_private(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return SSlibKey.from_crypto(private.public_key())


def pem_uri(path: Path) -> str:
    """Return the URI of a key file."""
    return f"{PEM_SCHEME}:{_plain(path)}"


def key_in_file(name: str, path: Path, secrets: Secrets) -> NamedKey:
    """Return the key in the file *path*, for whoever has no list of keys at hand.

    Raises SigningFailedError if the file cannot be read or opened.
    """
    pem = _read(name, path)
    try:
        private = load_pem_private_key(pem, _passphrase(name, pem, secrets))
        return NamedKey(name, CryptoSigner(private).public_key, pem_uri(path))
    except (ValueError, TypeError, UnsupportedAlgorithm, SslibError):
        # No cause, as below.
        raise SigningFailedError(f"key {name}: wrong passphrase, or {path} is not a private key") from None


def _plain(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


def signer_of(key: NamedKey, secrets: Secrets) -> Signer:
    """Return what signs with *key*. Raises SigningFailedError if its private half cannot be used."""
    scheme, _, place = key.uri.partition(":")
    try:
        if scheme == PEM_SCHEME:
            return _pem_signer(key, Path(place), secrets)
        return Signer.from_priv_key_uri(key.uri, key.public, secrets)
    except SigningFailedError:
        raise
    except Exception as error:  # noqa: BLE001  # securesystemslib: "implementations may raise errors not documented"
        raise failed(key.name, error) from None


def failed(name: str, error: Exception) -> SigningFailedError:
    """Return the error for a key that does not sign."""
    # Only the kind of error: the text of some quotes the URI or the secret.
    return SigningFailedError(
        f"key {name} cannot be used ({type(error).__name__}): check its URI, connection and secret"
    )


def _pem_signer(key: NamedKey, path: Path, secrets: Secrets) -> Signer:
    pem = _read(key.name, path)
    if not isinstance(key.public, SSlibKey):
        raise SigningFailedError(f"key {key.name} is of a kind that a file cannot hold")
    passphrase = _passphrase(key.name, pem, secrets)
    try:
        private = load_pem_private_key(pem, passphrase)
        # Their union of key types is the library's own; the constructor checks which it is.
        return CryptoSigner(private, key.public)
    except (ValueError, TypeError, UnsupportedAlgorithm, SslibError):
        # No cause: it might quote the file, which is a private key.
        raise SigningFailedError(
            f"key {key.name}: wrong passphrase, or {path} is not the private half of its public key"
        ) from None


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningFailedError(f"key {name}: {path} cannot be read ({error.strerror})") from None


def _passphrase(name: str, pem: bytes, secrets: Secrets) -> bytes | None:
    encrypted = b"ENCRYPTED" in pem.split(b"\n", 1)[0]
    return secrets(f"passphrase of {name}").encode() if encrypted else None
