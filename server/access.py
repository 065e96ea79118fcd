"""Who may log in, and for how long. Every attempt, good or bad, is an entry of the access log.

The answer to a wrong name, a wrong password and a locked account is the same and takes the same time, so that
nobody can find out which names exist. Only who knows the password learns that the account is closed or the
training has lapsed.
"""

import hashlib
import re
import secrets
import threading
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from hmac import compare_digest

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Engine, delete, insert, select, update

from server.audit import Deed, append
from server.database import reading, writing
from server.errors import ServerError, SettingsInvalidError
from server.settings import AccessSettings
from server.tables import accounts, sessions

MIN_PASSWORD = 12
MAX_PASSWORD = 256
"""A longer one is refused before it is hashed: hashing is meant to be costly."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_hasher = PasswordHasher()
# Each hashing takes 64 MiB: two at a time bound the memory that a flood of logins can take.
_hashing = threading.BoundedSemaphore(2)


class Role(StrEnum):
    """What an account is for."""

    ADMIN = "admin"
    OFFICER = "officer"
    SUPERVISOR = "supervisor"
    TECHNICIAN = "technician"
    AUDITOR = "auditor"

    @property
    def sees_reads(self) -> bool:
        """Whether reads and hits are shown: a technician looks after equipment."""
        return self is not Role.TECHNICIAN

    @property
    def sees_audit(self) -> bool:
        """Whether the access log is shown."""
        return self in (Role.ADMIN, Role.AUDITOR)


class LoginRefusedError(ServerError):
    """Nobody was logged in: show the message on the login page; the log has the reason."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why a person looks at reads, as stated and recorded."""

    code: str
    case_number: str


@dataclass(frozen=True, slots=True)
class Session:
    """One person logged in."""

    account: str
    role: Role
    form_token: str = field(repr=False)
    """Stands in each form: a page of another site cannot know it (cross-site request forgery)."""
    purpose: Purpose | None
    token_digest: bytes = field(repr=False)


class Access:
    """Accounts and sessions. May be used by several threads."""

    def __init__(self, engine: Engine, settings: AccessSettings) -> None:
        self._engine = engine
        self._settings = settings
        # Compared where there is no such account, so that the answer takes the same time.
        self._nobody = _hasher.hash(secrets.token_urlsafe(32))

    def log_in(self, name: str, password: str, source: str, now: datetime) -> str:
        """Return the secret of a new session.

        Raises LoginRefusedError with what the person may be told.
        """
        with reading(self._engine) as connection:
            row = connection.execute(select(accounts).where(accounts.c.name == name)).first()
        right = _verify(self._nobody if row is None else row.password_hash, password)
        if row is None:
            # The name as typed may be a password in the wrong field: it is not written down.
            self._record(
                Deed("unknown", "login", "refused", source=source, detail={"why": "no such account"}), now
            )
            raise LoginRefusedError(_UNSPECIFIC)
        with writing(self._engine) as connection:
            # Read again under the write lock: attempts made at the same moment must all be counted.
            row = connection.execute(select(accounts).where(accounts.c.name == name)).one()
            locked = row.locked_until is not None and now < row.locked_until
            why = "account is locked" if locked else None if right else "wrong password"
            if why is None:
                why = _closed(row.disabled, row.training_expires, row.active_at, self._settings, now)
            if why is None:
                token = self._begin(connection, name, now)
                append(connection, Deed(name, "login", source=source), now)
                return token
            detail: dict[str, object] = {"why": why}
            if not locked and not right:
                detail |= self._count_failure(connection, name, row.failures, now)
            append(connection, Deed(name, "login", "refused", source=source, detail=detail), now)
        raise LoginRefusedError(_UNSPECIFIC if locked or not right else f"You cannot log in: {why}.")

    def session(self, token: str, now: datetime) -> Session | None:
        """Return the session that *token* is the secret of, or None if it is over; use keeps it alive."""
        digest = _token_digest(token)
        idle, whole = (
            timedelta(minutes=self._settings.idle_timeout_min),
            timedelta(hours=self._settings.session_hours),
        )
        with writing(self._engine) as connection:
            row = connection.execute(
                select(sessions, accounts)
                .join(accounts, accounts.c.name == sessions.c.account)
                .where(sessions.c.token_digest == digest)
            ).first()
            if row is None:
                return None
            over = now >= row.used_at + idle or now >= row.started_at + whole
            # An account that is closed, or whose training lapses, in the middle of a shift is out at once.
            closed = _closed(row.disabled, row.training_expires, now, self._settings, now)
            if over or closed is not None:
                connection.execute(delete(sessions).where(sessions.c.token_digest == digest))
                append(connection, Deed(row.account, "session.end", detail={"why": closed or "timeout"}), now)
                return None
            connection.execute(update(sessions).where(sessions.c.token_digest == digest).values(used_at=now))
            connection.execute(update(accounts).where(accounts.c.name == row.account).values(active_at=now))
        fresh = row.purpose_at is not None and now < row.purpose_at + timedelta(
            minutes=self._settings.purpose_min
        )
        purpose = Purpose(row.purpose, row.case_number) if fresh else None
        return Session(row.account, Role(row.role), row.form_token, purpose, digest)

    def state_purpose(self, session: Session, purpose: Purpose, source: str, now: datetime) -> None:
        """Record why the person is going to look at reads."""
        with writing(self._engine) as connection:
            connection.execute(
                update(sessions)
                .where(sessions.c.token_digest == session.token_digest)
                .values(purpose=purpose.code, case_number=purpose.case_number, purpose_at=now)
            )
            deed = Deed(
                session.account,
                "purpose.state",
                purpose=purpose.code,
                case_number=purpose.case_number,
                source=source,
            )
            append(connection, deed, now)

    def log_out(self, session: Session, source: str, now: datetime) -> None:
        """End the session."""
        with writing(self._engine) as connection:
            connection.execute(delete(sessions).where(sessions.c.token_digest == session.token_digest))
            append(connection, Deed(session.account, "logout", source=source), now)

    def _begin(self, connection: Connection, name: str, now: datetime) -> str:
        token = secrets.token_urlsafe(32)
        ended = now - timedelta(hours=self._settings.session_hours)
        connection.execute(delete(sessions).where(sessions.c.started_at < ended))
        connection.execute(
            insert(sessions).values(
                token_digest=_token_digest(token),
                account=name,
                form_token=secrets.token_urlsafe(32),
                started_at=now,
                used_at=now,
            )
        )
        connection.execute(
            update(accounts)
            .where(accounts.c.name == name)
            .values(failures=0, locked_until=None, active_at=now)
        )
        return token

    def _count_failure(
        self, connection: Connection, name: str, failures: int, now: datetime
    ) -> dict[str, object]:
        failures += 1
        locks = failures >= self._settings.lockout_failures
        until = now + timedelta(minutes=self._settings.lockout_min) if locks else None
        # The count starts anew after a lock: each further lock takes as many attempts as the first.
        connection.execute(
            update(accounts)
            .where(accounts.c.name == name)
            .values(failures=0 if locks else failures, locked_until=until)
        )
        return {"failures": failures, "locked": locks}

    def _record(self, deed: Deed, now: datetime) -> None:
        with writing(self._engine) as connection:
            append(connection, deed, now)


_UNSPECIFIC = "Name or password is wrong, or the account is locked for some minutes after too many attempts."


def add_account(
    engine: Engine, name: str, role: Role, password: str, training_expires: date, *, actor: str, now: datetime
) -> None:
    """Make an account.

    Raises SettingsInvalidError if the name is taken or cannot be one, or the password is too short or long.
    """
    if not _NAME.fullmatch(name):
        raise SettingsInvalidError(f"account {name!r}: use 1 to 64 of A-Z, a-z, 0-9, dot, hyphen, underscore")
    hashed = _hashed(password)
    with writing(engine) as connection:
        if _exists(connection, name):
            raise SettingsInvalidError(f"account {name!r} exists: choose another name or change its password")
        connection.execute(
            insert(accounts).values(
                name=name,
                role=role.value,
                password_hash=hashed,
                training_expires=training_expires,
                created_at=now,
                active_at=now,
                disabled=False,
                failures=0,
            )
        )
        detail = {"account": name, "role": role.value, "training_expires": training_expires.isoformat()}
        append(connection, Deed(actor, "account.add", detail=detail), now)


def change_account(
    engine: Engine,
    name: str,
    *,
    actor: str,
    now: datetime,
    password: str | None = None,
    training_expires: date | None = None,
    disabled: bool | None = None,
) -> None:
    """Change what is given of an account; its sessions end, its lock is lifted.

    Raises SettingsInvalidError if there is no such account or the password is too short or long.
    """
    values: dict[str, object] = {"failures": 0, "locked_until": None, "active_at": now}
    changed = []
    if password is not None:
        values["password_hash"] = _hashed(password)
        changed.append("password")
    if training_expires is not None:
        values["training_expires"] = training_expires
        changed.append(f"training_expires={training_expires.isoformat()}")
    if disabled is not None:
        values["disabled"] = disabled
        changed.append(f"disabled={disabled}")
    with writing(engine) as connection:
        if not _exists(connection, name):
            raise SettingsInvalidError(f"there is no account {name!r}: add it first")
        connection.execute(update(accounts).where(accounts.c.name == name).values(values))
        connection.execute(delete(sessions).where(sessions.c.account == name))
        append(connection, Deed(actor, "account.change", detail={"account": name, "changed": changed}), now)


def require_password(password: str) -> None:
    """Raises SettingsInvalidError if *password* is too short or too long to be one."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise SettingsInvalidError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")


def same_secret(given: str, expected: str) -> bool:
    """Whether two secrets are the same, found out in a time that does not depend on where they differ."""
    return compare_digest(given.encode(), expected.encode())


def _exists(connection: Connection, name: str) -> bool:
    return connection.execute(select(accounts.c.name).where(accounts.c.name == name)).first() is not None


def _closed(
    disabled: bool, training_expires: date, active_at: datetime, settings: AccessSettings, now: datetime
) -> str | None:
    if disabled:
        return "the account is disabled"
    if now.date() >= training_expires:
        return f"the training on record expired on {training_expires.isoformat()}"
    if now >= active_at + timedelta(days=settings.idle_account_days):
        return f"the account was unused for {settings.idle_account_days} days"
    return None


def _hashed(password: str) -> str:
    require_password(password)
    with _hashing:
        return _hasher.hash(password)


def _verify(hashed: str, password: str) -> bool:
    if len(password) > MAX_PASSWORD:
        return False
    with _hashing:
        try:
            return _hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False


def _token_digest(token: str) -> bytes:
    # Stored as a digest: who reads the database cannot take over a session.
    return hashlib.sha256(token.encode()).digest()
