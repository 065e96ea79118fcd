"""Queries drawn at random, and the marks that persons give them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from server.audit import Deed
from server.audit_period import Period
from server.audit_reviews import (
    MAX_NOTE,
    ReviewRefusedError,
    Verdict,
    draw,
    drawn,
    newest_review,
    review,
    sample_report,
)
from server.database import migrate, open_database, reading
from tests.auditors import MORNING, done, searched

DAY = Period(MORNING - timedelta(hours=1), MORNING + timedelta(hours=1))
DRAW, REVIEW = Deed("okafor", "audit.sample"), Deed("okafor", "audit.review", purpose="audit")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "log.sqlite")
    migrate(engine)
    for number in range(20):
        searched(engine, "reyes", f"TEST{number}")
        done(engine, "reyes", "login")
        done(engine, "unit:unit-07", "reads.search")
    yield engine
    engine.dispose()


def newest(log: Engine) -> tuple[str, str, str]:
    with reading(log) as connection:
        row = connection.execute(text("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1")).one()
    return row.action, row.outcome, row.detail


def test_a_sample_is_of_persons_queries_and_none_is_drawn_twice(log: Engine) -> None:
    first = draw(log, DAY, 15, DRAW, MORNING)
    second = draw(log, DAY, 15, DRAW, MORNING)
    assert (len(first), len(second), len({*first, *second})) == (15, 5, 20)
    assert all(int(sequence) % 3 == 1 for sequence in (*first, *second)), "every third entry is a search"
    assert newest(log)[:2] == ("audit.sample", "success")


def test_no_two_samples_are_alike(log: Engine, tmp_path: Path) -> None:
    samples = set()
    for number in range(5):
        engine = open_database(tmp_path / f"{number}.sqlite")
        migrate(engine)
        for plate in range(40):
            searched(engine, "reyes", f"TEST{plate}")
        samples.add(tuple(draw(engine, DAY, 20, DRAW, MORNING)))
        engine.dispose()
    assert len(samples) == 5


def test_queries_outside_the_period_are_not_drawn(log: Engine) -> None:
    late = Period(MORNING + timedelta(hours=1), MORNING + timedelta(hours=2))
    assert draw(log, late, 15, DRAW, MORNING) == []


@pytest.mark.parametrize("count", [0, -1, 501])
def test_a_sample_has_a_sensible_size(log: Engine, count: int) -> None:
    with pytest.raises(ReviewRefusedError, match="1 to 500"):
        draw(log, DAY, count, DRAW, MORNING)


def test_a_mark_is_kept_with_name_time_verdict_and_note(log: Engine) -> None:
    [sequence] = draw(log, DAY, 1, DRAW, MORNING)
    review(log, sequence, Verdict.QUESTION, " case does not fit ", deed=REVIEW, now=MORNING)
    with reading(log) as connection:
        [kept] = drawn(connection, None, waiting=False)
        assert drawn(connection, None, waiting=True) == []
        assert newest_review(connection) == (MORNING, 1)
    assert (kept.reviewed_by, kept.reviewed_at, kept.verdict) == ("okafor", MORNING, "question")
    assert kept.note == "case does not fit"
    row = sample_report([kept], DAY).rows[0]
    assert sample_report([kept], Period(DAY.end, DAY.end + timedelta(days=1))).rows == ()
    assert row[0] == int(sequence) and row[7:] == (
        "question",
        "okafor",
        "2026-03-02T10:00:00Z",
        "case does not fit",
    )


def test_a_mark_stands_in_the_access_log_too(log: Engine) -> None:
    [sequence] = draw(log, DAY, 1, DRAW, MORNING)
    review(log, sequence, Verdict.MISUSE, "a neighbour", deed=REVIEW, now=MORNING)
    action, outcome, detail = newest(log)
    assert (action, outcome) == ("audit.review", "success")
    assert '"verdict": "misuse"' in detail and "a neighbour" in detail


@pytest.mark.parametrize(
    ("who", "verdict", "note", "match"),
    [
        ("reyes", Verdict.IN_ORDER, "", "your own"),
        ("console:Reyes", Verdict.IN_ORDER, "", "your own"),
        ("okafor", Verdict.QUESTION, " ", "needs a note"),
        ("okafor", Verdict.MISUSE, "", "needs a note"),
        ("okafor", Verdict.IN_ORDER, "x" * (MAX_NOTE + 1), "at most"),
    ],
)
def test_a_mark_that_may_not_be_is_refused_and_the_refusal_kept(
    log: Engine, who: str, verdict: Verdict, note: str, match: str
) -> None:
    [sequence] = draw(log, DAY, 1, DRAW, MORNING)
    with pytest.raises(ReviewRefusedError, match=match):
        review(log, sequence, verdict, note, deed=Deed(who, "audit.review"), now=MORNING)
    assert newest(log)[:2] == ("audit.review", "refused")
    with reading(log) as connection:
        assert [each.verdict for each in drawn(connection, None)] == [""]


def test_a_verdict_stands(log: Engine) -> None:
    [sequence] = draw(log, DAY, 1, DRAW, MORNING)
    review(log, sequence, Verdict.MISUSE, "a neighbour", deed=REVIEW, now=MORNING)
    with pytest.raises(ReviewRefusedError, match="was judged by okafor"):
        review(log, sequence, Verdict.IN_ORDER, "", deed=Deed("chief", "audit.review"), now=MORNING)


def test_what_is_in_no_sample_cannot_be_judged(log: Engine) -> None:
    with pytest.raises(ReviewRefusedError, match="in no sample"):
        review(log, "1", Verdict.IN_ORDER, "", deed=REVIEW, now=MORNING)


@pytest.mark.parametrize(
    "place", ["", "x", "/", "unit-07/1/x", "-1", "²", "9" * 30, "unit-07/x/1", "unit-07/1/1"]
)
def test_a_place_that_is_none_is_refused(log: Engine, place: str) -> None:
    with pytest.raises(ReviewRefusedError, match=r"as it is shown|in no sample"):
        review(log, place, Verdict.IN_ORDER, "", deed=REVIEW, now=MORNING)
