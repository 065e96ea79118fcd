"""A reader's output tensors made into positions and an opinion on the issuer."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recognizer.errors import InferenceFailedError
from recognizer.plate import Jurisdiction
from recognizer.read import JurisdictionOpinion, Position
from recognizer.vote import LEAST_PROBABILITY

Probabilities = npt.NDArray[np.float32]


def positions(
    slots: Probabilities, characters: Sequence[str], temperature: float = 1.0
) -> tuple[Position, ...]:
    """Return one position for each of *slots* in which most likely a character stands.

    Probabilities are raised to 1 / *temperature* and made to sum to 1 again; the likeliest character stays.

    *slots* has shape (slots, characters); *characters* names its columns, "" for "nothing stands here".
    Raises InferenceFailedError if a slot is no probability distribution.
    """
    return tuple(
        position
        for slot in _tempered(_distributions(slots), temperature)
        if (position := _position(slot, characters))
    )


def opinion(
    shares: Probabilities, codes: Sequence[Jurisdiction | None], temperature: float = 1.0
) -> JurisdictionOpinion | None:
    """Return the likeliest issuer; None where that is "unknown".

    *shares* has one entry for each of *codes*; *temperature* is applied as `positions` does. Raises
    InferenceFailedError if not, or if it is no probability distribution.
    """
    if shares.shape != (len(codes),):
        raise InferenceFailedError(f"the reader gave {shares.size} regions, not {len(codes)}")
    [tempered] = _tempered(_distributions(shares[np.newaxis]), temperature)
    likeliest = int(tempered.argmax())
    code = codes[likeliest]
    return None if code is None else JurisdictionOpinion(code, min(1.0, float(tempered[likeliest])))


def _position(slot: Probabilities, characters: Sequence[str]) -> Position:
    order = np.argsort(-slot, kind="stable")
    if not characters[order[0]]:
        return ()
    return tuple(
        (characters[index], min(1.0, float(slot[index])))
        for index in order
        if slot[index] >= LEAST_PROBABILITY
    )


def _tempered(slots: Probabilities, temperature: float) -> Probabilities:
    if temperature == 1.0:
        return slots
    powers = np.clip(slots, 0.0, 1.0).astype(np.float64) ** (1.0 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _distributions(rows: Probabilities) -> Probabilities:
    if not np.isfinite(rows).all() or (rows < -1e-3).any() or (abs(rows.sum(axis=1) - 1.0) > 1e-2).any():
        raise InferenceFailedError(
            "the reader's output is no probability distribution: export it with a softmax"
        )
    return rows
