"""A target on its way to the disk: bounded, resumable, verified whole, and durable before it has its name."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from hotlist_cache.disk import Disk
from sync.errors import UpdateRejectedError
from sync.trust_source import Meter, Source, too_long
from sync.trust_values import Target

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are there."""


def fetch(
    source: Source, target: Target, into: Path, meter: Meter, *, disk: Disk, progress: Progress | None = None
) -> None:
    """Bring *target* to the file *into*. What stood there stays until the new file is whole and durable.

    A try that ends early leaves a hidden file beside *into*, named after the digest; the next continues it.
    Nothing that was not verified ever bears the name *into*.

    Raises UpdateRejectedError if the bytes are not those that were signed for, or the source's own errors.
    """
    if _is_whole(into, target):
        return
    part = part_of(into, target)
    for other in into.parent.glob(f".{into.name}.*.part"):
        if other != part:
            other.unlink()
    kept = part.stat().st_size if part.exists() else 0
    if kept < target.length_bytes:
        _append(source, target, part, kept, meter=meter, progress=progress)
    if kept and not _is_whole(part, target):
        # What lay there may be what is wrong (a power cut, another source), and not what came now.
        _append(source, target, part, 0, meter=meter, progress=progress)
    if not _is_whole(part, target):
        part.unlink()
        raise UpdateRejectedError(
            f"{target.path}: not the bytes that were signed for; thrown away, what is in force stays",
            alarm=f"ALARM: {target.path} was altered on its way, or is another file. Nothing was taken; use "
            "another source, and tell the department if it happens again",
        )
    with part.open("rb+") as file:
        disk.sync(file)
    disk.rename(part, into)
    disk.sync_folder(into.parent)


def part_of(into: Path, target: Target) -> Path:
    """Return where the beginning of *target* lies while it is on its way to *into*."""
    return into.with_name(f".{into.name}.{target.sha256[:16]}.part")


def _append(
    source: Source, target: Target, part: Path, start: int, *, meter: Meter, progress: Progress | None
) -> None:
    meter.begin()
    with source.open(target.source_name, start) as opened, part.open("rb+" if opened.start else "wb") as file:
        part.chmod(0o600)
        file.seek(opened.start)
        file.truncate()
        size = opened.start
        for chunk in opened.chunks:
            meter.count(len(chunk))
            size += len(chunk)
            if size > target.length_bytes:
                # Kept is only what may be right; the rest of the source is not even read.
                raise too_long(target.path, target.length_bytes)
            file.write(chunk)
            if progress is not None:
                progress(size, target.length_bytes)
    if size < target.length_bytes:
        raise UpdateRejectedError(
            f"{target.path}: ends at {size} of {target.length_bytes} bytes; what is in force stays",
            alarm=f"ALARM: {target.path} is cut short at its source. Nothing was taken; copy it anew, or use "
            "another source",
        )


def _is_whole(path: Path, target: Target) -> bool:
    try:
        with path.open("rb") as file:
            return (
                path.stat().st_size == target.length_bytes
                and hashlib.file_digest(file, "sha256").hexdigest() == target.sha256
            )
    except FileNotFoundError:
        return False
