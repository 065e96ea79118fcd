"""Entries of the access log as reports look at them: read for a period, and sorted by what was done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from server.audit_period import Period
from server.tables import audit

SEARCH, VIEW, EXPORT, LOGIN, OTHER = "search", "view", "export", "login", "other"

_VERBS = {
    "search": SEARCH,
    "canvass": SEARCH,
    "convoy": SEARCH,
    "list": VIEW,
    "view": VIEW,
    "show": VIEW,
    "open": VIEW,
    "now": VIEW,
    "report": VIEW,
    "export": EXPORT,
    "download": EXPORT,
    "print": EXPORT,
    "build": EXPORT,
    "make": EXPORT,
}
_READ_DATA = ("read", "reads", "hit", "hits", "local_entry", "unit_log")
"""First words of the actions that show what cars read."""
_HANDED_OUT = ("evidence", "release")
"""Of those that hand it out; their registers, which are looked at too, hold none of it."""
_SHOWN_BESIDE = ("release.view",)
"""A request is shown with the reads that it asks for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the access log."""

    sequence: int
    at: datetime
    actor: str
    action: str
    outcome: str
    purpose: str
    case_number: str
    source: str
    detail: Mapping[str, Any] = field(repr=False)
    log: str = ""
    """Which unit's log it stands in, and which of that unit's; "" for the department's own."""

    @property
    def place(self) -> str | int:
        """Its number: of a unit's log "unit-07/1/12"."""
        return f"{self.log}/{self.sequence}" if self.log else self.sequence

    @property
    def kind(self) -> str:
        """What sort of deed it is: a search, a view, an export, a login or something else."""
        return kind_of(self.action)

    @property
    def touches_reads(self) -> bool:
        """Whether what cars read was asked for, shown or handed out."""
        return touches_reads(self.action)

    @property
    def asked(self) -> Mapping[str, Any]:
        """What a search was for, {} for anything else."""
        asked = self.detail.get("asked")
        return asked if isinstance(asked, dict) else {}

    @property
    def shown(self) -> tuple[str, ...]:
        """Ids of the reads that were shown."""
        lists = (self.detail.get("shown"), self.asked.get("reads"))
        shown = tuple(str(each) for listed in lists if isinstance(listed, list) for each in listed)
        one = self.detail.get("read") if self.detail.get("found") is not False else None
        return (*shown, one) if isinstance(one, str) else shown

    @property
    def query(self) -> str:
        """What was asked for in words: "plate TEST*, unit unit-07"; "" where nothing narrowed it."""
        given = [(name, value) for name, value in self.asked.items() if name != "page" and value]
        if not self.asked:
            named = ("read", "plate", "pattern", "reads", "request", "package", "unit")
            given = [(name, self.detail[name]) for name in named if self.detail.get(name)]
        return ", ".join(_worded(name, value) for name, value in given)

    @property
    def query_or_action(self) -> str:
        """The same, and never empty: where nothing was narrowed, what was done."""
        if self.query:
            return self.query
        return "newest reads, not narrowed" if self.action == "reads.list" else self.action


def kind_of(action: str) -> str:
    """Return what sort of deed *action* is: a search, a view, an export, a login or something else."""
    if action == "login":
        return LOGIN
    verb = action.rpartition(".")[2]
    return _VERBS.get(verb.partition("_")[0], OTHER)


def touches_reads(action: str) -> bool:
    """Whether *action* asks for, shows or hands out what cars read: an access in the sense of Cal. Civ. Code
    1798.90.52."""
    word, kind = action.partition(".")[0], kind_of(action)
    handed_out = word in _HANDED_OUT and kind == EXPORT
    return handed_out or action in _SHOWN_BESIDE or (word in _READ_DATA and kind in (SEARCH, VIEW, EXPORT))


def entries_in(connection: Connection, period: Period) -> list[Entry]:
    """Return the entries of *period*, oldest first."""
    statement = (
        select(audit).where(audit.c.at >= period.start, audit.c.at < period.end).order_by(audit.c.sequence)
    )
    return [_entry(row._asdict()) for row in connection.execute(statement)]


def place_of(text: str) -> tuple[str, int]:
    """Return the log and the number in it that `Entry.place` wrote as *text*.

    Raises ValueError, with what to tell the person, if it is none.
    """
    log, _, number = text.strip().rpartition("/")
    if not (number.isascii() and number.isdecimal() and len(number) <= 18):
        raise ValueError("Write the entry's number as it is shown: 12, or unit-07/1/12.")
    return log, int(number)


def entry_of(connection: Connection, sequence: int) -> Entry | None:
    """Return one entry, or None if there is none of that number."""
    row = connection.execute(select(audit).where(audit.c.sequence == sequence)).first()
    return None if row is None else _entry(row._asdict())


def is_person(actor: str) -> bool:
    """Whether *actor* is somebody: not a unit, not the server itself, not a name that nobody has."""
    return not actor.startswith("unit:") and actor not in ("server", "unit", "unknown")


def _worded(name: str, value: Any) -> str:
    if value is True:
        return name
    return f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"


def _entry(row: Mapping[str, Any]) -> Entry:
    detail = json.loads(row["detail"])
    return Entry(
        sequence=row["sequence"],
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        outcome=row["outcome"],
        purpose=row["purpose"],
        case_number=row["case_number"],
        source=row["source"],
        detail=detail if isinstance(detail, dict) else {},
    )
