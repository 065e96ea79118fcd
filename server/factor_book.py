"""Second factors as the database holds them: taken up, asked, renewed, taken off. Each in its caller's
transaction, which must have the write lock: that makes a code good once, also for two requests at a time."""

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from server.second_factor import FactorKey, FactorLostError, is_timed, matching_step, recovery_codes
from server.tables import accounts, sessions
from server.tables import recovery_codes as codes_table

WRONG, USED, NONE = "wrong code", "code was used before", "no second factor"
LOST = "the stored second factor does not open with the key"
_log = structlog.get_logger(__name__)


def take_code(connection: Connection, key: FactorKey | None, row: Row[Any], code: str, now: datetime) -> str:
    """Use up *code*, of the authenticator or a recovery code, for the account of *row*.

    Return "" if it was good, else why it was not: for the access log, not for the person.
    """
    if row.factor_sealed is None:
        return NONE
    if key is None:
        return LOST
    try:
        secret = key.open(row.name, row.factor_sealed)
    except FactorLostError:
        _log.error("ALARM: second factor does not open", remedy="keys/second-factor.key of the other servers")
        return LOST
    if not is_timed(code):
        return _take_recovery_code(connection, key, row.name, code, now)
    step = matching_step(secret, code, now)
    if step is None:
        return WRONG
    # A code that was taken ends itself and all before it (RFC 6238, 5.2).
    if row.factor_step is not None and step <= row.factor_step:
        return USED
    connection.execute(update(accounts).where(accounts.c.name == row.name).values(factor_step=step))
    return ""


def put_pending(connection: Connection, key: FactorKey, account: str, digest: bytes, secret: str) -> bool:
    """Keep *secret* with the session of *digest* until the person confirms it; False if that is over."""
    kept = connection.execute(
        update(sessions)
        .where(sessions.c.token_digest == digest)
        .values(factor_pending=key.seal(account, secret))
    )
    return kept.rowcount == 1


def pending(connection: Connection, key: FactorKey, account: str, digest: bytes) -> str:
    """Return the secret that waits with the session of *digest*, "" if none does."""
    sealed = connection.execute(
        select(sessions.c.factor_pending).where(sessions.c.token_digest == digest)
    ).scalar()
    return "" if sealed is None else key.open(account, sealed)


def take_up(
    connection: Connection, key: FactorKey, account: str, secret: str, *, step: int, now: datetime
) -> tuple[str, ...]:
    """Make *secret* the second factor of *account*; the code of *step* confirmed it, and is used up.

    Return the recovery codes, in place of any before; they are not to be had again.
    """
    values = {"factor_sealed": key.seal(account, secret), "factor_step": step, "factor_at": now}
    connection.execute(update(accounts).where(accounts.c.name == account).values(values))
    return renew_codes(connection, key, account, now)


def renew_codes(connection: Connection, key: FactorKey, account: str, now: datetime) -> tuple[str, ...]:
    """Give *account* new recovery codes in place of all before; they are not to be had again."""
    codes = recovery_codes()
    connection.execute(delete(codes_table).where(codes_table.c.account == account))
    rows = [{"account": account, "digest": key.digest(account, code), "made_at": now} for code in codes]
    connection.execute(insert(codes_table), rows)
    return codes


def take_off(connection: Connection, account: str) -> None:
    """Leave *account* without a second factor and recovery codes."""
    values = {"factor_sealed": None, "factor_step": None, "factor_at": None}
    connection.execute(update(accounts).where(accounts.c.name == account).values(values))
    connection.execute(delete(codes_table).where(codes_table.c.account == account))


def codes_left(connection: Connection, account: str) -> int:
    """Return how many recovery codes of *account* are unused."""
    unused = codes_table.c.account == account, codes_table.c.used_at.is_(None)
    return connection.execute(select(func.count()).select_from(codes_table).where(*unused)).scalar_one()


def any_taken_up(connection: Connection) -> bool:
    """Whether any account has a second factor."""
    held = select(accounts.c.name).where(accounts.c.factor_sealed.is_not(None)).limit(1)
    return connection.execute(held).first() is not None


def opens_any(connection: Connection, key: FactorKey) -> bool:
    """Whether *key* opens the second factor of some account, or there is none. One row that is damaged
    does not keep the server from starting."""
    held = select(accounts.c.name, accounts.c.factor_sealed).where(accounts.c.factor_sealed.is_not(None))
    rows = connection.execute(held.order_by(accounts.c.factor_at.desc())).all()
    return not rows or any(_opens(key, row.name, row.factor_sealed) for row in rows)


def _opens(key: FactorKey, account: str, sealed: bytes) -> bool:
    try:
        key.open(account, sealed)
    except FactorLostError:
        return False
    return True


def _take_recovery_code(
    connection: Connection, key: FactorKey, account: str, code: str, now: datetime
) -> str:
    used = connection.execute(
        update(codes_table)
        .where(
            codes_table.c.account == account,
            codes_table.c.digest == key.digest(account, code),
            codes_table.c.used_at.is_(None),
        )
        .values(used_at=now)
    )
    return "" if used.rowcount == 1 else "wrong recovery code, or one that was used before"
