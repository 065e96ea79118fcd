"""Sessions as the database holds them: who is logged in, how far, since when and from where.

A login that asks for more than a password goes through steps. Until the last one its session opens nothing
but the page of its step; each step ends the session and begins another, with secrets of its own, so that one
that was planted or overheard before a step is worth nothing after it.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, delete, insert, select

from server.roles import Role
from server.tables import sessions

HALF_MINUTES = 10
"""A login that is not whole by then begins anew."""
_ID = 16


class Step(StrEnum):
    """What a login still asks for."""

    CODE = "code"
    """A code of the second factor."""
    RENEW = "password"
    """A password of their own, in place of one that another person gave them."""
    ENROL = "enrol"
    """A second factor."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why a person looks at reads, as stated and recorded."""

    code: str
    case_number: str


@dataclass(frozen=True, slots=True)
class Session:
    """One person logged in, or on the way there."""

    account: str
    role: Role
    form_token: str = field(repr=False)
    """Stands in each form: a page of another site cannot know it (cross-site request forgery)."""
    purpose: Purpose | None
    token_digest: bytes = field(repr=False)
    step: Step | None = None
    """None: the login is whole. Else nothing is open but this step."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One login of a person, as it is shown to them."""

    session_id: str
    """Names it in a form; part of a digest of its secret, and of no use without that."""
    started_at: datetime
    used_at: datetime
    source: str
    is_this: bool


def begin(
    connection: Connection, account: str, step: Step | None, source: str, now: datetime, *, hours: int
) -> str:
    """Begin a session and return its secret; sessions that began more than *hours* ago are removed."""
    token = secrets.token_urlsafe(32)
    connection.execute(delete(sessions).where(sessions.c.started_at < now - timedelta(hours=hours)))
    connection.execute(
        insert(sessions).values(
            token_digest=token_digest(token),
            account=account,
            form_token=secrets.token_urlsafe(32),
            started_at=now,
            used_at=now,
            step=None if step is None else step.value,
            source=source,
        )
    )
    return token


def end(connection: Connection, session: Session) -> bool:
    """End *session*; False if it was over."""
    ended = connection.execute(delete(sessions).where(sessions.c.token_digest == session.token_digest))
    return ended.rowcount == 1


def end_all(connection: Connection, account: str, but: Session | None = None) -> int:
    """End every session of *account*, or all *but* one; return how many that were."""
    which = delete(sessions).where(sessions.c.account == account)
    if but is not None:
        which = which.where(sessions.c.token_digest != but.token_digest)
    return connection.execute(which).rowcount


def end_one(connection: Connection, account: str, session_id: str) -> bool:
    """End the session of *account* that is called *session_id*; False if there is none."""
    held = select(sessions.c.token_digest).where(sessions.c.account == account)
    for digest in connection.execute(held).scalars().all():
        if _id_of(digest) == session_id:
            connection.execute(delete(sessions).where(sessions.c.token_digest == digest))
            return True
    return False


def open_sessions(
    connection: Connection, session: Session, now: datetime, *, idle_min: int, hours: int
) -> list[OpenSession]:
    """Return the logins of the person of *session* that are whole and not over, the newest first."""
    found = connection.execute(
        select(sessions)
        .where(
            sessions.c.account == session.account,
            sessions.c.step.is_(None),
            sessions.c.used_at > now - timedelta(minutes=idle_min),
            sessions.c.started_at > now - timedelta(hours=hours),
        )
        .order_by(sessions.c.started_at.desc())
    )
    return [
        OpenSession(
            _id_of(row.token_digest),
            row.started_at,
            row.used_at,
            row.source or "unknown",
            row.token_digest == session.token_digest,
        )
        for row in found
    ]


def token_digest(token: str) -> bytes:
    """Return what is stored of a session's secret: who reads the database cannot take the session over."""
    return hashlib.sha256(token.encode()).digest()


def _id_of(digest: bytes) -> str:
    return hashlib.sha256(b"session id\x00" + digest).hexdigest()[:_ID]
