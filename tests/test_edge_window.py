"""The unit finds and opens its own reads inside the local window, and afterwards nobody there can."""

import base64
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge.window import MOST_READS, Near
from sync.config import RetentionConfig
from sync.seal import EpochOpener
from sync.window import Slot
from tests.units import readable_in, spellings
from tests.windows import ALWAYS, DEPARTMENT, STORAGE_KEY, TOWN, UnitStore, opened_by_thief, seized

HOUR = 3600.0
PLATE = "QXZ7734"


@pytest.fixture
def unit(tmp_path: Path) -> UnitStore:
    (tmp_path / "state").mkdir()
    return UnitStore(tmp_path / "state")


def secrets_in(folder: Path, slots: tuple[Slot, ...]) -> list[str]:
    """Which of the slots' secrets stand in any file of *folder*, raw or in a text form, with the file."""
    found = []
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for slot in slots:
            for key in (slot.secret, slot.wrapping_key):
                forms = (key, key[::-1], key.hex().encode(), base64.b64encode(key)[:40])
                found += [path.name for form in forms if form in content]
    return found


def test_restarted_unit_finds_a_read_by_plate_part_and_place(unit: UnitStore) -> None:
    read_id = unit.keep(PLATE, prefix="CB", hit=True)
    unit.keep("8ABC123", place=(TOWN[0] + 0.05, TOWN[1]))
    unit.restart(3 * HOUR, monotonic_from_zero=True)
    for text in (PLATE, "CB" + PLATE, PLATE + "CB", PLATE.lower(), "QX?77*", "*7734", "CBQ*"):
        assert unit.find(text) == [read_id], text
    assert unit.find("", Near(*TOWN)) == [read_id]
    assert unit.find("Q*", Near(*TOWN)) == [read_id]
    for text in ("QXZ773", "QXZ7735", "QX?7", "8ABC12"):
        assert unit.find(text) == []
    (read,) = unit.search(PLATE)
    assert (read.plate, read.prefix, read.jurisdiction, read.camera) == (PLATE, "CB", "US-CA", "front")
    assert read.jpeg.startswith(b"\xff\xd8")
    assert read.place is not None and (read.place.latitude_deg, read.place.longitude_deg) == TOWN
    assert [hit.entry_id for hit in read.hits] == ["entry-1"]
    unit.stop()


def test_o_and_0_and_i_and_1_count_alike(unit: UnitStore) -> None:
    read_id = unit.keep("7OI0123")
    for text in ("70I0123", "7O1O123", "7oi*", "?0?0123"):
        assert unit.find(text) == [read_id]
    unit.stop()


def test_newest_comes_first_within_the_times_and_the_limit(unit: UnitStore) -> None:
    ids = []
    for _ in range(6):
        ids.append(unit.keep(PLATE))
        unit.pass_time(0.7 * HOUR)
    assert unit.find(PLATE) == ids[::-1]
    assert unit.find("Q*", limit=2) == ids[:-3:-1]
    assert unit.find(PLATE, limit=10**9) == ids[::-1] and MOST_READS >= 50
    second, third = (read.utc for read in unit.search(PLATE)[-2:-4:-1])
    within = unit.window.search(PLATE, since=second, until=third)
    assert [read.read_id for read in within] == [ids[2], ids[1]]
    unit.stop()


def test_place_is_a_circle_and_a_read_without_one_is_in_none(unit: UnitStore) -> None:
    here = unit.keep(PLATE)
    unit.keep(PLATE, place=None)
    beside = unit.keep(PLATE, place=(TOWN[0] + 200 / 111_195, TOWN[1]))
    assert unit.find(PLATE, Near(*TOWN, radius_m=150)) == [here]
    assert set(unit.find("", Near(*TOWN, radius_m=250))) == {here, beside}
    assert len(unit.find(PLATE)) == 3
    unit.stop()


@pytest.mark.parametrize("text", ["", "Q%", "Q.", "Q-1", "\u0416*", "Q\n"])
def test_question_that_means_nothing_is_refused(unit: UnitStore, text: str) -> None:
    with pytest.raises(ValueError, match="plate"):
        unit.find(text)
    with pytest.raises(ValueError, match="radius"):
        unit.find("Q*", Near(*TOWN, radius_m=50_000))
    unit.stop()


def test_corrected_read_is_found_as_what_it_was_corrected_to(unit: UnitStore) -> None:
    first = unit.keep("QXZ7784")
    unit.pass_time(1.2 * HOUR)
    second = unit.keep(PLATE, revises=first)
    assert unit.find("QXZ7784") == []
    assert unit.find("QXZ*") == [second]
    unit.stop()


def test_index_goes_on_after_a_restart_within_the_same_slot(unit: UnitStore) -> None:
    ids = []
    for _ in range(5):
        ids.append(unit.keep(PLATE))
        unit.restart(1.0)
    assert len(unit.slots.alive) == 1
    assert unit.find(PLATE) == unit.find("*") == ids[::-1]
    unit.stop()


def test_read_can_be_opened_for_three_quarters_of_the_window_and_no_longer_than_it(unit: UnitStore) -> None:
    unit.pass_time(0.9 * HOUR)
    unit.keep(PLATE)
    unit.pass_time(22.9 * HOUR)
    assert len(unit.find(PLATE)) == 1
    unit.pass_time(1.1 * HOUR)
    assert unit.find(PLATE) == unit.find("*") == unit.find("", Near(*TOWN)) == []
    unit.stop()


def test_closed_epoch_leaves_no_key_and_no_index_and_the_read_stays_for_the_department(
    unit: UnitStore,
) -> None:
    unit.keep(PLATE)
    old = unit.slots.alive
    unit.pass_time(25 * HOUR)
    assert unit.slots.alive == ()
    assert unit.outbox.window_slots() == frozenset()
    assert secrets_in(unit.folder, old) == []
    assert unit.keeper.counts.queued == 1
    batch = unit.acknowledge()
    opener = EpochOpener(batch.epochs[0], DEPARTMENT)
    assert PLATE.encode() in opener.open(batch.reads[0])
    unit.stop()


def test_read_with_its_receipt_stays_for_the_window_and_leaves_with_its_key(unit: UnitStore) -> None:
    unit.keep(PLATE)
    unit.acknowledge()
    unit.pass_time(20 * HOUR)
    assert (len(unit.find(PLATE)), unit.keeper.counts.acknowledged) == (1, 1)
    unit.pass_time(5 * HOUR)
    assert (unit.keeper.counts.acknowledged, unit.keeper.purged) == (0, 1)
    unit.stop()


def test_seized_unit_gives_the_reads_inside_the_window_and_none_of_a_closed_epoch(
    unit: UnitStore, tmp_path: Path
) -> None:
    closed: set[str] = set()
    inside: set[str] = set()
    for hour in range(30):
        (closed if hour < 7 else inside).add(unit.keep(f"7ABC{hour:03}"))
        unit.pass_time(HOUR)
    for number in range(2):
        # Taken while it runs, with all journals, and switched off: the same.
        state = seized(unit.folder, tmp_path / f"thief-{number}")
        opened = opened_by_thief(state, [STORAGE_KEY, bytes(32)], [b""])
        assert opened & closed == set()
        assert opened == inside
        unit.stop() if number == 0 else None
    assert opened_by_thief(seized(unit.folder, tmp_path / "no-key"), [bytes(32)], [b""]) == set()


def test_unit_off_for_longer_than_its_window_destroys_it_before_anything_else(
    unit: UnitStore, tmp_path: Path
) -> None:
    unit.keep(PLATE)
    old = unit.slots.alive
    unit.restart(30 * HOUR, monotonic_from_zero=True)
    assert secrets_in(unit.folder, old) == []
    assert opened_by_thief(seized(unit.folder, tmp_path / "thief"), [STORAGE_KEY], [b""]) == set()
    unit.stop()


def test_power_cut_right_after_a_commit_leaves_a_read_that_is_found(unit: UnitStore, tmp_path: Path) -> None:
    ids = []
    for number in range(4):
        ids.append(unit.keep(PLATE))
        unit.pass_time(0.6 * HOUR)
        # Nothing was ended: the files as they lie on the disk at this moment.
        after = UnitStore(seized(unit.folder, tmp_path / f"cut-{number}"))
        after.stop()
        after.clock.start, after.clock.monotonic_ns = unit.clock.now().utc, 0
        after.start()
        assert after.find(PLATE) == ids[::-1]
        after.keep("8ABC123")
        assert len(after.find("*")) == len(ids) + 1
        after.stop()
    unit.stop()


def test_power_cut_between_the_secret_and_the_first_read_costs_nothing(
    unit: UnitStore, tmp_path: Path
) -> None:
    slot = unit.slots.at(unit.clock.now(), hit=False)
    after = UnitStore(seized(unit.folder, tmp_path / "cut"))
    assert after.slots.alive == (slot,)
    read_id = after.keep(PLATE)
    assert (after.find(PLATE), after.slots.alive) == ([read_id], (slot,))
    for each in (after, unit):
        each.stop()


def test_no_plate_place_or_secret_can_be_read_in_the_state_directory(unit: UnitStore) -> None:
    for hour in range(26):
        unit.keep(PLATE, prefix="CB", hit=hour % 3 == 0)
        unit.pass_time(HOUR)
    unit.find("*")
    assert readable_in(unit.folder, [PLATE, "QXZ7"]) == []
    assert secrets_in(unit.folder, unit.slots.alive) == []
    unit.stop()
    assert readable_in(unit.folder, [PLATE, "QXZ7"]) == []


def test_the_scan_for_secrets_sees_one(unit: UnitStore, tmp_path: Path) -> None:
    unit.keep(PLATE)
    (tmp_path / "leak").write_bytes(b"x" + unit.slots.alive[0].wrapping_key.hex().encode())
    assert secrets_in(tmp_path, unit.slots.alive) == ["leak"]
    assert all(spellings(PLATE))
    unit.stop()


def rows(folder: Path) -> list[tuple[bytes, bytes]]:
    connection = apsw.Connection(str(folder / "outbox.db"))
    found: list[Any] = connection.execute("SELECT token, card FROM window_index").fetchall()
    connection.close()
    return found


def test_rows_of_the_index_tell_neither_repetition_nor_length_nor_anything_of_another_unit(
    tmp_path: Path,
) -> None:
    seen: list[list[tuple[bytes, bytes]]] = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        unit = UnitStore(tmp_path / name)
        for plate in (PLATE, PLATE, "A1", "7ABC123"):
            unit.keep(plate)
        unit.stop()
        seen.append(rows(tmp_path / name))
    # Every read, its plate, its place: three rows each, and no two alike though plate and place are.
    assert [len(each) for each in seen] == [12, 12]
    tokens = [token for each in seen for token, _ in each]
    assert len(set(tokens)) == len(tokens)
    assert len({len(card) for each in seen for _, card in each}) == 1


@pytest.mark.parametrize("retention", [RetentionConfig(local_window_h=0)])
def test_without_a_window_no_key_is_kept_and_nothing_found(
    tmp_path: Path, retention: RetentionConfig
) -> None:
    unit = UnitStore(tmp_path, retention)
    unit.keep(PLATE, hit=True)
    assert unit.find(PLATE) == unit.find("*") == []
    assert not (tmp_path / "window.keys").exists()
    assert (unit.outbox.window_slots(), rows(tmp_path), unit.slots.alive) == (frozenset(), [], ())
    unit.stop()


def test_window_that_is_taken_away_in_the_profile_ends_with_the_next_start(unit: UnitStore) -> None:
    unit.keep(PLATE)
    old = unit.slots.alive
    unit.stop()
    unit.retention = RetentionConfig(local_window_h=0)
    unit.start()
    assert unit.find(PLATE) == []
    assert (unit.outbox.window_slots(), secrets_in(unit.folder, old)) == (frozenset(), [])
    assert opened_by_thief(unit.folder, [STORAGE_KEY], [b""]) == set()
    unit.stop()


def test_non_hits_leave_the_window_after_minutes_and_hits_stay(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path, RetentionConfig(non_hit_window_min=3))
    hit, other = unit.keep(PLATE, hit=True), unit.keep("8ABC123")
    unit.pass_time(120)
    assert (unit.find(PLATE), unit.find("8ABC123")) == ([hit], [other])
    unit.pass_time(61)
    assert (unit.find("*"), unit.find("8ABC123")) == ([hit], [])
    assert len(unit.outbox.window_slots()) == 1
    for _ in range(2):  # hits travel in batches of their own
        unit.acknowledge()
    unit.pass_time(61)
    assert (unit.keeper.counts.acknowledged, unit.keeper.purged) == (1, 1)
    unit.restart()
    assert unit.find("*") == [hit]
    unit.stop()


def test_keys_of_a_window_of_minutes_are_never_written_down(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path, RetentionConfig(local_window_h=1.0))
    unit.keep(PLATE)
    assert len(unit.find(PLATE)) == 1
    assert not (tmp_path / "window.keys").exists()
    unit.restart()
    assert unit.find(PLATE) == []
    assert unit.outbox.window_slots() == frozenset()
    unit.stop()


def test_non_hits_without_a_window_are_not_found_and_hits_are(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path, RetentionConfig(non_hit_window_min=0))
    hit = unit.keep(PLATE, hit=True)
    unit.keep("8ABC123")
    assert unit.find("*") == [hit]
    unit.stop()


def test_look_up_goes_on_in_other_threads_while_the_keeper_writes_and_purges(unit: UnitStore) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                unit.find("*", limit=5)
                unit.find(PLATE)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        unit.keep(PLATE)
        unit.acknowledge()
        unit.pass_time(2 * HOUR)
    done.set()
    for thread in threads:
        thread.join(20)
    assert failures == []
    assert len(unit.find(PLATE)) >= 10
    unit.stop()


def test_altered_card_is_left_out_and_the_others_are_found(unit: UnitStore) -> None:
    first = unit.keep(PLATE)
    unit.pass_time(1)
    second = unit.keep(PLATE)
    connection = apsw.Connection(str(unit.folder / "outbox.db"))
    token = next(s.token(b"plate:QXZ7734", 0) for s in unit.slots.alive)
    connection.execute("UPDATE window_index SET card = zeroblob(124) WHERE token = ?", (token,))
    connection.close()
    assert unit.find(PLATE) == [second]
    assert unit.find("*") == [second, first]
    unit.stop()


def test_index_that_cannot_be_asked_costs_the_finding_and_not_the_read(
    unit: UnitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sync.errors import DiskFullError

    def failing(slot: int, token: bytes) -> bool:
        raise DiskFullError("the disk fails")

    monkeypatch.setattr(unit.keeper._sealing, "_has_token", failing)
    unit.keep(PLATE)
    assert (unit.keeper.counts.queued, unit.find("*")) == (1, [])
    unit.stop()


def test_clock_set_forward_ends_the_window_and_set_back_does_not_bring_it_again(unit: UnitStore) -> None:
    unit.keep(PLATE)
    unit.set_clock(timedelta(days=2))
    unit.keeper.due()
    assert unit.find(PLATE) == []
    unit.set_clock(-timedelta(days=2))
    unit.restart()
    assert unit.find(PLATE) == unit.find("*") == []
    assert ALWAYS[0] < ALWAYS[1]
    unit.stop()


def test_clock_set_back_lengthens_no_window(unit: UnitStore) -> None:
    unit.keep(PLATE)
    unit.set_clock(-timedelta(days=300))
    unit.pass_time(23.5 * HOUR)
    assert len(unit.find(PLATE)) == 1
    unit.pass_time(HOUR)
    assert unit.find(PLATE) == []
    unit.stop()
