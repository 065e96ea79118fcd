"""The free typefaces the renderer draws with, and glyph masks cut from them.

No typeface is part of the repository: they come from Debian's font packages and, a few, from the
`@fontsource` packages of the npm registry, all under free licences (SIL OFL, Apache-2.0, GPL with font
exception or more permissive). Faces that are not installed are left out; the stroke dies of `training.dies`
always work.
"""

import os
import string
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

_DEBIAN_PACKAGES_TEXT = """
    fonts-roadgeek fonts-opendin fonts-national-park fonts-osifont fonts-routed-gothic fonts-bebas-neue
    fonts-play fonts-b612 fonts-yanone-kaffeesatz fonts-ocr-b fonts-urw-base35 fonts-texgyre
    fonts-liberation fonts-paratype fonts-mplus fonts-roboto-unhinted fonts-allerta
    fonts-jura fonts-dosis fonts-dejavu-core fonts-dejavu-extra fonts-sil-andika fonts-jetbrains-mono
    fonts-hack fonts-karla fonts-cabin fonts-oxygen fonts-lato fonts-inter fonts-open-sans fonts-sora
    fonts-freefont-ttf
"""
DEBIAN_PACKAGES = tuple(_DEBIAN_PACKAGES_TEXT.split())

_FONTSOURCE_PACKAGES_TEXT = """
    barlow-condensed barlow-semi-condensed oswald saira-condensed saira-semi-condensed rajdhani
    share-tech share-tech-mono sofia-sans archivo-narrow overpass big-shoulders-text
"""
FONTSOURCE_PACKAGES = tuple(_FONTSOURCE_PACKAGES_TEXT.split())
"""npm packages `@fontsource/<name>`; the `latin-400` to `latin-700` woff files go into the folder
ALPR_FONTS."""

_PLATE_FACES_TEXT = """
    RG2014B RG2014C RG2014D RG2014E OSP-DIN NationalPark-Regular NationalPark-Heavy osifont
    routed-gothic-narrow routed-gothic BebasNeue-Bold BebasNeue-Regular Play-Bold Play-Regular B612-Bold
    B612-Regular B612Mono-Bold YanoneKaffeesatz-Bold YanoneKaffeesatz-Regular OCRB NimbusSans-Bold
    NimbusSansNarrow-Bold NimbusSansNarrow-Regular URWGothic-Demi URWGothic-Book texgyreheros-bold
    texgyreheros-regular texgyreheroscn-bold texgyreheroscn-regular LiberationMono-Bold
    LiberationSans-Bold LiberationSans-Regular LiberationSansNarrow-Bold LiberationSansNarrow-Regular
    PTN77F PTN57F PTS75F PTM75F Mplus1-Bold Mplus1-Medium Mplus1Code-Bold MplusCode50-Bold
    RobotoCondensed-Bold RobotoCondensed-Regular RobotoCondensed-Medium Roboto-Bold Roboto-Medium
    allerta_medium Jura-Bold Dosis-Bold Dosis-SemiBold Dosis-Medium DejaVuSans-Bold
    DejaVuSansCondensed-Bold DejaVuSansMono-Bold Andika-Bold JetBrainsMono-Bold JetBrainsMono-Medium
    Hack-Bold Karla-Bold Cabin-Bold CabinCondensed-Bold Oxygen-Bold Lato-Bold Inter-Bold Inter-Medium
    OpenSans-Bold OpenSans-CondBold Sora-SemiBold FreeSansBold FreeMonoBold
    barlow-condensed-latin-500-normal barlow-condensed-latin-600-normal
    barlow-condensed-latin-700-normal barlow-semi-condensed-latin-500-normal
    barlow-semi-condensed-latin-600-normal barlow-semi-condensed-latin-700-normal
    oswald-latin-400-normal oswald-latin-500-normal oswald-latin-600-normal
    saira-condensed-latin-500-normal saira-condensed-latin-600-normal
    saira-semi-condensed-latin-500-normal saira-semi-condensed-latin-600-normal
    rajdhani-latin-600-normal rajdhani-latin-700-normal share-tech-latin-400-normal
    share-tech-mono-latin-400-normal sofia-sans-latin-600-normal archivo-narrow-latin-500-normal
    archivo-narrow-latin-700-normal overpass-latin-600-normal overpass-latin-700-normal
    big-shoulders-text-latin-600-normal
"""
PLATE_FACES = tuple(_PLATE_FACES_TEXT.split())

_SERIF_FACES_TEXT = """
    LiberationSerif-Bold C059-Bold NimbusRoman-Bold texgyretermes-bold URWBookman-Demi
"""
SERIF_FACES = tuple(_SERIF_FACES_TEXT.split())
"""For slogans and the rare serif plate."""

TRAINING_ONLY_FACES = ("GlNummernschildEng-XgWd",)
"""Free to use, held outside the repository; used in training where it is there, with a larger share
(European dies)."""


@dataclass(frozen=True, slots=True)
class Face:
    """A typeface file that is installed."""

    name: str
    path: str


def _folders() -> list[Path]:
    """Folders searched, in order; ALPR_FONTS and ALPR_SHARED are environment variables."""
    repository = Path(__file__).resolve().parents[1]
    shared = Path(os.environ.get("ALPR_SHARED", repository.parent / "shared"))
    own = Path(os.environ.get("ALPR_FONTS", repository.parent / "fonts"))
    return [Path("/usr/share/fonts"), Path("/usr/share/texmf/fonts"), own, shared / "data" / "fonts"]


@cache
def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in _folders():
        if folder.is_dir():
            for path in sorted(folder.rglob("*")):
                if path.suffix in {".ttf", ".otf", ".woff"}:
                    found.setdefault(path.stem, str(path))
    return found


@cache
def faces(serif: bool = False) -> tuple[Face, ...]:
    """Return the installed faces, plate faces or serif ones; empty if no font package is installed."""
    names = SERIF_FACES if serif else [*PLATE_FACES, *TRAINING_ONLY_FACES]
    return tuple(Face(name, _installed()[name]) for name in names if name in _installed())


@cache
def face_named(name: str) -> Face | None:
    """Return the installed face of that file stem, or None."""
    return Face(name, _installed()[name]) if name in _installed() else None


@cache
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@cache
def glyph_mask(face: Face, character: str, height_px: int) -> npt.NDArray[np.uint8]:
    """Return the glyph's coverage cut to its ink, shape (height_px, w), 255 where there is ink.

    Letters and digits are stretched to one height, as dies are: round glyphs lose their overshoot, Q its
    tail. Raises ValueError if *character* is not A-Z or 0-9.
    """
    if character not in string.ascii_uppercase + string.digits:
        raise ValueError("glyph_mask draws A-Z and 0-9 only")
    font = _font(face.path, height_px * 2)
    box = font.getbbox(character)
    canvas = Image.new("L", (int(box[2] - box[0]) + 8, int(box[3] - box[1]) + 8))
    ImageDraw.Draw(canvas).text((4 - box[0], 4 - box[1]), character, 255, font=font)
    ink = canvas.getbbox()
    if ink is None:
        raise ValueError(f"typeface {face.name} has no glyph for {character}: remove it from the list")
    cut = canvas.crop(ink)
    width = max(2, round(cut.width * height_px / cut.height))
    return np.asarray(cut.resize((width, height_px), Image.Resampling.BOX))


def line_mask(face: Face, text: str, height_px: int) -> npt.NDArray[np.uint8]:
    """Return a line of any text (slogans, state names), shape (height_px, w), 255 where there is ink."""
    font = _font(face.path, 48)
    box = font.getbbox(text)
    canvas = Image.new("L", (max(1, int(box[2] - box[0])), max(1, int(box[3] - box[1]))))
    ImageDraw.Draw(canvas).text((-box[0], -box[1]), text, 255, font=font)
    width = max(1, round(canvas.width * height_px / canvas.height))
    return np.asarray(canvas.resize((width, height_px), Image.Resampling.BOX))
