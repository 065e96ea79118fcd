"""Where a publication comes from: HTTPS, a folder on a USB stick, or either with a timestamp brought by MQTT.

A source is not trusted with anything. It is read through `read` and a `Meter`, which end what is too long or
too slow; what it says is then checked by its signatures.

This is not python-tuf's `FetcherInterface`: that cannot begin in the middle of a file.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from sync.errors import (
    NotPublishedError,
    NotTrustedError,
    RefusedError,
    UnreachableError,
    UpdateRejectedError,
    UpdateSlowError,
)
from sync.tls import certificate_fault

TIMESTAMP_NAME = "metadata/timestamp.json"
_BLOCK_BYTES = 1 << 16
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/\d{1,18}")


@dataclass(frozen=True, slots=True)
class Opened:
    """A file of a source, being read."""

    start: int
    """Where the first chunk stands in the file; 0 from a source that cannot begin in the middle."""
    chunks: Iterator[bytes]


class Source(Protocol):
    """A copy of what the department published."""

    def open(self, name: str, start: int) -> AbstractContextManager[Opened]:
        """Open the file *name* (`metadata/…` or `targets/…`), from byte *start* on if that can be.

        Raises NotPublishedError if there is none, UnreachableError or RefusedError; so may its chunks.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What a source may ask of the unit."""

    refresh_s: float = 300.0
    """Longest refresh, all its files together."""
    target_s: float = 6 * 3600.0
    """Longest single try at a target; the next goes on where it ended."""
    window_s: float = 30.0
    least_bytes_s: float = 256.0
    """In every window, so much a second must come: less is a source that holds the line."""
    root_rotations: int = 32
    """Most new roots in one refresh."""
    target_bytes: int = 2 * 1024 * 1024 * 1024
    """Largest target."""


class Meter:
    """Ends a transfer that is too slow or takes too long, also one that never falls silent."""

    def __init__(self, longest_s: float, limits: Limits, monotonic_ns: Callable[[], int]) -> None:
        self._limits = limits
        self._monotonic_ns = monotonic_ns
        self._longest_s = longest_s
        self._end_ns = monotonic_ns() + int(longest_s * 1e9)
        self.begin()

    def begin(self) -> None:
        """A file begins: its first window is a full one."""
        self._window_ns = self._monotonic_ns()
        self._received = 0

    def count(self, received: int) -> None:
        """Take note of *received* bytes. Raises UpdateSlowError."""
        now_ns = self._monotonic_ns()
        if now_ns > self._end_ns:
            raise _slow(f"took longer than {self._longest_s:.0f} s")
        self._received += received
        passed_s = (now_ns - self._window_ns) / 1e9
        if passed_s < self._limits.window_s:
            return
        if self._received < self._limits.least_bytes_s * passed_s:
            raise _slow(f"sent {self._received} bytes in {passed_s:.0f} s")
        self.begin()


def read(source: Source, name: str, limit_bytes: int, meter: Meter) -> bytes:
    """Return the whole file *name* of *source*.

    Raises UpdateRejectedError if it is longer than *limit_bytes*, UpdateSlowError, and as `Source.open` does.
    """
    meter.begin()
    with source.open(name, 0) as opened:
        data = bytearray()
        for chunk in opened.chunks:
            meter.count(len(chunk))
            data += chunk
            if len(data) > limit_bytes:
                raise too_long(name, limit_bytes)
    return bytes(data)


class FolderSource:
    """A copy in a folder, such as a USB stick's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self, name: str, start: int) -> Iterator[Opened]:
        path = self._folder / name
        try:
            # Not blocking, and no link: a stick may bear a pipe or a device of that name.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotPublishedError(f"{path} is not there; copy the whole folder") from None
        except OSError as error:
            raise _unreadable(path, error) from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UnreachableError(f"{path} is not a file; make the copy anew")
            file.seek(start)
            yield Opened(start, self._blocks(path, file.read))

    def _blocks(self, path: Path, read_bytes: Callable[[int], bytes]) -> Iterator[bytes]:
        try:
            while block := read_bytes(_BLOCK_BYTES):
                yield block
        except OSError as error:
            raise _unreadable(path, error) from error


class HttpsSource:
    """The department's server."""

    def __init__(self, client: httpx.Client, prefix: str = "/v1/updates/") -> None:
        """*client* has the server's address, the unit's certificate and timeouts; it follows no redirect."""
        self._client = client
        self._prefix = prefix

    @contextmanager
    def open(self, name: str, start: int) -> Iterator[Opened]:
        # Without the first a compressed answer could be far larger than what was received.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            with self._client.stream("GET", self._prefix + name, headers=headers) as response:
                yield Opened(_start(name, response, start), response.iter_raw())
        except httpx.HTTPError as error:
            if (fault := certificate_fault(error)) is not None:
                raise NotTrustedError(f"{fault}; nothing was transferred, check the certificates") from error
            raise UnreachableError(
                f"server cannot be reached ({type(error).__name__}: {error}); will try again"
            ) from error


class ToldSource:
    """Another source, with the timestamp that came by MQTT in the place of its own."""

    def __init__(self, source: Source, timestamp: bytes) -> None:
        self._source = source
        self._timestamp = timestamp

    @contextmanager
    def open(self, name: str, start: int) -> Iterator[Opened]:
        if name == TIMESTAMP_NAME:
            yield Opened(0, iter((self._timestamp,)))
            return
        with self._source.open(name, start) as opened:
            yield opened


def too_long(name: str, limit_bytes: int) -> UpdateRejectedError:
    """Return the error for a file that does not end where it must."""
    return UpdateRejectedError(
        f"{name} is longer than the {limit_bytes} bytes it may have; cut off, what is in force stays",
        alarm=f"ALARM: a source sent more than {name} may be long. Nothing was taken; use another source",
    )


def _start(name: str, response: httpx.Response, asked: int) -> int:
    status = response.status_code
    if status == 200:
        return 0
    if status == 206 and asked:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match and int(match[1]) == asked:
            return asked
    if status == 404:
        raise NotPublishedError(f"server has no {name}")
    if 400 <= status < 500 and status not in (416, 429):
        raise RefusedError(f"server refused {name} (status {status})", status=status)
    # A redirect, or a success we do not know: a captive portal of the garage's Wi-Fi answers like this.
    raise UnreachableError(f"answer for {name} cannot be used (status {status}); will try again")


def _unreadable(path: Path, error: OSError) -> UnreachableError:
    return UnreachableError(f"{path} cannot be read ({error.strerror}); make the copy anew")


def _slow(what: str) -> UpdateSlowError:
    return UpdateSlowError(
        f"source {what}; cut off, what is in force stays",
        alarm=f"ALARM: a source of updates {what}: a bad connection, or somebody holds updates back. "
        "Ask again, or use another source",
    )
