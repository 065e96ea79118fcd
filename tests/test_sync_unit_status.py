"""The unit's status: one form, strict, bounded, without plates and places."""

import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import WireFormatError
from sync.unit_status import (
    MAX_STATUS_BYTES,
    CameraWord,
    UnitStatus,
    decode_status,
    encode_status,
    state_of,
)
from tests.statuses import a_status, a_word

lines = st.text(st.characters(exclude_categories=("C", "Z")), max_size=200)
moments = st.integers(946_684_800, 32_503_680_000).map(lambda second: datetime.fromtimestamp(second, UTC))
counts = st.integers(0, 2**53)
statuses = st.builds(
    UnitStatus,
    made_at=moments,
    started_at=moments,
    software=lines,
    pack=lines,
    detector=st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    reader=st.just(""),
    cameras=st.lists(st.builds(CameraWord, lines, lines, counts), max_size=3).map(tuple),
    time_quality=st.sampled_from(["synchronised", "gps", "unsynchronised"]),
    has_fix=st.booleans(),
    list_sequence=counts,
    list_age_h=st.integers(0, 10**6).map(lambda n: n / 10),
    list_stale=st.booleans(),
    urgent_entries=counts,
    publication=counts,
    queued=counts,
    refused=counts,
    days_left=st.integers(0, 3000).map(lambda n: n / 100),
    level=st.sampled_from(["ok", "warn", "overdue"]),
    recording=st.booleans(),
    free_bytes=counts,
    day=st.dates(),
    reads_today=counts,
    hits_today=counts,
    fault_count=counts,
    faults=st.lists(lines, max_size=3).map(tuple),
)


@given(statuses)
def test_a_status_is_the_same_on_the_other_side(status: UnitStatus) -> None:
    assert decode_status(encode_status(status)) == status


@given(
    st.lists(st.text(max_size=2000), max_size=60),
    st.lists(st.builds(CameraWord, st.text(max_size=500), st.text(max_size=500), counts), max_size=40),
)
def test_whatever_drivers_say_a_status_fits_and_is_taken(
    faults: list[str], cameras: list[CameraWord]
) -> None:
    status = a_status(faults=tuple(faults), cameras=tuple(cameras), fault_count=len(faults))
    encoded = encode_status(status)
    assert len(encoded) <= MAX_STATUS_BYTES
    taken = decode_status(encoded)
    assert taken is not None and taken.fault_count == len(faults)


def test_faults_are_left_out_before_cameras() -> None:
    status = a_status(faults=("車" * 200,) * 20, fault_count=20)
    taken = decode_status(encode_status(status))
    assert taken is not None
    assert taken.cameras == status.cameras and 0 < len(taken.faults) < 20


def test_a_lone_surrogate_and_control_characters_do_not_stop_a_status() -> None:
    taken = decode_status(a_word(faults=("a\udc80b\x00c\nd",), fault_count=1))
    assert taken is not None and taken.faults == ("a?b c d",)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(payload: bytes) -> None:
    with pytest.raises(WireFormatError):
        decode_status(payload)


@given(st.data())
def test_one_wrong_value_refuses_the_whole(data: st.DataObject) -> None:
    found = json.loads(a_word())
    key = data.draw(st.sampled_from(sorted(set(found) - {"v", "state"})))
    found[key] = data.draw(st.sampled_from([None, [], {}, [[]], -1, 2**60, "\x00", "x" * 201, 1e300]))
    if found[key] == [] and key in ("cameras", "faults"):
        return
    if found[key] == -1 and key in ("list_age_h", "days_left"):
        return  # a list may be of a time yet to come, by a clock that is behind
    with pytest.raises(WireFormatError):
        decode_status(json.dumps(found).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"has_fix": 1},
        {"queued": True},
        {"queued": 1.0},
        {"days_left": float("nan")},
        {"level": "fine"},
        {"made_at": "2026-03-02"},
        {"made_at": "2026-3-2T08:00:00Z"},
        {"day": "20260302"},
        {"detector": "0123456789AB"},
        {"cameras": [["front", "live"]]},
        {"cameras": [["front", "live", 0]] * 17},
        {"faults": ["x"] * 21},
        {"latitude_deg": 38.5},
    ],
)
def test_what_no_unit_says_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(WireFormatError):
        decode_status(json.dumps(json.loads(a_word()) | change).encode())


def test_a_missing_key_is_refused() -> None:
    found = json.loads(a_word())
    del found["queued"]
    with pytest.raises(WireFormatError):
        decode_status(json.dumps(found).encode())


def test_of_another_version_the_state_alone_is_taken() -> None:
    payload = json.dumps({"v": 2, "state": "online", "new": 1}).encode()
    assert decode_status(payload) is None and state_of(payload) == "online"


def test_the_last_will_says_offline_and_nothing_else() -> None:
    payload = b'{"state":"offline"}'
    assert decode_status(payload) is None and state_of(payload) == "offline"


def test_too_large_is_refused_unread() -> None:
    with pytest.raises(WireFormatError, match="larger"):
        decode_status(b" " * MAX_STATUS_BYTES + a_word())


def test_no_field_is_for_a_place_or_a_plate() -> None:
    names = " ".join(f.name for f in fields(UnitStatus))
    for word in ("lat", "lon", "place", "plate", "course", "speed"):
        assert word not in names


def test_times_of_another_zone_travel_as_utc() -> None:
    taken = decode_status(encode_status(replace(a_status(), day=date(2026, 3, 2))))
    assert taken is not None and taken.made_at.tzinfo is UTC
