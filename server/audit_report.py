"""A report as a page, a CSV file or JSON: columns and rows, and on it for what purpose it was made."""

import csv
import io
import json
from dataclasses import dataclass, field
from datetime import datetime

from server.audit_period import Period

Cell = str | int
# A spreadsheet takes a cell that begins so for a formula, and people type what is searched for.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Report:
    """What was found out."""

    name: str
    """As commands and forms call it."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    """How it was found: rules and limits."""
    bare: bool = False
    """As CSV it is the columns alone, because somebody else prescribes them."""


@dataclass(frozen=True, slots=True)
class Imprint:
    """For whom and why a report was made: it stands on each copy."""

    department: str
    period: Period
    made_by: str
    made_at: datetime
    purpose: str
    """In words."""
    case_number: str = ""

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Name and value, in the order in which they are printed."""
        return (
            ("department", self.department),
            ("period", str(self.period)),
            ("purpose", self.purpose + (f", case {self.case_number}" if self.case_number else "")),
            ("made by", self.made_by),
            ("made at", moment(self.made_at)),
        )


def as_csv(report: Report, imprint: Imprint) -> str:
    """Return the report as CSV (RFC 4180), the imprint in lines before it unless it is a bare one."""
    out = io.StringIO()
    writer = csv.writer(out)
    if not report.bare:
        writer.writerow(["report", report.title])
        writer.writerows((name, _safe(value)) for name, value in imprint.lines)
        writer.writerows(("note", note) for note in report.notes)
        writer.writerow([])
    writer.writerow(report.columns)
    writer.writerows([_safe(cell) for cell in row] for row in report.rows)
    return out.getvalue()


def as_json(report: Report, imprint: Imprint) -> str:
    """Return the report as one JSON object."""
    value = {
        "report": report.name,
        "title": report.title,
        **{name.replace(" ", "_"): value for name, value in imprint.lines},
        "notes": report.notes,
        "rows": [dict(zip(report.columns, row, strict=True)) for row in report.rows],
    }
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


def moment(value: datetime) -> str:
    """Return *value* as "2026-03-01T18:00:00Z"."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def _safe(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    # What no file can hold (half a surrogate pair, from a typed text) is written as an escape.
    cell = cell.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
