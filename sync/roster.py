"""Who may log in on the units: the roster as the department publishes it and units keep it.

CBOR in one deterministic form. It carries no signature of its own: it is a target of the department's signed
publication (see `sync.trust`), and a unit takes no other bytes for one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sync import wire
from sync.errors import WireFormatError

VERSION = 1
MAX_ROSTER_BYTES = 4 * 1024 * 1024
MOST_USERS = 10_000
MAX_PASSWORD = 256
"""A longer one is refused before it is hashed: hashing is meant to be costly."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{8,64}\$[A-Za-z0-9+/]{8,128}"
)
_MOST_KIB = 1024 * 1024
"""Memory that one login may take: a hash that asks for more is none that the department makes."""


class Role(StrEnum):
    """What a person is for; what each may open stands in `docs/decisions/0011-officers-page.md`."""

    OFFICER = "officer"
    SUPERVISOR = "supervisor"
    TECHNICIAN = "technician"
    ADMIN = "admin"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class RosterUser:
    """One person."""

    name: str
    role: Role
    password_hash: str = field(repr=False)
    """Argon2id, in its text form."""
    training_expires: date
    """The first day on which the person may not log in."""
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Roster:
    """Everybody who has an account at the department, as of one moment."""

    version: int
    """Grows with each roster; a lower one is an old one."""
    issued_at: datetime
    """Aware UTC, whole seconds."""
    expires_at: datetime
    """Aware UTC, whole seconds; from then on nobody logs in by it."""
    users: tuple[RosterUser, ...]
    """Sorted by name."""

    def find(self, name: str) -> RosterUser | None:
        """Return who is called *name*, or None."""
        return next((user for user in self.users if user.name == name), None)


def encode_roster(roster: Roster) -> bytes:
    """Return *roster* in its one form."""
    return wire.dumps(
        {
            "v": VERSION,
            "version": roster.version,
            "issued": wire.seconds(roster.issued_at),
            "expires": wire.seconds(roster.expires_at),
            "users": [
                [
                    each.name,
                    each.role.value,
                    each.password_hash,
                    each.training_expires.toordinal(),
                    each.disabled,
                ]
                for each in roster.users
            ],
        }
    )


def decode_roster(data: bytes) -> Roster:
    """Return the roster in *data*. Raises WireFormatError if it is none, or not in its one form."""
    if len(data) > MAX_ROSTER_BYTES:
        raise WireFormatError(f"roster is larger than {MAX_ROSTER_BYTES} bytes")
    fields = wire.loads(data, "roster")
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise WireFormatError(f"roster is not of version {VERSION}: update the older side")
    try:
        roster = Roster(
            version=wire.whole(fields["version"]),
            issued_at=wire.from_seconds(fields["issued"]),
            expires_at=wire.from_seconds(fields["expires"]),
            users=tuple(_user(parts) for parts in fields["users"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        # By its type alone: the text of some errors quotes the value, which may be a hash.
        raise WireFormatError(
            f"roster has a field missing or of a wrong type ({type(error).__name__})"
        ) from None
    wire.must_be(data, encode_roster(roster), "roster")
    names = [user.name for user in roster.users]
    if names != sorted(set(names)) or len(names) > MOST_USERS:
        raise WireFormatError(f"roster: its names are not sorted, come twice, or are more than {MOST_USERS}")
    if roster.version < 1 or not roster.issued_at < roster.expires_at:
        raise WireFormatError("roster: its version is not positive, or it expires before it is issued")
    return roster


def _user(parts: Sequence[Any]) -> RosterUser:
    name, role, password_hash, training, disabled = parts
    if _NAME.fullmatch(wire.text(name)) is None:
        raise ValueError("a name has 1 to 64 of A-Z a-z 0-9 . _ -")
    found = _HASH.fullmatch(wire.text(password_hash))
    if found is None or int(found[1]) > _MOST_KIB:
        raise ValueError("a password hash is Argon2id, of at most 1 GiB")
    if type(disabled) is not bool:
        raise TypeError("true or false expected")
    return RosterUser(name, Role(role), password_hash, date.fromordinal(wire.whole(training)), disabled)
