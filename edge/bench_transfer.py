"""A car that comes back after 30 days: what its store holds and costs, and how fast it goes up.

`python -m edge.bench_transfer [--held N] [--sent N]` prints each figure. A real server runs beside, in a
process of its own; every batch goes over mutual TLS, and every receipt is checked.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from edge.bench_upload import RECORD_BYTES, BenchUnavailableError, Department, department, sent
from sync.outbox import Outbox, open_outbox
from sync.seal import EpochSealer

HELD, SENT = 370_000, 300_000
"""Reads of 30 days in a busy car, and those that the goal of ten minutes is set for."""
CARD_BYTES = 32 * 10**9
DAYS = 30
COMMIT_READS, EPOCH_READS = 200, 600
_SENT_WITHIN_MIN = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    value: float
    unit: str
    most: float | None = None
    """What it is to stay under; None: nothing is promised."""

    @property
    def line(self) -> tuple[str, str, str, str]:
        """As it is printed."""
        wanted = "" if self.most is None else f"< {self.most:,.0f}"
        verdict = "" if self.most is None else "reached" if self.value < self.most else "missed"
        return self.what, f"{self.value:,.1f} {self.unit}", wanted, verdict


def measure(folder: Path, held: int, sent_reads: int, say: Callable[[str], None]) -> list[Figure]:
    """Return the figures of a store of *held* reads in *folder*, of which *sent_reads* are handed in."""
    path = folder / "outbox.db"
    with department(folder) as there:
        say(f"{held:,} reads are stored")
        filling_s = _fill(path, there, held)
        size = sum(each.stat().st_size for each in folder.glob("outbox.db*"))
        _forget(path)
        opened_s, outbox = _timed(lambda: open_outbox(path))
        with outbox:
            counted_s, counts = _timed(outbox.counts)
            if counts.queued != held:
                raise BenchUnavailableError(f"the store holds {counts.queued} reads, not {held}")
            batch_s, _ = _timed(lambda: _next(outbox, there))
            say(f"{sent_reads:,} reads go to the department")
            elapsed_s = sent(outbox, there, sent_reads)
            purged_s, purged = _timed(outbox.purge)
    if not purged:
        raise BenchUnavailableError("nothing left the store with its receipt")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return [
        Figure(f"reads held, {RECORD_BYTES / 1e3:.0f} kB each with their picture", held, ""),
        Figure("the store", size / 1e9, "GB", CARD_BYTES / 1e9),
        Figure("  a read in it", size / held, "bytes"),
        Figure("  stored, sealing included", held / filling_s, "reads/s"),
        Figure("opened, nothing of it in memory", opened_s, "s"),
        Figure("counted", counted_s * 1e3, "ms"),
        Figure("the first batch made", batch_s * 1e3, "ms"),
        Figure(f"{sent_reads:,} reads sent, each with its receipt", elapsed_s / 60, "min", _SENT_WITHIN_MIN),
        Figure("  of them a second", sent_reads / elapsed_s, "reads/s"),
        Figure("a purge", purged_s * 1e3, "ms"),
        Figure("  reads in it", purged, ""),
        Figure("most memory of the unit's side", peak / 1e6, "MB"),
    ]


def _fill(path: Path, there: Department, held: int) -> float:
    now = there.clock.now()
    unit_id, public = there.config.unit.id, there.keys.department
    started = time.perf_counter()
    with open_outbox(path) as outbox:
        for first in range(0, held, COMMIT_READS):
            if first % EPOCH_READS == 0:
                sealer = EpochSealer(unit_id, public)
            at = replace(now, utc=now.utc - timedelta(days=DAYS) * (1 - first / held))
            count = min(COMMIT_READS, held - first)
            outbox.append([there.sealed(sealer, at) for _ in range(count)], sealer.epoch, at.utc)
    return time.perf_counter() - started


def _forget(path: Path) -> None:
    """Take the file out of the machine's memory: a car starts with a cold card."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _next(outbox: Outbox, there: Department) -> None:
    outbox.make_batch(
        unit_id=there.config.unit.id, limit_reads=200, limit_bytes=4 << 20, now=there.clock.now().utc
    )


def _timed(act: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    found = act()
    return time.perf_counter() - started, found


def main() -> int:
    """Measure, print, and return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--held", type=int, default=HELD)
    parser.add_argument("--sent", type=int, default=SENT)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    console = Console()
    try:
        with TemporaryDirectory(dir=Path.cwd(), prefix="bench-") as scratch:
            figures = measure(Path(scratch), asked.held, min(asked.sent, asked.held), console.print)
    except BenchUnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    table = Table("", "measured", "goal", "", title="A car comes back after 30 days")
    for figure in figures:
        table.add_row(*figure.line)
    console.print(table)
    if asked.json is not None:
        values = {figure.what.strip(): figure.value for figure in figures}
        asked.json.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return int(any(figure.line[3] == "missed" for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
