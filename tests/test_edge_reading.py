"""Single pictures become JSON lines that the accuracy scripts take; annotated footage becomes a video."""

import csv
import importlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.annotate import Annotator
from edge.pipeline import ReadWithHits, Step
from edge.reading import ImagesRead, read_images
from edge.replay import Replay, write_reads
from edge.video import VideoUnwritableError
from recognizer import Box, Plate
from recognizer.config import RecognizerConfig
from recognizer.onnx import Recognizer
from recognizer.track import Tracker
from tests.fakes import a_read
from tests.painted import frame, paint, street, tiny_pack

LEFT, RIGHT = Box(6, 30, 62, 54), Box(68, 70, 124, 100)
SHARED = Path(os.environ.get("ALPR_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    folder = tmp_path_factory.mktemp("pack")
    tiny_pack(folder)
    return Recognizer.open(RecognizerConfig(model_pack=str(folder), threads=1))


def picture(path: Path, pixels: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def read(paths: list[Path], recognizer: Recognizer) -> tuple[ImagesRead, list[dict[str, Any]]]:
    out = io.StringIO()
    result = read_images(paths, recognizer, out)
    return result, [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_picture_is_one_line_with_all_that_was_read(recognizer: Recognizer, tmp_path: Path) -> None:
    path = picture(tmp_path / "one.png", paint(paint(street(), LEFT, "7ABC123"), RIGHT, "XYZ99", "PL"))
    result, [line] = read([path], recognizer)
    assert (result.images, result.plates, result.exit_code) == (1, 2, 0)
    assert line["image"] == "one.png"
    assert line["ms"] > 0
    plates = {plate["text"]: plate for plate in line["plates"]}
    plate = plates["7ABC123"]
    assert plate["box"] == [6, 30, 62, 54]
    assert len(plate["char_confidences"]) == 7
    assert plate["confidence"] == min(plate["char_confidences"])
    assert plate["jurisdiction"] == "US-CA"
    assert plate["detection_confidence"] == pytest.approx(0.9, abs=1e-3)
    assert plates["XYZ99"]["jurisdiction"] == "PL"


def test_stacked_letters_are_a_field_of_their_own(tmp_path: Path) -> None:
    tiny_pack(tmp_path / "pack", reader="reader-prefix.onnx")
    recognizer = Recognizer.open(RecognizerConfig(model_pack=str(tmp_path / "pack"), threads=1))
    pixels = paint(paint(street(), LEFT, "12345XQ"), RIGHT, "54321")
    _, [line] = read([picture(tmp_path / "one.png", pixels)], recognizer)
    plates = {plate["text"]: plate for plate in line["plates"]}
    assert plates["12345"]["prefix"] == "XQ"
    assert plates["12345"]["prefix_confidence"] > 0.9
    assert (plates["54321"]["prefix"], plates["54321"]["prefix_confidence"]) == ("", None)


def test_a_replays_table_names_prefix_and_corrected_read(tmp_path: Path) -> None:
    first = a_read("read-1", "TEST128")
    second = replace(a_read("read-2"), prefix=Plate("XQ"), prefix_confidence=0.9, revises="read-1")
    items = tuple(ReadWithHits(each, ()) for each in (first, second))
    write_reads(tmp_path / "reads.csv", Replay(1, first.first_seen.utc, items, (), 1.0))
    with (tmp_path / "reads.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["plate"], row["prefix"], row["revises"]) for row in csv.DictReader(file)]
    assert rows == [("TEST128", "", ""), ("TEST123", "XQ", "read-1")]


def test_a_picture_without_a_plate_is_a_line_without_plates(recognizer: Recognizer, tmp_path: Path) -> None:
    result, [line] = read([picture(tmp_path / "none.png", street())], recognizer)
    assert line["plates"] == []
    assert result.exit_code == 0


def test_pictures_that_cannot_be_read_are_named_and_the_others_read(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    good = picture(tmp_path / "good.png", paint(street(), LEFT, "7ABC123"))
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_bytes(b"no picture at all")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:40])
    names = ["missing.jpg", "empty.jpg", "good.png", "text.jpg", "cut.png"]
    result, lines = read([tmp_path / name for name in names], recognizer)
    assert [line["image"] for line in lines] == ["good.png"]
    assert result.exit_code != 0
    said = {line.split(": ")[0].rsplit("/", 1)[1]: line.split(": ", 1)[1] for line in result.unreadable}
    assert said["missing.jpg"] == "cannot be opened: No such file or directory"
    assert said["empty.jpg"] == "is empty"
    assert said["text.jpg"] == "is not a picture, or is damaged"
    assert "cut.png" in said


def test_pictures_of_one_name_in_two_folders_are_told_apart(recognizer: Recognizer, tmp_path: Path) -> None:
    paths = [picture(tmp_path / folder / "one.png", street()) for folder in ("a", "b")]
    _, lines = read(paths, recognizer)
    assert [line["image"] for line in lines] == [str(path) for path in paths]


@pytest.mark.skipif(
    not (SHARED / "eval").is_dir(), reason="the scoring scripts are not beside this repository"
)
def test_the_scoring_script_takes_the_lines(recognizer: Recognizer, tmp_path: Path) -> None:
    paths = [
        picture(tmp_path / "hit.png", paint(street(), LEFT, "7ABC123")),
        picture(tmp_path / "miss.png", paint(street(), LEFT, "4XYZ987")),
    ]
    for path, text in zip(paths, ("7ABC123", "4XYZ98Z"), strict=True):
        path.with_suffix(".txt").write_text(f"{path.name}\t6\t30\t56\t24\t{text}\n", encoding="utf-8")
    lines = tmp_path / "read.jsonl"
    with lines.open("w", encoding="utf-8") as out:
        read_images(paths, recognizer, out)
    sys.path.insert(0, str(SHARED / "eval"))
    try:
        score = importlib.import_module("score")
    finally:
        sys.path.pop(0)
    scored = score.score(score.load_ground_truth(tmp_path), score.load_jsonl(lines))
    assert (scored["exact"], scored["recall_iou50"]) == (0.5, 1.0)


def annotated(path: Path, recognizer: Recognizer, size: tuple[int, int] = (641, 361)) -> None:
    tracker = Tracker(RecognizerConfig(), lambda: "read-1")
    annotator = Annotator(path)
    for step in range(10):
        left = 60 + 5 * step
        pixels = paint(street(*size), Box(left, 120, left + 200, 180), "7ABC123")
        shown = frame(pixels, at_s=step / 10, sequence=step)
        candidates = recognizer.candidates(shown)
        reads = tuple(ReadWithHits(read, ()) for read in tracker.update(shown, candidates))
        annotator.add(shown, Step(candidates, reads, ()))
        assert (pixels[0:5, 0:5] == 90).all(), "the frame itself is not drawn on"
    annotator.close()


@pytest.mark.parametrize("found", ["ffmpeg", None])
def test_annotated_footage_is_a_video_of_the_same_length_and_speed(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    which: Callable[[str], str | None] = shutil.which
    if found and not which(found):
        pytest.skip("ffmpeg is not installed")
    monkeypatch.setattr("edge.video.shutil.which", lambda name: which(name) if found else None)
    annotated(tmp_path / "out.mp4", recognizer)
    video = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    frames = []
    while (grabbed := video.read())[0]:
        frames.append(grabbed[1])
    assert len(frames) == 10
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0, abs=0.1)
    assert frames[0].shape == (360, 640, 3), "odd sides are made even"
    assert not np.array_equal(frames[0][20:60, 20:220], frames[9][20:60, 20:220]), "the list shows the read"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4"]


@pytest.mark.parametrize("found", ["/usr/bin/ffmpeg", None])
def test_a_video_that_cannot_be_written_is_an_error_that_names_it(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    monkeypatch.setattr("edge.video.shutil.which", lambda name: found)
    with pytest.raises(VideoUnwritableError, match=r"nowhere.*out\.mp4"):
        annotated(tmp_path / "nowhere" / "out.mp4", recognizer)


def test_a_single_frame_is_a_video_too(recognizer: Recognizer, tmp_path: Path) -> None:
    annotator = Annotator(tmp_path / "one.mp4")
    annotator.add(frame(street(640, 360)), Step((), (), ()))
    annotator.close()
    assert cv2.VideoCapture(str(tmp_path / "one.mp4")).read()[0]
