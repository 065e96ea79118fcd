"""How long a list of millions takes: to publish, to install, to start with, to change, to match.

`python -m edge.bench_hotlist [plates [partial plates [reads]]]` prints this table alone, and after it
what other ways to hold such a list take (`edge.bench_rivals`).
"""

import json
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from camera.frame import Moment, TimeQuality
from hotlist_cache.columns import COLUMNS
from hotlist_cache.config import HotlistConfig
from hotlist_cache.delta import encode_delta
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.header import read_header
from hotlist_cache.hit import MatchKind
from hotlist_cache.lookalike import DEFAULT_CONFUSIONS, LOOK_ALIKES
from hotlist_cache.match import Hotlist
from hotlist_cache.patterns import PatternIndex
from hotlist_cache.publishing import EVERYTHING, Carried, encode_snapshot
from hotlist_cache.section import FIRST_COLUMN, read_parts
from hotlist_cache.store import LIST_NAME, HotlistStore
from hotlist_cache.texts import TextIndex
from recognizer.plate import Jurisdiction, Plate
from recognizer.read import Box, JurisdictionOpinion, PlateRead, Position

# A fixed day: the figures must not depend on when they are taken.
_ISSUED = datetime(2025, 6, 1, tzinfo=UTC)
NOW = _ISSUED + timedelta(hours=1)
PLAIN = Carried(times=False)
_CHANGED = 1000
WIRE, PUBLIC_KEY, READS = "wire", "public-key", "reads"
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_STATES = ("CA", "CA", "CA", "TX", "NV", "AZ", "OR", "WA", "NY", "FL")
_COLOURS = ("RED", "WHITE", "BLACK", "SILVER", "BLUE", "GREY", "GREEN")
_MODELS = ("TOYOTA CAMRY", "TOYOTA COROLLA", "HONDA CIVIC", "HONDA ACCORD", "FORD F150", "CHEVROLET MALIBU")
_LISTS = (
    ("Stolen vehicle", Priority.HIGH),
    ("Stolen plate", Priority.MEDIUM),
    ("Felony vehicle", Priority.HIGH),
    ("Of interest", Priority.LOW),
)


def bench(
    entries: int = 5_000_000, wildcards: int = 50_000, reads: int = 20_000, seed: int = 1
) -> dict[str, float]:
    """Return figures of a made-up list of *entries* plates and *wildcards* partial ones.

    The list travels with and without what a department may leave out, column by column. Installing, loading
    and changing it are measured in a process each, whose peak memory holds nothing else. Times of single
    matches are in microseconds over *reads* reads of each sort; a look-alike read is one whose weakest
    character is a listed plate's look-alike. The cpu figures leave out the time in which other processes had
    the core. Needs about 3 GB and, for 5 million entries on two cores, ten minutes.
    """
    with TemporaryDirectory() as name:
        return bench_in(Path(name), entries, wildcards, reads, seed)


def bench_in(
    folder: Path, entries: int = 5_000_000, wildcards: int = 50_000, reads: int = 20_000, seed: int = 1
) -> dict[str, float]:
    """Return what `bench` does, and leave the list, the key to it and the reads in the empty *folder*."""
    key = Ed25519PrivateKey.generate()
    config = HotlistConfig()
    figures: dict[str, float] = {"entries": entries, "wildcards": wildcards}
    (folder / PUBLIC_KEY).write_bytes(key.public_key().public_bytes_raw())
    figures |= _published(folder, key, entries, wildcards, seed)
    for step in ("install", "load", "delta_1", "load_changed", "delta_1000", "ready"):
        figures |= in_a_process("edge.bench_hotlist", step, folder)
    snapshot = open_store(folder).load()
    assert snapshot is not None  # installed above
    hotlist = Hotlist(snapshot, config, lambda: secrets.token_hex(16))
    index = TextIndex(np.frombuffer(snapshot.body.keys, ">u8"), config, DEFAULT_CONFUSIONS)
    partial = PatternIndex(snapshot.body.patterns())
    for name, made in made_reads(folder, entries, reads, seed).items():
        figures |= _match_times(hotlist, made, name)
        if name != "prefixed":
            figures |= _times(f"lookup_{name}", made, lambda read: index.find(read.plate, read.positions))
            figures |= _times(f"wildcard_{name}", made, lambda read: list(partial.find(read.plate)))
    return figures


def made_reads(folder: Path, entries: int, reads: int, seed: int) -> dict[str, list[PlateRead]]:
    """Return *reads* reads of each sort, of the list made of *entries* and *seed*; note them in *folder*."""
    listed = _sample(entries, seed, reads)
    made = {
        "exact": [_read(plate) for plate in listed],
        "look_alike": [_misread(plate, seed + i) for i, plate in enumerate(listed)],
        "not_listed": _strangers(reads, seed + 1),
        "not_listed_unsure": _strangers(reads, seed + 2, unsure=True),
    }
    noted = {sort: [(read.plate, read.positions) for read in made[sort]] for sort in made}
    (folder / READS).write_text(json.dumps(noted), encoding="ascii")
    prefixed = [replace(_read(p), prefix=Plate("XQ"), prefix_confidence=0.9) for p in listed]
    return {**made, "prefixed": prefixed}


def _times(name: str, reads: Sequence[PlateRead], look_up: Callable[[PlateRead], object]) -> dict[str, float]:
    """Return how long one part of a match takes: no hit is made of what is found."""
    times = []
    for read in reads:
        started = time.perf_counter_ns()
        look_up(read)
        times.append(time.perf_counter_ns() - started)
    times.sort()
    return {
        f"{name}_p50_us": times[len(times) // 2] / 1e3,
        f"{name}_p99_us": times[len(times) * 99 // 100] / 1e3,
    }


def _published(
    folder: Path, key: Ed25519PrivateKey, entries: int, wildcards: int, seed: int
) -> dict[str, float]:
    """Publish a list, one with an entry more, and one in which 1,000 changed; and the changes between."""
    made_in: list[float] = []
    figures: dict[str, float] = {}
    started = time.perf_counter()
    base = publish(_clocked(_entries(entries, wildcards, seed), made_in), 1, key, PLAIN)
    figures["publish_s"] = time.perf_counter() - started - sum(made_in)
    figures["publish_peak_rss_bytes"] = _peak_rss_bytes()
    figures["wire_bytes"] = len(base)
    (folder / WIRE).write_bytes(base)
    figures |= _extras(publish(_entries(entries, wildcards, seed), 1, key, EVERYTHING))
    one = next(_entries(1, 0, seed + 1))
    lists = {
        1: chain(_entries(entries, wildcards, seed), [replace(one, pattern="NEW1")]),
        1000: chain(
            islice(_entries(entries, wildcards, seed), _CHANGED // 2, None),
            [replace(one, pattern=f"NEW{i}") for i in range(1, _CHANGED // 2 + 1)],
        ),
    }
    for sequence, (changed, listed) in enumerate(lists.items(), 2):
        new = publish(listed, sequence, key, PLAIN)
        started = time.perf_counter()
        delta = encode_delta(base, new, key=key)
        figures[f"delta_{changed}_publish_s"] = time.perf_counter() - started
        figures[f"delta_{changed}_bytes"] = len(delta)
        (folder / f"delta_{changed}").write_bytes(delta)
        base = new
    return figures


def publish(entries: Iterable[Entry], sequence: int, key: Ed25519PrivateKey, carried: Carried) -> bytes:
    """Return the list number *sequence*, signed, as it travels; in force at NOW."""
    return encode_snapshot(
        entries,
        sequence=sequence,
        issued_at=_ISSUED,
        expires_at=_ISSUED + timedelta(days=7),
        key=key,
        carried=carried,
    )


def _extras(data: bytes) -> dict[str, float]:
    """Return how long a list that carries everything is, and how much of that each column takes."""
    header = read_header(data)
    parts = read_parts(memoryview(data)[len(data) - header.body_bytes :])
    figures: dict[str, float] = {"wire_with_extras_bytes": len(data)}
    for column, name in enumerate(COLUMNS):
        at = FIRST_COLUMN + 2 * column
        figures[f"wire_{name}_bytes"] = len(parts[at]) + len(parts[at + 1])
    return figures


def in_a_process(module: str, step: str, folder: Path) -> Any:
    """Return what *module*, run by itself with *step* and *folder*, prints as JSON.

    Raises CalledProcessError if it fails; what it said of that is on standard error.
    """
    command = [sys.executable, "-m", module, step, str(folder)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _step(step: str, folder: Path) -> dict[str, float]:
    """Do one *step* with the files in *folder*; return its seconds, and the peak memory of this process."""
    store = open_store(folder)
    imported_bytes = _peak_rss_bytes()
    if step.startswith("delta"):
        store.load()
    started, cpu_started = time.perf_counter(), time.process_time()
    # As a unit does it: from the bytes of a download to a list that survives a power cut, opened.
    if step == "install":
        store.install((folder / WIRE).read_bytes(), NOW)
    elif step.startswith("delta"):
        store.install_delta((folder / step).read_bytes(), NOW)
    elif step == "ready":
        snapshot = store.load()
        assert snapshot is not None  # installed before
        Hotlist(snapshot, HotlistConfig(), lambda: "")
    else:
        store.load()
    figures = {
        f"{step}_s": time.perf_counter() - started,
        f"{step}_cpu_s": time.process_time() - cpu_started,
        f"{step}_peak_rss_bytes": float(_peak_rss_bytes()),
    }
    if step == "install":
        figures["sealed_bytes"] = (folder / LIST_NAME).stat().st_size
        figures["imported_rss_bytes"] = imported_bytes
    return figures


def open_store(folder: Path) -> HotlistStore:
    """Return the store in *folder*, which holds the file PUBLIC_KEY too; its storage key is a fixed one."""
    keys = [Ed25519PublicKey.from_public_bytes((folder / PUBLIC_KEY).read_bytes())]
    return HotlistStore(folder, storage_key=bytes(32), keys=keys, config=HotlistConfig())


def _peak_rss_bytes() -> int:
    # Not getrusage: that of a new process begins with what its parent held.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _match_times(hotlist: Hotlist, reads: Sequence[PlateRead], name: str) -> dict[str, float]:
    times, cpu_times = [], []
    met = dict.fromkeys(MatchKind, 0)
    for read in reads:
        started, cpu_started = time.perf_counter_ns(), time.thread_time_ns()
        hits = hotlist.match(read, NOW)
        cpu_times.append(time.thread_time_ns() - cpu_started)
        times.append(time.perf_counter_ns() - started)
        for kind in {hit.kind for hit in hits}:
            met[kind] += 1
    times.sort()
    cpu_times.sort()
    figures = {
        f"match_{name}_p50_us": times[len(times) // 2] / 1000,
        f"match_{name}_p99_us": times[len(times) * 99 // 100] / 1000,
        f"match_{name}_cpu_p50_us": cpu_times[len(times) // 2] / 1000,
        f"match_{name}_cpu_p99_us": cpu_times[len(times) * 99 // 100] / 1000,
    }
    for kind, count in met.items():
        figures[f"match_{name}_{kind.replace('-', '_')}_share"] = count / len(reads)
    return figures


def _clocked(entries: Iterator[Entry], made_in: list[float]) -> Iterator[Entry]:
    """Yield *entries*, noting in *made_in* the seconds that making them took: no part of publishing."""
    while True:
        started = time.perf_counter()
        chunk = list(islice(entries, 10_000))
        made_in.append(time.perf_counter() - started)
        if not chunk:
            return
        yield from chunk


def _plate(source: random.Random) -> str:
    """One of two common forms: 7ABC123 and ABC1234."""
    letters = "".join(source.choices(_LETTERS, k=3))
    if source.random() < 0.5:
        return f"{source.randrange(1, 10)}{letters}{source.randrange(1000):03d}"
    return f"{letters}{source.randrange(10_000):04d}"


def _entries(count: int, wildcards: int, seed: int) -> Iterator[Entry]:
    plates, details = random.Random(seed), random.Random(seed + 1_000_003)
    for number in range(count + wildcards):
        pattern = _plate(plates)
        if number >= count:
            hidden = details.sample(range(len(pattern)), 2)
            if number % 3:
                pattern = "".join("?" if i in hidden else c for i, c in enumerate(pattern))
            else:
                pattern = f"{pattern[:4]}*" if number % 2 else f"*{pattern[-5:]}"
        list_name, priority = details.choice(_LISTS)
        yield Entry(
            entry_id=f"{details.getrandbits(64):016x}",
            pattern=pattern,
            jurisdiction=Jurisdiction(f"US-{details.choice(_STATES)}"),
            list_name=list_name,
            reason=list_name,
            priority=priority,
            vehicle=f"{details.choice(_COLOURS)} {details.randrange(1990, 2026)} {details.choice(_MODELS)}",
            case_number=f"{details.randrange(20, 26)}-{details.randrange(10**6):06d}",
            source="made up",
            effective=_ISSUED - timedelta(days=details.randrange(2000)),
        )


def _sample(entries: int, seed: int, count: int) -> list[str]:
    """Return plates that `_entries` lists, evenly spread over the list."""
    plates = random.Random(seed)
    every = max(1, entries // count)
    return [plate for number in range(entries) if (plate := _plate(plates)) and number % every == 0][:count]


def _strangers(count: int, seed: int, unsure: bool = False) -> list[PlateRead]:
    source = random.Random(seed * 1009 + 7)
    made = (_plate(source) for _ in range(count))
    return [_misread(plate, seed + i) if unsure else _read(plate) for i, plate in enumerate(made)]


def _read(plate: str, positions: tuple[Position, ...] | None = None) -> PlateRead:
    moment = Moment(NOW, 0, "bench", TimeQuality.SYNCHRONISED)
    return PlateRead(
        read_id="bench",
        camera="bench",
        plate=Plate(plate),
        positions=positions or tuple(((character, 0.99),) for character in plate),
        confidence=0.99 if positions is None else 0.6,
        jurisdiction=JurisdictionOpinion(Jurisdiction("US-CA"), 0.9),
        first_seen=moment,
        settled=moment,
        box=Box(0, 0, 1, 1),
        frames=5,
        evidence=b"",
    )


def _misread(plate: str, seed: int) -> PlateRead:
    """Return a read of *plate* in which one character, unsure, shows a look-alike of the true one."""
    source = random.Random(seed)
    places = [i for i, character in enumerate(plate) if character in LOOK_ALIKES]
    if not places:
        return _read(plate)
    at = source.choice(places)
    shown = source.choice(sorted(LOOK_ALIKES[plate[at]]))
    text = plate[:at] + shown + plate[at + 1 :]
    positions: list[Position] = [((character, 0.99),) for character in text]
    positions[at] = ((shown, 0.6), (plate[at], 0.3))
    return _read(text, tuple(positions))


def main() -> None:
    """Print the figures for the sizes on the command line, then those of other ways to hold the list."""
    from edge.bench_rivals import tables  # it needs what stands here

    with TemporaryDirectory() as name:
        folder = Path(name)
        for figure, value in bench_in(folder, *map(int, sys.argv[1:])).items():
            print(f"{figure:38}{value:>16,.0f}" if abs(value) >= 1000 else f"{figure:38}{value:>16.3f}")
        print(*tables(folder), sep="\n")


if __name__ == "__main__":
    if len(sys.argv) == 3:  # what `in_a_process` starts
        print(json.dumps(_step(sys.argv[1], Path(sys.argv[2]))))
    else:
        main()
