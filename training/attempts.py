"""What a reader made of labelled plates, and the shares that follow from it; no model is run here.

A read is given out by the unit or not: `Attempt.given` says which, by the rule for a single picture
(`coverage.OPERATING_POINT`), so that "how many" and "how many of them wrong" are told together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from recognizer.plate import Plate, fold
from recognizer.read import JurisdictionOpinion


@dataclass(frozen=True, slots=True)
class Attempt:
    """One labelled plate and what was read of it."""

    truth: Plate = field(repr=False)
    text: Plate = field(repr=False)
    """Empty where nothing was found or read."""
    confidences: tuple[float, ...]
    """One per character of `text`."""
    jurisdiction: str
    """The true one, ISO 3166; empty where nobody could say."""
    opinion: JurisdictionOpinion | None
    surely_plate: bool = True
    """Whether the detector is so sure of a plate that the unit would give out its read; true for crops."""

    @property
    def weakest(self) -> float:
        """The confidence of the least sure character; 0 where there is none."""
        return min(self.confidences, default=0.0)

    @property
    def right(self) -> bool:
        """Whether the text is the truth, O taken as 0 and I as 1."""
        return fold(self.text) == fold(self.truth)

    def given(self, least_confidence: float) -> bool:
        """Return whether the read would be given out at *least_confidence* of its weakest character."""
        return bool(self.text) and self.surely_plate and self.weakest >= least_confidence


def alignment(truth: str, reading: str) -> tuple[int, tuple[bool, ...]]:
    """Return the least number of characters inserted, dropped or changed between the texts, and, for each
    character of *reading*, whether it stands for its equal in *truth*."""
    rows = [list(range(len(reading) + 1))]
    for i, wanted in enumerate(truth, 1):
        row = [i]
        for j, read in enumerate(reading, 1):
            row.append(min(row[-1] + 1, rows[-1][j] + 1, rows[-1][j - 1] + (wanted != read)))
        rows.append(row)
    right = [False] * len(reading)
    i, j = len(truth), len(reading)
    while i and j:
        differ = truth[i - 1] != reading[j - 1]
        if rows[i][j] == rows[i - 1][j - 1] + differ:
            i, j = i - 1, j - 1
            right[j] = not differ
        elif rows[i][j] == rows[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return rows[-1][-1], tuple(right)


def character_accuracy(truth: str, reading: str) -> float:
    """Return 1 - edit distance / length of the longer text, as shared/eval/score.py defines it."""
    longest = max(len(truth), len(reading))
    return 1.0 - alignment(truth, reading)[0] / longest if longest else 1.0


def reading_shares(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Return `exact`, `exact_folded` (O = 0, I = 1) and `char_accuracy`. *attempts* must not be empty."""
    total = len(attempts)
    return {
        "exact": sum(a.text == a.truth for a in attempts) / total,
        "exact_folded": sum(a.right for a in attempts) / total,
        "char_accuracy": sum(character_accuracy(a.truth, a.text) for a in attempts) / total,
    }


def names_issuer(opinion: JurisdictionOpinion | None, truth: str) -> bool:
    """Return whether *opinion* names the issuer *truth*.

    A reader that knows countries only is right where the truth is a country, never where it is a state.
    """
    if opinion is None:
        return False
    return opinion.code == truth or ("-" not in truth and opinion.code[:2] == truth)


def jurisdiction_shares(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Return how often the likeliest issuer is the true one (`jurisdiction`), how often its country is
    (`country`), how often the opinion is likely enough to be shown (`likely`) and then right
    (`right_when_likely`).

    Only plates whose issuer is known count; without any the result is empty. No opinion is a wrong one.
    """
    known = [a for a in attempts if a.jurisdiction]
    if not known:
        return {}
    likely = [a for a in known if a.opinion is not None and a.opinion.likely]
    shares = {
        "jurisdiction": sum(names_issuer(a.opinion, a.jurisdiction) for a in known) / len(known),
        "country": sum(names_issuer(a.opinion, a.jurisdiction[:2]) for a in known) / len(known),
        "likely": len(likely) / len(known),
    }
    if likely:
        right = sum(names_issuer(a.opinion, a.jurisdiction) for a in likely)
        shares["right_when_likely"] = right / len(likely)
    return shares
