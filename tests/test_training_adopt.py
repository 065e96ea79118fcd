"""A reader's temperatures are found, not guessed."""

import numpy as np
import pytest

from training.adopt import fitted


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.6])
def test_the_temperature_that_spoilt_true_shares_is_found_again(temperature: float) -> None:
    rng = np.random.default_rng(1)
    true_shares = rng.dirichlet(np.full(5, 0.6), 20_000)
    truth = np.array([rng.choice(5, p=shares) for shares in true_shares])
    # Shares raised to a power are what `recognizer.decode` undoes by the inverse power.
    spoilt = true_shares**temperature
    spoilt /= spoilt.sum(axis=1, keepdims=True)
    assert fitted(spoilt, truth) == pytest.approx(temperature, rel=0.06)
