"""What each person does with their own account: password, second factor, logins that are open elsewhere.

A login that was left open must not be enough to take the account over: the old password is asked for again,
and a code where there is a second factor. Wrong ones count like wrong ones at the login.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from server.access import UNSPECIFIC_CODE, Access, LoginRefusedError
from server.accounts import count_failure, is_locked
from server.audit import Deed, append
from server.database import reading, writing
from server.errors import SettingsInvalidError
from server.factor_book import LOST, codes_left, put_pending, renew_codes, take_code, take_off
from server.passwords import hashed, matches, require_password
from server.second_factor import new_secret
from server.sessions import OpenSession, Session, end_all, end_one, open_sessions
from server.tables import accounts

UNSPECIFIC_PROOF = (
    "The password or code is wrong, or the account is locked for some minutes after too many attempts."
)


@dataclass(frozen=True, slots=True)
class Own:
    """What a person is shown of their own account."""

    has_factor: bool
    factor_at: datetime | None
    codes_left: int
    is_required: bool
    """Whether the department asks for a second factor of everybody."""
    training_expires: str
    sessions: tuple[OpenSession, ...]


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """The account of one person who is logged in. May be used by several threads."""

    access: Access
    session: Session
    source: str

    def shown(self, now: datetime) -> Own:
        """Return what the person is shown; the caller has recorded the look."""
        settings = self.access.settings
        with reading(self.access.engine) as connection:
            row = self._row(connection)
            found = open_sessions(
                connection,
                self.session,
                now,
                idle_min=settings.idle_timeout_min,
                hours=settings.session_hours,
            )
            return Own(
                row.factor_sealed is not None,
                row.factor_at,
                codes_left(connection, row.name),
                settings.second_factor == "required",
                row.training_expires.isoformat(),
                tuple(found),
            )

    def change_password(self, old: str, new: str, now: datetime) -> str:
        """Take *new* in place of *old*; all sessions end, and the secret of a new one is returned.

        Raises LoginRefusedError if *old* is wrong, SettingsInvalidError if *new* may not be a password.
        """
        require_password(new, self.session.account, self.access.department)
        if old == new:
            raise SettingsInvalidError("this is the password you have: choose another")
        kept, right = hashed(new), self._is_password(old)
        with writing(self.access.engine) as connection:
            why = self._refusal(connection, right, None, now)
            if not why:
                values = {"password_hash": kept, "one_time_until": None}
                which = accounts.c.name == self.session.account
                connection.execute(update(accounts).where(which).values(values))
                ended = end_all(connection, self.session.account, but=self.session)
                self._append(connection, "password.change", {"ended_sessions": ended}, now)
                end_all(connection, self.session.account)
                return self.access.begin_whole(connection, self.session.account, self.source, now)
            self._refused(connection, "password.change", why, now)
        raise LoginRefusedError(UNSPECIFIC_PROOF)

    def begin_factor(self, password: str, code: str, now: datetime) -> None:
        """Let a second factor be offered, in place of one there is; that stays until another is confirmed.

        Raises LoginRefusedError if the password is wrong, or the code of the one there is.
        """
        key, right = self.access.require_factors(), self._is_password(password)
        with writing(self.access.engine) as connection:
            row = self._row(connection)
            why = self._refusal(connection, right, None if row.factor_sealed is None else code, now)
            if not why:
                put_pending(connection, key, row.name, self.session.token_digest, new_secret())
                self._append(connection, "factor.begin", {}, now)
                return
            self._refused(connection, "factor.begin", why, now)
        raise LoginRefusedError(UNSPECIFIC_PROOF)

    def renew_codes(self, code: str, now: datetime) -> tuple[str, ...]:
        """Return new recovery codes in place of all before. Raises LoginRefusedError if *code* is wrong."""
        key = self.access.require_factors()
        with writing(self.access.engine) as connection:
            why = self._refusal(connection, True, code, now)
            if not why:
                self._append(connection, "factor.renew_codes", {}, now)
                return renew_codes(connection, key, self.session.account, now)
            self._refused(connection, "factor.renew_codes", why, now)
        raise LoginRefusedError(UNSPECIFIC_CODE)

    def take_off(self, code: str, now: datetime) -> None:
        """Do without a second factor, where the department leaves it open.

        Raises LoginRefusedError if *code* is wrong, or everybody must have one.
        """
        if self.access.settings.second_factor == "required":
            raise LoginRefusedError("Everybody here has a second factor; set up another one in its place.")
        with writing(self.access.engine) as connection:
            why = self._refusal(connection, True, code, now)
            if not why:
                take_off(connection, self.session.account)
                self._append(connection, "factor.take_off", {}, now)
                return
            self._refused(connection, "factor.take_off", why, now)
        raise LoginRefusedError(UNSPECIFIC_CODE)

    def end_session(self, session_id: str, now: datetime) -> bool:
        """End one of the person's own sessions; False if there is none of that name."""
        with writing(self.access.engine) as connection:
            if not end_one(connection, self.session.account, session_id):
                return False
            self._append(connection, "session.end", {"why": "ended by its person"}, now)
        return True

    def end_others(self, now: datetime) -> int:
        """End all of the person's sessions but this one; return how many that were."""
        with writing(self.access.engine) as connection:
            ended = end_all(connection, self.session.account, but=self.session)
            self._append(connection, "session.end", {"why": "ended by its person", "sessions": ended}, now)
        return ended

    def _is_password(self, password: str) -> bool:
        with reading(self.access.engine) as connection:
            kept = self._row(connection).password_hash
        # Costly: not under the write lock.
        return matches(kept, password)

    def _refusal(self, connection: Connection, right: bool, code: str | None, now: datetime) -> str:
        """Return why the person is not who they say, "" if they are; a code that was good is used up."""
        row = self._row(connection)
        if is_locked(row, now):
            return "account is locked"
        if not right:
            return "wrong password"
        return "" if code is None else take_code(connection, self.access.factors, row, code, now)

    def _refused(self, connection: Connection, action: str, why: str, now: datetime) -> None:
        row, detail = self._row(connection), {"why": why}
        uncounted = why == LOST or is_locked(row, now)
        counted = {} if uncounted else count_failure(connection, row, self.access.settings, now)
        self._append(connection, action, {**detail, **counted}, now, "refused")

    def _row(self, connection: Connection) -> Row[Any]:
        return connection.execute(select(accounts).where(accounts.c.name == self.session.account)).one()

    def _append(
        self,
        connection: Connection,
        action: str,
        detail: dict[str, Any],
        now: datetime,
        outcome: str = "success",
    ) -> None:
        deed = Deed(self.session.account, action, outcome, source=self.source, detail=detail)
        append(connection, deed, now)
