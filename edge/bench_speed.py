"""What a frame costs, stage by stage and thread by thread, and what the two models cost alone."""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from rich.table import Table

from camera.frame import Frame
from edge.clock import SystemClock
from edge.compose import new_pipeline
from edge.config import trial_config
from edge.pipeline import Pipeline
from edge.reckoning import percentile
from edge.replaying import trial_hotlist
from recognizer.config import RecognizerConfig
from recognizer.manifest import load_pack
from recognizer.onnx import Recognizer

Figures = dict[str, float]

DRIVE = Path(__file__).resolve().parents[1] / "tests" / "data" / "drive"
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
THREADS = (1, 2, 4)
BATCHES = (1, 2, 4, 8)
STAGES = ("decode", "detect", "read", "evidence", "track_match", "whole")
REPEATS = 40
_GREY = 114 / 255
"""Of the letterbox: the detector cuts it off, so that only the picture costs time."""


def bench_streams(seconds: float) -> Figures:
    """Frames/s and time per stage of 720p and 1080p streams, on as many threads as there are cores.

    Frames are decoded as they are read; the decoder has the threads it likes.
    """
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        clock = SystemClock(Path(scratch))
        config = trial_config("builtin")
        listed = trial_hotlist(DRIVE / "hotlist.csv", config.hotlist, clock)
        for threads in _threads():
            recognizer = Recognizer.open(RecognizerConfig(threads=threads))
            for name, size in SIZES.items():
                pipeline = new_pipeline(config, recognizer, listed)
                figures |= _stream(pipeline, recognizer, _frames(clock, size), seconds, _key(name, threads))
    return figures


def streams_table(title: str, figures: Figures) -> Table:
    """Return a row per stage with its milliseconds, half of the frames' and 95 in 100 frames'."""
    keys = [(name, threads, _key(name, threads)) for name in SIZES for threads in _threads()]
    table = Table("stage, ms a frame (p50 / p95)", title=title, title_justify="left")
    for name, threads, _ in keys:
        table.add_column(f"{name}, {threads} thr.", justify="right")
    for stage in STAGES:
        cells = [
            f"{figures[f'{key}_{stage}_p50_ms']:.1f} / {figures[f'{key}_{stage}_p95_ms']:.1f}"
            for *_, key in keys
        ]
        table.add_row(stage.replace("_", " + "), *cells)
    table.add_row("frames a second", *(f"{figures[f'{key}_frames_per_s']:.1f}" for *_, key in keys))
    return table


def bench_models() -> Figures:
    """The detector alone, on what a 16:9 frame leaves of its input, and the reader alone, by batch."""
    pack = load_pack("builtin")
    _, _, side, _ = pack.detector.input.shape
    _, high, wide, _ = pack.reader.input.shape
    picture = np.full((1, 3, side, side), _GREY, np.float32)
    top, down = side * 7 // 32, side * 18 // 32
    rng = np.random.default_rng(1)
    picture[:, :, top : top + down] = rng.random((1, 3, down, side), np.float32)
    figures: Figures = {}
    for threads in _threads():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        detector, reader = (
            onnxruntime.InferenceSession(pack.path(model.weights), options, ["CPUExecutionProvider"])
            for model in (pack.detector, pack.reader)
        )
        figures[_key("detector", threads) + "_16_to_9_ms"] = _median_ms(detector, picture)
        for batch in BATCHES:
            crops = rng.integers(0, 256, (batch, high, wide, 3), np.uint8)
            figures[_key("reader", threads) + f"_batch_of_{batch}_ms_a_crop"] = (
                _median_ms(reader, crops) / batch
            )
    return figures


def _median_ms(session: Any, fed: npt.NDArray[Any]) -> float:
    inputs = {session.get_inputs()[0].name: fed}
    session.run(None, inputs)
    spent = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        session.run(None, inputs)
        spent.append((time.perf_counter() - begun) * 1e3)
    return percentile(spent, 50)


def _threads() -> list[int]:
    cores = os.cpu_count() or 1
    return [threads for threads in THREADS if threads == 1 or threads <= cores]


def _key(name: str, threads: int) -> str:
    return f"{name}_{threads}_threads" if threads > 1 else f"{name}_1_thread"


def _stream(
    pipeline: Pipeline, recognizer: Recognizer, frames: Iterator[Frame], seconds: float, key: str
) -> Figures:
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
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
