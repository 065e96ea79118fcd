"""The vote is compared with single frames fairly: same plates, same frames."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from recognizer import Box, PlateCandidate
from recognizer.config import RecognizerConfig
from recognizer.onnx import Recognizer
from recognizer.plate import Plate
from tests.painted import paint, street, tiny_pack
from training.validation import LabelledCrop
from training.voting import Passing, drive, read, views, voting_figures

PLATE = Box(6, 30, 62, 54)


def candidate(text: str, confidence: float, width: int = 100, sharpness: float = 1000.0) -> PlateCandidate:
    return PlateCandidate(
        text=Plate(text),
        positions=tuple(((character, confidence),) for character in text),
        box=Box(0, 0, width, 20),
        detection_confidence=0.9,
        jurisdiction=None,
        sharpness=sharpness,
        evidence=b"",
    )


def passing(*candidates: PlateCandidate) -> Passing:
    return Passing(Plate("7ABC120"), candidates)


def test_vote_can_be_right_where_every_single_choice_is_wrong() -> None:
    figures = voting_figures(
        [
            passing(
                candidate("7ABC12O", 0.8, width=70),
                candidate("7ABC120", 0.8, width=70),
                candidate("7A8C120", 0.6, width=100),
                candidate("7ABC12Q", 0.85, width=30),
            )
        ]
    )
    assert figures["frames"] == 4
    assert figures["average_frame"] == 0.5, "O for 0 is right"
    assert (figures["most_legible"], figures["most_confident"], figures["vote"]) == (0.0, 0.0, 1.0)


def test_vote_is_wrong_where_frames_agree_on_a_mistake() -> None:
    wrong = [candidate("8ABC120", 0.9, width=60)] * 4
    figures = voting_figures([passing(*wrong, candidate("7ABC120", 0.95))])
    assert (figures["most_legible"], figures["most_confident"], figures["vote"]) == (1.0, 1.0, 0.0)
    assert figures["average_frame"] == 0.2


def test_each_passing_counts_alike_however_long() -> None:
    long, short = [candidate("7ABC120", 0.9)] * 9, [candidate("", 0.0)]
    assert voting_figures([passing(*long), passing(*short)])["average_frame"] == 0.5


def test_passing_of_which_nothing_was_read_is_wrong_throughout() -> None:
    figures = voting_figures([passing(candidate("", 0.0), candidate("", 0.0))])
    assert {figures[key] for key in ("average_frame", "most_legible", "most_confident", "vote")} == {0.0}


def test_only_plates_seen_several_times_are_grouped() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    found = views([LabelledCrop(pixels, text, "") for text in ("AB1", "CD2", "AB1", "AB1")])
    assert [(seen.truth, len(seen.sightings)) for seen in found] == [("AB1", 3)]


@pytest.fixture
def recognizer(tmp_path: Path) -> Recognizer:
    tiny_pack(tmp_path / "pack")
    return Recognizer.open(RecognizerConfig(model_pack=str(tmp_path / "pack"), threads=1))


def test_plates_of_a_drive_are_found_by_their_true_boxes(recognizer: Recognizer, tmp_path: Path) -> None:
    lossless = cv2.VideoWriter.fourcc(*"HFYU")
    writer = cv2.VideoWriter(str(tmp_path / "drive.avi"), lossless, 15.0, (128, 128))
    assert writer.isOpened(), "OpenCV's ffmpeg has the lossless codec"
    for _ in range(3):
        writer.write(paint(street(), PLATE, "7ABC123"))
    writer.release()
    (tmp_path / "drive.avi").rename(tmp_path / "drive.mp4")
    there = [PLATE.left, PLATE.top, PLATE.right, PLATE.bottom]
    elsewhere = [80, 90, 120, 110]
    rows = [
        {"plate": "7ABC123", "boxes": {"0": there, "1": there, "2": there}},
        {"plate": "8XYZ999", "boxes": {"0": elsewhere, "1": elsewhere}},
        {"plate": "9ONCE11", "boxes": {"2": there}},
    ]
    (tmp_path / "drive.truth.jsonl").write_text("\n".join(map(json.dumps, rows)))
    [seen] = drive(tmp_path, recognizer)
    assert (seen.truth, len(seen.sightings)) == ("7ABC123", 3)
    [found] = read([seen], recognizer)
    assert voting_figures([found]) == {
        "frames": 3, "average_frame": 1.0, "most_legible": 1.0, "most_confident": 1.0, "vote": 1.0,
    }  # fmt: skip


def test_drive_that_is_no_video_is_not_an_empty_one(recognizer: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "drive.truth.jsonl").write_text("")
    with pytest.raises(OSError, match=r"drive\.mp4"):
        drive(tmp_path, recognizer)
