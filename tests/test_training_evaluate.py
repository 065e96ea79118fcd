"""Figures reach the manifest and its page by command, and mean what they say."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from recognizer import Box
from recognizer.config import RecognizerConfig
from recognizer.manifest import load_pack
from recognizer.onnx import Recognizer
from recognizer.pack import Measurement
from recognizer.plate import Plate
from recognizer.read import PlateRead
from tests.painted import MODELS, moment, paint, street, tiny_pack
from training import evaluate, validation
from training.coverage import OPERATING_POINT
from training.detector.frames import shared_root
from training.evaluate import Results, contest_of, measure_crops
from training.readers import PEER_CONFIG, PEER_WEIGHTS, Contest, read_crops, with_reader
from training.tables import Row, console_tables, timeless, write_figures
from training.validation import BOXED, crops, labels
from training.whole_frames import Recording, end_to_end, standing, video

BOX = Box(6, 30, 62, 54)
ROWS = (
    Row("ours", Measurement("end to end", "one", 52, {"exact": 0.5, "plates_per_image": 1.25})),
    Row("peer", Measurement("end to end", "one", 52, {"exact": 0.25, "plates_per_image": 1.25})),
    Row("ours", Measurement("end to end", "two", 12, {"exact": 0.75, "recall_30": 1.0, "read_ms": 7.25})),
    Row("ours", Measurement("video", "drive", 140, {"reads": 1.0})),
)


@pytest.fixture
def recognizer(tmp_path: Path) -> Recognizer:
    tiny_pack(tmp_path / "pack")
    return Recognizer.open(RecognizerConfig(model_pack=str(tmp_path / "pack"), threads=1))


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shared folder with one set of frames and one of crops, of which two plates have a known text."""
    folder = tmp_path / "shared"
    (folder / "data").mkdir(parents=True)
    if (shared_root() / "eval").is_dir():
        (folder / "eval").symlink_to((shared_root() / "eval").resolve())
    for kind in ("e2e", "ocr"):
        images = folder / "data" / kind / "drawn" / "images"
        images.mkdir(parents=True)
        for name, text in (("a.png", "7ABC123"), ("b.png", "4XYZ98O"), ("c.png", "99QRST")):
            drawn = paint(street(), BOX, text)
            # A crop shows the plate alone, with no margin at all: as the tiny reader has it.
            crop = drawn[BOX.top : BOX.bottom, BOX.left : BOX.right]
            cv2.imwrite(str(images / name), drawn if kind == "e2e" else crop)
        rows = ["image_path,plate_text,plate_region", "images/a.png,7ABC123,US-CA"]
        rows += ["images/b.png,4XYZ980,US-NV", "images/c.png,,"]
        (images.parent / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.setenv("ALPR_SHARED", str(folder))
    monkeypatch.setattr(validation, "CROPS", {"drawn": "labels.csv"})
    monkeypatch.setitem(validation.FRAMES, "drawn", "e2e")
    return folder


def with_boxes(shared: Path, left: int) -> None:
    """Label the plate of a.png, its left edge at *left*."""
    lines = f"image_path,x1,y1,x2,y2,confidence\nimages/a.png,{left},{BOX.top},{BOX.right},{BOX.bottom},1\n"
    (shared / "data" / "e2e" / "drawn" / "boxes.csv").write_text(lines, encoding="utf-8")


def test_a_frame_counts_as_read_only_if_every_character_is_right(
    recognizer: Recognizer, shared: Path
) -> None:
    row, attempts = end_to_end(Contest(recognizer), "drawn")["tiny"]
    assert row.samples == len(attempts) == 2, "the frame without a known text is not measured"
    assert (row.figures["exact"], row.figures["exact_folded"]) == (0.5, 1.0)
    assert row.figures["char_accuracy"] == pytest.approx((1 + 6 / 7) / 2)
    assert (row.figures["jurisdiction"], row.figures["country"]) == (0.5, 1.0)
    assert row.figures["plates_per_image"] == 1.0


def test_labelled_boxes_say_what_was_found_and_what_is_false(recognizer: Recognizer, shared: Path) -> None:
    if not (shared / "eval").exists():
        pytest.skip("the scoring scripts are not beside this repository")
    with_boxes(shared, BOX.left)
    row, _ = end_to_end(Contest(recognizer), "drawn")["tiny"]
    assert (row.figures["recall_50"], row.figures["false_per_image"]) == (1.0, 0.0)
    with_boxes(shared, BOX.right - 4)
    row, _ = end_to_end(Contest(recognizer), "drawn")["tiny"]
    assert (row.figures["recall_50"], row.figures["false_per_image"]) == (0.0, 1.0)


def test_other_reader_reads_what_our_detector_found(recognizer: Recognizer, shared: Path) -> None:
    measured = end_to_end(Contest(recognizer, readers={"peer": recognizer}), "drawn")
    (own, _), (peer, _) = measured["tiny"], measured["peer"]
    times = ("detect_ms", "read_ms")
    assert {k: v for k, v in peer.figures.items() if k not in times} == {
        k: v for k, v in own.figures.items() if k not in times
    }
    assert peer.figures["detect_ms"] == own.figures["detect_ms"], "it looked only once"


def test_crops_are_read_by_each_reader_and_pooled(recognizer: Recognizer, shared: Path) -> None:
    results = Results()
    measure_crops(Contest(recognizer, readers={"peer": recognizer}), "drawn", results)
    assert [(row.by, row.measured.samples) for row in results.rows] == [("tiny", 2), ("peer", 2)]
    for row in results.rows:
        assert (row.measured.figures["exact"], row.measured.figures["exact_folded"]) == (0.5, 1.0)
        assert row.measured.figures["coverage"] in (0.0, 1.0)
    [attempts] = {tuple(a.weakest for a in found) for found in results.pools["all crops"].values()}
    assert (results.rows[0].measured.figures["coverage"] == 1.0) is (min(attempts) >= OPERATING_POINT)


def test_boxed_frames_are_cut_as_the_unit_cuts(
    recognizer: Recognizer, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "BOXED_FRAMES", ("drawn",))
    with_boxes(shared, BOX.left)
    [crop] = crops(shared / "data", BOXED)
    assert (crop.text, crop.jurisdiction) == ("7ABC123", "US-CA")
    assert crop.pixels.shape[:2] == (BOX.height + 4, BOX.width + 6), "5 % of each side, rounded outwards"


def test_compared_reader_keeps_its_own_confidences(recognizer: Recognizer, shared: Path) -> None:
    ours = replace(recognizer.pack, reader=replace(recognizer.pack.reader, temperature=2.0))
    other = with_reader(ours, MODELS / "reader.onnx", MODELS / "reader.yaml")
    assert other.reader.temperature is None
    assert other.detector == ours.detector
    read, _ = read_crops(Recognizer(other, RecognizerConfig(threads=1)), crops(shared / "data", "drawn"))
    expected, _ = read_crops(recognizer, crops(shared / "data", "drawn"))
    assert read == expected


def test_readers_and_packs_that_are_not_there_are_named(
    recognizer: Recognizer, shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(shared / "nothing"))
    contest = contest_of(recognizer.pack, {}, RecognizerConfig(threads=1))
    assert (contest.readers, contest.packs) == ({}, {})
    said = capsys.readouterr().err
    assert "peer reader" in said
    assert "fast-alpr" in said


def test_pack_that_shares_its_reader_is_read_once(
    recognizer: Recognizer, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shared / "models").mkdir()
    (shared / "models" / PEER_WEIGHTS).symlink_to(MODELS / "reader-logits.onnx")
    (shared / "models" / PEER_CONFIG).symlink_to(MODELS / "reader.yaml")
    monkeypatch.setenv("XDG_DATA_HOME", str(shared))
    tiny_pack(shared / "alpr-edge" / "models" / "fast-alpr")
    pack = load_pack(str(shared / "alpr-edge" / "models" / "fast-alpr"))
    contest = Contest(
        recognizer, packs={"fast-alpr": Recognizer(pack, RecognizerConfig(threads=1))}
    )  # fmt: skip
    assert list(contest.crop_readers) == ["tiny"], "the same weights are not measured twice"
    assert list(contest.finders) == ["tiny", "fast-alpr"]


def test_recording_gives_one_read_and_the_frames_of_its_plate(recognizer: Recognizer, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "drive.avi"), cv2.VideoWriter.fourcc(*"HFYU"), 10.0, (128, 128))
    for _ in range(6):
        writer.write(paint(street(), BOX, "7ABC123"))
    writer.release()
    row, seen = video(recognizer, Recording(tmp_path / "drive.avi", "drawn", "7ABC123"))
    assert (row.samples, row.figures) == (6, {"reads": 1.0, "candidates": 6.0, "right": 1.0})
    assert seen is not None
    assert len(seen.sightings) == 6
    row, seen = video(recognizer, Recording(tmp_path / "drive.avi", "drawn", None))
    assert seen is None
    assert "right" not in row.figures


def test_corrected_read_counts_once() -> None:
    first = PlateRead(
        read_id="1",
        camera="front",
        plate=Plate("8ABC123"),
        positions=(),
        confidence=0.8,
        jurisdiction=None,
        first_seen=moment(0.0),
        settled=moment(1.0),
        box=BOX,
        frames=5,
        evidence=b"",
    )
    second = replace(first, read_id="2", plate=Plate("7ABC123"), revises="1")
    other = replace(first, read_id="3", plate=Plate("4XYZ980"))
    assert [read.read_id for read in standing([first, second, other])] == ["2", "3"]


def test_texts_that_are_masked_or_unknown_are_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image_path,plate_text,plate_region\na,7ABC123,\nb,7A*C123,\nc,,\nd,AB12 CD34,\n")
    assert [label.text for label in labels(path)] == ["7ABC123"]


def test_without_the_pictures_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALPR_SHARED", str(tmp_path / "nowhere"))
    monkeypatch.setattr(sys, "argv", ["evaluate"])
    with pytest.raises(SystemExit) as stopped:
        evaluate.main()
    assert stopped.value.code == 66
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "ALPR_SHARED" in said.err


def test_part_of_a_measurement_is_never_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "--write", "--stage", "reader"])
    with pytest.raises(SystemExit) as stopped:
        evaluate.main()
    assert stopped.value.code == 2
    assert "--write" in capsys.readouterr().err


def test_curve_that_cannot_be_drawn_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(sys, "argv", ["evaluate", "--curve", "curve.png"])
    with pytest.raises(SystemExit) as stopped:
        evaluate.main()
    assert stopped.value.code == 2
    assert "matplotlib" in capsys.readouterr().err


def test_the_page_shows_shares_in_per_cent_and_counts_as_they_are(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("# Models\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
    write_figures(page, ROWS)
    text = page.read_text()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert ["one", "52", "ours", "50.0", "1.25", "-"] in lines
    assert ["one", "52", "peer", "25.0", "1.25", "-"] in lines
    assert ["two", "12", "ours", "75.0", "-", "100.0"] in lines, "no time of this machine"
    assert ["drive", "140", "ours", "1"] in lines
    assert text.startswith("# Models\n")
    assert text.endswith("after\n")
    assert "old" not in text
    write_figures(page, ROWS)
    assert page.read_text() == text


def test_a_page_without_marks_is_not_written_to(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("# Models\n")
    with pytest.raises(ValueError, match="no marks"):
        write_figures(page, ROWS)
    assert page.read_text() == "# Models\n"


def test_all_sets_stand_in_one_table_with_their_times() -> None:
    tables = console_tables(ROWS).split("\n\n")
    assert len(tables) == 2
    assert [line.count("|") for line in tables[0].splitlines()] == [17] * 5
    assert "7.2" in tables[0]
    assert timeless(ROWS[2].measured).figures == {"exact": 0.75, "recall_30": 1.0}
