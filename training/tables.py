"""Figures as tables: for whoever ran the command, and for the model card."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recognizer.pack import Measurement
from training.coverage import OPERATING_POINT
from training.readers import OFFICIAL, PEER

COUNTED = (
    "false_per_image", "plates_per_image", "reads", "candidates", "right", "frames", "misreads_per_1000",
    "ece_weakest", "ece_character",
)  # fmt: skip
"""Figures that are no shares."""

_LEGEND = f"""\
"builtin" is this pack. "{PEER}" is fast-alpr's default reader (cct_xs_v2_global) on the very same crops,
behind this pack's detector; "{OFFICIAL}" is the official pack with its own detector. A single picture's
read is given out from {OPERATING_POINT:g} of its weakest character on: `coverage` is the share of plates so
given out, `misreads per 1000` how many of 1,000 such reads are wrong. `jurisdiction` is the likeliest
issuer, right or not; `country` only its country, for readers that know no states; `likely` how often it is
sure enough to be shown. `ece` is the expected calibration error. Rendered drives show what the vote adds to
a single frame, not accuracy on the street."""

SETS = ("end to end", "reader", "detector")
"""Stages that share the one table: a row for each set and contender."""
COLUMNS = {
    "recall_50": "recall .5", "recall_30": "recall .3", "false_per_image": "false/img", "exact": "exact",
    "exact_folded": "folded", "char_accuracy": "chars", "jurisdiction": "issuer", "country": "country",
    "coverage": "coverage", "misreads_per_1000": "misreads/1000", "detect_ms": "detect ms",
    "read_ms": "read ms",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one contender."""

    by: str
    measured: Measurement


def console_tables(rows: Sequence[Row]) -> str:
    """Return the one table of all sets, then the smaller ones, in Markdown."""
    sets = [row for row in rows if row.measured.stage in SETS]
    tables = [_set_table(sets)] if sets else []
    rest = [row for row in rows if row.measured.stage not in SETS]
    return "\n\n".join([*tables, *_stage_tables(rest)]) + "\n"


def write_figures(readme: Path, rows: Sequence[Row]) -> None:
    """Put *rows* as tables between the marks in *readme*. Raises ValueError if it has no marks.

    Milliseconds stay out: they are the machine's, not the pack's.
    """
    before, begin, rest = readme.read_text(encoding="utf-8").partition("<!-- figures: begin -->")
    _, end, after = rest.partition("<!-- figures: end -->")
    if not begin or not end:
        raise ValueError(f"{readme} has no marks for the figures")
    tables = _stage_tables([Row(row.by, timeless(row.measured)) for row in rows])
    readme.write_text(
        before + begin + "\n" + "\n\n".join([_LEGEND, *tables]) + "\n" + end + after, encoding="utf-8"
    )


def timeless(measured: Measurement) -> Measurement:
    """Return *measured* without times, which another machine would not confirm."""
    figures = {name: value for name, value in measured.figures.items() if not name.endswith("_ms")}
    return Measurement(measured.stage, measured.set, measured.samples, figures)


def _set_table(rows: Sequence[Row]) -> str:
    head = ["stage", "set", "n", "by", *COLUMNS.values()]
    body = [
        [row.measured.stage, row.measured.set, str(row.measured.samples), row.by]
        + [_cell(name, row.measured.figures.get(name)) for name in COLUMNS]
        for row in rows
    ]
    return _markdown(head, body, left=(0, 1, 3))


def _stage_tables(rows: Sequence[Row]) -> list[str]:
    tables = []
    for stage in dict.fromkeys(row.measured.stage for row in rows):
        mine = [row for row in rows if row.measured.stage == stage]
        names = list(dict.fromkeys(name for row in mine for name in row.measured.figures))
        head = [stage, "samples", "by", *(name.replace("_", " ") for name in names)]
        body = [
            [row.measured.set, str(row.measured.samples), row.by]
            + [_cell(name, row.measured.figures.get(name)) for name in names]
            for row in mine
        ]
        tables.append(_markdown(head, body, left=(0, 2)))
    return tables


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    widths = [max(len(line[k]) for line in (head, *body)) for k in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.ljust(w) if k in left else c.rjust(w)
                  for k, (c, w) in enumerate(zip(cells, widths, strict=True)))  # fmt: skip
        return "| " + " | ".join(padded) + " |"

    rule = ("-" * (w + 2) if k in left else "-" * (w + 1) + ":" for k, w in enumerate(widths))
    return "\n".join([line(head), "|" + "|".join(rule) + "|", *(line(cells) for cells in body)])


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name.endswith("_ms") or name == "misreads_per_1000":
        return f"{value:.1f}"
    return f"{value:.4g}" if name in COUNTED else f"{100 * value:.1f}"
