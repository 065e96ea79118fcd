"""The recogniser end to end on painted plates, and what it does when a model is not what it should be."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from open_image_models.detection.core.yolo_v9.preprocess import preprocess

from recognizer import Box, InferenceFailedError, ModelInvalidError
from recognizer.config import RecognizerConfig
from recognizer.onnx import Recognizer
from recognizer.pack import MANIFEST, Tensor, encode_pack
from tests.painted import frame, paint, street, tiny_pack

CONFIG = RecognizerConfig(threads=1)
LEFT, RIGHT = Box(6, 30, 62, 54), Box(68, 70, 124, 100)


def opened(folder: Path) -> Recognizer:
    return Recognizer.open(replace(CONFIG, model_pack=str(folder)))


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    folder = tmp_path_factory.mktemp("pack")
    tiny_pack(folder)
    return opened(folder)


def test_a_plate_is_read_with_its_own_box(recognizer: Recognizer) -> None:
    [candidate] = recognizer.candidates(frame(paint(street(), LEFT, "7ABC123")))
    assert candidate.text == "7ABC123"
    assert candidate.box == LEFT
    assert candidate.detection_confidence == pytest.approx(0.9)
    assert candidate.jurisdiction is not None
    assert candidate.jurisdiction.code == "US-CA"


def test_two_plates_of_one_frame_are_two_candidates(recognizer: Recognizer) -> None:
    pixels = paint(paint(street(), LEFT, "7ABC123"), RIGHT, "XYZ99", "PL")
    found = {str(c.text): c for c in recognizer.candidates(frame(pixels))}
    assert set(found) == {"7ABC123", "XYZ99"}
    assert found["XYZ99"].box == RIGHT
    assert [c.jurisdiction.code if c.jurisdiction else "" for c in found.values()].count("PL") == 1


def test_an_empty_road_has_no_candidates(recognizer: Recognizer) -> None:
    assert recognizer.candidates(frame(street())) == ()


def test_every_character_keeps_its_own_distribution(recognizer: Recognizer) -> None:
    [candidate] = recognizer.candidates(frame(paint(street(), LEFT, "7ABC123")))
    assert [position[0][0] for position in candidate.positions] == list("7ABC123")
    for position in candidate.positions:
        probabilities = [probability for _, probability in position]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) <= 1.0 + 1e-6
        assert min(probabilities) >= 0.001
    assert any(len(position) > 1 for position in candidate.positions), "look-alikes are kept, not cut away"


def test_a_plate_without_characters_is_a_candidate_without_text(recognizer: Recognizer) -> None:
    [candidate] = recognizer.candidates(frame(paint(street(), LEFT, "")))
    assert candidate.text == ""
    assert candidate.positions == ()
    assert candidate.jurisdiction is None


def test_a_doubtful_box_in_which_nothing_is_written_is_no_plate(tmp_path: Path) -> None:
    tiny_pack(tmp_path / "pack")
    pixels = paint(paint(street(), LEFT, ""), RIGHT, "XYZ99")
    seen = {}
    for least in (0.0, 1.0):
        config = RecognizerConfig(model_pack=str(tmp_path / "pack"), threads=1, unread_confidence=least)
        seen[least] = [str(c.text) for c in Recognizer.open(config).candidates_in(pixels)]
    assert sorted(seen[0.0]) == ["", "XYZ99"]
    assert seen[1.0] == ["XYZ99"]


def test_an_issuer_the_reader_does_not_know_is_none(recognizer: Recognizer) -> None:
    [candidate] = recognizer.candidates(frame(paint(street(), LEFT, "7ABC123", "Unknown")))
    assert candidate.jurisdiction is None


def test_a_box_too_small_to_read_is_no_candidate(recognizer: Recognizer) -> None:
    narrow = Box(10, 10, 10 + CONFIG.min_plate_width_px - 1, 18)
    assert recognizer.candidates(frame(paint(street(), narrow, "7ABC123"))) == ()


def test_the_evidence_is_a_jpeg_of_the_plate_with_its_surroundings(recognizer: Recognizer) -> None:
    [candidate] = recognizer.candidates(frame(paint(street(), LEFT, "7ABC123")))
    picture = cv2.imdecode(np.frombuffer(candidate.evidence, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert LEFT.width < picture.shape[1] <= 400
    assert LEFT.height < picture.shape[0]


def test_evidence_of_a_close_plate_is_scaled_to_400_pixels(recognizer: Recognizer) -> None:
    pixels = paint(street(1280, 1280), Box(40, 500, 620, 800), "7ABC123")
    [candidate] = recognizer.candidates(frame(pixels))
    picture = cv2.imdecode(np.frombuffer(candidate.evidence, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[1] == 400


def test_the_frame_is_not_written_to(recognizer: Recognizer) -> None:
    pixels = paint(street(), LEFT, "7ABC123")
    pixels.flags.writeable = False
    recognizer.candidates(frame(pixels))


def test_boxes_are_in_pixels_of_a_frame_of_any_shape(recognizer: Recognizer) -> None:
    [candidate] = recognizer.candidates(frame(paint(street(1280, 720), Box(100, 300, 560, 450), "7ABC123")))
    assert candidate.text == "7ABC123"
    box = candidate.box
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((100, 300, 560, 450), abs=10)


def test_a_blurred_plate_is_less_sharp(recognizer: Recognizer) -> None:
    pixels = paint(street(), LEFT, "7A1B2C3")
    [sharp] = recognizer.candidates(frame(pixels))
    [soft] = recognizer.candidates(frame(np.asarray(cv2.GaussianBlur(pixels, (7, 1), 2.0), np.uint8)))
    assert soft.sharpness < sharp.sharpness


def test_timings_are_those_of_the_newest_frame(recognizer: Recognizer) -> None:
    recognizer.candidates(frame(paint(street(), LEFT, "7ABC123")))
    assert recognizer.timings.detect_ms > 0.0
    assert recognizer.timings.read_ms > 0.0
    recognizer.candidates(frame(street()))
    assert recognizer.timings.evidence_ms < 1.0, "an empty road needs no evidence"


def test_a_detector_that_does_not_run_is_an_error_and_not_an_empty_road(tmp_path: Path) -> None:
    tiny_pack(tmp_path, detector="detector-broken.onnx")
    with pytest.raises(ModelInvalidError, match="a model did not run"):
        opened(tmp_path)


def test_a_detector_that_breaks_later_is_an_error_and_not_an_empty_road(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    tiny_pack(tmp_path, detector="detector-broken.onnx")
    working = opened(recognizer.pack.folder)
    broken = onnxruntime.InferenceSession(str(tmp_path / "detector-broken.onnx"))
    working._detector._model.model = broken  # what a failing driver does to a loaded model
    with pytest.raises(InferenceFailedError, match="a model did not run"):
        working.candidates(frame(paint(street(), LEFT, "7ABC123")))


def test_a_reader_without_softmax_is_refused(tmp_path: Path) -> None:
    tiny_pack(tmp_path, reader="reader-logits.onnx")
    with pytest.raises(ModelInvalidError, match="no probability distribution"):
        opened(tmp_path)


def test_a_model_of_another_shape_than_its_manifest_is_refused(tmp_path: Path) -> None:
    pack = tiny_pack(tmp_path)
    wrong = replace(pack.detector, input=Tensor("float32", (1, 3, 640, 640), ""))
    (tmp_path / MANIFEST).write_text(encode_pack(replace(pack, detector=wrong)), encoding="utf-8")
    with pytest.raises(
        ModelInvalidError, match=r"input 'images' is .*128, 128\], its manifest says .*640, 640\]"
    ):
        opened(tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    pack = tiny_pack(tmp_path)
    (tmp_path / "detector.onnx").write_bytes(b"not a model")
    digest = "8cba6c1e34bb07a7f4f3ab0ae7ae6b04ba1b22e4e0d4f1b0b1c7d4e5ed4ce9b7"
    weights = replace(pack.detector.weights, sha256=digest, bytes=11)
    with pytest.raises(ModelInvalidError, match="is no detector"):
        Recognizer(replace(pack, detector=replace(pack.detector, weights=weights)), CONFIG)


def test_the_detector_is_fed_what_its_library_would_feed_it(recognizer: Recognizer) -> None:
    fed: list[np.ndarray] = []
    working = opened(recognizer.pack.folder)
    session = working._detector._model.model

    class Listening:
        def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            fed.extend(inputs.values())
            return list(session.run(outputs, inputs))

    working._detector._model.model = Listening()
    pixels = np.random.default_rng(1).integers(0, 256, (90, 200, 3), np.uint8)
    working.candidates(frame(pixels))
    expected, _, _ = preprocess(pixels, (128, 128))
    np.testing.assert_allclose(fed[0], expected, atol=1e-6)


def test_a_plate_found_at_two_scales_is_one_candidate(recognizer: Recognizer) -> None:
    pixels = paint(street(), Box(30, 30, 60, 54), "7ABC123")
    [candidate] = recognizer.candidates_in(pixels, close_ups=True)
    assert candidate.text == "7ABC123"
    box = candidate.box
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((30, 30, 60, 54), abs=2)


def test_a_configured_threshold_goes_before_the_packs_own(recognizer: Recognizer) -> None:
    strict = Recognizer(recognizer.pack, replace(CONFIG, detection_threshold=0.95))
    assert strict.candidates(frame(paint(street(), LEFT, "7ABC123"))) == ()


@pytest.fixture
def stacked(tmp_path: Path) -> Recognizer:
    tiny_pack(tmp_path, reader="reader-prefix.onnx")
    return opened(tmp_path)


@pytest.mark.parametrize("prefix", ["", "X", "XQ", "XQ7"])
def test_stacked_letters_are_read_beside_the_text(stacked: Recognizer, prefix: str) -> None:
    [candidate] = stacked.candidates(frame(paint(street(), LEFT, "12345" + prefix)))
    assert (candidate.text, candidate.prefix_text) == ("12345", prefix)
    assert len(candidate.prefix) == len(prefix)


def test_stacked_letters_without_a_text_are_not_a_plates(stacked: Recognizer) -> None:
    [candidate] = stacked.candidates(frame(paint(street(), LEFT, "_____XQ")))
    assert (candidate.text, candidate.prefix) == ("", ())


def test_a_reader_without_an_output_for_stacked_letters_sees_none(recognizer: Recognizer) -> None:
    [candidate] = recognizer.candidates(frame(paint(street(), LEFT, "12345XQ")))
    assert (candidate.text, candidate.prefix) == ("12345XQ", ())


def test_a_reader_with_an_output_its_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    pack = tiny_pack(tmp_path, reader="reader-prefix.onnx")
    fewer = replace(pack.reader, outputs=pack.reader.outputs[:2])
    with pytest.raises(ModelInvalidError, match="has 3 outputs, its manifest says 2"):
        Recognizer(replace(pack, reader=fewer), CONFIG)


class Counted:
    """A detector's session that remembers what it was fed."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.session = recognizer._detector._model.model
        self.fed: list[np.ndarray] = []
        recognizer._detector._model.model = self

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.fed.extend(inputs.values())
        return list(self.session.run(outputs, inputs))


def test_a_wide_frame_is_looked_at_twice_and_a_single_picture_once(recognizer: Recognizer) -> None:
    working = opened(recognizer.pack.folder)
    counted = Counted(working)
    working.candidates(frame(street(512, 288)))
    assert len(counted.fed) == 2
    working.candidates_in(street(512, 288))
    assert len(counted.fed) == 3


def test_without_far_views_a_wide_frame_is_looked_at_once(recognizer: Recognizer) -> None:
    working = Recognizer(recognizer.pack, replace(CONFIG, far_views=False))
    counted = Counted(working)
    working.candidates(frame(street(512, 288)))
    assert len(counted.fed) == 1


def test_a_far_plate_is_read_where_it_stands(recognizer: Recognizer) -> None:
    # 30 px of 1024 are three pixels of the tiny model's coarse look, and fifteen of its fine one.
    working = opened(recognizer.pack.folder)
    box = Box(640, 280, 672, 292)
    texts = [
        [(str(c.text), c.box) for c in working.candidates(frame(paint(street(1024, 576), box, "7ABC123")))]
        for _ in range(14)
    ]
    found = [boxes for seen in texts for text, boxes in seen if text == "7ABC123"]
    assert found
    for place in found:
        assert (place.left, place.top) == pytest.approx((box.left, box.top), abs=4)
        assert (place.right, place.bottom) == pytest.approx((box.right, box.bottom), abs=4)


def test_each_camera_has_its_own_turn(recognizer: Recognizer) -> None:
    def looked_at(cameras: str) -> list[np.ndarray]:
        working = opened(recognizer.pack.folder)
        counted = Counted(working)
        slope = np.tile(np.linspace(0, 200, 1024, dtype=np.uint8)[None, :, None], (576, 1, 3))
        fed = []
        for camera in cameras:
            counted.fed.clear()
            working.candidates(frame(slope, camera=camera))
            if camera == "a":
                fed.append(counted.fed[1])
        return fed

    alone, together = looked_at("aaa"), looked_at("abababb")
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(alone[0], alone[1]), "the window moves"
