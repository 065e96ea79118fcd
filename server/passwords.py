"""What may be a password, and how one is kept: as an Argon2id hash.

After NIST SP 800-63B: long ones, no rules about capitals and digits, no change for its own sake; but none
that an attacker would try first: well-worn words, the person's own name, the department's, keys in a row.
"""

import re
import secrets
import threading
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.errors import SettingsInvalidError

MIN_PASSWORD = 12
MAX_PASSWORD = 256
"""A longer one is refused before it is hashed: hashing is meant to be costly."""
LEAST_LEFT = 5
"""Different characters that must be left of a password once all that is easily guessed is taken away."""

_hasher = PasswordHasher()
# Each hashing takes 64 MiB: two at a time bound the memory that a flood of logins can take.
_hashing = threading.BoundedSemaphore(2)

_WORN = (
    *("password", "passphrase", "passwort", "passwd", "letmein", "welcome", "changeme", "default", "secret"),
    *("administrator", "admin", "login", "master", "monkey", "dragon", "football", "baseball", "iloveyou"),
    *("sunshine", "princess", "police", "sheriff", "officer", "department", "patrol", "plate", "alpr"),
    *("america", "california", "summer", "winter", "spring", "autumn", "monday", "test", "temp"),
)
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1qaz2wsx3edc")
_LIKE_LETTERS = str.maketrans("013457@$!", "oieastasi")
_RUN = 4
# No vowels, and nothing that is read as something else: no words, no doubts on the telephone.
_CLEAR = "bcdfghjkmnpqrstvwxz23456789"


def hashed(password: str) -> str:
    """Return the Argon2id hash to keep of *password*."""
    with _hashing:
        return _hasher.hash(password)


def matches(kept: str, password: str) -> bool:
    """Whether *password* is the one that *kept* is the hash of."""
    if len(password) > MAX_PASSWORD:
        return False
    with _hashing:
        try:
            return _hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False


def require_password(password: str, *known: str) -> None:
    """Raises SettingsInvalidError if *password* is too short, too long or easily guessed by who knows
    *known*: the person's name, the department's."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise SettingsInvalidError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    words = {part for text in known for part in re.findall(r"[^\W_]{3,}", text.casefold())} | set(_WORN)
    plain = password.casefold()
    for text in (plain, plain.translate(_LIKE_LETTERS)):
        if len(set(_left_of(text, words))) < LEAST_LEFT:
            raise SettingsInvalidError(
                "this password is easily guessed: it is made of well-worn words, names, repeated characters "
                "or keys in a row; take several words that have nothing to do with each other"
            )


def one_time_password() -> str:
    """Return a password of some 75 bits that can be told on the telephone: four groups of four."""
    return "-".join("".join(secrets.choice(_CLEAR) for _ in range(4)) for _ in range(4))


def _left_of(text: str, words: set[str]) -> str:
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, " ")
    runs = [row for half in _ROWS for row in (half, half[::-1])]
    left, start = "", 0
    # The longest run at each place, so that "1234567" goes as a whole.
    while start < len(text):
        end = start + 1
        while end < len(text) and any(text[start : end + 1] in row for row in runs):
            end += 1
        if end - start < _RUN:
            end = start + 1
            left += text[start]
        start = end
    alone = left.replace(" ", "")
    return "".join(one for one, after in pairwise(f"{alone} ") if one != after)
