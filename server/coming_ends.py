"""What ends soon and needs a person: the server's own certificates, and the signatures of two key holders."""

from datetime import datetime, timedelta

from server.department import Department
from server.own_certificates import ending
from server.repository import OFFLINE

SIGNATURES_SOON = timedelta(days=45)


def coming_ends(department: Department, now: datetime) -> tuple[str, ...]:
    """Return a line on each, with what to do; none where all is well."""
    certificate = ending(department.folder.keys, now)
    return (*((certificate,) if certificate else ()), *signatures_due(department, now))


def signatures_due(department: Department, now: datetime) -> tuple[str, ...]:
    """Return a line on each role that persons sign and that runs out soon."""
    due = department.publications.repository.due(now, SIGNATURES_SOON)
    return tuple(
        f"{role} runs out on {due[role]:%Y-%m-%d}, then units take no new list: "
        f"`alpr-server updates renew {role}`, then two persons sign"
        for role in due
        if role in OFFLINE
    )
