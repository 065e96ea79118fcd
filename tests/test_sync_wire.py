"""Reading CBOR: what is too much for its length is refused before any of it is built."""

import contextlib
import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import wire
from sync.batch import Batch, SealedEpoch, SealedRead, encode_payload
from sync.errors import WireFormatError
from tests.fakes import START, UNIT

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.binary()
    | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=4), inner, max_size=8),
    max_leaves=60,
)


def items(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + items(each) for each in value.values())
    return 1 + sum(map(items, value)) if isinstance(value, list) else 1


@given(values, st.integers(0, 3))
def test_items_are_counted_as_they_are_whatever_they_hold(value: Any, fewer: int) -> None:
    data, count = cbor2.dumps(value, canonical=True), items(value)
    wire._require_few_items(data, count + fewer, "it")
    with pytest.raises(WireFormatError, match="more items"):
        wire._require_few_items(data, count - 1, "it")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_count(data: bytes) -> None:
    with contextlib.suppress(WireFormatError):
        wire._require_few_items(data, 100, "it")


@pytest.mark.parametrize("what", [b"\xa0", b"\x80", b"\xf9\x3c\x01", b"\x62ab", b"\x19\x10\x00", b"\x81\x80"])
def test_many_short_items_are_refused_before_they_are_built(what: bytes) -> None:
    count = (2 << 20) // len(what)
    data = b"\x9a" + count.to_bytes(4, "big") + what * count
    tracemalloc.start()
    try:
        with pytest.raises(WireFormatError, match="batch has more items"):
            wire.loads(data, "batch", bytes_an_item=32)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000


def test_a_long_message_has_no_tags() -> None:
    data = cbor2.dumps([bytes(wire.FREE_ITEMS), cbor2.CBORTag(30, [1, 2])])
    with pytest.raises(WireFormatError, match="or a tag"):
        wire.loads(data, "it")


def test_the_shortest_reads_of_the_largest_batch_stay_within_the_bound() -> None:
    reads = tuple(SealedRead(f"read-{number:06}", "epoch-1", bytes(160)) for number in range(40_000))
    payload = encode_payload(Batch("batch-1", UNIT, START, (SealedEpoch("epoch-1", UNIT, bytes(80)),), reads))
    assert len(wire.loads(payload, "batch", bytes_an_item=32)["reads"]) == 40_000


def test_the_shortest_changes_of_a_long_local_book_stay_within_the_bound() -> None:
    at = wire.microseconds(START)
    changes = [[at, "kim", "add", f"local-{number:016}", ""] for number in range(20_000)]
    entries = [
        [f"local-{number:016}", f"T{number:05}", None, 1, "kim", "bolo", "", at, at]
        for number in range(20_000)
    ]
    data = wire.dumps({"v": 1, "changes": changes, "entries": entries})
    assert len(wire.loads(data, "local book")["changes"]) == 20_000
