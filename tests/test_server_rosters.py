"""From an account at the department to a login in the car: a roster is published, fetched, never set back."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from tuf.api.metadata import Targets
from typer.testing import CliRunner

from edge.hotlists import HotlistDesk
from edge.roster import RosterStore
from hotlist_cache.config import HotlistConfig
from hotlist_cache.store import HotlistStore
from server.access import Role as ServerRole
from server.access import add_account, change_account
from server.cli import app
from server.database import writing
from server.department import Department
from server.publications import Publications
from server.repository_errors import RepositoryRefusedError
from server.repository_publication import in_force
from server.rosters import LASTS, Rosters
from sync.roster import Role, decode_roster
from sync.trust import TrustedUpdates
from sync.trust_source import FolderSource
from sync.trust_values import ROSTER_PATH, Label
from tests.clocks import FakeClock
from tests.departments import PASSWORD, a_department, audited
from tests.test_server_pages import Browser

KEY = bytes(range(32))


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    add(made, "reyes", ServerRole.OFFICER)
    yield made
    made.engine.dispose()


def add(department: Department, name: str, role: ServerRole) -> None:
    now = datetime.now(UTC)
    add_account(department.engine, name, role, PASSWORD, date(2099, 1, 1), actor="console:test", now=now)


def bring(department: Department, now: datetime | None = None) -> int:
    rosters = Rosters(department.engine, department.publications, department.settings.access)
    return rosters.bring(now or datetime.now(UTC), actor="console:test")


class Car:
    """A unit's updates on a folder of its own."""

    def __init__(self, department: Department, folder: Path) -> None:
        self.source = FolderSource(department.publications.repository.folder.root / "public")
        self.folder = folder
        for name in ("lists", "urgent", "updates"):
            (folder / name).mkdir(parents=True)
        self.rosters = RosterStore(folder, KEY)
        self.clock = FakeClock(datetime.now(UTC) + timedelta(seconds=1))
        store, urgent = (
            HotlistStore(
                folder / name,
                storage_key=KEY,
                keys=(department.keys.hotlist.public_key(),),
                config=HotlistConfig(),
            )
            for name in ("lists", "urgent")
        )
        self.desk = HotlistDesk(
            TrustedUpdates(folder / "updates", department.publications.first_root),
            store,
            urgent,
            HotlistConfig(),
            self.clock,
            scratch=folder,
            put_in_force=lambda whole, urgent: None,
            rosters=self.rosters,
        )
        self.desk.load()

    def look(self) -> None:
        self.desk.look_soon()
        self.desk.work(self.source)


def test_an_account_can_log_in_on_the_units_after_the_next_look(
    department: Department, tmp_path: Path
) -> None:
    car = Car(department, tmp_path / "car")
    assert bring(department) == 1
    car.look()
    roster = car.rosters.roster
    assert roster is not None and car.desk.last_error == ""
    assert [(user.name, user.role) for user in roster.users] == [
        ("chief", Role.ADMIN),
        ("reyes", Role.OFFICER),
    ]
    assert roster.expires_at - roster.issued_at == LASTS
    assert not list((tmp_path / "car").glob("*.download"))  # names and hashes do not lie about in the clear


@pytest.mark.parametrize("role", list(ServerRole))
def test_every_role_of_the_server_is_one_on_the_units(department: Department, role: ServerRole) -> None:
    add(department, "somebody", role)
    bring(department)
    held = department.publications.roster()
    assert held is not None
    found = decode_roster(held[1]).find("somebody")
    assert found is not None and found.role.value == role.value


def test_nothing_is_published_while_no_account_changes(department: Department) -> None:
    assert [bring(department), bring(department), bring(department)] == [1, 0, 0]
    change_account(department.engine, "reyes", actor="console:test", now=datetime.now(UTC), disabled=True)
    assert [bring(department), bring(department)] == [2, 0]
    assert [action for _, action, _ in audited(department)].count("roster.publish") == 2


def test_a_roster_is_renewed_weekly_long_before_it_runs_out(department: Department) -> None:
    now = datetime.now(UTC)
    assert bring(department, now) == 1
    assert bring(department, now + timedelta(days=6)) == 0
    assert bring(department, now + timedelta(days=8)) == 2


def test_an_account_that_was_unused_for_too_long_is_closed_on_the_units_too(department: Department) -> None:
    now = datetime.now(UTC) + timedelta(days=department.settings.access.idle_account_days)
    with writing(department.engine) as connection:
        connection.execute(
            text("UPDATE accounts SET active_at = datetime('now', '+1 day') WHERE name = 'chief'")
        )
    bring(department, now)
    held = department.publications.roster()
    assert held is not None
    assert {user.name: user.disabled for user in decode_roster(held[1]).users} == {
        "chief": False,
        "reyes": True,
    }


def test_a_stick_with_an_older_publication_brings_no_older_roster(
    department: Department, tmp_path: Path
) -> None:
    bring(department)
    department.publications.export(tmp_path / "stick")
    change_account(department.engine, "reyes", actor="console:test", now=datetime.now(UTC), disabled=True)
    bring(department)
    car = Car(department, tmp_path / "car")
    car.look()
    assert car.rosters.version == 2
    car.desk.take_from(FolderSource(tmp_path / "stick"))
    assert car.desk.last_error != ""
    assert car.rosters.version == 2
    assert car.rosters.roster is not None
    found = car.rosters.roster.find("reyes")
    assert found is not None and found.disabled


def test_a_stick_brings_the_roster_to_a_car_without_a_network(department: Department, tmp_path: Path) -> None:
    bring(department)
    department.publications.export(tmp_path / "stick")
    car = Car(department, tmp_path / "car")
    car.desk.take_from(FolderSource(tmp_path / "stick"))
    assert car.rosters.version == 1


def test_bytes_that_are_no_roster_leave_the_one_held_and_the_lists_alone(
    department: Department, tmp_path: Path
) -> None:
    bring(department)
    car = Car(department, tmp_path / "car")
    car.look()
    now = datetime.now(UTC)
    (tmp_path / "bad").write_bytes(b"no roster")
    department.publications.publish_roster(lambda number: b"no roster", now)
    car.look()
    assert car.rosters.version == 1 and car.desk.last_error == ""


def test_the_key_of_hotlists_lets_nobody_in(department: Department, tmp_path: Path) -> None:
    """Each online key speaks for its own folder."""
    signed = department.publications.repository
    file = tmp_path / "roster"
    file.write_bytes(b"x")
    with pytest.raises(RepositoryRefusedError, match="belongs in the folder rosters"):
        signed.put_target("hotlist/roster", file, Label("roster", 1), datetime.now(UTC))
    targets = in_force(signed.folder).signed("targets")
    assert isinstance(targets, Targets) and targets.delegations is not None
    assert targets.delegations.roles is not None
    keys = {role: set(found.keyids) for role, found in targets.delegations.roles.items()}
    assert set(keys) == {"hotlist", "rosters"} and not keys["hotlist"] & keys["rosters"]


def an_old_department(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publications:
    """Publications of before there were rosters."""
    monkeypatch.setattr("server.publications.ONLINE", ("hotlist", "snapshot", "timestamp"))
    (tmp_path / "keys").mkdir()
    publications = Publications(tmp_path / "updates")
    publications.found(tmp_path / "keys", datetime.now(UTC))
    monkeypatch.undo()
    return publications


def test_a_department_of_before_there_were_rosters_goes_on_and_can_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publications, now = an_old_department(tmp_path, monkeypatch), datetime.now(UTC)
    assert publications.roster() is None
    with pytest.raises(RepositoryRefusedError, match="roster delegate"):
        publications.publish_roster(lambda number: b"x", now)
    publications.publish(now, lambda what: "")
    publications.delegate_rosters(tmp_path / "keys", now)
    # Not before two persons have signed it.
    publications.publish(now, lambda what: "")
    assert not publications.repository.delegates("rosters")
    for name in ("person-1", "person-2"):
        publications._sign("targets", name)
    publications.publish(now, lambda what: "")
    assert publications.repository.delegates("rosters")
    assert publications.publish_roster(lambda number: b"roster %d" % number, now) == 1
    assert publications.roster() == (1, b"roster 1")
    with pytest.raises(RepositoryRefusedError, match="delegated already"):
        publications.delegate_rosters(tmp_path / "keys", now)
    trusted = TrustedUpdates(_made(tmp_path / "car"), publications.first_root).refresh(
        FolderSource(publications.repository.folder.root / "public"), now + timedelta(seconds=1)
    )
    assert ROSTER_PATH in trusted.targets


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_the_commands_publish_after_each_change_of_an_account(department: Department, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    root = ["--department", str(department.folder.root)]
    more = ["--password-file", str(tmp_path / "password"), "--training-expires", "2099-01-01"]
    run = CliRunner().invoke(app, ["account", "add", "brandt", "--role", "supervisor", *more, *root])
    assert run.exit_code == 0 and "roster 1 tells the units" in run.output
    run = CliRunner().invoke(app, ["account", "change", "brandt", "--disable", *root])
    assert "roster 2 tells the units" in run.output
    run = CliRunner().invoke(app, ["roster", "publish", *root])
    assert "roster 3 is published" in run.output
    run = CliRunner().invoke(app, ["roster", "delegate", *root])
    assert isinstance(run.exception, RepositoryRefusedError)


def test_a_technician_sees_units_and_no_reads_and_a_supervisor_sees_both(department: Department) -> None:
    for name, role, status in (
        ("lindgren", ServerRole.TECHNICIAN, 403),
        ("brandt", ServerRole.SUPERVISOR, 200),
    ):
        add(department, name, role)
        browser = Browser(department)
        with browser.runner:
            browser.log_in(name)
            browser.state_purpose()
            assert browser.get("/units").status_code == 200
            assert browser.get("/reads").status_code == status
