"""The list in force on a unit: whatever comes or fails, there is a whole list or none."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from edge.hotlists import HotlistDesk
from hotlist_cache.match import Hotlist
from hotlist_cache.store import HotlistStore
from sync.errors import RefusedError, SyncError, UnreachableError
from sync.notice import HotlistNotice
from tests.clocks import FakeClock
from tests.hotlists import CONFIG, KEYS, NOW, STORAGE_KEY, a_list, an_entry


class Published:
    """A server that has one list, or a fault."""

    def __init__(self, data: bytes | None, sequence: int = 1) -> None:
        self.data = data
        self.sequence = sequence
        self.error: SyncError | None = None
        self.asked = 0

    def fetch_hotlist_notice(self) -> HotlistNotice | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        if self.data is None:
            return None
        return HotlistNotice(self.sequence, hashlib.sha256(self.data).hexdigest(), len(self.data))

    def fetch_hotlist(self, notice: HotlistNotice, into: Path) -> None:
        assert self.data is not None
        into.write_bytes(self.data)


class Desk:
    """A desk with a folder, a clock set to when the lists are fresh, and the list it put in force."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock(NOW)
        self.in_force: list[Hotlist | None] = []
        store = HotlistStore(folder, storage_key=STORAGE_KEY, keys=KEYS, config=CONFIG)
        self.desk = HotlistDesk(store, CONFIG, self.clock, scratch=folder, put_in_force=self.in_force.append)
        self.desk.load()


@pytest.fixture
def opened(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_unit_without_a_list_says_so(opened: Desk) -> None:
    assert opened.in_force == [None]
    health = opened.desk.health(NOW)
    assert (health.sequence, health.last_error) == (0, "no hotlist yet: connect to the department")


def test_published_list_comes_into_force_and_survives_a_restart(opened: Desk) -> None:
    opened.desk.work(Published(a_list([an_entry("TEST123")])))
    assert opened.desk.health(NOW).entries == 1
    assert opened.in_force[-1] is not None
    again = Desk(opened.folder)
    assert again.desk.sequence == 1
    assert again.in_force[-1] is not None


def test_download_in_the_clear_does_not_stay(opened: Desk) -> None:
    opened.desk.work(Published(a_list([an_entry("TEST123")])))
    assert not list(opened.folder.glob("*.download"))
    assert not any(b"TEST123" in path.read_bytes() for path in opened.folder.iterdir())


def test_broken_list_leaves_the_one_in_force(opened: Desk) -> None:
    opened.desk.work(Published(a_list([an_entry("TEST123")])))
    good = opened.in_force[-1]
    data = bytearray(a_list([an_entry("OTHER99")], 2))
    data[-1] ^= 1
    opened.desk.look_soon()
    opened.desk.work(Published(bytes(data), 2))
    assert opened.in_force[-1] is good
    assert (opened.desk.sequence, bool(opened.desk.last_error)) == (1, True)
    assert not list(opened.folder.glob("*.download"))


@pytest.mark.parametrize("error", [UnreachableError("nobody there"), RefusedError("no", status=403)])
def test_server_that_fails_leaves_the_list_and_is_asked_again(opened: Desk, error: SyncError) -> None:
    server = Published(a_list([an_entry("TEST123")]))
    opened.desk.work(server)
    server.error = error
    opened.desk.look_soon()
    wait_s = opened.desk.work(server)
    assert opened.desk.sequence == 1
    assert opened.desk.last_error == str(error)
    opened.clock.advance(wait_s)
    server.error = None
    opened.desk.work(server)
    assert opened.desk.last_error == ""


def test_server_is_left_alone_until_it_is_time(opened: Desk) -> None:
    server = Published(None)
    wait_s = opened.desk.work(server)
    assert opened.desk.work(server) == pytest.approx(wait_s)
    assert server.asked == 1
    opened.desk.look_soon()
    opened.desk.work(server)
    assert server.asked == 2


def test_damaged_list_on_disk_means_no_list_until_the_next(opened: Desk) -> None:
    opened.desk.work(Published(a_list([an_entry("TEST123")])))
    for path in opened.folder.glob("hotlist*"):
        path.write_bytes(path.read_bytes()[:-20])
    again = Desk(opened.folder)
    assert again.in_force == [None]
    assert "NO LIST" in again.desk.health(NOW).last_error
    again.desk.work(Published(a_list([an_entry("TEST123")])))
    assert again.in_force[-1] is not None


def test_old_list_is_stale(opened: Desk) -> None:
    opened.desk.work(Published(a_list([an_entry("TEST123")])))
    assert not opened.desk.health(NOW).stale
    assert opened.desk.health(NOW + timedelta(hours=CONFIG.max_age_h)).stale
