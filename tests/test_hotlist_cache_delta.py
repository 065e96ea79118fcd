"""Changes to a list: the same list as if it had come whole, or none."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotlist_cache import delta as delta_module
from hotlist_cache.applying import apply_chain, apply_delta
from hotlist_cache.columns import SEPARATOR
from hotlist_cache.delta import DeltaNotForThisListError, encode_delta, read_chain, read_delta
from hotlist_cache.encoding import Row, encode_section
from hotlist_cache.entry import Entry
from hotlist_cache.errors import HotlistError, SnapshotRejectedError
from hotlist_cache.publishing import Carried
from hotlist_cache.snapshot import Snapshot, open_snapshot, read_header
from tests.hotlists import ANY_ENTRY, EXPIRES, ISSUED, KEY, KEYS, OTHER_KEY, a_list, an_entry, signed_anew

ENTRIES = [
    an_entry("7ABC123"),
    an_entry("7ABC123", "second", state="US-NV"),
    an_entry("O1I0"),
    an_entry("0110"),
    an_entry("01I0", expires=EXPIRES),
    an_entry("7A?C*", effective=ISSUED),
    an_entry("ABCDEFGHJKLM", state=None),
]
BASE = a_list(ENTRIES, 1)
NEW = a_list([*ENTRIES[1:], an_entry("6DEF456", state="PL"), an_entry("7AB*")], 2)
DELTA = encode_delta(BASE, NEW, key=KEY)


def opened(data: bytes) -> Snapshot:
    return open_snapshot(data, keys=KEYS)


def applied(base: bytes, *deltas: bytes) -> Snapshot:
    snapshot = opened(base)
    for data in deltas:
        snapshot = apply_delta(snapshot, data, keys=KEYS)
    return snapshot


def forged(
    base: bytes, new: bytes, deletes: Iterable[Row], adds: Iterable[Row], changes: Mapping[str, object] = {}
) -> bytes:
    """Return a delta that says *deletes* and *adds*, whatever the lists hold, signed by the department."""
    header, after = read_header(base), read_header(new)
    fields: dict[str, object] = {
        "v": 1,
        "base": [header.sequence, header.content],
        "list": new[: len(new) - after.body_bytes],
    }
    for name, rows in (("deletes", deletes), ("adds", adds)):
        section = encode_section(rows)
        fields[name] = [section.shape.to_cbor(), section.data]
    payload = cbor2.dumps({**fields, **changes}, canonical=True)
    return b"ALPRDEL1" + payload + KEY.sign(b"alpr-edge hotlist delta v1\x00" + payload)


def row_of(entry: Entry) -> Row:
    """Return the row of an entry without times."""
    context = (entry.jurisdiction or "", entry.list_name, entry.reason, f"{entry.priority:d}", entry.source)
    return (entry.pattern, SEPARATOR.join(context), entry.entry_id, entry.vehicle, entry.case_number, "", "")


SOME = st.lists(ANY_ENTRY, max_size=12)


@settings(max_examples=100, deadline=None)
@given(SOME, SOME, SOME)
def test_changed_list_is_the_new_list_byte_for_byte(
    both: list[Entry], old: list[Entry], new: list[Entry]
) -> None:
    base, whole = a_list(both + old, 1), a_list(both + new, 2)
    changed = applied(base, encode_delta(base, whole, key=KEY))
    assert changed.stored == opened(whole).stored
    assert changed.header == read_header(whole)
    assert set(changed.entries()) == set(both + new)


FEW = [
    an_entry(pattern, entry_id) for pattern in ("O1", "01", "0I", "A", "A?", "*") for entry_id in ("x", "y")
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.sampled_from(FEW)), min_size=2, max_size=6))
def test_changes_one_by_one_or_all_at_once_end_in_the_same_list(states: list[set[Entry]]) -> None:
    lists = [a_list(state, sequence) for sequence, state in enumerate(states, 1)]
    deltas = [encode_delta(one, other, key=KEY) for one, other in pairwise(lists)]
    whole = opened(lists[-1]).stored
    assert applied(lists[0], *deltas).stored == whole
    base = opened(lists[0])
    before = bytes(base.stored)
    assert apply_chain(base, read_chain(base.header, deltas, KEYS)).stored == whole
    assert bytes(base.stored) == before


@pytest.mark.parametrize(("before", "after"), [([], ENTRIES), (ENTRIES, []), ([], []), (ENTRIES, ENTRIES)])
def test_list_may_come_of_nothing_and_go_to_nothing(before: list[Entry], after: list[Entry]) -> None:
    base, whole = a_list(before, 1), a_list(after, 2)
    assert applied(base, encode_delta(base, whole, key=KEY)).stored == opened(whole).stored


@pytest.mark.parametrize("texts", [255, 256, 257, pytest.param(65_536, marks=pytest.mark.slow)])
def test_column_widens_and_narrows_with_its_table(texts: int) -> None:
    few = [an_entry(f"{number:05d}A", f"{number:05d}") for number in range(texts)]
    small, large = a_list(few, 1), a_list([*few, an_entry("Z9", "00000a"), an_entry("Z*", "new")], 2)
    again = a_list(few, 3)
    grown = applied(small, encode_delta(small, large, key=KEY))
    assert grown.stored == opened(large).stored
    shrunk = apply_delta(grown, encode_delta(large, again, key=KEY), keys=KEYS)
    assert shrunk.stored == opened(again).stored


def test_change_of_one_entry_is_a_few_hundred_bytes() -> None:
    plain = [an_entry(f"{number:03d}ABC", state=("US-CA", "US-NV")[number % 2]) for number in range(500)]
    base = a_list(plain, 1, carried=Carried())
    added = encode_delta(base, a_list([*plain, an_entry("NEW1")], 2, carried=Carried()), key=KEY)
    deleted = encode_delta(base, a_list(plain[1:], 2, carried=Carried()), key=KEY)
    assert len(added) < 600 and len(deleted) < 600


def test_every_turned_bit_of_every_byte_is_rejected() -> None:
    base = opened(BASE)
    for position in range(len(DELTA)):
        for bit in (0x01, 0x80):
            altered = bytearray(DELTA)
            altered[position] ^= bit
            with pytest.raises(SnapshotRejectedError):
                apply_delta(base, altered, keys=KEYS)


def test_every_truncation_and_a_byte_too_many_are_rejected() -> None:
    base = opened(BASE)
    for length in range(len(DELTA)):
        with pytest.raises(SnapshotRejectedError):
            apply_delta(base, DELTA[:length], keys=KEYS)
    with pytest.raises(SnapshotRejectedError):
        apply_delta(base, DELTA + b"\0", keys=KEYS)


def test_delta_for_another_list_is_told_from_a_bad_one() -> None:
    after_next = a_list([*ENTRIES, an_entry("9ZZZ999")], 3)
    gap = encode_delta(NEW, after_next, key=KEY)
    with pytest.raises(
        DeltaNotForThisListError, match="changes list 2, but there is list 1; fetch the whole"
    ):
        applied(BASE, gap)
    with pytest.raises(DeltaNotForThisListError):
        applied(NEW, DELTA)
    # The same sequence with other entries, as after a restored backup.
    twin = a_list(ENTRIES[:-1], 1)
    with pytest.raises(DeltaNotForThisListError):
        applied(twin, DELTA)
    assert applied(BASE, DELTA, gap).stored == opened(after_next).stored
    assert issubclass(DeltaNotForThisListError, HotlistError)


def test_delta_or_list_signed_by_another_key_is_rejected() -> None:
    with pytest.raises(SnapshotRejectedError, match="not signed"):
        applied(BASE, encode_delta(BASE, NEW, key=OTHER_KEY))
    with pytest.raises(SnapshotRejectedError, match="not signed"):
        read_delta(DELTA, ())
    payload = DELTA[8:-64]
    for tag in (b"alpr-edge hotlist v2\x00", b""):
        with pytest.raises(SnapshotRejectedError, match="not signed"):
            applied(BASE, DELTA[:-64] + KEY.sign(tag + payload))
    foreign = bytearray(NEW)
    foreign[-read_header(NEW).body_bytes - 1] ^= 1
    with pytest.raises(SnapshotRejectedError, match="not signed"):
        applied(BASE, forged(BASE, bytes(foreign), [], []))


@pytest.mark.parametrize(
    ("deletes", "adds"),
    [
        ([an_entry("8XYZ999")], []),
        ([replace(ENTRIES[0], vehicle="BLUE")], []),
        ([an_entry("9*")], []),
        ([], [ENTRIES[0]]),
        ([], [ENTRIES[6]]),
        ([ENTRIES[0]], [ENTRIES[0]]),
    ],
)
def test_deleting_what_is_not_there_and_adding_what_is_are_refused(
    deletes: list[Entry], adds: list[Entry]
) -> None:
    delta = forged(BASE, NEW, map(row_of, deletes), map(row_of, adds))
    with pytest.raises(SnapshotRejectedError, match="not there, or adds what is"):
        applied(BASE, delta)


def test_deleting_in_two_deltas_what_is_there_once_is_refused() -> None:
    middle, last = a_list(ENTRIES[1:], 2), a_list(ENTRIES[2:], 3)
    gone = [row_of(ENTRIES[0])]
    chain = [forged(BASE, middle, gone, []), forged(middle, last, gone, [])]
    base = opened(BASE)
    with pytest.raises(SnapshotRejectedError, match="not there"):
        apply_chain(base, read_chain(base.header, chain, KEYS))


def test_result_that_is_not_the_signed_list_is_refused() -> None:
    gone, come = [row_of(ENTRIES[0])], [row_of(an_entry("6DEF456", state="PL")), row_of(an_entry("7AB*"))]
    assert applied(BASE, forged(BASE, NEW, gone, come)).stored == opened(NEW).stored
    with pytest.raises(SnapshotRejectedError, match="does not make the list"):
        applied(BASE, forged(BASE, NEW, [], come))
    with pytest.raises(SnapshotRejectedError, match="does not make the list"):
        applied(BASE, forged(BASE, NEW, gone, [*come, row_of(an_entry("5GHJ789", ENTRIES[0].entry_id))]))
    other = [row_of(an_entry("6DEF457", come[0][2], state="PL")), come[1]]
    with pytest.raises(SnapshotRejectedError, match="not those that were signed"):
        applied(BASE, forged(BASE, NEW, gone, other))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"v": 2}, "version 2"),
        ({"base": [1]}, "malformed"),
        ({"base": ["1", bytes(32)]}, "malformed"),
        ({"base": [1, bytes(31)]}, "malformed"),
        ({"list": b""}, "not a snapshot"),
        ({"list": NEW}, "out of bounds"),
        ({"list": 5}, "malformed"),
        ({"adds": [[0, 0, [[0, 0]] * 6]]}, "malformed"),
        ({"adds": [[50_000_001, 0, [[1, 1]] * 6], b""]}, "out of bounds"),
        ({"adds": [[600_000, 0, [[1, 1]] * 6], b""]}, "out of bounds"),
        ({"adds": [[1, 0, [[1, 1]] * 6], b""]}, "malformed"),
        ({"more": 1}, "out of bounds"),
    ],
)
def test_malformed_delta_is_refused_though_it_is_signed(changes: dict[str, object], why: str) -> None:
    with pytest.raises(SnapshotRejectedError, match=why):
        applied(BASE, forged(BASE, NEW, [], [], changes))


def test_delta_leads_to_a_later_list_only() -> None:
    for base, new in ((NEW, BASE), (BASE, BASE)):
        with pytest.raises(ValueError, match="higher sequence"):
            encode_delta(base, new, key=KEY)


def test_change_of_most_of_a_list_is_left_to_the_whole_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta_module, "MAX_CHANGES", 2)
    with pytest.raises(ValueError, match="fetch the whole list"):
        encode_delta(BASE, NEW, key=KEY)


def test_list_that_only_expires_later_needs_no_entries() -> None:
    later = signed_anew(BASE, sequence=2, expires_at=EXPIRES + timedelta(days=1))
    delta = encode_delta(BASE, later, key=KEY)
    assert applied(BASE, delta).header == read_header(later)


def test_plates_are_in_no_error_and_no_repr() -> None:
    shown = repr(read_delta(DELTA, KEYS))
    for delta in (forged(BASE, NEW, [row_of(an_entry("8XYZ999"))], []), forged(BASE, NEW, [], [])):
        with pytest.raises(SnapshotRejectedError) as refused:
            applied(BASE, delta)
        shown += str(refused.value)
    assert not any(entry.pattern in shown for entry in [*ENTRIES, an_entry("8XYZ999"), an_entry("6DEF456")])
