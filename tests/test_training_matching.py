"""The comparison of matching rules counts what it says, on reads whose outcome is known."""

import numpy as np

from hotlist_cache.config import HotlistConfig
from recognizer.plate import Plate
from training.matching import CropRead, Score, compare, random_plates


def a_read(truth: str, text: str, doubt: dict[int, str] | None = None) -> CropRead:
    positions = [((character, 0.995),) for character in text]
    for place, other in (doubt or {}).items():
        positions[place] = ((text[place], 0.55), (other, 0.45))  # type: ignore[assignment]  # two, not one
    return CropRead(Plate(truth), Plate(text), tuple(positions))


def by_rule(reads: list[CropRead]) -> dict[str, Score]:
    # 200 plates on a list of 300: the hundredth is two.
    scores = compare(reads, 300, choices=40, seed=3, config=HotlistConfig())
    return {score.rule: score for score in scores}


def some_plates() -> list[str]:
    rng = np.random.default_rng(8)
    return [
        "".join(rng.choice(list("ABCEFHJK"), 3)) + "".join(rng.choice(list("3459"), 4)) for _ in range(200)
    ]


def test_right_reads_are_found_by_every_rule() -> None:
    scores = by_rule([a_read(plate, plate) for plate in some_plates()])
    assert {score.missed for score in scores.values()} == {0}
    assert all(score.listed >= 40 for score in scores.values())


def test_torn_misreads_are_found_by_ours_alone_where_the_characters_look_unlike() -> None:
    plates = some_plates()
    reads = [a_read(plate, "W" + plate[1:], {0: plate[0]}) for plate in plates]
    scores = by_rule(reads)
    assert scores["exact only"].missed_share == 1
    assert scores["one look-alike"].missed_share == 1
    assert scores["distance 1"].missed_share == 0
    assert scores["ours, as the unit tells"].missed_share == 0


def test_sure_misreads_are_missed_by_ours_and_no_rule_counts_a_right_hit_as_false() -> None:
    scores = by_rule([a_read(plate, "W" + plate[1:]) for plate in some_plates()])
    assert scores["ours, at least 0.5"].missed_share == 1
    assert scores["exact only"].false_alerts == 0
    assert scores["distance 1"].missed_share == 0


def test_random_plates_have_the_patterns_of_the_truths_and_each_is_there_once() -> None:
    keys = random_plates(np.random.default_rng(1), ["AB123"], 5000)
    assert len(set(keys.tolist())) == len(keys) > 4900
    assert (np.sort(keys) == keys).all()
