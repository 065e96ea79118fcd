"""Who did what: reports on the access log for a person who audits, for a plate, and for the law.

Each takes what was read of the log and gives columns and rows; nothing is judged here.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select

from recognizer.plate import fold, normalise
from server.alike import texts_alike
from server.audit_entries import EXPORT, LOGIN, SEARCH, VIEW, Entry, is_person
from server.audit_report import Cell, Report, moment
from server.purposes import label_of
from server.records import ReadQuery, plate_pattern
from server.settings import AccessSettings
from server.tables import accounts, reads

LAPSES_SOON_DAYS = 30
_CHUNK = 1000

# Strongest first: an entry is told once, by the strongest way that fits.
SAW = "was shown a read of it"
EXACT = "searched for it"
NAMED = "named it"
FITS = "searched with a pattern that fits it"
GONE = "cannot be ruled out: reads that were shown are no longer held"
SEALED = "cannot be ruled out: what the unit sealed does not open"


def by_user(entries: Iterable[Entry], only: str = "") -> Report:
    """Return what each person did; *only* narrows it to one."""
    done: dict[str, Counter[str]] = defaultdict(Counter)
    why: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        # "unknown" is somebody who tried a name that nobody has.
        somebody = is_person(entry.actor) or entry.kind == LOGIN
        if not somebody or (only and entry.actor != only):
            continue
        count = done[entry.actor]
        if entry.outcome != "success":
            count["failed login" if entry.kind == LOGIN else "refused"] += 1
            continue
        count[entry.kind] += 1
        if entry.kind in (SEARCH, VIEW, EXPORT) and entry.touches_reads:
            why[entry.actor][label_of(entry.purpose) if entry.purpose else "none stated"] += 1
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            actor,
            *(count[kind] for kind in (LOGIN, SEARCH, VIEW, EXPORT, "failed login", "refused")),
            "; ".join(f"{purpose} {times}" for purpose, times in why[actor].most_common()),
        )
        for actor, count in sorted(done.items())
    )
    columns = (
        "who",
        "logins",
        "searches",
        "views",
        "exports",
        "failed logins",
        "other refusals",
        "purposes",
    )
    note = "Purposes are those of searches, views and exports of what cars read."
    return Report("users", "What each person did", columns, rows, (note,))


def by_plate(connection: Connection, entries: Sequence[Entry], plate: str) -> Report:
    """Return everybody who searched or saw *plate*, or whose search could have shown it.

    Raises ValueError, with what to tell the person, if *plate* is no whole plate.
    """
    wanted = fold(normalise(plate))
    if not wanted or "?" in plate or "*" in plate:
        raise ValueError("Give a whole plate: letters and digits.")
    ids, texts = _reads_of(connection, wanted)
    told: list[tuple[Entry, str]] = []
    open_ones: list[Entry] = []
    for entry in entries:
        how = _how(entry, ids, texts)
        if how:
            told.append((entry, how))
        elif entry.shown and not _pattern(entry):
            open_ones.append(entry)
    gone = _not_held(connection, {read_id for entry in open_ones for read_id in entry.shown})
    told += [(entry, GONE) for entry in open_ones if gone.intersection(entry.shown)]
    rows = tuple(
        (
            entry.place,
            moment(entry.at),
            entry.actor,
            how,
            entry.action,
            entry.query,
            label_of(entry.purpose),
            entry.case_number,
            entry.source,
        )
        for entry, how in sorted(told, key=lambda each: (each[0].at, each[0].log, each[0].sequence))
    )
    columns = ("sequence", "time", "who", "how", "action", "query", "purpose", "case", "from")
    notes = (
        f"{len(ids)} reads of it are held. A read that was purged can no longer be matched with what was "
        "shown.",
        "O and 0, and I and 1, are taken as the same character, as a search takes them.",
        "A search for another plate, or that showed only reads held today and none of this plate, is left "
        "out.",
    )
    return Report("plate", "Who searched or saw one plate", columns, rows, notes)


def by_account(connection: Connection, access: AccessSettings, now: datetime) -> Report:
    """Return every account with what is due: unused for too long, training lapsed or about to."""
    rows: list[tuple[Cell, ...]] = []
    for row in connection.execute(select(accounts).order_by(accounts.c.name)):
        idle = (now - row.active_at).days
        left = (row.training_expires - now.date()).days
        findings = []
        if row.disabled:
            findings.append("disabled")
        elif idle >= access.idle_account_days:
            findings.append(f"unused for {idle} days: closed")
        if not row.disabled and left <= 0:
            findings.append("training lapsed: closed")
        elif not row.disabled and left <= LAPSES_SOON_DAYS:
            findings.append(f"training lapses in {left} days")
        if row.locked_until is not None and now < row.locked_until:
            findings.append("locked after wrong passwords")
        rows.append(
            (
                row.name,
                row.role,
                moment(row.active_at),
                idle,
                row.training_expires.isoformat(),
                left,
                "; ".join(findings) or "in order",
            )
        )
    columns = ("account", "role", "last active", "days idle", "training until", "days left", "finding")
    now_note = "Of this moment: the period does not narrow it."
    note = f"An account unused for {access.idle_account_days} days cannot log in until it is enabled again."
    return Report(
        "accounts", "Accounts: unused, and training that lapses", columns, tuple(rows), (note, now_note)
    )


def access_log(entries: Iterable[Entry], organisation: str) -> Report:
    """Return the log that Cal. Civ. Code 1798.90.52 (a) asks for.

    Accesses that were refused are left out: nothing was accessed.
    """
    rows = tuple(
        (
            entry.place,
            moment(entry.at),
            entry.query_or_action,
            entry.actor,
            organisation,
            label_of(entry.purpose) + (f", case {entry.case_number}" if entry.case_number else "")
            if entry.purpose
            else "none stated",
        )
        for entry in entries
        if entry.touches_reads and entry.outcome == "success"
    )
    columns = ("sequence", "date_time", "query", "username", "organisation", "purpose")
    return Report("access-log", "Log of access, Cal. Civ. Code 1798.90.52", columns, rows, bare=True)


def could_show(like: str, text: str) -> bool:
    """Whether the LIKE pattern *like*, as a search makes it, fits a folded plate *text*."""
    parts = (".*" if c == "%" else "." if c == "_" else re.escape(c) for c in like)
    return re.fullmatch("".join(parts), text) is not None


def _how(entry: Entry, ids: frozenset[str], texts: frozenset[str]) -> str:
    if ids.intersection(entry.shown) or texts.intersection(
        map(_folded, entry.detail.get("plates_shown", ()))
    ):
        return SAW
    if entry.detail.get("unreadable"):
        return SEALED
    pattern = _pattern(entry)
    if entry.asked.get("look-alikes") and texts.intersection(_alike(str(entry.asked.get("plate")))):
        return FITS
    if pattern and any(could_show(pattern, text) for text in texts):
        return FITS if "%" in pattern or "_" in pattern else EXACT
    return NAMED if texts.intersection(_named(entry.detail)) else ""


def _alike(plate: str) -> tuple[str, ...]:
    try:
        return texts_alike(plate).texts
    except ValueError:  # it was refused then too
        return ()


def _pattern(entry: Entry) -> str:
    plate = entry.asked.get("plate")
    if not isinstance(plate, str):
        return ""
    return plate_pattern(ReadQuery(plate, bool(entry.asked.get("anywhere"))))


def _named(detail: Any) -> set[str]:
    """Return the folded plates that stand in an entry's detail under "plate" or "pattern"."""
    if isinstance(detail, Mapping):
        here = {
            _folded(value)
            for name, value in detail.items()
            if name in ("plate", "pattern", "plates") and isinstance(value, str)
        }
        return here.union(*(_named(value) for name, value in detail.items() if name != "asked"))
    if isinstance(detail, list):
        return set().union(*map(_named, detail))
    return set()


def _folded(text: str) -> str:
    return fold(normalise(text))


def _reads_of(connection: Connection, wanted: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the ids of the reads of a folded plate, and all texts under which a search finds them."""
    forms = (reads.c.plate_folded, reads.c.prefix_first_folded, reads.c.prefix_last_folded)
    rows = connection.execute(
        select(reads.c.read_id, *forms).where(or_(*(form == wanted for form in forms)))
    ).all()
    texts = {wanted} | {text for row in rows for text in row[1:] if text}
    return frozenset(row.read_id for row in rows), frozenset(texts)


def _not_held(connection: Connection, ids: set[str]) -> set[str]:
    ordered = sorted(ids)
    held: set[str] = set()
    for start in range(0, len(ordered), _CHUNK):
        some = ordered[start : start + _CHUNK]
        held.update(connection.execute(select(reads.c.read_id).where(reads.c.read_id.in_(some))).scalars())
    return ids - held
