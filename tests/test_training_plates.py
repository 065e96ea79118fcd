import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

np = pytest.importorskip("numpy", reason="the renderer needs numpy: install the [edge] extra")

from training import formats, styles  # noqa: E402 - numpy is asked for first

LOOK_ALIKES = ("O0", "I1", "B8", "S5", "Z2", "G6", "D0", "QO", "27", "VY")


def luma(colour: styles.Colour) -> float:
    return float(0.11 * colour[0] + 0.59 * colour[1] + 0.3 * colour[2])


def test_no_pattern_is_longer_than_the_readers_slots() -> None:
    too_long = [
        (issuer.jurisdiction, pattern)
        for issuer in formats.ISSUERS
        for pattern in issuer.patterns
        if not 1 <= len(formats.plate_text(pattern)) <= formats.MAX_CHARACTERS
    ]
    assert too_long == []


def test_random_line_follows_a_pattern_of_its_issuer() -> None:
    rng = np.random.default_rng(3)
    classes = {"A": "[A-Z]", "9": "[0-9]", "1": "[1-9]", "?": "[A-Z0-9]"}
    for issuer in formats.ISSUERS:
        if issuer.vanity:
            continue
        shapes = [
            "".join(classes.get(c, re.escape(c.upper())) for c in pattern) for pattern in issuer.patterns
        ]
        for _ in range(20):
            line = formats.random_line(rng, issuer)
            assert any(re.fullmatch(shape, line) for shape in shapes), (issuer.jurisdiction, line)


def test_issuers_letters_are_kept_to() -> None:
    rng = np.random.default_rng(4)
    dutch = formats.issuer_of("NL")
    drawn = "".join(formats.plate_text(formats.random_line(rng, dutch)) for _ in range(200))
    assert set(drawn) <= set(dutch.letters + "0123456789")


def test_given_text_is_laid_out_by_the_pattern_it_fits() -> None:
    assert formats.line_for("12ABC3", formats.issuer_of("NL")) == "12-ABC-3"
    assert formats.line_for("ABCDE", formats.issuer_of("NL")) == "ABCDE"


def test_unknown_jurisdiction_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="XX"):
        formats.issuer_of("XX")


def test_look_alikes_stand_in_every_place_that_a_format_allows() -> None:
    rng = np.random.default_rng(11)
    wanted = sorted(set("".join(LOOK_ALIKES)))
    for issuer in formats.ISSUERS:
        drawn = replace(issuer, vanity=0.0)
        shapes = [formats.plate_text(pattern) for pattern in issuer.patterns]
        missing = {
            (place, c)
            for shape in shapes
            for (place, kind), c in product(enumerate(shape), wanted)
            if (kind in "A?" and c in issuer.letters) or (kind in "9?" and c.isdigit())
        }
        for _ in range(40):
            if not missing:
                break
            for _ in range(100):
                missing -= set(enumerate(formats.plate_text(formats.random_line(rng, drawn))))
        assert not missing, (issuer.jurisdiction, sorted(missing))


def test_every_issuer_has_looks() -> None:
    assert {issuer.jurisdiction for issuer in formats.ISSUERS} <= set(styles.LOOKS)
    assert set(styles.STYLES) == set(styles.LOOKS)


def test_states_and_provinces_carry_their_names() -> None:
    unnamed = [
        jurisdiction
        for jurisdiction, looks in styles.LOOKS.items()
        if jurisdiction.startswith(("US-", "CA-")) and not all(look.titles for look in looks)
    ]
    assert unnamed == []


def test_ink_of_every_look_stands_out_from_its_ground() -> None:
    pale = [
        (jurisdiction, ground, look.inks[0])
        for jurisdiction, looks in styles.LOOKS.items()
        for look in looks
        for ground in look.grounds[0]
        if abs(luma(ground) - luma(look.inks[0])) < 40
    ]
    assert pale == []


def test_brazilian_band_goes_with_the_new_series_and_grey_with_the_old() -> None:
    rng = np.random.default_rng(12)
    new = [styles.style_for("BR", "ABC1D23", rng) for _ in range(40)]
    old = [styles.style_for("BR", "ABC-1234", rng) for _ in range(40)]
    assert {look.top_band for look in new} == {"BRASIL"}
    assert {look.top_band for look in old} == {""}
    assert all(" - " in title for look in old for title in look.titles)


def test_silver_on_black_is_left_to_old_british_series() -> None:
    rng = np.random.default_rng(13)
    dark = [
        {luma(styles.style_for("GB", line, rng).grounds[0][0]) < 60 for _ in range(60)}
        for line in ("AB12 CDE", "ABC 123D")
    ]
    assert dark == [{False}, {False, True}]


def test_a_quarter_of_california_is_black_or_blue() -> None:
    looks = styles.LOOKS["US-CA"]
    dark = sum(look.weight for look in looks if luma(look.grounds[0][0]) < 100)
    assert 0.2 < dark / sum(look.weight for look in looks) < 0.3


def test_look_has_one_ground_and_one_ink() -> None:
    rng = np.random.default_rng(14)
    for jurisdiction in styles.LOOKS:
        look = styles.style_for(jurisdiction, "AB 123", rng)
        assert len(look.grounds) == len(look.inks) == 1


class TestRendered:
    """Need Pillow and OpenCV; typefaces are welcome, the stroke dies are enough."""

    @pytest.fixture(autouse=True)
    def _needs_pillow(self) -> None:
        pytest.importorskip("PIL", reason="the renderer needs Pillow: pip install pillow")
        pytest.importorskip("cv2", reason="the renderer needs OpenCV: install the [edge] extra")

    def test_equal_generators_give_equal_plates(self) -> None:
        from training.plates import render_plate

        first, second = (render_plate(np.random.default_rng(5), height_px=64) for _ in range(2))
        assert first.text == second.text
        assert np.array_equal(first.image, second.image)

    def test_each_character_has_a_box_inside_the_picture_in_reading_order(self) -> None:
        from training.plates import render_plate

        rng = np.random.default_rng(6)
        for _ in range(60):
            plate = render_plate(rng, height_px=64)
            assert len(plate.boxes) == len(plate.text)
            assert (plate.boxes[:, 0] >= -2).all()
            assert (plate.boxes[:, 2] <= plate.image.shape[1] + 2).all()
            on_one_line = np.ptp(plate.boxes[:, 1]) < 1
            assert not on_one_line or (np.diff(plate.centres[:, 0]) > 0).all()

    def test_plate_says_the_text_it_was_asked_for(self) -> None:
        from training.plates import render_plate

        plate = render_plate(np.random.default_rng(7), "US-CA", "7ABC123")
        assert (plate.text, plate.jurisdiction, plate.image.shape[0]) == ("7ABC123", "US-CA", 128)

    def test_characters_stand_out_from_their_ground(self) -> None:
        from training.plates import render_plate

        plate = render_plate(np.random.default_rng(8), "PL", "KR12345")
        for left, top, right, bottom in plate.boxes.astype(int):
            assert np.ptp(plate.image[top:bottom, left:right].mean(axis=2)) > 80

    def test_crop_has_the_readers_size_and_keeps_the_characters_in_it(self) -> None:
        from training.degrade import degrade
        from training.plates import render_plate

        rng = np.random.default_rng(9)
        for _ in range(40):
            plate = render_plate(rng, height_px=64)
            crop = degrade(rng, plate)
            assert crop.image.shape == (64, 128, 3)
            assert (crop.centres > -0.05).all()
            assert (crop.centres < 1.05).all()

    def test_text_that_no_plate_carries_is_refused(self) -> None:
        from training.plates import render_plate

        with pytest.raises(ValueError, match="A-Z"):
            render_plate(np.random.default_rng(1), "PL", "kr-1")

    def test_equal_generators_give_equal_crops(self) -> None:
        from training.degrade import degrade
        from training.plates import render_plate

        crops = []
        for _ in range(2):
            rng = np.random.default_rng(15)
            crops.append([degrade(rng, render_plate(rng, height_px=64)) for _ in range(12)])
        for first, second in zip(*crops, strict=True):
            assert np.array_equal(first.image, second.image)
            assert np.array_equal(first.centres, second.centres)

    def test_plate_is_left_as_it_was_by_its_crops(self) -> None:
        from training.degrade import CONDITIONS, degrade
        from training.plates import render_plate

        rng = np.random.default_rng(16)
        plate = render_plate(rng, height_px=64)
        before = plate.image.copy()
        for condition in CONDITIONS:
            degrade(rng, plate, condition)
        assert np.array_equal(plate.image, before)

    def test_shares_of_the_conditions_make_a_whole_with_day_the_most(self) -> None:
        from training.degrade import CONDITIONS

        assert sum(CONDITIONS.values()) == pytest.approx(1.0)
        assert CONDITIONS["day"] >= 0.6

    def test_each_kind_of_wear_changes_the_plate_and_keeps_its_shape(self) -> None:
        from training import wear
        from training.plates import render_plate

        rng = np.random.default_rng(17)
        plate = render_plate(rng, "US-TX", "ABC1234")
        for name, effect in wear.EFFECTS.items():
            worn = plate.image.copy()
            for _ in range(4):
                effect(rng, worn, plate.boxes)
            assert (worn.shape, worn.dtype) == (plate.image.shape, np.uint8), name
            assert not np.array_equal(worn, plate.image), name

    def test_tow_bar_leaves_most_of_every_character(self) -> None:
        from training import wear
        from training.plates import render_plate

        rng = np.random.default_rng(18)
        plate = render_plate(rng, "PL", "KR12345")
        for _ in range(40):
            hidden = plate.image.copy()
            wear.tow_bar(rng, hidden, plate.boxes)
            changed = (hidden != plate.image).any(axis=2)
            for left, top, right, bottom in plate.boxes.astype(int):
                assert changed[top:bottom, left:right].mean() < 0.5

    def test_each_effect_of_the_camera_changes_the_scene_and_keeps_its_shape(self) -> None:
        from training import lens

        rng = np.random.default_rng(19)
        scene = rng.uniform(0, 255, (40, 110, 3)).astype(np.float32)
        before = scene.copy()
        for name, effect in lens.EFFECTS.items():
            seen = effect(rng, scene, 12.0)
            assert (seen.shape, seen.dtype) == (scene.shape, np.float32), name
            assert not np.array_equal(seen, scene), name
            assert np.array_equal(scene, before), name

    def test_infrared_plate_is_grey_and_brighter(self) -> None:
        from training.degrade import infrared
        from training.plates import render_plate

        rng = np.random.default_rng(20)
        plate = render_plate(rng, "NL", "12ABC3")
        seen = infrared(rng, plate.image)
        assert np.ptp(seen, axis=2).max() == 0
        assert (seen.shape, seen.dtype) == (plate.image.shape, np.uint8)
        assert seen.mean() > plate.image.mean()

    def test_every_picture_can_be_drawn_over_the_edge(self) -> None:
        from training import emblems

        rng = np.random.default_rng(21)
        for kind in emblems.KINDS:
            ground = np.full((40, 80, 3), 128, np.uint8)
            for x, y in ((40, 20), (-2, 0), (81, 41)):
                emblems.draw_emblem(rng, ground, x, y, 24, kind)
            assert np.ptp(ground) > 0, kind

    def test_equal_seeds_give_equal_sheets(self) -> None:
        from training.sheet import contact_sheet

        first, second = (contact_sheet(3, ("US-CA", "BR"), rows=2, columns=2) for _ in range(2))
        other = contact_sheet(4, ("US-CA", "BR"), rows=2, columns=2)
        assert np.array_equal(first, second)
        assert not np.array_equal(first, other)

    def test_sheet_is_written_by_its_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from training import sheet

        target = tmp_path / "sheet.png"
        monkeypatch.setattr(
            "sys.argv", ["sheet", "--out", str(target), "--rows", "1", "--columns", "2", "--clean"]
        )
        sheet.main()
        assert target.read_bytes().startswith(b"\x89PNG")
