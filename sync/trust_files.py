"""Verified metadata on the unit's disk: `<version>.<role>.json`, never written over.

A file is written beside, synced, renamed, and its folder synced, before the record of accepted versions names
it. So a power cut between any two steps leaves the record with files that are whole: the old ones or the new.
(python-tuf's client renames without syncing: after a power cut its files may be there and empty.)
"""

import re
from collections.abc import Mapping, Set
from datetime import datetime
from pathlib import Path

from hotlist_cache.disk import Disk
from sync.errors import UpdateRejectedError
from sync.trust_check import MAX_BYTES, ROOT, TARGETS, Chain
from sync.trust_values import Floors

_NAME = re.compile(r"(\d{1,16})\.([a-z][a-z0-9-]{0,31})\.json")


class MetadataFiles:
    """One folder, which exists; one thread at a time. Errors of the disk are OSError."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def read(self, role: str, version: int) -> bytes | None:
        """Return the file's content, whole or not, no more than it may hold; None if there is no file."""
        try:
            with self._path(role, version).open("rb") as file:
                return file.read(MAX_BYTES.get(role, MAX_BYTES[TARGETS]))
        except FileNotFoundError:
            return None

    def write(self, role: str, version: int, data: bytes) -> None:
        """Write *data*, durably when this returns."""
        path = self._path(role, version)
        fresh = path.with_name(path.name + ".new")
        with self._disk.create(fresh) as file:
            file.write(data)
            self._disk.sync(file)
        self._disk.rename(fresh, path)
        self._disk.sync_folder(self._folder)

    def versions(self) -> set[tuple[str, int]]:
        """Return role and version of each file."""
        found = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return {(match[2], int(match[1])) for match in found if match}

    def tidy(self, keep: Mapping[str, int]) -> None:
        """Remove all but the files of *keep* and the roots, which a later start must climb again."""
        names: Set[str] = {self._path(role, version).name for role, version in keep.items()}
        for path in self._folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if path.name not in names and (match is None or match[2] != ROOT):
                path.unlink(missing_ok=True)

    def _path(self, role: str, version: int) -> Path:
        return self._folder / f"{version}.{role}.json"


def climb(
    files: MetadataFiles, pinned: bytes, now: datetime | None, floors: Floors, *, last_root: int | None = None
) -> Chain:
    """Return a chain from *pinned* over the roots in *files*, to *last_root* at most.

    A damaged one ends the climb: who has the next may add it. Raises UpdateRejectedError if *pinned* is no
    root.
    """
    chain = Chain(pinned, now, floors)
    while last_root is None or chain.root_version < last_root:
        data = files.read(ROOT, chain.root_version + 1)
        if data is None:
            break
        try:
            chain.add_root(data)
        except UpdateRejectedError:
            break
    return chain
