"""The roster on the unit: sealed, newer ones only, and a damaged one is none."""

from pathlib import Path

import pytest

from edge.errors import RosterRefusedError
from edge.roster import ROSTER_NAME, RosterStore
from sync.roster import encode_roster
from tests.pages import a_roster

KEY = bytes(range(32))


def test_a_roster_is_in_force_after_a_restart(tmp_path: Path) -> None:
    store = RosterStore(tmp_path, KEY)
    assert store.roster is None and store.version == 0
    store.install(encode_roster(a_roster(3)))
    assert RosterStore(tmp_path, KEY).roster == a_roster(3)


def test_neither_names_nor_hashes_can_be_read_in_the_file(tmp_path: Path) -> None:
    RosterStore(tmp_path, KEY).install(encode_roster(a_roster()))
    data = (tmp_path / ROSTER_NAME).read_bytes()
    assert b"reyes" not in data and b"argon2" not in data


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_older_roster_or_the_same_again_is_refused(tmp_path: Path, version: int) -> None:
    store = RosterStore(tmp_path, KEY)
    store.install(encode_roster(a_roster(3)))
    with pytest.raises(RosterRefusedError, match="not newer"):
        store.install(encode_roster(a_roster(version, disabled=True)))
    assert store.roster == a_roster(3) == RosterStore(tmp_path, KEY).roster


def test_what_is_no_roster_leaves_the_one_held(tmp_path: Path) -> None:
    store = RosterStore(tmp_path, KEY)
    store.install(encode_roster(a_roster(3)))
    with pytest.raises(RosterRefusedError, match="the roster held stays"):
        store.install(b"no roster")
    assert store.roster == a_roster(3)


def test_a_damaged_file_is_no_roster_and_the_next_one_is_taken(tmp_path: Path) -> None:
    RosterStore(tmp_path, KEY).install(encode_roster(a_roster(3)))
    (tmp_path / ROSTER_NAME).write_bytes(b"damaged")
    store = RosterStore(tmp_path, KEY)
    assert store.roster is None
    assert store.install(encode_roster(a_roster(3))).version == 3
