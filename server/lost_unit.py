"""A unit that was lost or stolen: what it could do is ended, and what could have been on it is reported.

California counts what a plate reader collected among the data whose breach must be told (Civil Code 1798.29,
1798.82), unless they were encrypted and the key was not taken. The report says which reads those could be,
and what shows that they were sealed; whether the duty to tell arises is for counsel to say.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, update

from server.audit import Deed, append
from server.database import reading, writing
from server.department import Department
from server.errors import SettingsInvalidError
from server.tables import batches, reads, units

LONGEST_WINDOW = timedelta(hours=24)
"""What a unit may keep open for itself where its own configuration does not say less."""


@dataclass(frozen=True, slots=True)
class HeldBatchRow:
    """One batch of the unit, as proof: the department opened each read of it, so it was sealed."""

    batch_id: str
    digest: str
    """SHA-256 of the bytes that came, hexadecimal."""
    reads: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class BreachReport:
    """What could have been on a unit when it was lost. Holds no plate and no place."""

    unit_id: str
    lost_at: datetime
    reported_by: str
    made_at: datetime
    certificate_serial: str
    enrolled_at: datetime
    revoked_at: datetime
    last_batch_at: datetime | None
    status: str
    """As the unit last said of itself; empty: nothing."""
    status_at: datetime | None
    held_reads: int
    """Reads that came from it and were opened here: every one of them was sealed."""
    batches: tuple[HeldBatchRow, ...]
    """The newest first, 20 at most."""
    window: timedelta
    window_reads: tuple[str, ...] = field(repr=False)
    """Ids of the reads held here that were made within its local window before the loss: it could still hold
    them, and they could be opened by who has the unit's keys as well."""
    reads_an_hour: float
    """In its last thirty days, over the hours in which it read any."""

    def text(self) -> str:
        """Return the report in Markdown."""
        ids = self.window_reads
        return _REPORT.format(
            report=self,
            since=_told(self.last_batch_at or self.enrolled_at),
            made=_told(self.made_at),
            lost=_told(self.lost_at),
            revoked=_told(self.revoked_at),
            status=self.status or "none",
            status_at=_told(self.status_at) if self.status_at else "never",
            hours=self.window / timedelta(hours=1),
            count=len(ids),
            batches="\n".join(
                f"| {each.batch_id} | {each.digest} | {each.reads} | {_told(each.received_at)} |"
                for each in self.batches
            ),
            ids="\n".join(" ".join(ids[start : start + 3]) for start in range(0, len(ids), 3)) or "none",
        )


_REPORT = """\
# Lost unit {report.unit_id}

Made {made}. Lost {lost}, as reported by {report.reported_by}.

## What was ended

- Certificate {report.certificate_serial} is revoked since {revoked}: the server refuses its connections,
  reads, officers' entries and requests for lists.
- The broker refuses it once it has the new list of revoked units (`alpr-server broker-crl`).
- Lists on it are sealed with a key of the unit, and run out by themselves. So are the names, roles and
  password hashes (Argon2id) of those who may log in on its page: who has unit and keys together can try
  passwords against them. Have them changed.

## Which reads could have been on it

1. **Not transferred**: all that it read since its last batch, {since}. How many is not known. In the thirty
   days before it read {report.reads_an_hour:.0f} in each hour in which it read any.
2. **Transferred, and perhaps still on it**: {count} reads made within {hours:.0f} hours before the loss.
   Their ids are at the end.

Its last word of itself: {status} ({status_at}).

## What shows that they were sealed

- {report.held_reads} reads came from this unit. Each was opened here with the department's private key, which
  is on no unit; one that was not sealed would not have been taken. The newest batches:

| batch | SHA-256 | reads | received |
|---|---|--:|---|
{batches}

- A read is encrypted with AES-256-GCM before it is written, under a key of an hour that is written only as
  sealed to the department (HPKE, RFC 9180). The unit opens its own reads for its local window and no longer:
  then the secret they hang on is overwritten.
- Within the window, who holds the unit's storage and its keys (on a unit without a TPM both are on the same
  medium) could open the reads of kind 2, and the newest of kind 1. Count these as not protected by
  encryption, unless the unit's window was 0 or its key was in a TPM.

## Ids of the reads of kind 2

{ids}
"""


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def report_lost(
    department: Department,
    unit_id: str,
    *,
    lost_at: datetime,
    reported_by: str,
    window: timedelta,
    actor: str,
    now: datetime,
) -> BreachReport:
    """Revoke *unit_id* and return what could have been on it at *lost_at* (aware UTC). Again is no error: the
    first revocation stands, and the report is made anew.

    Raises SettingsInvalidError if there is no such unit, or it was lost in the future.
    """
    if lost_at > now:
        raise SettingsInvalidError(f"lost {lost_at:%Y-%m-%d %H:%M}: that is in the future; give UTC")
    with writing(department.engine) as connection:
        row = connection.execute(select(units.c.revoked_at).where(units.c.unit_id == unit_id)).first()
        if row is None:
            raise SettingsInvalidError(f"unit {unit_id!r} was never enrolled: see the units page for its id")
        if row.revoked_at is None:
            connection.execute(update(units).where(units.c.unit_id == unit_id).values(revoked_at=now))
        detail = {"unit": unit_id, "lost_at": lost_at.isoformat(), "reported_by": reported_by}
        append(connection, Deed(actor, "unit.lost", detail=detail), now)
    with reading(department.engine) as connection:
        return _report(connection, unit_id, lost_at, reported_by=reported_by, window=window, now=now)


def _report(
    connection: Connection,
    unit_id: str,
    lost_at: datetime,
    *,
    reported_by: str,
    window: timedelta,
    now: datetime,
) -> BreachReport:
    unit = connection.execute(select(units).where(units.c.unit_id == unit_id)).one()
    own = reads.c.unit_id == unit_id
    held = connection.execute(select(func.count()).select_from(reads).where(own)).scalar_one()
    newest = connection.execute(
        select(batches)
        .where(batches.c.unit_id == unit_id)
        .order_by(batches.c.received_at.desc(), batches.c.batch_id)
        .limit(20)
    ).all()
    recent = connection.execute(
        select(reads.c.settled_at).where(own, reads.c.settled_at > lost_at - timedelta(days=30))
    ).scalars()
    hours: dict[datetime, int] = {}
    for settled_at in recent:
        hour = settled_at.replace(minute=0, second=0, microsecond=0)
        hours[hour] = hours.get(hour, 0) + 1
    in_window = connection.execute(
        select(reads.c.read_id)
        .where(own, reads.c.settled_at > lost_at - window)
        .order_by(reads.c.settled_at, reads.c.read_id)
    ).scalars()
    return BreachReport(
        unit_id=unit_id,
        lost_at=lost_at,
        reported_by=reported_by,
        made_at=now,
        certificate_serial=unit.certificate_serial,
        enrolled_at=unit.enrolled_at,
        revoked_at=unit.revoked_at,
        last_batch_at=unit.last_batch_at,
        status=unit.status or "",
        status_at=unit.status_at,
        held_reads=held,
        batches=tuple(
            HeldBatchRow(each.batch_id, each.digest.hex(), each.reads, each.received_at) for each in newest
        ),
        window=window,
        window_reads=tuple(in_window),
        reads_an_hour=sum(hours.values()) / len(hours) if hours else 0.0,
    )
