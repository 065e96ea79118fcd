"""The only module that runs a model: a pack's detector and reader, joined by fast-alpr.

`fast_alpr.ALPR` orders the steps (find plates, cut them out, read each); our `_Detector` and `_Reader` fill
its two interfaces. The libraries' own classes are not used for this, for three reasons: open-image-models
turns a failed run into "no plates", so that a broken detector looks like an empty road; its boxes are cut
without a margin; and fast-plate-ocr reduces each position to its likeliest character, where the hotlist needs
the whole distribution.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import fast_alpr
import numpy as np
import numpy.typing as npt
import onnxruntime
from fast_alpr.base import BaseDetector, BaseOCR, OcrResult
from fast_plate_ocr import LicensePlateRecognizer
from fast_plate_ocr.core.process import resize_image
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors
from open_image_models import create_detector
from open_image_models.detection.core.base import BoundingBox, DetectionResult
from open_image_models.detection.core.yolo_v9 import YoloV9Detector
from open_image_models.detection.core.yolo_v9.postprocess import convert_to_detection_result
from yaml import YAMLError  # type: ignore[import-untyped]  # fast-plate-ocr reads its configuration with it

from camera.frame import Frame
from recognizer import boxes, decode, image
from recognizer.config import RecognizerConfig
from recognizer.errors import InferenceFailedError, ModelInvalidError
from recognizer.manifest import load_pack
from recognizer.pack import Model, Pack, Tensor
from recognizer.plate import Plate
from recognizer.read import Box, JurisdictionOpinion, PlateCandidate, Position
from recognizer.regions import jurisdiction
from recognizer.views import Lookout, View, whole

Pixels = npt.NDArray[np.uint8]

# All that ONNX Runtime raises derives from Exception itself, one class a kind.
_RUNTIME_ERRORS = tuple(
    error
    for error in vars(runtime_errors).values()
    if isinstance(error, type) and issubclass(error, Exception)
)
_INVALID = (*_RUNTIME_ERRORS, OSError, ValueError, TypeError, KeyError, YAMLError)

_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
_PLATE_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_PREFIX_OUTPUT = "prefix"
_GREY = (114, 114, 114)
"""Of the letterbox's border, as the library's."""
_MIN_HEIGHT_PX = 5
"""Lower boxes hold no characters, only edges."""


@dataclass(frozen=True, slots=True)
class Timings:
    """What the newest frame cost, in milliseconds."""

    detect_ms: float
    read_ms: float
    """Cutting out and reading all its plates."""
    evidence_ms: float
    """Sharpness and JPEG of all its plates."""


@dataclass(frozen=True)
class _Plate(DetectionResult):
    """A detection whose bounding box has the reader's margin, and the detector's own box beside it."""

    box: Box


@dataclass(frozen=True)
class Reading(OcrResult):  # type: ignore[misc]  # fast-alpr ships no types
    """All that the reader said of one crop, beside what fast-alpr carries of it."""

    positions: tuple[Position, ...] = ()
    """One per character of `text`."""
    opinion: JurisdictionOpinion | None = None
    prefix_positions: tuple[Position, ...] = ()
    """One per stacked letter; empty also where the reader has no output for them."""


class Recognizer:
    """Reads the plates of frames with the models of one pack. One thread at a time."""

    def __init__(self, pack: Pack, config: RecognizerConfig) -> None:
        """Load both models and run each once on an empty picture.

        Raises ModelInvalidError if a model cannot be loaded or is not what the pack's manifest says of it.
        """
        model = _detection_model(pack, config)
        self._reader = _Reader(pack, config)
        self._detector = _Detector(model, config.min_plate_width_px)
        self._alpr = fast_alpr.ALPR(detector=self._detector, ocr=self._reader)
        self._lookouts: dict[str, Lookout] | None = {} if config.far_views else None
        self._unread_confidence = config.unread_confidence
        self.pack = pack
        self.timings = Timings(0.0, 0.0, 0.0)
        try:
            self.candidates_in(np.zeros((72, 128, 3), np.uint8))
            self._reader.predict(np.zeros((32, 64, 3), np.uint8))
        except InferenceFailedError as error:
            raise ModelInvalidError(f"model pack {pack.name}: {error}") from error

    @classmethod
    def open(cls, config: RecognizerConfig) -> "Recognizer":
        """Verify the pack that *config* names and load it. Raises ModelInvalidError."""
        return cls(load_pack(config.model_pack), config)

    def candidates(self, frame: Frame) -> tuple[PlateCandidate, ...]:
        """Return what *frame* shows, one candidate per plate found, the surest plate first.

        A candidate whose text is empty is a plate that could not be read. What is looked at follows from the
        frames of the same camera before: give it each camera's frames in their order. Raises
        InferenceFailedError if a model does not run: that is never an empty result.
        """
        if self._lookouts is None:
            return self.candidates_in(frame.pixels)
        if (lookout := self._lookouts.get(frame.camera)) is None:
            lookout = self._lookouts[frame.camera] = Lookout(self._detector.side_px)
        height, width = frame.pixels.shape[:2]
        found = self._seen(frame.pixels, lookout.views(width, height))
        lookout.found([candidate.box for candidate in found], height)
        return found

    def candidates_in(self, pixels: Pixels, *, close_ups: bool = False) -> tuple[PlateCandidate, ...]:
        """The same for bare *pixels*: (height, width, 3), BGR.

        *close_ups* also looks at the picture at half and at a quarter of its size, for plates that fill it,
        at a third more cost: right for single pictures, wasted on a road, where no plate is so near.
        """
        height, width = pixels.shape[:2]
        side_px = self._detector.side_px
        sizes = (side_px, side_px // 2, side_px // 4) if close_ups else (side_px,)
        return self._seen(pixels, [whole(width, height, size) for size in sizes])

    def _seen(self, pixels: Pixels, views: Sequence[View]) -> tuple[PlateCandidate, ...]:
        started_ns = time.monotonic_ns()
        self._detector.views = views
        results = self._alpr.predict(pixels)
        read_ns = time.monotonic_ns()
        found = tuple(
            _candidate(pixels, result.detection, result.ocr)
            for result in results
            # The reader has learnt to see nothing where nothing is written; of a doubtful box, that decides.
            if result.ocr.text or result.detection.confidence >= self._unread_confidence
        )
        detect_ms = self._detector.spent_ms
        self.timings = Timings(
            detect_ms=detect_ms,
            read_ms=_ms(read_ns - started_ns) - detect_ms,
            evidence_ms=_ms(time.monotonic_ns() - read_ns),
        )
        return found

    def read(self, crop: Pixels) -> Reading:
        """Read a picture already cut as `image.crop_box` cuts, to measure the reader alone.

        Raises InferenceFailedError if the reader does not run.
        """
        return self._reader.predict(crop)


def _candidate(pixels: Pixels, plate: _Plate, reading: Reading) -> PlateCandidate:
    return PlateCandidate(
        text=Plate(reading.text),
        positions=reading.positions,
        box=plate.box,
        detection_confidence=plate.confidence,
        jurisdiction=reading.opinion if reading.text else None,
        sharpness=image.sharpness(image.cut(pixels, plate.box)),
        evidence=image.evidence(pixels, plate.box),
        prefix=reading.prefix_positions if reading.text else (),
    )


class _Detector(BaseDetector):  # type: ignore[misc]  # fast-alpr ships no types
    """Finds plates in one or more views of the picture."""

    def __init__(self, model: YoloV9Detector, min_width_px: int) -> None:
        self._model = model
        self._min_width_px = min_width_px
        self.side_px: int = model.img_size[0]
        """Of the model's input."""
        self.views: Sequence[View] = ()
        """Of the next picture: fast-alpr hands over its pixels and nothing else."""
        self.spent_ms = 0.0
        """On the newest frame."""

    def predict(self, frame: Pixels) -> list[_Plate]:
        started_ns = time.monotonic_ns()
        found = [plate for view in self.views for plate in self._found(frame, view)]
        kept = boxes.distinct([plate.box for plate in found], [plate.confidence for plate in found])
        self.spent_ms = _ms(time.monotonic_ns() - started_ns)
        return [found[index] for index in kept]

    def _found(self, frame: Pixels, view: View) -> list[_Plate]:
        padded, ratio, left, top = _letterboxed(image.cut(frame, view.window), view.input_px, self.side_px)
        # As the library's own `preprocess`, but in float32 throughout: its float64 is slow.
        planes = cv2.dnn.blobFromImage(padded, scalefactor=1 / 255.0, swapRB=True)
        rows = _run(self._model.model, [self._model.output_name], {self._model.input_name: planes})[0]
        if rows.ndim != 2 or rows.shape[1] != 7:
            raise InferenceFailedError(f"the detector gave an array of shape {rows.shape}, not (n, 7)")
        found = convert_to_detection_result(
            predictions=rows,
            class_labels=self._model.class_labels,
            ratio=(ratio, ratio),
            # From pixels of the input to pixels of the frame, not only of the view's part of it.
            padding=(left - view.window.left * ratio, top - view.window.top * ratio),
            score_threshold=self._model.conf_thresh,
        )
        plates = [_plate(result, frame.shape) for result in found]
        return [
            plate
            for plate in plates
            if plate.box.width >= self._min_width_px
            and plate.box.height >= _MIN_HEIGHT_PX
            and view.trusts(plate.box)
        ]


def _letterboxed(pixels: Pixels, longer_px: int, side_px: int) -> tuple[Pixels, float, int, int]:
    """Return *pixels*, scaled so that their longer side is *longer_px*, in the middle of a grey square of
    *side_px*; then the scale, and how much grey is at the left and at the top.

    At *longer_px* = *side_px* the picture is the library's `letterbox`, and the grey is told without its half
    pixels.
    """
    height, width = pixels.shape[:2]
    ratio = min(longer_px / height, longer_px / width)
    across, down = round(width * ratio), round(height * ratio)
    if (across, down) != (width, height):
        pixels = np.asarray(cv2.resize(pixels, (across, down), interpolation=cv2.INTER_LINEAR), np.uint8)
    left, top = (side_px - across) // 2, (side_px - down) // 2
    padded = cv2.copyMakeBorder(
        pixels, top, side_px - down - top, left, side_px - across - left, cv2.BORDER_CONSTANT, value=_GREY
    )
    return np.asarray(padded, np.uint8), ratio, left, top


def _detection_model(pack: Pack, config: RecognizerConfig) -> YoloV9Detector:
    model, weights = pack.detector, pack.path(pack.detector.weights)
    try:
        loaded = create_detector(
            weights,
            backend="yolo_v9",
            class_labels=("License Plate",),
            conf_thresh=model.threshold if config.detection_threshold is None else config.detection_threshold,
            providers=["CPUExecutionProvider"],
            sess_options=_session_options(config),
        )
    except _INVALID as error:
        raise ModelInvalidError(f"{weights} is no detector: {_line(error)}") from error
    assert isinstance(loaded, YoloV9Detector)  # as the backend asked for is
    _check(weights, loaded.model, model)
    return loaded


class _Reader(BaseOCR):  # type: ignore[misc]  # fast-alpr ships no types
    def __init__(self, pack: Pack, config: RecognizerConfig) -> None:
        model = pack.reader
        if model.config is None:
            raise ModelInvalidError(f"model pack {pack.name}: the reader has no plate configuration")
        weights = pack.path(model.weights)
        try:
            self._model = LicensePlateRecognizer(
                onnx_model_path=weights,
                plate_config_path=pack.path(model.config),
                providers=["CPUExecutionProvider"],
                sess_options=_session_options(config),
            )
        except _INVALID as error:
            raise ModelInvalidError(f"{weights} is no reader: {_line(error)}") from error
        _check(weights, self._model.model, model)
        plate_config = self._model.config
        alphabet, pad = plate_config.alphabet, plate_config.pad_char
        if set(alphabet) - {pad} - _PLATE_CHARACTERS or pad not in alphabet or pad in _PLATE_CHARACTERS:
            raise ModelInvalidError(
                f"{pack.path(model.config)}: the alphabet is not A-Z, 0-9 and one padding mark"
            )
        self._characters = tuple("" if character == pad else character for character in alphabet)
        labels = plate_config.plate_regions or ()
        self._codes = tuple(jurisdiction(label) for label in labels) if self._model.has_region_head else ()
        self._temperature = model.temperature or 1.0
        self._region_temperature = model.region_temperature or 1.0
        self._outputs = [str(self._model.plate_output_name)]
        if self._codes:
            self._outputs.append(str(self._model.region_output_name))
        # Published readers have no such output.
        if _PREFIX_OUTPUT in self._model.output_names:
            self._outputs.append(_PREFIX_OUTPUT)

    def predict(self, cropped_plate: Pixels) -> Reading:
        config = self._model.config
        code = cv2.COLOR_BGR2RGB if config.image_color_mode == "rgb" else cv2.COLOR_BGR2GRAY
        resized = resize_image(
            cv2.cvtColor(cropped_plate, code),
            config.img_height,
            config.img_width,
            image_color_mode=config.image_color_mode,
            keep_aspect_ratio=config.keep_aspect_ratio,
            interpolation_method=config.interpolation,
            padding_color=config.padding_color,
        )
        outputs = _run(self._model.model, self._outputs, {"input": resized[np.newaxis]})
        slots = outputs[0].reshape(-1, len(self._characters))
        if slots.shape[0] != config.max_plate_slots:
            raise InferenceFailedError(
                f"the reader gave {slots.shape[0]} slots, not {config.max_plate_slots}"
            )
        read = decode.positions(slots, self._characters, self._temperature)
        opinion = (
            decode.opinion(outputs[1][0], self._codes, self._region_temperature) if self._codes else None
        )
        return Reading(
            text="".join(position[0][0] for position in read),
            confidence=[position[0][1] for position in read],
            region=opinion.code if opinion else None,
            region_confidence=opinion.confidence if opinion else None,
            positions=read,
            opinion=opinion,
            prefix_positions=self._prefix(outputs[-1]) if _PREFIX_OUTPUT in self._outputs else (),
        )

    def _prefix(self, tensor: npt.NDArray[np.float32]) -> tuple[Position, ...]:
        if tensor.shape[2:] != (len(self._characters),):
            raise InferenceFailedError(f"the reader gave a prefix of shape {tensor.shape}")
        # Trained on hard targets, unlike the serial: its probabilities are taken as they are.
        return decode.positions(tensor[0], self._characters)


def _run(session: Any, outputs: list[str], inputs: dict[str, npt.NDArray[Any]]) -> list[Any]:
    try:
        results: list[Any] = session.run(outputs, inputs)
    except _RUNTIME_ERRORS as error:
        raise InferenceFailedError(f"a model did not run: {_line(error)}") from error
    return results


def _check(path: Path, session: Any, model: Model) -> None:
    """Raise ModelInvalidError unless the loaded model's inputs and outputs are those the manifest names."""
    expected = (
        (session.get_inputs(), (model.input,), "input"),
        (session.get_outputs(), model.outputs, "output"),
    )
    for loaded, said, what in expected:
        if len(loaded) != len(said):
            raise ModelInvalidError(f"{path} has {len(loaded)} {what}s, its manifest says {len(said)}")
        for tensor, wanted in zip(loaded, said, strict=True):
            if not _is(tensor, wanted):
                raise ModelInvalidError(
                    f"{path}: {what} {tensor.name!r} is {tensor.type} {tensor.shape}, "
                    f"its manifest says {wanted.dtype} {list(wanted.shape)}"
                )


def _is(tensor: Any, wanted: Tensor) -> bool:
    if _DTYPES.get(tensor.type) != wanted.dtype or len(tensor.shape) != len(wanted.shape):
        return False
    return all(size in (-1, have) for have, size in zip(tensor.shape, wanted.shape, strict=True))


def _session_options(config: RecognizerConfig) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors reach us as exceptions; warnings would flood the journal
    # Idle worker threads would spin on cores that the cameras and the store need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _plate(result: DetectionResult, shape: tuple[int, ...]) -> _Plate:
    x1, y1, x2, y2 = result.bounding_box.clamp(shape[1], shape[0])
    box = Box(x1, y1, max(x1, x2), max(y1, y2))
    crop = image.crop_box(box, shape)
    looked_at = BoundingBox(crop.left, crop.top, crop.right, crop.bottom)
    return _Plate(result.label, result.confidence, looked_at, box)


def _ms(duration_ns: int) -> float:
    return duration_ns / 1e6


def _line(error: Exception) -> str:
    """The first line of a library's message; the rest of ONNX Runtime's is a stack trace."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
