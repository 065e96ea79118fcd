"""Accuracy in service as a file: the same numbers as on the page, and none that the page withholds."""

import csv
import io
import json
from typing import Any

from server.cells import cell
from server.hit_accuracy import Accuracy, Measure, Row
from server.intervals import FEWEST, Share

COLUMNS = (
    *("measure", "by", "name", "judged", "right", "right_from", "right_to", "misread", "misread_from"),
    *(
        "misread_to",
        "wrong_state",
        "wrong_state_from",
        "wrong_state_to",
        "no_longer_wanted",
        "mean_confidence",
    ),
)


def as_json(found: Accuracy) -> str:
    """Return *found* as JSON; a share of fewer than 10 cases is null."""
    told = {
        "from": found.period.start.isoformat(),
        "until": found.period.end.isoformat(),
        "notice": f"95 % intervals (Wilson). No share of fewer than {FEWEST} cases.",
        "hits": found.hits,
        "hits_without_disposition": found.without.count,
        "hits_not_pursued": found.not_pursued,
        "drawn": found.drawn,
        "drawn_not_judged": found.unjudged.count,
        "of_hits": _measure(found.measured),
        "of_sample": _measure(found.sample),
    }
    return json.dumps(told, indent=1)


def as_csv(found: Accuracy) -> str:
    """Return *found* as CSV (RFC 4180), a line for each camera, state, hour."""
    out = io.StringIO()
    out.write(f"# {found.period}; 95 % intervals (Wilson); no share of fewer than {FEWEST} cases\r\n")
    out.write(f"# {found.hits} hits, {found.without.count} of them without a disposition\r\n")
    out.write(f"# {found.drawn} reads drawn, {found.unjudged.count} of them not judged\r\n")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for name, measure in (("hits", found.measured), ("sample", found.sample)):
        lines = [("all", (measure.whole,)), *measure.by]
        for by, rows in lines:
            for row in rows:
                writer.writerow([cell(value) for value in (name, by, *_values(row))])
    return out.getvalue()


def in_words(share: Share) -> str:
    """Return a share as people read it: "91 % (82 to 96 %), 64 of 70"."""
    if not share.enough:
        return f"too few ({share.count} of {share.of})"
    low, high = share.interval
    return (
        f"{100 * share.value:.0f} % ({100 * low:.0f} to {100 * high:.0f} %), {share.count:,} of {share.of:,}"
    )


def _values(row: Row) -> list[Any]:
    values: list[Any] = [row.name, row.judged]
    for share in (row.right, row.misread, row.wrong_state):
        values += [round(v, 4) for v in (share.value, *share.interval)] if share.enough else ["", "", ""]
    values.append(round(row.stale.value, 4) if row.stale.enough else "")
    return [*values, round(row.said, 4) if row.right.enough else ""]


def _measure(found: Measure) -> dict[str, Any]:
    return {
        "all": _told(found.whole),
        "by": {title: [_told(row) for row in rows] for title, rows in found.by},
        "characters": [
            {"read": row.read, "wrong": _share(row.wrong), "truly": dict(row.taken_for)}
            for row in found.characters
        ],
        "not_read": dict(found.missed),
    }


def _told(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "judged": row.judged,
        "right": _share(row.right),
        "misread": _share(row.misread),
        "wrong_state": _share(row.wrong_state),
        "no_longer_wanted": _share(row.stale),
        "mean_confidence": round(row.said, 4) if row.right.enough else None,
    }


def _share(share: Share) -> dict[str, Any]:
    if not share.enough:
        return {"count": share.count, "of": share.of, "share": None, "interval": None}
    low, high = share.interval
    return {
        "count": share.count,
        "of": share.of,
        "share": round(share.value, 4),
        "interval": [round(low, 4), round(high, 4)],
    }
