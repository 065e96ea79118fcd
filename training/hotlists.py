"""The sample drive's hotlist: a few plates that pass, and many that do not even look like one that does."""

import csv
from pathlib import Path

import numpy as np

COLUMNS = (
    "plate", "state", "list", "reason", "priority", "make", "model", "colour", "year", "case", "source",
    "effective", "expires",
)  # fmt: skip
LOOK_ALIKES = str.maketrans(
    {"O": "0", "Q": "0", "D": "0", "I": "1", "L": "1", "Z": "2", "S": "5", "B": "8", "G": "6"}
)
"""Characters that reading confuses, folded onto one of them. Wider than any matcher should be."""

_FIELDS = ("plate", "state", "list", "reason", "priority", "make", "model", "colour", "year", "case")
PLANTED: tuple[dict[str, str], ...] = tuple(
    dict(zip(_FIELDS, line.split("|"), strict=True))
    for line in (
        "KVD7043|US-NY|stolen vehicle|stolen vehicle|high|Norden|Pika|red|2019|S-1001",
        "8K0B417|US-CA|stolen plate|stolen plate|medium|Alto|Terra|white|2021|S-1002",
        "6W?F*|US-CA|be on the lookout|partial plate, hit and run|medium|||silver||S-1003",
        "XKD9382|US-MI|missing person|missing person, check welfare|high|Alto|Ridge|blue|2017|S-1004",
        "SRM4850|US-IL|wanted person|warrant, keeper of the vehicle|high|Carrow|Box|beige|2015|S-1005",
        "RQT4H81|BR|stolen vehicle|stolen vehicle, reported abroad|medium|Norden|Lume|orange|2022|S-1006",
        "BKR4871|US-NM|stolen vehicle|stolen vehicle|high|Norden|Kite (motorcycle)|yellow|2020|S-1007",
    )
)
"""Entries about plates that pass: the second differs by a look-alike, the third is a pattern, the last is
another state's."""


def near(first: str, second: str) -> bool:
    """Whether two plates are one reading error apart, or a look-alike anywhere makes them equal."""
    a, b = first.translate(LOOK_ALIKES), second.translate(LOOK_ALIKES)
    return len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) <= 1


def write_hotlist(path: Path, passing: list[str], seed: int, others: int = 41) -> None:
    """Write the sample hotlist: PLANTED, and *others* invented plates, none near any of *passing*."""
    rng = np.random.default_rng(seed)
    common = {"source": "sample", "effective": "2026-01-01T00:00:00Z", "expires": "2036-01-01T00:00:00Z"}
    rows = [entry | common for entry in PLANTED]
    reasons = ("stolen vehicle", "stolen plate", "wanted person", "missing person", "expired registration")
    makes, models = ("Norden", "Alto", "Carrow", "Vento"), ("Pika", "Terra", "Ridge", "Lume", "Kite")
    states = ("US-CA", "US-CA", "US-CA", "US-TX", "US-NY", "US-NV", "US-OR", "US-WA", "US-AZ")
    letters = np.array(list("ABCDEFGHJKLMNPRSTUVWXYZ"))
    taken = list(passing)
    while len(rows) < len(PLANTED) + others:
        state = str(rng.choice(states))
        drawn = "".join(rng.choice(letters, 3)) + "".join(str(d) for d in rng.integers(0, 10, 4))
        text = f"{rng.integers(1, 10)}{drawn[:6]}" if state == "US-CA" else drawn
        if any(near(text, other) for other in taken):
            continue
        taken.append(text)
        reason = str(rng.choice(reasons))
        rows.append(
            {
                "plate": text, "state": state, "list": reason, "reason": reason,
                "priority": str(rng.choice(("high", "medium", "low"))),
                "make": str(rng.choice(makes)), "model": str(rng.choice(models)),
                "colour": str(rng.choice(("white", "black", "grey", "blue", "red"))),
                "year": str(rng.integers(2004, 2026)), "case": f"S-{1100 + len(rows)}",
            } | common
        )  # fmt: skip
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
