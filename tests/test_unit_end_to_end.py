"""The whole appliance on the sample drive: processes, sockets and disk as in a car and its department."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.clock import SystemClock
from edge.compose import new_pipeline
from edge.config import trial_config
from edge.replay import Replay, replay
from edge.replaying import trial_hotlist
from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Priority
from hotlist_cache.hit import HotlistHit, MatchKind, Outcome, StateMatch
from recognizer.onnx import Recognizer
from recognizer.plate import fold, normalise
from tests.units import DRIVE, Station, passings, readable_in, spellings, station

ALERTED = {"KVD7043", "8K0B417", "6W?F*", "XKD9382", "SRM4850", "RQT4H81"}
"""What the sample hotlist lists of the plates that pass: exactly, by a look-alike, as a pattern."""
OTHER_STATE = "BKR4871"
"""Listed for another state than that of the plate that passes."""


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    config = trial_config("builtin")
    clock = SystemClock(tmp_path_factory.mktemp("clock"))
    listed = trial_hotlist(DRIVE / "hotlist.csv", config.hotlist, clock)
    pipeline = new_pipeline(config, Recognizer.open(config.recognizer), listed)
    return replay(DRIVE / "drive.mp4", pipeline, clock)


def other_state_hits(replayed: Replay) -> list[HotlistHit]:
    return [hit for item in replayed.reads for hit in item.hits if hit.entry.pattern == OTHER_STATE]


def told_of(replayed: Replay) -> set[str]:
    """The entries to be alerted: the one of another state too, where the reader cannot tell the state."""
    unsure = any(hit.state is StateMatch.UNKNOWN for hit in other_state_hits(replayed))
    return ALERTED | ({OTHER_STATE} if unsure else set())


def test_every_listed_plate_of_the_drive_is_alerted_once_and_no_other(replayed: Replay) -> None:
    # A misread that later frames mend was told as well, and is marked as corrected.
    alerted = Counter(alert.hit.entry.pattern for alert in replayed.alerts if not alert.corrected)
    assert alerted == Counter(dict.fromkeys(told_of(replayed), 1))


def test_look_alike_and_pattern_are_told_as_such(replayed: Replay) -> None:
    kinds = {alert.hit.entry.pattern: alert.hit.kind for alert in replayed.alerts}
    assert kinds["8K0B417"] is MatchKind.LOOK_ALIKE
    assert kinds["6W?F*"] is MatchKind.WILDCARD
    assert kinds["KVD7043"] is MatchKind.EXACT


def test_plate_listed_for_another_state_is_silent_or_told_as_state_to_check(replayed: Replay) -> None:
    (hit,) = other_state_hits(replayed)
    alerts = [alert for alert in replayed.alerts if alert.hit.entry.pattern == OTHER_STATE]
    if hit.state is StateMatch.DIFFERENT:
        assert alerts == []
    else:
        assert hit.state is StateMatch.UNKNOWN
        assert [alert.priority < hit.entry.priority for alert in alerts] == [True]


def test_most_vehicles_are_read_and_none_twice(replayed: Replay) -> None:
    truth = [fold(normalise(str(passing["plate"]))) for passing in passings()]
    read = Counter(fold(item.read.plate) for item in replayed.reads)
    assert [plate for plate, count in read.items() if count > 1 and plate in truth] == []
    # A floor, so that a broken step shows; the figure itself is measured by `./run accuracy`.
    assert sum(plate in read for plate in truth) >= 0.7 * len(truth)


def test_alerts_of_the_drive_keep_their_priority_unless_there_is_doubt(replayed: Replay) -> None:
    config = HotlistConfig()
    for alert in replayed.alerts:
        hit = alert.hit
        sure = (
            hit.state is StateMatch.SAME
            and hit.outcome is Outcome.HIT
            and hit.read.confidence >= config.sure_confidence
            and hit.read.frames >= config.sure_frames
        )
        assert alert.priority == max(Priority.LOW, hit.entry.priority - (not sure))


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station whose unit has driven once to the end, and kept the scenes of its hits."""
    with station(tmp_path_factory.mktemp("station")) as made:
        with made.run_unit("--until-end", "--set", "retention.context_images=true") as unit:
            assert unit.wait(240) == 0, (made.unit / "unit.log").read_text(encoding="utf-8")[-2000:]
        yield made


def test_every_read_is_at_the_department_once_and_gone_from_the_unit(
    driven: Station, replayed: Replay
) -> None:
    stored = driven.stored()
    assert sorted(stored) == sorted(read_id for read_id, _ in driven.held())
    assert len(stored) == len(set(stored)) == len(replayed.reads)
    status = json.loads((driven.unit / "run" / "status.json").read_text(encoding="utf-8"))
    assert (status["transfer"]["queued"], status["transfer"]["purged"]) == (0, len(stored))
    assert status["alerts"] == len(replayed.alerts)


def test_hits_that_were_told_bring_their_scene_and_no_other_read_does(driven: Station) -> None:
    told, all_hits = driven.hits_told()
    scenes = driven.scenes()
    assert set(scenes) == told
    assert told and len(driven.held()) > len(all_hits) >= len(told)
    for jpeg in scenes.values():
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None and picture.shape[1] == 1280


def test_nothing_of_the_drive_can_be_read_in_the_state_directory(driven: Station) -> None:
    held = {plate for _, plate in driven.held()}
    texts = sorted({str(passing["plate"]) for passing in passings()} | held | (ALERTED - {"6W?F*"}))
    assert readable_in(driven.state, texts) == []


def test_log_names_no_plate(driven: Station) -> None:
    texts = sorted({str(passing["plate"]) for passing in passings()} | {plate for _, plate in driven.held()})
    log = (driven.unit / "unit.log").read_bytes() + (driven.unit.parent / "server.log").read_bytes()
    assert [number for number, text in enumerate(texts) if any(way in log for way in spellings(text))] == []


def test_scan_finds_a_plate_in_each_spelling(tmp_path: Path) -> None:
    for number, way in enumerate(spellings("TEST123")):
        path = tmp_path / f"{number}"
        path.write_bytes(b"before" + way + b"after")
        assert readable_in(tmp_path, ["TEST123"]) == [f"{number}: text 0"]
        path.unlink()


def killed_again_and_again(made: Station, times: int, seed: int) -> None:
    """Drive with SIGKILL at random moments *times* times, then once to the end."""
    chance = random.Random(seed)
    for _ in range(times):
        unit = made.run_unit()
        before = len(made.stored())
        deadline = time.monotonic() + 60
        # Wait for its first commit, so that the kill falls into work and not into the start.
        while len(made.stored()) == before and unit.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 1.5))
        unit.send_signal(signal.SIGKILL)
        assert unit.wait(10) == -signal.SIGKILL
    with made.run_unit("--until-end") as unit:
        assert unit.wait(240) == 0


@pytest.mark.parametrize("times", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_kills_lose_no_stored_read_and_double_none(tmp_path: Path, times: int) -> None:
    with station(tmp_path) as made:
        killed_again_and_again(made, times, seed=times)
        stored, held = made.stored(), [read_id for read_id, _ in made.held()]
        assert len(set(held)) == len(held), "a read is at the department twice"
        assert set(stored) <= set(held), "a stored read did not arrive"
        # A read may have been committed and the kill have come before the log line: it is then held too.
        assert len(held) - len(set(stored)) <= times * 50
        print(f"{times} kills: {len(stored)} reads stored, {len(held)} held")


def test_sigterm_ends_the_unit_cleanly_with_all_reads_kept(tmp_path: Path) -> None:
    with station(tmp_path) as made:
        unit = made.run_unit()
        deadline = time.monotonic() + 60
        while not made.stored() and time.monotonic() < deadline:
            time.sleep(0.1)
        unit.send_signal(signal.SIGTERM)
        assert unit.wait(30) == 0
        assert any(e.get("event") == "unit.stopped" and e.get("clean") is True for e in made.events())
        with made.run_unit("--until-end") as again:
            assert again.wait(240) == 0
        assert set(made.stored()) == {read_id for read_id, _ in made.held()}


def test_wrong_model_stops_the_unit_with_78(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    for path in (DRIVE.parents[2] / "models").rglob("*"):
        if path.is_file():
            target = pack / path.relative_to(DRIVE.parents[2] / "models")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    detector = next((pack / "builtin").glob("*detector*.onnx"))
    altered = bytearray(detector.read_bytes())
    altered[len(altered) // 2] ^= 1
    detector.write_bytes(altered)
    with station(tmp_path) as made:
        unit = made.run_unit("--set", f"recognizer.model_pack={pack}")
        assert unit.wait(60) == 78
        said = (made.unit / "unit.log").read_text(encoding="utf-8").strip().splitlines()[-1]
        assert detector.name in said
        assert "install" in said


def test_unreadable_video_is_said_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video" * 100)
    done = subprocess.run(
        [sys.executable, "-m", "edge", "replay", str(broken)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 66
    assert done.stderr.count("\n") == 1
