"""Power cuts without a power supply: what SQLite writes is recorded, and the disk after a cut is made of it.

What was synced is on the disk. Of what was written since, each 512-byte sector may be there, be missing, or
be half written, as chance has it: a disk promises nothing about it, not even the order. Sources: SQLite's own
"Atomic Commit" and "Testing" pages.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR = 512
NAME = "recording"


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Truncate:
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    file: str


@dataclass(frozen=True, slots=True)
class Delete:
    file: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the program under test promised at this moment."""

    what: object


Event = Write | Truncate | Sync | Delete | Said


class Recorder(apsw.VFS):
    """Passes everything on, and notes it. The shared-memory index is no file that must survive."""

    def __init__(self, name: str = NAME) -> None:
        self.events: list[Event] = []
        super().__init__(name, "", maxpathname=0)

    def said(self, what: object) -> None:
        """Note that *what* was promised."""
        self.events.append(Said(what))

    def xOpen(self, name: "apsw.URIFilename | str | None", flags: list[int]) -> "RecordedFile":
        return RecordedFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.events.append(Delete(Path(filename).name))
        super().xDelete(filename, syncdir)


class RecordedFile(apsw.VFSFile):
    def __init__(self, recorder: Recorder, name: "apsw.URIFilename | str | None", flags: list[int]) -> None:
        self._events = recorder.events
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(text).name if text else ""
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._events.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._events.append(Truncate(self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._events.append(Sync(self._name))
        super().xSync(flags)


@dataclass(slots=True)
class Disk:
    """What is on the disk for sure, and what was written since the last sync of each file."""

    durable: dict[str, bytearray] = field(default_factory=dict)
    since: dict[str, list[Write | Truncate]] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Go on by one event."""
        match event:
            case Write() | Truncate():
                self.since.setdefault(event.file, []).append(event)
            case Sync(file):
                content = self.durable.setdefault(file, bytearray())
                for change in self.since.pop(file, []):
                    _apply(content, change)
            case Delete(file):
                self.durable.pop(file, None)
                self.since.pop(file, None)

    def after_cut(self, chance: random.Random) -> dict[str, bytes]:
        """Return the files as they may be found when the power is back."""
        files = {}
        for file in {*self.durable, *self.since}:
            content = bytearray(self.durable.get(file, b""))
            for change in self.since.get(file, []):
                if isinstance(change, Truncate):
                    if chance.random() < 0.5:
                        _apply(content, change)
                    continue
                for start in range(0, len(change.data), SECTOR):
                    data = change.data[start : start + SECTOR]
                    fate = chance.random()
                    if fate < 0.1:  # torn: the first half of the sector alone
                        data = data[: len(data) // 2]
                    if fate < 0.55:
                        _apply(content, Write(file, change.offset + start, data))
            files[file] = bytes(content)
        return files


def cuts(events: list[Event], count: int, seed: int) -> Iterator[tuple[dict[str, bytes], list[object]]]:
    """Yield *count* disks after a cut at a moment of chance, each with what had been promised before."""
    chance = random.Random(seed)
    moments = sorted(chance.randrange(1, len(events) + 1) for _ in range(count))
    disk, said, at = Disk(), [], 0
    for moment in moments:
        for event in events[at:moment]:
            disk.take(event)
            if isinstance(event, Said):
                said.append(event.what)
        at = moment
        yield disk.after_cut(chance), list(said)


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        if change.size < len(content):
            del content[change.size :]
        else:
            content.extend(bytes(change.size - len(content)))
        return
    end = change.offset + len(change.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[change.offset : end] = change.data


@dataclass(slots=True)
class Outcome:
    """What a campaign came to."""

    cuts: int = 0
    corrupt: int = 0
    """Files that did not open, or not whole."""
    lost: int = 0
    """Cuts after which something promised was not there."""
    twice: int = 0


def campaign(
    events: list[Event],
    count: int,
    folder: Path,
    look: Callable[[Path, list[object]], str],
    *,
    database: str,
    seed: int = 1,
) -> Outcome:
    """Cut *count* times; *look* opens what is left and says "", "corrupt", "lost" or "twice"."""
    outcome = Outcome()
    path = folder / database
    for files, said in cuts(events, count, seed):
        for old in folder.iterdir():
            old.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        found = look(path, said)
        outcome.cuts += 1
        if found:
            setattr(outcome, found, getattr(outcome, found) + 1)
    return outcome
