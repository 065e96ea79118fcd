"""Who is measured: our pack, other readers behind its detector, and other whole packs, all in one run on the
same pictures."""

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from recognizer import image
from recognizer.config import RecognizerConfig
from recognizer.errors import ModelInvalidError
from recognizer.manifest import load_pack
from recognizer.onnx import Reading, Recognizer
from recognizer.pack import ModelFile, Pack
from recognizer.plate import Plate, normalise
from recognizer.read import Box, PlateCandidate
from training.adopt import READER_IN, READER_OUT, tensors
from training.attempts import Attempt
from training.validation import LabelledCrop, Pixels

PEER = "peer reader"
PEER_WEIGHTS, PEER_CONFIG = "cct_xs_v2_global.onnx", "cct_v2_global_plate_config.yaml"
OFFICIAL = "fast-alpr"


@dataclass(frozen=True, slots=True)
class Look:
    """What one contender finds in a picture, and what that cost in milliseconds."""

    candidates: tuple[PlateCandidate, ...]
    detect_ms: float
    read_ms: float


@dataclass(frozen=True, slots=True)
class Contest:
    """All who are measured, by name."""

    own: Recognizer
    readers: Mapping[str, Recognizer] = field(default_factory=dict)
    """Other readers; their detector is ours."""
    packs: Mapping[str, Recognizer] = field(default_factory=dict)
    """Other packs, measured with their own detector."""

    @property
    def crop_readers(self) -> dict[str, Recognizer]:
        """Every different reader: one that a pack shares with a reader already named is left out."""
        found = {self.own.pack.name: self.own, **self.readers}
        digests = {recognizer.pack.reader.weights.sha256 for recognizer in found.values()}
        others = {n: r for n, r in self.packs.items() if r.pack.reader.weights.sha256 not in digests}
        return found | others

    @property
    def finders(self) -> dict[str, Recognizer]:
        """Every different detector."""
        return {self.own.pack.name: self.own, **self.packs}

    def looks(self, pixels: Pixels, *, close_ups: bool) -> dict[str, Look]:
        """Return what each contender finds in *pixels*; our detector looks once for all its readers."""
        found = {name: _look(finder, pixels, close_ups) for name, finder in self.finders.items()}
        ours = found[self.own.pack.name]
        for name, reader in self.readers.items():
            started = time.perf_counter()
            candidates = tuple(reread(reader, candidate, pixels) for candidate in ours.candidates)
            found[name] = Look(candidates, ours.detect_ms, (time.perf_counter() - started) * 1e3)
        return found


def _look(recognizer: Recognizer, pixels: Pixels, close_ups: bool) -> Look:
    candidates = recognizer.candidates_in(pixels, close_ups=close_ups)
    return Look(candidates, recognizer.timings.detect_ms, recognizer.timings.read_ms)


def reread(reader: Recognizer, candidate: PlateCandidate, pixels: Pixels) -> PlateCandidate:
    """Return what *reader* makes of the plate that *candidate* found in *pixels*, cut by the unit's rule."""
    crop = image.cut(pixels, image.crop_box(candidate.box, pixels.shape))
    return candidate_of(reader.read(crop), candidate.box, candidate.detection_confidence, candidate.sharpness)


def candidate_of(reading: Reading, box: Box, detection_confidence: float, sharpness: float) -> PlateCandidate:
    """Return *reading* as one frame's opinion of a plate, without a picture of it."""
    return PlateCandidate(
        text=Plate(reading.text),
        positions=reading.positions,
        box=box,
        detection_confidence=detection_confidence,
        jurisdiction=reading.opinion if reading.text else None,
        sharpness=sharpness,
        evidence=b"",
    )


def read_crops(reader: Recognizer, crops: Iterable[LabelledCrop]) -> tuple[list[Attempt], list[float]]:
    """Return what *reader* makes of each crop, and the milliseconds each took."""
    attempts, spent_ms = [], []
    for crop in crops:
        started = time.perf_counter()
        reading = reader.read(crop.pixels)
        spent_ms.append((time.perf_counter() - started) * 1e3)
        attempts.append(
            Attempt(
                truth=normalise(crop.text),
                text=normalise(reading.text),
                confidences=tuple(position[0][1] for position in reading.positions),
                jurisdiction=crop.jurisdiction,
                opinion=reading.opinion,
            )
        )
    return attempts, spent_ms


def with_reader(pack: Pack, weights: Path, config: Path) -> Pack:
    """Return *pack* with the reader in those files, whose probabilities are taken as they are: a temperature
    is fitted to one reader's."""
    crop, outputs = tensors(weights, READER_IN, READER_OUT)
    # Absolute names, so that the files may lie outside the pack; their digests are not pinned anywhere.
    other = replace(
        pack.reader,
        weights=ModelFile(
            str(weights.resolve()), hashlib.sha256(weights.read_bytes()).hexdigest(), weights.stat().st_size
        ),
        config=ModelFile(str(config.resolve()), "", 0),
        input=crop,
        outputs=outputs,
        temperature=None,
        region_temperature=None,
    )
    return replace(pack, reader=other)


def installed(name: str, config: RecognizerConfig) -> Recognizer | None:
    """Return the pack *name* if it is installed. Raises ModelInvalidError if it is, but damaged."""
    try:
        pack = load_pack(name)
    except ModelInvalidError as error:
        if "models install" in str(error):
            return None
        raise
    return Recognizer(pack, config)
