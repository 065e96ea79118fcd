"""The sample drive: geometry of the renderer, and what the files beside the video promise."""

import csv
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
cv2 = pytest.importorskip("cv2")

from training.hotlists import PLANTED, near, write_hotlist  # noqa: E402 - after the skip
from training.scenes import Camera, Canvas, Texture, visible_box  # noqa: E402

DRIVE = Path(__file__).parent / "data" / "drive"
FRAMES, WIDTH_PX, HEIGHT_PX = 750, 1280, 720


def canvas() -> Canvas:
    camera = Camera(0.0, 1.4, 0.0, 0.0, 1000.0, 640, 480, 240.0)
    return Canvas(np.zeros((480, 640, 3), np.float32), np.zeros((480, 640), np.int16), 0.0, camera, camera)


def wall(z_m: float, half_m: float = 0.5) -> list[tuple[float, float, float]]:
    return [(-half_m, 1.9, z_m), (half_m, 1.9, z_m), (half_m, 0.9, z_m), (-half_m, 0.9, z_m)]


def plain(grey: int) -> Texture:
    return Texture(np.full((32, 32, 4), (grey, grey, grey, 255), np.uint8))


def passings() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DRIVE / "drive.truth.jsonl").read_text().splitlines()]


def hotlist() -> list[dict[str, str]]:
    with (DRIVE / "hotlist.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_metre_at_ten_metres_is_a_tenth_of_the_focal_length() -> None:
    box, shown = visible_box(canvas(), wall(10.0), owner=1)
    assert box == pytest.approx((270.0, 190.0, 370.0, 290.0))
    assert shown == 0.0  # nothing was painted yet


def test_a_nearer_piece_hides_a_farther_one() -> None:
    scene = canvas()
    scene.paint(wall(10.0), plain(200), owner=1)
    assert visible_box(scene, wall(10.0), 1)[1] > 0.95
    scene.paint(wall(5.0), plain(50), owner=2)
    assert visible_box(scene, wall(10.0), 1)[1] == 0.0
    assert visible_box(scene, wall(5.0), 2)[1] > 0.95


def test_what_lies_behind_the_camera_is_neither_painted_nor_seen() -> None:
    scene = canvas()
    scene.paint(wall(-4.0), plain(200), owner=1)
    assert not scene.pixels.any()
    assert visible_box(scene, wall(-4.0), 1)[1] == 0.0


def test_a_piece_that_leaves_the_picture_counts_only_what_is_left() -> None:
    scene = canvas()
    corners = [(x + 3.2, y, z) for x, y, z in wall(10.0)]
    scene.paint(corners, plain(200), owner=1)
    box, shown = visible_box(scene, corners, 1)
    assert box[2] == 640.0
    assert shown == pytest.approx(0.5, abs=0.02)


def test_the_video_has_as_many_frames_as_the_truth_speaks_of() -> None:
    video = cv2.VideoCapture(str(DRIVE / "drive.mp4"))
    assert video.isOpened()
    shape = (int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    assert shape == (WIDTH_PX, HEIGHT_PX)
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == FRAMES
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(15.0)
    assert max(row["last_frame"] for row in passings()) < FRAMES


def test_every_passing_is_seen_for_most_of_a_second_and_grows_large_enough_to_be_read() -> None:
    rows = passings()
    assert len(rows) >= 25
    for row in rows:
        assert len(row["boxes"]) >= 12
        assert row["widest_px"] >= 66.0


def test_every_box_lies_in_the_picture_and_between_its_first_and_last_frame() -> None:
    for row in passings():
        frames = sorted(map(int, row["boxes"]))
        assert (frames[0], frames[-1]) == (row["first_frame"], row["last_frame"])
        for left, top, right, bottom in row["boxes"].values():
            assert 0 <= left < right <= WIDTH_PX
            assert 0 <= top < bottom <= HEIGHT_PX


def test_at_least_one_plate_is_hidden_for_a_while_and_comes_back() -> None:
    def frames_missing(row: Mapping[str, Any]) -> int:
        return int(row["last_frame"]) - int(row["first_frame"]) + 1 - len(row["boxes"])

    assert max(map(frames_missing, passings())) >= 5


def test_no_listed_plate_looks_like_a_passing_one_but_the_planted() -> None:
    passing = [row["plate"] for row in passings()]
    planted = {entry["plate"] for entry in PLANTED}
    others = [row["plate"] for row in hotlist() if row["plate"] not in planted]
    assert len(others) >= 40
    assert not [plate for plate in others if any(near(plate, seen) for seen in passing)]


def test_the_planted_entries_are_on_the_list_and_their_plates_in_the_drive() -> None:
    listed = {row["plate"] for row in hotlist()}
    assert {entry["plate"] for entry in PLANTED} <= listed
    passing = [row["plate"] for row in passings()]
    for entry in PLANTED:
        pattern = entry["plate"]
        if "*" in pattern:
            head = pattern.rstrip("*")
            met = [p for p in passing if all(a in ("?", b) for a, b in zip(head, p, strict=False))]
        else:
            met = [p for p in passing if near(pattern, p)]
        assert len(met) == 1


def test_the_same_seed_writes_the_same_hotlist(tmp_path: Path) -> None:
    for name in ("first.csv", "second.csv"):
        write_hotlist(tmp_path / name, ["ABC1234"], seed=5)
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()


def test_the_fixes_cover_the_drive_and_move_on() -> None:
    with (DRIVE / "drive.fixes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["t_s"]) == 0.0
    assert float(rows[-1]["t_s"]) >= FRAMES / 15
    latitudes = [float(row["lat_deg"]) for row in rows]
    assert all(later > earlier for earlier, later in itertools.pairwise(latitudes))
