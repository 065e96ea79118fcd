"""The department's keys: made once, written to one folder, read from there.

    ca.key.pem  ca.pem                     signs certificates of the server and of units
    server.tls.key.pem  server.tls.cert.pem  what a browser and a unit see
    mqtt.tls.key.pem  mqtt.tls.cert.pem    with which the server itself logs in to the MQTT broker
    department.x25519.key.pem              opens sealed reads (HPKE)
    receipt.ed25519.key.pem                signs receipts
    hotlist.ed25519.key.pem                signs snapshots
    audit.ed25519.key.pem                  signs the access log's heads (`audit_checkpoints`)
    evidence.ed25519.key.pem               signs evidence packages (`evidence_seal`)
    second-factor.key                      encrypts what second factors are made of (`second_factor`)
    updates-*.pem                          sign what is published (`publications`)

Private keys stand unencrypted with mode 0600: the server must start without a person. Who can read this
folder is the department.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from server.errors import SettingsInvalidError

BROKER_CLIENT = "department"
"""The name in the certificate with which this server logs in to the broker; no unit may be called so."""

_CA_DAYS = 3650
_LEAF_DAYS = 825
# A unit without a trusted clock may be some hours behind when it first connects.
_BACKDATED = timedelta(days=1)
_DNS_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | X25519PrivateKey
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class DepartmentKeys:
    """What the department signs and opens with."""

    ca_key: EllipticCurvePrivateKey = field(repr=False)
    ca_certificate: x509.Certificate
    unseal: X25519PrivateKey = field(repr=False)
    receipt: Ed25519PrivateKey = field(repr=False)
    hotlist: Ed25519PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A new key with its certificate."""

    key: EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def serial(self) -> str:
        """The serial number in hexadecimal, as the database holds it."""
        return serial_of(self.certificate)


def make_keys(folder: Path, department: str, hosts: Sequence[str], now: datetime) -> DepartmentKeys:
    """Write all keys of a new department to *folder*, which must not exist, and return them.

    *hosts* are the names and addresses under which the server is reached.
    Raises SettingsInvalidError if the folder exists or a host is neither a DNS name nor an address.
    """
    names = [_general_name(host) for host in hosts]
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise SettingsInvalidError(
            f"{folder} exists: keys are never overwritten; choose another folder"
        ) from None
    ca_key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{department[:40]} ALPR CA")])
    ca_certificate = (
        _builder(subject, subject, ca_key.public_key(), ca_key.public_key(), now=now, days=_CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    keys = DepartmentKeys(
        ca_key,
        ca_certificate,
        X25519PrivateKey.generate(),
        Ed25519PrivateKey.generate(),
        Ed25519PrivateKey.generate(),
    )
    server = _issue(keys, hosts[0], names, ExtendedKeyUsageOID.SERVER_AUTH, now)
    broker_client = issue_client(keys, BROKER_CLIENT, now)
    write_private(folder / "ca.key.pem", private_pem(ca_key))
    write_private(folder / "ca.pem", certificate_pem(ca_certificate))
    write_private(folder / "server.tls.key.pem", private_pem(server.key))
    write_private(folder / "server.tls.cert.pem", certificate_pem(server.certificate))
    write_private(folder / "mqtt.tls.key.pem", private_pem(broker_client.key))
    write_private(folder / "mqtt.tls.cert.pem", certificate_pem(broker_client.certificate))
    write_private(folder / "department.x25519.key.pem", private_pem(keys.unseal))
    write_private(folder / "receipt.ed25519.key.pem", private_pem(keys.receipt))
    write_private(folder / "hotlist.ed25519.key.pem", private_pem(keys.hotlist))
    return keys


def load_keys(folder: Path) -> DepartmentKeys:
    """Return the keys in *folder*.

    Raises SettingsInvalidError naming the file that is missing or is not such a key.
    """
    ca_certificate = _read(folder / "ca.pem", x509.load_pem_x509_certificate)
    names = ("ca.key.pem", "department.x25519.key.pem", "receipt.ed25519.key.pem", "hotlist.ed25519.key.pem")
    match tuple(_read(folder / name, lambda pem: load_pem_private_key(pem, None)) for name in names):
        case (
            EllipticCurvePrivateKey() as ca_key,
            X25519PrivateKey() as unseal,
            Ed25519PrivateKey() as receipt,
            Ed25519PrivateKey() as hotlist,
        ):
            return DepartmentKeys(ca_key, ca_certificate, unseal, receipt, hotlist)
    raise SettingsInvalidError(f"{folder}: holds a key of another kind; restore it from the backup")


def issue_server(keys: DepartmentKeys, hosts: Sequence[str], now: datetime) -> IssuedCertificate:
    """Return a new TLS server certificate for *hosts*.

    Raises SettingsInvalidError if one is neither a DNS name nor an address.
    """
    names = [_general_name(host) for host in hosts]
    return _issue(keys, hosts[0], names, ExtendedKeyUsageOID.SERVER_AUTH, now)


def issue_client(keys: DepartmentKeys, name: str, now: datetime) -> IssuedCertificate:
    """Return a new TLS client certificate whose common name and DNS name are *name*."""
    # Client use only: a stolen unit's certificate can never pose as the server.
    return _issue(keys, name, [x509.DNSName(name)], ExtendedKeyUsageOID.CLIENT_AUTH, now)


def serial_of(certificate: x509.Certificate) -> str:
    """Return a certificate's serial number in hexadecimal."""
    return f"{certificate.serial_number:x}"


def private_pem(key: PrivateKey) -> bytes:
    """Return *key* as unencrypted PKCS #8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    """Return the public half of *key* as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return *certificate* as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def write_private(path: Path, content: bytes) -> None:
    """Write *content* to a new file that only its owner may read, and wait until it is on disk.

    Raises FileExistsError if *path* is there.
    """
    # Mode and existence are decided by the kernel in one call: no moment in which others could read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()  # half a file would pass for a whole one
        raise


def _issue(
    keys: DepartmentKeys,
    name: str,
    names: Sequence[x509.GeneralName],
    usage: x509.ObjectIdentifier,
    now: datetime,
) -> IssuedCertificate:
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = keys.ca_certificate.subject
    certificate = (
        _builder(subject, issuer, key.public_key(), keys.ca_key.public_key(), now=now, days=_LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(keys.ca_key, hashes.SHA256())
    )
    return IssuedCertificate(key, certificate)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: EllipticCurvePublicKey,
    issuer_key: EllipticCurvePublicKey,
    *,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if len(host) > 63 or not _DNS_NAME.fullmatch(host):
            raise SettingsInvalidError(
                f"host {host!r} is neither a DNS name (to 63 characters) nor an IP address"
            ) from None
        return x509.DNSName(host)


def _read(path: Path, parse: Callable[[bytes], _V]) -> _V:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise SettingsInvalidError(
            f"{path}: cannot be read ({error.strerror}); restore it from the backup"
        ) from error
    except (ValueError, TypeError):
        # The cause is left out of the chain: it might quote the file, which is a private key.
        raise SettingsInvalidError(f"{path}: is not PEM of a key; restore it from the backup") from None
