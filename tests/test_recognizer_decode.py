"""Slots become positions, and stay the distributions they were."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer import InferenceFailedError, Jurisdiction
from recognizer.decode import opinion, positions

CHARACTERS = ("A", "B", "C", "")


def slots(*rows: tuple[float, ...]) -> npt.NDArray[np.float32]:
    return np.array(rows, np.float32)


def test_a_slot_in_which_nothing_stands_is_no_position() -> None:
    found = positions(slots((0.7, 0.2, 0.1, 0.0), (0.1, 0.1, 0.1, 0.7)), CHARACTERS)
    assert [position[0][0] for position in found] == ["A"]


def test_that_nothing_may_stand_there_is_kept_as_an_alternative() -> None:
    [position] = positions(slots((0.6, 0.0, 0.0, 0.4)), CHARACTERS)
    assert [character for character, _ in position] == ["A", ""]


@given(st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4, unique=True), st.floats(0.2, 5.0))
def test_temperature_changes_how_sure_but_never_what(parts: list[float], temperature: float) -> None:
    row = slots(tuple(part / sum(parts) for part in parts))
    plain, tempered = positions(row, CHARACTERS), positions(row, CHARACTERS, temperature)
    assert [p[0][0] for p in plain] == [p[0][0] for p in tempered]
    for before, after in zip(plain, tempered, strict=True):
        assert sum(share for _, share in after) <= 1.0 + 1e-5
        sharper = after[0][1] - before[0][1]
        assert sharper * (1.0 - temperature) >= -1e-5


def test_what_is_no_distribution_is_an_error() -> None:
    for row in ((0.5, 0.1, 0.1, 0.1), (1.5, -0.5, 0.0, 0.0), (float("nan"), 1.0, 0.0, 0.0)):
        with pytest.raises(InferenceFailedError, match="no probability distribution"):
            positions(slots(row), CHARACTERS)


def test_the_issuer_is_the_likeliest_and_unknown_is_none() -> None:
    codes = (Jurisdiction("US-CA"), None)
    found = opinion(np.array([0.8, 0.2], np.float32), codes)
    assert found is not None
    assert found.code == "US-CA"
    assert found.confidence == pytest.approx(0.8)
    assert opinion(np.array([0.2, 0.8], np.float32), codes) is None


def test_the_issuers_temperature_changes_how_sure_but_never_who() -> None:
    codes = (Jurisdiction("US-CA"), Jurisdiction("US-NV"))
    found = [opinion(np.array([0.6, 0.4], np.float32), codes, temperature) for temperature in (0.5, 1.0, 2.0)]
    confidences = [each.confidence for each in found if each is not None and each.code == "US-CA"]
    assert len(confidences) == 3
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[0] == pytest.approx(0.36 / 0.52)


def test_issuers_of_another_number_than_configured_are_an_error() -> None:
    with pytest.raises(InferenceFailedError, match="gave 3 regions, not 2"):
        opinion(np.array([0.8, 0.1, 0.1], np.float32), (Jurisdiction("PL"), None))
