import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.hit import MatchForm, MatchKind, StateMatch
from hotlist_cache.lookalike import LOOK_ALIKES
from hotlist_cache.match import Hotlist
from hotlist_cache.packed import pack
from hotlist_cache.patterns import PatternIndex
from hotlist_cache.snapshot import open_snapshot
from recognizer.plate import Plate, fold
from recognizer.read import PlateRead
from tests.hotlists import CONFIG, KEYS, NOW, a_hotlist, a_list, a_read, an_entry

Met = dict[str, MatchKind]


def met(hotlist: Hotlist, read: PlateRead) -> Met:
    return {hit.entry.pattern: hit.kind for hit in hotlist.match(read, NOW)}


def test_listed_plate_is_met_exactly_and_another_is_not() -> None:
    hotlist = a_hotlist(an_entry("7ABC123"))
    assert met(hotlist, a_read("7ABC123")) == {"7ABC123": MatchKind.EXACT}
    assert met(hotlist, a_read("7ABC124")) == {}
    assert met(hotlist, a_read("7ABC12")) == {}
    assert met(hotlist, a_read("")) == {}


def test_every_entry_of_a_plate_is_met() -> None:
    entries = [an_entry("7ABC123", f"id-{number}") for number in range(40)]
    hits = a_hotlist(*entries, an_entry("7ABC122"), an_entry("7ABC124")).match(a_read("7ABC123"), NOW)
    assert [hit.entry for hit in hits] == sorted(entries, key=lambda entry: entry.entry_id)
    assert len({hit.hit_id for hit in hits}) == 40


def test_empty_list_meets_nothing() -> None:
    assert met(a_hotlist(), a_read("7ABC123")) == {}


def test_letters_o_and_i_meet_the_digits_at_any_number_of_places_and_the_places_are_said() -> None:
    (hit,) = a_hotlist(an_entry("0I10O")).match(a_read("OI1O0"), NOW)
    assert (hit.kind, hit.differing) == (MatchKind.LOOK_ALIKE, (0, 3, 4))


def test_folding_needs_the_readers_support_only_where_the_agency_says_so() -> None:
    strict = HotlistConfig(fold_needs_support=True)
    hotlist = a_hotlist(an_entry("7ABO123"), config=strict)
    assert met(hotlist, a_read("7AB0123")) == {}
    torn = a_read("7AB0123", at={3: [("0", 0.6), ("O", 0.3)]})
    assert met(hotlist, torn) == {"7ABO123": MatchKind.LOOK_ALIKE}


def test_look_alike_counts_only_if_the_reader_itself_held_it_possible() -> None:
    hotlist = a_hotlist(an_entry("7A8C123"))
    assert met(hotlist, a_read("7ABC123")) == {}
    assert met(hotlist, a_read("7ABC123", at={2: [("B", 0.97), ("8", 0.01)]})) == {}
    (hit,) = hotlist.match(a_read("7ABC123", at={2: [("B", 0.95), ("8", 0.03)]}), NOW)
    assert (hit.kind, hit.differing) == (MatchKind.LOOK_ALIKE, (2,))


def test_look_alike_counts_where_the_reader_was_unsure_of_its_own_character() -> None:
    hotlist = a_hotlist(an_entry("7A8C123"))
    assert met(hotlist, a_read("7ABC123", at={2: [("B", 0.4)]})) == {"7A8C123": MatchKind.LOOK_ALIKE}
    poor = a_read("7ABC123", at={place: [(character, 0.4)] for place, character in enumerate("7ABC123")})
    assert met(hotlist, poor) == {}


def test_unlike_character_counts_only_if_the_reader_held_it_for_likely() -> None:
    hotlist = a_hotlist(an_entry("7AWC123"))
    assert met(hotlist, a_read("7ABC123", at={2: [("B", 0.7), ("W", 0.2)]})) == {}
    assert met(hotlist, a_read("7ABC123", at={2: [("B", 0.6), ("W", 0.3)]})) == {
        "7AWC123": MatchKind.LOOK_ALIKE
    }


def test_two_look_alikes_are_not_met() -> None:
    hotlist = a_hotlist(an_entry("5A8C123"))
    torn = {0: [("S", 0.6), ("5", 0.4)], 2: [("B", 0.6), ("8", 0.4)]}
    assert met(hotlist, a_read("SABC123", at=torn)) == {}


def test_two_and_seven_are_decided_by_the_reader() -> None:
    # The pair behind wrongful stops: a reader sure of its 2 does not meet the listed 7.
    hotlist = a_hotlist(an_entry("7ABC127"))
    assert met(hotlist, a_read("7ABC122")) == {}
    assert met(hotlist, a_read("7ABC122", at={6: [("2", 0.7), ("7", 0.25)]})) == {
        "7ABC127": MatchKind.LOOK_ALIKE
    }


def test_read_without_probabilities_meets_exactly_and_by_folding_alone() -> None:
    hotlist = a_hotlist(an_entry("7ABO123"), an_entry("7A8O123"))
    bare = replace(a_read("7AB0123"), positions=())
    assert met(hotlist, bare) == {"7ABO123": MatchKind.LOOK_ALIKE}


def test_look_alikes_are_mutual_and_folded() -> None:
    for character, others in LOOK_ALIKES.items():
        assert character not in others
        assert fold(Plate(character)) == character
        assert all(character in LOOK_ALIKES[other] for other in others)


def test_plate_too_long_for_a_number_is_met_all_the_same() -> None:
    hotlist = a_hotlist(an_entry("ABCDEFGHJKL0"), an_entry("ABCDEFGHJK"))
    assert met(hotlist, a_read("ABCDEFGHJKL0")) == {"ABCDEFGHJKL0": MatchKind.EXACT}
    assert met(hotlist, a_read("ABCDEFGHJKLO")) == {"ABCDEFGHJKL0": MatchKind.LOOK_ALIKE}
    assert met(hotlist, a_read("ABCDEFGHJK")) == {"ABCDEFGHJK": MatchKind.EXACT}
    assert met(hotlist, a_read("ABCDEFGHJKLMNOPQRST")) == {}


def test_entry_is_met_from_its_effect_until_its_expiry() -> None:
    hour = timedelta(hours=1)
    entry = an_entry("7ABC123", effective=NOW, expires=NOW + hour)
    hotlist = a_hotlist(entry)
    read = a_read("7ABC123")
    assert [len(hotlist.match(read, NOW + t)) for t in (-hour / 60, 0 * hour, hour * 0.99, hour)] == [
        0,
        1,
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("read", "listed", "expected"),
    [
        (("US-CA", 0.9), "US-CA", StateMatch.SAME),
        (("US-CA", 0.5), "US-CA", StateMatch.SAME),
        (("US-CA", 0.49), "US-CA", StateMatch.UNKNOWN),
        (("US-NV", 0.9), "US-CA", StateMatch.DIFFERENT),
        (("US-NV", 0.7), "US-CA", StateMatch.UNKNOWN),
        (("US", 0.99), "US-CA", StateMatch.UNKNOWN),
        (("US-CA", 0.99), "US", StateMatch.UNKNOWN),
        (("PL", 0.99), "US-CA", StateMatch.DIFFERENT),
        (("US-CA", 0.99), None, StateMatch.UNKNOWN),
        (None, "US-CA", StateMatch.UNKNOWN),
    ],
)
def test_state_is_the_same_unknown_or_different(
    read: tuple[str, float] | None, listed: str | None, expected: StateMatch
) -> None:
    (hit,) = a_hotlist(an_entry("7ABC123", state=listed)).match(a_read("7ABC123", state=read), NOW)
    assert hit.state is expected


def test_surest_hit_comes_first() -> None:
    entries = [
        an_entry("7AB*", "wildcard"),
        an_entry("7ABO123", "folded"),
        an_entry("7AB0123", "other-state", state="US-NV"),
        an_entry("7AB0123", "no-state", state=None),
        an_entry("7AB0123", "low", priority=Priority.LOW),
        an_entry("7AB0123", "high"),
    ]
    hits = a_hotlist(*entries).match(a_read("7AB0123"), NOW)
    order = ["high", "low", "no-state", "other-state", "folded", "wildcard"]
    assert [hit.entry.entry_id for hit in hits] == order


def test_hit_says_which_list_it_was_made_from() -> None:
    snapshot = open_snapshot(a_list([an_entry("7ABC123")], sequence=9), keys=KEYS)
    (hit,) = Hotlist(snapshot, CONFIG, lambda: "id").match(a_read("7ABC123"), NOW)
    assert hit.list_age.snapshot_sequence == 9
    assert hit.list_age.issued_at == snapshot.header.issued_at
    assert hit.list_age.expires_at == snapshot.header.expires_at


@pytest.mark.parametrize(
    ("pattern", "form"),
    [
        ("12345", MatchForm.PLATE),
        ("XQ12345", MatchForm.PREFIX_FIRST),
        ("12345XQ", MatchForm.PREFIX_LAST),
    ],
)
def test_plate_with_stacked_letters_is_met_however_the_list_writes_them(
    pattern: str, form: MatchForm
) -> None:
    (hit,) = a_hotlist(an_entry(pattern)).match(a_read("12345", prefix="XQ"), NOW)
    assert (hit.kind, hit.form, hit.differing) == (MatchKind.EXACT, form, ())
    assert (hit.read.plate, hit.read.prefix) == ("12345", "XQ")
    assert hit.listed == ("" if form is MatchForm.PLATE else "XQ", "12345")


@pytest.mark.parametrize("pattern", ["ZZ12345", "XZ12345", "12345ZQ", "X12345", "XQX12345", "1234XQ5"])
def test_listed_plate_with_other_stacked_letters_is_not_met(pattern: str) -> None:
    hotlist = a_hotlist(an_entry(pattern))
    assert met(hotlist, a_read("12345", prefix="XQ")) == {}
    unsure = a_read("12345", prefix="XQ", at={0: [("1", 0.4)], 4: [("5", 0.4)]})
    assert met(hotlist, unsure) == {}


def test_listed_plate_with_stacked_letters_is_not_met_by_a_read_without_them() -> None:
    assert met(a_hotlist(an_entry("XQ12345"), an_entry("12345XQ")), a_read("12345")) == {}


@pytest.mark.parametrize(("pattern", "listed"), [("XQ12845", ("XQ", "12845")), ("12845XQ", ("XQ", "12845"))])
def test_look_alike_beside_stacked_letters_names_the_place_in_the_plate_itself(
    pattern: str, listed: tuple[str, str]
) -> None:
    read = a_read("12B45", prefix="XQ", at={2: [("B", 0.9), ("8", 0.05)]})
    (hit,) = a_hotlist(an_entry(pattern)).match(read, NOW)
    assert (hit.kind, hit.differing, hit.listed) == (MatchKind.LOOK_ALIKE, (2,), listed)
    assert read.plate[2] == "B" and hit.listed[1][2] == "8"


def test_stacked_letter_o_listed_as_zero_is_a_look_alike_and_never_exact() -> None:
    (hit,) = a_hotlist(an_entry("0X12345")).match(a_read("12345", prefix="OX"), NOW)
    assert (hit.kind, hit.differing, hit.listed) == (MatchKind.LOOK_ALIKE, (), ("0X", "12345"))


def test_stacked_letters_have_no_other_look_alikes() -> None:
    lax = HotlistConfig(unsure_below=0.99, min_look_alike_probability=0.0)
    assert met(a_hotlist(an_entry("8X12345"), config=lax), a_read("12345", prefix="BX")) == {}


def test_partial_plate_with_stacked_letters_is_met() -> None:
    (hit,) = a_hotlist(an_entry("XQ12?45")).match(a_read("12345", prefix="XQ"), NOW)
    assert (hit.kind, hit.form) == (MatchKind.WILDCARD, MatchForm.PREFIX_FIRST)


def test_entry_met_in_two_forms_is_one_hit_and_the_surest() -> None:
    (hit,) = a_hotlist(an_entry("*23*")).match(a_read("12345", prefix="XQ"), NOW)
    assert hit.form is MatchForm.PLATE
    (hit,) = a_hotlist(an_entry("AA12A")).match(a_read("12A", prefix="AA"), NOW)
    assert (hit.kind, hit.form) == (MatchKind.EXACT, MatchForm.PREFIX_FIRST)
    (hit,) = a_hotlist(an_entry("00000")).match(a_read("000", prefix="00"), NOW)
    assert (hit.kind, hit.form) == (MatchKind.EXACT, MatchForm.PREFIX_FIRST)
    (hit,) = a_hotlist(an_entry("0OO")).match(a_read("OO", prefix="0"), NOW)
    assert (hit.kind, hit.form) == (MatchKind.EXACT, MatchForm.PREFIX_FIRST)
    (hit,) = a_hotlist(an_entry("OO0")).match(a_read("OO", prefix="0"), NOW)
    assert (hit.kind, hit.form) == (MatchKind.EXACT, MatchForm.PREFIX_LAST)


def test_stacked_letters_that_make_a_plate_too_long_for_a_number_are_no_error() -> None:
    hotlist = a_hotlist(an_entry("XQ123456789"), an_entry("123456789"))
    found = {hit.entry.pattern: hit.form for hit in hotlist.match(a_read("123456789", prefix="XQ"), NOW)}
    assert found == {"123456789": MatchForm.PLATE, "XQ123456789": MatchForm.PREFIX_FIRST}


def test_unsorted_plates_are_rejected() -> None:
    snapshot = open_snapshot(a_list([an_entry("7ABC123"), an_entry("8ABC123")]), keys=KEYS)
    snapshot.body.keys = memoryview(pack("8ABC123") + pack("7ABC123"))
    with pytest.raises(SnapshotRejectedError, match="not sorted"):
        Hotlist(snapshot, CONFIG, lambda: "id")


def test_hit_shows_no_plate() -> None:
    (hit,) = a_hotlist(an_entry("7ABC123")).match(a_read("7ABC123"), NOW)
    assert "7ABC123" not in repr(hit)


# Few, so that reads and entries often meet. O, 0, I and 1 fold; 8 and B, 1 and 7, 0 and Q look alike.
FEW = "O0I178BQ"
SHORT = st.text(FEW, min_size=1, max_size=4)


@st.composite
def any_read(draw: st.DrawFn) -> PlateRead:
    plate = draw(SHORT)
    at = {}
    for i, own in enumerate(plate):
        best = draw(st.sampled_from([0.999, 0.99, 0.9, 0.7, 0.49, 0.3]))
        opinion = [(own, best)]
        left = 1 - best
        for other in draw(
            st.lists(st.sampled_from([c for c in FEW if c != own] + [""]), max_size=3, unique=True)
        ):
            held = left * draw(st.sampled_from([0.05, 0.3, 0.6]))
            left -= held
            opinion.append((other, held))
        at[i] = opinion
    return a_read(plate, at=at)


def plainly_met(entries: Sequence[Entry], read: PlateRead, config: HotlistConfig) -> Met:
    """Say what is met by trying each entry, as the rules are told to a person."""
    result: Met = {}
    seen = []
    for position in read.positions:
        held: dict[str, float] = {}
        for character, probability in position:
            held[fold(Plate(character))] = held.get(fold(Plate(character)), 0.0) + probability
        seen.append(held)
    shown = fold(read.plate)
    unsure = [i for i, c in enumerate(shown) if seen[i].get(c, 0.0) < config.unsure_below]
    for entry in entries:
        listed = fold(Plate(entry.pattern))
        if entry.is_wildcard:
            if re.fullmatch(listed.replace("?", ".").replace("*", ".*"), shown):
                result[entry.pattern] = MatchKind.WILDCARD
        elif entry.pattern == read.plate:
            result[entry.pattern] = MatchKind.EXACT
        elif len(listed) == len(shown):
            off = [i for i, (a, b) in enumerate(zip(listed, shown, strict=True)) if a != b]
            if not off:
                result[entry.pattern] = MatchKind.LOOK_ALIKE
            elif len(off) == 1:
                (i,) = off
                alike = listed[i] in LOOK_ALIKES.get(shown[i], ())
                probability = seen[i].get(listed[i], 0.0)
                if (
                    probability >= config.min_other_probability
                    or (alike and probability >= config.min_look_alike_probability)
                    or (alike and i in unsure and len(unsure) <= config.max_unsure_characters)
                ):
                    result[entry.pattern] = MatchKind.LOOK_ALIKE
    return result


@settings(max_examples=100, deadline=None)
@given(
    st.sets(SHORT | st.text(FEW + "?*", min_size=1, max_size=4), max_size=60),
    st.lists(any_read(), max_size=8),
)
def test_search_finds_what_trying_each_entry_finds(patterns: set[str], reads: list[PlateRead]) -> None:
    entries = [an_entry(pattern) for pattern in patterns]
    hotlist = a_hotlist(*entries)
    for read in reads:
        assert met(hotlist, read) == plainly_met(entries, read, CONFIG)


@settings(max_examples=100, deadline=None)
@given(
    st.sets(st.text(FEW, min_size=1, max_size=6), max_size=60),
    any_read(),
    st.text("O8B", min_size=1, max_size=2),
)
def test_read_with_stacked_letters_meets_what_its_three_forms_meet(
    patterns: set[str], read: PlateRead, prefix: str
) -> None:
    hotlist = a_hotlist(*(an_entry(pattern) for pattern in patterns))
    stacked = tuple(((letter, 1.0),) for letter in prefix)
    first = replace(read, plate=Plate(prefix + read.plate), positions=stacked + read.positions)
    last = replace(read, plate=Plate(read.plate + prefix), positions=read.positions + stacked)
    expected: Met = {}
    for form in (last, first, read):
        for pattern, kind in met(hotlist, form).items():
            if expected.get(pattern) is not MatchKind.EXACT:
                expected[pattern] = kind
    joined = replace(read, prefix=Plate(prefix), prefix_confidence=0.8)
    assert met(hotlist, joined) == expected
    for hit in hotlist.match(joined, NOW):
        assert all(read.plate[i] != hit.listed[1][i] for i in hit.differing)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("AB0O?*", min_size=1, max_size=7), max_size=30),
    st.lists(st.text("ABO0", min_size=1, max_size=8), max_size=10),
)
def test_partial_plates_mean_what_a_regular_expression_would(patterns: list[str], plates: list[str]) -> None:
    index = PatternIndex(enumerate(patterns))
    for plate in plates:
        expected = [
            number
            for number, pattern in enumerate(patterns)
            if re.fullmatch(
                fold(Plate(pattern)).replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*"), fold(Plate(plate))
            )
        ]
        assert sorted(index.find(Plate(plate))) == expected
