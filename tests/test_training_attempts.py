"""What counts as right of a read: its text, its characters, its issuer."""

import pytest

from recognizer import JurisdictionOpinion
from recognizer.plate import Jurisdiction, Plate
from training.attempts import (
    Attempt,
    alignment,
    character_accuracy,
    jurisdiction_shares,
    names_issuer,
    reading_shares,
)


def attempt(
    truth: str, text: str, jurisdiction: str = "", said: str | None = None, sure: float = 0.8
) -> Attempt:
    opinion = None if said is None else JurisdictionOpinion(Jurisdiction(said), sure)
    return Attempt(Plate(truth), Plate(text), (0.9,) * len(text), jurisdiction, opinion)


def test_look_alikes_are_wrong_exactly_but_right_folded() -> None:
    shares = reading_shares([attempt("7ABC120", "7ABC120"), attempt("7ABC120", "7ABC12O")])
    assert (shares["exact"], shares["exact_folded"]) == (0.5, 1.0)
    assert shares["char_accuracy"] == pytest.approx((1 + 6 / 7) / 2)


def test_one_character_too_many_costs_one_character() -> None:
    assert alignment("ABC123", "AXBC123") == (1, (True, False, True, True, True, True, True))
    assert alignment("ABC123", "ABC13") == (1, (True,) * 5)
    assert alignment("ABC", "") == (3, ())


def test_text_with_nothing_in_common_has_no_accuracy() -> None:
    assert character_accuracy("ABC", "XYZ") == 0.0
    assert character_accuracy("ABC", "") == 0.0
    assert character_accuracy("", "") == 1.0


@pytest.mark.parametrize(
    ("said", "truth", "right"),
    [
        ("US-CA", "US-CA", True),
        ("US-NV", "US-CA", False),
        ("US", "US-CA", False),
        ("US", "US", True),
        ("US-CA", "US", True),
        ("PL", "PL", True),
        ("DE", "PL", False),
    ],
)
def test_country_alone_is_never_right_about_a_state(said: str, truth: str, right: bool) -> None:
    assert names_issuer(JurisdictionOpinion(Jurisdiction(said), 0.4), truth) is right
    assert names_issuer(None, truth) is False


def test_country_is_compared_for_those_who_know_no_states() -> None:
    shares = jurisdiction_shares(
        [
            attempt("A1", "A1", "US-CA", "US"),
            attempt("A2", "A2", "US-CA", "US-CA"),
            attempt("A3", "A3", "PL", "DE"),
            attempt("A4", "A4", "PL", None),
            attempt("A5", "A5", "", "FR"),
        ]
    )
    assert (shares["jurisdiction"], shares["country"]) == (0.25, 0.5)


def test_opinion_less_likely_than_all_others_together_is_not_shown() -> None:
    shares = jurisdiction_shares(
        [
            attempt("A1", "A1", "US-CA", "US-CA", sure=0.5),
            attempt("A2", "A2", "US-CA", "US-NV", sure=0.9),
            attempt("A3", "A3", "US-CA", "US-CA", sure=0.49),
        ]
    )
    assert shares["jurisdiction"] == pytest.approx(2 / 3)
    assert (shares["likely"], shares["right_when_likely"]) == (pytest.approx(2 / 3), 0.5)


def test_without_a_known_issuer_nothing_is_said_of_issuers() -> None:
    assert jurisdiction_shares([attempt("A1", "A1", "", "US-CA")]) == {}
    assert "right_when_likely" not in jurisdiction_shares([attempt("A1", "A1", "US-CA", None)])
