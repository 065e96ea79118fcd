"""What else could hold a list of millions, on the same list and the same reads.

`python -m edge.bench_hotlist` prints this last. Each rival of `edge.bench_holding` is built, then opened and
asked in a process of its own. The rivals hold the plates and nothing else; ours holds the whole entries.

The misreads differ from their plates in one look-alike. Who is asked for all look-alikes finds each of them,
therefore; what that costs shows in the reads that meet a plate they are not of.
"""

import json
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from edge.bench_holding import (
    OURS,
    PATTERNS,
    PATTERNS_FILE,
    PLATES,
    PLATES_FILE,
    TRIED,
    Asked,
    LookUp,
    lines,
    write_lines,
)
from edge.bench_hotlist import NOW, PUBLIC_KEY, READS, WIRE, in_a_process, open_store
from hotlist_cache.packed import KEY_BYTES, unpack
from recognizer.plate import Plate

_FOLDER, _ASKED = "rivals", "asked.json"
_PREPARE, _BUILD = "prepare", "build-"


@dataclass(frozen=True, slots=True)
class Row:
    """What one look-up of one rival showed."""

    title: str
    figures: Mapping[str, float]
    missing: str | None = None
    """The package that it needs and that is not installed."""


def bench_rivals(folder: Path) -> tuple[list[Row], list[Row]]:
    """Return how the whole and how the partial plates fare in each rival.

    *folder* holds the published list, the key to it and the reads, as `edge.bench_hotlist` leaves them.
    Figures: seconds, megabytes (10^6), microseconds, and shares in [0, 1].
    """
    prepared = in_a_process(__name__, _PREPARE, folder)
    plates = [row for name in PLATES for row in _rows(name, folder, prepared)]
    return plates, [row for name in PATTERNS for row in _rows(name, folder, prepared)]


def _rows(name: str, folder: Path, prepared: Mapping[str, float]) -> Iterator[Row]:
    rival = (PLATES | PATTERNS)[name]
    if rival.needs is not None and not _installed(rival.needs):
        yield Row(name, {}, rival.needs)
        return
    built: Mapping[str, float] = prepared if name == OURS else {}
    if rival.build is not None:
        built = in_a_process(__name__, _BUILD + name, folder)
    found: dict[str, dict[str, float]] = in_a_process(__name__, name, folder)
    for title, figures in found.items():
        yield Row(title, {**built, **figures})


def _installed(package: str) -> bool:
    try:
        import_module(package.replace("-", "_"))
    except ImportError:
        return False
    return True


def _step(step: str, folder: Path) -> object:
    if step == _PREPARE:
        return _prepare(folder)
    if step.startswith(_BUILD):
        build = (PLATES | PATTERNS)[step.removeprefix(_BUILD)].build
        assert build is not None  # or it would not have been asked for
        started = time.perf_counter()
        build(folder / _FOLDER)
        return {"build_s": time.perf_counter() - started}
    return measure(step, folder)


def measure(name: str, folder: Path) -> dict[str, dict[str, float]]:
    """Open the rival *name* and ask it; return the figures of each of its look-ups, by title."""
    rival = (PLATES | PATTERNS)[name]
    asked = {sort: reads[: rival.reads] for sort, reads in _asked(folder / _FOLDER).items()}
    before = _resident_bytes()
    started = time.perf_counter()
    look_ups = rival.open(folder / _FOLDER)
    shared = {"start_s": time.perf_counter() - started, "reads": float(len(asked["exact"]))}
    ask = _ask_plates if name in PLATES else _ask_patterns
    figures = {title: ask(look_up, asked) for title, look_up in look_ups.items()}
    shared["resident_mb"] = max(0, _resident_bytes() - before) / 1e6
    return {title: shared | found for title, found in figures.items()}


def _ask_plates(look_up: LookUp, asked: Mapping[str, Sequence[Asked]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for sort, reads in asked.items():
        if not reads:  # of few reads none may be of this sort; its columns stay empty
            continue
        found, times = _timed(look_up, reads)
        figures |= {f"{sort}_{name}": value for name, value in times.items()}
        if sort in _LISTED:
            met = sum(read.truth in texts for read, texts in zip(reads, found, strict=True))
            figures[f"{sort}_found_share"] = met / len(reads)
        else:
            figures[f"{sort}_false_share"] = sum(map(bool, found)) / len(reads)
    return figures


def _ask_patterns(look_up: LookUp, asked: Mapping[str, Sequence[Asked]]) -> dict[str, float]:
    found, times = _timed(look_up, asked["exact"])
    # Over the same reads for all, so that who finds less is seen.
    tried = found[:TRIED]
    return {**times, "met": sum(map(len, tried)) / len(tried)}


def _timed(look_up: LookUp, reads: Sequence[Asked]) -> tuple[list[Collection[object]], dict[str, float]]:
    found, times = [], []
    for read in reads:
        started = time.perf_counter_ns()
        met = look_up(read)
        times.append(time.perf_counter_ns() - started)
        found.append(met)
    times.sort()
    return found, {"p50_us": times[len(times) // 2] / 1e3, "p99_us": times[len(times) * 99 // 100] / 1e3}


def _prepare(folder: Path) -> dict[str, float]:
    """Install the list as a unit does, and write its plates, partial plates and the reads for all rivals."""
    made = folder / _FOLDER
    made.mkdir()
    shutil.copy(folder / PUBLIC_KEY, made)
    store = open_store(made)
    started = time.perf_counter()
    store.install((folder / WIRE).read_bytes(), NOW)
    build_s = time.perf_counter() - started
    snapshot = store.load()
    assert snapshot is not None  # just installed
    # A feed is not sorted; what is read in order lies in order in memory.
    keys = np.random.default_rng(1).permutation(np.frombuffer(snapshot.body.keys, ">u8")).tobytes()
    plates = (unpack(keys[at : at + KEY_BYTES]) for at in range(0, len(keys), KEY_BYTES))
    write_lines(made / PLATES_FILE, plates)
    write_lines(made / PATTERNS_FILE, (text for _, text in snapshot.body.patterns()))
    asked = {
        sort: [(plate, positions, _truth(positions)) for plate, positions in reads]
        for sort, reads in json.loads((folder / READS).read_bytes()).items()
    }
    # Made-up plates are listed by chance, one in forty at 5 million; a hit of those would be no false one.
    strangers = {truth for sort, reads in asked.items() if sort not in _LISTED for _, _, truth in reads}
    by_chance = strangers.intersection(lines(made / PLATES_FILE))
    for sort, reads in asked.items():
        if sort == "look_alike":  # a plate without a character that has look-alikes was left as it was
            asked[sort] = [read for read in reads if read[0] != read[2]]
        elif sort not in _LISTED:
            asked[sort] = [read for read in reads if read[2] not in by_chance]
    (made / _ASKED).write_text(json.dumps(asked), encoding="ascii")
    return {"build_s": build_s}


def _truth(positions: Sequence[Sequence[tuple[str, float]]]) -> str:
    return "".join(position[-1][0] for position in positions)


def _asked(made: Path) -> dict[str, list[Asked]]:
    return {
        sort: [
            Asked(Plate(plate), tuple(tuple((c, p) for c, p in at) for at in positions), truth)
            for plate, positions, truth in reads
        ]
        for sort, reads in json.loads((made / _ASKED).read_bytes()).items()
    }


def _resident_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


_LISTED = ("exact", "look_alike")
_FIRST = {"reads": "reads", "build s": "build_s", "start s": "start_s", "MB": "resident_mb"}
# Headings that differ in spaces only are different columns.
_PLATE_COLUMNS = {
    **_FIRST,
    "listed p50": "exact_p50_us",
    "p99": "exact_p99_us",
    "misread p50": "look_alike_p50_us",
    "p99 ": "look_alike_p99_us",
    "unlisted p50": "not_listed_p50_us",
    "p99  ": "not_listed_p99_us",
    "found %": "look_alike_found_share",
    "false %": "not_listed_false_share",
    "unsure %": "not_listed_unsure_false_share",
}
_PATTERN_COLUMNS = {**_FIRST, "p50": "p50_us", "p99": "p99_us", "met": "met"}
_LEGEND = """
p50 and p99 in us. Few reads: what goes through the whole list for each read is slow; p99 of 20 is their most.
found: of the misreads. false: of reads of plates not listed, those that meet one, read surely and unsurely.
By the text alone: a whole match asks for the state too.
met: partial plates a read, over the first reads."""


def tables(folder: Path) -> Iterator[str]:
    """Yield the lines of both tables, of the files in *folder*; see `bench_rivals`."""
    plates, patterns = bench_rivals(folder)
    yield from _table("whole plates, beside other ways", _PLATE_COLUMNS, plates)
    yield from _table("partial plates, beside other ways", _PATTERN_COLUMNS, patterns)
    yield _LEGEND


def _table(title: str, columns: Mapping[str, str], rows: Iterable[Row]) -> Iterator[str]:
    yield ""
    yield f"{title:38}" + "".join(f"  {heading.strip():>8}" for heading in columns)
    for row in rows:
        if row.missing is not None:
            yield f"{row.title:38}  not installed: pip install {row.missing}"
            continue
        cells = [
            f"  {_cell(name, row.figures.get(name)):>{max(8, len(heading.strip()))}}"
            for heading, name in columns.items()
        ]
        yield f"{row.title:38}" + "".join(cells)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name.endswith("_share"):
        return f"{100 * value:.1f}"
    return f"{value:,.0f}" if value >= 100 or name == "reads" else f"{value:.3g}"


if __name__ == "__main__":  # what `in_a_process` starts
    print(json.dumps(_step(sys.argv[1], Path(sys.argv[2]))))
