"""How a list travels and how it lies in memory: nothing is lost, and nothing that lies gets in."""

import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotlist_cache.body import Body
from hotlist_cache.columns import COLUMNS, SEPARATOR, Shape, shape_of
from hotlist_cache.comparing import compare
from hotlist_cache.encoding import Row, Section, encode_section
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.expanding import expand, fold_keys
from hotlist_cache.formats import format_of, numbered
from hotlist_cache.packed import pack, pack_folded
from hotlist_cache.section import FIRST_COLUMN, FORMATS, PATTERNS, RANKS, inflate, read_parts
from hotlist_cache.snapshot import open_snapshot, read_header
from tests.hotlists import KEYS, PLATES, a_list, an_entry, signed_anew

CONTEXTS = st.sampled_from(["US-CA", "", "PL"]).map(
    lambda state: SEPARATOR.join((state, "list", "why", "3", "who"))
)
TEXTS = st.sampled_from(["", "a", "b", "ż", "a b"])
ROWS = st.tuples(
    PLATES | st.text("AB01?*", min_size=1, max_size=16), CONTEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS
)


def a_row(pattern: str, entry_id: str = "") -> Row:
    return (pattern, SEPARATOR.join(("US-CA", "list", "why", "3", "who")), entry_id, "", "", "", "")


ONE_LIST = [
    a_row("7ABC123", "x"),
    a_row("7ABC123", "y"),
    a_row("8XYZ999", "x"),
    a_row("AB12", "y"),
    a_row("A?", "x"),
    a_row("B*", "y"),
]


def opened(section: Section) -> Body:
    columns = memoryview(bytearray(section.shape.bytes))
    expand(memoryview(section.data), section.shape, columns)
    return Body(columns, section.shape)


def rows_of(body: Body) -> list[Row]:
    return [body.row(number) for number in range(body.shape.rows)]


@settings(deadline=None)
@given(PLATES)
def test_plate_is_its_format_and_rank(plate: str) -> None:
    plate_format = format_of(plate)
    rank = plate_format.rank(plate)
    assert 0 <= rank < plate_format.capacity < 1 << 48
    assert plate_format.plate(rank) == plate
    assert numbered(plate_format.number) is plate_format


@settings(deadline=None)
@given(st.text("0123456789", min_size=3, max_size=3), st.text("OIABZ", min_size=2, max_size=2), st.data())
def test_ranks_of_a_format_ascend_as_the_list_sorts(digits: str, letters: str, data: st.DataObject) -> None:
    one = digits + letters
    other = data.draw(st.text("0123456789", min_size=3, max_size=3)) + data.draw(
        st.text("OIABZ", min_size=2, max_size=2)
    )
    own = format_of(one)
    assert (own.rank(one) < own.rank(other)) == (pack_folded(one) < pack_folded(other))


@pytest.mark.parametrize("number", [0, 1, 11 << 16, 2 << 16 | 4, 1 << 24])
def test_number_that_is_no_format_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="no format"):
        numbered(number)


@settings(deadline=None)
@given(st.lists(PLATES, max_size=20))
def test_keys_fold_all_at_once_as_one_by_one(plates: list[str]) -> None:
    keys = np.frombuffer(b"".join(map(pack, plates)), dtype=">u8")
    assert fold_keys(keys).astype(">u8").tobytes() == b"".join(map(pack_folded, plates))


@settings(max_examples=80, deadline=None)
@given(st.lists(ROWS, max_size=30))
def test_rows_come_out_once_each_and_sorted(rows: list[Row]) -> None:
    body = opened(encode_section(rows))
    out = rows_of(body)
    assert len(out) == len(set(rows)) and set(out) == set(rows)
    plates = out[: body.entries]
    assert plates == sorted(plates, key=lambda row: (pack_folded(row[0]), row))
    assert out[body.entries :] == sorted(out[body.entries :])
    assert bytes(body.keys) == b"".join(pack(row[0]) for row in plates)


@settings(max_examples=50, deadline=None)
@given(st.lists(ROWS, max_size=20), st.lists(ROWS, max_size=20), st.lists(ROWS, max_size=20))
def test_what_two_lists_do_not_share_is_found(both: list[Row], old: list[Row], new: list[Row]) -> None:
    one, other = encode_section(both + old), encode_section(both + new)
    gone, come = compare(memoryview(one.data), one.shape, memoryview(other.data), other.shape)
    assert set(gone) == set(both + old) - set(both + new) and len(gone) == len(set(gone))
    assert set(come) == set(both + new) - set(both + old) and len(come) == len(set(come))


@pytest.mark.parametrize(("texts", "width"), [(1, 0), (2, 1), (256, 1), (257, 2), (65_537, 4)])
def test_numbers_are_as_wide_as_their_table_needs(texts: int, width: int) -> None:
    section = encode_section(a_row(f"{number:05d}A", f"{number}") for number in reversed(range(texts)))
    assert section.shape.widths[COLUMNS.index("entry_id")] == width
    body = opened(section)
    for number in {0, texts // 2, texts - 1}:
        assert body.row(number) == a_row(f"{number:05d}A", f"{number}")


def test_same_rows_in_any_order_have_the_same_content() -> None:
    one, other = encode_section(ONE_LIST), encode_section(reversed(ONE_LIST + ONE_LIST[:2]))
    assert (one.shape, one.data, one.content) == (other.shape, other.data, other.content)


def test_part_that_inflates_without_end_is_cut_off() -> None:
    deflating = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(deflating.compress(bytes(1 << 20)) for _ in range(200)) + deflating.flush()
    tracemalloc.start()
    with pytest.raises(SnapshotRejectedError, match="malformed"):
        inflate(bomb, len(bomb) + 1, "ranks")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(bomb) + 100_000


def deflated(data: bytes) -> bytes:
    deflating = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflating.compress(data) + deflating.flush()


ENTRY_ID = FIRST_COLUMN + 2 * COLUMNS.index("entry_id")


def put(at: int, change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], list[bytes]]:
    def changed(parts: list[bytes]) -> list[bytes]:
        return [*parts[:at], change(parts[at]), *parts[at + 1 :]]

    return changed


LIES: dict[str, Callable[[list[bytes]], object]] = {
    "a part too few": lambda parts: parts[:-1],
    "a part too many": lambda parts: [*parts, b""],
    "a text for a part": lambda parts: [*parts[:-1], ""],
    "no array": lambda parts: {"parts": parts},
    "formats descend": put(FORMATS, lambda part: part[7:] + part[:7]),
    "a format without rows": put(FORMATS, lambda part: part + b"\x09\x00\x00" + bytes(4)),
    "more rows than there are": put(FORMATS, lambda part: part[:-1] + b"\x09"),
    "a format that is none": put(FORMATS, lambda part: b"\x0b\x00\x00" + part[3:]),
    "half a format": put(FORMATS, lambda part: part[:-3]),
    "ranks beyond the format": put(RANKS + 5, lambda part: b"\xff" * len(part)),
    "another plate": put(RANKS, lambda part: part[:-1] + bytes((part[-1] ^ 1,))),
    "ranks cut short": put(RANKS, lambda part: part[:-1]),
    "ranks too long": put(RANKS, lambda part: part + b"\0"),
    "patterns unsorted": put(PATTERNS, lambda part: part[16:] + part[:16]),
    "a pattern twice": lambda parts: put(PATTERNS, lambda part: part[:16] * 2)(
        put(ENTRY_ID, lambda part: part[:-1] + b"\0")(parts)
    ),
    "a pattern in small letters": put(PATTERNS, lambda part: part.replace(b"A?", b"a?")),
    "a pattern with a hole": put(PATTERNS, lambda part: part.replace(b"A?\0", b"A\0?")),
    "a pattern that is a plate": put(PATTERNS, lambda part: part.replace(b"A?", b"AB")),
    "no pattern": put(PATTERNS, lambda part: bytes(16) + part[16:]),
    "a number beyond the table": put(ENTRY_ID, lambda part: b"\x02" + part[1:]),
    "a text that nothing names": put(ENTRY_ID, lambda part: bytes(len(part))),
    "rows of a plate out of order": put(ENTRY_ID, lambda part: bytes(map((1).__sub__, part))),
    "a row twice": put(ENTRY_ID, lambda part: part.replace(b"\0\1\0", b"\0\0\1")),
    "a table unsorted": put(ENTRY_ID + 1, lambda part: b"y\nx\n"),
    "a text twice": put(ENTRY_ID + 1, lambda part: b"x\nx\n"),
    "a text too few": put(ENTRY_ID + 1, lambda part: b"xyz\n"),
    "a table without its end": put(ENTRY_ID + 1, lambda part: b"x\ny\x00"),
    "a deflated table that is too short": put(ENTRY_ID + 1, lambda part: deflated(b"")),
    "rubbish behind a deflated part": put(FIRST_COLUMN + 1, lambda part: deflated(b"?" * 19)[:-1] + b"xx"),
}


@pytest.mark.parametrize("lie", LIES)
def test_section_that_does_not_hold_what_it_should_is_refused(lie: str) -> None:
    section = encode_section(ONE_LIST)
    parts = read_parts(memoryview(section.data))
    parts[PATTERNS] = inflate(parts[PATTERNS], 16 * section.shape.patterns, "patterns")
    told = cbor2.dumps(LIES[lie](parts))
    assert told != section.data
    columns = memoryview(bytearray(section.shape.bytes))
    if lie == "another plate":  # which only the digest of the content can tell
        expand(memoryview(told), section.shape, columns)
        return
    with pytest.raises(SnapshotRejectedError):
        expand(memoryview(told), section.shape, columns)


def test_section_in_another_form_of_cbor_is_refused() -> None:
    section = encode_section(ONE_LIST)
    assert section.data[0] == 0x80 + len(read_parts(memoryview(section.data)))
    longer = bytes((0x98, section.data[0] - 0x80)) + section.data[1:]
    for told in (longer, section.data + b"\0", b"", b"\x80", section.data[:-1]):
        with pytest.raises(SnapshotRejectedError, match="malformed"):
            read_parts(memoryview(told))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100) | st.lists(st.binary(max_size=40), min_size=20, max_size=20).map(cbor2.dumps))
def test_any_bytes_for_a_section_are_refused(data: bytes) -> None:
    shape = encode_section(ONE_LIST).shape
    with pytest.raises(SnapshotRejectedError):
        expand(memoryview(data), shape, memoryview(bytearray(shape.bytes)))


LIST = a_list([an_entry("7ABC123", "x"), an_entry("O1I0", "y"), an_entry("7A?C*", "z")])


def test_every_count_that_lies_is_refused_though_it_is_signed() -> None:
    shape = read_header(LIST).shape
    shapes = [replace(shape, entries=shape.entries + by) for by in (-1, 1, 1000)]
    shapes += [replace(shape, patterns=shape.patterns + by) for by in (-1, 1, 1000)]
    shapes.append(replace(shape, entries=shape.entries + 1, patterns=shape.patterns - 1))
    for column, (texts, size) in enumerate(shape.tables):
        for table in (
            (texts + 1, size),
            (texts - 1, size),
            (texts, size + 1),
            (texts, size - 1),
            (texts, 1 << 22),
        ):
            shapes.append(replace(shape, tables=(*shape.tables[:column], table, *shape.tables[column + 1 :])))
    for lying in shapes:
        with pytest.raises(SnapshotRejectedError):
            open_snapshot(signed_anew(LIST, shape=lying), keys=KEYS)


def test_other_entries_than_those_signed_are_refused() -> None:
    with pytest.raises(SnapshotRejectedError, match="not those that were signed"):
        open_snapshot(signed_anew(LIST, content=bytes(32)), keys=KEYS)


@pytest.mark.parametrize(
    "value",
    [
        [50_000_001, 0, [[1, 1]] * 6],
        [1, 0, [[1, 1]] * 5],
        [1, 0, [[2, 2]] * 6],
        [1, 0, [[0, 0]] * 6],
        [2, 0, [[2, 1]] * 6],
        [0, 0, [[0, 1]] * 6],
        [1, 0, [[1, 1 << 30]] * 6],
    ],
)
def test_shape_out_of_bounds_is_refused(value: object) -> None:
    with pytest.raises(SnapshotRejectedError, match="out of bounds"):
        shape_of(value)


@pytest.mark.parametrize("value", [None, [], [1, 0], [1, -1, [[1, 1]] * 6], [True, 0, []], ["1", 0, []]])
def test_what_is_no_shape_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        shape_of(value)


def test_parts_lie_one_behind_the_other() -> None:
    shape = Shape(3, 1, ((2, 9), (1, 1), (1, 1), (4, 17), (1, 1), (1, 1)))
    end = 0
    for part in shape.parts:
        assert end <= part.start < end + 8 and part.start % 8 == 0
        end = part.stop
    assert end <= shape.bytes < end + 8
    assert shape_of(shape.to_cbor()) == shape


def test_publishing_loads_no_numpy() -> None:
    code = (
        "import sys, hotlist_cache.delta, hotlist_cache.header, hotlist_cache.publishing; "
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
