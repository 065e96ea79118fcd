"""The few things the store asks of a disk, one call each, so that a test can cut the power between them."""

import os
from pathlib import Path
from typing import BinaryIO, Protocol


class Disk(Protocol):
    """Files that survive a power cut once synced. Errors are the OSError of the call."""

    def create(self, path: Path) -> BinaryIO:
        """Open *path* for writing from its beginning, readable by its owner alone."""

    def sync(self, file: BinaryIO) -> None:
        """Wait until all that was written to *file* is durable."""

    def rename(self, old: Path, new: Path) -> None:
        """Give *old* the name *new* at one stroke; what bore it is gone."""

    def remove(self, path: Path) -> None:
        """Take the name *path* away, if there is one."""

    def sync_folder(self, folder: Path) -> None:
        """Wait until the names in *folder* are durable."""


class RealDisk:
    """The disk of this machine."""

    def create(self, path: Path) -> BinaryIO:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")

    def sync(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
