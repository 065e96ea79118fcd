"""Room that the unit holds for itself, to be given up when other programs have taken all the rest.

The store stops well before the disk is full, but nobody else does. Without a byte left not even a receipt
can be noted, so nothing could be purged, and a unit that is started so could not open its store: it would
never get out of it by itself.
"""

import os
import shutil
from pathlib import Path

import structlog

BALLAST_BYTES = 8 * 1024 * 1024
"""Enough for the store's log, receipts and a purge, which then frees more."""
LEAST_BYTES = 2 * 1024 * 1024
"""With less room than this it is given up."""
_NAME = "ballast"

log = structlog.get_logger(__name__)


def keep_ballast(folder: Path, reserve_bytes: int) -> None:
    """Let the ballast lie in *folder* while more than *reserve_bytes* are free beside it, and give it up
    where next to nothing is. Never raises for the disk's sake."""
    path = folder / _NAME
    try:
        free = shutil.disk_usage(folder).free
        held = path.stat().st_size if path.exists() else 0
        if free < LEAST_BYTES and held:
            path.unlink()
            log.error("disk.full", why=f"{folder}: other programs took all the room; make some")
        elif free > reserve_bytes + BALLAST_BYTES and not held:
            _lay(path)
    except OSError as error:
        log.error("disk.ballast_not_kept", why=str(error))


def _lay(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
    finally:
        os.close(descriptor)
