"""A frame is carried as far as it goes: candidates, reads, hits, alerts."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from camera.frame import Frame
from edge.pipeline import Pipeline, ReadWithHits, Step, marked
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

    def __init__(self, script: dict[tuple[str, int], list[str]], sharper_after: int = 0) -> None:
        self._script = script
        self._sharper_after = sharper_after

    def candidates(self, frame: Frame) -> tuple[PlateCandidate, ...]:
        return tuple(
            PlateCandidate(
                text=normalise(text),
                positions=tuple(((c, 0.97),) for c in text),
                box=Box(100, 100 + 200 * row, 200, 130 + 200 * row),
                detection_confidence=0.9,
                jurisdiction=None,
                sharpness=100.0 if frame.sequence < self._sharper_after else 2000.0,
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


def misread_then(late: str, *listed: str, frames: int = 40) -> list[Step]:
    """Drive past a plate that five far frames read as TEST128 and nearer ones as *late*; return the steps."""
    seen = {("front", n): ["TEST128" if n < 5 else late] for n in range(frames)}
    under_test = pipeline(Scripted(seen, sharper_after=5), Listed(*listed))
    clock, steps = FakeClock(), []
    for sequence in range(frames):
        steps.append(under_test.step(Frame("front", sequence, clock.now(), np.zeros((4, 4, 3), np.uint8))))
        clock.advance(1 / 15)
    return steps


def test_alert_of_a_misread_is_corrected_when_its_hit_is_gone() -> None:
    steps = misread_then("TEST123", "TEST128")
    [first, second] = [item.read for step in steps for item in step.reads]
    assert (first.plate, second.plate, second.revises) == ("TEST128", "TEST123", first.read_id)
    [alert] = [alert for step in steps for alert in step.alerts]
    [correction] = [correction for step in steps for correction in step.corrections]
    assert (correction.alert, correction.read, correction.hit_gone) == (alert, second, True)
    assert [each.corrected for each in marked([alert], [correction])] == [True]


def test_corrected_read_that_is_listed_raises_an_alert_of_its_own() -> None:
    steps = misread_then("TEST123", "TEST123")
    [alert] = [alert for step in steps for alert in step.alerts]
    assert (alert.hit.read.plate, alert.hit.read.revises is None) == ("TEST123", False)
    assert not [correction for step in steps for correction in step.corrections]


def test_entry_met_again_by_the_corrected_plate_is_told_anew_and_replaces_the_first_alert() -> None:
    steps = misread_then("TEST123", "TEST128", "TEST123")  # of one entry id, as a look-alike has it
    first, second = [alert for step in steps for alert in step.alerts]
    [correction] = [correction for step in steps for correction in step.corrections]
    assert (correction.alert, correction.hit_gone) == (first, False)
    assert second.hit.read.plate == "TEST123"
    assert [each.corrected for each in marked([first, second], [correction])] == [True, False]


def test_read_that_is_never_corrected_has_no_correction() -> None:
    steps = misread_then("TEST128", "TEST128", frames=60)
    assert len([item for step in steps for item in step.reads]) == 1
    assert not [correction for step in steps for correction in step.corrections]


def test_alerts_remembered_for_corrections_are_bounded() -> None:
    source = random.Random(1)
    plates = ["".join(source.choices("ABCDEFGHJKLMNPRSTUVWXYZ23456789", k=7)) for _ in range(150)]
    script = {("front", n): [plates[n // 5]] for n in range(5 * len(plates))}
    under_test = pipeline(Scripted(script), Listed(*plates))
    reads = drive(under_test, 5 * len(plates))
    assert len(reads) > 120
    assert len(under_test._told) == 100
