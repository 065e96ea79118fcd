import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Priority
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.evidence import Confusions, evidence
from hotlist_cache.hit import MatchForm, MatchKind, Outcome, StateMatch
from hotlist_cache.lookalike import LOOK_ALIKES
from hotlist_cache.match import Hotlist
from hotlist_cache.packed import ALPHABET, pack
from hotlist_cache.patterns import PatternIndex
from hotlist_cache.prior import PlatePrior
from hotlist_cache.snapshot import open_snapshot
from hotlist_cache.texts import TextIndex
from recognizer.plate import Plate, fold
from recognizer.read import PlateRead, Rival
from tests.hotlists import CONFIG, KEYS, NOW, a_hotlist, a_list, a_read, an_entry

Met = dict[str, MatchKind]
NO_CONFUSIONS = Confusions(0.0, {})


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


def outcomes(hotlist: Hotlist, read: PlateRead) -> dict[str, Outcome]:
    return {hit.entry.pattern: hit.outcome for hit in hotlist.match(read, NOW)}


# On a list of millions each plate is met so seldom, beside all the others, as here.
LONG_LIST = HotlistConfig(vehicles_around=2.5e9)


def test_sure_read_of_a_listed_plate_is_a_hit() -> None:
    (hit,) = a_hotlist(an_entry("7ABC123")).match(a_read("7ABC123"), NOW)
    assert hit.outcome is Outcome.HIT
    assert 0.99 < hit.probability <= 1


def test_unsure_read_of_a_listed_plate_is_told_of_as_possible() -> None:
    doubtful = a_read("7ABC123", at={place: [(c, 0.5)] for place, c in enumerate("7ABC123")})
    (hit,) = a_hotlist(an_entry("7ABC123"), config=LONG_LIST).match(doubtful, NOW)
    assert (hit.kind, hit.outcome) == (MatchKind.EXACT, Outcome.POSSIBLE)
    assert hit.probability < 0.05


@pytest.mark.parametrize(
    ("probability", "short", "long"),
    [
        (0.5, Outcome.HIT, Outcome.POSSIBLE),
        (0.03, Outcome.HIT, None),
        (0.003, Outcome.POSSIBLE, None),
        (0.0001, None, None),
    ],
)
def test_same_doubt_counts_more_on_a_short_list(
    probability: float, short: Outcome | None, long: Outcome | None
) -> None:
    unsure = a_read("7ABC123", at={2: [("B", 0.999 - probability), ("W", probability)]})
    for config, expected in ((CONFIG, short), (LONG_LIST, long)):
        met_as = outcomes(a_hotlist(an_entry("7AWC123"), config=config), unsure)
        assert met_as == ({} if expected is None else {"7AWC123": expected})


def test_two_misread_characters_are_met_where_the_reader_was_torn() -> None:
    torn = {0: [("S", 0.6), ("5", 0.4)], 2: [("B", 0.6), ("8", 0.4)]}
    (hit,) = a_hotlist(an_entry("5A8C123")).match(a_read("SABC123", at=torn), NOW)
    assert (hit.kind, hit.differing, hit.outcome) == (MatchKind.LOOK_ALIKE, (0, 2), Outcome.HIT)


def test_sure_two_does_not_meet_a_listed_seven_on_a_long_list() -> None:
    # The pair behind wrongful stops.
    hotlist = a_hotlist(an_entry("7ABC127"), config=LONG_LIST)
    assert met(hotlist, a_read("7ABC122")) == {}
    assert met(hotlist, a_read("7ABC122", at={6: [("2", 0.5), ("7", 0.5)]})) == {
        "7ABC127": MatchKind.LOOK_ALIKE
    }


def test_character_that_looks_alike_counts_beyond_what_the_reader_says_and_another_does_not() -> None:
    hotlist = a_hotlist(an_entry("7A8C123"), an_entry("7AWC123"))
    assert outcomes(hotlist, a_read("7ABC123", at={2: [("B", 1.0)]})) == {"7A8C123": Outcome.POSSIBLE}


def test_listed_plates_share_what_a_read_is_worth() -> None:
    torn = a_read("7ABC123", at={2: [("B", 0.5), ("W", 0.3), ("8", 0.2)]})
    hits = a_hotlist(*(an_entry(f"7A{c}C123") for c in "BW8")).match(torn, NOW)
    assert [hit.entry.pattern for hit in hits] == ["7ABC123", "7AWC123", "7A8C123"]
    assert [round(hit.text_probability, 2) for hit in hits] == [0.5, 0.3, 0.2]


def test_last_character_that_may_be_none_is_left_out_and_said_to_be_in_doubt() -> None:
    (hit,) = a_hotlist(an_entry("7ABC12")).match(a_read("7ABC121", at={6: [("1", 0.6), ("", 0.4)]}), NOW)
    assert (hit.kind, hit.outcome, hit.differing) == (MatchKind.LOOK_ALIKE, Outcome.POSSIBLE, ())
    assert met(a_hotlist(an_entry("7ABC12")), a_read("7ABC121")) == {}


def test_what_a_few_frames_read_with_another_number_of_characters_is_looked_up_too() -> None:
    other = a_read("7ABBC123")
    read = replace(a_read("7ABC123"), rival=Rival(other.plate, other.positions, 0.3))
    (hit,) = a_hotlist(an_entry("7ABBC123")).match(read, NOW)
    assert (hit.kind, hit.outcome, hit.differing) == (MatchKind.LOOK_ALIKE, Outcome.POSSIBLE, ())
    assert 0.2 < hit.text_probability <= 0.3
    assert met(a_hotlist(an_entry("7ABBC123")), a_read("7ABC123")) == {}


def test_read_without_probabilities_meets_exactly_and_by_folding_alone() -> None:
    hotlist = a_hotlist(an_entry("7ABO123"), an_entry("7A8O123"))
    bare = replace(a_read("7AB0123"), positions=())
    assert met(hotlist, bare) == {"7ABO123": MatchKind.LOOK_ALIKE}


def test_state_makes_a_hit_likelier_or_less_likely() -> None:
    entries = [an_entry(f"{number}ABC123", state="US-CA") for number in range(1, 7)]
    hotlist = a_hotlist(*entries, an_entry("7ABC123", state="US-NV"))
    at_home = hotlist.match(a_read("1ABC123", state=("US-CA", 0.9)), NOW)[0]
    unseen = hotlist.match(a_read("1ABC123", state=None), NOW)[0]
    other = hotlist.match(a_read("1ABC123", state=("US-TX", 0.6)), NOW)[0]
    away = hotlist.match(a_read("7ABC123", state=None), NOW)[0]
    chances = [hit.state_probability for hit in (at_home, unseen, other, away)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.99
    assert chances[3] < 0.8


def test_hit_is_explained_to_a_person() -> None:
    read = a_read("7ABC123", at={2: [("B", 0.6), ("8", 0.4)]})
    (hit,) = a_hotlist(an_entry("7A8C123")).match(read, NOW)
    said = hit.explain(NOW)
    assert said.startswith(
        "hit; listed 7A8C123 (US-CA), read 7ABC123; 3rd character reads B, listed 8; plate 9"
    )
    assert said.endswith("state same 99.9 %; list 1, 2.0 h old")


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
    order = ["high", "low", "no-state", "folded", "wildcard", "other-state"]
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
    assert met(a_hotlist(an_entry("8X12345")), a_read("12345", prefix="BX")) == {}


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
def any_read(draw: st.DrawFn, length: int) -> PlateRead:
    plate = draw(st.text(FEW, min_size=length, max_size=length))
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


def plainly_met(
    listed: Sequence[str], read: PlateRead, prior: PlatePrior, config: HotlistConfig
) -> dict[str, float]:
    """Return how likely each of *listed* is, by trying every text there is."""
    shown = fold(read.plate)
    likelihoods = []
    for text in listed:
        factors = [
            sum(p for c, p in position if c and fold(Plate(c)) == wanted)
            for wanted, position in zip(text, read.positions, strict=True)
        ]
        likelihoods.append(prod(factors))
    whole = prior.all_of(evidence(read.plate, read.positions, NO_CONFUSIONS))
    rate = min(config.wanted_share / len(listed), 1 / config.vehicles_around)
    others = whole - sum(
        p * prior.of(text) for text, p in zip(listed, likelihoods, strict=True) if p or text == shown
    )
    total = max(others, 0.0) + sum(p * rate for p in likelihoods)
    return {text: p * rate / total for text, p in zip(listed, likelihoods, strict=True) if p}


@settings(max_examples=150, deadline=None)
@given(st.sets(st.text("0178BQ", min_size=3, max_size=3), min_size=1, max_size=40), any_read(length=3))
def test_search_finds_what_trying_each_listed_plate_finds(patterns: set[str], read: PlateRead) -> None:
    listed = sorted(patterns)
    keys = np.frombuffer(b"".join(pack(text) for text in listed), ">u8")
    config = HotlistConfig(possible_probability=0.01, vehicles_around=1e6)
    found = TextIndex(keys, config, NO_CONFUSIONS).find(read.plate, read.positions, 1.0)
    expected = plainly_met(listed, read, PlatePrior(keys), config)
    for number, text in enumerate(listed):
        chance = expected.get(text, 0.0)
        if chance >= 0.01 * 1.001 or text == fold(read.plate):
            # Texts far less likely than the likeliest are not tried: they are missing from the sum.
            assert found[number] == pytest.approx(chance, rel=0.2, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.text("AB12", min_size=1, max_size=3), min_size=1, max_size=30), st.data())
def test_prior_of_a_read_is_the_sum_over_all_texts(patterns: set[str], data: st.DataObject) -> None:
    prior = PlatePrior(np.frombuffer(b"".join(pack(text) for text in sorted(patterns)), ">u8"))
    length = data.draw(st.integers(1, 2))
    letters = [c for c in ALPHABET if c not in "O0I1"]
    positions = []
    for _ in range(length):
        first, second = data.draw(st.lists(st.sampled_from(letters), min_size=2, max_size=2, unique=True))
        share = data.draw(st.floats(0.5, 0.95))
        positions.append(((first, share), (second, 1 - share)))
    plate = Plate("".join(position[0][0] for position in positions))
    said = evidence(plate, tuple(positions), NO_CONFUSIONS)
    whole = 0.0
    for texts in product(*positions):
        whole += prior.of("".join(c for c, _ in texts)) * prod(p for _, p in texts)
    # What the list shows no pattern of is spread over all texts, also those the reader rules out.
    assert prior.all_of(said) == pytest.approx(whole, rel=0.25)


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
