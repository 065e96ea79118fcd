"""Makes trained files a pack: writes its `manifest.toml` with their digests, sizes and shapes.

    python -m training.adopt --detector models/builtin/plate-detector-640.onnx --threshold 0.4 \\
        --detector-run training/runs/detector-fifth --reader models/builtin/plate-reader.onnx \\
        --reader-config models/builtin/plate-reader.yaml --reader-run training/runs/reader-second

The pack is the built-in one, in `models/`, or with `--pack NAME` the one in `models/NAME/`.

The reader's temperatures are fitted here, on the validation crops of sets whose other part it was trained on
(that for issuers also on the held-out flat plates of the states), so that 0.9 is right nine times out of ten;
sets that are measured whole take no part. How it errs where it is sure is counted on rendered crops.

The accuracy table starts empty, for the figures of other files are not these files' figures: run
`python -m training.evaluate --write` next.
"""

import argparse
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from fast_plate_ocr import LicensePlateRecognizer

from recognizer.manifest import BUILTIN, load_pack
from recognizer.pack import MANIFEST, Misreads, Model, ModelFile, Pack, Tensor, encode_pack
from recognizer.plate import fold, normalise
from training.detector.frames import shared_root
from training.reader.samples import ALPHABET, render_chunk
from training.validation import Pixels, labels, picture, state_pictures

LICENCE = "Apache-2.0"
CALIBRATION = ("openlpr_faisal", "us_reddit_plat", "openimages_useu", "kaggle_cars433")
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
DETECTOR_IN = ("RGB in 0..1, letterboxed on grey 114",)
DETECTOR_OUT = (
    "batch, left, top, right, bottom, class, score, one row a plate, after suppression of overlaps",
)
READER_IN = ("RGB, the crop of a plate with its margin, stretched",)
READER_OUT = (
    "probability of each character of the plate configuration in each slot",
    "probability of each issuer",
    "probability of each character in each place of the stacked prefix",
)
"""The last one is not in published readers."""
MISREAD_SEED, MISREAD_CROPS = 900_000, 8_000
"""Rendered crops that no run was trained on."""
SURE = 0.9
"""Of a character: above it the reader does not say that it may be wrong."""
LEAST_MISREADS = 2
"""Of one character for another: fewer say nothing of the next."""


def model_file(path: Path, folder: Path) -> ModelFile:
    """Return what the file at *path* is, as a file of the pack in *folder*."""
    content = path.read_bytes()
    name = path.resolve().relative_to(folder.resolve())
    return ModelFile(name.as_posix(), hashlib.sha256(content).hexdigest(), len(content))


def tensors(
    path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the input and the outputs of the model at *path*, with those meanings; it may have fewer.

    Raises ValueError if it has more.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    sides = ((session.get_inputs(), inputs), (session.get_outputs(), outputs))
    if any(len(side) > len(meanings) for side, meanings in sides):
        raise ValueError(f"{path} has an input or output that nothing is known of")
    found = [
        [Tensor(_DTYPES[t.type], tuple(n if isinstance(n, int) else -1 for n in t.shape), meaning)
         for t, meaning in zip(side, meanings, strict=False)]
        for side, meanings in sides
    ]  # fmt: skip
    return found[0][0], tuple(found[1])


def temperatures(weights: Path, config: Path) -> tuple[float, float]:
    """Return what makes the reader's probabilities of characters, and of issuers, fit validation crops
    best."""
    plates = LicensePlateRecognizer(
        onnx_model_path=weights, plate_config_path=config, providers=["CPUExecutionProvider"]
    )
    alphabet, regions = plates.config.alphabet, list(plates.config.plate_regions or ())
    characters: list[npt.NDArray[np.float64]] = []
    issuers: list[npt.NDArray[np.float64]] = []
    true_characters: list[int] = []
    true_issuers: list[int] = []
    for pixels, text, jurisdiction in _calibration_plates():
        size = (plates.config.img_width, plates.config.img_height)
        resized = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), size)
        slots, shares = plates.model.run(["plate", "region"], {"input": resized[np.newaxis]})
        if text:
            characters += list(slots[0].astype(np.float64))
            padded = text.ljust(len(slots[0]), plates.config.pad_char)
            true_characters += [alphabet.index(c) for c in padded]
        if jurisdiction in regions:
            issuers.append(shares[0].astype(np.float64))
            true_issuers.append(regions.index(jurisdiction))
    return (
        fitted(np.array(characters), np.array(true_characters)),
        fitted(np.array(issuers), np.array(true_issuers)),
    )


def _calibration_plates() -> Iterator[tuple[Pixels, str, str]]:
    """Give picture, text and jurisdiction, either of which may be empty."""
    for name in CALIBRATION:
        for label in labels(shared_root() / "data" / "ocr" / name / "val.csv"):
            yield picture(label.path), label.text, label.jurisdiction
    for path, jurisdiction in state_pictures(shared_root() / "data", "val"):
        yield picture(path), "", jurisdiction


def misreads(weights: Path, config: Path) -> Misreads:
    """Return how the reader errs on rendered crops that it was not trained on, where it does not say so."""
    reader = LicensePlateRecognizer(
        onnx_model_path=weights, plate_config_path=config, providers=["CPUExecutionProvider"]
    )
    samples = render_chunk(MISREAD_SEED, MISREAD_CROPS)
    sure = wrong = 0
    taken_for: dict[str, Counter[str]] = {}
    for start in range(0, len(samples), 64):
        for offset, reading in enumerate(
            reader.run(samples.images[start : start + 64], return_confidence=True)
        ):
            truth = "".join(ALPHABET[i] for i in samples.slots[start + offset]).rstrip("_")
            if len(reading.plate) != len(truth) or reading.char_probs is None:
                continue
            pairs = zip(
                fold(normalise(reading.plate)), fold(normalise(truth)), reading.char_probs, strict=False
            )
            for read, true, probability in pairs:
                if read != true:
                    taken_for.setdefault(read, Counter())[true] += 1
                if probability >= SURE:
                    sure += 1
                    wrong += read != true
    shares = {}
    for read in sorted(taken_for):
        counts = Counter({true: n for true, n in taken_for[read].items() if n >= LEAST_MISREADS})
        if counts:
            total = sum(taken_for[read].values())
            shares[read] = {true: round(n / total, 3) for true, n in counts.most_common()}
    return Misreads(round(wrong / max(sure, 1), 5), shares)


def fitted(shares: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """Return the temperature, in steps of 5 %, at which *shares*, (n, classes), are least surprised by
    *truth*, (n,)."""
    logs = np.log(np.clip(shares, 1e-9, 1.0))

    def surprise(candidate: float) -> float:
        scaled = logs / candidate
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(truth)), truth]))

    candidates = [round(1.05**step, 3) for step in range(-40, 41)]
    return min(candidates, key=surprise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("detector", "detector-run", "reader", "reader-config", "reader-run"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--threshold", required=True, type=float, help="least detection confidence")
    parser.add_argument("--pack", default=BUILTIN, help="name of the pack")
    arguments = parser.parse_args()
    models = Path(__file__).resolve().parents[1] / "models"
    folder = models if arguments.pack == BUILTIN else models / arguments.pack
    seen, found = tensors(arguments.detector, DETECTOR_IN, DETECTOR_OUT)
    crop, read = tensors(arguments.reader, READER_IN, READER_OUT)
    temperature, region_temperature = temperatures(arguments.reader, arguments.reader_config)
    pack = Pack(
        name=arguments.pack,
        folder=folder,
        detector=Model(
            weights=model_file(arguments.detector, folder),
            licence=LICENCE,
            source=arguments.detector_run.as_posix(),
            input=seen,
            outputs=found,
            threshold=arguments.threshold,
        ),
        reader=Model(
            weights=model_file(arguments.reader, folder),
            licence=LICENCE,
            source=arguments.reader_run.as_posix(),
            input=crop,
            outputs=read,
            config=model_file(arguments.reader_config, folder),
            temperature=temperature,
            region_temperature=region_temperature,
            misreads=misreads(arguments.reader, arguments.reader_config),
        ),
    )
    (folder / MANIFEST).write_text(encode_pack(pack), encoding="utf-8")
    print(f"{folder / MANIFEST}: files of {load_pack(arguments.pack).name} verified; next: evaluate --write")


if __name__ == "__main__":
    main()
