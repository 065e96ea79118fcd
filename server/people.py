"""The department's people, as an administrator looks after them: on the pages and at the command line alike.

Two rules hold one administrator back. Where there are two or more, a further one, and each supervisor, is
made by two: one asks, another approves. Opening the account of one that was disabled is making one, and it
stays disabled, in its role, until it was approved. And nobody resets both password and second factor of one
account, which would be to log in as that person, unless there is no other administrator. Nobody is above the
rule that acts on themself. Nor does anybody become the only one by a deed of their own: of two, one may
disable the other, who counts as an administrator until the account was unused for as long as closes one
(`idle_account_days`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select, update

from server.accounts import (
    ONE_TIME_DAYS,
    Course,
    closed,
    insert_account,
    is_locked,
    record_training,
    renew,
    require_name,
    row_of,
)
from server.actors import Actor
from server.audit import append, same_person
from server.audit_reports import LAPSES_SOON_DAYS
from server.database import writing
from server.errors import NotPermittedError, SettingsInvalidError
from server.factor_book import take_off
from server.passwords import hashed, one_time_password, require_password
from server.roles import Role
from server.sessions import end_all
from server.settings import AccessSettings
from server.tables import accounts, training_records

UNTIL_APPROVED = Role.TECHNICIAN
"""What a new account is that shall be one of `DECIDING`, until a second administrator approved: it opens
least."""
DECIDING = (Role.ADMIN, Role.SUPERVISOR)
"""Who approves what others ask for: else one person would make the second one, and be both."""
WORD, FACTOR = "password", "second factor"
_MOST_COURSE = 256
_NOTHING_WAITS = {"wanted_role": None, "wanted_by": None, "wanted_at": None}


class AccountRefusedError(SettingsInvalidError):
    """An account cannot be changed like this: nothing was; tell who asked."""


class AccountChangedError(AccountRefusedError):
    """What waits is no longer what was shown: nothing was approved; show it again."""


@dataclass(frozen=True, slots=True)
class Person:
    """One account, as administrators see it."""

    name: str
    role: Role
    training_expires: date
    training_days: int
    """Until it lapses; none or less: it has."""
    last_used_at: datetime
    idle_days: int
    created_at: datetime
    disabled: bool
    locked_until: datetime | None
    """None where it is not locked now."""
    closed_why: str
    """"" where the person could log in."""
    has_factor: bool
    one_time_until: datetime | None
    wanted_role: Role | None
    """Waits for a second administrator. The role that it has: so does its opening (`opening_waits`)."""
    wanted_by: str
    wanted_at: datetime | None

    @property
    def training_lapses_soon(self) -> bool:
        """Whether it does within the days that the reports count."""
        return 0 < self.training_days <= LAPSES_SOON_DAYS

    @property
    def opening_waits(self) -> bool:
        """Whether what waits is that the account, which is disabled, is opened in its role."""
        return self.disabled and self.wanted_role is self.role


@dataclass(frozen=True, slots=True)
class Training:
    """One record of a person's training."""

    course: str
    held_on: date | None
    expires: date
    recorded_by: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class People:
    """All accounts. May be used by several threads. Each look and deed is an entry of the access log, also
    one that was refused.

    Every method raises NotPermittedError if the actor is no administrator, and those that change something
    AccountRefusedError or SettingsInvalidError with what to do; then nothing was changed.
    """

    engine: Engine
    settings: AccessSettings
    department: str

    def all(self, actor: Actor, now: datetime) -> list[Person]:
        """Return everybody, sorted by name."""
        with self._recorded(actor, "accounts.list", {}, now) as connection:
            found = connection.execute(select(accounts).order_by(accounts.c.name))
            return [self._person(row, now) for row in found]

    def one(self, name: str, actor: Actor, now: datetime) -> tuple[Person, list[Training]]:
        """Return one person, and the history of their training, the newest first."""
        with self._recorded(actor, "account.view", {"account": name}, now) as connection:
            row = row_of(connection, name)
            found = connection.execute(
                select(training_records)
                .where(training_records.c.account == name)
                .order_by(training_records.c.record_id.desc())
            )
            history = [
                Training(each.course, each.held_on, each.expires, each.recorded_by, each.recorded_at)
                for each in found
            ]
            return self._person(row, now), history

    def add(
        self,
        name: str,
        role: Role,
        course: Course,
        *,
        actor: Actor,
        now: datetime,
        password: str | None = None,
    ) -> str:
        """Make an account; return its one-time password, "" where *password* was given and stays.

        An administrator's or supervisor's is a technician's until another administrator approved, where there
        are two or more.
        """
        detail: dict[str, Any] = {
            "account": name,
            "role": role.value,
            "course": course.name,
            "training_expires": course.expires.isoformat(),
        }
        made = one_time_password() if password is None else ""
        kept = hashed(made or password or "")
        with self._recorded(actor, "account.add", detail, now) as connection:
            require_name(name)
            if password is not None:
                require_password(password, name, self.department)
            waits = self._waits(connection, role, now)
            detail["waits"] = waits
            until = now + timedelta(days=ONE_TIME_DAYS) if made else None
            first = UNTIL_APPROVED if waits else role
            insert_account(connection, name, first, kept, now=now, one_time_until=until)
            if waits:
                _want(connection, name, role, actor, now)
            _train(connection, name, course, actor, now)
        return made

    def change_role(self, name: str, role: Role, actor: Actor, now: datetime) -> bool:
        """Give another role; return whether it waits for a second administrator. Sessions end."""
        detail: dict[str, Any] = {"account": name, "role": role.value}
        with self._recorded(actor, "account.change_role", detail, now) as connection:
            row = _another(connection, name, actor)
            if row.role == role.value:
                raise AccountRefusedError(f"account {name!r} has this role")
            detail["before"] = row.role
            self._require_another_administrator(connection, row)
            if self._counts(row, now) and self._administrators(connection, now) == 2:
                raise AccountRefusedError(
                    f"account {name!r}: of two administrators one does not end the other's role; make "
                    "another first, or disable the account"
                )
            waits = self._waits(connection, role, now)
            detail["waits"] = waits
            if waits:
                _want(connection, name, role, actor, now)
            else:
                _settle(connection, name, role)
        return waits

    def approve(
        self,
        name: str,
        actor: Actor,
        now: datetime,
        *,
        role: str | None = None,
        asked_at: str | None = None,
    ) -> tuple[Role, bool]:
        """Give the role that another administrator asked for, or open a disabled account in it; return the
        role, and whether the account was opened. Sessions end.

        *role* and *asked_at* (`Person.wanted_at` in ISO format) are what *actor* was shown; None: not asked.
        Raises AccountChangedError if something else waits by now.
        """
        detail: dict[str, Any] = {"account": name}
        with self._recorded(actor, "account.approve_role", detail, now) as connection:
            row = _another(connection, name, actor)
            if row.wanted_role is None:
                raise AccountRefusedError(f"account {name!r}: no role waits for approval")
            detail |= {"role": row.wanted_role, "wanted_by": row.wanted_by}
            if actor.is_person(row.wanted_by):
                raise AccountRefusedError("you asked for this: another administrator approves")
            if role not in (None, row.wanted_role) or asked_at not in (None, row.wanted_at.isoformat()):
                raise AccountChangedError(
                    f"what waits for account {name!r} was changed meanwhile: look again, then decide"
                )
            opens = detail["opens"] = _opening_waits(row)
            if opens:
                renew(connection, name, {"disabled": False, **_NOTHING_WAITS}, now)
            else:
                _settle(connection, name, Role(row.wanted_role))
        return Role(row.wanted_role), opens

    def refuse(self, name: str, actor: Actor, now: datetime) -> None:
        """Leave the role, or a disabled account, as it is; who asked may do so too."""
        detail: dict[str, Any] = {"account": name}
        with self._recorded(actor, "account.refuse_role", detail, now) as connection:
            row = row_of(connection, name)
            if row.wanted_role is None:
                raise AccountRefusedError(f"account {name!r}: no role waits for approval")
            detail["role"] = row.wanted_role
            connection.execute(update(accounts).where(accounts.c.name == name).values(_NOTHING_WAITS))

    def train(self, name: str, course: Course, actor: Actor, now: datetime) -> None:
        """Record a training; the newest record decides until when the person may log in."""
        detail = {
            "account": name,
            "course": course.name,
            "training_expires": course.expires.isoformat(),
        }
        with self._recorded(actor, "account.train", detail, now) as connection:
            row_of(connection, name)
            _train(connection, name, course, actor, now)

    def reset_password(self, name: str, actor: Actor, now: datetime) -> str:
        """Return a one-time password in place of the person's own. Sessions end, the lock is lifted."""
        made = one_time_password()
        kept, until = hashed(made), now + timedelta(days=ONE_TIME_DAYS)
        with self._recorded(actor, "account.reset_password", {"account": name}, now) as connection:
            row = _another(connection, name, actor)
            values = {"password_hash": kept, "one_time_until": until}
            renew(connection, name, {**values, **self._reset(connection, row, WORD, actor, now)}, now)
        return made

    def give_password(self, name: str, password: str, actor: Actor, now: datetime) -> None:
        """Take *password* in place of the person's own, and let it stay: for the console. Sessions end, the
        lock is lifted. One's own is given so too, by whoever may use the department's folder."""
        detail, kept = {"account": name, "given": True}, hashed(password)
        with self._recorded(actor, "account.reset_password", detail, now) as connection:
            row = row_of(connection, name)
            require_password(password, name, self.department)
            values: dict[str, Any] = {"password_hash": kept, "one_time_until": None}
            if not actor.is_person(name):
                values |= self._reset(connection, row, WORD, actor, now)
            renew(connection, name, values, now)

    def reset_factor(self, name: str, actor: Actor, now: datetime) -> None:
        """Take the second factor and its recovery codes off. Sessions end."""
        with self._recorded(actor, "account.reset_factor", {"account": name}, now) as connection:
            row = _another(connection, name, actor)
            if row.factor_sealed is None:
                raise AccountRefusedError(f"account {name!r} has no second factor")
            values = self._reset(connection, row, FACTOR, actor, now)
            take_off(connection, name)
            connection.execute(update(accounts).where(accounts.c.name == name).values(values))
            end_all(connection, name)

    def disable(self, name: str, actor: Actor, now: datetime) -> None:
        """Close an account. Sessions end at once."""
        with self._recorded(actor, "account.disable", {"account": name}, now) as connection:
            row = _another(connection, name, actor)
            self._require_another_administrator(connection, row)
            values = {"disabled": True, **_NOTHING_WAITS}
            connection.execute(update(accounts).where(accounts.c.name == name).values(values))
            end_all(connection, name)

    def enable(self, name: str, actor: Actor, now: datetime) -> bool:
        """Open an account again: one that was disabled, locked, or unused for too long; return whether that
        waits for a second administrator."""
        detail: dict[str, Any] = {"account": name}
        with self._recorded(actor, "account.enable", detail, now) as connection:
            row = _another(connection, name, actor)
            waits = row.disabled and self._waits(connection, Role(row.role), now)
            detail["waits"] = waits
            if waits:
                # Else who wants a further administrator would disable one and take that account over. The
                # role stays: an administrator without it would no longer count, and leave the other alone.
                _want(connection, name, Role(row.role), actor, now)
            else:
                settled = _NOTHING_WAITS if _opening_waits(row) else {}
                renew(connection, name, {"disabled": False, **settled}, now)
        return waits

    def _waits(self, connection: Connection, role: Role, now: datetime) -> bool:
        return role in DECIDING and self._administrators(connection, now) >= 2

    def _administrators(self, connection: Connection, now: datetime) -> int:
        found = connection.execute(select(accounts).where(accounts.c.role == Role.ADMIN.value))
        return sum(self._counts(row, now) for row in found)

    def _counts(self, row: Row[Any], now: datetime) -> bool:
        """Whether the account of *row* is an administrator's to the rules that need two of them. One that was
        disabled lately is: else one person would disable the other, and be alone."""
        lately = now < row.active_at + timedelta(days=self.settings.idle_account_days)
        return row.role == Role.ADMIN.value and (not row.disabled or lately)

    def _require_another_administrator(self, connection: Connection, row: Row[Any]) -> None:
        able = accounts.c.role == Role.ADMIN.value, accounts.c.disabled.is_(False)
        left = select(func.count()).select_from(accounts).where(*able, accounts.c.name != row.name)
        if row.role == Role.ADMIN.value and not row.disabled and not connection.execute(left).scalar_one():
            raise AccountRefusedError(f"account {row.name!r} is the only administrator's: make another first")

    def _reset(
        self, connection: Connection, row: Row[Any], what: str, actor: Actor, now: datetime
    ) -> dict[str, str]:
        if row.reset_what in (None, what):
            return {"reset_what": what, "reset_by": actor.name}
        if same_person(row.reset_by, actor.name) and self._administrators(connection, now) >= 2:
            raise AccountRefusedError(
                f"you reset the {row.reset_what} of {row.name!r}, who has not logged in since: another "
                f"administrator resets the {what}"
            )
        # Who was first stays on record: else they would reset the other thing after this one did.
        return {"reset_what": row.reset_what, "reset_by": row.reset_by}

    def _person(self, row: Row[Any], now: datetime) -> Person:
        return Person(
            row.name,
            Role(row.role),
            row.training_expires,
            (row.training_expires - now.date()).days,
            row.active_at,
            (now - row.active_at).days,
            row.created_at,
            row.disabled,
            row.locked_until if is_locked(row, now) else None,
            closed(row, self.settings, now),
            row.factor_sealed is not None,
            row.one_time_until,
            None if row.wanted_role is None else Role(row.wanted_role),
            row.wanted_by or "",
            row.wanted_at,
        )

    @contextmanager
    def _recorded(
        self, actor: Actor, action: str, detail: dict[str, Any], now: datetime
    ) -> Iterator[Connection]:
        try:
            if actor.role not in (None, Role.ADMIN):
                raise NotPermittedError("Accounts are looked after by administrators.")
            with writing(self.engine) as connection:
                yield connection
                append(connection, actor.deed(action, detail), now)
        except (SettingsInvalidError, NotPermittedError) as error:
            with writing(self.engine) as connection:
                append(connection, actor.deed(action, {**detail, "why": str(error)}, "refused"), now)
            if isinstance(error, NotPermittedError):
                error.noted = True
            raise


def _another(connection: Connection, name: str, actor: Actor) -> Row[Any]:
    row = row_of(connection, name)
    if actor.is_person(name):
        raise AccountRefusedError("this is your own account: another administrator does that")
    return row


def _train(connection: Connection, name: str, course: Course, actor: Actor, now: datetime) -> None:
    called = course.name.strip()
    if not called or len(called) > _MOST_COURSE or not called.isprintable():
        raise AccountRefusedError(f"training: name the course, in 1 to {_MOST_COURSE} characters")
    if course.held_on is not None and (course.held_on > now.date() or course.expires <= course.held_on):
        raise AccountRefusedError("training: it was held today or before, and lapses after it was held")
    record_training(connection, name, replace(course, name=called), actor=actor.name, now=now)


def _want(connection: Connection, name: str, role: Role, actor: Actor, now: datetime) -> None:
    values = {"wanted_role": role.value, "wanted_by": actor.name, "wanted_at": now}
    connection.execute(update(accounts).where(accounts.c.name == name).values(values))


def _opening_waits(row: Row[Any]) -> bool:
    # Nothing else asks for the role that an account has: `change_role` refuses it.
    return bool(row.disabled and row.wanted_role == row.role)


def _settle(connection: Connection, name: str, role: Role) -> None:
    values = {"role": role.value, **_NOTHING_WAITS}
    connection.execute(update(accounts).where(accounts.c.name == name).values(values))
    end_all(connection, name)
