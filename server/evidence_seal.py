"""What signs evidence packages, and what encrypts them to who receives them.

The key is one of its own: a package is checked by courts for years, by people who never heard of receipts or
hotlists, and its fingerprint is what they are told to compare. Whoever exchanges another key changes nothing
here.
"""

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options
from sqlalchemy import Engine, func, select

from server.audit import Deed, append
from server.audit_offline import fingerprint
from server.database import writing
from server.errors import SettingsInvalidError
from server.keys import private_pem, write_private
from server.release_errors import EvidenceRefusedError
from server.release_tables import evidence_packages
from server.settings import Folder

KEY_FILE = "evidence.ed25519.key.pem"
LEAST_RSA_BITS = 2048
MAX_CERTIFICATE_BYTES = 8192
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def evidence_key(engine: Engine, folder: Folder, now: datetime) -> Ed25519PrivateKey:
    """Return the key that signs packages; a department that has none yet is given one, and the log says so.

    Raises SettingsInvalidError if it is lost or damaged.
    """
    path = folder.keys / KEY_FILE
    if path.exists():
        return _read(path)
    key = Ed25519PrivateKey.generate()
    with writing(engine) as connection:
        if connection.execute(select(func.count()).select_from(evidence_packages)).scalar_one():
            # A new key beside old packages is what a forger would bring: a person must look.
            raise SettingsInvalidError(f"{path} is missing: restore it from the backup")
        try:
            write_private(path, private_pem(key))
        except FileExistsError:
            return _read(path)  # another process was faster
        append(connection, Deed("server", "evidence.key", detail={"fingerprint": name_of(key)}), now)
    return key


def name_of(key: Ed25519PrivateKey) -> str:
    """Return the fingerprint of *key*: SHA-256 of its public half, hexadecimal."""
    return fingerprint(key.public_key().public_bytes_raw())


def recipients_certificate(pem: bytes, now: datetime) -> x509.Certificate:
    """Return the certificate in *pem*, if packages can be encrypted to it at *now*.

    Raises EvidenceRefusedError saying what does not fit.
    """
    if b"PRIVATE KEY" in pem:
        raise EvidenceRefusedError(
            "this holds a private key: it must never leave its owner, who should make a new one now"
        )
    if len(pem) > MAX_CERTIFICATE_BYTES or pem.count(b"-----BEGIN") != 1:
        raise EvidenceRefusedError("give one X.509 certificate as PEM, without its chain")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
        usage = _key_usage(certificate)
    except _UNREADABLE as error:
        raise EvidenceRefusedError("this is no X.509 certificate in PEM") from error
    # What cryptography's builder can do, and what every version of openssl opens.
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_RSA_BITS:
        raise EvidenceRefusedError(f"the certificate's key must be RSA of at least {LEAST_RSA_BITS} bits")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise EvidenceRefusedError("the certificate is not valid today: ask the agency for a new one")
    if usage is not None and not usage.key_encipherment:
        raise EvidenceRefusedError("the certificate may not be encrypted to: its key usage says otherwise")
    return certificate


def certificate_name(certificate: x509.Certificate) -> str:
    """Return SHA-256 of a certificate, hexadecimal: what two people compare on the telephone."""
    return certificate.fingerprint(SHA256()).hex()


def encrypted(content: bytes, certificate: x509.Certificate) -> bytes:
    """Return *content* as CMS EnvelopedData (RFC 5652) in DER, AES-256-CBC, for the holder of *certificate*.

    It hides; it does not show a change. The signature of the package inside does.
    """
    return (
        PKCS7EnvelopeBuilder()
        .set_data(content)
        .add_recipient(certificate)
        .set_content_encryption_algorithm(algorithms.AES256)
        .encrypt(Encoding.DER, [PKCS7Options.Binary])
    )


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _read(path: Path) -> Ed25519PrivateKey:
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
