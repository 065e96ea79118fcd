"""Measures a model pack on real pictures, beside the readers and packs it is compared with, in one run.

    python -m training.evaluate --json training/runs/<name>/pack.json --curve coverage.png
    python -m training.evaluate --write

`--write` puts the pack's figures into its `manifest.toml` and everybody's into its page, so that nobody types
them. `--reader FILE --reader-config FILE` measures one more reader behind the same detector. Pictures are
read from the shared folder beside the repository (or ALPR_SHARED); `training.validation` says which.

Measured are the pack; the peer reader, fast-alpr's default (cct_xs_v2_global), behind the pack's detector;
and the pack "fast-alpr", with its own detector, where it is installed. What the columns mean:

recall .5, .3
    Labelled boxes found, at an overlap of 0.5 and 0.3, in all scales of single pictures; `false/img`: boxes
    found that meet none, among them plates that nobody labelled. The table "width" has the scale of video.
exact, folded, chars
    Texts read exactly; with O = 0 and I = 1; characters, as 1 - edit distance / length. End to end the
    labelled plate's text is looked for in all that was found in its picture.
issuer, country
    The likeliest issuer is the true one; its country is. A reader that knows no states is never right about a
    state's plate in the first, but can be in the second.
coverage, misreads/1000
    Share of plates whose read the unit would give out from a single picture, and of 1,000 such reads how many
    are wrong (folded). The table "coverage" has other thresholds, pooled: see `training.coverage`.
detect ms, read ms
    Median of a picture (stage "reader": of a crop) on one thread, beside whatever else the machine did.

Then, as tables of their own: calibration (expected calibration error), voting (`training.voting`), width
(`training.detector.distant`) and video: reads given out by track and vote; `right`: how many are the plate
the recording is known for.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from recognizer.config import RecognizerConfig
from recognizer.manifest import load_pack
from recognizer.onnx import Recognizer
from recognizer.pack import MANIFEST, Measurement, Pack, encode_pack
from training.attempts import Attempt, jurisdiction_shares, reading_shares
from training.coverage import (
    NAMED_POINTS,
    OPERATING_POINT,
    THRESHOLDS,
    calibration_figures,
    draw,
    point,
    point_figures,
)
from training.detector.distant import distant_frames, recall_by_width
from training.detector.frames import Boxes, Pixels, shared_root
from training.readers import (
    OFFICIAL,
    PEER,
    PEER_CONFIG,
    PEER_WEIGHTS,
    Contest,
    installed,
    read_crops,
    with_reader,
)
from training.tables import Row, console_tables, timeless, write_figures
from training.validation import (
    BOXED,
    CROPS,
    DETECTION,
    FRAMES,
    NOT_PROMISED,
    LabelledCrop,
    crops,
    picture,
    state_pictures,
)
from training.voting import Seen, drive, read, views, voting_figures
from training.whole_frames import detector, end_to_end, recordings, video

STAGES = ("end to end", "reader", "detector", "video", "width", "voting")
DRIVE = Path(__file__).resolve().parents[1] / "tests" / "data" / "drive"
_NO_INPUT = 66
"""EX_NOINPUT of sysexits.h."""
_VIEWS = "nl_tudelft"
"""Crops in which each car is seen several times."""

Pools = dict[str, dict[str, list[Attempt]]]
"""What is pooled, then by whom, then each plate."""


@dataclass(slots=True)
class Results:
    """All that a run has measured so far."""

    rows: list[Row] = field(default_factory=list)
    pools: Pools = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, by: str, measured: Measurement) -> None:
        """Keep *measured*, its figures rounded."""
        figures = {key: round(float(value), 4) for key, value in measured.figures.items()}
        self.rows.append(Row(by, replace(measured, figures=figures)))


def measure(contest: Contest, stages: Sequence[str], drives: Sequence[Path]) -> Results:
    """Measure *stages* of every contender, saying on stderr what is done."""
    results, known = Results(), []
    say = _progress()
    if "end to end" in stages:
        _measure_frames(contest, results, say)
    if "reader" in stages:
        for name in (*CROPS, BOXED):
            say(f"crops of {name}")
            measure_crops(contest, name, results)
        say("issuers of the states' flat plates")
        _measure_issuers(contest, results)
    if "detector" in stages:
        for name in DETECTION:
            say(f"frames of {name}")
            for by, finder in contest.finders.items():
                results.add(by, detector(finder, name))
    if {"video", "voting"} & set(stages):
        for recording in recordings():
            if "video" in stages or recording.plate is not None:
                say(f"recording {recording.shown}")
                row, seen = video(contest.own, recording)
                known += [seen] if seen else []
                if "video" in stages:
                    results.add(contest.own.pack.name, row)
    if "width" in stages:
        say("plates by their width in 1080p frames")
        _measure_widths(contest, results)
    if "voting" in stages:
        for name, plates in _voted_on(contest.own, known, drives, say):
            for by, reader in contest.crop_readers.items():
                passings = read(plates, reader)
                results.add(by, Measurement("voting", name, len(passings), voting_figures(passings)))
    _pool(results)
    return results


def measure_crops(contest: Contest, name: str, results: Results) -> None:
    """Measure every reader on the very same crops of set *name*."""
    pictures = list(crops(shared_root() / "data", name))
    for by, reader in contest.crop_readers.items():
        attempts, spent_ms = read_crops(reader, pictures)
        figures = reading_shares(attempts) | jurisdiction_shares(attempts)
        figures |= point_figures(point(attempts, OPERATING_POINT))
        figures["read_ms"] = statistics.median(spent_ms)
        results.add(by, Measurement("reader", name, len(attempts), figures))
        # The boxed crops show plates of the other sets again.
        if name != BOXED:
            results.pools["all crops"][by] += attempts
            if name not in NOT_PROMISED:
                results.pools["crops, promised plates"][by] += attempts


def _measure_issuers(contest: Contest, results: Results) -> None:
    """Measure whether the issuer is known on pictures whose text nobody has written down."""
    held_out = state_pictures(shared_root() / "data", "val")
    pictures = [LabelledCrop(picture(path), "", issuer) for path, issuer in held_out if issuer]
    for by, reader in contest.crop_readers.items():
        attempts, _ = read_crops(reader, pictures)
        figures = jurisdiction_shares(attempts)
        results.add(by, Measurement("reader", "states_gpiosenka, issuer alone", len(attempts), figures))


def _measure_frames(contest: Contest, results: Results, say: Callable[[str], None]) -> None:
    pooled: dict[str, list[Attempt]] = defaultdict(list)
    for name in FRAMES:
        say(f"full frames of {name}")
        for by, (row, attempts) in end_to_end(contest, name).items():
            results.add(by, row)
            pooled[by] += attempts
    for by, attempts in pooled.items():
        figures = reading_shares(attempts) | jurisdiction_shares(attempts)
        figures |= point_figures(point(attempts, OPERATING_POINT))
        results.add(by, Measurement("end to end", "all", len(attempts), figures))
    results.pools["full frames"] |= pooled


def _measure_widths(contest: Contest, results: Results) -> None:
    for by, finder in contest.finders.items():

        def found(pixels: Pixels, finder: Recognizer = finder) -> Boxes:
            boxes = [(c.box.left, c.box.top, c.box.right, c.box.bottom) for c in finder.candidates_in(pixels)]
            return np.array(boxes, np.float32).reshape(-1, 4)

        for width in recall_by_width(distant_frames(), found):
            figures = {"recall_50": width.recall_50, "recall_30": width.recall_30}
            results.add(by, Measurement("width", width.bin, width.plates, figures))


def _voted_on(
    finder: Recognizer, known: list[Seen], drives: Sequence[Path], say: Callable[[str], None]
) -> Iterator[tuple[str, list[Seen]]]:
    for folder in drives:
        say(f"voting on the drive {folder.name}")
        yield f"{folder.name} (rendered)", drive(folder, finder)
    say("voting on cars seen several times")
    yield f"{_VIEWS} views", views(crops(shared_root() / "data", _VIEWS))
    if known:
        yield "known recordings", known


def _pool(results: Results) -> None:
    for pool, readers in results.pools.items():
        for threshold in THRESHOLDS:
            named = NAMED_POINTS.get(threshold)
            at = f"{pool}, from {threshold:g}" + (f" ({named})" if named else "")
            for by, attempts in readers.items():
                figures = point_figures(point(attempts, threshold))
                results.add(by, Measurement("coverage", at, len(attempts), figures))
    for pool, readers in results.pools.items():
        for by, attempts in readers.items():
            shares = jurisdiction_shares(attempts)
            figures = calibration_figures(attempts)
            figures |= {key: shares[key] for key in ("likely", "right_when_likely") if key in shares}
            results.add(by, Measurement("calibration", pool, len(attempts), figures))


def _progress() -> Callable[[str], None]:
    started = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - started:5.0f} s  {text}", file=sys.stderr, flush=True)

    return say


def contest_of(pack: Pack, others: dict[str, tuple[Path, Path]], config: RecognizerConfig) -> Contest:
    """Return *pack* against the peer reader, *others* (weights and configuration by name) and the official
    pack, those of them that are there."""
    models = shared_root() / "models"
    readers = {PEER: (models / PEER_WEIGHTS, models / PEER_CONFIG)} | others
    present = {name: files for name, files in readers.items() if all(path.is_file() for path in files)}
    official = installed(OFFICIAL, config) if pack.name != OFFICIAL else None
    for name in [*(readers.keys() - present.keys()), *([] if official else [OFFICIAL])]:
        print(f"not compared with {name}: not on this machine", file=sys.stderr)
    return Contest(
        own=Recognizer(pack, config),
        readers={name: Recognizer(with_reader(pack, *files), config) for name, files in present.items()},
        packs={OFFICIAL: official} if official else {},
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pack", default="builtin", help="pack to measure")
    parser.add_argument("--reader", type=Path, help="one more reader's weights, behind the pack's detector")
    parser.add_argument("--reader-config", type=Path, help="its plate configuration")
    parser.add_argument("--drive", type=Path, action="append", help="folder of a rendered drive to vote on")
    parser.add_argument("--stage", choices=STAGES, action="append", help="measure only this; may be repeated")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--curve", type=Path, help="draw coverage against misreads into this PNG file")
    parser.add_argument(
        "--write", action="store_true", help="write the figures into the pack's manifest and page"
    )
    arguments = parser.parse_args()
    if bool(arguments.reader) != bool(arguments.reader_config):
        parser.error("--reader and --reader-config belong together")
    if arguments.curve and find_spec("matplotlib") is None:
        parser.error("--curve needs matplotlib, which only the training environment has")
    if arguments.write and (arguments.reader or arguments.stage):
        parser.error("--write takes the whole measurement of the pack, without --reader and --stage")
    return arguments


def main() -> None:
    arguments = _arguments()
    for folder in ("data", "eval"):
        if not (shared_root() / folder).is_dir():
            where = os.path.relpath(shared_root() / folder)
            print(
                f"{where}: not there; the real pictures are not part of the repository (set ALPR_SHARED)",
                file=sys.stderr,
            )
            sys.exit(_NO_INPUT)
    pack = load_pack(arguments.pack)
    others = {arguments.reader.stem: (arguments.reader, arguments.reader_config)} if arguments.reader else {}
    contest = contest_of(pack, others, RecognizerConfig(threads=arguments.threads))
    results = measure(contest, arguments.stage or STAGES, arguments.drive or [DRIVE])
    if arguments.json:
        rows = [{"by": row.by, **asdict(row.measured)} for row in results.rows]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if arguments.write:
        own = tuple(timeless(row.measured) for row in results.rows if row.by == pack.name)
        (pack.folder / MANIFEST).write_text(encode_pack(replace(pack, accuracy=own)), encoding="utf-8")
        if (card := pack.folder / "README.md").is_file():
            write_figures(card, results.rows)
    print(console_tables(results.rows))
    if arguments.curve:
        draw(
            {f"{by}: {pool}": a for pool, readers in results.pools.items() for by, a in readers.items()},
            arguments.curve,
        )


if __name__ == "__main__":
    main()
