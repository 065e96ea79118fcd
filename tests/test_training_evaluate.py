"""Figures reach the manifest and its page by command, and mean what they say."""

from pathlib import Path

import cv2
import pytest

from recognizer import Box
from recognizer.config import RecognizerConfig
from recognizer.onnx import Recognizer
from recognizer.pack import Measurement
from tests.painted import paint, street, tiny_pack
from training.adopt import labels
from training.detector.frames import shared_root
from training.evaluate import end_to_end, reader, write_figures

BOX = Box(6, 30, 62, 54)
ROWS = (
    Measurement("end to end", "one", 52, {"exact": 0.5, "plates_per_image": 1.25}),
    Measurement("end to end", "two", 12, {"exact": 0.75, "detected": 1.0}),
    Measurement("video", "drive", 140, {"reads": 1.0}),
)


@pytest.fixture
def recognizer(tmp_path: Path) -> Recognizer:
    tiny_pack(tmp_path / "pack")
    return Recognizer.open(RecognizerConfig(model_pack=str(tmp_path / "pack"), threads=1))


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shared folder with the real scorers, one set of frames and one of crops, two plates each."""
    if not (shared_root() / "eval").is_dir():
        pytest.skip("the scoring scripts are not beside this repository")
    folder = tmp_path / "shared"
    (folder / "data").mkdir(parents=True)
    (folder / "eval").symlink_to((shared_root() / "eval").resolve())
    for kind in ("e2e", "ocr"):
        images = folder / "data" / kind / "drawn" / "images"
        images.mkdir(parents=True)
        for name, text in (("a.png", "7ABC123"), ("b.png", "4XYZ98O"), ("c.png", "99QRST")):
            cv2.imwrite(str(images / name), paint(street(), BOX, text))
        rows = ["image_path,plate_text,plate_region", "images/a.png,7ABC123,", "images/b.png,4XYZ980,"]
        rows.append("images/c.png,,")
        (images.parent / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.setenv("ALPR_SHARED", str(folder))
    return folder


def test_a_frame_counts_as_read_only_if_every_character_is_right(
    recognizer: Recognizer, shared: Path
) -> None:
    row = end_to_end(recognizer, "drawn")
    assert row.samples == 2, "the frame without a known text is not measured"
    assert (row.figures["exact"], row.figures["exact_folded"]) == (0.5, 1.0)


def test_crops_are_scored_by_the_reader_alone(recognizer: Recognizer, shared: Path) -> None:
    # These "crops" are whole frames, in which the reader sees the plate nowhere it expects one.
    assert reader(recognizer, "drawn", "labels.csv").figures["exact"] == 0.0


def test_texts_that_are_masked_or_unknown_are_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image_path,plate_text,plate_region\na,7ABC123,\nb,7A*C123,\nc,,\nd,AB12 CD34,\n")
    assert [text for _, text in labels(path)] == ["7ABC123"]


def test_the_page_shows_shares_in_per_cent_and_counts_as_they_are(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("# Models\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
    write_figures(page, ROWS)
    text = page.read_text()
    assert "| one | 52 | 50.0 | 1.25 | - |" in text
    assert "| two | 12 | 75.0 | - | 100.0 |" in text
    assert "| drive | 140 | 1 |" in text
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
