"""What the server's benchmark measures is what it says it measures."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from recognizer.plate import fold, normalise
from server.bench import Figure
from server.bench_ingest import BATCH_READS, make_load, take_all
from server.bench_reads import (
    make_reads,
    search_alike,
    search_canvass,
    search_convoy,
    search_exact,
    search_partial,
    search_place,
)
from server.database import is_postgresql, reading
from server.department import Department
from server.records import ReadQuery, find_reads
from server.tables import evidence, reads
from tests.databases import Database
from tests.departments import NOW


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


def test_made_up_reads_are_as_many_as_asked_for_and_like_real_ones(department: Department) -> None:
    since = NOW - timedelta(days=70)
    assert make_reads(department.engine, 3000, since, NOW) == 3000
    with reading(department.engine) as connection:
        rows = connection.execute(select(reads)).all()
        if is_postgresql(connection):
            assert connection.exec_driver_sql("SELECT count(*) FROM read_ids").scalar_one() == 3000
            assert connection.exec_driver_sql("SELECT count(*) FROM reads_default").scalar_one() == 0
        shown = find_reads(connection, ReadQuery(rows[0].plate), 5, 0)
    assert len({row.read_id for row in rows}) == 3000
    assert all(row.plate_folded == fold(normalise(row.plate)) and len(row.plate) == 7 for row in rows)
    assert all(since - timedelta(seconds=1) <= row.settled_at < NOW + timedelta(minutes=1) for row in rows)
    assert len({row.plate for row in rows}) > 500
    assert rows[0].plate in {read.plate for read in shown}


def test_searches_of_the_benchmark_find_something(department: Department) -> None:
    since, chance = NOW - timedelta(days=2), random.Random(1)
    make_reads(department.engine, 3000, since, NOW)
    assert search_exact(department.engine, 20, chance).found >= 0.5
    assert search_partial(department.engine, 20, chance).found >= 1
    assert len(search_place(department.engine, 20, since, NOW, chance).ms) == 20
    assert search_alike(department.engine, 20, chance).found >= 1
    assert search_canvass(department.engine, 5, since, NOW, chance).found >= 1
    assert search_convoy(department.engine, 5, NOW, chance).found >= 0


def test_batches_of_the_benchmark_are_taken_whole(department: Department, tmp_path: Path) -> None:
    load = make_load(department, tmp_path / "unit", "bench", batches=2, jpeg_bytes=8200, now=NOW)
    assert 9000 < len(load.batches[0].payload) / BATCH_READS < 10_000
    assert len(take_all(department, load, NOW)) == 2
    with reading(department.engine) as connection:
        for table in (reads, evidence):
            count = connection.execute(select(func.count()).select_from(table)).scalar_one()
            assert count == 2 * BATCH_READS


@pytest.mark.parametrize(
    ("value", "target", "least", "verdict"),
    [
        (49.0, 50.0, False, "reached"),
        (51.0, 50.0, False, "missed"),
        (3001.0, 3000.0, True, "reached"),
        (2999.0, 3000.0, True, "missed"),
        (1.0, None, False, ""),
    ],
)
def test_a_figure_says_whether_it_reached_its_target(
    value: float, target: float | None, least: bool, verdict: str
) -> None:
    assert Figure("x", value, "ms", target, least=least).verdict == verdict
