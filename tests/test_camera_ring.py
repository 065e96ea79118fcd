import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera.ring import SLOTS, RingReader, RingWriter
from tests.drives import number_in, picture


@pytest.fixture
def ring() -> tuple[RingReader, RingWriter]:
    reader = RingReader()
    ring_fd, wake_fd = reader.writer_fds
    writer = RingWriter(os.dup(ring_fd), os.dup(wake_fd))
    reader.handed_over()
    return reader, writer


def put(writer: RingWriter, number: int, *, sequence: int | None = None) -> None:
    height, width = picture(number % 25).shape[:2]
    writer.write(
        picture(number % 25).data.cast("B"),
        width_px=width,
        height_px=height,
        stride_bytes=3 * width,
        sequence=number if sequence is None else sequence,
        taken_at_ns=number * 1000,
        media_time_s=None if number % 2 else number / 10,
    )


def test_picture_comes_out_as_it_went_in(ring: tuple[RingReader, RingWriter]) -> None:
    reader, writer = ring
    put(writer, 4)
    assert reader.drain()
    taken = reader.take()
    assert taken is not None
    assert (taken.sequence, taken.taken_at_ns, taken.media_time_s) == (4, 4000, 0.4)
    assert (taken.width_px, taken.height_px) == (64, 48)
    assert taken.pixels == picture(4).tobytes()


def test_picture_is_taken_once(ring: tuple[RingReader, RingWriter]) -> None:
    reader, writer = ring
    put(writer, 1)
    reader.drain()
    assert reader.waiting
    assert reader.take() is not None
    assert not reader.waiting
    assert reader.take() is None


def test_newest_of_many_pictures_is_taken(ring: tuple[RingReader, RingWriter]) -> None:
    reader, writer = ring
    for number in range(3 * SLOTS + 2):
        put(writer, number)
    reader.drain()
    taken = reader.take()
    assert taken is not None and taken.sequence == 3 * SLOTS + 1


def test_rows_lose_their_padding(ring: tuple[RingReader, RingWriter]) -> None:
    reader, writer = ring
    padded = np.full((4, 32), 255, np.uint8)
    padded[:, :30] = np.arange(120, dtype=np.uint8).reshape(4, 30)
    writer.write(padded.data.cast("B"), width_px=10, height_px=4, stride_bytes=32, sequence=0, taken_at_ns=0)
    reader.drain()
    taken = reader.take()
    assert taken is not None and taken.pixels == bytes(range(120))


def test_picture_larger_than_a_slot_or_shorter_than_its_size_is_the_callers_mistake(
    ring: tuple[RingReader, RingWriter],
) -> None:
    _, writer = ring
    some = memoryview(bytes(300))
    for width, height, stride in ((8000, 8000, 24000), (10, 11, 30), (10, 10, 29), (0, 10, 0)):
        with pytest.raises(ValueError, match="picture"):
            writer.write(
                some, width_px=width, height_px=height, stride_bytes=stride, sequence=0, taken_at_ns=0
            )


def test_slot_that_is_being_written_is_not_read(ring: tuple[RingReader, RingWriter]) -> None:
    reader, writer = ring
    put(writer, 1)
    reader.drain()
    for slot in range(SLOTS):
        # As a writer leaves it that was killed in the middle of a picture.
        struct.pack_into("<Q", writer._memory, len(writer._memory) // SLOTS * slot, 7)
    assert reader.take() is None


class Overtaken:
    """The reader's memory, with a writer that comes round just after the pixels were copied."""

    def __init__(self, reader: RingReader, writer: RingWriter) -> None:
        self._memory, self._writer = reader._memory, writer

    def __getitem__(self, part: slice) -> bytes:
        found = self._memory[part]
        if len(found) > 1000:
            for number in range(2, SLOTS + 2):
                put(self._writer, number)
        return found


def test_picture_that_was_written_over_while_it_was_copied_is_thrown_away(
    ring: tuple[RingReader, RingWriter],
) -> None:
    reader, writer = ring
    put(writer, 1)
    reader.drain()
    memory = reader._memory
    reader._memory = Overtaken(reader, writer)  # type: ignore[assignment]  # only what `take` asks of it
    assert reader.take() is None
    reader._memory = memory
    assert reader.drain()
    taken = reader.take()
    assert taken is not None and taken.sequence == SLOTS + 1


def test_header_that_promises_more_than_a_slot_is_not_followed(ring: tuple[RingReader, RingWriter]) -> None:
    reader, writer = ring
    put(writer, 1)
    reader.drain()
    for slot in range(SLOTS):
        struct.pack_into("<QqqII", writer._memory, len(writer._memory) // SLOTS * slot, 2, 0, 0, 65535, 65535)
    assert reader.take() is None


def test_reader_learns_that_the_writer_is_gone_and_keeps_its_last_picture(
    ring: tuple[RingReader, RingWriter],
) -> None:
    reader, writer = ring
    put(writer, 1)
    writer.close()
    assert reader.drain()
    assert reader.ended
    assert reader.take() is not None


def test_writer_learns_that_the_reader_is_gone(ring: tuple[RingReader, RingWriter]) -> None:
    reader, writer = ring
    reader.close()
    with pytest.raises(BrokenPipeError):
        put(writer, 1)


def test_writer_never_waits_for_a_reader_that_does_not_read(ring: tuple[RingReader, RingWriter]) -> None:
    reader, writer = ring
    os.set_blocking(writer._wake_fd, False)
    for number in range(70_000):
        writer.write(
            memoryview(b"abc"), width_px=1, height_px=1, stride_bytes=3, sequence=number, taken_at_ns=0
        )
    reader.drain()
    taken = reader.take()
    assert taken is not None and taken.sequence >= 65_000


def test_memory_cannot_be_cut_short_under_the_reader() -> None:
    reader = RingReader()
    with pytest.raises(PermissionError):
        os.ftruncate(reader.writer_fds[0], 0)
    reader.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), max_size=40))
def test_whatever_the_order_of_writing_and_taking_pictures_are_whole_and_only_newer(
    turns: list[bool],
) -> None:
    reader = RingReader()
    ring_fd, wake_fd = reader.writer_fds
    writer = RingWriter(os.dup(ring_fd), os.dup(wake_fd))
    reader.handed_over()
    written, last = 0, -1
    for write in turns:
        if write:
            put(writer, written)
            written += 1
            continue
        news = reader.drain()
        taken = reader.take()
        assert (taken is not None) == news == (last < written - 1)
        if taken:
            assert taken.sequence == written - 1 > last
            pixels = np.frombuffer(taken.pixels, np.uint8)
            assert number_in(pixels) == taken.sequence % 25
            last = taken.sequence
    writer.close()
    reader.close()
