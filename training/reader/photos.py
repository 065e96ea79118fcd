"""Real plates as training samples: labelled crops, and unlabelled ones that a teacher reads.

Only the sets that may be trained on are named here; a photograph whose crop or text is in any validation
set is left out. The teachers are fast-plate-ocr's cct_xs_v2_global and cct_xs_v1_global (MIT); `teach` says
when they are believed.

    python -m training.reader.photos --out ../crops-real --views 12
"""

import argparse
import csv
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from fast_plate_ocr import LicensePlateRecognizer

from training import degrade
from training.reader.cells import find_cells
from training.reader.net import ReaderNet, load_reader
from training.reader.samples import (
    ALPHABET,
    PREFIX_SLOTS,
    SLOTS,
    Samples,
    encode,
    region_index,
    save_chunk,
)
from training.reader.shuffle import shuffled
from training.validation import state_pictures

LABELLED = ("openimages_useu", "us_reddit_plat", "kaggle_cars433", "openlpr_faisal")
FRAMES = ("openimages_useu", "us_reddit_plat", "kaggle_cars433", "openlpr_faisal", "ro_robertlucian")
MINIMUM_CONFIDENCE = 0.75
SECONDED_CONFIDENCE = 0.5
"""Enough where the second teacher reads the same in two of three views."""
SMALLEST_PX = 44
"""Boxes narrower than this are not given to the teacher: nobody could say whether it is right."""

HELD_EVERY, HELD_VIEWS = 14, 4
"""One text of so many is held back to choose between snapshots by, in so many views."""

COUNTRY_CODES = {
    "Austria": "AT",
    "Belgium": "BE",
    "Bulgaria": "BG",
    "Croatia": "HR",
    "Cyprus": "CY",
    "Czech Republic": "CZ",
    "Denmark": "DK",
    "Estonia": "EE",
    "Finland": "FI",
    "France": "FR",
    "Germany": "DE",
    "Greece": "GR",
    "Hungary": "HU",
    "Ireland": "IE",
    "Israel": "IL",
    "Italy": "IT",
    "Latvia": "LV",
    "Lithuania": "LT",
    "Netherlands": "NL",
    "Norway": "NO",
    "Poland": "PL",
    "Portugal": "PT",
    "Romania": "RO",
    "Serbia": "RS",
    "Slovakia": "SK",
    "Slovenia": "SI",
    "Spain": "ES",
    "Sweden": "SE",
    "Switzerland": "CH",
    "Ukraine": "UA",
    "United Kingdom": "GB",
    "Brazil": "BR",
    "Argentina": "AR",
    "Singapore": "SG",
}


@dataclass(frozen=True, slots=True)
class Photo:
    """A plate in a photograph. Text None asks the teacher."""

    path: Path
    box: tuple[float, float, float, float] | None
    """Left, top, right, bottom as shares of the picture; None for a crop that is already cut with about
    PADDING."""
    text: str | None
    jurisdiction: str


@dataclass(frozen=True, slots=True)
class Read:
    """A photo of which the plate text or at least the jurisdiction is known."""

    picture: npt.NDArray[np.uint8]
    box: tuple[float, float, float, float]
    """In pixels of the picture."""
    text: str | None
    jurisdiction: str

    @property
    def prefix(self) -> str | None:
        """Nothing is stacked on plates that are not North American; of those, nobody noted it down."""
        american = not self.jurisdiction or self.jurisdiction[:2] in {"US", "CA"}
        return None if american else ""


def shared_folder() -> Path:
    """Return the folder with data, models and scorers: ALPR_SHARED, or `shared` beside the repository."""
    return Path(os.environ.get("ALPR_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header."""
    with path.open(newline="", encoding="utf-8-sig") as handle:
        return list(csv.DictReader(handle))


def validation_texts(data: Path) -> set[str]:
    """Return the texts of all validation crops and full frames."""
    texts: set[str] = set()
    for folder in (data / "ocr").iterdir():
        name = "val.csv" if folder.name in LABELLED else "labels.csv"
        texts.update(row["plate_text"] for row in rows(folder / name))
    for folder in (data / "e2e").iterdir():
        texts.update(text for row in rows(folder / "labels.csv") for text in row["plate_text"].split())
    return texts


def _frame_stem(dataset: str, crop_stem: str) -> str:
    """The stem of the frame from which a labelled crop was cut."""
    number, _, tail = crop_stem.rpartition("_")
    return tail[0] + number if dataset == "openlpr_faisal" else number


def labelled_photos(data: Path) -> Iterator[Photo]:
    """The labelled crops of the training lists."""
    held = {Path(line).stem for line in (data / "detection/openlpr_faisal/val.txt").read_text().split()}
    for dataset in LABELLED:
        folder = data / "ocr" / dataset
        for row in rows(folder / "train.csv"):
            path = folder / row["image_path"]
            if dataset == "openlpr_faisal" and _frame_stem(dataset, path.stem) in held:
                continue
            yield Photo(path, None, row["plate_text"], row["plate_region"])


def street_photos(data: Path) -> Iterator[Photo]:
    """Plates of the detection training frames that have no label."""
    for dataset in FRAMES:
        folder = data / "detection" / dataset
        known: set[str] = set()
        if (data / "ocr" / dataset).is_dir():
            labelled = rows(data / "ocr" / dataset / "labels.csv")
            known = {_frame_stem(dataset, Path(row["image_path"]).stem) for row in labelled}
        for line in (folder / "train.txt").read_text().split():
            stem = Path(line).stem
            if stem in known:
                continue
            for label in (folder / "labels" / f"{stem}.txt").read_text().splitlines():
                x, y, w, h = (float(value) for value in label.split()[1:5])
                yield Photo(folder / line, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), None, "")


def state_photos(data: Path) -> Iterator[Photo]:
    """Flat, frontal plates of the states."""
    for path, jurisdiction in state_pictures(data, "train"):
        yield Photo(path, None, None, jurisdiction)


def open_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Return a picture, BGR. Raises OSError if it cannot be read."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise OSError(f"{path.name} cannot be read as a picture: fetch it again")
    return picture.astype(np.uint8)


def open_photo(photo: Photo) -> tuple[npt.NDArray[np.uint8], tuple[float, float, float, float]]:
    """Return the picture around the plate, BGR, and the plate's box in it. Raises OSError if it cannot be
    read."""
    picture = open_picture(photo.path)
    height, width = picture.shape[:2]
    if photo.box is None:
        margin_x, margin_y = width * PADDED_SHARE, height * PADDED_SHARE
        return picture, (margin_x, margin_y, width - margin_x, height - margin_y)
    left, top, right, bottom = (s * size for s, size in zip(photo.box, (width, height) * 2, strict=True))
    room_x, room_y = (right - left) * 0.3, (bottom - top) * 0.4
    x0, y0 = int(max(left - room_x, 0)), int(max(top - room_y, 0))
    x1, y1 = int(min(right + room_x, width)), int(min(bottom + room_y, height))
    return picture[y0:y1, x0:x1], (left - x0, top - y0, right - x0, bottom - y0)


PADDED_SHARE = degrade.PADDING / (1 + 2 * degrade.PADDING)
"""Margin of a crop that was cut with PADDING, as a share of the crop."""


def teach(
    photos: Iterator[Photo],
    teacher: LicensePlateRecognizer,
    second: LicensePlateRecognizer,
    banned: set[str],
) -> Iterator[Read]:
    """Yield the photos with a text: their own, or the teachers' where they are sure.

    The teacher is sure where its three readings agree and either its weakest character is above
    MINIMUM_CONFIDENCE or the *second* teacher reads the same. A photo without a sure text is still
    given where its jurisdiction is known. Texts in *banned* are left out.
    """
    counts: Counter[str] = Counter()
    for number, photo in enumerate(photos):
        picture, box = open_photo(photo)
        rng = np.random.default_rng([number, 7])
        views = np.stack([degrade.degrade_photo(rng, picture, box) for _ in range(3)])
        readings = teacher.run(views, return_confidence=True)
        text, jurisdiction = photo.text, photo.jurisdiction
        if text is None:
            text = _sure_text(readings, second.run(views), box[2] - box[0])
            regions = {COUNTRY_CODES.get(reading.region or "", "") for reading in readings}
            if (
                not jurisdiction
                and len(regions) == 1
                and min(reading.region_prob or 0.0 for reading in readings) > 0.8
            ):
                jurisdiction = regions.pop()
            if text is None:
                counts["teachers unsure"] += 1
                if photo.jurisdiction:
                    yield Read(picture, box, None, jurisdiction)
                continue
        if text in banned or not 1 <= len(text) <= SLOTS:
            counts["validation text or no text"] += 1
            continue
        counts["labelled" if photo.text else "taught"] += 1
        yield Read(picture, box, text, jurisdiction)
    print(dict(counts), flush=True)


def _sure_text(readings: list[Any], others: list[Any], width_px: float) -> str | None:
    texts = {reading.plate for reading in readings}
    if len(texts) != 1 or width_px < SMALLEST_PX:
        return None
    text = str(texts.pop())
    weakest = np.stack([np.asarray(reading.char_probs) for reading in readings]).mean(axis=0).min()
    agreeing = sum(other.plate == text for other in others)
    sure = weakest >= MINIMUM_CONFIDENCE or (weakest >= SECONDED_CONFIDENCE and agreeing >= 2)
    return text if sure else None


def held_back(read: Read) -> bool:
    """Whether a plate is kept out of training: by its text, so that no other picture of it is in."""
    return read.text is not None and zlib.crc32(read.text.encode()) % HELD_EVERY == 0


def views_of(
    reads: list[Read], views: int, seed: int, net: ReaderNet, teacher: LicensePlateRecognizer
) -> Samples:
    """Return *views* altered crops of each read, shuffled, and what the *teacher* says of each.

    Every other one has its characters in another order, where *net* finds them and then reads the new text
    on the plain picture.
    """
    rng = np.random.default_rng(seed)
    images, texts, chosen = [], [], []
    for place, read in enumerate(reads):
        cells = None if read.text is None else find_cells(net, read.picture, read.box, read.text)
        for view in range(views):
            picture, text = read.picture, read.text
            if cells is not None and text is not None and view % 2:
                other, new = shuffled(rng, picture, cells, text)
                if find_cells(net, other, read.box, new) is not None:
                    picture, text = other, new
            images.append(degrade.degrade_photo(rng, picture, read.box))
            texts.append(text)
            chosen.append(place)
    order = rng.permutation(len(images))
    pictures = np.stack(images)[order]
    slots = np.stack([encode(texts[i]) for i in order])
    prefixes = np.stack([encode(reads[chosen[i]].prefix, PREFIX_SLOTS) for i in order])
    regions = np.array([region_index(reads[chosen[i]].jurisdiction) for i in order], np.int64)
    changed = sum(texts[i] != reads[chosen[i]].text for i in order)
    print(f"{len(reads)} plates, {len(order)} views, {changed} with another text", flush=True)
    centres = np.full((len(order), SLOTS, 2), np.nan, np.float32)
    return Samples(pictures, slots, prefixes, regions, centres, _said(teacher, pictures))


def _said(teacher: LicensePlateRecognizer, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
    """Return the teacher's probabilities, shape (n, SLOTS, len(ALPHABET))."""
    session = teacher.model
    said = [
        session.run(None, {session.get_inputs()[0].name: pictures[start : start + 64]})[0]
        for start in range(0, len(pictures), 64)
    ]
    return np.concatenate(said).reshape(len(pictures), SLOTS, len(ALPHABET)).astype(np.float16)


def main() -> None:
    """Write the chunks `held` and, for each seed N, `labelled-N`, `street-N` and `states-N` into --out."""
    parser = argparse.ArgumentParser(description="make training views of real plates")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--seed", type=int, nargs="+", default=[11])
    parser.add_argument(
        "--net", type=Path, required=True, help="checkpoint of the reader that finds characters"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    shared = shared_folder()
    teacher, second = (
        LicensePlateRecognizer(
            onnx_model_path=shared / f"models/{model}.onnx",
            plate_config_path=shared / f"models/{config}.yaml",
            providers=["CPUExecutionProvider"],
        )
        for model, config in (
            ("cct_xs_v2_global", "cct_v2_global_plate_config"),
            ("cct_xs_v1_global", "cct_xs_v1_global_plate_config"),
        )
    )
    torch.set_num_threads(1)
    net = load_reader(arguments.net)
    banned = validation_texts(shared / "data")
    data = shared / "data"
    kinds = {"labelled": labelled_photos(data), "street": street_photos(data), "states": state_photos(data)}
    reads = {name: list(teach(photos, teacher, second, banned)) for name, photos in kinds.items()}
    held = [read for each in reads.values() for read in each if held_back(read)]
    save_chunk(views_of(held, HELD_VIEWS, 0, net, teacher), arguments.out / "held")
    for seed in arguments.seed:
        for name in kinds:
            learnt = [read for read in reads[name] if not held_back(read)]
            samples = views_of(learnt, arguments.views, seed, net, teacher)
            save_chunk(samples, arguments.out / f"{name}-{seed}")


if __name__ == "__main__":
    main()
