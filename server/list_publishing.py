"""Publish the list, one at a time: what the command, the page and the server itself do."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, select

from server.department import Department
from server.errors import HotlistRefusedError
from server.hotlists import Published
from server.tables import audit


def publish_list(
    department: Department,
    *,
    expires_at: datetime,
    actor: str,
    now: datetime,
    sequence: int | None = None,
    whole: bool = False,
) -> Published:
    """Sign all feeds as the next list and put it before the units; see `Hotlists.publish`.

    Five million entries made whole take a minute. Raises HotlistRefusedError also while another list is made,
    by whichever process: two at once would be thrown away one after the other.
    """
    hotlists = department.hotlists
    with alone(department.folder.hotlists):
        published = hotlists.publish(
            department.keys, expires_at=expires_at, actor=actor, now=now, sequence=sequence, whole=whole
        )
        department.publications.bring_list(hotlists, department.keys, now)
    return published


def approve_pending(
    department: Department, pending_id: int, *, actor: str, now: datetime
) -> Published | None:
    """Apply what waits under *pending_id*, as a person other than who asked; see `Hotlists.approve`."""
    hotlists = department.hotlists
    with alone(department.folder.hotlists):
        published = hotlists.approve(pending_id, department.keys, actor=actor, now=now)
        if published is not None:
            department.publications.bring_list(hotlists, department.keys, now)
    return published


def published_by(connection: Connection, published: Published) -> str:
    """Return who published a list, as the access log has it; empty if it says nothing of it."""
    moment = published.issued_at  # in whole seconds, where the log has fractions
    found = connection.execute(
        select(audit.c.actor)
        .where(audit.c.at >= moment, audit.c.at < moment + timedelta(seconds=1))
        .where(audit.c.action == "hotlist.publish", audit.c.outcome == "success")
        .order_by(audit.c.sequence.desc())
        .limit(1)
    ).scalar()
    return found or ""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other thread or process make a list while the block runs.

    Raises HotlistRefusedError at once if one does: nobody waits a minute without knowing.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "publishing.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HotlistRefusedError(
                "a list is being made just now: wait until it is published, then ask again"
            ) from None
        yield
