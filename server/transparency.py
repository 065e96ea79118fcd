"""What the department tells the public about its licence plate readers: counts, and nothing else.

No plate, person, place or unit can stand on it: it takes numbers of tables and words that this program
brings, but no text that anybody typed, except the department's name and what `[policy]` says to be published.
A count below 10, also none, is "<10", so that nobody can be recognised by a small one; and no total is shown
beside its parts, from which such a one could be found by subtraction.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, select

from hotlist_cache.verification import Disposition
from server.audit_entries import Entry, touches_reads
from server.audit_period import Period
from server.audit_reviews import newest_review
from server.audit_unit_entries import entries_in_vehicles
from server.hit_tables import dispositions
from server.policy_document import kept, list_sources
from server.purposes import PURPOSES
from server.release_tables import release_requests, release_steps
from server.releases import State
from server.retention_rules import in_force
from server.settings import Settings
from server.tables import audit, hits, reads
from server.web import page

SMALL = 10
_UNKNOWN = "other, or none stated"
_DECIDED = (State.APPROVED, State.REFUSED, State.FULFILLED, State.HANDLED)


@dataclass(frozen=True, slots=True)
class Transparency:
    """What is published."""

    department: str
    made_on: date
    first_day: date
    last_day: date
    reads: str
    """Made in the period."""
    held: str
    """Held today, of whatever age."""
    hits: str
    share: str
    """Of reads that were hits, in percent; "" where a small count would show through it."""
    dispositions: tuple[tuple[str, str], ...]
    """What hits came to: what the department said of them, else what officers answered in cars whose log has
    come in."""
    queries: tuple[tuple[str, str], ...]
    """By purpose."""
    releases: tuple[tuple[str, str], ...]
    """Requests that came in during the period, and what was decided in it."""
    retention: str
    sources: tuple[str, ...]
    last_audit: date | None
    website: str


def transparency_of(
    connection: Connection, settings: Settings, period: Period, now: datetime
) -> Transparency:
    """Return what may be published about *period*."""
    read, hit = _reads(connection, period), _hits(connection, period)
    in_vehicles = entries_in_vehicles(connection, period)
    why, came_to = _queries(connection, period, in_vehicles), _dispositions(connection, period, in_vehicles)
    queries = [(kind.label, why.pop(kind.code, 0)) for kind in PURPOSES]
    queries.append((_UNKNOWN, why.total()))
    at, _ = newest_review(connection)
    return Transparency(
        department=settings.department.name,
        made_on=now.date(),
        first_day=period.start.date(),
        # The end is excluded: of a period until midnight the day before is the last.
        last_day=max(period.start, period.end - timedelta(microseconds=1)).date(),
        reads=shown_count(read),
        held=shown_count(connection.execute(select(func.count()).select_from(reads)).scalar_one()),
        hits=shown_count(hit),
        share=f"{100 * hit / read:.2f} %" if hit >= SMALL and read >= SMALL else "",
        dispositions=tuple((each.value, shown_count(came_to[each.value])) for each in Disposition),
        queries=tuple((label, shown_count(count)) for label, count in queries),
        releases=_releases(connection, period),
        retention=kept(in_force(connection, settings.retention, now)),
        sources=list_sources(connection),
        last_audit=None if at is None else at.date(),
        website=settings.policy.website.strip(),
    )


def shown_count(count: int) -> str:
    """Return a count as it may be published."""
    return f"<{SMALL}" if count < SMALL else f"{count:,}"


def as_html(found: Transparency) -> str:
    """Return the page: one file that needs no other."""
    made = page("transparency.html", found=found, session=None, department=found.department)
    return bytes(made.body).decode("utf-8")


def _reads(connection: Connection, period: Period) -> int:
    statement = select(func.count()).where(
        reads.c.settled_at >= period.start, reads.c.settled_at < period.end
    )
    return connection.execute(statement).scalar_one()


def _hits(connection: Connection, period: Period) -> int:
    """Reads, not entries: one read may meet several lists."""
    statement = (
        select(func.count(func.distinct(hits.c.read_id)))
        .join(reads, reads.c.read_id == hits.c.read_id)
        .where(reads.c.settled_at >= period.start, reads.c.settled_at < period.end)
    )
    return connection.execute(statement).scalar_one()


def _queries(connection: Connection, period: Period, in_vehicles: Iterable[Entry]) -> Counter[str]:
    """Accesses to what cars read, at the department and in vehicles, by purpose code."""
    rows = connection.execute(
        select(audit.c.action, audit.c.purpose, func.count())
        .where(audit.c.at >= period.start, audit.c.at < period.end, audit.c.outcome == "success")
        .group_by(audit.c.action, audit.c.purpose)
    )
    why: Counter[str] = Counter()
    for action, purpose, count in rows:
        if touches_reads(action):
            why[purpose] += count
    why.update(each.purpose for each in in_vehicles if each.touches_reads and each.outcome == "success")
    return why


def _dispositions(connection: Connection, period: Period, in_vehicles: Iterable[Entry]) -> Counter[str]:
    """What hits came to: of each hit the department's last answer counts, else the car's last."""
    last: dict[tuple[str, str], str] = {}
    for each in in_vehicles:
        if (
            each.action == "hit.verify"
            and each.outcome == "success"
            and each.detail.get("rung") == "disposition"
        ):
            unit_id = each.log.rpartition("/")[0]
            last[unit_id, str(each.detail.get("hit"))] = str(each.detail.get("answer"))
    said = (
        select(dispositions.c.unit_id, dispositions.c.hit_id, dispositions.c.verdict)
        .where(
            dispositions.c.hit_id != "",
            dispositions.c.judged_at >= period.start,
            dispositions.c.judged_at < period.end,
        )
        .order_by(dispositions.c.number)
    )
    last |= {(row.unit_id, row.hit_id): row.verdict for row in connection.execute(said)}
    return Counter(last.values())


def _releases(connection: Connection, period: Period) -> tuple[tuple[str, str], ...]:
    entered = connection.execute(
        select(func.count()).where(
            release_requests.c.entered_at >= period.start, release_requests.c.entered_at < period.end
        )
    ).scalar_one()
    rows = connection.execute(
        select(release_steps.c.state, func.count())
        .where(release_steps.c.done_at >= period.start, release_steps.c.done_at < period.end)
        .group_by(release_steps.c.state)
    )
    came_to = {str(state): int(count) for state, count in rows}
    told = [("received", entered)] + [(state.value, came_to.get(state.value, 0)) for state in _DECIDED]
    return tuple((label, shown_count(count)) for label, count in told)
