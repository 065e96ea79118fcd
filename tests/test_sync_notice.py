"""A notice of a hotlist is small, exact, or left out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import WireFormatError
from sync.notice import MAX_HOTLIST_BYTES, HotlistNotice, encode_notice, parse_notice

GOOD = {"sequence": 3, "sha256": "ab" * 32, "bytes": 10}


@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32), st.integers(1, MAX_HOTLIST_BYTES))
def test_any_notice_comes_back_as_it_went(sequence: int, digest: bytes, size: int) -> None:
    notice = HotlistNotice(sequence, digest.hex(), size)
    assert parse_notice(encode_notice(notice)) == notice


def test_a_key_of_a_later_version_is_left_out() -> None:
    assert parse_notice(json.dumps(GOOD | {"later": 1}).encode()) == HotlistNotice(3, "ab" * 32, 10)


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 0},
        {"sequence": True},
        {"sequence": "3"},
        {"sequence": 2**63},
        {"sha256": "AB" * 32},
        {"sha256": "ab" * 31},
        {"sha256": "ab" * 32 + "\n"},
        {"sha256": None},
        {"bytes": 0},
        {"bytes": MAX_HOTLIST_BYTES + 1},
        {"bytes": 1.5},
        {"more": "x" * 1024},
    ],
)
def test_a_notice_with_a_wrong_field_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(WireFormatError):
        parse_notice(json.dumps(GOOD | change).encode())


@given(st.binary(max_size=40))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    with pytest.raises(WireFormatError):
        parse_notice(noise)


@pytest.mark.parametrize("data", [b"", b"[1]", b"null", b"[" * 1000, b"\xff\xfe"])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(WireFormatError):
        parse_notice(data)
