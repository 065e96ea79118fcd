"""Accounts as the database holds them: made, changed, their training recorded, their failures counted.

Each change and its entry of the access log are one transaction. Who may change what is `people`'s to say.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from server.audit import Deed, append
from server.database import writing
from server.errors import SettingsInvalidError
from server.passwords import hashed, require_password
from server.roles import Role
from server.sessions import end_all
from server.settings import AccessSettings
from server.tables import accounts, training_records

UNNAMED_COURSE = "training, not named"
ONE_TIME_DAYS = 7
"""So long a password lasts that another person gave."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Course:
    """A training that a person had."""

    name: str
    held_on: date | None
    """None where nobody knows any more."""
    expires: date
    """The day on which it lapses."""


def add_account(
    engine: Engine, name: str, role: Role, password: str, training_expires: date, *, actor: str, now: datetime
) -> None:
    """Make an account.

    Raises SettingsInvalidError if the name is taken or cannot be one, or the password may not be one.
    """
    require_name(name)
    require_password(password, name)
    kept = hashed(password)
    detail = {"account": name, "role": role.value, "training_expires": training_expires.isoformat()}
    with writing(engine) as connection:
        insert_account(connection, name, role, kept, now=now)
        course = Course(UNNAMED_COURSE, None, training_expires)
        record_training(connection, name, course, actor=actor, now=now)
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

    Raises SettingsInvalidError if there is no such account or the password may not be one.
    """
    values: dict[str, Any] = {}
    changed = []
    if password is not None:
        require_password(password, name)
        values |= {"password_hash": hashed(password), "one_time_until": None}
        changed.append("password")
    if training_expires is not None:
        changed.append(f"training_expires={training_expires.isoformat()}")
    if disabled is not None:
        values["disabled"] = disabled
        changed.append(f"disabled={disabled}")
    with writing(engine) as connection:
        row_of(connection, name)
        if training_expires is not None:
            course = Course(UNNAMED_COURSE, None, training_expires)
            record_training(connection, name, course, actor=actor, now=now)
        renew(connection, name, values, now)
        append(connection, Deed(actor, "account.change", detail={"account": name, "changed": changed}), now)


def require_name(name: str) -> None:
    """Raises SettingsInvalidError if *name* cannot be an account's."""
    if not _NAME.fullmatch(name):
        raise SettingsInvalidError(f"account {name!r}: use 1 to 64 of A-Z, a-z, 0-9, dot, hyphen, underscore")


def row_of(connection: Connection, name: str) -> Row[Any]:
    """Return the account. Raises SettingsInvalidError if there is none."""
    row = connection.execute(select(accounts).where(accounts.c.name == name)).first()
    if row is None:
        raise SettingsInvalidError(f"there is no account {name!r}: add it first")
    return row


def insert_account(
    connection: Connection,
    name: str,
    role: Role,
    kept: str,
    *,
    now: datetime,
    one_time_until: datetime | None = None,
) -> None:
    """Write a new account, with *kept* the hash of its password; its training must be recorded at once.

    Raises SettingsInvalidError if there is one of that name.
    """
    if connection.execute(select(accounts.c.name).where(accounts.c.name == name)).first() is not None:
        raise SettingsInvalidError(f"account {name!r} exists: choose another name or change its password")
    connection.execute(
        insert(accounts).values(
            name=name,
            role=role.value,
            password_hash=kept,
            training_expires=now.date(),
            created_at=now,
            active_at=now,
            disabled=False,
            failures=0,
            one_time_until=one_time_until,
        )
    )


def record_training(
    connection: Connection,
    name: str,
    course: Course,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Put one more record into the history of *name*'s training; it decides from now on."""
    connection.execute(
        insert(training_records).values(
            account=name,
            course=course.name,
            held_on=course.held_on,
            expires=course.expires,
            recorded_by=actor,
            recorded_at=now,
        )
    )
    connection.execute(
        update(accounts).where(accounts.c.name == name).values(training_expires=course.expires)
    )


def renew(connection: Connection, name: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change columns of an account; its sessions end, its lock is lifted, it counts as used now."""
    fresh = {"failures": 0, "locked_until": None, "active_at": now}
    connection.execute(update(accounts).where(accounts.c.name == name).values({**fresh, **values}))
    end_all(connection, name)


def closed(row: Row[Any], settings: AccessSettings, now: datetime, active_at: datetime | None = None) -> str:
    """Return why the account of *row* is closed at *now*, "" if it is open."""
    if row.disabled:
        return "the account is disabled"
    if now.date() >= row.training_expires:
        return f"the training on record expired on {row.training_expires.isoformat()}"
    if now >= (active_at or row.active_at) + timedelta(days=settings.idle_account_days):
        return f"the account was unused for {settings.idle_account_days} days"
    return ""


def is_locked(row: Row[Any], now: datetime) -> bool:
    """Whether too many failures have locked the account of *row* for the time being."""
    return row.locked_until is not None and now < row.locked_until


def count_failure(
    connection: Connection, row: Row[Any], settings: AccessSettings, now: datetime
) -> dict[str, object]:
    """Count one more wrong password or code; return what the access log is told of it.

    Call it in the transaction that read *row* under the write lock: attempts made at the same moment must all
    be counted.
    """
    failures = row.failures + 1
    locks = failures >= settings.lockout_failures
    until = now + timedelta(minutes=settings.lockout_min) if locks else None
    # The count starts anew after a lock: each further lock takes as many attempts as the first.
    connection.execute(
        update(accounts)
        .where(accounts.c.name == row.name)
        .values(failures=0 if locks else failures, locked_until=until)
    )
    return {"failures": failures, "locked": locks}
