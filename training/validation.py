"""The real pictures that figures are taken from: which sets, and how each is opened.

Sets that no model is trained on are measured whole; of those whose `train.csv` is trained on, only `val.csv`.
They lie in the shared folder beside the repository (or ALPR_SHARED), never in it.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from recognizer.image import crop_box, cut
from recognizer.read import Box

Pixels = npt.NDArray[np.uint8]
"""Shape (height, width, 3), BGR."""

CROPS = {
    "us_states_kaggle_test": "labels.csv", "us_cal_ew2266": "labels.csv", "italy_purnekar": "labels.csv",
    "nl_tudelft": "labels.csv", "uz_izzatullo": "labels.csv", "id_thomaswijaya": "labels.csv",
    "ar_ankandrew": "labels.csv", "co_oaac": "labels.csv", "us_reddit_plat": "val.csv",
    "openimages_useu": "val.csv", "kaggle_cars433": "val.csv", "openlpr_faisal": "val.csv",
}  # fmt: skip
"""Crops of plates, by the list that is measured. us_states51_guilty shows whole car ends: see FRAMES."""

BOXED = "e2e_us_boxes"
"""Name of the crops cut out of full frames at their labelled boxes, as the unit cuts."""
BOXED_FRAMES = ("us_mcam16", "us_cal_ew2266")

FRAMES = {
    "pl_put_2acholsk1": "e2e", "nl_tudelft": "e2e", "at_gabrielr33": "e2e", "us_mcam16": "e2e",
    "us_cal_ew2266": "e2e", "us_states51_guilty": "ocr",
}  # fmt: skip
"""Full frames with the text of one plate, by the folder they lie in."""

DETECTION = (
    "us_reddit_plat", "openimages_useu", "kaggle_cars433", "openlpr_faisal", "ro_robertlucian", "ru_null07",
    "es_ulpgc", "italy_purnekar",
)  # fmt: skip

NOT_PROMISED = ("uz_izzatullo", "id_thomaswijaya", "ar_ankandrew", "co_oaac")
"""Crops of countries whose plates the reader is not promised to read; most of all crops."""


_STATES_TEXT = """
    ALABAMA AL ALASKA AK ARIZONA AZ ARKANSAS AR CALIFORNIA CA COLORADO CO CONNECTICUT CT DELAWARE DE
    FLORIDA FL GEORGIA GA HAWAI HI IDAHO ID ILLINOIS IL INDIANA IN IOWA IA KANSAS KS KENTUCKY KY
    LOUISIANA LA MAINE ME MARYLAND MD MASSACHUSETTS MA MICHIGAN MI MINNESOTA MN MISSIPPI MS MISSOURI MO
    MONTANA MT NEBRASKA NE NEVADA NV NEW_HAMPSHIRE NH NEW_JERSEY NJ NEW_MEXICO NM NEW_YORK NY
    NORTH_CAROLINA NC NORTH_DAKOTA ND OHIO OH OKLAHOMA OK OREGON OR PENNSYLVANIA PA RHODE_ISLAND RI
    SOUTH_CAROLINA SC SOUTH_DAKOTA SD TENNESSEE TN TEXAS TX UTAH UT VERMONT VT VIRGINIA VA WASHINGTON WA
    WASHINGTON_DC DC WEST_VIRGINIA WV WISCONSIN WI WYOMING WY AMERICAN_SAMOA AS CNMI MP GUAM GU
    PUERTO_RICO PR U_S_VIRGIN_ISLANDS VI
"""
_STATES = tuple(_STATES_TEXT.split())
STATE_CODES = dict(zip(_STATES[::2], _STATES[1::2], strict=True))
"""By folder of the flat state plates, spelt as there."""


@dataclass(frozen=True, slots=True)
class Label:
    """A picture and what its plate says."""

    path: Path
    text: str = field(repr=False)
    jurisdiction: str
    """ISO 3166 code: "US-CA", "PL"; empty where nobody could say."""


@dataclass(frozen=True, slots=True)
class LabelledCrop:
    """A plate cut out of its picture, and what it says."""

    pixels: Pixels = field(repr=False)
    text: str = field(repr=False)
    jurisdiction: str


def labels(path: Path) -> Iterator[Label]:
    """Give each picture of the list at *path* whose text is fully known."""
    with path.open(newline="", encoding="utf-8-sig") as handle:
        for row in csv.DictReader(handle):
            text = row["plate_text"].strip()
            if re.fullmatch(r"[A-Z0-9]+", text):
                yield Label(path.parent / row["image_path"], text, row.get("plate_region") or "")


def boxes(folder: Path) -> dict[str, Box]:
    """Return the plate's box of each picture, by its file's name; none where the set has no boxes."""
    path = folder / "boxes.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as handle:
        return {
            Path(row["image_path"]).name: Box(*(round(float(row[key])) for key in ("x1", "y1", "x2", "y2")))
            for row in csv.DictReader(handle)
        }


def picture(path: Path) -> Pixels:
    """Return the picture at *path*, turned as its EXIF tag says. Raises OSError if it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise OSError(f"{path.parent.parent.name}: {path.name} cannot be read as a picture: fetch it again")
    return np.asarray(pixels, np.uint8)


def crops(data: Path, name: str) -> Iterator[LabelledCrop]:
    """Give the crops of set *name*, a key of CROPS or BOXED. Raises OSError where a file is missing."""
    if name == BOXED:
        yield from _boxed_crops(data)
        return
    for label in labels(data / "ocr" / name / CROPS[name]):
        yield LabelledCrop(picture(label.path), label.text, label.jurisdiction)


def state_pictures(data: Path, part: str) -> Iterator[tuple[Path, str]]:
    """Give each flat state plate of the list *part* ("train", "val") with its jurisdiction; texts are not
    known. Pictures that are in set us_states_kaggle_test are left out."""
    folder = data / "states" / "gpiosenka"
    for line in (folder / f"{part}.txt").read_text(encoding="utf-8").split():
        if "/test_" not in line:
            code = STATE_CODES.get(line.split("/")[0])
            yield folder / line, f"US-{code}" if code else ""


def _boxed_crops(data: Path) -> Iterator[LabelledCrop]:
    for name in BOXED_FRAMES:
        folder = data / "e2e" / name
        known = boxes(folder)
        for label in labels(folder / "labels.csv"):
            if label.path.name in known:
                pixels = picture(label.path)
                crop = cut(pixels, crop_box(known[label.path.name], pixels.shape))
                yield LabelledCrop(crop, label.text, label.jurisdiction)
