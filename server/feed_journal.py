"""The last imports of each feed with what became of them, refused ones too, for the pages to show.

hotlists/reports/<feed>.json    the newest first, at most `KEPT`

It is a copy for showing: what counts, and stays, is in the access log. No plate stands in it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from server.feed_report import ImportReport, report_of
from server.files import replacing

KEPT = 20
_BROKEN = (OSError, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One file that was brought, and what became of it."""

    at: datetime
    """Aware UTC."""
    by: str
    file: str
    how: Mapping[str, str] = field(default_factory=dict)
    """As `ImportOptions.told` gave it."""
    report: ImportReport | None = None
    """None: the file was refused whole."""
    why: str = ""
    """Why it was refused."""


def note(folder: Path, feed: str, arrival: Arrival) -> None:
    """Put *arrival* before those of *feed* that are kept; *folder* is that of the hotlists."""
    known = [_written(each) for each in arrivals(folder, feed)]
    with replacing(_path(folder, feed)) as file:
        file.write(json.dumps([_written(arrival), *known][:KEPT]).encode())


def arrivals(folder: Path, feed: str) -> list[Arrival]:
    """Return what is kept of *feed*, the newest first; nothing if the file is gone or damaged."""
    try:
        return [_read(each) for each in json.loads(_path(folder, feed).read_bytes())]
    except _BROKEN:
        return []


def _path(folder: Path, feed: str) -> Path:
    return folder / "reports" / f"{feed}.json"


def _written(arrival: Arrival) -> dict[str, Any]:
    return {
        "at": arrival.at.isoformat(),
        "by": arrival.by,
        "file": arrival.file,
        "how": dict(arrival.how),
        "report": None if arrival.report is None else arrival.report.detail(),
        "why": arrival.why,
    }


def _read(fields: Mapping[str, Any]) -> Arrival:
    report = fields["report"]
    return Arrival(
        datetime.fromisoformat(fields["at"]),
        str(fields["by"]),
        str(fields["file"]),
        {str(name): str(value) for name, value in fields["how"].items()},
        None if report is None else report_of(report),
        str(fields["why"]),
    )
