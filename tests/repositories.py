"""A department's signed repository on disk, units that follow it, and tools to deceive them with."""

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

from hotlist_cache.disk import RealDisk
from server.repository import Repository
from server.repository_keys import make_key_file, pem_uri, signer_of
from server.repository_signing import sign_file
from sync.errors import NotPublishedError
from sync.trust import TrustedUpdates
from sync.trust_source import FolderSource, Opened
from sync.trust_values import Label, Trusted

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PERSONS = ("anna", "ben", "carla")
HOLDERS = {
    "root": PERSONS,
    "targets": PERSONS,
    "hotlist": ("hotlist key",),
    "snapshot": ("snapshot key",),
    "timestamp": ("timestamp key",),
}
SPARE = ("dora", "emil", "frida", "hotlist key 2", "snapshot key 2", "timestamp key 2", "stranger")
HOTLIST = "hotlist/main.snapshot"
MODEL = "models/pi5/detector.onnx"


def no_secrets(what: str) -> str:
    raise AssertionError(f"asked for {what}")


@cache
def _template() -> Path:
    """A repository with a hotlist and a model, published at NOW. Made once, copied for each test."""
    place = Path(tempfile.mkdtemp(prefix="repository-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    repository = Repository(place / "repository")
    for name in (*PERSONS, *HOLDERS["hotlist"], *HOLDERS["snapshot"], *HOLDERS["timestamp"], *SPARE):
        path = place / f"{name}.pem"
        with _hasty():
            repository.ring.add(name, make_key_file(path, None), pem_uri(path))
    with _hasty():
        repository.found(HOLDERS, NOW)
    department = Department(place / "repository")
    department.hotlist(1)
    department.put(MODEL, b"weights" * 1000, Label("model", 1))
    department.sign("root")
    department.sign("targets")
    department.publish(NOW)
    return place / "repository"


def _hasty() -> Any:
    """The department waits for no disk here: what it survives is tested elsewhere, and this saves seconds."""
    return patch("os.fsync", lambda descriptor: None)


class Department:
    """A repository, and the persons who sign for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repository = Repository(root)

    @property
    def public(self) -> Path:
        return self.root / "public"

    @property
    def metadata(self) -> Path:
        return self.public / "metadata"

    @property
    def first_root(self) -> bytes:
        """What enrolment pins."""
        return (self.metadata / "1.root.json").read_bytes()

    def put(self, path: str, content: bytes, label: Label, now: datetime = NOW) -> None:
        """Draft a target."""
        file = self.root / "content"
        file.write_bytes(content)
        with _hasty():
            self.repository.put_target(path, file, label, now)
        file.unlink()

    def hotlist(self, sequence: int, now: datetime = NOW, *, content: bytes = b"") -> None:
        """Draft the hotlist of that sequence."""
        self.put(HOTLIST, content or hotlist(sequence), Label("hotlist", sequence), now)

    def sign(self, role: str, names: Iterable[str] = ("anna", "ben")) -> None:
        """Let persons sign the draft of *role*, each on a copy of it."""
        draft = self.repository.folder.draft_path(role)
        for name in names:
            copy = self.root / f"{name}.json"
            shutil.copyfile(draft, copy)
            with _hasty():
                sign_file(copy, self.repository.ring.named(name), no_secrets)
                self.repository.take_signed(role, copy)
            copy.unlink()

    def replace_key(self, name: str, successor: str) -> None:
        with _hasty():
            self.repository.replace_key(name, successor, NOW)

    def publish(self, now: datetime, *, skip: int = 0) -> Trusted:
        with _hasty():
            return self.repository.publish(now, no_secrets, skip=skip).trusted

    def issue(self, sequence: int, now: datetime) -> Trusted:
        """Publish the hotlist of that sequence."""
        self.hotlist(sequence, now)
        return self.publish(now)

    def keep(self, name: str) -> FolderSource:
        """Return what is published at present, as somebody may have kept it."""
        shutil.copytree(self.public, self.root / name)
        return FolderSource(self.root / name)

    @property
    def source(self) -> FolderSource:
        return FolderSource(self.public)

    def signer(self, name: str) -> Signer:
        return signer_of(self.repository.ring.named(name), no_secrets)

    def forge(self, role: str, edit: Callable[[Any], None], by: Iterable[str]) -> None:
        """Publish *role*'s file changed by *edit* and signed *by* these keys only, whatever the rules say.

        Snapshot and timestamp follow, properly signed: as if their keys were in the forger's hands.
        """
        path = self._newest(role)
        metadata = Metadata[Any].from_bytes(path.read_bytes())
        edit(metadata.signed)
        metadata.signatures.clear()
        for name in by:
            metadata.sign(self.signer(name), append=True)
        data = metadata.to_bytes()
        number = "" if role == "timestamp" else f"{metadata.signed.version}."
        (self.metadata / f"{number}{role}.json").write_bytes(data)
        if role in ("root", "timestamp"):
            return
        timestamp = Metadata[Timestamp].from_file(str(self.metadata / "timestamp.json"))
        meta = MetaFile(metadata.signed.version, len(data), {"sha256": digest(data)})
        if role != "snapshot":
            snapshot = Metadata[Snapshot].from_file(str(self._newest("snapshot")))
            snapshot.signed.meta[f"{role}.json"] = meta
            snapshot.signed.version += 1
            snapshot.sign(self.signer("snapshot key"))
            data = snapshot.to_bytes()
            (self.metadata / f"{snapshot.signed.version}.snapshot.json").write_bytes(data)
            meta = MetaFile(snapshot.signed.version, len(data), {"sha256": digest(data)})
        timestamp.signed.snapshot_meta = meta
        timestamp.signed.version += 1
        timestamp.sign(self.signer("timestamp key"))
        (self.metadata / "timestamp.json").write_bytes(timestamp.to_bytes())

    def _newest(self, role: str) -> Path:
        if role == "timestamp":
            return self.metadata / "timestamp.json"
        found = self.metadata.glob(f"*.{role}.json")
        return max(found, key=lambda path: int(path.name.split(".")[0]))


def a_department(folder: Path) -> Department:
    """Return a department that has published a hotlist and a model at NOW."""
    shutil.copytree(_template(), folder / "department")
    return Department(folder / "department")


def a_unit(folder: Path, department: Department, **options: Any) -> TrustedUpdates:
    """Return a unit enrolled at the first root, with its state in *folder*."""
    (folder / "unit").mkdir(exist_ok=True)
    return TrustedUpdates(folder / "unit", department.first_root, **options)


def hotlist(sequence: int) -> bytes:
    return f"hotlist {sequence} ".encode() * 500


def digest(data: bytes) -> str:
    return str(MetaFile.from_data(1, data, ["sha256"]).hashes["sha256"])  # type: ignore[index]  # it was asked for


def altered(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file without signing it again."""
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(json.dumps(content).encode())


class Ticks:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


class Changed:
    """A source some of whose files are given by functions, and which notes what was asked for."""

    def __init__(self, source: FolderSource, **files: Callable[[], Iterator[bytes]]) -> None:
        """*files* by the end of their names, with dots as underscores."""
        self._source = source
        self._files = files
        self.asked: list[tuple[str, int]] = []

    @contextmanager
    def open(self, name: str, start: int) -> Iterator[Opened]:
        self.asked.append((name, start))
        for end, chunks in self._files.items():
            if name.endswith(end.replace("_", ".")):
                yield Opened(0, chunks())
                return
        with self._source.open(name, start) as opened:
            yield opened


class Nothing:
    """A source without any file."""

    @contextmanager
    def open(self, name: str, start: int) -> Iterator[Opened]:
        raise NotPublishedError(f"no {name}")
        yield


class PowerCut(BaseException):
    """The power is gone: nothing catches this, as nothing runs any more."""


class StepDisk(RealDisk):
    """The real disk, without power before its call *cut_at*."""

    def __init__(self, cut_at: int) -> None:
        self.left = cut_at

    def _step(self) -> None:
        if self.left == 0:
            raise PowerCut
        self.left -= 1

    def create(self, path: Path) -> Any:
        self._step()
        return super().create(path)

    def sync(self, file: Any) -> None:
        self._step()
        super().sync(file)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def sync_folder(self, folder: Path) -> None:
        self._step()
        super().sync_folder(folder)
