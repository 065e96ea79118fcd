"""A ring of pictures in memory, from a camera's process to the one that reads: the newest wins.

The memory is a memfd: it has no name, lies on no disk, and is gone with the last process that holds it.
It is cut into slots. Each has a header with a mark, odd while the slot is being written, and the pixels.
The writer goes round the slots and never waits. After each picture it writes one byte, the slot's
index, into a pipe; that wakes the reader, and orders memory: the pipe's lock, taken by both sides, is
what makes the pixels visible before the byte on processors that reorder stores (arm64).
The reader copies the newest slot and looks at its mark again: changed means that the writer came
round meanwhile, and the copy is thrown away.

Standard library only, no import of this project: `camera.picamera` loads this file under the
system's Python.
"""

import contextlib
import fcntl
import math
import mmap
import os
import struct
from dataclasses import dataclass, field

MAX_PICTURE_BYTES = 3840 * 2160 * 3
"""A slot's room. Only what was written to takes memory: four slots of 720p take 11 MB, not 100."""

SLOTS = 4
"""One being read, one being written, one whole in between; the fourth gives a slow copy time."""

_HEADER = struct.Struct("<QqqIId")
"""Mark, sequence, taken_at_ns, width, height, media time (NaN: none)."""

_HEADER_BYTES = mmap.PAGESIZE
_SLOT_BYTES = _HEADER_BYTES + -(-MAX_PICTURE_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class RingPicture:
    """A picture as it lay in the ring."""

    sequence: int
    taken_at_ns: int
    width_px: int
    height_px: int
    pixels: bytes = field(repr=False)
    """BGR, rows without padding: 3 * width_px * height_px bytes."""
    media_time_s: float | None


class RingWriter:
    """The camera's end. Takes over both descriptors."""

    def __init__(self, ring_fd: int, wake_fd: int) -> None:
        self._wake_fd = wake_fd
        self._memory = mmap.mmap(ring_fd, SLOTS * _SLOT_BYTES)
        os.close(ring_fd)
        self._written = 0

    def write(
        self,
        pixels: memoryview,
        *,
        width_px: int,
        height_px: int,
        stride_bytes: int,
        sequence: int,
        taken_at_ns: int,
        media_time_s: float | None = None,
    ) -> None:
        """Put a picture over the oldest one and wake the reader; never waits for it.

        *pixels*: bytes, BGR, *height_px* rows that begin *stride_bytes* apart.

        Raises ValueError if the picture is larger than a slot or its rows are short, BrokenPipeError
        when the reader is gone.
        """
        row_bytes = 3 * width_px
        if not 0 < row_bytes * height_px <= MAX_PICTURE_BYTES:
            raise ValueError(f"a picture of {width_px}x{height_px} does not fit; 3840x2160 does")
        if stride_bytes < row_bytes or len(pixels) < stride_bytes * (height_px - 1) + row_bytes:
            raise ValueError("the picture has fewer bytes than its size needs")
        self._written += 1
        slot = self._written % SLOTS
        at = slot * _SLOT_BYTES
        mark = 2 * self._written
        media = float("nan") if media_time_s is None else media_time_s
        struct.pack_into("<Q", self._memory, at, mark - 1)
        begin = at + _HEADER_BYTES
        if stride_bytes == row_bytes:
            self._memory[begin : begin + row_bytes * height_px] = pixels[: row_bytes * height_px]
        else:
            for row in range(height_px):
                source = pixels[row * stride_bytes : row * stride_bytes + row_bytes]
                self._memory[begin + row * row_bytes : begin + (row + 1) * row_bytes] = source
        _HEADER.pack_into(self._memory, at, mark, sequence, taken_at_ns, width_px, height_px, media)
        # A full pipe means a reader 65,536 pictures behind: it has bytes enough to wake up by.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_fd, bytes([slot]))

    def close(self) -> None:
        self._memory.close()
        os.close(self._wake_fd)


class RingReader:
    """The reader's end, which makes the ring; used by one thread."""

    def __init__(self) -> None:
        self._ring_fd = os.memfd_create("camera", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self._ring_fd, SLOTS * _SLOT_BYTES)
        # Without the seal a broken writer could cut the memory short and kill the reader with SIGBUS.
        fcntl.fcntl(self._ring_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self._memory = mmap.mmap(self._ring_fd, SLOTS * _SLOT_BYTES, prot=mmap.PROT_READ)
        self.wake_fd, self._writer_wake_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._slot: int | None = None
        self.ended = False
        """True once every writer is gone: what `drain` found is all there will be."""

    @property
    def writer_fds(self) -> tuple[int, int]:
        """(ring, wake): the descriptors a `RingWriter` is made from, to be handed to the child."""
        return self._ring_fd, self._writer_wake_fd

    def handed_over(self) -> None:
        """Close this process's copies of `writer_fds`; before that, `ended` cannot become True."""
        os.close(self._ring_fd)
        os.close(self._writer_wake_fd)
        self._ring_fd = self._writer_wake_fd = -1

    def drain(self) -> bool:
        """Take note of the pictures written since the last call; True if there was one. Never waits."""
        news = False
        while not self.ended:
            try:
                slots = os.read(self.wake_fd, 4096)
            except BlockingIOError:
                break
            if slots:
                self._slot = slots[-1] % SLOTS
                news = True
            self.ended = not slots
        return news

    @property
    def waiting(self) -> bool:
        """True if a picture that was not taken yet is there."""
        return self._slot is not None

    def take(self) -> RingPicture | None:
        """Return a copy of the newest picture, each picture once.

        None if there is none, or if the writer came round while it was copied: then the next
        wake byte is on its way.
        """
        if self._slot is None:
            return None
        at = self._slot * _SLOT_BYTES
        self._slot = None
        header = self._memory[at : at + _HEADER.size]
        mark, sequence, taken_at_ns, width_px, height_px, media = _HEADER.unpack(header)
        size = 3 * width_px * height_px
        if mark == 0 or mark % 2 or not 0 < size <= MAX_PICTURE_BYTES:
            return None
        begin = at + _HEADER_BYTES
        pixels = self._memory[begin : begin + size]
        if self._memory[at : at + _HEADER.size] != header:
            return None
        media_time_s = None if math.isnan(media) else media
        return RingPicture(sequence, taken_at_ns, width_px, height_px, pixels, media_time_s)

    def close(self) -> None:
        """Let the memory and the pipe go; a writer's next picture ends it with BrokenPipeError."""
        self._memory.close()
        os.close(self.wake_fd)
        if self._ring_fd >= 0:
            self.handed_over()
