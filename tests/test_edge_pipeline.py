"""A frame is carried as far as it goes: candidates, reads, hits, alerts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from camera.frame import Frame
from edge.pipeline import Pipeline, ReadWithHits
from hotlist_cache.config import HotlistConfig
from hotlist_cache.hit import Alert, HotlistHit
from hotlist_cache.policy import AlertPolicy
from recognizer.config import RecognizerConfig
from recognizer.plate import normalise
from recognizer.read import Box, PlateCandidate, PlateRead
from recognizer.track import Tracker
from tests.clocks import FakeClock
from tests.fakes import a_hit

ids = iter(f"id-{n}" for n in range(10_000))


class Scripted:
    """A recogniser that sees what each frame's script says: texts, each at a place of its own."""

    def __init__(self, script: dict[tuple[str, int], list[str]]) -> None:
        self._script = script

    def candidates(self, frame: Frame) -> tuple[PlateCandidate, ...]:
        return tuple(
            PlateCandidate(
                text=normalise(text),
                positions=tuple(((c, 0.97),) for c in text),
                box=Box(100, 100 + 200 * row, 200, 130 + 200 * row),
                detection_confidence=0.9,
                jurisdiction=None,
                sharpness=100.0,
                evidence=b"jpeg",
            )
            for row, text in enumerate(self._script.get((frame.camera, frame.sequence), []))
        )


class Listed:
    """A hotlist of exact plates that remembers when it was asked."""

    def __init__(self, *plates: str) -> None:
        self._plates = plates
        self.asked: list[tuple[str, datetime]] = []

    def match(self, read: PlateRead, now: datetime) -> tuple[HotlistHit, ...]:
        self.asked.append((read.plate, now))
        return (a_hit(read),) if read.plate in self._plates else ()


def drive(pipeline: Pipeline, frames: int, cameras: Sequence[str] = ("front",)) -> list[PlateRead]:
    clock = FakeClock()
    reads = []
    for sequence in range(frames):
        for camera in cameras:
            step = pipeline.step(Frame(camera, sequence, clock.now(), np.zeros((4, 4, 3), np.uint8)))
            reads += [item.read for item in step.reads]
        clock.advance(1 / 15)
    reads += [item.read for item in pipeline.finish(clock.now().utc).reads]
    return reads


def pipeline(recognizer: Scripted, hotlist: Listed | None) -> Pipeline:
    config = RecognizerConfig()
    return Pipeline(
        recognizer,
        lambda camera: Tracker(config, lambda: next(ids)),
        hotlist,
        AlertPolicy(HotlistConfig(), lambda: next(ids)),
    )


def test_passing_vehicle_gives_one_read_and_is_matched_once() -> None:
    hotlist = Listed()
    made = drive(pipeline(Scripted({("front", n): ["TEST123"] for n in range(20)}), hotlist), 40)
    assert [read.plate for read in made] == ["TEST123"]
    assert len(hotlist.asked) == 1


def test_listed_plate_raises_an_alert_with_its_read() -> None:
    under_test = pipeline(
        Scripted({("front", n): ["TEST123", "ABC999"] for n in range(10)}), Listed("TEST123")
    )
    clock = FakeClock()
    alerts: list[Alert] = []
    reads: list[ReadWithHits] = []
    for sequence in range(10):
        step = under_test.step(Frame("front", sequence, clock.now(), np.zeros((4, 4, 3), np.uint8)))
        alerts += step.alerts
        reads += step.reads
        clock.advance(1 / 15)
    assert [alert.hit.read.plate for alert in alerts] == ["TEST123"]
    assert sorted((item.read.plate, len(item.hits)) for item in reads) == [("ABC999", 0), ("TEST123", 1)]


def test_without_a_list_reads_are_still_made() -> None:
    made = drive(pipeline(Scripted({("front", n): ["TEST123"] for n in range(10)}), None), 10)
    assert len(made) == 1


def test_cameras_do_not_share_tracks() -> None:
    script = {(camera, n): ["TEST123"] for camera in ("front", "rear") for n in range(10)}
    made = drive(pipeline(Scripted(script), None), 10, ("front", "rear"))
    assert sorted(read.camera for read in made) == ["front", "rear"]


def test_vehicle_still_in_view_at_the_end_is_read() -> None:
    script = {("front", n): ["TEST123"] for n in (0, 1)}
    assert [read.plate for read in drive(pipeline(Scripted(script), None), 2)] == ["TEST123"]


def test_list_put_in_force_meets_the_next_read() -> None:
    under_test = pipeline(Scripted({("front", n): ["TEST123"] for n in range(5)}), None)
    under_test.hotlist = Listed("TEST123")
    clock, alerts = FakeClock(), 0
    for sequence in range(5):
        step = under_test.step(Frame("front", sequence, clock.now(), np.zeros((4, 4, 3), np.uint8)))
        alerts += len(step.alerts)
        clock.advance(1 / 15)
    assert alerts == 1


def test_list_is_asked_at_the_time_of_the_frame() -> None:
    hotlist = Listed()
    drive(pipeline(Scripted({("front", n): ["TEST123"] for n in range(5)}), hotlist), 5)
    (_, asked_at), start = hotlist.asked[0], FakeClock().now().utc
    assert timedelta(0) <= asked_at - start < timedelta(seconds=1)
