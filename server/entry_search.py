"""Find a plate among what the feeds list: a look through their files, which may hold millions of lines."""

import mmap
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

from hotlist_cache.entry import Entry
from recognizer.plate import Plate, fold, normalise
from server.errors import HotlistRefusedError
from server.feed_files import parse_entry

MOST = 50
LONGEST = 16


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry, and which feed lists it."""

    feed: str
    entry: Entry


def find_entries(feeds: Iterable[tuple[str, Path]], plate: str) -> tuple[list[FoundEntry], bool]:
    """Return what *feeds*, names with files, list of *plate*, and whether there is more of it than `MOST`.

    Partial plates on the lists are found where they stand for *plate*; O and 0, I and 1 are the same. A file
    that is gone lists nothing. Raises HotlistRefusedError if *plate* has no letter or digit, or a line is
    damaged.
    """
    wanted = fold(normalise(plate))
    if not 1 <= len(wanted) <= LONGEST:
        raise HotlistRefusedError(f"write a plate of 1 to {LONGEST} letters and digits")
    found: list[FoundEntry] = []
    for feed, path in feeds:
        for entry in _fitting(path, wanted):
            if len(found) == MOST:
                return found, True
            found.append(FoundEntry(feed, entry))
    return found, False


def _fitting(path: Path, wanted: str) -> Iterator[Entry]:
    if not path.is_file() or not path.stat().st_size:
        return
    # Looked for in the bytes: to parse five million lines takes a minute.
    drawn = "".join({"0": "[0O]", "1": "[1I]"}.get(character, character) for character in wanted)
    line = rb'\["[^"\\]*(?:\\.[^"\\]*)*", "(?:%s|[A-Z0-9]*[?*][A-Z0-9?*]*)"' % drawn.encode()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts = [0] if re.match(line, data) else []
        # Not "^", which is tried at every byte.
        for start in chain(starts, (match.start() + 1 for match in re.finditer(rb"\n" + line, data))):
            end = data.find(b"\n", start)
            try:
                entry = parse_entry(data[start : end if end >= 0 else len(data)])
            except (ValueError, TypeError):
                # No cause: it might quote the line, which holds a plate.
                raise HotlistRefusedError(f"{path.name} is damaged; import the feed again") from None
            if _fits(entry.pattern, wanted):
                yield entry


def _fits(pattern: str, wanted: str) -> bool:
    if "?" in pattern or "*" in pattern:
        return fnmatchcase(wanted, fold(Plate(pattern)))
    return fold(Plate(pattern)) == wanted
