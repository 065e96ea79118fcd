"""One text out of many frames: who counts, how much, and how sure the result is."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer import Box, Jurisdiction, JurisdictionOpinion, Plate, PlateCandidate, Position
from recognizer.vote import best, vote, weight

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def candidate(
    text: str,
    confidence: float = 0.95,
    *,
    width: int = 100,
    sharpness: float = 400.0,
    code: str | None = None,
    doubt: str = "",
    prefix: str = "",
    prefix_confidence: float = 0.95,
) -> PlateCandidate:
    """A candidate whose every character has *confidence*; the rest goes to *doubt* where that is given."""
    positions: tuple[Position, ...] = tuple(
        ((c, confidence), (doubt, 1.0 - confidence)) if doubt not in ("", c) else ((c, confidence),)
        for c in text
    )
    opinion = JurisdictionOpinion(Jurisdiction(code), 0.8) if code else None
    stacked = tuple(((c, prefix_confidence),) for c in prefix)
    box = Box(0, 0, width, width // 4)
    return PlateCandidate(Plate(text), positions, box, 0.9, opinion, sharpness, b"", stacked)


# Flat and cheap: a text, one confidence and one doubtful alternative for all its places.
candidates = st.builds(
    candidate,
    st.text("AB80", max_size=7),
    st.floats(0.5, 1.0),
    width=st.integers(10, 300),
    sharpness=st.floats(0.0, 5000.0),
    code=st.none() | st.sampled_from(["US-CA", "US-NV", "PL"]),
    doubt=st.sampled_from(["", "8", "B"]),
    prefix=st.text("XQ", max_size=3),
    prefix_confidence=st.floats(0.5, 1.0),
)
tracks = st.lists(candidates, min_size=1, max_size=8).filter(lambda track: any(c.text for c in track))


@given(tracks.flatmap(lambda track: st.tuples(st.just(track), st.permutations(track))))
def test_the_order_of_frames_does_not_matter(
    orders: tuple[list[PlateCandidate], list[PlateCandidate]],
) -> None:
    assert vote(orders[0]) == vote(orders[1])


@given(tracks, st.integers(2, 4))
def test_a_track_seen_several_times_over_says_the_same(track: list[PlateCandidate], times: int) -> None:
    once, often = vote(track), vote(track * times)
    assert once.plate == often.plate
    assert once.confidence == pytest.approx(often.confidence)


@given(tracks)
def test_a_position_never_holds_more_than_certainty(track: list[PlateCandidate]) -> None:
    verdict = vote(track)
    for position in verdict.positions:
        assert math.fsum(p for _, p in position) <= 1.0 + 1e-9
        assert all(0.0 <= p <= 1.0 for _, p in position)


@given(tracks)
def test_the_plate_is_as_sure_as_its_least_sure_character(track: list[PlateCandidate]) -> None:
    verdict = vote(track)
    assert verdict.confidence == min(position[0][1] for position in verdict.positions)
    assert len(verdict.positions) == len(verdict.plate)
    assert verdict.plate == "".join(position[0][0] for position in verdict.positions)


@given(candidates.filter(lambda c: bool(c.text)))
def test_a_single_frame_is_its_own_verdict(only: PlateCandidate) -> None:
    verdict = vote([only])
    tied = any(len(p) > 1 and p[0][1] == p[1][1] for p in only.positions)
    assert tied or verdict.plate == only.text
    assert verdict.confidence == pytest.approx(min(only.confidences))


@given(tracks)
def test_a_frame_without_text_changes_nothing_but_is_no_voter(track: list[PlateCandidate]) -> None:
    assert vote([*track, candidate("")]) == vote(track)


def test_two_good_frames_outvote_a_bad_one() -> None:
    verdict = vote([candidate("7ABC123"), candidate("7A8C123", 0.6, doubt="B"), candidate("7ABC123")])
    assert verdict.plate == "7ABC123"
    assert (verdict.voters, verdict.agreeing) == (3, 2)


def test_one_sharp_close_frame_outvotes_two_far_blurred_ones() -> None:
    far = candidate("7A8C123", 0.7, width=20, sharpness=20.0)
    assert vote([far, far, candidate("7ABC123")]).plate == "7ABC123"


def test_a_text_of_another_length_is_left_out() -> None:
    verdict = vote([candidate("7ABC123"), candidate("7ABC123"), candidate("7ABCC123")])
    assert verdict.plate == "7ABC123"
    assert verdict.voters == 2


def test_one_bad_character_stays_visible() -> None:
    clear, doubtful = candidate("7ABC12"), candidate("3", 0.5, doubt="8")
    mixed = PlateCandidate(
        Plate("7ABC123"), (*clear.positions, *doubtful.positions), clear.box, 0.9, None, 400.0, b""
    )
    verdict = vote([mixed, mixed])
    assert verdict.confidence == pytest.approx(0.5)
    assert dict(verdict.positions[-1]) == pytest.approx({"3": 0.5, "8": 0.5})


def test_no_text_at_all_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="no candidate with a text"):
        vote([candidate("")])


def test_the_issuer_most_frames_name_is_the_issuer() -> None:
    verdict = vote([candidate("AB12", code="US-NV"), *[candidate("AB12", code="US-CA")] * 2])
    assert verdict.jurisdiction is not None
    assert verdict.jurisdiction.code == "US-CA"
    assert verdict.jurisdiction.confidence == pytest.approx(0.8 * 2 / 3)


def test_frames_that_name_no_issuer_make_the_issuer_less_sure() -> None:
    verdict = vote([candidate("AB12", code="US-CA"), candidate("AB12")])
    assert verdict.jurisdiction is not None
    assert verdict.jurisdiction.confidence == pytest.approx(0.4)


def test_evidence_shows_the_text_that_was_given_out() -> None:
    agreeing, larger = candidate("7ABC123", width=60), candidate("7A8C123", width=100)
    assert best([larger, agreeing], Plate("7ABC123")) is agreeing


@given(candidates)
def test_every_frame_counts_something_and_none_too_much(seen: PlateCandidate) -> None:
    assert 0.0 < weight(seen) <= 1.0


def test_the_stacked_letters_are_voted_like_the_characters() -> None:
    far = candidate("12345", width=20, sharpness=20.0, prefix="XO")
    verdict = vote([far, candidate("12345", prefix="XQ"), candidate("12345", prefix="XQ")])
    assert (verdict.plate, verdict.prefix_text) == ("12345", "XQ")
    assert [dict(position).keys() for position in verdict.prefix] == [{"X"}, {"Q", "O"}]
    assert verdict.prefix_confidence == verdict.prefix[1][0][1] < verdict.prefix[0][0][1]


def test_a_frame_that_saw_no_stacked_letters_says_that_there_are_none() -> None:
    with_prefix, without = candidate("12345", prefix="XQ"), candidate("12345")
    assert vote([with_prefix, with_prefix, with_prefix, without]).prefix_text == "XQ"
    assert vote([with_prefix, with_prefix, with_prefix, without]).prefix_confidence < 0.75
    assert vote([with_prefix, without, without, without]).prefix == ()


def test_stacked_letters_of_which_one_is_unsure_are_not_shown_at_all() -> None:
    verdict = vote([candidate("12345", prefix="XQ"), candidate("12345", prefix="XO")])
    assert (verdict.prefix, verdict.prefix_confidence) == ((), 0.0)
    assert vote([candidate("12345", prefix="XQ", prefix_confidence=0.59)]).prefix == ()
    assert vote([candidate("12345", prefix="XQ", prefix_confidence=0.61)]).prefix_text == "XQ"


def test_stacked_letters_whose_number_is_unsure_are_not_shown_at_all() -> None:
    assert vote([candidate("12345", prefix="XQ"), candidate("12345", prefix="X")]).prefix == ()


@given(tracks)
def test_no_stacked_letter_is_given_out_that_is_not_sure(track: list[PlateCandidate]) -> None:
    verdict = vote(track)
    assert all(position[0][0] and position[0][1] >= 0.6 for position in verdict.prefix)
    assert (verdict.prefix_confidence > 0.0) == bool(verdict.prefix)
