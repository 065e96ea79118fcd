"""Plate dies of our own, drawn from strokes: no typeface, so every corner, gap and width can be varied.

A glyph is a set of polylines in a unit box (x to the right, y down). The corners of a polyline are rounded
with a radius that belongs to the die: nought gives the square characters of some plates, one half their
round ones.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Strokes = tuple[str, ...]

_BOX = "0,0 1,0 1,1 0,1 0,0"
GLYPHS: dict[str, tuple[Strokes, ...]] = {
    "0": (
        ("o0,0 1,0 1,1 0,1",),
        ("o0,0 1,0 1,1 0,1",),
        ("o0,0 1,0 1,1 0,1", "|.15,.85 .85,.15"),
        ("o.06,0 .94,0 .94,1 .06,1",),
    ),
    "1": (
        ("|.15,.2 .5,0 .5,1",),
        ("|.5,0 .5,1",),
        ("|.2,.22 .5,0 .5,1", "|.15,1 .85,1"),
        ("|.25,.15 .5,0 .5,1",),
    ),
    "2": (
        ("0,.25 0,0 1,0 1,.42 0,.72 0,1 |1,1",),
        ("0,.22 0,0 1,0 1,.5 0,.5 0,1 1,1",),
        ("0,.28 0,0 1,0 1,.4 |0,1 1,1",),
    ),
    "3": (
        ("0,.2 0,0 1,0 1,.48 .3,.48", ".4,.48 1,.48 1,1 0,1 0,.8"),
        ("0,.78 0,1 1,1 1,.42 |.42,.4 |1,0 0,0",),
        ("0,.22 0,0 .95,0 .95,.48 .35,.48", ".35,.48 1,.48 1,1 0,1 0,.78"),
    ),
    "4": (
        ("|.75,1 .75,0 0,.72 1,.72",),
        ("|.1,0 0,.65 1,.65", "|.72,.35 .72,1"),
        ("|.7,1 .7,0 .6,0 0,.7 1,.7",),
        ("|.12,0 0,.62 1,.62", "|.7,.3 .7,1"),
        ("|0,0 0,.55 1,.55", "|.85,0 .85,1"),
    ),
    "5": (
        ("|.95,0 .08,0 .03,.45", ".03,.45 |.1,.38 1,.38 1,1 0,1 0,.8"),
        ("1,0 |0,0 |0,.42 1,.42 1,1 0,1 0,.8",),
    ),
    "6": (
        ("1,.22 1,0 0,0 0,1 1,1 1,.42 0,.42 0,.6",),
        ("|.75,0 .1,.5", "o0,.4 1,.4 1,1 0,1"),
        ("|.9,0 .5,0 0,.3 0,.6", "o0,.4 1,.4 1,1 0,1"),
    ),
    "7": (("|0,0 1,0 .35,1",), ("|0,0 1,0 1,.2 .4,.6 .4,1",), ("|0,.15 0,0 1,0 .3,1",)),
    "8": (
        ("o.06,0 .94,0 .94,.46 .06,.46", "o0,.46 1,.46 1,1 0,1"),
        ("o0,0 1,0 1,.5 0,.5", "o0,.5 1,.5 1,1 0,1"),
    ),
    "9": (
        ("0,.78 0,1 1,1 1,0 0,0 0,.58 1,.58 1,.4",),
        ("|.25,1 .9,.5", "o0,0 1,0 1,.6 0,.6"),
        ("|.1,1 .5,1 1,.7 1,.4", "o0,0 1,0 1,.6 0,.6"),
    ),
    "A": (("|0,1 .5,0 1,1", "|.18,.68 .82,.68"), ("|0,1 .42,0 .58,0 1,1", "|.16,.7 .84,.7")),
    "B": (
        ("|0,0 .5,0", ".4,0 .95,0 .95,.46 .4,.46", ".4,.46 1,.46 1,1 .4,1", "|.5,1 0,1 0,0", "|0,.46 .5,.46"),
    ),
    "C": (("1,.25 1,0 0,0 0,1 1,1 1,.75",),),
    "D": ((".3,0 1,0 1,1 .3,1", "|.35,1 0,1 0,0 .35,0"),),
    "E": (("|1,0 0,0 0,1 1,1", "|0,.48 .85,.48"),),
    "F": (("|1,0 0,0 0,1", "|0,.5 .85,.5"),),
    "G": (
        ("1,.25 1,0 0,0 0,1 1,1 1,.52 |.5,.52",),
        ("1,.25 1,0 0,0 0,1 1,1 1,.58 |.68,.58",),
        ("1,.28 1,0 0,0 0,1 1,1 1,.55 |.8,.55",),
        ("1,.22 1,0 0,0 0,1 1,1 1,.6 |.9,.6",),
        ("1,.22 1,0 0,0 0,1 1,1 1,.75", "|1,1 1,.55 .55,.55"),
    ),
    "H": (("|0,0 0,1", "|1,0 1,1", "|0,.48 1,.48"),),
    "I": (("|.5,0 .5,1",), ("|.5,0 .5,1", "|.1,0 .9,0", "|.1,1 .9,1")),
    "J": (("|1,0 1,.4", "1,.3 1,1 0,1 0,.72"), ("|.4,0 1,0 1,.4", "1,.3 1,1 0,1 0,.72")),
    "K": (("|0,0 0,1", "|1,0 0,.6", "|.3,.4 1,1"), ("|0,0 0,1", "|1,0 .1,.5 1,1")),
    "L": (("|0,0 0,1 1,1",),),
    "M": (
        ("|0,1 0,0 .5,.62 1,0 1,1",),
        ("|0,1 0,0 .5,1 1,0 1,1",),
        ("|0,1 0,0 .5,.42 1,0 1,1",),
        ("|0,1 .06,0 .5,.75 .94,0 1,1",),
    ),
    "N": (("|0,1 0,0 1,1 1,0",),),
    "O": (("o0,0 1,0 1,1 0,1",),),
    "P": (("|0,1 0,0 .4,0", ".3,0 1,0 1,.55 .3,.55", "|.4,.55 0,.55"),),
    "Q": (("o0,0 1,0 1,1 0,1", "|.48,.62 1,1"), ("o0,0 1,0 1,1 0,1", "|.5,.66 .96,1.04")),
    "R": (("|0,1 0,0 .4,0", ".3,0 1,0 1,.52 .3,.52", "|.4,.52 0,.52", "|.5,.52 1,1"),),
    "S": (("1,.23 1,0 0,0 0,.48 1,.5 1,1 0,1 0,.77",), ("1,.2 1,0 0,0 0,.42 1,.56 1,1 0,1 0,.8",)),
    "T": (("|0,0 1,0", "|.5,0 .5,1"),),
    "U": (("|0,0 0,.4", "0,.2 0,1 1,1 1,.2", "|1,0 1,.4"),),
    "V": (("|0,0 .5,1 1,0",), ("|0,0 .42,1 .58,1 1,0",)),
    "W": (
        ("|0,0 .22,1 .5,.3 .78,1 1,0",),
        ("|0,0 .06,1 .5,.35 .94,1 1,0",),
        ("|0,0 0,1 .5,.42 1,1 1,0",),
        ("|0,0 .22,1 .5,0 .78,1 1,0",),
    ),
    "X": (("|0,0 1,1", "|1,0 0,1"),),
    "Y": (("|0,0 .5,.52 1,0", "|.5,.52 .5,1"),),
    "Z": (("|0,0 1,0 0,1 1,1",),),
}
"""Variants of each glyph. A leading `o` closes the line, a leading `|` keeps its corners sharp."""


@dataclass(frozen=True, slots=True)
class Die:
    """One set of dies: the same glyph is always drawn alike."""

    seed: int
    stroke: float
    """Stroke width over character height, 0.08 to 0.2."""
    radius: float
    """Corner radius over character width, 0 to 0.5."""
    width: float
    """Character width over height, 0.4 to 0.75."""


def random_die(rng: np.random.Generator) -> Die:
    """Return a die with everything about it drawn at random."""
    width = float(rng.uniform(0.42, 0.68))
    return Die(
        seed=int(rng.integers(1 << 30)),
        stroke=min(
            float(rng.uniform(0.095, 0.185)), 0.29 * width
        ),  # beyond that the counters of 8 and B close
        radius=float(rng.choice([0.05, 0.18, 0.3, 0.42, 0.5], p=[0.1, 0.15, 0.2, 0.3, 0.25])),
        width=width,
    )


def italian_die(rng: np.random.Generator) -> Die:
    """Return a die like Italy's: thin round strokes, and a G that differs from C by a short bar alone."""
    forms = GLYPHS["G"]
    while True:
        seed = int(rng.integers(1 << 30))
        if (seed // (ord("G") + 1)) % len(forms) in (1, 2):
            break
    return Die(
        seed=seed,
        stroke=float(rng.uniform(0.095, 0.135)),
        radius=float(rng.choice([0.42, 0.5])),
        width=float(rng.uniform(0.46, 0.6)),
    )


def glyph_mask(die: Die, character: str, height_px: int) -> npt.NDArray[np.uint8]:
    """Return the glyph's coverage, shape (height_px, w), 255 where there is ink; w follows from the die.

    Raises KeyError if *character* is not A-Z or 0-9.
    """
    variants = GLYPHS[character]
    # The die's seed chooses the variant, so that a plate never mixes two forms of one glyph.
    strokes = variants[(die.seed // (ord(character) + 1)) % len(variants)]
    thickness = max(2.0, die.stroke * height_px)
    narrow = character == "1" or (character == "I" and len(strokes) == 1)
    broad = 1.0 if die.seed % 3 == 0 else 1.15
    factor = 0.6 if narrow else broad if character in "MW" else 1.0
    width = die.width * height_px * factor
    inner_w, inner_h = max(width - thickness, 2.0), height_px - thickness
    if narrow and len(strokes) == 1 and strokes[0] == "|.5,0 .5,1":
        inner_w, width = 1.0, thickness + 1.0
    canvas = np.zeros((height_px, int(np.ceil(width)) + 1), np.uint8)
    origin = np.array([thickness / 2, thickness / 2])
    for stroke in strokes:
        points = _points(stroke, die.radius, inner_w, inner_h) * (inner_w, inner_h) + origin
        fixed = np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(canvas, [fixed], stroke.startswith("o"), 255, max(1, round(thickness)), cv2.LINE_AA, 4)
    return canvas


def _points(stroke: str, radius: float, inner_w: float, inner_h: float) -> npt.NDArray[np.float64]:
    closed, sharp = stroke.startswith("o"), stroke.startswith("|")
    vertices = []
    for item in stroke.lstrip("o|").split():
        across, down = item.lstrip("|").split(",")
        vertices.append((float(across), float(down), sharp or item.startswith("|")))
    count = len(vertices)
    path: list[npt.NDArray[np.float64]] = []
    for i, (x, y, keep) in enumerate(vertices):
        here = np.array([x, y])
        if keep or radius == 0 or (not closed and i in (0, count - 1)):
            path.append(here[None])
            continue
        before, after = np.array(vertices[i - 1][:2]), np.array(vertices[(i + 1) % count][:2])
        path.append(_corner(before, here, after, radius * inner_w, np.array([inner_w, inner_h])))
    return np.concatenate(path)


def _corner(
    before: npt.NDArray[np.float64],
    here: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    radius_px: float,
    scale: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    into, out = (before - here) * scale, (after - here) * scale
    length_in, length_out = float(np.hypot(*into)), float(np.hypot(*out))
    reach = min(radius_px, length_in / 2, length_out / 2)
    start = here * scale + into / length_in * reach
    end = here * scale + out / length_out * reach
    t = np.linspace(0, 1, 7)[:, None]
    # A cubic with its handles at 0.55 of the way is close to a quarter circle in a right angle.
    control_a, control_b = start + (here * scale - start) * 0.55, end + (here * scale - end) * 0.55
    curve = (
        (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * control_a + 3 * (1 - t) * t**2 * control_b + t**3 * end
    )
    return np.asarray(curve / scale)
