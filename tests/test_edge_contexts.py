"""The scene that is kept of a hit is the one its plate was read in, or none."""

from dataclasses import replace
from datetime import UTC, datetime

import cv2
import numpy as np

from camera.frame import Frame, Moment, TimeQuality
from edge.contexts import FRAMES_HELD, MAX_WIDTH, Contexts
from recognizer.plate import Plate
from recognizer.read import Box, PlateCandidate
from tests.fakes import a_read


def a_frame(sequence: int, camera: str = "front", width: int = 1920, height: int = 1080) -> Frame:
    moment = Moment(datetime(2026, 3, 1, tzinfo=UTC), sequence, "boot", TimeQuality.GPS)
    pixels = np.full((height, width, 3), sequence * 5 % 250, np.uint8)
    return Frame(camera, sequence, moment, pixels)


def a_candidate(evidence: bytes) -> PlateCandidate:
    return PlateCandidate(Plate("TEST123"), (), Box(1, 2, 30, 12), 0.9, None, 1.0, evidence)


def pixels_of(jpeg: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels


def test_the_scene_is_that_of_the_best_candidates_frame() -> None:
    contexts = Contexts()
    candidates = [a_candidate(bytes([number])) for number in range(5)]
    for number, candidate in enumerate(candidates):
        contexts.see(a_frame(number * 10), [candidate])
    scene = pixels_of(contexts.of(a_read(evidence=candidates[3].evidence)))
    assert scene.shape[1] == MAX_WIDTH and abs(scene.shape[0] / scene.shape[1] - 1080 / 1920) < 0.01
    assert abs(int(scene.mean()) - 30 * 5) <= 2


def test_a_read_whose_frame_is_gone_has_no_scene() -> None:
    contexts, candidate = Contexts(), a_candidate(b"first")
    contexts.see(a_frame(0), [candidate])
    for number in range(FRAMES_HELD):
        contexts.see(a_frame(number + 1), [a_candidate(b"another")])
    assert contexts.of(a_read(evidence=candidate.evidence)) == b""


def test_pictures_that_look_alike_are_not_taken_for_each_other() -> None:
    contexts = Contexts()
    contexts.see(a_frame(0), [a_candidate(bytes([1, 2, 3]))])
    assert contexts.of(a_read(evidence=bytes([1, 2, 3]))) == b""  # equal, but not the same candidate's


def test_cameras_are_kept_apart_and_frames_without_plates_left_out() -> None:
    contexts, candidate = Contexts(), a_candidate(b"x")
    contexts.see(a_frame(0, "rear"), [candidate])
    read = a_read(evidence=candidate.evidence)
    assert contexts.of(read) == b""
    assert contexts.of(replace(read, camera="rear"))
    for number in range(2 * FRAMES_HELD):
        contexts.see(a_frame(number, "rear"), [])
    assert contexts.of(replace(read, camera="rear"))


def test_a_small_frame_is_not_made_larger() -> None:
    contexts, candidate = Contexts(), a_candidate(b"x")
    contexts.see(a_frame(0, width=640, height=360), [candidate])
    assert pixels_of(contexts.of(a_read(evidence=candidate.evidence))).shape == (360, 640, 3)


def test_a_read_without_a_picture_has_no_scene() -> None:
    contexts = Contexts()
    contexts.see(a_frame(0), [a_candidate(b"")])
    assert contexts.of(a_read(evidence=b"")) == b""
