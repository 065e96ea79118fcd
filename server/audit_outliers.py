"""What stands out in the access log: many searches, nights, the same plate again and again, no case.

An outlier is a reason to ask, never a finding of misuse. Days and nights are those of the department's
timezone; a night belongs to the day on which it began.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from recognizer.plate import fold, normalise
from server.audit_entries import SEARCH, VIEW, Entry, is_person
from server.audit_period import Period
from server.audit_report import Cell, Report
from server.purposes import label_of
from server.settings import AuditSettings
from server.tables import accounts

BASELINE_DAYS = 90
"""How far before the period's end a person's and a role's usual day is looked for."""
LEAST_SEARCHES = 10
"""Fewer on one day never stand out, however quiet the person's other days are."""
TIMES_USUAL = 3
LEAST_DAYS = 5
"""A usual day is not known from fewer."""
SELDOM = 0.1
"""Nights stand out for who searches in fewer of them than this share of their days."""
SAME_PLATE = 5
SAME_PLATE_DAYS = 3

_Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class _Clock:
    zone: ZoneInfo
    night_from: int
    night_until: int

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def night(self, at: datetime) -> date | None:
        """The day on which the night began that *at* is in; None: it is day."""
        local = at.astimezone(self.zone)
        if self.night_from < self.night_until:
            return local.date() if self.night_from <= local.hour < self.night_until else None
        if local.hour >= self.night_from:
            return local.date()
        return local.date() - timedelta(days=1) if local.hour < self.night_until else None


def reach_of(period: Period) -> Period:
    """Return the period whose entries `outliers` needs to judge *period*."""
    return Period(min(period.start, period.end - timedelta(days=BASELINE_DAYS)), period.end)


def outliers(
    connection: Connection, entries: Iterable[Entry], period: Period, settings: AuditSettings
) -> Report:
    """Return what stands out in *period* among *entries*, which reach back as `reach_of` says."""
    roles = {row.name: row.role for row in connection.execute(select(accounts.c.name, accounts.c.role))}
    judged = [
        entry
        for entry in entries
        if is_person(entry.actor) and entry.touches_reads and entry.outcome == "success"
    ]
    return find_outliers(judged, period, roles, settings)


def find_outliers(
    entries: Sequence[Entry], period: Period, roles: Mapping[str, str], settings: AuditSettings
) -> Report:
    """Return what stands out among *entries*, which may begin before *period*; *roles* by account."""
    clock = _Clock(ZoneInfo(settings.timezone), settings.night_from_hour, settings.night_until_hour)
    searches = [entry for entry in entries if entry.kind == SEARCH]
    recent = [entry for entry in entries if period.start <= entry.at < period.end]
    rows = (
        *_busy_days(searches, period, roles, clock),
        *_nights(searches, period, roles, clock),
        *_same_plate([entry for entry in recent if entry.kind == SEARCH], roles, clock),
        *_without_case(recent, roles),
    )
    columns = ("what", "who", "role", "when", "count", "usual", "detail")
    notes = (
        "An outlier is a reason to ask, not a finding.",
        f"Many searches: at least {LEAST_SEARCHES} on a day, and more than {TIMES_USUAL} times the median of "
        f"the person's own other days or of the days of others in the role, of {BASELINE_DAYS} days.",
        f"Night: {settings.night_from_hour} to {settings.night_until_hour} o'clock {settings.timezone}, by "
        f"somebody who searches in fewer than one in {round(1 / SELDOM)} of such nights.",
        f"Same plate: searched by one person {SAME_PLATE} times, or on {SAME_PLATE_DAYS} days.",
    )
    return Report("outliers", "What stands out", columns, rows, notes)


def _busy_days(
    searches: Iterable[Entry], period: Period, roles: Mapping[str, str], clock: _Clock
) -> list[_Row]:
    days: dict[str, Counter[date]] = defaultdict(Counter)
    judged: set[tuple[str, date]] = set()
    for entry in searches:
        day = clock.day(entry.at)
        days[entry.actor][day] += 1
        if entry.at >= period.start:
            judged.add((entry.actor, day))
    rows: list[_Row] = []
    for actor, day in sorted(judged):
        count, role = days[actor][day], _role(actor, roles)
        own = [n for other, n in days[actor].items() if other != day]
        peers = [
            n
            for who, each in days.items()
            if who != actor and _role(who, roles) == role
            for n in each.values()
        ]
        usual = {
            whose: median(known)
            for whose, known in (("own", own), ("role", peers))
            if len(known) >= LEAST_DAYS
        }
        if count >= LEAST_SEARCHES and any(count > TIMES_USUAL * each for each in usual.values()):
            told = ", ".join(f"{whose} {each:g}" for whose, each in usual.items())
            rows.append(("many searches", actor, role, day.isoformat(), count, told, ""))
    return rows


def _nights(searches: Iterable[Entry], period: Period, roles: Mapping[str, str], clock: _Clock) -> list[_Row]:
    days: dict[str, set[date]] = defaultdict(set)
    nights: dict[str, Counter[date]] = defaultdict(Counter)
    judged: set[tuple[str, date]] = set()
    for entry in searches:
        night = clock.night(entry.at)
        days[entry.actor].add(night or clock.day(entry.at))
        if night is not None:
            nights[entry.actor][night] += 1
            if entry.at >= period.start:
                judged.add((entry.actor, night))
    rows: list[_Row] = []
    for actor, night in sorted(judged):
        # The night in question is no evidence of a habit.
        others, worked = len(nights[actor]) - 1, len(days[actor]) - 1
        if worked and others / worked >= SELDOM:
            continue
        usual = f"{others} of {worked} other days"
        rows.append(("night", actor, _role(actor, roles), night.isoformat(), nights[actor][night], usual, ""))
    return rows


def _same_plate(searches: Iterable[Entry], roles: Mapping[str, str], clock: _Clock) -> list[_Row]:
    found: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in searches:
        typed = str(entry.asked.get("plate") or "")
        # The pages of one search are one search.
        if typed and entry.asked.get("page", 1) == 1 and not {"?", "*"} & set(typed):
            found[entry.actor, fold(normalise(typed))].append(entry)
    rows: list[_Row] = []
    for (actor, plate), each in sorted(found.items()):
        days = sorted({clock.day(entry.at) for entry in each})
        if len(each) < SAME_PLATE and len(days) < SAME_PLATE_DAYS:
            continue
        cases = sorted({entry.case_number for entry in each if entry.case_number})
        detail = f"{plate}, cases: {', '.join(cases) or 'none'}"
        when = f"{days[0].isoformat()} to {days[-1].isoformat()}"
        rows.append(
            ("same plate", actor, _role(actor, roles), when, len(each), f"on {len(days)} days", detail)
        )
    return rows


def _without_case(recent: Iterable[Entry], roles: Mapping[str, str]) -> list[_Row]:
    missing: dict[str, list[Entry]] = defaultdict(list)
    whole: Counter[str] = Counter()
    for entry in recent:
        if entry.kind not in (SEARCH, VIEW):
            continue
        whole[entry.actor] += 1
        if not entry.case_number:
            missing[entry.actor].append(entry)
    rows: list[_Row] = []
    for actor, each in sorted(missing.items(), key=lambda item: (-len(item[1]), item[0])):
        why = Counter(label_of(entry.purpose) if entry.purpose else "no purpose" for entry in each)
        told = "; ".join(f"{purpose} {count}" for purpose, count in why.most_common())
        rows.append(("no case number", actor, _role(actor, roles), "", len(each), f"of {whole[actor]}", told))
    return rows


def _role(actor: str, roles: Mapping[str, str]) -> str:
    return roles.get(actor, "command line" if actor.startswith("console:") else "none")
