"""Confidence is held to what it promises."""

from pathlib import Path

import pytest

from recognizer.config import RecognizerConfig
from recognizer.plate import Plate
from training.attempts import Attempt
from training.coverage import (
    NAMED_POINTS,
    OPERATING_POINT,
    THRESHOLDS,
    calibration_error,
    calibration_figures,
    curve,
    draw,
    point,
    point_figures,
)


def attempt(text: str, *confidences: float, truth: str = "AB1", surely_plate: bool = True) -> Attempt:
    return Attempt(Plate(truth), Plate(text), confidences, "", None, surely_plate)


FOUR = [
    attempt("AB1", 0.99, 0.97, 0.95),
    attempt("ABI", 0.9, 0.9, 0.92),
    attempt("AB7", 0.99, 0.99, 0.6),
    attempt(""),
]


def test_lower_threshold_gives_out_more_and_misreads_more() -> None:
    high, low = curve(FOUR, (0.9, 0.5))
    assert (high.coverage, high.misreads_per_1000) == (0.5, 0.0), "I for 1 is no misread"
    assert (low.coverage, low.misreads_per_1000) == (0.75, pytest.approx(1000 / 3))


def test_unread_plate_is_never_given_out() -> None:
    assert point([attempt("")], 0.0).coverage == 0.0


def test_read_of_what_is_not_surely_a_plate_is_not_given_out() -> None:
    doubtful = attempt("AB1", 0.99, 0.99, 0.99, surely_plate=False)
    assert point([doubtful], 0.5).coverage == 0.0


def test_where_nothing_is_given_out_there_is_no_rate_of_misreads() -> None:
    nothing = point(FOUR, 0.999)
    assert nothing.misreads_per_1000 is None
    assert point_figures(nothing) == {"coverage": 0.0}


def test_operating_point_is_the_units_own() -> None:
    config = RecognizerConfig()
    assert config.single_frame_confidence == OPERATING_POINT
    assert set(NAMED_POINTS) == {
        config.single_frame_confidence,
        config.sure_confidence,
        config.min_confidence,
    }
    assert set(NAMED_POINTS) <= set(THRESHOLDS)


def test_calibrated_confidences_have_no_error() -> None:
    assert calibration_error([0.75] * 4, [True, True, True, False]) == pytest.approx(0.0)


def test_overconfidence_and_underconfidence_do_not_cancel_out() -> None:
    # Two in the last bin say 0.95 and are right half the time; two say 0.05 and are right half the time.
    error = calibration_error([0.95, 0.95, 0.05, 0.05], [True, False, True, False])
    assert error == pytest.approx(0.45)


def test_certainty_belongs_to_the_last_bin() -> None:
    assert calibration_error([1.0, 0.95], [True, True]) == pytest.approx(0.025)


def test_each_character_is_held_to_its_own_confidence() -> None:
    figures = calibration_figures([attempt("AB7", 1.0, 1.0, 0.0)])
    assert figures == {"ece_weakest": pytest.approx(0.0), "ece_character": pytest.approx(0.0)}
    # The whole text is wrong, and two of three characters are as well.
    figures = calibration_figures([attempt("XX1", 1.0, 1.0, 1.0)])
    assert figures == {"ece_weakest": pytest.approx(1.0), "ece_character": pytest.approx(2 / 3)}


def test_curve_is_drawn_for_every_pool(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the curve needs matplotlib, of the training environment")
    draw({"ours": FOUR, "nothing read": [attempt("")]}, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
