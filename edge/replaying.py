"""`alpr-edge replay`: a recording in, reads as a table, a CSV file and an annotated video out."""

import tempfile
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from camera.frame import Frame
from edge.annotate import Annotator
from edge.clock import Clock, SystemClock
from edge.compose import new_id, new_pipeline
from edge.config import trial_config
from edge.pipeline import Pipeline, Step
from edge.replay import Replay, replay, write_reads
from edge.view import alerts_table
from hotlist_cache.config import HotlistConfig
from hotlist_cache.importing import ImportRules, RefusedRow, import_entries
from hotlist_cache.match import Hotlist
from hotlist_cache.snapshot import encode_snapshot, open_snapshot
from recognizer.onnx import Recognizer


def replay_command(
    recording: Path, *, out: Path | None, annotate: Path | None, pack: str, hotlist: Path | None
) -> None:
    """Read *recording*, print what was read, and write *out* (CSV) and *annotate* (video) where given.

    Raises RecordingUnreadableError, ModelInvalidError, or ImportRefusedError for the *hotlist*.
    """
    config = trial_config(pack)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="alpr-edge-replay-") as scratch:
        clock = SystemClock(Path(scratch))
        listed = None if hotlist is None else trial_hotlist(hotlist, config.hotlist, clock)
        pipeline = new_pipeline(config, Recognizer.open(config.recognizer), listed)
        done = _with_progress(recording, pipeline, clock, annotate, console)
    _print(done, console)
    if out is not None:
        write_reads(out, done)
        console.print(f"reads: {out}")
    if annotate is not None:
        console.print(f"annotated video: {annotate}")


def trial_hotlist(path: Path, config: HotlistConfig, clock: Clock) -> Hotlist:
    """Return the CSV file *path* as a list in force, signed by a key made here and forgotten at once.

    For trials with footage only: a unit in service takes nothing but the department's signed snapshots.
    """
    now, key = clock.now().utc, Ed25519PrivateKey.generate()
    refused: list[RefusedRow] = []
    with path.open("rb") as file:
        entries = list(import_entries(file, ImportRules(list_name="Trial list"), refused.append))
    data = encode_snapshot(entries, sequence=1, issued_at=now, expires_at=now + timedelta(days=1), key=key)
    return Hotlist(open_snapshot(data, keys=(key.public_key(),)), config, new_id)


def _with_progress(
    recording: Path, pipeline: Pipeline, clock: Clock, annotate: Path | None, console: Console
) -> Replay:
    columns = (SpinnerColumn(), TextColumn("{task.fields[frames]} frames, {task.fields[reads]} reads"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("replay", frames=0, reads=0)
        counts = {"frames": 0, "reads": 0}

        def on_step(frame: Frame, step: Step) -> None:
            counts["frames"] += 1
            counts["reads"] += len(step.reads)
            progress.update(task, frames=counts["frames"], reads=counts["reads"])

        return replay(
            recording,
            pipeline,
            clock,
            annotator=None if annotate is None else Annotator(annotate),
            on_step=on_step,
        )


def _print(done: Replay, console: Console) -> None:
    table = Table(title="Reads", title_justify="left")
    for column in ("at", "plate", "weakest character", "state", "frames"):
        table.add_column(
            column, justify="right" if column in ("at", "weakest character", "frames") else "left"
        )
    revised = {item.read.revises for item in done.reads}
    for item in done.reads:
        read, opinion = item.read, item.read.jurisdiction
        since = read.first_seen.utc - done.started_at if done.started_at else timedelta()
        table.add_row(
            f"{since / timedelta(seconds=1):.1f} s",
            f"{read.prefix} {read.plate}".strip(),
            f"{read.confidence:.2f}",
            opinion.code if opinion and opinion.likely else "",
            f"{read.frames}",
            style="dim strike" if read.read_id in revised else "",
        )
    console.print(table)
    if done.alerts:
        console.print(alerts_table(done.alerts))
    rate = done.frames / done.seconds if done.seconds else 0.0
    console.print(
        f"{done.frames} frames in {done.seconds:.1f} s ({rate:.1f} frames/s), {len(done.reads)} reads"
    )
