"""Who is logged in on the officers' page. Every attempt, good or bad, is an entry of the access log.

The answer to a wrong name, a wrong password and a locked name is the same and takes the same time: a hash is
reckoned and a count is written in each case. Only who knows the password learns that the account is closed or
the training has lapsed.

Sessions live in memory: a unit that starts anew asks for the password anew.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from hmac import compare_digest
from typing import Protocol

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from edge.access_log import AccessLog
from edge.clock import Clock
from edge.page_config import PageConfig
from edge.page_lockouts import NOBODY, Lockouts
from sync.access_log import Deed
from sync.roster import MAX_PASSWORD, Role, Roster, RosterUser

MOST_SESSIONS = 50
_UNSPECIFIC = "Name or password is wrong, or the account is locked for some minutes after too many attempts."


class HoldsRoster(Protocol):
    """Gives the roster in force, or None."""

    @property
    def roster(self) -> Roster | None: ...


class LoginRefusedError(Exception):
    """Nobody was logged in: show the message on the page; the log has the reason."""


@dataclass(frozen=True, slots=True)
class Session:
    """One person logged in."""

    name: str
    role: Role
    form_token: str = field(repr=False)
    """Stands in each form: a page of another site cannot know it (cross-site request forgery)."""
    started_at: datetime
    """Aware UTC."""
    started_ns: int
    """CLOCK_MONOTONIC, as the next."""
    used_ns: int
    locked: bool = False
    """Idle for too long: the password is asked for before anything is shown."""
    place: str = "/now"
    """The page that was open last."""
    purpose: str = ""
    case_number: str = ""
    night: bool = True
    """The dark palette."""
    reads_before: int = 0
    """Reads the unit had made when the session began."""


class Accounts:
    """Logins of one unit. Not for several threads: the page's thread alone has it."""

    def __init__(
        self,
        rosters: HoldsRoster,
        lockouts: Lockouts,
        log: AccessLog,
        config: PageConfig,
        clock: Clock,
        *,
        ended: Callable[[str], None] = lambda name: None,
    ) -> None:
        """*ended* is told the name of each person whose session is over, by whatever way."""
        self._rosters = rosters
        self._lockouts = lockouts
        self._log = log
        self._config = config
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}
        self._ended = ended
        self._nobody: tuple[str, str] = ("", "")

    @property
    def closed(self) -> str:
        """Why nobody at all can log in; empty if somebody can. Names no person."""
        if (roster := self._rosters.roster) is None:
            return "This unit has no roster of users yet: connect it to the department."
        if self._clock.now().utc >= roster.expires_at:
            return "This unit's roster of users has run out: connect it to the department."
        return ""

    def log_in(self, name: str, password: str, reads_before: int = 0) -> str:
        """Return the secret of a new session.

        Raises LoginRefusedError with what the person may be told, LogUnwritableError.
        """
        user = self._proved(name, password, "login")
        now = self._clock.now()
        session = Session(
            name=user.name,
            role=user.role,
            form_token=secrets.token_urlsafe(32),
            started_at=now.utc,
            started_ns=now.monotonic_ns,
            used_ns=now.monotonic_ns,
            reads_before=reads_before,
        )
        self._log.append(Deed(user.name, user.role.value, "login"))
        # Always a new secret: one that was planted in the browser before the login is worth nothing.
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = session
        while len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return token

    def session(self, token: str, *, use: bool = True) -> Session | None:
        """Return the session that *token* is the secret of, or None if it is over; *use* keeps it awake.

        Raises LogUnwritableError.
        """
        digest = _digest(token)
        if (session := self._sessions.get(digest)) is None:
            return None
        now = self._clock.now()
        roster = self._rosters.roster
        user = None if roster is None else roster.find(session.name)
        over = now.monotonic_ns - session.started_ns >= self._config.session_hours * 3600e9
        # An account that is closed, or whose training lapses, in the middle of a shift is out at once.
        why = "timeout" if over else self.closed or _closed(user, session.role, now.utc)
        if why:
            del self._sessions[digest]
            try:
                self._log.append(Deed(session.name, session.role.value, "session.end", detail={"why": why}))
            finally:
                self._ended(session.name)
            return None
        idle_ns = self._config.idle_lock_min * 60e9
        if not session.locked and idle_ns and now.monotonic_ns - session.used_ns >= idle_ns:
            session = replace(session, locked=True)
            self._log.append(Deed(session.name, session.role.value, "session.lock"))
        elif use and not session.locked:
            session = replace(session, used_ns=now.monotonic_ns)
        self._sessions[digest] = session
        return session

    def unlock(self, token: str, password: str) -> str:
        """Open a locked session again, and return its new secret.

        Raises LoginRefusedError with what the person may be told, LogUnwritableError.
        """
        session = self._sessions.get(_digest(token))
        if session is None:
            raise LoginRefusedError("Please log in.")
        user = self._proved(session.name, password, "session.unlock")
        self._log.append(Deed(user.name, user.role.value, "session.unlock"))
        del self._sessions[_digest(token)]
        fresh = secrets.token_urlsafe(32)
        self._sessions[_digest(fresh)] = replace(
            session,
            locked=False,
            used_ns=self._clock.now().monotonic_ns,
            form_token=secrets.token_urlsafe(32),
        )
        return fresh

    def change(self, token: str, **changes: object) -> None:
        """Replace fields of a session that is there: place, purpose, case_number, night."""
        if (session := self._sessions.get(_digest(token))) is not None:
            self._sessions[_digest(token)] = replace(session, **changes)  # type: ignore[arg-type]

    def log_out(self, token: str, summary: dict[str, str]) -> None:
        """End the session; *summary* goes into the log. Raises LogUnwritableError, and it is over."""
        if (session := self._sessions.pop(_digest(token), None)) is not None:
            try:
                self._log.append(Deed(session.name, session.role.value, "logout", detail=summary))
            finally:
                self._ended(session.name)

    def _proved(self, name: str, password: str, action: str) -> RosterUser:
        """Return who *name* and *password* are of. Raises LoginRefusedError, after an entry of the log."""
        now = self._clock.now().utc
        roster = self._rosters.roster
        user = None if roster is None else roster.find(name)
        counted = NOBODY if user is None else user.name
        locked = self._lockouts.locked(counted, now)
        nobody = self._hash_of_nobody(roster)
        right = _verify(nobody if user is None else user.password_hash, password)
        if user is None or locked or not right:
            locks = self._lockouts.fail(counted, now)
            why = "no such account" if user is None else "account is locked" if locked else "wrong password"
            # A name of no roster may be a password in the wrong field: it is not written down.
            actor, role = ("unknown", "") if user is None else (user.name, user.role.value)
            detail = {"why": why, "locked": str(locks).lower()}
            self._log.append(Deed(actor, role, action, "refused", detail=detail))
            raise LoginRefusedError(_UNSPECIFIC)
        if why := self.closed or _closed(user, user.role, now):
            self._log.append(Deed(user.name, user.role.value, action, "refused", detail={"why": why}))
            raise LoginRefusedError(f"You cannot log in: {why}")
        self._lockouts.forgive(user.name)
        return user

    def _hash_of_nobody(self, roster: Roster | None) -> str:
        """Return a hash that no password fits, of the cost of the roster's own."""
        like = "" if roster is None or not roster.users else roster.users[0].password_hash
        if self._nobody[0] != like or not self._nobody[1]:
            hasher = PasswordHasher.from_parameters(extract_parameters(like)) if like else PasswordHasher()
            self._nobody = (like, hasher.hash(secrets.token_urlsafe(32)))
        return self._nobody[1]


def same_secret(given: str, expected: str) -> bool:
    """Whether two secrets are the same, found out in a time that does not depend on where they differ."""
    return compare_digest(given.encode(), expected.encode())


def _closed(user: RosterUser | None, role: Role, now: datetime) -> str:
    if user is None or user.role is not role:
        return "the account is no longer on the roster."
    if user.disabled:
        return "the account is disabled."
    if now.date() >= user.training_expires:
        return f"the training on record expired on {user.training_expires.isoformat()}."
    return ""


def _verify(hashed: str, password: str) -> bool:
    if len(password) > MAX_PASSWORD:
        return False
    try:
        return PasswordHasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
