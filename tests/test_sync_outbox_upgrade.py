"""A unit's store as the program of before wrote it, taken up by this one: nothing is lost, nothing changes.

`tests/vectors/unit-of-before` was written by that program (outbox of version 2), in the middle of a shift:
one read with its receipt, two in a batch on its way, two that wait. Two of the four are hits, of which that
version kept no note.
"""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.batch import SignedBatch, encode_payload
from tests import windows
from tests.fakes import UNIT
from tests.windows import UnitStore

BEFORE = Path(__file__).parent / "vectors" / "unit-of-before"
READS = [f"{number:032x}" for number in range(1, 6)]
ON_ITS_WAY = "7d2431a2e792e75f0f18c2393a95cefa45bd085bdaa8b404606be3bb7c859f5f"
"""SHA-256 of the batch that was made before."""


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UnitStore]:
    monkeypatch.setattr(windows, "_numbers", itertools.count(100))  # its reads have the first names
    shutil.copy(BEFORE / "outbox.2.db", tmp_path / "outbox.db")
    shutil.copy(BEFORE / "window.keys", tmp_path / "window.keys")
    opened = UnitStore(tmp_path)
    yield opened
    opened.stop()


def test_every_read_is_there_still_waits_and_is_found_on_the_unit(unit: UnitStore) -> None:
    counts = unit.keeper.counts
    assert (counts.queued, counts.acknowledged, counts.hits) == (4, 1, 0)
    assert sorted(unit.find("7ABC12?")) == READS


def test_the_batch_on_its_way_is_sent_again_with_the_same_bytes(unit: UnitStore) -> None:
    batch = unit.outbox.make_batch(
        unit_id=UNIT, limit_reads=1, limit_bytes=1, now=unit.clock.now().utc, hits=False
    )
    assert batch is not None
    assert SignedBatch(batch.batch_id, encode_payload(batch), b"").digest.hex() == ON_ITS_WAY
    assert [read.read_id for read in batch.reads] == READS[1:3]


def test_what_comes_now_and_is_a_hit_goes_before_all_that_and_the_rest_in_its_order(unit: UnitStore) -> None:
    hit = unit.keep("7ABC999", hit=True)
    sent = [[read.read_id for read in unit.acknowledge().reads] for _ in range(3)]
    assert sent == [[hit], READS[1:3], READS[3:]]
    unit.pass_time(25 * 3600)
    unit.pass_time(60)
    assert (unit.keeper.counts.queued, unit.keeper.purged, unit.find("*")) == (0, 6, [])
