"""Maps: pixels and degrees, the picture, and what a browser sends of a click."""

import base64
import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import SettingsInvalidError
from server.map_streets import MAX_DRAWN_POINTS, read_streets
from server.map_view import MAX_LATITUDE_DEG, MAX_ZOOM, MIN_ZOOM
from server.maps import (
    NARROW,
    WIDE,
    Atlas,
    Circle,
    Drawn,
    Marker,
    Spot,
    View,
    atlas_of,
    clicked,
    fitted,
    parsed,
    view,
)
from server.settings import MapSettings

CITY = Spot(38.5816, -121.4944)
SVG = "{http://www.w3.org/2000/svg}"

spots = st.builds(Spot, st.floats(-85, 85), st.floats(-180, 179.999999))
views = st.builds(
    view, spots, st.integers(MIN_ZOOM, MAX_ZOOM), st.integers(200, 1500), st.integers(200, 1500)
)


def apart_m(one: Spot, other: Spot) -> float:
    east = (one.longitude_deg - other.longitude_deg + 180) % 360 - 180
    return 111_320 * math.hypot(
        one.latitude_deg - other.latitude_deg, east * math.cos(math.radians(one.latitude_deg))
    )


@given(views, st.floats(0, 1), st.floats(0, 1))
def test_pixel_of_the_place_under_a_pixel_is_that_pixel(seen: View, right: float, down: float) -> None:
    x, y = right * seen.width_px, down * seen.height_px
    spot = seen.at(x, y)
    if abs(spot.latitude_deg) > 85.05:
        return  # above the world's edge all pixels give the edge
    back = seen.pixel(spot)
    # Where the whole world is narrower than the window, the nearer of a place's two pixels is given.
    around = 256 * 2.0**seen.zoom
    assert (back[0] - x + around / 2) % around - around / 2 == pytest.approx(0, abs=1e-4)
    assert back[1] == pytest.approx(y, abs=1e-4)


@given(views, spots)
def test_place_under_the_pixel_of_a_place_is_that_place_to_a_millimetre(seen: View, spot: Spot) -> None:
    assert apart_m(seen.at(*seen.pixel(spot)), spot) < 0.001


@given(views)
def test_centre_is_in_the_middle(seen: View) -> None:
    assert seen.pixel(seen.centre) == (seen.width_px / 2, seen.height_px / 2)


@given(views, st.integers(-25, 25))
def test_zooming_keeps_the_centre_and_stays_within_the_map(seen: View, steps: int) -> None:
    nearer = seen.zoomed(steps)
    assert nearer.centre == seen.centre and MIN_ZOOM <= nearer.zoom <= MAX_ZOOM


@given(views, st.floats(-0.4, 0.4))
def test_moving_east_and_back_is_nothing(seen: View, share: float) -> None:
    assert apart_m(seen.moved(share, 0).moved(-share, 0).centre, seen.centre) < 0.001


def test_moving_is_by_shares_of_the_window() -> None:
    seen = view(CITY, 12, 800, 400)
    assert seen.moved(0.25, 0).pixel(CITY) == pytest.approx((200, 200))
    assert seen.moved(0, -0.25).pixel(CITY) == pytest.approx((400, 300))
    assert seen.after("north").centre.latitude_deg > CITY.latitude_deg
    assert seen.after("west").centre.longitude_deg < CITY.longitude_deg
    assert seen.after("in").zoom == 13 and seen.after("out").zoom == 11
    assert seen.after("") == seen.after("<script>") == seen


@given(views)
def test_view_in_a_form_is_the_same_view_again(seen: View) -> None:
    assert parsed(seen.text, seen.width_px, seen.height_px) == seen


@given(st.one_of(st.text(), st.from_regex(r"-?[0-9a-z.]{1,9},-?[0-9a-z.]{1,9},[0-9]{1,9}", fullmatch=True)))
def test_no_text_of_a_browser_breaks_a_view(text: str) -> None:
    seen = parsed(text, *WIDE)
    assert seen is None or (
        abs(seen.centre.latitude_deg) <= MAX_LATITUDE_DEG
        and -180 <= seen.centre.longitude_deg < 180
        and MIN_ZOOM <= seen.zoom <= MAX_ZOOM
    )


@pytest.mark.parametrize(
    "text", ["", "nan,0,3", "inf,0,3", "91,0,3", "0,181,3", "0,0", "0,0,3.5", "0,0,-1", "0,0,³"]
)
def test_what_is_no_view_is_none(text: str) -> None:
    assert parsed(text, *WIDE) is None


@given(st.lists(spots, min_size=1, max_size=6))
def test_fitted_view_shows_all_or_the_world(given_spots: list[Spot]) -> None:
    seen = fitted(given_spots, *WIDE)
    inside = all(
        0 <= x <= seen.width_px and 0 <= y <= seen.height_px for x, y in map(seen.pixel, given_spots)
    )
    assert inside or seen.zoom == MIN_ZOOM


def test_fitted_view_over_the_date_line_does_not_show_the_world() -> None:
    seen = fitted([Spot(-17, 179), Spot(-17, -179)], *WIDE)
    assert seen.zoom >= 6 and abs(seen.centre.longitude_deg) > 179.9


def test_one_place_is_seen_with_its_streets() -> None:
    assert fitted([CITY], *WIDE).zoom == 15


def test_known_pixel_of_the_mercator_square() -> None:
    # San Francisco's Ferry Building is in tile 10/163/395 of every web map.
    seen = view(Spot(0, 0), 10, 0, 0)
    x, y = seen.pixel(Spot(37.7955, -122.3937))
    side = 256 * 2**10
    assert (int((x + side / 2) // 256), int((y + side / 2) // 256)) == (163, 395)
    assert seen.metres_per_pixel == pytest.approx(152.874, abs=0.001)


def drawn(*markers: Marker, circles: Sequence[Circle] = ()) -> Drawn:
    return Atlas().draw(view(CITY, 12, *WIDE), markers, circles, title="Units")


def test_map_is_well_formed_and_says_what_it_shows() -> None:
    shown = drawn(Marker(CITY, 'unit <7> "&"', "unit", "bad", "/units/unit-07"))
    root = ET.fromstring(shown.svg)
    assert root.findtext(f"{SVG}title") == "Units"
    said = str(root.findtext(f"{SVG}desc"))
    assert "1 marked" in said and "North is up" in said
    assert [link.get("href") for link in root.iterfind(f"{SVG}a")] == ["/units/unit-07"]
    assert root.get("role") == "group" and ET.fromstring(drawn(Marker(CITY, "x")).svg).get("role") == "img"


def test_map_needs_no_style_no_script_and_nothing_from_elsewhere() -> None:
    svg = drawn(Marker(CITY, "a", "hit"), Marker(CITY, "", "chosen"), circles=[Circle(CITY, 500)]).svg
    for banned in ("style=", "<style", "<script", "url(", 'href="http', "xlink"):
        assert banned not in svg


def test_image_is_the_same_picture() -> None:
    shown = drawn(Marker(CITY, "a"))
    kind, _, data = shown.image.partition(",")
    assert kind == "data:image/svg+xml;base64" and base64.b64decode(data).decode() == shown.svg


def test_markers_outside_are_counted_not_drawn() -> None:
    shown = drawn(Marker(CITY, "near"), Marker(Spot(10, 10), "far away"))
    assert [m.label for m in shown.shown] == ["near"] and shown.outside == 1
    assert "far away" not in shown.svg and "1 outside this view" in shown.svg


def test_markers_that_cover_each_other_are_one_with_the_worst_colour() -> None:
    shown = drawn(*(Marker(CITY, f"unit-{i}", "unit", "bad" if i == 5 else "good") for i in range(7)))
    (title,) = ET.fromstring(shown.svg).iterfind(f".//{SVG}g/{SVG}title")
    assert title.text == "unit-0, unit-1, unit-2, unit-3 and 3 more"
    assert 'class="map-marker bad"' in shown.svg and 'class="map-marker good"' not in shown.svg
    assert len(shown.shown) == 7


def test_ten_thousand_markers_are_a_small_picture() -> None:
    many = [
        Marker(Spot(33 + i % 100 * 0.08, -124 + i // 100 * 0.09), f"unit-{i}", "unit") for i in range(10_000)
    ]
    atlas = Atlas()
    assert len(atlas.draw(atlas.view([m.spot for m in many]), many, title="Units").svg) < 150_000


def test_circle_is_as_wide_on_the_ground_as_it_says() -> None:
    root = ET.fromstring(drawn(circles=[Circle(CITY, 1000)]).svg)
    (circle,) = root.iterfind(f"{SVG}circle")
    x, y, radius = (float(str(circle.get(name))) for name in ("cx", "cy", "r"))
    edge = view(CITY, 12, *WIDE).at(x + radius, y)
    assert apart_m(edge, CITY) == pytest.approx(1000, rel=0.01)


@given(views)
def test_scale_bar_is_true_at_the_centre(seen: View) -> None:
    root = ET.fromstring(Atlas().draw(seen, title="t").svg)
    bars = [str(p.get("d")) for p in root.iterfind(f"{SVG}path[@class='map-scale']")]
    words = [str(t.text) for t in root.iterfind(f"{SVG}text[@class='map-label']")][:2]
    units = {"m": 1.0, "km": 1000.0, "mi": 1609.344, "ft": 0.3048}
    for bar, word in zip(bars, words, strict=True):
        number, unit = word.replace(",", "").split()
        px = float(bar.split("H")[1].split("V")[0]) - 10
        assert px * seen.metres_per_pixel == pytest.approx(float(number) * units[unit], rel=0.02)
        assert px <= 121


@given(views)
def test_every_map_is_well_formed_and_has_degrees(seen: View) -> None:
    root = ET.fromstring(Atlas().draw(seen, [Marker(seen.centre, "here")], title="t").svg)
    assert root.find(f"{SVG}path[@class='map-grid']") is not None


def test_click_in_the_wide_picture_is_the_place_under_it() -> None:
    atlas = Atlas()
    seen = view(CITY, 14, *WIDE)
    form = {"view": seen.text, "wide.x": "100", "wide.y": "50"}
    assert clicked(form, atlas.asked(form)) == seen.at(100, 50)


def test_click_in_the_narrow_picture_counts_in_its_own_pixels() -> None:
    atlas = Atlas()
    narrow = view(CITY, 14, *NARROW)
    form = {"view": view(CITY, 14, *WIDE).text, "narrow.x": "160", "narrow.y": "160"}
    spot = clicked(form, atlas.asked(form))
    assert spot is not None and apart_m(spot, CITY) < 0.001
    assert atlas.asked(form) == narrow


def test_button_is_no_click_and_moves_the_view() -> None:
    form = {"view": view(CITY, 14, *WIDE).text, "move": "in"}
    seen = Atlas().asked(form)
    assert seen.zoom == 15 and clicked(form, seen) is None


@given(
    st.dictionaries(st.sampled_from(["view", "move", "wide.x", "wide.y", "narrow.x", "narrow.y"]), st.text())
)
def test_no_form_of_a_browser_breaks_the_map(form: dict[str, str]) -> None:
    seen = Atlas().asked(form)
    spot = clicked(form, seen)
    assert spot is None or abs(spot.latitude_deg) <= 90


@pytest.mark.parametrize(
    ("x", "y"), [("0", "0"), ("-1", "5"), ("721", "5"), ("5", "441"), ("1e2", "5"), ("", "5")]
)
def test_what_is_no_pixel_is_no_click(x: str, y: str) -> None:
    assert clicked({"wide.x": x, "wide.y": y}, view(CITY, 12, *WIDE)) is None


def geojson(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def feature(kind: str, coordinates: object, **properties: str) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def test_streets_of_the_department_lie_under_the_markers(tmp_path: Path) -> None:
    file = geojson(
        tmp_path / "streets.geojson",
        feature("LineString", [[-121.52, 38.58], [-121.47, 38.58]], highway="primary", name="Capitol <Mall>"),
        feature("Polygon", [[[-121.5, 38.57], [-121.49, 38.57], [-121.49, 38.59]]], natural="water"),
        feature("LineString", [[10.0, 50.0], [10.1, 50.1]], highway="primary", name="Elsewhere"),
        feature("Point", [-121.5, 38.58], name="a point"),
    )
    settings = MapSettings(streets=str(file), source="© someone", centre="38.5816, -121.4944", zoom=13)
    atlas = atlas_of(settings, tmp_path)
    svg = atlas.draw(atlas.view(), title="Map").svg
    classes = [e.get("class") for e in ET.fromstring(svg)]
    assert classes.index("map-water") < classes.index("map-wide") < classes.index("map-grid")
    assert "Capitol &lt;Mall&gt;" in svg and "Elsewhere" not in svg and "© someone" in svg
    assert atlas.view().centre == CITY and atlas.view().zoom == 13


def test_streets_are_simplified_to_whole_pixels(tmp_path: Path) -> None:
    points = [[-121.5 + i * 1e-6, 38.58] for i in range(50_000)]
    streets = read_streets(geojson(tmp_path / "s", feature("LineString", points, highway="primary")))
    (shape,) = streets.in_view(view(CITY, 12, *WIDE))
    assert len(shape.points) < 300


def test_no_view_has_more_points_than_a_page_may_carry(tmp_path: Path) -> None:
    lines = [
        feature("LineString", [[-121.6 + (i * 7 + j) % 100 * 0.002, 38.5 + i * 0.0002] for j in range(50)])
        for i in range(800)
    ]
    streets = read_streets(geojson(tmp_path / "s", *lines))
    shapes = streets.in_view(view(CITY, 12, *WIDE))
    assert 5000 < sum(len(shape.points) for shape in shapes) <= MAX_DRAWN_POINTS


def test_line_that_crosses_the_view_without_a_point_in_it_is_drawn(tmp_path: Path) -> None:
    streets = read_streets(
        geojson(tmp_path / "s", feature("LineString", [[-122.5, 38.5816], [-120.5, 38.5816]]))
    )
    assert len(streets.in_view(view(CITY, 15, *WIDE))) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type": "FeatureCollection"}',
        b'{"type": "LineString", "coordinates": [[500000.0, 4200000.0], [1, 2]]}',
        b'{"type": "LineString", "coordinates": [[NaN, 1], [1, 2]]}',
        b'{"type": "LineString", "coordinates": [1, 2]}',
        b'{"type": "LineString", "coordinates": [["a", "b"], ["c", "d"]]}',
        b"[" * 100_000,
    ],
)
def test_file_that_is_no_geojson_in_degrees_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "county.geojson"
    file.write_bytes(content)
    with pytest.raises(SettingsInvalidError, match=r"county\.geojson"):
        read_streets(file)


def test_missing_file_and_wrong_centre_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalidError, match=r"\[map\] streets"):
        atlas_of(MapSettings(streets="none.geojson"), tmp_path)
    with pytest.raises(SettingsInvalidError, match=r"\[map\] centre"):
        atlas_of(MapSettings(centre="somewhere"), tmp_path)
