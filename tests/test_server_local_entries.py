"""What the department makes of local entries: who may offer one, whom it reaches, and how it ends."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.local import LocalBook
from hotlist_cache.snapshot import open_snapshot
from recognizer.plate import Jurisdiction
from server import clock, hotlist_commands
from server.cli import app
from server.database import reading
from server.errors import HotlistRefusedError
from server.intake import Intake
from server.local_books import LocalBooks
from server.local_entries import known, offer, refuse
from server.local_publishing import AGAIN_AFTER, Bringing, bring
from server.tables import audit, local_entries
from sync.local_book import encode_book, sent_book
from sync.trust_values import URGENT_PATH
from tests.departments import Unit, a_department, a_unit, audited
from tests.hotlists import STORAGE_KEY

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
ANNE, BERT = "console:anne", "console:bert"


class Scene:
    """A department with a published list of four, and a unit whose officers add entries."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.folder = folder
        self.department = a_department(folder / "department")
        self.unit = a_unit(self.department, folder / "unit")
        ids = iter(range(1000))
        self.book = LocalBook(folder, storage_key=STORAGE_KEY, new_id=lambda: f"{next(ids)}")
        intake = Intake(self.department.engine, self.department.keys, folder / "quarantine")
        self._books = LocalBooks(self.department.engine, self.department.keys, intake)
        listed = [
            Entry(f"e{n}", f"1TST00{n}", Jurisdiction("US-CA"), "Stolen vehicle", "stolen", Priority.MEDIUM)
            for n in range(4)
        ]
        self.department.hotlists.replace_feed("stolen", listed, actor=ANNE, now=NOW)
        self.publish()

    def publish(self) -> None:
        """What `alpr-server hotlist publish` does."""
        hotlists = self.department.hotlists
        hotlists.publish(self.department.keys, expires_at=self.now + 3 * DAY, actor=ANNE, now=self.now)
        self.department.publications.bring_list(hotlists, self.department.keys, self.now)

    def add(self, plate: str = "7ABC123", priority: Priority = Priority.HIGH, **change: Any) -> str:
        given: dict[str, Any] = {
            "state": "US-CA",
            "officer": "Officer 12",
            "purpose": "Burglary",
            "case_number": "26-1",
            "now": self.now,
            "lasting": 5 * DAY,
            **change,
        }
        entry_id = self.book.add(plate, priority=priority, **given).entry.entry_id
        self.send()
        return entry_id

    def remove(self, entry_id: str) -> None:
        self.book.remove(entry_id, officer="Officer 12", now=self.now)
        self.send()

    def send(self, unit: Unit | None = None) -> None:
        unit = unit or self.unit
        signed = encode_book(sent_book(unit.unit_id, self.book), unit.signing_key)
        self._books.take(unit.peer, signed, self.now)

    def offer(self, entry_id: str, *, until: datetime | None = None, actor: str = ANNE) -> datetime:
        engine = self.department.engine
        ends = offer(engine, self.unit.unit_id, entry_id, until=until, actor=actor, now=self.now)
        self.bring(actor)
        return ends

    def refuse(self, entry_id: str) -> None:
        refuse(self.department.engine, self.unit.unit_id, entry_id, actor=BERT, now=self.now)
        self.bring(BERT)

    def bring(self, actor: str = "server") -> bool:
        return bring(self.department, actor=actor, now=self.now)

    def later(self, by: timedelta = timedelta(minutes=5)) -> None:
        self.now += by

    def urgent(self) -> list[Entry]:
        """What the urgent list holds that units fetch."""
        publications = self.department.publications
        if (name := publications._targets().get(URGENT_PATH)) is None:
            return []
        path = publications.path_of(name)
        assert path is not None
        return list(open_snapshot(path.read_bytes(), keys=[self._key]).entries())

    def listed(self) -> list[Entry]:
        """What of the list that units fetch last comes from a unit."""
        newest = self.department.hotlists.newest()
        assert newest is not None
        path = self.department.hotlists.path_of(newest.sequence)
        assert path is not None
        entries = open_snapshot(path.read_bytes(), keys=[self._key]).entries()
        return [entry for entry in entries if entry.list_name.startswith("Local")]

    def sequence(self) -> int:
        newest = self.department.hotlists.newest()
        assert newest is not None
        return newest.sequence

    def state(self, entry_id: str) -> str:
        with reading(self.department.engine) as connection:
            query = select(local_entries.c.state).where(local_entries.c.entry_id == entry_id)
            return str(connection.execute(query).scalar_one())

    @property
    def _key(self) -> Any:
        return self.department.keys.hotlist.public_key()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.department.engine.dispose()


def test_nothing_a_unit_holds_reaches_another_before_a_person_offers_it(scene: Scene) -> None:
    entry_id = scene.add()
    assert not scene.bring()
    assert (scene.urgent(), scene.listed(), scene.state(entry_id)) == ([], [], "held")


def test_entry_of_high_priority_is_on_the_urgent_list_as_anothers_and_under_its_own_id(scene: Scene) -> None:
    entry_id = scene.add()
    sequence = scene.sequence()
    assert scene.offer(entry_id) == NOW + 5 * DAY
    [entry] = scene.urgent()
    assert (entry.entry_id, entry.pattern, entry.list_name) == (entry_id, "7ABC123", "Local entry of unit-07")
    assert (entry.reason, entry.case_number, entry.priority) == ("Burglary", "26-1", Priority.HIGH)
    assert entry.expires == (NOW + 5 * DAY).replace(microsecond=0)
    assert "Officer 12" not in repr(entry)
    assert scene.sequence() == sequence
    assert not scene.bring()
    assert (ANNE, "local_entry.offer", "success") in audited(scene.department)


@pytest.mark.parametrize("priority", [Priority.LOW, Priority.MEDIUM])
def test_entry_of_lower_priority_is_on_the_ordinary_list_which_is_good_no_longer_for_it(
    scene: Scene, priority: Priority
) -> None:
    entry_id = scene.add(priority=priority)
    before = scene.department.hotlists.newest()
    scene.later()
    scene.offer(entry_id)
    assert [entry.entry_id for entry in scene.listed()] == [entry_id]
    assert scene.urgent() == []
    newest = scene.department.hotlists.newest()
    assert before is not None and newest is not None
    assert (newest.entries, newest.expires_at) == (5, before.expires_at)


@pytest.mark.parametrize("priority", Priority)
def test_entry_that_its_officer_removes_is_withdrawn_at_the_next_book(
    scene: Scene, priority: Priority
) -> None:
    entry_id, other = scene.add(priority=priority), scene.add("8XYZ987", priority)
    scene.offer(entry_id)
    scene.offer(other)
    scene.later()
    scene.remove(entry_id)
    assert scene.bring()
    assert {entry.entry_id for entry in (*scene.urgent(), *scene.listed())} == {other}
    assert scene.state(entry_id) == "withdrawn"
    assert not scene.bring()


def test_the_last_of_many_may_go_without_a_second_person(scene: Scene) -> None:
    ids = [scene.add(f"8XYZ98{n}", Priority.MEDIUM) for n in range(9)]
    for entry_id in ids:
        scene.offer(entry_id)
    for entry_id in ids:
        scene.book.remove(entry_id, officer="Officer 12", now=scene.now)
    scene.send()
    scene.later()
    assert scene.bring()
    assert scene.listed() == []
    assert scene.department.hotlists.pending() == []


def test_withdrawn_urgent_entry_leaves_the_ordinary_list_too_where_it_came_to_stand_on_it(
    scene: Scene,
) -> None:
    entry_id = scene.add()
    scene.offer(entry_id)
    scene.later()
    scene.publish()
    assert len(scene.listed()) == 1
    scene.later()
    scene.remove(entry_id)
    scene.bring()
    assert (scene.urgent(), scene.listed()) == ([], [])
    assert not scene.bring()


def test_refused_entry_is_the_units_alone_and_one_that_was_offered_is_withdrawn(scene: Scene) -> None:
    first, second = scene.add(), scene.add("8XYZ987")
    scene.refuse(first)
    scene.offer(second)
    assert [entry.entry_id for entry in scene.urgent()] == [second]
    scene.refuse(second)
    assert scene.urgent() == []
    assert [scene.state(each) for each in (first, second)] == ["refused", "refused"]
    scene.send()
    assert [scene.state(each) for each in (first, second)] == ["refused", "refused"]
    assert audited(scene.department).count((BERT, "local_entry.refuse", "success")) == 2


def test_entry_is_withdrawn_when_its_time_is_over(scene: Scene) -> None:
    short, long = scene.add(lasting=DAY), scene.add("8XYZ987")
    scene.offer(short)
    scene.offer(long, until=NOW + 2 * DAY)
    [_, second] = sorted(scene.urgent(), key=lambda entry: entry.entry_id)
    assert second.expires == (NOW + 2 * DAY).replace(microsecond=0)
    scene.later(DAY)
    scene.bring()
    assert [entry.entry_id for entry in scene.urgent()] == [long]
    scene.later(DAY)
    scene.bring()
    assert scene.urgent() == []


@pytest.mark.parametrize("officer", ["anne", "Anne", "ANNE ", "console:anne"])
def test_who_added_an_entry_does_not_offer_it(scene: Scene, officer: str) -> None:
    entry_id = scene.add(officer=officer)
    with pytest.raises(HotlistRefusedError, match="added by you"):
        scene.offer(entry_id)
    assert audited(scene.department)[-1] == (ANNE, "local_entry.offer", "refused")
    assert scene.state(entry_id) == "held"
    scene.offer(entry_id, actor=BERT)
    assert len(scene.urgent()) == 1


def test_what_is_over_removed_listed_or_unknown_is_not_offered(scene: Scene) -> None:
    removed, over, twice = scene.add(), scene.add(lasting=DAY), scene.add()
    scene.remove(removed)
    scene.offer(twice)
    with pytest.raises(HotlistRefusedError, match="removed by its officer"):
        scene.offer(removed)
    with pytest.raises(HotlistRefusedError, match="removed by its officer"):
        scene.refuse(removed)
    with pytest.raises(HotlistRefusedError, match="on a list already"):
        scene.offer(twice)
    for until in (NOW - DAY, NOW + 6 * DAY):
        with pytest.raises(HotlistRefusedError, match="ends by itself"):
            scene.offer(over, until=until)
    scene.later(2 * DAY)
    with pytest.raises(HotlistRefusedError, match="is over"):
        scene.offer(over)
    with pytest.raises(HotlistRefusedError, match="has no local entry"):
        scene.offer("local-99")


def test_what_was_refused_may_be_offered_after_all(scene: Scene) -> None:
    entry_id = scene.add()
    scene.refuse(entry_id)
    scene.offer(entry_id)
    assert len(scene.urgent()) == 1


def test_what_waits_for_approval_is_not_replaced_and_goes_on_after_it(scene: Scene) -> None:
    hotlists = scene.department.hotlists
    entry_id = scene.add(priority=Priority.LOW)
    offer(scene.department.engine, "unit-07", entry_id, until=None, actor=ANNE, now=scene.now)
    hotlists.replace_feed("stolen", [], actor=ANNE, now=scene.now)
    [import_of_none] = hotlists.pending()
    hotlists.approve(import_of_none.pending_id, scene.department.keys, actor=BERT, now=scene.now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.local_publishing._publish_list", lambda *_: False)
        scene.bring()  # the feed is written; then the power goes
    with pytest.raises(HotlistRefusedError):
        strict = type(hotlists)(scene.department.engine, scene.department.folder.hotlists, 5.0)
        strict.publish(scene.department.keys, expires_at=NOW + DAY, actor=ANNE, now=scene.now)
    [publication] = hotlists.pending()
    assert not scene.bring()
    assert hotlists.pending() == [publication]
    hotlists.reject(publication.pending_id, actor=BERT, now=scene.now)
    assert scene.bring()
    assert len(scene.listed()) == 1


def test_what_was_cut_short_between_feed_and_list_is_done_the_next_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_id = scene.add()

    def fails(*_: object) -> int:
        raise HotlistRefusedError("an invented failure")

    with monkeypatch.context() as patch:
        patch.setattr("server.local_publishing.publish_urgent", fails)
        with pytest.raises(HotlistRefusedError):
            scene.offer(entry_id)
    assert (scene.urgent(), scene.state(entry_id)) == ([], "offered")
    assert scene.bring()
    assert len(scene.urgent()) == 1


def test_the_server_waits_after_a_failure_and_then_tries_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(scene.department.engine, "unit-07", scene.add(), until=None, actor=ANNE, now=scene.now)
    bringing, tries = Bringing(scene.department), []

    def fails(*_: object) -> int:
        tries.append(scene.now)
        raise HotlistRefusedError("an invented failure")

    with monkeypatch.context() as patch:
        patch.setattr("server.local_publishing.publish_urgent", fails)
        for _ in range(10):
            bringing.step(scene.now)
            scene.later(AGAIN_AFTER / 4)
    assert len(tries) == 3
    scene.later(AGAIN_AFTER)
    bringing.step(scene.now)
    assert len(scene.urgent()) == 1


def test_two_at_once_publish_once(scene: Scene) -> None:
    offer(scene.department.engine, "unit-07", scene.add(), until=None, actor=ANNE, now=scene.now)
    done: list[bool] = []
    threads = [threading.Thread(target=lambda: done.append(scene.bring())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, False, False, True]
    assert [action for _, action, _ in audited(scene.department)].count("hotlist.publish_urgent") == 1


def test_looking_is_in_the_access_log_and_shows_what_is_over_only_when_asked(scene: Scene) -> None:
    scene.add(lasting=DAY)
    removed = scene.add("8XYZ987")
    scene.book.suppress("7ABC127", "e1", officer="A", reason="Another", now=NOW, lasting=DAY)
    scene.remove(removed)
    engine = scene.department.engine
    entries, suppressions = known(engine, actor=ANNE, now=NOW)
    assert [entry.pattern for entry in entries] == ["7ABC123"]
    assert [each.plate for each in suppressions] == ["7ABC127"]
    assert "7ABC12" not in repr(entries) + repr(suppressions)
    assert audited(scene.department)[-1] == (ANNE, "local_entry.list", "success")
    assert known(engine, actor=ANNE, now=NOW + DAY) == ([], [])
    assert len(known(engine, actor=ANNE, now=NOW + DAY, everything=True)[0]) == 2


def test_the_commands_do_it_and_name_the_person(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotlist_commands, "console_person", lambda: ANNE)
    monkeypatch.setattr(clock, "now", lambda: scene.now)
    root = str(scene.department.folder.root)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["hotlist", "local", *arguments, "--department", root])
        assert result.exit_code == 0, result.output
        return result.output

    entry_id = scene.add()
    scene.book.suppress("7ABC127", "e1", officer="A", reason="Another", now=NOW, lasting=DAY)
    scene.send()
    until = NOW + DAY
    said = run("offer", "unit-07", entry_id, "--until", until.isoformat())
    assert said == f"offered to all units until {until:%Y-%m-%d %H:%M}Z: {entry_id} of unit-07\n"
    assert len(scene.urgent()) == 1
    shown = run("list")
    assert f"unit-07 {entry_id}  7ABC123  US-CA  high" in shown
    assert f"offered until {until:%Y-%m-%d %H:%M}Z; decided by {ANNE}" in shown
    assert "7ABC127 is not e1" in shown and "not yet approved" in shown
    run("refuse", "unit-07", entry_id)
    assert scene.urgent() == []
    run("begin-anew", "unit-07")
    with reading(scene.department.engine) as connection:
        done = connection.execute(select(audit.c.action).where(audit.c.actor == ANNE)).scalars().all()
    assert {"local_entry.offer", "local_entry.list", "local_entry.refuse", "local_book.begin_anew"} <= {*done}
    bad = CliRunner().invoke(
        app, ["hotlist", "local", "offer", "unit-07", entry_id, "--until", "soon", "--department", root]
    )
    assert "--until 'soon'" in str(bad.exception)
