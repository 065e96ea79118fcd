"""Reads written to a file that leaves the pages: who took it, why and when is printed on it."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
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
    "incident",
    "in_database",
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


@dataclass(frozen=True, slots=True)
class Table:
    """What is no list of reads: columns and rows."""

    name: str
    """Of what it is the answer to."""
    counted: str
    """How much was found, in words."""
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]] = field(repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)


def table_csv(label: Label, table: Table) -> str:
    """Return *table* as `as_csv` returns reads."""
    lines = [*_label_lines(label, table.counted), *map(_one_line, table.notes)]
    return _csv(lines, table.columns, table.rows)


def table_json(label: Label, table: Table) -> str:
    """Return *table* as `as_json` returns reads."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    told = _label_json(label) | {"counted": table.counted, "notes": table.notes}
    return json.dumps({"export": told, table.name: rows}, indent=1, default=str)


def as_csv(label: Label, found: Sequence[StoredRead]) -> str:
    """Return *found* as CSV (RFC 4180); the lines of the label begin with "#"."""
    return _csv(_label_lines(label, f"{len(found)} reads"), COLUMNS, map(_values, found))


def as_json(label: Label, found: Sequence[StoredRead]) -> str:
    """Return *found* as JSON: an object with the label and the reads."""
    rows = [dict(zip(COLUMNS, _values(read), strict=True)) for read in found]
    return json.dumps({"export": _label_json(label), "reads": rows}, indent=1, default=str)


_NOTICE = "A hit is a lead, not a fact: verify through CLETS before acting. For official use only."


def _csv(lines: Iterable[str], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    for line in lines:
        out.write(f"# {line}\r\n")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _label_json(label: Label) -> dict[str, Any]:
    return {
        "department": label.department,
        "taken_by": label.account,
        "purpose": label.purpose,
        "case_number": label.case_number,
        "taken_at": label.taken_at.isoformat(),
        "asked": label.asked,
        "complete": label.complete,
        "notice": _NOTICE,
    }


def _label_lines(label: Label, counted: str) -> list[str]:
    asked = ", ".join(f"{name} {value}" for name, value in label.asked.items() if value)
    return [
        _one_line(f"{label.department}: {counted}"),
        _one_line(f"taken by {label.account} at {label.taken_at:%Y-%m-%d %H:%M} UTC"),
        _one_line(f"purpose {label.purpose}, case {label.case_number or 'none'}"),
        _one_line(f"asked for: {asked or 'the newest'}"),
        *([] if label.complete else ["NOT COMPLETE: there is more than a file may hold; narrow the search"]),
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
        read.incident,
        # Of a damaged read nothing else stands in its line.
        {True: "as it came in", False: "DAMAGED: do not act on it", None: "not checked"}[read.intact],
    ]
