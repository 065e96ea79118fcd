import tomllib
from pathlib import Path

import pytest

from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.snapshot import open_snapshot, read_header, verify_snapshot
from tests.hotlists import CONFIG, KEYS, NOW
from tests.vectors.snapshots_make import ENTRIES, make

FOLDER = Path(__file__).parent / "vectors" / "snapshots"
EXPECTED: dict[str, str] = tomllib.loads((FOLDER / "expected.toml").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_vector_is_accepted_or_rejected_as_it_says(name: str) -> None:
    data = (FOLDER / f"{name}.snapshot").read_bytes()
    in_force = read_header((FOLDER / "good.snapshot").read_bytes())
    if not EXPECTED[name]:
        verify_snapshot(data, keys=KEYS, now=NOW, in_force=in_force, config=CONFIG)
        return
    with pytest.raises(SnapshotRejectedError, match=EXPECTED[name]) as rejected:
        verify_snapshot(data, keys=KEYS, now=NOW, in_force=in_force, config=CONFIG)
    message = str(rejected.value)
    assert "\n" not in message and not any(entry.pattern in message for entry in ENTRIES)


def test_every_vector_says_what_is_expected_of_it() -> None:
    assert {path.stem for path in FOLDER.glob("*.snapshot")} == set(EXPECTED)


def test_entries_of_the_good_vector_are_those_that_went_in() -> None:
    snapshot = open_snapshot((FOLDER / "good.snapshot").read_bytes(), keys=KEYS)
    assert sorted(snapshot.entries(), key=lambda entry: entry.entry_id) == ENTRIES


def test_encoder_still_writes_what_units_in_service_read() -> None:
    # Not byte for byte: how short a text is deflated is the library's own business.
    made, kept = make()["good"], (FOLDER / "good.snapshot").read_bytes()
    assert read_header(made).shape == read_header(kept).shape
    assert read_header(made).content == read_header(kept).content
