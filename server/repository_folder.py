"""The repository's files.

    keys.json                    public keys and where the private ones are
    lock                         held by whoever changes something, for each step
    publishing.lock              held by whoever publishes lists, from the first draft to the last file
    drafts/<role>.json           the next version of a role, perhaps half-signed
    public/metadata/timestamp.json, <version>.<role>.json
    public/targets/<folder>/<sha256>.<name>

All of `public/` may be served to anybody, or copied to a stick as it is. What puts a publication in force is
the timestamp, written last; files that no timestamp leads to are left-overs.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp

from server.files import replacing
from server.repository_errors import RepositoryRefusedError
from server.repository_signing import AnyMetadata, read_metadata

DELEGATED = {"hotlist": "hotlist/*", "rosters": "rosters/*"}
"""Roles of a folder each, which an online key signs. An older repository may delegate the first alone."""
ROLES: dict[str, type[Signed]] = {"root": Root, "targets": Targets, **dict.fromkeys(DELEGATED, Targets)}


@dataclass(frozen=True, slots=True)
class RepositoryFolder:
    """Where things lie, and how they get there."""

    root: Path

    @property
    def keys(self) -> Path:
        return self.root / "keys.json"

    @property
    def metadata(self) -> Path:
        return self.root / "public" / "metadata"

    @property
    def targets(self) -> Path:
        return self.root / "public" / "targets"

    def draft_path(self, role: str) -> Path:
        """Where the next version of *role* is prepared; the file that persons sign."""
        return self.root / "drafts" / f"{role}.json"

    @contextmanager
    def locked(self, name: str = "lock") -> Iterator[None]:
        """Keep other threads and processes out that ask for the lock *name*. Not to be asked for twice."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def draft(self, role: str) -> AnyMetadata | None:
        """Return the draft of *role*, if there is one."""
        path = self.draft_path(role)
        return read_metadata(path) if path.exists() else None

    def write_draft(self, role: str, metadata: AnyMetadata) -> None:
        """Let *metadata* be the draft of *role*."""
        with replacing(self.draft_path(role)) as file:
            file.write(metadata.to_bytes())

    def roots(self) -> list[bytes]:
        """Return all roots, from the first on."""
        found: list[bytes] = []
        while (path := self.metadata / f"{len(found) + 1}.root.json").exists():
            found.append(path.read_bytes())
        return found

    def read(self, name: str) -> bytes:
        """Return a published file of metadata. Raises RepositoryRefusedError if it is gone."""
        try:
            return (self.metadata / name).read_bytes()
        except OSError as error:
            raise RepositoryRefusedError(
                f"{self.metadata / name} cannot be read ({error.strerror}); restore it from the backup"
            ) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file of metadata, durably when this returns."""
        with replacing(self.metadata / name) as file:
            file.write(data)

    def timestamp(self) -> Metadata[Timestamp] | None:
        """Return the timestamp in force; None before the first publication."""
        if not (self.metadata / "timestamp.json").exists():
            return None
        return Metadata[Timestamp].from_bytes(self.read("timestamp.json"))

    def snapshot(self, timestamp: Timestamp) -> Metadata[Snapshot]:
        """Return the snapshot of *timestamp*."""
        return Metadata[Snapshot].from_bytes(self.read(f"{timestamp.snapshot_meta.version}.snapshot.json"))

    def keep_target(self, path: str, sha256: str, source: Path, *, shared: bool = False) -> None:
        """Put *source* where units fetch the target *path* from: a copy of it, or with *shared* the same
        file under a second name where the disk can do that."""
        folder, _, name = path.rpartition("/")
        place = self.targets / folder / f"{sha256}.{name}"
        if shared and _linked(source, place):
            return
        with source.open("rb") as file, replacing(place) as copy:
            shutil.copyfileobj(file, copy)

    def prune(self, keep: set[Path], before: datetime) -> int:
        """Remove from `public/` what is not in *keep* and was changed before *before*; return how many."""
        count = 0
        for path in sorted(self.root.glob("public/**/*")):
            if path.is_file() and path not in keep and path.stat().st_mtime < before.timestamp():
                path.unlink()
                count += 1
        return count


def _linked(source: Path, place: Path) -> bool:
    """Let *place* be the file *source*, durably; return whether that can be."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        draft.unlink(missing_ok=True)
        os.link(source, draft)
        draft.replace(place)
    except OSError:
        return False  # another disk, or one without links: what else is wrong, the copy will say
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True
