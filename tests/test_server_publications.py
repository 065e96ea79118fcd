"""What is put before units: once, whole, in order, whoever publishes it and wherever the folder lies."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hotlist_cache.delta import read_delta
from hotlist_cache.header import read_header
from server import making, publications
from server.department import Department, open_department, publish_urgent
from server.errors import HotlistRefusedError, StoreUnavailableError
from server.list_files import drop_files
from server.publications import Publications
from server.repository import Repository
from server.repository_keys import KeyRing, make_key_file, pem_uri
from server.repository_publication import LIFETIMES
from sync.trust import TrustedUpdates
from sync.trust_source import FolderSource
from sync.trust_values import Label, Target
from tests.departments import ROOT, a_department, a_stranger, a_unit, running
from tests.hotlists import an_entry

PATIENCE_S = 20.0


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of more than three entries are long: they are made by their changes."""
    monkeypatch.setattr(making, "SMALL", 3)


def listed(department: Department, *plates: str, whole: bool = False) -> int:
    """Sign the list of *plates*, which nobody brings yet."""
    now, entries = datetime.now(UTC), [an_entry(plate) for plate in plates]
    department.hotlists.replace_feed("stolen", entries, actor="console:anne", now=now)
    published = department.hotlists.publish(
        department.keys, expires_at=now + timedelta(days=7), actor="console:anne", now=now, whole=whole
    )
    return published.sequence


def brought(department: Department) -> bool:
    return department.publications.bring_list(department.hotlists, department.keys, datetime.now(UTC))


def targets(department: Department, folder: Path, now: datetime | None = None) -> dict[str, Target]:
    """Return what a unit that was never there before is offered."""
    place = folder / f"unit-{len(list(folder.glob('unit-*')))}"
    place.mkdir()
    unit = TrustedUpdates(place, department.publications.first_root)
    trusted = unit.refresh(FolderSource(department.folder.updates / "public"), now or datetime.now(UTC))
    unit.close()
    return dict(trusted.targets)


def sequences(found: dict[str, Target]) -> dict[str, tuple[int, int | None]]:
    return {path: (target.label.sequence, target.label.base) for path, target in found.items()}


def file_of(department: Department, target: Target) -> Path:
    path = department.publications.path_of(target.source_name)
    assert path is not None
    return path


# Lists and changes


def test_first_publication_has_the_list_alone_and_the_second_the_change_too(
    department: Department, tmp_path: Path
) -> None:
    listed(department, "TEST1", "TEST2")
    assert brought(department)
    assert sequences(targets(department, tmp_path)) == {"hotlist/list": (1, None)}
    listed(department, "TEST1", "TEST2", "TEST3")
    assert brought(department)
    found = targets(department, tmp_path)
    assert sequences(found) == {"hotlist/list": (2, None), "hotlist/delta-2": (2, 1)}
    key = department.keys.hotlist.public_key()
    delta = read_delta(file_of(department, found["hotlist/delta-2"]).read_bytes(), [key])
    assert delta.header == read_header(file_of(department, found["hotlist/list"]).read_bytes())


def test_list_that_is_published_is_not_published_again(department: Department) -> None:
    assert not brought(department)
    listed(department, "TEST1")
    assert brought(department)
    before = department.publications.timestamp()
    assert not brought(department)
    assert department.publications.timestamp() == before


@pytest.mark.usefixtures("short")
def test_long_list_is_brought_by_its_changes_from_the_last_whole_one(
    department: Department, tmp_path: Path
) -> None:
    plates = ["TEST1", "TEST2", "TEST3", "TEST4"]
    for number in (5, 6, 7):
        listed(department, *plates)
        assert brought(department)
        plates.append(f"TEST{number}")
    wanted = {"hotlist/list": (1, None), "hotlist/delta-2": (2, 1), "hotlist/delta-3": (3, 2)}
    assert sequences(targets(department, tmp_path)) == wanted
    assert not brought(department)


@pytest.mark.usefixtures("short")
def test_changes_that_were_not_brought_in_their_time_are_brought_together(
    department: Department, tmp_path: Path
) -> None:
    plates = ["TEST1", "TEST2", "TEST3", "TEST4"]
    listed(department, *plates)
    assert brought(department)
    for number in (5, 6, 7):
        plates.append(f"TEST{number}")
        listed(department, *plates)
    assert brought(department)
    found = sequences(targets(department, tmp_path))
    assert {path: base for path, (_, base) in found.items()} == {
        "hotlist/list": None,
        "hotlist/delta-2": 1,
        "hotlist/delta-3": 2,
        "hotlist/delta-4": 3,
    }


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("content", [None, b"", b"ALPRDEL1" + bytes(200)])
def test_list_that_nobody_could_come_to_is_refused_with_a_remedy_that_helps(
    department: Department, tmp_path: Path, content: bytes | None
) -> None:
    plates = ["TEST1", "TEST2", "TEST3", "TEST4"]
    listed(department, *plates)
    assert brought(department)
    listed(department, *plates, "TEST5")
    change = department.hotlists.change_of(2)
    assert change is not None
    change.unlink() if content is None else change.write_bytes(content)
    listed(department, *plates, "TEST5", "TEST6")
    before = department.publications.timestamp()
    with pytest.raises(HotlistRefusedError, match=r"list 2 is gone from the disk.*--whole"):
        brought(department)
    assert department.publications.timestamp() == before
    listed(department, *plates, "TEST5", "TEST6", "TEST7", whole=True)
    assert brought(department)
    assert sequences(targets(department, tmp_path)) == {"hotlist/list": (4, None)}


def test_old_changes_are_forgotten(
    department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publications, "DELTAS_KEPT", 3)
    for number in range(6):
        listed(department, *(f"TEST{each}" for each in range(number + 1)))
        assert brought(department)
    wanted = {"hotlist/list", "hotlist/delta-4", "hotlist/delta-5", "hotlist/delta-6"}
    assert targets(department, tmp_path).keys() == wanted


def test_of_changes_brought_together_the_newest_are_kept(
    department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publications, "DELTAS_KEPT", 3)
    listed(department, "TEST0")
    assert brought(department)
    for number in range(1, 6):
        listed(department, *(f"TEST{each}" for each in range(number + 1)))
    assert brought(department)
    wanted = {"hotlist/list", "hotlist/delta-4", "hotlist/delta-5", "hotlist/delta-6"}
    assert targets(department, tmp_path).keys() == wanted


@pytest.mark.usefixtures("short")
def test_change_without_which_nobody_comes_to_the_newest_list_is_not_forgotten(
    department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publications, "DELTAS_KEPT", 1)
    for number in range(4):
        listed(department, *(f"TEST{each}" for each in range(number + 4)))
        assert brought(department)
    wanted = {"hotlist/list", "hotlist/delta-2", "hotlist/delta-3", "hotlist/delta-4"}
    assert targets(department, tmp_path).keys() == wanted


# Several at once, and ends in the middle


def test_two_threads_that_bring_a_list_bring_it_once(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(department, "TEST1")
    put, both, inside = Repository.put_target, threading.Event(), []

    def slow(repository: Repository, path: str, file: Path, label: Label, now: datetime, **how: bool) -> None:
        inside.append(path)
        if len(inside) > 1:
            both.set()
        both.wait(0.3)
        put(repository, path, file, label, now, **how)

    monkeypatch.setattr(Repository, "put_target", slow)
    with ThreadPoolExecutor(2) as pool:
        outcomes = [each.result(PATIENCE_S) for each in [pool.submit(brought, department) for _ in range(2)]]
    assert sorted(outcomes) == [False, True]
    assert inside == ["hotlist/list"]


def test_two_processes_that_bring_a_list_bring_it_once(department: Department) -> None:
    listed(department, "TEST1")
    code = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from server.department import open_department\n"
        "made = open_department(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(made.publications.bring_list(made.hotlists, made.keys, datetime.now(UTC)))\n"
    )
    command = [sys.executable, "-c", code, str(department.folder.root)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert sorted(process.communicate(timeout=PATIENCE_S)[0] for process in processes) == [
        "False\n",
        "True\n",
    ]


def test_urgent_list_and_list_published_at_once_are_both_in_force(
    department: Department, tmp_path: Path
) -> None:
    for number in range(3):
        listed(department, *(f"TEST{each}" for each in range(number + 1)))
        now = datetime.now(UTC)
        with ThreadPoolExecutor(2) as pool:
            jobs: list[Future[object]] = [
                pool.submit(brought, department),
                pool.submit(publish_urgent, department, "console:anne", now + timedelta(days=1), now),
            ]
            for job in jobs:
                job.result(PATIENCE_S)
        found = sequences(targets(department, tmp_path))
        assert found["hotlist/list"] == found["hotlist/urgent"] == (number + 1, None)


class PowerCut(BaseException):
    """Nothing runs any more."""


@pytest.mark.parametrize("another_comes_first", [False, True])
def test_publication_cut_off_before_it_is_in_force_is_made_good_by_the_next(
    department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another_comes_first: bool
) -> None:
    listed(department, "TEST1")
    assert brought(department)
    listed(department, "TEST1", "TEST2")
    put = Repository.put_target

    def cut_off(
        repository: Repository, path: str, file: Path, label: Label, now: datetime, **how: bool
    ) -> None:
        put(repository, path, file, label, now, **how)
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(Repository, "put_target", cut_off)
        with pytest.raises(PowerCut):
            brought(department)
    assert sequences(targets(department, tmp_path)) == {"hotlist/list": (1, None)}
    if another_comes_first:
        now = datetime.now(UTC)
        publish_urgent(department, "console:anne", now + timedelta(days=1), now)
    assert brought(department)
    found = sequences(targets(department, tmp_path))
    found.pop("hotlist/urgent", None)
    assert found == {"hotlist/list": (2, None), "hotlist/delta-2": (2, 1)}


def test_publication_cut_off_after_all_was_drafted_is_made_good_by_the_next(
    department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(department, "TEST1")

    def cut_off(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(Repository, "publish", cut_off)
        with pytest.raises(PowerCut):
            brought(department)
    assert targets(department, tmp_path) == {}
    assert brought(department)
    assert sequences(targets(department, tmp_path)) == {"hotlist/list": (1, None)}


def test_full_disk_is_said_plainly_and_publishes_nothing(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(department, "TEST1")
    before = department.publications.timestamp()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Repository, "publish", full)
        with pytest.raises(StoreUnavailableError, match="No space left"):
            brought(department)
    assert department.publications.timestamp() == before
    assert brought(department)


def test_running_server_brings_what_a_command_left_undone(department: Department, tmp_path: Path) -> None:
    listed(department, "TEST1")
    pause = threading.Event()
    with running(department, tmp_path / "log"):
        for _ in range(int(PATIENCE_S / 0.1)):
            found = targets(department, tmp_path)
            found.pop("rosters/roster", None)  # which it publishes too
            if found or pause.wait(0.1):
                break
    assert sequences(found) == {"hotlist/list": (1, None)}


# The urgent list, and freshness


def test_urgent_list_counts_its_entries_and_its_sequence_rises(
    department: Department, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    for sequence, plates in enumerate((["TEST1", "TEST2"], [], ["TEST3"]), start=1):
        feed = [an_entry(plate) for plate in plates]
        report = department.hotlists.replace_feed("urgent", feed, actor="console:anne", now=now)
        if report.pending_id is not None:
            department.hotlists.approve(report.pending_id, department.keys, actor="console:bert", now=now)
        count = publish_urgent(department, "console:anne", now + timedelta(days=1), now)
        assert count == len(plates)
        found = targets(department, tmp_path)
        assert sequences(found) == {"hotlist/urgent": (sequence, None)}
        assert found["hotlist/urgent"].label.urgent
        assert read_header(file_of(department, found["hotlist/urgent"]).read_bytes()).count == count


def test_publication_is_signed_anew_once_half_of_its_time_is_gone(department: Department) -> None:
    signed_at = min(at for role, _, at in department.publications.roles() if role == "timestamp")
    signed_at -= LIFETIMES.timestamp
    half, moment = LIFETIMES.timestamp / 2, timedelta(seconds=1)
    before = department.publications.timestamp()
    assert not department.publications.keep_fresh(signed_at + half - moment)
    assert department.publications.timestamp() == before
    assert department.publications.keep_fresh(signed_at + half + moment)
    assert department.publications.timestamp() != before
    assert not department.publications.keep_fresh(signed_at + half + 2 * moment)


def test_timestamp_is_read_only_when_it_is_another(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, read, count = department.publications, Path.read_bytes, []

    def counted(path: Path) -> bytes:
        count.append(path.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    first = [looking.timestamp() for _ in range(5)]
    assert count == ["timestamp.json"]
    listed(department, "TEST1")
    assert brought(department)  # another object, as of another process
    count.clear()
    second = [looking.timestamp() for _ in range(5)]
    assert count == ["timestamp.json"]
    assert len({*first}) == len({*second}) == 1 and first[0] != second[0]


# Files


@pytest.mark.parametrize(
    "name",
    [
        "",
        "keys.json",
        "persons/person-1.pem",
        "metadata",
        "metadata/..",
        "metadata/../../keys.json",
        "targets/../../persons/person-1.pem",
        "/etc/passwd",
        "metadata/timestamp.json/",
        "metadata/timestamp.json\n",
        "metadata//timestamp.json",
        "metadata/.hidden",
        "drafts/hotlist.json",
        "metadata/none.json",
    ],
)
def test_nothing_outside_the_publication_has_a_path(department: Department, name: str) -> None:
    assert department.publications.path_of("metadata/timestamp.json") is not None
    assert department.publications.path_of(name) is None


def test_list_lies_on_the_disk_once(department: Department, tmp_path: Path) -> None:
    for plates in (["TEST1"], ["TEST1", "TEST2"]):
        listed(department, *plates)
        assert brought(department)
    found, hotlists = targets(department, tmp_path), department.hotlists
    whole, change = hotlists.path_of(2), hotlists.change_of(2)
    assert whole is not None and file_of(department, found["hotlist/list"]).samefile(whole)
    assert change is not None and file_of(department, found["hotlist/delta-2"]).samefile(change)
    assert not list((department.folder.updates / "public").rglob(".*"))


def test_list_is_copied_where_the_disk_has_no_links(
    department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(department, "TEST1")

    def refused(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    assert brought(department)
    path, whole = (
        file_of(department, targets(department, tmp_path)["hotlist/list"]),
        department.hotlists.path_of(1),
    )
    assert whole is not None
    assert not path.samefile(whole) and path.read_bytes() == whole.read_bytes()


def test_file_that_a_person_gave_is_copied(department: Department, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    department.publications.repository.put_target(
        "models/a.onnx", model, Label("model", 1), datetime.now(UTC)
    )
    model.write_bytes(b"written over")
    found = list((department.folder.updates / "public/targets/models").iterdir())
    assert [path.read_bytes() for path in found] == [b"weights"]


def test_files_of_old_lists_go_and_what_the_next_is_made_from_stays(department: Department) -> None:
    for number in range(4):
        listed(department, *(f"TEST{each}" for each in range(number + 1)))
        assert brought(department)
    folder = department.folder.hotlists
    for path in folder.glob("*.*"):
        old = datetime.now(UTC) - timedelta(days=29 if path.name == "2.snapshot" else 31)
        os.utime(path, (old.timestamp(), old.timestamp()))
    listed(department, *(f"TEST{each}" for each in range(5)))
    assert brought(department)
    assert {path.name for path in folder.glob("*.snapshot")} == {"2.snapshot", "4.snapshot", "5.snapshot"}
    assert department.hotlists.path_of(1) is None and department.hotlists.path_of(4) is not None
    newest = department.hotlists.newest()
    assert newest is not None and newest.sequence == 5


@pytest.mark.usefixtures("short")
def test_old_whole_list_stays_while_units_begin_with_it(department: Department) -> None:
    for number in range(4):
        listed(department, *(f"TEST{each}" for each in range(number + 4)))
        assert brought(department)
        for path in department.folder.hotlists.glob("*.*"):
            os.utime(path, (0, 0))
    assert {path.name for path in department.folder.hotlists.glob("*.*") if path.suffix != ".lock"} == {
        "1.snapshot",
        "3.delta",
        "4.delta",
    }


def test_only_files_of_lists_are_dropped(tmp_path: Path) -> None:
    for name in ("1.snapshot", "2.snapshot", "x.snapshot", "1.jsonl", "1.delta"):
        (tmp_path / name).write_bytes(b"")
    assert drop_files(tmp_path, {2}, datetime.now(UTC) + timedelta(hours=1)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.jsonl", "2.snapshot", "x.snapshot"]


# A folder that was moved, and keys


def test_department_restored_elsewhere_publishes_and_enrols(tmp_path: Path) -> None:
    first = a_stranger(tmp_path / "first")
    first.engine.dispose()
    shutil.copytree(first.folder.root, tmp_path / "elsewhere" / "second")
    shutil.rmtree(first.folder.root)
    second = open_department(tmp_path / "elsewhere" / "second")
    listed(second, "TEST1")
    assert brought(second)
    unit = a_unit(second, tmp_path / "car")
    trusted = TrustedUpdates(tmp_path, (unit.keys / "updates.root.json").read_bytes())
    found = trusted.refresh(FolderSource(second.folder.updates / "public"), datetime.now(UTC)).targets
    trusted.close()
    assert found.keys() == {"hotlist/list"}
    repository = second.publications.repository
    repository.renew("root", datetime.now(UTC))
    for name in ("person-1", "person-2"):
        second.publications._sign("root", name)
    assert second.publications.publish(datetime.now(UTC), str).trusted.versions["root"] == 2
    second.engine.dispose()


def test_department_named_by_where_one_stands_finds_its_keys(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(department, "TEST1")
    monkeypatch.chdir(department.folder.root.parent)
    here = open_department(Path("department"))
    assert brought(here)
    monkeypatch.chdir("/")
    assert open_department(department.folder.root).publications.keep_fresh(
        datetime.now(UTC) + LIFETIMES.timestamp * 0.6
    )


def test_keys_are_remembered_by_where_they_lie_to_the_repository(
    department: Department, tmp_path: Path
) -> None:
    ring, root = department.publications.repository.ring, department.folder.root
    for name, path in (("inside", root / "sticks" / "a.pem"), ("outside", tmp_path / "b.pem")):
        path.parent.mkdir(exist_ok=True)
        ring.add(name, make_key_file(path, None), pem_uri(path))
    ring.add("hsm", make_key_file(tmp_path / "c.pem", None), "hsm:2?label=ALPR")
    text = (department.folder.updates / "keys.json").read_text()
    assert text.count(str(tmp_path)) == 1
    for uri in ("pem:persons/person-1.pem", "pem:../keys/updates-hotlist.pem", "pem:../sticks/a.pem"):
        assert f'"{uri}"' in text
    again = KeyRing(department.folder.updates / "keys.json")
    assert again.named("inside").uri == f"pem:{root / 'sticks' / 'a.pem'}"
    assert again.named("outside").uri == f"pem:{tmp_path / 'b.pem'}"
    assert again.named("hsm").uri == "hsm:2?label=ALPR"


def test_key_added_by_a_command_signs_in_a_server_that_runs(department: Department, tmp_path: Path) -> None:
    server, now = department.publications, datetime.now(UTC)
    command = Publications(department.folder.updates)
    public = make_key_file(tmp_path / "new.pem", None)
    command.repository.ring.add("new", public, pem_uri(tmp_path / "new.pem"))
    command.repository.replace_key("timestamp", "new", now)
    for name in ("person-1", "person-2"):
        command._sign("root", name)
    command.publish(now, str)
    assert server.keep_fresh(now + LIFETIMES.timestamp * 0.6)
