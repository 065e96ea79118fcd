"""How well listed plates are found through misreads, by several rules on the same reads.

    python -m training.matching          # or ./run bench hotlist, which prints it last

The unit's own recogniser reads every real crop. One plate in a hundred of them is put on a list beside five
million random plates of the same patterns of letters and digits, and every read is looked up by each rule;
that is done for many choices of the hundredth. A listed plate that its own read does not meet is missed;
whatever else a read meets is a false alert.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hotlist_cache.config import HotlistConfig
from hotlist_cache.evidence import Confusions
from hotlist_cache.lookalike import DEFAULT_CONFUSIONS, LOOK_ALIKES, measured
from hotlist_cache.packed import ALPHABET, KEY_BYTES, MAX_CHARACTERS, pack, pack_folded, unpack
from hotlist_cache.texts import TextIndex, folded_keys
from recognizer.config import RecognizerConfig
from recognizer.onnx import Recognizer
from recognizer.plate import Plate, fold, normalise
from recognizer.read import Position
from training.detector.frames import shared_root
from training.validation import CROPS, crops

Keys = npt.NDArray[np.uint64]

LISTED_SHARE = 0.01
_FOLDED_ALPHABET = "".join(sorted({fold(Plate(c)) for c in ALPHABET}))
_DIGITS, _LETTERS = "0123456789", "ABCDEFGHJKLMNPRSTUVWXYZ"
THRESHOLDS = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True, slots=True)
class CropRead:
    """What the recogniser made of a crop."""

    truth: Plate = field(repr=False)
    text: Plate = field(repr=False)
    positions: tuple[Position, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Score:
    """How one rule did, over all choices of listed plates."""

    rule: str
    listed: int
    """Reads of listed plates."""
    missed: int
    reads: int
    false_alerts: int

    @property
    def missed_share(self) -> float:
        """Of reads of listed plates."""
        return self.missed / max(self.listed, 1)

    @property
    def false_per_10_000(self) -> float:
        """Of all reads."""
        return self.false_alerts * 10_000 / self.reads


def reads_of_crops(recognizer: Recognizer, sets: Sequence[str]) -> list[CropRead]:
    """Return what the unit gives out of every crop of *sets* that has a text it can list."""
    found = []
    for name in sets:
        for crop in crops(shared_root() / "data", name):
            reading = recognizer.read(crop.pixels)
            text, truth = normalise(reading.text), normalise(crop.text)
            if text and len(reading.positions) == len(text) and 0 < len(truth) <= MAX_CHARACTERS:
                found.append(CropRead(truth, text, reading.positions))
    return found


def random_plates(rng: np.random.Generator, truths: Sequence[str], count: int) -> Keys:
    """Return about *count* random plates of the patterns of *truths*, as numbers, each once, sorted as lists
    are."""
    chosen = rng.choice(len(truths), count)
    plates: set[str] = set()
    for number, times in zip(*np.unique(chosen, return_counts=True), strict=True):
        columns = [
            rng.choice(list(_DIGITS if character in _DIGITS else _LETTERS), times)
            for character in truths[number]
        ]
        plates.update("".join(row) for row in zip(*columns, strict=True))
    return _keys(plates)


def _keys(plates: Iterable[str]) -> Keys:
    pairs = sorted((pack_folded(plate), pack(plate)) for plate in plates)
    return np.frombuffer(b"".join(key for _, key in pairs), ">u8")


def _with(keys: Keys, plates: Iterable[str]) -> Keys:
    """Return sorted *keys* with *plates* put in their places."""
    more = _keys(plates)
    places = np.searchsorted(folded_keys(keys)[:-1], folded_keys(more)[:-1])
    return np.insert(keys, places, more)


Rule = Callable[[CropRead], Iterator[str]]
"""Yields the folded texts that a read is looked up by."""


def exact(read: CropRead) -> Iterator[str]:
    yield fold(read.text)


def one_look_alike(read: CropRead) -> Iterator[str]:
    """The fixed rule: at most one character is another that looks like it."""
    text = fold(read.text)
    yield text
    for i, character in enumerate(text):
        for other in LOOK_ALIKES.get(character, ()):
            yield text[:i] + other + text[i + 1 :]


def distance_one(read: CropRead) -> Iterator[str]:
    """One character changed, left out or added."""
    text = fold(read.text)
    found = {text}
    for i in range(len(text) + 1):
        for other in _FOLDED_ALPHABET:
            found.add(text[:i] + other + text[i:])
            found.add(text[:i] + other + text[i + 1 :])
        found.add(text[:i] + text[i + 1 :])
    yield from (each for each in found if 0 < len(each) <= MAX_CHARACTERS)


RULES: dict[str, Rule] = {
    "exact only": exact,
    "one look-alike": one_look_alike,
    "distance 1": distance_one,
}


def compare(
    reads: Sequence[CropRead],
    entries: int,
    choices: int,
    seed: int,
    config: HotlistConfig,
    confusions: Confusions = DEFAULT_CONFUSIONS,
) -> list[Score]:
    """Return how each rule does, ours at several thresholds."""
    rng = np.random.default_rng(seed)
    everyone = random_plates(rng, [read.truth for read in reads], entries)
    truths = sorted({read.truth for read in reads})
    count = max(1, round(len(truths) * LISTED_SHARE))
    wanted = [{truths[i] for i in rng.choice(len(truths), count, replace=False)} for _ in range(choices)]
    return [
        *(_fixed(name, rule, reads, everyone, wanted, config) for name, rule in RULES.items()),
        *_ours(reads, everyone, wanted, config, confusions),
    ]


def _fixed(
    name: str,
    rule: Rule,
    reads: Sequence[CropRead],
    everyone: Keys,
    wanted: Sequence[set[str]],
    config: HotlistConfig,
) -> Score:
    index = TextIndex(everyone, config, DEFAULT_CONFUSIONS)
    looked_up = [set(rule(read)) for read in reads]
    always = [{text for text in texts if index.holds(text)} for texts in looked_up]
    tally = _Tally()
    for plates in wanted:
        listed = {fold(Plate(plate)) for plate in plates}
        for read, texts, met in zip(reads, looked_up, always, strict=True):
            tally.count(fold(read.truth), listed, met | (texts & listed))
    return tally.score(name)


def _ours(
    reads: Sequence[CropRead],
    everyone: Keys,
    wanted: Sequence[set[str]],
    config: HotlistConfig,
    confusions: Confusions,
) -> list[Score]:
    tallies = {threshold: _Tally() for threshold in THRESHOLDS}
    told = _Tally()
    lax = replace(config, possible_probability=min(THRESHOLDS))
    for plates in wanted:
        listed = {fold(Plate(plate)) for plate in plates}
        keys = _with(everyone, plates)
        index = TextIndex(keys, lax, confusions)
        for read in reads:
            chances = {
                fold(unpack(int(keys[number]).to_bytes(KEY_BYTES, "big"))): chance
                for number, chance in index.find(read.text, read.positions).items()
            }
            truth = fold(read.truth)
            for threshold, tally in tallies.items():
                tally.count(truth, listed, {t for t, chance in chances.items() if chance >= threshold})
            # The unit tells of what reads as listed whatever the odds.
            least = config.possible_probability
            told.count(truth, listed, {t for t, c in chances.items() if c >= least or t == fold(read.text)})
    scores = [tally.score(f"ours, at least {threshold:g}") for threshold, tally in tallies.items()]
    return [told.score("ours, as the unit tells"), *scores]


@dataclass
class _Tally:
    listed: int = 0
    missed: int = 0
    reads: int = 0
    false_alerts: int = 0

    def count(self, truth: str, listed: set[str], met: set[str]) -> None:
        self.reads += 1
        self.listed += truth in listed
        self.missed += truth in listed and truth not in met
        self.false_alerts += bool(met - {truth})

    def score(self, rule: str) -> Score:
        return Score(rule, self.listed, self.missed, self.reads, self.false_alerts)


def main() -> None:
    parser = argparse.ArgumentParser(description="compare rules of matching on real reads")
    parser.add_argument("--entries", type=int, default=5_000_000)
    parser.add_argument("--choices", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not (shared_root() / "data").is_dir():
        print(f"matching is not measured: there are no real pictures in {shared_root() / 'data'}")
        return
    recognizer = Recognizer.open(RecognizerConfig())
    reads = reads_of_crops(recognizer, tuple(CROPS))
    known = recognizer.pack.reader.misreads
    confusions = DEFAULT_CONFUSIONS if known is None else measured(known.share, known.taken_for)
    print(f"{len(reads)} real reads; one plate in a hundred listed, and {arguments.entries:,} random ones")
    for score in compare(
        reads, arguments.entries, arguments.choices, arguments.seed, HotlistConfig(), confusions
    ):
        print(
            f"{score.rule:24} missed {100 * score.missed_share:5.1f} % of {score.listed}"
            f"   false alerts per 10,000 reads {score.false_per_10_000:8.1f}"
        )


if __name__ == "__main__":
    main()
