"""Render the sample drive: ``python -m training.drive tests/data/drive``.

A patrol car goes down an invented street, past parked cars, behind others and against traffic,
from afternoon into dusk. Beside the picture it writes what was to be read in it, where the car was,
and a hotlist with a few of the plates on it. The same seed gives the same drive.
"""

import argparse
import csv
import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from training.hotlists import write_hotlist
from training.plates import RenderedPlate, render_plate
from training.scenes import Camera, Canvas, Pixels, visible_box
from training.streets import Surface, as_picture, furnish, paint_sky, sky
from training.vehicles import Pose, Vehicle, cyclist, make_vehicle, paint_vehicle, plate_corners

SEED = 714
WIDTH_PX, HEIGHT_PX, FRAMES_PER_S, LENGTH_S = 1280, 720, 15, 50.0
FOCAL_PX, EYE_M = 1750.0, 1.36
SHUTTER_S = 1 / 700
PLATE_M = {"US": (0.305, 0.152), "BR": (0.40, 0.13), "EU": (0.52, 0.112)}
LEAST_SHOWN, LEAST_WIDTH_PX = 0.75, 18.0
"""A plate counts as visible from this share of its area and this width."""
ORIGIN_LAT_DEG, ORIGIN_LON_DEG = 0.0, -30.0
"""In the middle of the Atlantic: no street is there, so nobody can take these fixes for real ones."""


@dataclass(frozen=True, slots=True)
class Passing:
    """One vehicle of the plan: what it is, what its plate says and how it moves."""

    text: str
    jurisdiction: str
    kind: str
    colour: str
    path: Callable[[float], Pose] = field(repr=False)
    front: bool = False
    dark_plate: bool = False
    """Whether the plate shall be bright letters on a dark ground."""
    choice: int = 0
    """Which of the renderings to take, 0 the clearest."""


def patrol(t: float) -> tuple[float, float, float, float]:
    """Return the patrol car's x, z, heading and speed *t* seconds into the drive."""
    z = float(np.interp(t, _TIMES, _PLACES))
    speed = (float(np.interp(t + 0.05, _TIMES, _PLACES)) - float(np.interp(t - 0.05, _TIMES, _PLACES))) / 0.1
    x = 0.10 + 0.16 * math.sin(t * 0.45) + 0.05 * math.sin(t * 1.3)
    return x, z, 0.006 + 0.005 * math.sin(t * 0.5 + 1.0), speed


def _speed(t: float) -> float:
    """Metres a second: cruising, slower behind others, never standing quite still."""
    knots = (
        (0, 5.0),
        (3, 7.5),
        (9, 8.0),
        (12, 4.5),
        (15, 4.5),
        (18, 7.5),
        (24, 8.0),
        (27, 5.0),
        (31, 5.0),
        (34, 7.5),
        (44, 8.0),
        (50, 6.5),
    )
    return float(np.interp(t, [k[0] for k in knots], [k[1] for k in knots]))


_TIMES = np.arange(-1.0, LENGTH_S + 2.0, 0.05)
_PLACES = np.cumsum([_speed(t) * 0.05 for t in _TIMES]) - _speed(0)


def parked(z: float, x: float = 2.34, heading: float = 0.0, towards: bool = False) -> Callable[[float], Pose]:
    return lambda t: Pose(x, z, heading, towards)


def oncoming(meets_at_s: float, speed_mps: float = 3.0, x: float = -2.28) -> Callable[[float], Pose]:
    """A vehicle whose nose is 6.6 m before the camera at *meets_at_s*."""

    def path(t: float) -> Pose:
        return Pose(
            x + 0.05 * math.sin(t), patrol(meets_at_s)[1] + 6.6 - (t - meets_at_s) * speed_mps, 0.0, True
        )

    return path


def leader(closest_s: float, gap_m: float, turns_s: float) -> Callable[[float], Pose]:
    """A vehicle ahead that the patrol car draws near to, and that drives off faster after *turns_s*."""

    def path(t: float) -> Pose:
        away = gap_m + 0.55 * (t - closest_s) ** 2 if t < closest_s else gap_m
        away += 1.5 * max(0.0, t - turns_s) ** 2
        return Pose(0.16 + 0.10 * math.sin(t * 0.7), patrol(t)[1] + away, 0.02 * math.sin(t))

    return path


def _row_m(index: int) -> float:
    """Return where the tail of the n-th parked car stands along the street."""
    return 20.0 + 18.6 * index


def cyclist_place(t: float) -> tuple[float, float]:
    """Return the cyclist's x and z: for a while right before the plate of the ninth parked car."""
    hidden_z = _row_m(8)
    hides_at_s = float(np.interp(hidden_z - 16.0, _PLACES, _TIMES))
    start = patrol(hides_at_s)[1] + 16.0 * (1.22 / 2.24)
    return 1.22 + 0.04 * math.sin(t * 2.1), start + 0.6 * (t - hides_at_s)


def plan() -> list[Passing]:
    """Return every vehicle of the drive. All plate texts are invented."""
    return [
        Passing("7TRN582", "US-CA", "sedan", "blue", parked(_row_m(0))),
        Passing("8KOB417", "US-CA", "suv", "white", parked(_row_m(1), 2.40, 0.02), choice=3),
        Passing("BKR4871", "US-TX", "pickup", "black", parked(_row_m(2), 2.42), choice=2),
        Passing("KVD7043", "US-NY", "hatch", "red", parked(_row_m(3), 2.34, -0.02)),
        Passing("6WHF309", "US-CA", "sedan", "silver", parked(_row_m(4)), dark_plate=True),
        Passing("RQT4H81", "BR", "hatch", "orange", parked(_row_m(5), 2.36, 0.03)),
        Passing("CFW2960", "US-WA", "van", "white", parked(_row_m(6), 2.44)),
        Passing("NPX318", "US-OR", "suv", "green", parked(_row_m(7), 2.40, 0.01)),
        Passing("9GJM266", "US-CA", "sedan", "black", parked(_row_m(8), 2.34)),
        Passing("HNY8315", "US-GA", "pickup", "red", parked(_row_m(9), 2.42, -0.015)),
        Passing("LTV2074", "US-PA", "suv", "grey", parked(_row_m(10), 2.40)),
        Passing("DWZ6152", "US-AZ", "hatch", "teal", parked(_row_m(11), 2.35, 0.02)),
        Passing("482WSK", "US-NV", "sedan", "beige", parked(_row_m(12))),
        Passing("5PCL773", "US-CA", "van", "blue", parked(_row_m(13), 2.44), dark_plate=True),
        Passing("WE724KN", "PL", "hatch", "white", parked(_row_m(14), 2.35, -0.02)),
        Passing("FRB1496", "US-OH", "suv", "black", parked(_row_m(15), 2.40)),
        Passing("4LDS680", "US-CA", "sedan", "red", parked(_row_m(16), 2.36)),
        Passing("GMT5527", "US-NC", "pickup", "silver", parked(_row_m(17), 2.42, 0.02)),
        Passing("3YVU158", "US-CA", "sedan", "white", leader(13.0, 4.3, 15.2)),
        Passing("XKD9382", "US-MI", "suv", "blue", leader(29.0, 4.6, 31.0)),
        Passing("ZPL6408", "US-VA", "sedan", "grey", oncoming(5.2), front=True),
        Passing("2HWN945", "US-CA", "pickup", "teal", oncoming(9.4), front=True),
        Passing("JCE3617", "US-NY", "suv", "silver", oncoming(19.4), front=True),
        Passing("TKA7291", "US-TX", "hatch", "green", oncoming(23.8), front=True),
        Passing("8FXR034", "US-CA", "sedan", "orange", oncoming(36.2), front=True, dark_plate=True),
        Passing("SRM4850", "US-IL", "van", "beige", oncoming(41.0), front=True),
        Passing("1DNG692", "US-CA", "suv", "red", oncoming(47.0), front=True, choice=1),
    ]


def dusk_at(t: float) -> float:
    """How dark it is, in 0..1: day for 28 s, then dusk falls within 9 s."""
    s = min(1.0, max(0.0, (t - 28.0) / 9.0))
    return 0.9 * s * s * (3 - 2 * s)


def plate_of(passing: Passing, index: int) -> RenderedPlate:
    """Return the clearest of several renderings of the plate: this is a sample, not an eye test."""
    ranked: list[tuple[float, int, RenderedPlate]] = []
    # Bright letters on dark are rare: look longer for them.
    for attempt in range(120 if passing.dark_plate else 24):
        rng = np.random.default_rng((SEED, index, attempt))
        plate = render_plate(rng, passing.jurisdiction, passing.text)
        if plate.text != passing.text:
            continue
        legible, dark = _legible(plate)
        ranked.append((legible - 1000 * (dark != passing.dark_plate), attempt, plate))
    if not ranked:
        raise ValueError(f"vehicle {index}: no rendering for {passing.jurisdiction}")
    ranked.sort(key=lambda item: (-item[0], item[1]))
    return ranked[passing.choice][2]


def _legible(plate: RenderedPlate) -> tuple[float, bool]:
    """Return how clear the serial is, mostly in grey levels, and whether its ground is dark."""
    grey = cv2.cvtColor(plate.image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    low, high = (
        np.floor(plate.boxes[:, :2].min(0)).astype(int),
        np.ceil(plate.boxes[:, 2:].max(0)).astype(int),
    )
    inside = grey[max(0, low[1]) : high[1], max(0, low[0]) : high[0]]
    ground, ink = np.percentile(inside, 85), np.percentile(inside, 12)
    middle = (ground + ink) / 2
    widths = plate.boxes[:, 2] - plate.boxes[:, 0]
    tall = float((plate.boxes[:, 3] - plate.boxes[:, 1]).mean()) / plate.image.shape[0]
    margin = min(low[0], plate.image.shape[1] - high[0]) / plate.image.shape[0]
    outside = max(0.0, 0.14 - float(margin)) / 0.14
    clean = (
        40 * min(0.5, tall)
        + 20 * float(widths.mean()) / plate.image.shape[1] * len(plate.text)
        - 90 * outside
    )
    # The weaker half decides: a ground that fades into the ink's colour is no good.
    half = inside.shape[1] // 2, inside.shape[0] // 2
    parts = (inside[: half[1]], inside[half[1] :], inside[:, : half[0]], inside[:, half[0] :])
    contrast = min(float(np.percentile(part, 85) - np.percentile(part, 12)) for part in parts)
    return contrast + clean, float(np.mean(inside < middle)) > 0.5


@dataclass(slots=True)
class Sighting:
    """What the truth says of one passing vehicle."""

    first_frame: int
    last_frame: int
    boxes: dict[int, tuple[float, float, float, float]]


class Drive:
    """The drive, frame by frame."""

    def __init__(self) -> None:
        rng = np.random.default_rng(SEED)
        self._surface = Surface(rng)
        self._pieces = furnish(rng, 400.0)
        self._sky = sky(rng, self._camera(0.0))
        self.passings = plan()
        self._cyclist = cyclist()
        self._vehicles: list[Vehicle] = []
        for index, passing in enumerate(self.passings):
            size = PLATE_M.get(passing.jurisdiction[:2], PLATE_M["EU"])
            plate = plate_of(passing, index)
            self._vehicles.append(
                make_vehicle(rng, passing.kind, passing.colour, plate.image, size, index + 1, passing.front)
            )

    def frame(self, number: int) -> tuple[Pixels, dict[int, tuple[float, float, float, float]]]:
        """Return the picture, BGR, and each visible plate's box by the vehicle's index."""
        t = number / FRAMES_PER_S
        camera = self._camera(t)
        blank = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.float32)
        owner = np.zeros((HEIGHT_PX, WIDTH_PX), np.int16)
        canvas = Canvas(blank, owner, dusk_at(t), camera, self._camera(t + SHUTTER_S))
        paint_sky(canvas, *self._sky)
        self._surface.paint(canvas)
        poses = [passing.path(t) for passing in self.passings]
        todo: list[tuple[float, int]] = [
            (piece.z_m, -1 - k)
            for k, piece in enumerate(self._pieces)
            if 2.0 < piece.z_m - camera.z_m < 150.0
        ]
        # A vehicle is as far as its middle; a house as its far end, so that nothing hides before it.
        todo += [(pose.z_m + 1.5, k) for k, pose in enumerate(poses) if 1.5 < pose.z_m - camera.z_m < 90.0]
        side, ahead = cyclist_place(t)
        todo.append((ahead, len(poses)))
        for _, k in sorted(todo, key=lambda item: -item[0]):
            if k < 0:
                piece = self._pieces[-1 - k]
                canvas.paint(piece.corners, piece.texture, blurred=False)
                if piece.lamp is not None and canvas.dusk > 0.1:
                    canvas.glow(piece.lamp, 0.55, np.array([90, 150, 190]) * canvas.dusk)
                continue
            if k == len(poses):
                tall = [(side - 0.31, 1.8), (side + 0.31, 1.8), (side + 0.31, 0.0), (side - 0.31, 0.0)]
                canvas.paint([(x, y, ahead) for x, y in tall], self._cyclist)
                continue
            later = self.passings[k].path(t + SHUTTER_S)
            drift = (later.x_m - poses[k].x_m, 0.0, later.z_m - poses[k].z_m)
            paint_vehicle(canvas, self._vehicles[k], poses[k], drift)
        boxes = {}
        for k, vehicle in enumerate(self._vehicles):
            box, shown = visible_box(canvas, plate_corners(vehicle, poses[k]), vehicle.owner)
            if shown >= LEAST_SHOWN and box[2] - box[0] >= LEAST_WIDTH_PX:
                boxes[k] = box
        return as_picture(canvas, np.random.default_rng((SEED, number))), boxes

    def _camera(self, t: float) -> Camera:
        x, z, heading, _ = patrol(t)
        shake = 1.1 * math.sin(t * 9.1) + 0.7 * math.sin(t * 15.7 + 1)
        return Camera(x, EYE_M, z, heading, FOCAL_PX, WIDTH_PX, HEIGHT_PX, 322.0 + shake)


def render(folder: Path, frames: int, crf: int) -> dict[int, Sighting]:
    """Write ``drive.mp4`` and return what is to be seen of each vehicle, by its index.

    Raises subprocess.CalledProcessError if ffmpeg refuses.
    """
    drive = Drive()
    command = [
        "ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr24",
        "-s", f"{WIDTH_PX}x{HEIGHT_PX}", "-r", str(FRAMES_PER_S), "-i", "-", "-an",
        "-c:v", "libx264", "-preset", "slow", "-crf", str(crf), "-pix_fmt", "yuv420p", "-g", "45",
        "-movflags", "+faststart", "-threads", "1", str(folder / "drive.mp4"),
    ]  # fmt: skip
    sightings: dict[int, Sighting] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for number in range(frames):
            pixels, boxes = drive.frame(number)
            encoder.stdin.write(pixels.tobytes())
            for index, box in boxes.items():
                seen = sightings.setdefault(index, Sighting(number, number, {}))
                seen.last_frame = number
                seen.boxes[number] = box
            if number % 75 == 0:
                print(f"frame {number} of {frames}", flush=True)
        encoder.stdin.close()
        if encoder.wait() != 0:
            raise subprocess.CalledProcessError(encoder.returncode, command)
    return sightings


def write_truth(folder: Path, sightings: dict[int, Sighting]) -> None:
    """Write one line per passing vehicle, by first frame."""
    passings = plan()
    with (folder / "drive.truth.jsonl").open("w") as file:
        for index, seen in sorted(sightings.items(), key=lambda item: (item[1].first_frame, item[0])):
            passing = passings[index]
            row = {
                "plate": passing.text,
                "jurisdiction": passing.jurisdiction,
                "vehicle": {
                    "kind": passing.kind,
                    "colour": passing.colour,
                    "seen_from": "front" if passing.front else "rear",
                },
                "first_frame": seen.first_frame,
                "last_frame": seen.last_frame,
                "widest_px": round(max(b[2] - b[0] for b in seen.boxes.values()), 1),
                "boxes": {str(n): [round(v, 1) for v in box] for n, box in seen.boxes.items()},
            }
            file.write(json.dumps(row) + "\n")


def write_fixes(folder: Path) -> None:
    """Write five fixes a second of a street that runs north-east across open water."""
    bearing_deg = 38.0
    with (folder / "drive.fixes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["t_s", "lat_deg", "lon_deg", "speed_mps", "track_deg"])
        for tick in range(round(LENGTH_S * 5) + 1):
            t = tick / 5
            _, z, heading, speed = patrol(t)
            north, east = z * math.cos(math.radians(bearing_deg)), z * math.sin(math.radians(bearing_deg))
            track = bearing_deg + math.degrees(heading) * 0.2
            writer.writerow(
                [
                    f"{t:.1f}",
                    f"{ORIGIN_LAT_DEG + north / 110574:.7f}",
                    f"{ORIGIN_LON_DEG + east / 111320:.7f}",
                    f"{speed:.2f}",
                    f"{track:.1f}",
                ]
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=round(LENGTH_S * FRAMES_PER_S))
    parser.add_argument("--crf", type=int, default=27)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    sightings = render(arguments.folder, arguments.frames, arguments.crf)
    write_truth(arguments.folder, sightings)
    write_fixes(arguments.folder)
    write_hotlist(arguments.folder / "hotlist.csv", [passing.text for passing in plan()], SEED)


if __name__ == "__main__":
    main()
