"""`alpr-edge bench`: what this machine does with the real pipeline, store, list and server.

Times include whatever else the machine was doing: compare figures of one run with each other, not runs.
"""

import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rich.console import Console
from rich.table import Table

from edge.bench_hotlist import bench as bench_hotlist
from edge.bench_speed import DRIVE, Figures, bench_models, bench_streams, streams_table
from edge.bench_upload import RECORD_BYTES, BenchUnavailableError, bench_upload
from edge.clock import SystemClock
from edge.compose import compose, with_source
from edge.config import UnitConfig, trial_config
from edge.daemon import Daemon
from edge.reckoning import percentile
from edge.replaying import trial_hotlist
from edge.vault import STORAGE_KEY_BYTES, Keys
from sync.outbox import open_outbox
from sync.seal import EpochSealer


def bench_command(json_path: Path | None, *, entries: int, seconds: float) -> None:
    """Print the tables and write all figures to *json_path* if one is given."""
    if not (DRIVE / "drive.mp4").is_file():
        raise BenchUnavailableError(f"{DRIVE}: the sample drive is missing; run this from a checkout")
    console = Console()
    figures: Figures = {"cores": float(os.cpu_count() or 1)}
    tables: list[tuple[str, Callable[[], Figures], Callable[[str, Figures], Table]]] = [
        ("Streams, camera to decision", lambda: bench_streams(seconds), streams_table),
        ("The models alone", bench_models, _table),
        ("The daemon on the sample drive", bench_daemon, _table),
        ("The sealed store", bench_store, _table),
        ("Upload to a department server on this machine, mutual TLS", bench_upload, _table),
        (f"Hotlist of {entries:,} entries", lambda: bench_hotlist(entries), _table),
    ]
    for title, part, table in tables:
        with console.status(title):
            found = part()
        console.print(table(title, found))
        figures |= found
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def bench_daemon() -> Figures:
    """The whole daemon on the sample drive without a server: frames/s, latency to the tone, memory."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        unit = UnitConfig(id="bench", state_dir=folder / "state", keys_dir=folder, run_dir=folder / "run")
        config = with_source(replace(trial_config("builtin"), unit=unit), str(DRIVE / "drive.mp4"))
        parts = compose(config, _keys())
        parts.pipeline.hotlist = trial_hotlist(DRIVE / "hotlist.csv", config.hotlist, parts.clock)
        daemon = Daemon(parts)
        status = daemon.run(until_end=True, on_status=lambda status, alerts: None)
        return {
            "daemon_frames_per_s": status.frames_per_s,
            "daemon_reads": status.reads,
            "daemon_alerts": status.alerts,
            "settle_to_alert_p50_ms": percentile(daemon.latencies_ms, 50),
            "settle_to_alert_p95_ms": percentile(daemon.latencies_ms, 95),
            "daemon_commit_p50_ms": percentile(parts.keeper.commit_ms, 50),
            "daemon_commit_p95_ms": percentile(parts.keeper.commit_ms, 95),
            "daemon_rss_mb": _rss_mb(),
        }


def bench_store(commits: int = 300) -> Figures:
    """One sealed read a commit, as for a hit, on the disk of the temporary folder."""
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch,
        open_outbox(Path(scratch) / "outbox.db") as outbox,
    ):
        sealer = EpochSealer("bench", X25519PrivateKey.generate().public_key())
        now = SystemClock(Path(scratch)).now().utc
        record = secrets.token_bytes(RECORD_BYTES)
        seal_ms, commit_ms = [], []
        for _ in range(commits):
            begun = time.perf_counter()
            sealed = sealer.seal(secrets.token_hex(16), record)
            between = time.perf_counter()
            outbox.append([sealed], sealer.epoch, now)
            commit_ms.append((time.perf_counter() - between) * 1e3)
            seal_ms.append((between - begun) * 1e3)
    return {
        "seal_p50_ms": percentile(seal_ms, 50),
        "commit_p50_ms": percentile(commit_ms, 50),
        "commit_p99_ms": percentile(commit_ms, 99),
    }


def _keys() -> Keys:
    """Keys made here and forgotten at once: the bench's reads can be opened by nobody."""
    department, receipts, hotlists = (
        X25519PrivateKey.generate(),
        Ed25519PrivateKey.generate(),
        Ed25519PrivateKey.generate(),
    )
    return Keys(
        department=department.public_key(),
        receipts=receipts.public_key(),
        hotlists=hotlists.public_key(),
        signing=Ed25519PrivateKey.generate(),
        storage=secrets.token_bytes(STORAGE_KEY_BYTES),
        tls_certificate=Path(),
        tls_key=Path(),
        tls_authority=Path(),
        updates_root=b"",
    )


def _rss_mb() -> float:
    """Resident memory of this process, in MB (10^6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _table(title: str, figures: Figures) -> Table:
    table = Table("figure", "value", title=title, title_justify="left")
    table.columns[1].justify = "right"
    for name, value in figures.items():
        table.add_row(name, f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}")
    return table
