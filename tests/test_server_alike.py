"""Which texts a search for look-alikes asks for, and which reads it puts first."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotlist_cache.lookalike import LOOK_ALIKES
from recognizer.plate import fold, normalise
from server.alike import MOST_TEXTS, likeness, texts_alike

plates = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=3, max_size=10)


def vote(text: str, **others: float) -> str:
    positions = [[[c, 0.9]] for c in text]
    for at, share in others.items():
        positions[int(at[1])].append([at[2], share])
    return json.dumps(positions)


@given(plates)
def test_texts_are_bounded_differ_and_exchange_look_alikes_alone(plate: str) -> None:
    found, whole = texts_alike(plate), fold(normalise(plate))
    assert found.texts[0] == whole
    assert len(set(found.texts)) == len(found.texts) <= MOST_TEXTS
    for text in found.texts:
        assert len(text) == len(whole)
        assert all(a == b or b in LOOK_ALIKES[a] for a, b in zip(whole, text, strict=True))
    possible = 1
    for character in whole:
        possible *= 1 + len(LOOK_ALIKES.get(character, ()))
    assert len(found.texts) + found.left_out == possible


def test_every_text_with_one_character_exchanged_is_among_them() -> None:
    whole = "8D0VWB1"
    found = texts_alike(whole)
    assert found.left_out > 0
    for at, character in enumerate(whole):
        for other in LOOK_ALIKES.get(character, ()):
            assert whole[:at] + other + whole[at + 1 :] in found.texts


@pytest.mark.parametrize("plate", ["", "AB", "7ABC12?", "7*", "A" * 11])
def test_what_is_no_whole_plate_has_no_look_alikes(plate: str) -> None:
    with pytest.raises(ValueError, match="whole plate"):
        texts_alike(plate)


def test_the_plate_itself_is_likelier_than_a_look_alike_and_that_than_a_stranger() -> None:
    itself = likeness("7ABC123", "7ABC123", vote("7ABC123"))
    alike = likeness("7ABC123", "7A8C123", vote("7A8C123"))
    stranger = likeness("7ABC123", "7AXC123", vote("7AXC123"))
    assert itself > alike > stranger > 0


def test_a_vote_that_wavered_between_both_is_likelier_than_one_that_did_not() -> None:
    wavered = likeness("7ABC123", "7A8C123", vote("7A8C123", p2B=0.4))
    assert wavered > 50 * likeness("7ABC123", "7A8C123", vote("7A8C123"))
    assert wavered < likeness("7ABC123", "7ABC123", vote("7ABC123"))


@given(plates, plates)
def test_likeness_is_a_share(plate: str, text: str) -> None:
    whole = fold(normalise(text))
    assert 0 <= likeness(plate, whole, vote(whole)) <= 1
