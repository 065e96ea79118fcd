from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.packed import pack, pack_folded, unpack
from hotlist_cache.snapshot import (
    Carried,
    SnapshotHeader,
    encode_snapshot,
    open_snapshot,
    open_stored,
    read_header,
    verify_snapshot,
)
from recognizer.plate import Plate, fold
from tests.hotlists import (
    ANY_ENTRY,
    CONFIG,
    EXPIRES,
    ISSUED,
    KEY,
    KEYS,
    NOW,
    OTHER_KEY,
    PLATES,
    a_list,
    an_entry,
)

ENTRIES = [
    an_entry("7ABC123"),
    an_entry("7ABC123", "second", state="US-NV", priority=Priority.LOW),
    an_entry("O1I0"),
    an_entry("0110"),
    an_entry("7A?C*", effective=ISSUED, expires=EXPIRES),
    an_entry("ABCDEFGHJKLM", state=None),
]


def verify(data: bytes, *, now: datetime = NOW, in_force: SnapshotHeader | None = None) -> SnapshotHeader:
    return verify_snapshot(data, keys=KEYS, now=now, in_force=in_force, config=CONFIG).header


def header_of(entries: int, sequence: int = 5) -> SnapshotHeader:
    header = read_header(a_list(ENTRIES))
    return replace(header, shape=replace(header.shape, entries=entries, patterns=0), sequence=sequence)


@settings(max_examples=50, deadline=None)
@given(st.lists(ANY_ENTRY, max_size=40))
def test_what_goes_into_a_snapshot_comes_out_once_each(entries: list[Entry]) -> None:
    snapshot = open_snapshot(a_list(entries), keys=KEYS)
    out = list(snapshot.entries())
    assert len(out) == snapshot.header.count == len(set(entries))
    assert set(out) == set(entries)


@settings(deadline=None)
@given(PLATES, PLATES)
def test_packed_plates_sort_and_fold_as_their_texts(one: str, other: str) -> None:
    assert unpack(pack(one)) == one
    assert (pack(one) < pack(other)) == (one < other)
    assert pack_folded(one) == pack(fold(Plate(one)))


@pytest.mark.parametrize(
    "key", [bytes(8), b"\xff" * 8, pack("A1")[:1] + b"\x00\x10" + bytes(5), pack("A")[:7] + b"\x01"]
)
def test_number_that_is_no_plate_is_not_unpacked(key: bytes) -> None:
    with pytest.raises(ValueError, match="no plate"):
        unpack(key)


def test_same_entries_give_the_same_bytes() -> None:
    assert a_list(ENTRIES) == a_list(iter(ENTRIES))


def test_every_turned_bit_of_every_byte_is_rejected() -> None:
    data = a_list(ENTRIES)
    for position in range(len(data)):
        for bit in (0x01, 0x80):
            altered = bytearray(data)
            altered[position] ^= bit
            with pytest.raises(SnapshotRejectedError):
                open_snapshot(altered, keys=KEYS)


def test_every_truncation_and_a_byte_too_many_are_rejected() -> None:
    data = a_list(ENTRIES)
    for length in range(len(data)):
        with pytest.raises(SnapshotRejectedError):
            open_snapshot(data[:length], keys=KEYS)
    with pytest.raises(SnapshotRejectedError, match="cut short or grown"):
        open_snapshot(data + b"\0", keys=KEYS)


def test_list_signed_by_another_key_is_rejected() -> None:
    data = encode_snapshot(ENTRIES, sequence=1, issued_at=ISSUED, expires_at=EXPIRES, key=OTHER_KEY)
    with pytest.raises(SnapshotRejectedError, match="not signed"):
        verify(data)


def test_no_list_is_accepted_without_an_accepted_key() -> None:
    with pytest.raises(SnapshotRejectedError, match="not signed"):
        open_snapshot(a_list(ENTRIES), keys=())


def test_any_of_several_accepted_keys_will_do() -> None:
    keys = (OTHER_KEY.public_key(), *KEYS)
    assert open_snapshot(a_list(ENTRIES), keys=keys).header.sequence == 1


def test_signature_made_for_something_else_is_not_taken_for_a_list() -> None:
    data = a_list(ENTRIES)
    header = data[12 : 12 + int.from_bytes(data[8:12], "big")]
    end = 12 + len(header)
    moved = data[:end] + KEY.sign(b"alpr-edge batch v1\x00" + header) + data[end + 64 :]
    with pytest.raises(SnapshotRejectedError, match="not signed"):
        open_snapshot(moved, keys=KEYS)


def test_list_is_accepted_until_it_expires_and_not_after() -> None:
    data = a_list(ENTRIES)
    assert verify(data, now=EXPIRES - timedelta(seconds=1)).sequence == 1
    with pytest.raises(SnapshotRejectedError, match="expired"):
        verify(data, now=EXPIRES)


def test_list_of_the_future_is_rejected_beyond_the_allowance() -> None:
    data = encode_snapshot(ENTRIES, sequence=1, issued_at=ISSUED, expires_at=EXPIRES, key=KEY)
    allowance = timedelta(seconds=CONFIG.max_clock_lead_s)
    assert verify(data, now=ISSUED - allowance).sequence == 1
    with pytest.raises(SnapshotRejectedError, match="future"):
        verify(data, now=ISSUED - allowance - timedelta(seconds=1))


def test_accepted_list_opens_again_after_it_expired() -> None:
    data = encode_snapshot(ENTRIES, sequence=1, issued_at=ISSUED, expires_at=ISSUED + timedelta(1), key=KEY)
    assert open_snapshot(data, keys=KEYS).header.sequence == 1


def test_older_list_than_the_one_in_force_is_rejected() -> None:
    in_force = read_header(a_list(ENTRIES, sequence=8))
    with pytest.raises(SnapshotRejectedError, match="older than list 8"):
        verify(a_list(ENTRIES, sequence=7), in_force=in_force)
    assert verify(a_list(ENTRIES, sequence=9), in_force=in_force).sequence == 9


def test_list_in_force_is_accepted_again_but_no_other_under_its_sequence() -> None:
    in_force = read_header(a_list(ENTRIES, sequence=8))
    assert verify(a_list(ENTRIES, sequence=8), in_force=in_force) == in_force
    with pytest.raises(SnapshotRejectedError, match="not the list"):
        verify(a_list([*ENTRIES, an_entry("9XYZ999")], sequence=8), in_force=in_force)


@pytest.mark.parametrize(
    ("before", "approved", "accepted"),
    [(12, False, True), (13, False, False), (13, True, True), (1000, True, True)],
)
def test_list_that_lost_more_than_half_needs_approval(before: int, approved: bool, accepted: bool) -> None:
    data = a_list(ENTRIES, sequence=6, shrink_approved=approved)
    if accepted:
        assert verify(data, in_force=header_of(before)).count == 6
    else:
        with pytest.raises(SnapshotRejectedError, match="shrunken from 13 to 6"):
            verify(data, in_force=header_of(before))


def test_allowed_shrinking_is_as_configured() -> None:
    strict = HotlistConfig(max_shrink=0.0)
    with pytest.raises(SnapshotRejectedError, match="shrunken"):
        verify_snapshot(a_list(ENTRIES, sequence=6), keys=KEYS, now=NOW, in_force=header_of(7), config=strict)


def test_empty_list_is_a_list() -> None:
    assert verify(a_list([])).count == 0


@pytest.mark.parametrize("pattern", ["", "7abc", "7 ABC", "ABCDEFGHJKLMNPQRS", "Ä1", "7ABC\n"])
def test_encoder_refuses_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        a_list([an_entry(pattern, "id")])


CONTROLS: list[Callable[[Entry], Entry]] = [
    lambda entry: replace(entry, reason="a\nb"),
    lambda entry: replace(entry, list_name="a\x1fb"),
    lambda entry: replace(entry, vehicle="a\x1fb"),
    lambda entry: replace(entry, case_number="a\nb"),
    lambda entry: replace(entry, entry_id="a\x1fb"),
    lambda entry: replace(entry, entry_id=""),
]


@pytest.mark.parametrize("change", CONTROLS)
def test_encoder_refuses_text_that_would_shift_the_fields(change: Callable[[Entry], Entry]) -> None:
    with pytest.raises(ValueError, match="control character"):
        a_list([change(an_entry("7ABC123"))])


def test_encoder_refuses_a_list_that_expires_before_it_is_issued() -> None:
    with pytest.raises(ValueError, match="issued"):
        encode_snapshot([], sequence=1, issued_at=EXPIRES, expires_at=ISSUED, key=KEY)


def test_plates_are_in_no_repr_and_no_error() -> None:
    snapshot = open_snapshot(a_list(ENTRIES), keys=KEYS)
    shown = repr(snapshot) + repr(snapshot.body) + repr(snapshot.body.entry(0))
    with pytest.raises(ValueError) as refused:
        a_list([an_entry("7ABC123#", "id")])
    shown += str(refused.value)
    assert not any(entry.pattern in shown for entry in ENTRIES)


def test_what_is_not_carried_is_not_there_and_ids_are_the_same_in_every_list() -> None:
    private = replace(an_entry("7ABC123"), effective=ISSUED, expires=EXPIRES)
    data = a_list([private, replace(private, vehicle="BLUE 1999", case_number="26-9", entry_id="other")])
    assert open_snapshot(data, keys=KEYS).header.count == 2
    bare = a_list([private, an_entry("9")], carried=Carried(times=False))
    assert not any(text in bare for text in (b"TOYOTA", b"26-000123", private.entry_id.encode()))
    (first,) = (entry for entry in open_snapshot(bare, keys=KEYS).entries() if entry.pattern == "7ABC123")
    assert (first.vehicle, first.case_number, first.effective, first.expires) == ("", "", None, None)
    timed = open_snapshot(a_list([private], 2, carried=Carried()), keys=KEYS)
    (again,) = timed.entries()
    assert (again.entry_id, again.effective, again.expires) == (first.entry_id, ISSUED, EXPIRES)
    assert len(first.entry_id) == 16


def test_entries_that_differ_only_in_what_is_not_carried_are_held_once() -> None:
    same = [an_entry("7ABC123", str(number)) for number in range(3)]
    assert open_snapshot(a_list(same, carried=Carried()), keys=KEYS).header.count == 1


def test_context_of_a_row_is_that_of_its_entry() -> None:
    snapshot = open_snapshot(a_list(ENTRIES), keys=KEYS)
    for number, entry in enumerate(snapshot.entries()):
        context = snapshot.body.context(number)
        assert (context.jurisdiction, context.priority) == (entry.jurisdiction, entry.priority)
        assert (context.list_name, context.reason, context.source) == (
            entry.list_name,
            entry.reason,
            entry.source,
        )
    with pytest.raises(SnapshotRejectedError):
        snapshot.body.context(-1)


def test_stored_list_opens_again_and_not_if_a_byte_of_it_turned() -> None:
    snapshot = open_snapshot(a_list(ENTRIES), keys=KEYS)
    again = open_stored(bytes(snapshot.stored), keys=KEYS)
    assert list(again.entries()) == list(snapshot.entries())
    assert again.signed_header == snapshot.signed_header
    gap = range(len(snapshot.signed_header), len(snapshot.stored) - len(snapshot.columns))
    for position in set(range(len(snapshot.stored))) - set(gap):
        altered = bytearray(snapshot.stored)
        altered[position] ^= 0x40
        with pytest.raises(SnapshotRejectedError):
            open_stored(altered, keys=KEYS)
    with pytest.raises(SnapshotRejectedError, match="cut short or grown"):
        open_stored(bytes(snapshot.stored)[:-1], keys=KEYS)


def test_malformed_entry_of_a_signed_list_is_rejected_when_met() -> None:
    snapshot = open_snapshot(a_list(ENTRIES), keys=KEYS)
    with pytest.raises(SnapshotRejectedError, match="row it does not hold"):
        snapshot.body.entry(len(ENTRIES))
