"""The department's model packs on a unit: tried before they are used, and never the end of a unit."""

import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from camera.errors import RecordingUnreadableError
from edge.compose import compose
from edge.daemon import Daemon
from edge.department_packs import (
    FELL_BACK,
    PACKS_FOLDER,
    PROVING_FRAMES,
    PROVING_S,
    RECORD_NAME,
    DepartmentPacks,
    held_record,
)
from edge.errors import DaemonFailedError
from edge.pack_record import MOST_TRIES
from edge.parts import Parts
from edge.trial import Trial, trial_command
from hotlist_cache.disk import RealDisk
from recognizer.config import RecognizerConfig
from recognizer.errors import InferenceFailedError, ModelInvalidError
from recognizer.manifest import load_pack
from recognizer.pack import MANIFEST
from recognizer.published import write_published
from server.publications import PERSONS
from server.repository_errors import RepositoryRefusedError
from server.repository_signing import sign_file
from sync.errors import UnreachableError
from sync.networks import Lists
from sync.trust_values import Label, Target
from tests.hotlists import NOW, STORAGE_KEY
from tests.painted import tiny_archive, tiny_pack
from tests.test_edge_daemon import unit
from tests.test_edge_hotlists import Department, Station

PATIENCE_S = 60.0
PASSES = ["echo", "passed"]


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@dataclass
class Car:
    """A unit's packs, over starts, and what was told to its officer."""

    folder: Path
    command: Sequence[str] | None = None
    """What tries a pack; None: the real thing."""
    disk: RealDisk = field(default_factory=RealDisk)
    limit_s: float = PATIENCE_S
    alarms: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        if not (self.folder / "own" / MANIFEST).exists():
            tiny_pack(self.folder / "own")
        self.config = RecognizerConfig(model_pack=str(self.folder / "own"))

    @property
    def own(self) -> Path:
        return self.folder / "own"

    def start(self) -> Path:
        """Start, and return the folder of the pack that runs."""
        self.packs = DepartmentPacks(
            self.folder / "state",
            STORAGE_KEY,
            alarm=self.alarms.append,
            disk=self.disk,
            command=lambda folder: trial_command(folder) if self.command is None else self.command,
            limit_s=self.limit_s,
        )
        self.recognizer = self.packs.open(self.config)
        return self.recognizer.pack.folder

    def bring(self, archive: Path | None, sequence: int = 1, *, carried: bool = True) -> None:
        """Let the department publish *archive* and nothing else; None: nothing."""
        trusted: Any = SimpleNamespace(targets={})
        if archive is not None:
            target = target_of(archive, sequence)
            trusted.targets[target.path] = target
        self.packs.bring(trusted, lambda target, into: self.fetch(archive, into), carried=carried)

    def fetch(self, archive: Path | None, into: Path) -> None:
        assert archive is not None
        shutil.copyfile(archive, into)

    def try_it(self) -> None:
        """Work until there is nothing more to try."""
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / 0.02)):
            self.packs.work()
            if self.packs._record.waiting is None:
                return
            pause.wait(0.02)
        raise AssertionError("the trial goes on")

    def prove(self) -> None:
        self.packs.seen(PROVING_FRAMES, PROVING_S)

    def folders(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "state" / PACKS_FOLDER).iterdir())


def target_of(archive: Path, sequence: int) -> Target:
    content = archive.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Target("models/tiny.pack", len(content), digest, Label("model", sequence), "targets")


@pytest.fixture
def car(tmp_path: Path) -> Car:
    made = Car(tmp_path / "unit", PASSES)
    made.start()
    return made


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return tiny_archive(tmp_path / "good.pack")


@pytest.fixture
def better(tmp_path: Path) -> Path:
    return tiny_archive(tmp_path / "better.pack", reader="reader-prefix.onnx")


# -- the trial --


def test_good_pack_is_tried_and_runs_from_the_next_start_on(car: Car, good: Path) -> None:
    car.command = None
    car.bring(good, 3)
    assert car.packs.lines.next == "tiny 3 is being tried"
    car.try_it()
    assert (car.packs.lines.running, car.packs.lines.next, car.packs.lines.fault) == (
        "tiny, as configured",
        "tiny 3, from the next start",
        "",
    )
    assert car.start().name.startswith("tiny-3-")
    assert car.packs.lines.running == "tiny 3, of the department, not yet proven"
    car.prove()
    assert car.packs.lines.running == "tiny 3, of the department"
    assert car.alarms == []


def refused(car: Car, archive: Path, why: str) -> None:
    """Bring and try *archive*, and see that it is refused for *why* and never again looked at."""
    car.bring(archive, 3)
    car.try_it()
    assert why in car.packs.lines.fault
    assert "TEST" not in car.packs.lines.fault
    car.fetch = None  # type: ignore[assignment,method-assign]  # to be fetched again would be an error
    for _ in range(2):
        car.bring(archive, 3)
        assert why in car.packs.lines.fault
        assert car.start() == car.own
    assert car.folders() == [RECORD_NAME]


def test_pack_that_reads_its_self_test_wrongly_is_refused(car: Car, tmp_path: Path) -> None:
    car.command = None
    refused(car, tiny_archive(tmp_path / "x.pack", text="TEST123", reads="TEST124"), "is not read as its")


def test_pack_whose_model_does_not_load_is_refused(car: Car, tmp_path: Path) -> None:
    car.command = None
    source = tmp_path / "broken"
    tiny_pack(source, reader="reader-logits.onnx")
    refused(car, archive_of(source, tmp_path), "no probability distribution")


def archive_of(source: Path, tmp_path: Path) -> Path:
    out = tmp_path / "x.pack"
    picture = tmp_path / "plate.png"
    picture.write_bytes(b"no picture")
    write_published(load_pack(str(source)), [(picture, ("TEST123",))], out)
    return out


def test_pack_whose_picture_is_none_is_refused(car: Car, tmp_path: Path) -> None:
    car.command = None
    tiny_pack(tmp_path / "pack")
    refused(car, archive_of(tmp_path / "pack", tmp_path), "cannot be decoded")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("import os; os.abort()", "ended by SIGABRT"),
        ("raise SystemExit(3)", "ended with 3 and no answer"),
        ("pass", "ended with 0 and no answer"),
        ("print('passed'); raise SystemExit(1)", "ended with 1 and no answer"),
        ("print('passed'); import os, sys; sys.stdout.flush(); os.abort()", "ended by SIGABRT"),
        ("print('\\x1b[2J' + 'x' * 10000)", "xxxxx"),
    ],
)
def test_pack_that_ends_its_process_is_refused(car: Car, good: Path, code: str, why: str) -> None:
    car.command = child(code)
    refused(car, good, why)
    assert "\x1b" not in car.packs.lines.fault
    assert len(car.packs.lines.fault) < 500


def test_pack_that_hangs_is_ended_and_refused(car: Car, good: Path) -> None:
    car.command, car.limit_s = child("import signal; signal.pause()"), 0.3
    car.start()
    car.bring(good, 3)
    car.packs.work()
    assert car.packs._trial is not None
    process = car.packs._trial[1]._process
    car.try_it()
    assert process.poll() == -9
    assert "did not end within 0 s" in car.packs.lines.fault


def test_trial_yields_to_the_daemon_and_is_bounded(tmp_path: Path) -> None:
    code = (
        "from edge.pack_trial import confine; import os, resource; confine();"
        "print(os.nice(0), open('/proc/self/oom_score_adj').read().strip(),"
        "resource.getrlimit(resource.RLIMIT_DATA)[0], resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    trial, pause = Trial(child(code), PATIENCE_S), threading.Event()
    while (said := trial.outcome()) is None:
        pause.wait(0.02)
    nice, oom, data, core = said.split()
    assert int(nice) >= 10 and (oom, data, core) == ("1000", str(3 << 29), "0")


def test_pack_that_takes_all_memory_is_refused(car: Car, good: Path) -> None:
    car.command = child("from edge.pack_trial import confine; confine(); x = bytearray(4 << 30)")
    refused(car, good, "no answer")


def test_trial_cut_off_by_a_stop_begins_anew_and_counts_nothing(car: Car, good: Path) -> None:
    car.command = child("import signal; signal.pause()")
    car.bring(good, 3)
    for _ in range(MOST_TRIES + 2):
        car.packs.work()
        car.packs.stop()
        car.start()
    car.command = PASSES
    car.try_it()
    assert car.packs.lines.next == "tiny 3, from the next start"


def test_trial_that_takes_the_machine_down_is_not_begun_for_ever(car: Car, good: Path) -> None:
    car.command = child("import signal; signal.pause()")
    car.bring(good, 3)
    for _ in range(MOST_TRIES):
        car.packs.work()
        assert car.packs._trial is not None
        car.packs._trial[1].stop()  # as a power cut does, of which the record learns nothing
        car.start()
    car.packs.work()
    assert f"{MOST_TRIES} trials of it" in car.packs.lines.fault


def test_newer_pack_takes_the_place_of_one_that_is_being_tried(car: Car, good: Path, better: Path) -> None:
    car.command = child("import signal; signal.pause()")
    car.bring(good, 3)
    car.packs.work()
    car.command = PASSES
    car.bring(better, 4)
    car.try_it()
    assert car.packs.lines.next == "tiny 4, from the next start"
    assert len(car.folders()) == 2


# -- what comes --


def test_altered_or_foreign_archive_is_refused_untried(car: Car, good: Path, tmp_path: Path) -> None:
    car.command = child("raise AssertionError")
    content = bytearray(good.read_bytes())
    content[len(content) // 2] ^= 1
    good.write_bytes(content)
    refused(car, good, "damaged")
    other = Car(tmp_path / "other", PASSES)
    other.start()
    refused(other, tiny_archive(tmp_path / "foreign.pack", name="pi5"), "its manifest calls it pi5")


def test_refused_pack_is_tried_again_under_a_higher_number(car: Car, good: Path) -> None:
    car.command = child("raise SystemExit(1)")
    car.bring(good, 3)
    car.try_it()
    car.command = PASSES
    car.bring(good, 4)
    car.try_it()
    assert (car.packs.lines.next, car.packs.lines.fault) == ("tiny 4, from the next start", "")


def test_pack_waits_for_a_network_that_carries_it(car: Car, good: Path) -> None:
    car.bring(good, 3, carried=False)
    assert car.packs.lines.next == "model pack tiny 3 waits for another network"
    assert not (car.folder / "state" / PACKS_FOLDER).exists()
    car.bring(good, 3)
    assert car.packs.lines.next == "tiny 3 is being tried"


def test_pack_waits_for_room_that_reads_do_not_need(car: Car, good: Path) -> None:
    car.packs._reserve_bytes = 1 << 60
    car.bring(good, 3)
    assert car.packs.lines.next == "model pack tiny 3 waits for room on the disk"
    assert car.folders() == []


def test_withdrawn_pack_leads_back_to_the_configured_one_at_the_next_start(
    car: Car, good: Path, better: Path
) -> None:
    car.bring(good, 3)
    car.try_it()
    running = car.start()
    car.prove()
    car.bring(better, 4)
    car.try_it()
    car.bring(None)
    assert "withdrew" in car.packs.lines.next
    assert running.exists()
    assert car.start() == car.own
    assert (car.packs.lines.running, car.packs.lines.next) == ("tiny, as configured", "")
    assert car.folders() == [RECORD_NAME]


def test_pack_withdrawn_before_its_start_is_never_used(car: Car, good: Path) -> None:
    car.bring(good, 3)
    car.try_it()
    car.bring(None)
    assert car.start() == car.own


def test_pack_published_again_before_the_start_runs_on(car: Car, good: Path) -> None:
    car.bring(good, 3)
    car.try_it()
    car.start()
    car.prove()
    car.bring(None)
    car.bring(good, 3)
    assert car.packs.lines.next == ""
    assert car.start().name.startswith("tiny-3-")


def test_unit_set_to_another_pack_runs_that(car: Car, good: Path, tmp_path: Path) -> None:
    car.bring(good, 3)
    car.try_it()
    car.start()
    own = tmp_path / "unit" / "own" / MANIFEST
    own.write_text(own.read_text().replace('pack = "tiny"', 'pack = "mine"'))
    assert car.start() == car.own
    car.bring(good, 4)
    assert car.packs.lines.running == "mine, as configured"


# -- starts --


@pytest.fixture
def proven(car: Car, good: Path, better: Path) -> Car:
    """A unit with pack 3 proven and pack 4 next."""
    car.bring(good, 3)
    car.try_it()
    car.start()
    car.prove()
    car.bring(better, 4)
    car.try_it()
    return car


def test_two_starts_that_die_lead_back_to_the_pack_before_with_an_alarm(proven: Car, better: Path) -> None:
    assert [proven.start().name[:7] for _ in range(4)] == ["tiny-4-", "tiny-4-", "tiny-3-", "tiny-3-"]
    assert proven.alarms == [FELL_BACK]
    assert "tiny 4 is not used: 2 starts" in proven.packs.lines.fault
    proven.bring(better, 4)
    assert proven.packs.lines.next == ""
    assert proven.start().name.startswith("tiny-3-")


def test_first_pack_that_dies_leads_back_to_the_configured_one(car: Car, good: Path) -> None:
    car.bring(good, 3)
    car.try_it()
    assert [car.start() == car.own for _ in range(3)] == [False, False, True]
    assert car.alarms == [FELL_BACK]


def test_starts_that_end_in_order_say_nothing_against_a_pack(proven: Car) -> None:
    for _ in range(5):
        assert proven.start().name.startswith("tiny-4-")
        proven.packs.ended()
    assert proven.alarms == []


def test_pack_is_proven_by_frames_and_minutes_together(proven: Car) -> None:
    for frames, uptime_s in ((PROVING_FRAMES, 1.0), (1, PROVING_S)):
        proven.start()
        proven.packs.seen(frames, uptime_s)
    assert proven.start().name.startswith("tiny-3-")


def test_proven_pack_outlives_any_number_of_deaths(proven: Car) -> None:
    proven.start()
    proven.prove()
    assert {proven.start().name[:7] for _ in range(4)} == {"tiny-4-"}


@pytest.mark.parametrize("name", ["reader.onnx", "reader-prefix.onnx", MANIFEST])
def test_pack_altered_on_the_unit_is_not_loaded(proven: Car, name: str) -> None:
    folder = proven.start()
    for path in folder.glob(name):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    if (folder / name).exists():
        assert proven.start().name.startswith("tiny-3-")
        assert proven.alarms == [FELL_BACK]


def test_pack_with_a_manifest_of_other_digests_is_not_loaded(proven: Car) -> None:
    folder = proven.start()
    tiny_pack(folder)
    assert proven.start().name.startswith("tiny-3-")
    assert "altered or damaged" in proven.packs.lines.fault


def test_packs_that_are_gone_leave_the_configured_one(proven: Car) -> None:
    shutil.rmtree(proven.start())
    for path in (proven.folder / "state" / PACKS_FOLDER).glob("tiny-*"):
        shutil.rmtree(path)
    assert proven.start() == proven.own


def test_damaged_record_counts_as_none_and_the_pack_comes_again(proven: Car, better: Path) -> None:
    path = proven.folder / "state" / PACKS_FOLDER / RECORD_NAME
    path.write_bytes(path.read_bytes()[:-1])
    assert proven.start() == proven.own
    assert "cannot be used" in proven.packs.lines.fault
    proven.bring(better, 4)
    proven.try_it()
    assert proven.packs.lines.fault == ""
    assert proven.start().name.startswith("tiny-4-")


def test_configured_pack_that_cannot_be_used_stops_the_unit(car: Car) -> None:
    (car.own / "reader.onnx").write_bytes(b"x")
    with pytest.raises(ModelInvalidError, match=r"reader\.onnx has 1 bytes"):
        car.start()


class FullDisk(RealDisk):
    def sync(self, file: BinaryIO) -> None:
        raise OSError(28, "No space left on device")


def test_start_that_cannot_be_counted_runs_the_configured_pack(proven: Car) -> None:
    proven.disk = FullDisk()
    assert proven.start() == proven.own
    assert "No space left" in proven.packs.lines.fault


def test_pack_that_the_disk_does_not_take_is_brought_again(car: Car, good: Path) -> None:
    car.packs._disk = FullDisk()
    with pytest.raises(OSError, match="No space"):
        car.bring(good, 3)
    car.packs._disk = RealDisk()
    car.bring(good, 3)
    car.try_it()
    assert car.start().name.startswith("tiny-3-")


class PowerCut(BaseException):
    """Nothing of the program goes on after it."""


class CuttingDisk(RealDisk):
    """Ends all at its *calls*th call, before or after it is done; what was not synced is lost or half."""

    def __init__(self, calls: int, *, done: bool) -> None:
        self.left, self._done = calls, done
        self._unsynced: dict[Path, BinaryIO] = {}
        self._unsure: list[tuple[Path, Path]] = []

    def _call(self, what: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise PowerCut
        if self.left == 0 and not self._done:
            self._cut()
        result = what()
        if self.left == 0:
            self._cut()
        return result

    def _cut(self) -> None:
        self.left = 0
        for path, file in self._unsynced.items():
            file.close()
            if path.exists():
                os.truncate(path, path.stat().st_size // 2)
        for new, old in reversed(self._unsure):
            if new.is_dir():
                new.rename(old)
        raise PowerCut

    def create(self, path: Path) -> BinaryIO:
        def made() -> BinaryIO:
            self._unsynced[path] = file = RealDisk.create(self, path)
            return file

        return self._call(made)  # type: ignore[no-any-return]

    def sync(self, file: BinaryIO) -> None:
        self._call(lambda: RealDisk.sync(self, file))
        for path in [path for path, each in self._unsynced.items() if each is file]:
            del self._unsynced[path]

    def rename(self, old: Path, new: Path) -> None:
        def renamed() -> None:
            RealDisk.rename(self, old, new)
            self._unsure.append((new, old))
            for path in [path for path in self._unsynced if path.parent == old]:
                self._unsynced[new / path.name] = self._unsynced.pop(path)

        self._call(renamed)

    def sync_folder(self, folder: Path) -> None:
        self._call(lambda: RealDisk.sync_folder(self, folder))
        self._unsure = [each for each in self._unsure if each[0].parent != folder]


@pytest.mark.parametrize("done", [False, True])
def test_power_cut_at_any_step_leaves_a_whole_pack(
    proven: Car, good: Path, tmp_path: Path, done: bool
) -> None:
    """From the start with pack 4, over bringing and trying 5, to the start with that."""
    cuts = 0
    while True:
        cuts += 1
        assert cuts < 200
        shutil.copytree(proven.folder, tmp_path / "cut", symlinks=True)
        car = Car(tmp_path / "cut", PASSES, CuttingDisk(cuts, done=done))
        seen = []
        try:
            seen.append(car.start().name)
            car.prove()
            car.bring(good, 5)
            car.try_it()
            seen.append(car.start().name)
        except PowerCut:
            # To load verifies every digest: a half pack would fall back, with an alarm.
            car.disk = RealDisk()
            found = car.start().name
            car.prove()
            assert found[:7] in ("tiny-4-", "tiny-5-")
            car.bring(good, 5)
            car.try_it()
            assert car.start().name.startswith("tiny-5-")
            assert car.alarms == []
            shutil.rmtree(tmp_path / "cut")
            continue
        assert [name[:7] for name in seen] == ["tiny-4-", "tiny-5-"]
        break
    assert cuts > 25


# -- through the desk and the daemon --


@pytest.fixture
def department(tmp_path: Path) -> Department:
    return Department(tmp_path / "department")


@pytest.fixture
def station(tmp_path: Path, department: Department, car: Car) -> Iterator[Station]:
    made = Station(tmp_path / "station", department.publications.first_root)
    made.desk._packs = car.packs
    yield made
    made.updates.close()


def publish(department: Department, archive: Path | None, sequence: int) -> None:
    """Put the pack in force, or withdraw it, signed by the two persons that it takes."""
    repository = department.publications.repository
    if archive is None:
        repository.remove_target("models/tiny.pack", NOW)
    else:
        repository.put_target("models/tiny.pack", archive, Label("model", sequence), NOW)
    copy = department.folder / "draft.json"
    for person in PERSONS[:2]:
        shutil.copyfile(repository.folder.draft_path("targets"), copy)
        sign_file(copy, repository.ring.named(person), lambda what: "")
        repository.take_signed("targets", copy)
    department.publish()


def test_published_pack_comes_with_the_lists_and_a_withdrawal_too(
    department: Department, station: Station, car: Car, good: Path
) -> None:
    department.list(1, "7ABC123")
    publish(department, good, 1)
    station.look(department.source)
    assert station.plates() == ["7ABC123"]
    assert car.packs.lines.next == "tiny 1 is being tried"
    car.try_it()
    publish(department, None, 0)
    station.look(department.source)
    assert (car.packs.lines.next, car.start()) == ("", car.own)


def test_pack_waits_for_wifi_but_not_on_a_stick(
    department: Department, station: Station, car: Car, good: Path
) -> None:
    station.desk._carried = lambda: Lists.CHANGES
    publish(department, good, 1)
    station.look(department.source)
    assert "waits for another network" in car.packs.lines.next
    station.desk.take_from(department.source)
    assert car.packs.lines.next == "tiny 1 is being tried"


def test_broken_transfer_of_a_pack_leaves_the_lists_and_goes_on(
    department: Department, station: Station, car: Car, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    department.list(1, "7ABC123")
    publish(department, good, 1)
    with monkeypatch.context() as patched:

        def cut(*arguments: object) -> None:
            raise UnreachableError("the garage's network is gone")

        patched.setattr(station.desk, "_fetch", _once_then(station.desk._fetch, cut))
        station.look(department.source)
    assert station.plates() == ["7ABC123"]
    assert "network is gone" in station.desk.last_error
    station.clock.advance(3600)
    station.look(department.source)
    assert car.packs.lines.next == "tiny 1 is being tried"


def _once_then(real: Any, cut: Any) -> Any:
    def fetch(source: Any, target: Target, *arguments: Any, **named: Any) -> None:
        if target.label.kind == "model":
            cut()
        real(source, target, *arguments, **named)

    return fetch


def test_department_does_not_publish_what_units_would_refuse(department: Department, tmp_path: Path) -> None:
    foreign = tiny_archive(tmp_path / "foreign.pack", name="pi5")
    with pytest.raises(RepositoryRefusedError, match=r"its path is models/pi5\.pack"):
        publish(department, foreign, 1)


def run(parts: Parts) -> str:
    return Daemon(parts).run(until_end=True, on_status=lambda status, alerts: None).pack


def bring(parts: Parts, archive: Path) -> None:
    target = target_of(archive, 3)
    trusted: Any = SimpleNamespace(targets={target.path: target})

    def fetch(target: Target, into: Path) -> None:
        shutil.copyfile(archive, into)

    parts.packs.bring(trusted, fetch, carried=True)
    parts.packs._command = lambda folder: PASSES
    pause = threading.Event()
    while parts.packs._record.waiting is not None:
        parts.packs.work()
        pause.wait(0.02)


def test_daemon_runs_the_pack_after_its_next_start_and_says_so(tmp_path: Path, better: Path) -> None:
    config = unit(tmp_path)
    parts = compose(config)
    bring(parts, better)
    assert run(parts) == "tiny, as configured"  # not in the midst of a shift
    parts = compose(config)
    assert parts.pipeline._recognizer.pack.reader.weights.file == "reader-prefix.onnx"  # type: ignore[attr-defined]
    assert run(parts) == "tiny 3, of the department, not yet proven"
    record = held_record(config.unit.state_dir, (tmp_path / "keys" / "storage.key").read_bytes())
    assert (record.starts, record.proven) == (0, False)


def test_pack_that_came_through_its_first_frames_and_minutes_is_proven(
    tmp_path: Path, better: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.department_packs.PROVING_FRAMES", 5)
    monkeypatch.setattr("edge.department_packs.PROVING_S", 0.0)
    config = unit(tmp_path)
    bring(parts := compose(config), better)
    run(parts)
    run(compose(config))
    assert run(compose(config)) == "tiny 3, of the department"


def test_start_that_fails_for_another_reason_says_nothing_against_a_pack(
    tmp_path: Path, better: Path
) -> None:
    config = unit(tmp_path)
    bring(parts := compose(config), better)
    run(parts)
    (tmp_path / "drive").rename(tmp_path / "away")
    for _ in range(3):
        with pytest.raises(RecordingUnreadableError):
            compose(config)
    (tmp_path / "away").rename(tmp_path / "drive")
    assert run(compose(config)) == "tiny 3, of the department, not yet proven"


def test_daemon_that_dies_twice_of_a_pack_runs_the_one_before(tmp_path: Path, better: Path) -> None:
    config = unit(tmp_path)
    parts = compose(config)
    bring(parts, better)
    run(parts)

    def failing(frame: object) -> object:
        raise InferenceFailedError("a model did not run")

    for _ in range(2):
        parts = compose(config)
        parts.pipeline.step = failing  # type: ignore[method-assign,assignment]
        with pytest.raises(DaemonFailedError):
            run(parts)
    parts = compose(config)
    assert parts.alarms.get_nowait() == FELL_BACK
    status = Daemon(parts).run(until_end=True, on_status=lambda status, alerts: None)
    assert (status.pack, status.reads) == ("tiny, as configured", 1)
    assert any("tiny 3 is not used" in fault for fault in status.faults)
