"""Who may log in, and for how long. Every attempt, good or bad, is an entry of the access log.

The answer to a wrong name, a wrong password and a locked account is the same and takes the same time, so that
nobody can find out which names exist. Only who knows the password learns that the account is closed, that the
training has lapsed, or that a second factor is asked for. A wrong, used and mistimed code and a locked
account get one answer as well.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, update

from server.accounts import (
    add_account,
    change_account,
    closed,
    count_failure,
    is_locked,
)
from server.audit import Deed, append
from server.database import reading, writing
from server.errors import ServerError, SettingsInvalidError
from server.factor_book import LOST, any_taken_up, opens_any, pending, put_pending, take_code, take_up
from server.passwords import hashed, matches, require_password
from server.roles import Role
from server.second_factor import KEY_FILE, FactorKey, Offer, factor_key, matching_step, new_secret, offer
from server.sessions import HALF_MINUTES, Purpose, Session, Step, begin, end, end_all, token_digest
from server.settings import AccessSettings, Folder
from server.tables import accounts, sessions

__all__ = [
    "Access",
    "LoginRefusedError",
    "Purpose",
    "Role",
    "Session",
    "add_account",
    "change_account",
    "factors_of",
    "same_secret",
]


class LoginRefusedError(ServerError):
    """Nobody was logged in: show the message on the page; the log has the reason."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A second factor that was taken up: what is shown once."""

    token: str = field(repr=False)
    """Of the session that goes on."""
    recovery_codes: tuple[str, ...] = field(repr=False)


class Access:
    """Logins and sessions. May be used by several threads.

    Without *factors*, the key of second factors, nobody can take one up, and who has one is not let in.
    """

    def __init__(
        self,
        engine: Engine,
        settings: AccessSettings,
        factors: FactorKey | None = None,
        department: str = "",
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.factors = factors
        self.department = department
        # Compared where there is no such account, so that the answer takes the same time.
        self._nobody = hashed(secrets.token_urlsafe(32))

    def log_in(self, name: str, password: str, source: str, now: datetime) -> str:
        """Return the secret of a new session, which may ask for more steps.

        Raises LoginRefusedError with what the person may be told.
        """
        with reading(self.engine) as connection:
            row = connection.execute(select(accounts).where(accounts.c.name == name)).first()
        right = matches(self._nobody if row is None else row.password_hash, password)
        if row is None:
            # The name as typed may be a password in the wrong field: it is not written down.
            deed = Deed("unknown", "login", "refused", source=source, detail={"why": "no such account"})
            with writing(self.engine) as connection:
                append(connection, deed, now)
            raise LoginRefusedError(_UNSPECIFIC)
        with writing(self.engine) as connection:
            # Read again under the write lock: attempts made at the same moment must all be counted, and a
            # password that was changed meanwhile is no longer right.
            before, row = row, _row(connection, name)
            right = right and row.password_hash == before.password_hash
            locked = is_locked(row, now)
            why = "account is locked" if locked else "" if right else "wrong password"
            why = why or closed(row, self.settings, now) or _ran_out(row, now)
            if not why:
                return self._go_on(connection, row, source, now)
            detail: dict[str, object] = {"why": why}
            if not locked and not right:
                detail |= count_failure(connection, row, self.settings, now)
            append(connection, Deed(name, "login", "refused", source=source, detail=detail), now)
        raise LoginRefusedError(_UNSPECIFIC if locked or not right else f"You cannot log in: {why}.")

    def give_code(self, session: Session, code: str, source: str, now: datetime) -> str:
        """Take the code that *session*, at its step CODE, asks for; return the secret of the next session.

        Raises LoginRefusedError, the same for whatever was wrong.
        """
        with writing(self.engine) as connection:
            row = _row(connection, session.account)
            self._require_step(connection, session, Step.CODE)
            why = "account is locked" if is_locked(row, now) else ""
            why = why or take_code(connection, self.factors, row, code, now)
            # Of a key that is the wrong one no code is right: that is not the person's failure.
            counts = why != LOST and not is_locked(row, now)
            if not why:
                end(connection, session)
                return self._go_on(connection, row, source, now, code_given=True)
            detail: dict[str, object] = {"why": why, "step": "code"}
            if counts:
                detail |= count_failure(connection, row, self.settings, now)
            append(connection, Deed(row.name, "login", "refused", source=source, detail=detail), now)
        raise LoginRefusedError(UNSPECIFIC_CODE)

    def choose_password(self, session: Session, password: str, source: str, now: datetime) -> str:
        """Replace the one-time password of *session*, at its step RENEW; return the next session's secret.

        Raises SettingsInvalidError if it may not be a password, or is the old one.
        """
        require_password(password, session.account, self.department)
        kept = hashed(password)
        with reading(self.engine) as connection:
            old = _row(connection, session.account).password_hash
        if matches(old, password):
            raise SettingsInvalidError("this is the password that you were given: choose another")
        with writing(self.engine) as connection:
            self._require_step(connection, session, Step.RENEW)
            connection.execute(
                update(accounts)
                .where(accounts.c.name == session.account)
                .values(password_hash=kept, one_time_until=None)
            )
            detail = {"account": session.account, "changed": ["password"]}
            deed = Deed(session.account, "account.change", source=source, detail=detail)
            append(connection, deed, now)
            end_all(connection, session.account)
            # At this step any code was already given.
            return self._go_on(connection, _row(connection, session.account), source, now, code_given=True)

    def offer_factor(self, session: Session) -> Offer:
        """Return the second factor that is offered to *session*; the same until it is confirmed, never after.

        At the step ENROL one is made; once a login is whole, `OwnAccount.begin_factor` makes it.
        Raises LoginRefusedError if none may be taken up now.
        """
        key = self.require_factors()
        with writing(self.engine) as connection:
            secret = pending(connection, key, session.account, session.token_digest)
            if not secret and session.step is Step.ENROL:
                made = new_secret()
                kept = put_pending(connection, key, session.account, session.token_digest, made)
                secret = made if kept else ""
        if not secret:
            raise LoginRefusedError("Nothing waits to be confirmed: begin again.")
        return offer(secret, session.account, self.department)

    def confirm_factor(self, session: Session, code: str, source: str, now: datetime) -> Confirmed:
        """Take up the offered second factor if *code* is one of it; all other sessions of the person end.

        Raises LoginRefusedError if it is not, or nothing was offered.
        """
        key = self.require_factors()
        with writing(self.engine) as connection:
            secret = pending(connection, key, session.account, session.token_digest)
            step = matching_step(secret, code, now) if secret else None
            if step is None:
                deed = Deed(session.account, "factor.enrol", "refused", source=source, detail={"why": "code"})
                append(connection, deed, now)
            else:
                codes = take_up(connection, key, session.account, secret, step=step, now=now)
                append(connection, Deed(session.account, "factor.enrol", source=source), now)
                end_all(connection, session.account)
                if session.step is None:
                    return Confirmed(self.begin_whole(connection, session.account, source, now), codes)
                row = _row(connection, session.account)
                return Confirmed(self._go_on(connection, row, source, now, code_given=True), codes)
        raise LoginRefusedError(
            "That code does not fit. Wait for the next one; if it does not fit either, set the phone's clock "
            "to the network's time, or scan the picture again."
        )

    def session(self, token: str, now: datetime) -> Session | None:
        """Return the session that *token* is the secret of, or None if it is over or its login is not whole;
        use keeps it alive."""
        found = self.standing(token, now)
        return found if found is not None and found.step is None else None

    def standing(self, token: str, now: datetime) -> Session | None:
        """Return the session that *token* is the secret of, however far its login got; None if it is over."""
        digest = token_digest(token)
        idle, whole = (
            timedelta(minutes=self.settings.idle_timeout_min),
            timedelta(hours=self.settings.session_hours),
        )
        with writing(self.engine) as connection:
            row = connection.execute(
                select(sessions, accounts)
                .join(accounts, accounts.c.name == sessions.c.account)
                .where(sessions.c.token_digest == digest)
            ).first()
            if row is None:
                return None
            step = None if row.step is None else Step(row.step)
            if step is not None:
                whole = timedelta(minutes=HALF_MINUTES)
            over = now >= row.used_at + idle or now >= row.started_at + whole
            # An account that is closed, or whose training lapses, in the middle of a shift is out at once.
            why = closed(row, self.settings, now, active_at=now)
            if over or why:
                end(connection, Session(row.account, Role(row.role), "", None, digest))
                append(connection, Deed(row.account, "session.end", detail={"why": why or "timeout"}), now)
                return None
            if step is None:
                connection.execute(
                    update(sessions).where(sessions.c.token_digest == digest).values(used_at=now)
                )
                connection.execute(
                    update(accounts).where(accounts.c.name == row.account).values(active_at=now)
                )
        fresh = row.purpose_at is not None and now < row.purpose_at + timedelta(
            minutes=self.settings.purpose_min
        )
        purpose = Purpose(row.purpose, row.case_number) if fresh else None
        return Session(row.account, Role(row.role), row.form_token, purpose, digest, step)

    def state_purpose(self, session: Session, purpose: Purpose, source: str, now: datetime) -> None:
        """Record why the person is going to look at reads."""
        with writing(self.engine) as connection:
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
        with writing(self.engine) as connection:
            end(connection, session)
            append(connection, Deed(session.account, "logout", source=source), now)

    def begin_whole(self, connection: Connection, account: str, source: str, now: datetime) -> str:
        """Begin a session whose login is whole, in the caller's transaction."""
        return begin(connection, account, None, source, now, hours=self.settings.session_hours)

    def _go_on(
        self, connection: Connection, row: Row[Any], source: str, now: datetime, *, code_given: bool = False
    ) -> str:
        """Begin the session of the next step, or the whole one."""
        step = self._next_step(row, code_given=code_given)
        if step is not None:
            # With a second factor failures are forgotten only once its code was right: else who knows the
            # password could try codes for ever.
            append(connection, Deed(row.name, "login.step", source=source, detail={"next": step.value}), now)
            return begin(connection, row.name, step, source, now, hours=self.settings.session_hours)
        fresh = {"failures": 0, "locked_until": None, "active_at": now, "reset_what": None, "reset_by": None}
        connection.execute(update(accounts).where(accounts.c.name == row.name).values(fresh))
        append(connection, Deed(row.name, "login", source=source), now)
        return self.begin_whole(connection, row.name, source, now)

    def _next_step(self, row: Row[Any], *, code_given: bool) -> Step | None:
        if row.factor_sealed is not None and not code_given:
            return Step.CODE
        if row.one_time_until is not None:
            return Step.RENEW
        if row.factor_sealed is None and self.settings.second_factor == "required":
            return Step.ENROL
        return None

    def _require_step(self, connection: Connection, session: Session, step: Step) -> None:
        held = connection.execute(
            select(sessions.c.step).where(sessions.c.token_digest == session.token_digest)
        ).scalar()
        if held != step.value:
            raise LoginRefusedError("This login is over. Please log in again.")

    def require_factors(self) -> FactorKey:
        """Return the key of second factors. Raises LoginRefusedError if there is none."""
        if self.factors is None:
            raise LoginRefusedError("No second factor can be taken up here now: tell the administrator.")
        return self.factors


_UNSPECIFIC = "Name or password is wrong, or the account is locked for some minutes after too many attempts."
UNSPECIFIC_CODE = (
    "That code is wrong or was used already, or the account is locked for some minutes after too many "
    "attempts. Wait for the next code, and check that the phone's clock is right."
)


def factors_of(engine: Engine, folder: Folder) -> FactorKey:
    """Return the key of a department's second factors.

    Raises SettingsInvalidError if it is missing and accounts need it, or is another one than theirs.
    """
    with reading(engine) as connection:
        in_use = any_taken_up(connection)
        key = factor_key(folder.keys, in_use=in_use)
        if not opens_any(connection, key):
            raise SettingsInvalidError(
                f"{folder.keys / KEY_FILE} is another key than the second factors of the accounts were made "
                "with: several servers of one department need the same; copy it from the one where people "
                "enrolled, or from the backup"
            )
    return key


def same_secret(given: str, expected: str) -> bool:
    """Whether two secrets are the same, found out in a time that does not depend on where they differ."""
    return compare_digest(given.encode(), expected.encode())


def _row(connection: Connection, name: str) -> Row[Any]:
    return connection.execute(select(accounts).where(accounts.c.name == name)).one()


def _ran_out(row: Row[Any], now: datetime) -> str:
    if row.one_time_until is not None and now >= row.one_time_until:
        return "the one-time password ran out; ask an administrator for another"
    return ""
