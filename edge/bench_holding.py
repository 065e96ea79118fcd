"""Ways to hold millions of plates: our hotlist, a set, an SQLite index, a trie, a scan; and partial plates.

A set, an index and a trie know exact texts only. To find misreads they are asked for every text that differs
from the read in one look-alike: the same rule for every read, however sure the reader was.

What a way needs beside Python is in the extra `dev`, so it is imported only where it is used.
"""

import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np

from edge.bench_hotlist import open_store
from hotlist_cache.config import HotlistConfig
from hotlist_cache.lookalike import DEFAULT_CONFUSIONS, LOOK_ALIKES
from hotlist_cache.packed import KEY_BYTES, unpack
from hotlist_cache.patterns import PatternIndex
from hotlist_cache.texts import TextIndex
from recognizer.plate import Plate
from recognizer.read import Position

PLATES_FILE, PATTERNS_FILE = "plates.txt", "patterns.txt"
"""A line each; beside them lies the store that `open_store` opens, with the same list installed."""
_SQLITE, _TRIE, _GLOBS = "plates.db", "plates.marisa", "patterns.db"
SCANNED = 20
"""Reads of each sort that go through all plates one by one: a quarter of a second each at 5 million."""
TRIED = 200
"""Reads that are tried against all partial plates one by one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A read as a list is asked for it."""

    plate: Plate = field(repr=False)
    positions: tuple[Position, ...] = field(repr=False)
    truth: str = field(repr=False)
    """The plate it is of. Made-up reads name the true character last."""


LookUp = Callable[[Asked], Collection[object]]
"""Gives the listed plates that a read may be of, or the numbers of the patterns that stand for it."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A way to hold the list; *open* and *build* take the folder of the files named above."""

    open: Callable[[Path], Mapping[str, LookUp]]
    """Returns the look-ups it offers, by title."""
    build: Callable[[Path], None] | None = None
    """Writes what *open* reads; None if it starts from the bare list each time."""
    reads: int | None = None
    """Of each sort, how many it is asked for; None for all."""
    needs: str | None = None
    """The package to install."""


def write_lines(path: Path, texts: Iterable[str]) -> None:
    """Write *texts*, a line each."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{text}\n" for text in texts)


def lines(path: Path) -> Iterator[str]:
    """Yield the lines that `write_lines` wrote."""
    with path.open(encoding="ascii") as file:
        for line in file:
            yield line[:-1]


def variants(plate: str) -> list[str]:
    """Return *plate* and every text that shows a look-alike in one of its places."""
    return [
        plate,
        *(
            plate[:at] + other + plate[at + 1 :]
            for at, shown in enumerate(plate)
            for other in LOOK_ALIKES.get(shown, ())
        ),
    ]


def _exact_and_variants(title: str, listed: Collection[str]) -> dict[str, LookUp]:
    def exact(read: Asked) -> list[str]:
        return [read.plate] if read.plate in listed else []

    def replaced(read: Asked) -> list[str]:
        return [text for text in variants(read.plate) if text in listed]

    return {f"{title}, exact": exact, f"{title}, one look-alike replaced": replaced}


def _open_ours(made: Path) -> dict[str, LookUp]:
    snapshot = open_store(made).load()
    assert snapshot is not None  # installed there
    keys = snapshot.body.keys
    index = TextIndex(np.frombuffer(keys, ">u8"), HotlistConfig(), DEFAULT_CONFUSIONS)

    def find(read: Asked) -> list[str]:
        found = index.find(read.plate, read.positions)
        return [unpack(bytes(keys[at : at + KEY_BYTES])) for at in (KEY_BYTES * number for number in found)]

    return {OURS: find}


def _open_set(made: Path) -> dict[str, LookUp]:
    return _exact_and_variants("Python set", set(lines(made / PLATES_FILE)))


def _build_trie(made: Path) -> None:
    import_module("marisa_trie").Trie(lines(made / PLATES_FILE)).save(str(made / _TRIE))


def _open_trie(made: Path) -> dict[str, LookUp]:
    trie = import_module("marisa_trie").Trie()
    trie.load(str(made / _TRIE))
    return _exact_and_variants("marisa-trie", trie)


def _build_sqlite(made: Path) -> None:
    with closing(sqlite3.connect(made / _SQLITE)) as database, database:
        database.execute("CREATE TABLE plates (plate TEXT NOT NULL)")
        database.executemany(
            "INSERT INTO plates VALUES (?)", ((plate,) for plate in lines(made / PLATES_FILE))
        )
        database.execute("CREATE INDEX by_plate ON plates (plate)")


def _open_sqlite(made: Path) -> dict[str, LookUp]:
    database = _read_only(made / _SQLITE)

    def any_of(texts: Sequence[str]) -> list[str]:
        places = ",".join("?" * len(texts))
        query = f"SELECT plate FROM plates WHERE plate IN ({places})"  # noqa: S608 - question marks alone
        return [plate for (plate,) in database.execute(query, texts)]

    return {
        "SQLite index, exact": lambda read: any_of([read.plate]),
        "SQLite index, one look-alike replaced": lambda read: any_of(variants(read.plate)),
    }


def _open_scan(made: Path) -> dict[str, LookUp]:
    # The quickest of its ways through a list. Not extractOne: it gives one of those that are equally near.
    extract = import_module("rapidfuzz.process").extract_iter
    distance = import_module("rapidfuzz.distance").Levenshtein.distance
    listed = list(lines(made / PLATES_FILE))

    def scan(read: Asked) -> list[str]:
        return [plate for plate, *_ in extract(read.plate, listed, scorer=distance, score_cutoff=1)]

    return {"rapidfuzz scan, one edit": scan}


def _open_pattern_index(made: Path) -> dict[str, LookUp]:
    index = PatternIndex(enumerate(lines(made / PATTERNS_FILE)))
    return {OUR_PATTERNS: lambda read: list(index.find(read.plate))}


def _open_expressions(made: Path) -> dict[str, LookUp]:
    fits = [
        re.compile(text.replace("?", "[0-9A-Z]").replace("*", "[0-9A-Z]*")).fullmatch
        for text in lines(made / PATTERNS_FILE)
    ]
    return {"regular expressions, each": lambda read: [i for i, fit in enumerate(fits) if fit(read.plate)]}


def _build_globs(made: Path) -> None:
    with closing(sqlite3.connect(made / _GLOBS)) as database, database:
        database.execute("CREATE TABLE patterns (pattern TEXT NOT NULL)")
        database.executemany(
            "INSERT INTO patterns VALUES (?)", ((pattern,) for pattern in lines(made / PATTERNS_FILE))
        )


def _open_globs(made: Path) -> dict[str, LookUp]:
    database = _read_only(made / _GLOBS)
    query = "SELECT rowid FROM patterns WHERE ? GLOB pattern"
    return {"SQLite GLOB, each": lambda read: database.execute(query, (read.plate,)).fetchall()}


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


OURS = "this hotlist"
OUR_PATTERNS = "this hotlist's partial plates"
PLATES = {
    OURS: Rival(_open_ours),
    "Python set": Rival(_open_set),
    "SQLite index": Rival(_open_sqlite, _build_sqlite),
    "marisa-trie": Rival(_open_trie, _build_trie, needs="marisa-trie"),
    "rapidfuzz scan": Rival(_open_scan, reads=SCANNED, needs="rapidfuzz"),
}
"""Ways to hold whole plates."""
PATTERNS = {
    OUR_PATTERNS: Rival(_open_pattern_index),
    "regular expressions": Rival(_open_expressions, reads=TRIED),
    "SQLite GLOB": Rival(_open_globs, _build_globs, reads=TRIED),
}
"""Ways to hold partial plates."""
