"""The verification ladder: no rung is skipped, and nothing is confirmed that a rung speaks against."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotlist_cache.verification import ANSWERS, Disposition, Ladder, NotThisRungError, Rung

AT = datetime(2026, 6, 1, tzinfo=UTC)
STEPS = st.lists(
    st.sampled_from([(rung, answer) for rung, answers in ANSWERS.items() for answer in answers]), max_size=12
)


@given(STEPS)
def test_confirmed_means_that_every_rung_says_so(steps: list[tuple[Rung, str]]) -> None:
    ladder = Ladder()
    for rung, answer in steps:
        try:
            ladder = ladder.answered(rung, answer, by="reyes", at=AT)
        except NotThisRungError:
            continue
        if rung is Rung.DISPOSITION and answer == Disposition.CONFIRMED:
            given_ = {each: ladder.of(each) for each in Rung}
            told = {each: found.answer for each, found in given_.items() if found is not None}
            assert told[Rung.PLATE] == told[Rung.STATE] == "same" and told[Rung.CLETS] == "wanted"
            assert told[Rung.VEHICLE] in ("fits", "not listed")


@given(STEPS)
def test_no_rung_is_answered_before_the_one_below(steps: list[tuple[Rung, str]]) -> None:
    ladder = Ladder()
    for rung, answer in steps:
        try:
            ladder = ladder.answered(rung, answer, by="reyes", at=AT)
        except NotThisRungError:
            continue
        climbed = [each for each in Rung if each is not Rung.DISPOSITION and ladder.of(each) is not None]
        assert climbed == list(Rung)[: len(climbed)]


def test_a_rung_answered_anew_counts_with_its_last_answer_and_keeps_the_first() -> None:
    ladder = Ladder().answered(Rung.PLATE, "same", by="reyes", at=AT)
    ladder = ladder.answered(Rung.PLATE, "differs", by="tanaka", at=AT)
    assert [each.by for each in ladder.answers] == ["reyes", "tanaka"]
    found = ladder.of(Rung.PLATE)
    assert found is not None and (found.answer, found.by) == ("differs", "tanaka")


def test_a_misread_is_told_at_once() -> None:
    ladder = Ladder().answered(Rung.DISPOSITION, "misread", by="reyes", at=AT)
    assert ladder.disposition is Disposition.MISREAD


def test_an_answer_of_another_rung_is_refused() -> None:
    with pytest.raises(NotThisRungError, match="plate: give one of"):
        Ladder().answered(Rung.PLATE, "wanted", by="reyes", at=AT)
