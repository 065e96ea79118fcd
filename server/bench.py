"""`./run bench server`: how fast the department's server takes, finds and removes reads, on both databases.

`python -m server.bench [--reads N] [--json FILE]` prints each figure beside its target. PostgreSQL is one of
its own in a temporary folder; fsync is on for both. Where it is not installed that half is left out, and the
benchmark says so.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from rich.console import Console
from rich.table import Table

from server import clock
from server.actors import Actor
from server.bench_cluster import Cluster, NoPostgresqlError, cluster
from server.bench_ingest import JPEG_BYTES, Ingested, ingest, make_load
from server.bench_reads import (
    Searched,
    make_reads,
    search_alike,
    search_canvass,
    search_convoy,
    search_exact,
    search_partial,
    search_place,
)
from server.department import Administrator, Department, found, open_department
from server.partitions import month_of
from server.retention import approve, ask, carry_out
from server.retention_values import Rules

DAYS = 364
"""The reads lie in so many days before now, and the rest of that month; those of `OLD_DAYS` before are
purged."""
OLD_DAYS = 60
SEARCHES = 200
_SETTINGS = {"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "4GB", "work_mem": "32MB"}
_BATCHES, _PURGE_BATCHES = 120, 400
_FREE_BYTES = 5 * 10**9
"""With less room left on the disk, no further month of reads is made."""
_EVERY_S = 0.25
"""While reads are purged, so many batches come: a fleet of 800 reads a second."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure."""

    what: str
    value: float
    unit: str
    target: float | None = None
    """None where nothing is promised."""
    least: bool = False
    """The target is a least, not a most."""

    @property
    def verdict(self) -> str:
        """Whether it is reached."""
        if self.target is None:
            return ""
        return (
            "reached" if (self.value >= self.target) is self.least or self.value == self.target else "missed"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for."""

    reads: int
    old: int
    processes: int
    minutes: float
    """Reads are made for so long at most."""
    purge_batches: int
    """So many come in while old reads are purged, four a second."""
    purge_only: bool
    """No searches, and no ingest but during the purge."""


def measure(root: Path, plan: Plan, running: Cluster | None, told: Callable[[str], None]) -> list[Figure]:
    """Return the figures of the department in *root*, whose database is empty."""
    now = clock.now()
    first = month_of(now - timedelta(days=DAYS))
    since = datetime(first.year, first.month, 1, tzinfo=UTC)
    department = open_department(root)
    deadline = time.monotonic() + plan.minutes * 60
    started = time.monotonic()
    old = make_reads(department.engine, plan.old, since - timedelta(days=OLD_DAYS), since)
    made = make_reads(
        department.engine,
        plan.reads,
        since,
        now,
        enough=lambda: time.monotonic() > deadline or shutil.disk_usage(root).free < _FREE_BYTES,
        told=told,
    )
    figures = [
        Figure("reads made for it", made, ""),
        Figure("of them a second", (made + old) / (time.monotonic() - started), "/s"),
    ]
    if not plan.purge_only:
        held_since = since + (now - since) * (1 - made / plan.reads) if plan.reads else since
        figures += _searches(department, held_since, now, told)
    with TemporaryDirectory() as name:
        folder = Path(name)
        if not plan.purge_only:
            figures += _ingests(department, folder, now, plan=plan, running=running, told=told)
        figures += _purge_beside(department, folder, since, now, batches=plan.purge_batches, told=told)
    department.engine.dispose()
    return figures


def _searches(
    department: Department, held_since: datetime, now: datetime, told: Callable[[str], None]
) -> list[Figure]:
    engine, chance = department.engine, random.Random(7)
    figures: list[Figure] = []
    searches: tuple[tuple[str, Callable[[], Searched], float], ...] = (
        ("exact plate", lambda: search_exact(engine, SEARCHES, chance), 50.0),
        ("partial plate", lambda: search_partial(engine, SEARCHES, chance), 300.0),
        ("square of 1 km and hour", lambda: search_place(engine, SEARCHES, held_since, now, chance), 200.0),
        ("plate and its look-alikes", lambda: search_alike(engine, SEARCHES, chance), 300.0),
        (
            "canvass of three places and days",
            lambda: search_canvass(engine, SEARCHES, held_since, now, chance),
            1000.0,
        ),
        ("convoy of 90 days", lambda: search_convoy(engine, SEARCHES, now, chance), 3000.0),
    )
    for name, search, most in searches:
        figures += _searched(f"{name}, p95", search(), most)
        told(f"{name}, p95: {figures[-3].value:.1f} ms")
    return figures


def _ingests(
    department: Department,
    folder: Path,
    now: datetime,
    *,
    plan: Plan,
    running: Cluster | None,
    told: Callable[[str], None],
) -> list[Figure]:
    figures: list[Figure] = []
    for jpeg, what in ((JPEG_BYTES, "with picture"), (0, "without")):
        for processes in sorted({1, plan.processes}):
            spent = 0.0 if running is None else running.processor_s
            result, size = _ingest(department, folder, processes, jpeg, now)
            spent = 0.0 if running is None else running.processor_s - spent
            title = f"ingest, {size / 1e3:.1f} kB a read ({what}), processes: {processes}"
            target = 3000.0 if processes == plan.processes else None
            figures.append(Figure(title, result.reads_per_s, "reads/s", target, least=True))
            figures += [
                Figure("  a batch of 200, p99", _percentile(result.batches_ms, 0.99), "ms"),
                Figure("  processor time a read, server", result.processor_s / result.reads * 1e6, "us"),
                Figure("  and PostgreSQL", spent / result.reads * 1e6, "us"),
            ][: 3 if running is None else 4]
            told(f"{title}: {result.reads_per_s:,.0f}/s")
    return figures


def _searched(name: str, searched: Searched, target: float) -> list[Figure]:
    return [
        Figure(name, _percentile(searched.ms, 0.95), "ms", target),
        Figure("  in the middle", _percentile(searched.ms, 0.5), "ms"),
        Figure("  found (reads: of 50 shown at most)", searched.found, ""),
    ]


def _ingest(
    department: Department,
    folder: Path,
    processes: int,
    jpeg: int,
    now: datetime,
    *,
    batches: int = _BATCHES,
    every_s: float = 0.0,
) -> tuple[Ingested, float]:
    tag = f"{jpeg}-{processes}-{batches}"
    loads = [
        make_load(
            department,
            folder / f"{tag}-{number}",
            f"bench-{tag}-{number}",
            batches=batches // processes,
            jpeg_bytes=jpeg,
            now=now,
        )
        for number in range(processes)
    ]
    size = len(loads[0].batches[0].payload) / 200
    return ingest(department.folder.root, loads, now, folder, every_s=every_s), size


def _purge_beside(
    department: Department,
    folder: Path,
    before: datetime,
    now: datetime,
    *,
    batches: int,
    told: Callable[[str], None],
) -> list[Figure]:
    """Destroy the reads before *before*, as `alpr-server retention approve` does, while *batches* come in:
    those that still come when it is over do not count."""
    age = timedelta(days=(now - before).days)
    rules = Rules(age, age)
    number, _ = ask(department.engine, rules, reference="benchmark", actor=Actor("one"), now=now)
    approve(department.engine, number, actor=Actor("another"), now=now)
    enough, gone, took = Event(), [0], [0.0]

    def purge() -> None:
        started = time.monotonic()
        gone[0] = carry_out(
            department.engine,
            number,
            department.keys.receipt,
            clock.now,
            wait=enough.wait,
            stopped=enough.is_set,
        )
        took[0] = time.monotonic() - started

    purging = Thread(target=purge)
    purging.start()
    result, _ = _ingest(department, folder, 1, JPEG_BYTES, now, batches=batches, every_s=_EVERY_S)
    enough.set()
    purging.join()
    told(f"purged beside ingest: {gone[0]:,}")
    beside = result.batches_ms[: max(1, int(took[0] / _EVERY_S))]
    return [
        Figure("ingest batch while reads are purged, p99", _percentile(beside, 0.99), "ms", 200.0),
        Figure("  in the middle", _percentile(beside, 0.5), "ms"),
        Figure("  batches", len(beside), ""),
        Figure("  ingest meanwhile", result.reads_per_s, "reads/s"),
        Figure("  reads purged in steps meanwhile", gone[0], ""),
        Figure("  of them a second", gone[0] / max(took[0], 1e-9), "/s"),
    ]


def _percentile(values: tuple[float, ...], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@contextmanager
def _department(folder: Path, url: str) -> Iterator[Path]:
    root = folder / "department"
    first = Administrator("bench", "a password for nobody", date(2099, 1, 1))
    found(
        root,
        first,
        name="Bench",
        hosts=["localhost"],
        server_url="https://localhost:8443",
        now=clock.now(),
        database_url=url,
    )
    yield root


def _run(name: str, plan: Plan, running: Cluster | None) -> list[Figure]:
    def told(text: str) -> None:
        print(f"{name}: {text}", file=sys.stderr, flush=True)

    with TemporaryDirectory(prefix="alpr-bench-") as folder:
        url = "" if running is None else running.make("bench")
        with _department(Path(folder), url) as root:
            return measure(root, plan, running, told)


def main() -> int:
    """Measure and print."""
    # Ended by a signal, it still takes its PostgreSQL and its folders with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser()
    parser.add_argument("--reads", type=int, default=2_000_000)
    parser.add_argument("--old", type=int, default=1_000_000, help="reads that are purged")
    parser.add_argument(
        "--processes", type=int, default=min(os.cpu_count() or 1, 4), help="that take batches"
    )
    parser.add_argument("--minutes", type=float, default=25.0, help="reads are made for so long at most")
    parser.add_argument(
        "--purge-batches", type=int, default=_PURGE_BATCHES, help="that come in during the purge"
    )
    parser.add_argument("--purge-only", action="store_true", help="no searches, no other ingest")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    plan = Plan(
        chosen.reads, chosen.old, chosen.processes, chosen.minutes, chosen.purge_batches, chosen.purge_only
    )
    results: dict[str, list[Figure]] = {}
    if chosen.only != "postgresql":
        results["SQLite"] = _run("SQLite", plan, None)
    if chosen.only != "sqlite":
        try:
            with cluster(**_SETTINGS) as running:
                results["PostgreSQL"] = _run("PostgreSQL", plan, running)
        except NoPostgresqlError as error:
            print(f"PostgreSQL is left out: {error}", file=sys.stderr)
    for name, figures in results.items():
        table = Table("", "measured", "target", "", title=f"{name}, {plan.reads:,} reads asked for")
        for figure in figures:
            target = "" if figure.target is None else f"{'>=' if figure.least else '<'} {figure.target:,.0f}"
            table.add_row(figure.what, f"{figure.value:,.1f} {figure.unit}", target, figure.verdict)
        Console().print(table)
    if chosen.json is not None:
        told = {
            name: [
                {"what": each.what, "value": each.value, "unit": each.unit, "target": each.target}
                for each in figures
            ]
            for name, figures in results.items()
        }
        chosen.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
