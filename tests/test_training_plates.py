import re

import pytest

np = pytest.importorskip("numpy", reason="the renderer needs numpy: install the [edge] extra")

from training import formats  # noqa: E402 - numpy is asked for first


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
