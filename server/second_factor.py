"""A second factor: codes of an authenticator (TOTP, RFC 6238) and recovery codes. No database in here.

Secrets stand in the database encrypted, recovery codes as keyed digests; the key is a file of the
department's keys folder. A stolen database gives no second factor, and a row that is moved to another account
opens nothing. Decision 0015 says why TOTP.
"""

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from hmac import compare_digest
from pathlib import Path

import pyotp
import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from markupsafe import Markup

from server.errors import ServerError, SettingsInvalidError
from server.keys import write_private

KEY_FILE = "second-factor.key"
STEP_S = 30
DRIFT_STEPS = 1
"""A phone's clock may be half a minute behind or ahead (RFC 6238, 5.2)."""
RECOVERY_CODES = 10
_KEY_BYTES, _NONCE_BYTES = 32, 12
# Without what is read as something else.
_CLEAR = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
_GROUPS, _GROUP = 4, 4
_CODE = re.compile(r"[0-9]{6}")


class FactorLostError(ServerError):
    """The stored secret does not open: the key is not the one it was encrypted with. Restore
    keys/second-factor.key from the backup, or reset the second factor."""


@dataclass(frozen=True, slots=True)
class FactorKey:
    """Encrypts the secrets of second factors, and digests recovery codes."""

    secret: bytes = field(repr=False)

    def seal(self, account: str, secret: str) -> bytes:
        """Return *secret* encrypted, for *account* alone."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._part(b"secret")).encrypt(nonce, secret.encode(), account.encode())

    def open(self, account: str, sealed: bytes) -> str:
        """Return what was sealed for *account*. Raises FactorLostError."""
        try:
            return (
                AESGCM(self._part(b"secret"))
                .decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], account.encode())
                .decode()
            )
        except (InvalidTag, ValueError):
            raise FactorLostError(
                "the stored second factor does not open with the department's key"
            ) from None

    def digest(self, account: str, code: str) -> bytes:
        """Return what the database keeps of a recovery code: 32 bytes."""
        # Keyed, and the codes have 78 bits: no costly hash is needed, so that a guess costs us little.
        made = hmac.HMAC(self._part(b"recovery code"), hashes.SHA256())
        made.update(f"{account}\x00{tidy(code)}".encode())
        return made.finalize()

    def _part(self, use: bytes) -> bytes:
        info = b"alpr-server second factor v1 " + use
        return HKDF(hashes.SHA256(), _KEY_BYTES, None, info).derive(self.secret)


def factor_key(keys: Path, *, in_use: bool) -> FactorKey:
    """Return the key in the folder *keys*; it is made if it is not there.

    Raises SettingsInvalidError if it cannot be read, or is gone while accounts need it (*in_use*).
    """
    path = keys / KEY_FILE
    if in_use and not path.exists():
        raise SettingsInvalidError(
            f"{path} is missing and accounts have second factors: restore it from the backup, or take them "
            "off with `alpr-server account reset-factor`"
        )
    try:
        write_private(path, secrets.token_bytes(_KEY_BYTES))
    except FileExistsError:
        pass  # the usual case; of two that make it at once, the first one's is read by both
    except OSError as error:
        raise SettingsInvalidError(f"{path}: cannot be made ({error.strerror})") from error
    try:
        held = path.read_bytes()
    except OSError as error:
        raise SettingsInvalidError(f"{path}: cannot be read ({error.strerror})") from error
    if len(held) != _KEY_BYTES:
        raise SettingsInvalidError(f"{path}: is not {_KEY_BYTES} bytes; restore it from the backup")
    return FactorKey(held)


def new_secret() -> str:
    """Return a new secret of 160 bits in base 32, as RFC 4226 asks."""
    return pyotp.random_base32(32)


def step_of(now: datetime) -> int:
    """Return the number of the half minute that *now* (aware) is in."""
    return int(now.timestamp()) // STEP_S


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the half minute that *code* is of, at most `DRIFT_STEPS` from *now*; None if it is of none."""
    made, given, found = pyotp.TOTP(secret), tidy(code), None
    # All are compared, so that the time taken does not say which one was nearly met.
    for step in range(step_of(now) - DRIFT_STEPS, step_of(now) + DRIFT_STEPS + 1):
        if compare_digest(made.generate_otp(step), given):
            found = step
    return found


def tidy(code: str) -> str:
    """Return *code* as it is compared: without spaces and hyphens, in capitals, ASCII alone."""
    return re.sub(r"[^A-Z0-9]", "", code.upper())[:64]


def is_timed(code: str) -> bool:
    """Whether *code* looks like an authenticator's, and not like a recovery code."""
    return _CODE.fullmatch(tidy(code)) is not None


def recovery_codes() -> tuple[str, ...]:
    """Return new recovery codes: "ABCD-EFGH-JKMN-PQRS"."""
    return tuple(
        "-".join("".join(secrets.choice(_CLEAR) for _ in range(_GROUP)) for _ in range(_GROUPS))
        for _ in range(RECOVERY_CODES)
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """A new secret, as it is shown to the person who takes it into an authenticator."""

    secret: str = field(repr=False)
    address: str = field(repr=False)
    """otpauth://…, which the picture holds."""

    @property
    def spoken(self) -> str:
        """The secret in groups of four."""
        return " ".join(self.secret[start : start + 4] for start in range(0, len(self.secret), 4))

    @property
    def picture(self) -> Markup:
        """The address as a QR code: SVG to stand in a page."""
        # Safe to be taken as it is: segno writes paths and numbers, and none of the text.
        drawn = segno.make(self.address, error="m", micro=False)
        return Markup(drawn.svg_inline(scale=4, border=4, dark="#000", light="#fff", svgclass="qr"))  # noqa: S704


def offer(secret: str, account: str, department: str) -> Offer:
    """Return *secret* as an authenticator takes it, named after the account and the department."""
    # A colon parts issuer and account in the address: an issuer has none.
    issuer = department.replace(":", " ")[:64]
    return Offer(secret, pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer))
