"""The access log looks at itself: is it whole, signed, copied away and read by somebody?"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, func, select

from server.audit_checkpoints import CheckedLog, Checkpoints
from server.audit_report import Report, moment
from server.audit_reviews import newest_review
from server.checking import last_ended
from server.database import reading
from server.errors import AuditBrokenError, SettingsInvalidError
from server.settings import AuditSettings
from server.tables import audit

REVIEW_DUE_DAYS = 90
CHECK_DUE_DAYS = 30
_BACKWARDS = timedelta(seconds=5)
_Line = tuple[str, str, str]


def self_check(engine: Engine, checkpoints: Checkpoints, settings: AuditSettings, now: datetime) -> Report:
    """Return what was checked, "ok" or "look" for each, and what was found."""
    lines: list[_Line]
    try:
        checked = checkpoints.check()
    except (AuditBrokenError, SettingsInvalidError) as error:
        lines = [("chain and checkpoints", "look", f"BROKEN: {error}")]
    else:
        lines = [
            ("chain", "ok", f"{checked.head.sequence} entries, unbroken; head {checked.head}"),
            *_signed(checked, settings, now),
        ]
    with reading(engine) as connection:
        lines += [_clock(connection), *_latest(connection, now), _database(connection, now)]
    columns = ("check", "state", "finding")
    notes = ("Of this moment and the whole log: the period does not narrow it.",)
    return Report("self-check", "The access log's check of itself", columns, tuple(lines), notes)


def _signed(checked: CheckedLog, settings: AuditSettings, now: datetime) -> list[_Line]:
    newest = checked.newest
    if newest is None:
        return [("checkpoints", "look", "none is signed yet: is the server running?")]
    age = now - newest.signed_at
    since = checked.head.sequence - newest.sequence
    # Twice the time: a server that was down for a night is no finding, one that forgot to sign is.
    late = age > timedelta(hours=2 * settings.checkpoint_hours) or since > 2 * settings.checkpoint_entries
    missing = checked.checkpoints - checked.in_file
    return [
        (
            "checkpoints",
            "look" if late else "ok",
            f"{checked.checkpoints} agree; the newest of {moment(newest.signed_at)}, {since} entries since",
        ),
        (
            "file of checkpoints",
            "look" if missing or checked.damaged_lines else "ok",
            f"{checked.in_file} lines, {missing} missing, {checked.damaged_lines} damaged",
        ),
        ("key", "ok", f"fingerprint {checked.key}: compare it with the one noted on paper"),
    ]


def _database(connection: Connection, now: datetime) -> _Line:
    last = last_ended(connection)
    if last is None or last.ended_at is None:
        return ("database", "look", "not yet looked through for damage: the server does it by itself")
    found = f"looked through at {moment(last.ended_at)}: {last.reads} reads, {last.found} things damaged"
    if last.unchecked:
        found += f", {last.unchecked} of before reads had digests: `alpr-server check --adopt`"
    late = now - last.ended_at > timedelta(days=CHECK_DUE_DAYS)
    return ("database", "look" if last.found or late else "ok", found)


def _clock(connection: Connection) -> _Line:
    back, worst, before = 0, timedelta(0), None
    for at in connection.execute(select(audit.c.at).order_by(audit.c.sequence)).scalars():
        if before is not None and before - at > _BACKWARDS:
            back += 1
            worst = max(worst, before - at)
        before = at
    found = f"{back} times set back, at most by {worst}" if back else "never set back"
    return ("clock", "look" if back else "ok", found)


def _latest(connection: Connection, now: datetime) -> list[_Line]:
    looked = connection.execute(select(func.max(audit.c.at)).where(audit.c.action == "audit.verify")).scalar()
    reviewed, count = newest_review(connection)

    def line(name: str, at: datetime | None, told: Callable[[str], str]) -> _Line:
        if at is None:
            return (name, "look", "never")
        due = now - at > timedelta(days=REVIEW_DUE_DAYS)
        return (name, "look" if due else "ok", told(moment(at)))

    return [
        line("verified by a person", looked, lambda at: f"last at {at}"),
        line("queries judged", reviewed, lambda at: f"{count}, the last at {at}"),
    ]
