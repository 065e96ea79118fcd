"""`alpr-edge bench`: what this machine does with the real pipeline, store, list and server.

Times include whatever else the machine was doing: compare figures of one run with each other, not runs.
"""

import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rich.console import Console
from rich.table import Table

from camera.frame import Frame
from edge.bench_hotlist import bench as bench_hotlist
from edge.bench_upload import RECORD_BYTES, BenchUnavailableError, bench_upload
from edge.clock import SystemClock
from edge.compose import compose, new_pipeline, with_source
from edge.config import UnitConfig, trial_config
from edge.daemon import Daemon
from edge.pipeline import Pipeline
from edge.reckoning import percentile
from edge.replaying import trial_hotlist
from edge.vault import STORAGE_KEY_BYTES, Keys
from recognizer.config import RecognizerConfig
from recognizer.onnx import Recognizer
from sync.outbox import open_outbox
from sync.seal import EpochSealer

Figures = dict[str, float]

DRIVE = Path(__file__).resolve().parents[1] / "tests" / "data" / "drive"


def bench_command(json_path: Path | None, *, entries: int, seconds: float) -> None:
    """Print the tables and write all figures to *json_path* if one is given."""
    if not (DRIVE / "drive.mp4").is_file():
        raise BenchUnavailableError(f"{DRIVE}: the sample drive is missing; run this from a checkout")
    console = Console()
    figures: Figures = {"cores": float(os.cpu_count() or 1)}
    tables: list[tuple[str, Callable[[], Figures]]] = [
        ("Streams, camera to decision, two threads", lambda: bench_streams(seconds)),
        ("The daemon on the sample drive", bench_daemon),
        ("The sealed store", bench_store),
        ("Upload to a department server on this machine, mutual TLS", bench_upload),
        (f"Hotlist of {entries:,} entries", lambda: bench_hotlist(entries)),
    ]
    for title, part in tables:
        with console.status(title):
            found = part()
        console.print(_table(title, found))
        figures |= found
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def bench_streams(seconds: float) -> Figures:
    """Frames/s and time per stage of 720p and 1080p streams; frames are decoded as they are read."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        clock = SystemClock(Path(scratch))
        config = trial_config("builtin")
        listed = trial_hotlist(DRIVE / "hotlist.csv", config.hotlist, clock)
        for threads in (1, 2):
            recognizer = Recognizer.open(RecognizerConfig(threads=threads))
            for name, size in (("720p", (1280, 720)), ("1080p", (1920, 1080))):
                pipeline = new_pipeline(config, recognizer, listed)
                key = f"{name}_{threads}_threads" if threads > 1 else f"{name}_1_thread"
                figures |= _stream(pipeline, recognizer, _frames(clock, size), seconds, key)
    figures["rss_mb"] = _rss_mb()
    return figures


def _stream(
    pipeline: Pipeline, recognizer: Recognizer, frames: Iterator[Frame], seconds: float, key: str
) -> Figures:
    stages: dict[str, list[float]] = {
        name: [] for name in ("decode", "detect", "read", "evidence", "track_match", "whole")
    }
    started = time.perf_counter()
    frames_read = 0
    while (begun := time.perf_counter()) - started < seconds:
        frame = next(frames)
        decoded = time.perf_counter()
        pipeline.step(frame)
        done = time.perf_counter()
        frames_read += 1
        timings = recognizer.timings
        recognised_ms = timings.detect_ms + timings.read_ms + timings.evidence_ms
        for name, value in (
            ("decode", (decoded - begun) * 1e3),
            ("detect", timings.detect_ms),
            ("read", timings.read_ms),
            ("evidence", timings.evidence_ms),
            ("track_match", (done - decoded) * 1e3 - recognised_ms),
            ("whole", (done - begun) * 1e3),
        ):
            stages[name].append(value)
    figures: Figures = {f"{key}_frames_per_s": frames_read / (time.perf_counter() - started)}
    for name, values in stages.items():
        figures[f"{key}_{name}_p50_ms"] = percentile(values, 50)
        figures[f"{key}_{name}_p95_ms"] = percentile(values, 95)
    return figures


def _frames(clock: SystemClock, size: tuple[int, int]) -> Iterator[Frame]:
    """Yield the sample drive again and again, at *size* (width, height)."""
    moment = clock.now()
    period = timedelta(seconds=1 / 15)
    for sequence in count():
        video = cv2.VideoCapture(str(DRIVE / "drive.mp4"))
        while True:
            good, pixels = video.read()
            if not good:
                break
            if (pixels.shape[1], pixels.shape[0]) != size:
                pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
            moment = replace(
                moment,
                utc=moment.utc + period,
                monotonic_ns=moment.monotonic_ns + int(period.total_seconds() * 1e9),
            )
            yield Frame("bench", sequence, moment, np.asarray(pixels, np.uint8))
        video.release()


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
