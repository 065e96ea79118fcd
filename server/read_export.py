"""Reads written to a file that leaves the pages: who took it, why and when is printed on it."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from server.records import StoredRead

MOST_READS = 5000
COLUMNS = (
    "read_id",
    "settled_at",
    "time_quality",
    "unit",
    "camera",
    "plate",
    "prefix",
    "weakest_character",
    "state",
    "state_confidence",
    "latitude_deg",
    "longitude_deg",
    "accuracy_m",
    "hits",
    "revises",
    "revised_by",
)


@dataclass(frozen=True, slots=True)
class Label:
    """What is printed on an export."""

    department: str
    account: str
    purpose: str
    case_number: str
    taken_at: datetime
    """Aware UTC."""
    asked: dict[str, Any] = field(repr=False)
    complete: bool
    """False: there was more than an export may hold."""


def as_csv(label: Label, found: Sequence[StoredRead]) -> str:
    """Return *found* as CSV (RFC 4180); the lines of the label begin with "#"."""
    out = io.StringIO()
    for line in _label_lines(label, len(found)):
        out.write(f"# {line}\r\n")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in _values(read)] for read in found)
    return out.getvalue()


def as_json(label: Label, found: Sequence[StoredRead]) -> str:
    """Return *found* as JSON: an object with the label and the reads."""
    told = {
        "department": label.department,
        "taken_by": label.account,
        "purpose": label.purpose,
        "case_number": label.case_number,
        "taken_at": label.taken_at.isoformat(),
        "asked": label.asked,
        "complete": label.complete,
        "notice": _NOTICE,
    }
    rows = [dict(zip(COLUMNS, _values(read), strict=True)) for read in found]
    return json.dumps({"export": told, "reads": rows}, indent=1, default=str)


_NOTICE = "A hit is a lead, not a fact: verify through CLETS before acting. For official use only."


def _label_lines(label: Label, count: int) -> list[str]:
    asked = ", ".join(f"{name} {value}" for name, value in label.asked.items() if value)
    return [
        _one_line(f"{label.department}: {count} reads"),
        _one_line(f"taken by {label.account} at {label.taken_at:%Y-%m-%d %H:%M} UTC"),
        _one_line(f"purpose {label.purpose}, case {label.case_number or 'none'}"),
        _one_line(f"asked for: {asked or 'the newest'}"),
        *([] if label.complete else [f"NOT COMPLETE: there are more than {MOST_READS}; narrow the search"]),
        _NOTICE,
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(value: object) -> object:
    # A spreadsheet takes what begins like this for a formula; nothing of ours does, a unit's text might.
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


def _values(read: StoredRead) -> list[Any]:
    return [
        read.read_id,
        read.settled_at.isoformat(),
        read.time_quality,
        read.unit_id,
        read.camera,
        read.plate,
        read.prefix,
        round(read.confidence, 4),
        read.jurisdiction if read.state_likely else "unknown",
        None if read.jurisdiction_confidence is None else round(read.jurisdiction_confidence, 4),
        read.latitude_deg,
        read.longitude_deg,
        read.accuracy_m,
        "; ".join(f"{hit.list_name} ({hit.kind}, {hit.outcome}): {hit.pattern}" for hit in read.hits),
        read.revises,
        read.revised_by,
    ]
