"""The server's own certificates: for units and browsers, and for the broker. They end, and are made anew."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from server.keys import (
    BROKER_CLIENT,
    DepartmentKeys,
    IssuedCertificate,
    certificate_pem,
    issue_client,
    issue_server,
    private_pem,
    write_private,
)

SERVER, BROKER = "server", "mqtt"
WARN_DAYS = 60
"""How long before the end it is told."""


def names_of(keys: Path) -> tuple[str, ...]:
    """Return the names and addresses for which the server's certificate is good, as it names them."""
    certificate = _certificate(keys, SERVER)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )


def names_host(keys: Path, host: str) -> bool:
    """Whether the server's certificate in the folder *keys* is good for *host*, a name or an address."""
    return host.lower() in {name.lower() for name in names_of(keys)}


def ending(keys: Path, now: datetime) -> str:
    """Return a line on the certificate that ends first, if that is soon or over; empty where none does."""
    end, name = min((_certificate(keys, name).not_valid_after_utc, name) for name in (SERVER, BROKER))
    if end > now + timedelta(days=WARN_DAYS):
        return ""
    said = "ended" if end <= now else "ends"
    return (
        f"{name}.tls.cert.pem {said} on {end:%Y-%m-%d}: then no unit connects. Make it anew with "
        "`alpr-server server-certificate`, and restart the server"
    )


def renew(folder: Path, keys: DepartmentKeys, hosts: Sequence[str], now: datetime) -> datetime:
    """Replace the server's two certificates and their keys in *folder*, good for *hosts*; return their end.

    Units need nothing: they trust the authority that signs both. Raises SettingsInvalidError if a host is
    neither a DNS name nor an address.
    """
    server = issue_server(keys, hosts, now)
    _replace(folder, SERVER, server)
    _replace(folder, BROKER, issue_client(keys, BROKER_CLIENT, now))
    return server.certificate.not_valid_after_utc


def _certificate(keys: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((keys / f"{name}.tls.cert.pem").read_bytes())


def _replace(folder: Path, name: str, issued: IssuedCertificate) -> None:
    parts = (
        (f"{name}.tls.key.pem", private_pem(issued.key)),
        (f"{name}.tls.cert.pem", certificate_pem(issued.certificate)),
    )
    for file, content in parts:
        (folder / f"{file}.new").unlink(missing_ok=True)
        write_private(folder / f"{file}.new", content)
    for file, _ in parts:
        (folder / f"{file}.new").replace(folder / file)
