"""The benchmark of a car that comes back measures a real store and a real server."""

from pathlib import Path

import pytest

from edge.bench_transfer import Figure, measure
from edge.bench_upload import BenchUnavailableError


def test_every_read_is_stored_and_those_asked_for_are_receipted(tmp_path: Path) -> None:
    told: list[str] = []
    figures = {figure.what.strip(): figure.value for figure in measure(tmp_path, 500, 400, told.append)}
    assert told == ["500 reads are stored", "400 reads go to the department"]
    assert figures["reads held, 9 kB each with their picture"] == 500
    assert figures["reads in it"] == 400, "what has its receipt leaves, and nothing else"
    assert 9000 < figures["a read in it"] < 40_000
    assert all(value > 0 for value in figures.values())


def test_more_than_is_held_cannot_be_sent(tmp_path: Path) -> None:
    with pytest.raises(BenchUnavailableError, match="no more"):
        measure(tmp_path, 200, 201, lambda said: None)


def test_a_goal_that_is_missed_is_said() -> None:
    assert Figure("a way up", 9.9, "min", 10.0).line == ("a way up", "9.9 min", "< 10", "reached")
    assert Figure("a way up", 10.1, "min", 10.0).line[3] == "missed"
