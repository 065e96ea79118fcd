"""Small coloured pictures for plates: trees, animals, riders, fruit, map outlines, seals, ribbons, logos.

A picture is a list of filled shapes in a box of one by one around the origin, y down: `colour`, then `p` and
the corners of a polygon, or `e` and centre, half axes of an ellipse. Colour 1 is the main one.
"""

import cv2
import numpy as np
import numpy.typing as npt

from training import styles

Image = npt.NDArray[np.uint8]

_HORSE = (
    "1e-.02,.05,.26,.14|1p-.2,-.02 -.36,-.3 -.5,-.2 -.42,-.36 -.28,-.42 -.06,.02|1p.2,.1 .28,.5 .2,.5 .1,.12|"
    "1p-.2,.1 -.34,.42 -.42,.38 -.26,.06|1p-.1,.1 -.14,.5 -.2,.5 -.2,.08|1p.2,0 .42,.2 .34,.3 .2,.12"
)
_PERSON = (
    "1e0,-.38,.08,.1|1p-.14,-.28 .14,-.28 .1,.1 .14,.5 .02,.5 0,.15 -.04,.5 -.16,.5 -.1,.1|2p-.1,-.2 -.4,0 "
    "-.36,.06 -.08,-.08"
)
_BEAR = (
    "1e0,.14,.22,.32|1e0,-.26,.15,.14|1e-.11,-.38,.05,.05|1e.11,-.38,.05,.05|2e0,-.22,.07,.06|"
    "1p-.2,.3 -.24,.5 -.04,.5|1p.2,.3 .24,.5 .04,.5"
)
_SHAPES = {
    "tree": "2p-.05,.5 .05,.5 .05,.3 -.05,.3|1p-.3,.36 .3,.36 0,-.05|1p-.24,.12 .24,.12 0,-.26|"
    "1p-.16,-.12 .16,-.12 0,-.5",
    "oak": "2p-.06,.5 .06,.5 .04,0 -.04,0|1e0,-.15,.36,.26|1e-.2,0,.2,.16|1e.2,0,.2,.16|3e.1,-.2,.1,.08",
    "palm": "2p-.02,.5 .08,.5 .02,-.1 -.04,-.1|1p0,-.12 -.4,.1 -.3,-.2|1p0,-.12 .4,.1 .3,-.2|1p0,-.1 "
    "-.3,-.4 -.1,-.34|1p0,-.1 .3,-.42 .08,-.36|1p.02,-.1 .16,.22 .22,-.04",
    "cactus": "1p-.08,.5 .08,.5 .08,-.5 -.08,-.5|1p-.3,.05 -.2,.05 -.2,-.3 -.3,-.3|1p-.3,.05 0,.05 0,-.05 "
    "-.3,-.05|1p.2,.2 .3,.2 .3,-.15 .2,-.15|1p0,.2 .3,.2 .3,.1 0,.1",
    "horse": _HORSE,
    "rider": _HORSE
    + "|2e.04,-.32,.07,.08|2p-.06,-.24 .14,-.24 .1,.08 -.04,.08|2p-.06,-.22 -.3,-.36 -.28,-.28",
    "sower": _PERSON,
    "bear": _BEAR,
    "buffalo": "1e-.08,-.02,.28,.26|1e.2,.06,.26,.18|1e-.36,.08,.12,.16|1p-.2,.1 -.22,.5 -.12,.5 -.1,.1|"
    "1p.24,.1 .3,.5 .38,.5 .38,.1|2p-.42,-.06 -.48,-.18 -.36,-.06",
    "cat": "1e0,.05,.4,.36|1p-.38,-.1 -.34,-.5 -.1,-.26|1p.38,-.1 .34,-.5 .1,-.26|3e-.15,0,.06,.05|"
    "3e.15,0,.06,.05|2e0,.2,.14,.1",
    "bird": "1e0,.05,.24,.15|1e.22,-.16,.12,.11|2p.32,-.18 .5,-.12 .32,-.1|1p-.16,0 -.5,.24 -.1,.18|"
    "3p-.1,0 -.3,-.4 .12,-.02",
    "pelican": "1e0,.1,.2,.26|1p.02,-.1 .1,-.44 .22,-.44 .16,-.1|2p.14,-.42 .44,-.1 .2,-.3|3p-.1,.1 "
    "-.46,.34 0,.34|2p-.05,.34 0,.5 .1,.34",
    "plane": "1p-.5,-.16 .5,-.3 .5,-.22 -.5,-.08|1p-.5,.1 .5,-.04 .5,.04 -.5,.18|2e0,0,.3,.07|2p-.3,.04 "
    "-.5,.34 -.4,0",
    "fish": "1e-.05,0,.34,.18|1p.2,0 .5,-.22 .5,.22|3e-.24,-.04,.04,.04|2p-.1,-.14 .1,-.32 .14,-.1",
    "orange": "1e-.14,.1,.24,.24|1e.18,.16,.22,.22|2p-.05,-.14 .3,-.44 .2,-.1|3e0,-.2,.12,.08",
    "peach": "1e0,.06,.36,.36|2p0,-.28 .34,-.5 .22,-.24|3p-.02,-.3 .02,-.3 .06,.3 .02,.3",
    "flower": "1e0,-.26,.15,.22|1e.25,-.08,.22,.15|1e.16,.22,.18,.2|1e-.16,.22,.18,.2|1e-.25,-.08,.22,.15|"
    "3e0,0,.12,.12|2p-.1,.3 -.4,.5 -.02,.4",
    "heart": "1e-.19,-.14,.24,.24|1e.19,-.14,.24,.24|1p-.4,.0 .4,.0 0,.48",
    "diamond": "1p0,.4 -.5,-.1 -.3,-.35 .3,-.35 .5,-.1|3p0,.4 -.15,-.1 .15,-.1|2p-.3,-.35 -.15,-.1 -.5,-.1",
    "keystone": "1p-.36,-.5 .36,-.5 .44,-.2 .34,-.14 .24,.5 -.24,.5 -.34,-.14 -.44,-.2",
    "crown": "1p-.4,.3 .4,.3 .46,-.24 .2,.04 0,-.4 -.2,.04 -.46,-.24|2p-.4,.4 .4,.4 .4,.3 -.4,.3|"
    "3e0,-.4,.06,.06",
    "lily": "1e0,-.1,.11,.36|1p-.06,.1 -.44,-.2 -.3,.14 -.12,.3|1p.06,.1 .44,-.2 .3,.14 .12,.3|2p-.26,.16 "
    ".26,.16 .26,.26 -.26,.26|1p0,.2 -.14,.5 .14,.5",
    "tower": "1p-.2,.5 .2,.5 .13,-.3 -.13,-.3|2p-.18,-.3 .18,-.3 .18,-.36 -.18,-.36|3p-.1,-.36 .1,-.36 "
    ".1,-.46 -.1,-.46|2p-.14,-.44 .14,-.44 0,-.56|2p-.16,.2 .16,.2 .15,0 -.15,0",
    "torch": "2p-.07,.5 .07,.5 .12,0 -.12,0|1p-.16,0 .16,0 .24,-.22 .06,-.5 .02,-.24 -.14,-.36 -.2,-.14|"
    "3e0,-.1,.07,.1",
    "wheat": "1p-.02,.5 .04,.5 .1,-.4 .06,-.4|1e-.04,-.14,.07,.12|1e.18,-.1,.07,.12|1e-.02,.06,.07,.12|"
    "1e.16,.1,.07,.12|1e.09,-.38,.06,.12|2p0,.4 -.3,.1 -.06,.24",
    "ribbon": "1p0,-.1 .26,.5 .1,.5 -.16,-.2 -.12,-.44 .12,-.44 .16,-.2 -.1,.5 -.26,.5|3e0,-.26,.06,.09",
    "mountain": "1p-.5,.4 -.2,-.2 -.08,.0 .14,-.44 .5,.4|3p.14,-.44 .02,-.2 .1,-.24 .16,-.16 .24,-.22",
    "arch": "1p-.46,.4 -.4,-.2 -.16,-.44 .2,-.44 .42,-.16 .46,.4 .26,.4 .2,-.06 0,-.2 -.2,-.06 -.24,.4",
    "ship": "1p-.46,.2 .46,.2 .3,.44 -.32,.44|2p-.02,.2 .02,.2 .02,-.5 -.02,-.5|3p.04,.12 .4,.12 .04,-.46|"
    "3p-.04,.12 -.3,.12 -.04,-.36",
    "wave": "1p-.5,.4 -.3,-.1 0,-.3 .34,-.1 .2,-.08 .1,.1 .5,.4|3p-.3,.3 -.1,.05 .2,.3",
    "farm": "1p-.3,.4 -.3,-.02 -.05,-.26 .2,-.02 .2,.4|2p.26,.4 .26,-.3 .42,-.3 .42,.4|3p-.12,.4 -.12,.1 "
    ".04,.1 .04,.4",
    "dcflag": "1p-.5,.06 .5,.06 .5,.2 -.5,.2|1p-.5,.3 .5,.3 .5,.44 -.5,.44|1e-.3,-.16,.1,.1|"
    "1e0,-.16,.1,.1|1e.3,-.16,.1,.1",
    "flag": "1p-.5,-.3 .5,-.36 .5,.3 -.5,.36|2p-.5,-.3 0,-.33 0,0 -.5,.02|3p-.5,.12 .5,.06 .5,.14 -.5,.2",
    "face": "1e0,-.05,.3,.38|2p-.3,-.1 -.34,-.44 0,-.52 .34,-.4 .26,-.24 -.1,-.26|2e-.12,-.04,.04,.03|"
    "2e.12,-.04,.04,.03|2p-.2,.2 .2,.2 .1,.42 -.1,.42|1p-.4,.5 .4,.5 .2,.3 -.2,.3",
    "shield": "1p-.4,-.5 .4,-.5 .4,.1 0,.5 -.4,.1|2p-.4,-.5 .4,-.5 .4,-.26 -.4,-.26|3p-.12,-.2 .12,-.2 "
    ".12,.2 -.12,.2",
    "seal": "1e0,0,.5,.5|3e0,0,.42,.42|2e0,0,.3,.3|3p-.12,.16 0,-.2 .12,.16",
    "wheel": "1e0,0,.5,.5|3e0,0,.36,.36|1p-.05,-.5 .05,-.5 .05,.5 -.05,.5|1p-.5,-.05 .5,-.05 .5,.05 "
    "-.5,.05|1e0,0,.1,.1",
    "cross": "1p-.14,-.5 .14,-.5 .14,.5 -.14,.5|1p-.5,-.14 .5,-.14 .5,.14 -.5,.14",
    "paw": "1e0,.16,.26,.22|1e-.3,-.1,.1,.14|1e-.11,-.28,.1,.14|1e.11,-.28,.1,.14|1e.3,-.1,.1,.14",
}  # fmt: skip
_NATURAL = {
    "tree": ("1c6a40", "5a3c20", "8ab878"),
    "oak": ("4c8a3c", "5a3c20", "a8c878"),
    "palm": ("2c5aa0", "2c5aa0", "4c8a3c"),
    "cactus": ("3c7a54", "3c7a54", "8ab878"),
    "horse": ("201c1c", "201c1c", "f0f0f0"),
    "rider": ("281c1c", "281c1c", "f0f0f0"),
    "bear": ("5c4030", "a08060", "202020"),
    "buffalo": ("4c3428", "201c18", "806040"),
    "pelican": ("b09878", "c88830", "8c7458"),
    "orange": ("f08c20", "3c8a3c", "fafafa"),
    "peach": ("f0a070", "5c9a48", "e07848"),
    "flower": ("e04858", "3c8a3c", "f4d040"),
    "heart": ("d02838", "d02838", "f4f4f4"),
    "keystone": ("f0c030", "f0c030", "f0c030"),
    "dcflag": ("d02838", "d02838", "d02838"),
    "flag": ("c83040", "28387c", "f4f4f4"),
    "zia": ("c02830", "c02830", "c02830"),
    "diamond": ("c8ccd4", "b0b8c4", "e4e8ec"),
    "face": ("b0a898", "70685c", "d0c8b8"),
}
"""Usual colours, RGB; others are drawn at random."""
KINDS = (*_SHAPES, "star", "outline", "zia", "sun", "motif")


def draw_emblem(
    rng: np.random.Generator,
    image: Image,
    x: float,
    y: float,
    size: float,
    kind: str = "picture",
    pale: bool = False,
) -> None:
    """Draw a coloured picture of about *size* pixels around x, y into *image* (BGR).

    *kind* is one of `KINDS`; any other word leaves the choice to *rng*, and so do a third of the calls. A
    *pale* one leaves the characters over it legible.
    """
    if kind not in KINDS or rng.random() < 0.33:
        kind = KINDS[int(rng.integers(len(KINDS)))]
    left, top = max(0, int(x - size * 0.62)), max(0, int(y - size * 0.62))
    patch = image[top : int(y + size * 0.62) + 1, left : int(x + size * 0.62) + 1]
    if size < 3 or patch.size == 0:
        return
    layer = patch.copy()
    colours = _colours(rng, kind)
    angle, mirror = np.deg2rad(rng.normal(0, 5)), rng.choice([-1.0, 1.0])
    turn = np.array([[mirror * np.cos(angle), np.sin(angle)], [-mirror * np.sin(angle), np.cos(angle)]])
    wide = rng.uniform(0.8, 1.2)
    for colour, points in _polygons(rng, kind):
        corners = (points * (wide, 1.0)) @ turn * size + (x - left, y - top)
        cv2.fillPoly(layer, [np.round(corners * 16).astype(np.int32)], colours[colour], cv2.LINE_AA, 4)
    share = rng.uniform(0.12, 0.45) if pale or rng.random() < 0.2 else rng.uniform(0.6, 1.0)
    patch[:] = cv2.addWeighted(layer, share, patch, 1 - share, 0)


def _colours(rng: np.random.Generator, kind: str) -> list[styles.Colour]:
    if kind in _NATURAL and rng.random() < 0.6:
        codes = _NATURAL[kind]
        return [(int(c[4:6], 16), int(c[2:4], 16), int(c[:2], 16)) for c in codes]
    drawn = rng.integers(0, 240, (3, 3))
    if rng.random() < 0.35:  # one colour in three shades, as line prints are
        drawn = np.clip(drawn[:1] * np.array([[1.0], [0.6], [1.5]]), 0, 250).astype(int)
    return [(int(b), int(g), int(r)) for b, g, r in drawn]


def _polygons(rng: np.random.Generator, kind: str) -> list[tuple[int, npt.NDArray[np.float64]]]:
    if kind == "star":
        count = int(rng.choice([5, 5, 5, 6, 8]))
        return [(0, _rays(count, 0.5, rng.uniform(0.18, 0.3)))]
    if kind in {"zia", "sun"}:
        rays = _rays(4 if kind == "zia" else 12, 0.5, 0.18)
        return [(0, rays), (0, _ellipse(0, 0, 0.24, 0.24)), (2, _ellipse(0, 0, 0.15, 0.15))]
    if kind == "outline":  # of a state: straight borders and a ragged one
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(6, 14))))
        reach = rng.uniform(0.3, 0.5, len(angles)) * (1 + 0.3 * np.cos(2 * angles + rng.uniform(0, 6)))
        return [(0, np.stack([reach * np.cos(angles), reach * np.sin(angles)], 1))]
    if kind == "motif":  # a disc or shield with some figure in it
        base = _polygons(rng, str(rng.choice(["seal", "shield"])))[:2]
        inner = _polygons(rng, str(rng.choice(["star", "horse", "bird", "tree", "cross", "face", "paw"])))
        return base + [(1, points * 0.55) for _, points in inner]
    shapes = []
    for item in _SHAPES[kind].split("|"):
        colour, form, numbers = int(item[0]) - 1, item[1], item[2:]
        values = np.array([float(v) for v in numbers.replace(",", " ").split()])
        shapes.append((colour, values.reshape(-1, 2) if form == "p" else _ellipse(*values)))
    return shapes


def _ellipse(x: float, y: float, rx: float, ry: float) -> npt.NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], 1)


def _rays(count: int, outer: float, inner: float) -> npt.NDArray[np.float64]:
    angles = np.arange(2 * count) * np.pi / count - np.pi / 2
    radii = np.where(np.arange(2 * count) % 2 == 0, outer, inner)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
