"""The unit's TLS context: both sides show a certificate, and only the department's CA is believed."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from sync.errors import NotTrustedError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the unit's TLS identity lies; PEM files as `alpr-server enroll` writes them."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "TlsFiles":
        """Return the files of a keys folder under their usual names."""
        return cls(folder / "ca.pem", folder / "unit.tls.cert.pem", folder / "unit.tls.key.pem")


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and later that shows the unit's certificate and checks the server's.

    The system's certificate authorities are not loaded: none of them may speak for the department.
    Raises NotTrustedError if a file is missing or is not what its name says.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=files.ca)
        # An encrypted key would make OpenSSL ask at the terminal, and a daemon has none: fail instead.
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise NotTrustedError(
            f"{files.certificate.parent}: ca.pem or the unit's TLS certificate and key cannot be used"
            f" ({error.strerror if isinstance(error, OSError) else error}); enroll the unit again"
        ) from error
    return context


def certificate_fault(error: BaseException) -> str | None:
    """Return whose certificate broke the connection that ended with *error*, or None if that cannot be told.

    In TLS 1.3 the server looks at ours when our handshake is over already, and its alert may be lost with the
    connection: then an unaccepted certificate looks like a server that hangs up.
    """
    seen: BaseException | None = error
    for _ in range(10):  # httpx wraps httpcore wraps ssl
        if seen is None:
            return None
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"the server's certificate is not accepted ({seen.verify_message})"
        if isinstance(seen, ssl.SSLError) and _speaks_of_certificate(str(seen)):
            return f"the server does not accept this unit's certificate ({seen.reason})"
        seen = seen.__cause__ or seen.__context__
    return None


def _speaks_of_certificate(text: str) -> bool:
    """Whether *text*, OpenSSL's of a failed connection, is the other side's alert about our certificate.

    The alerts are 42 to 51 and 116 of RFC 8446 §6.2. Decrypt error is among them: it comes where an authority
    of the right name did not issue our certificate.
    """
    words = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR")
    return "ALERT" in text.upper() and any(word in text.upper().replace(" ", "_") for word in words)


def _no_password() -> str:
    raise ValueError("the key is encrypted")
