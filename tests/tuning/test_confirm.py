import numpy as np
import pytest

from tests.tuning.sweep_world import tiny_inputs
from tuning.confirm import Fresh, fresh_scores, verdict


def side(*values: float, spread: float = 0.01) -> list[Fresh]:
    """Fits whose score is given, and whose drawn images vary by `spread`."""
    noise = spread * np.random.default_rng(0).standard_normal((200, 3))
    return [
        Fresh(
            scores={"accuracy/hm": value, "accuracy/ausuc": value},
            estimates=np.full(3, 100 * value),
            replicates=100 * (value + noise * (1 + value)),
        )
        for value in values
    ]


def test_the_lower_end_by_hand() -> None:
    """Differences .1, .2, .3: mean .2, standard error .1 / sqrt 3, t(0.95, 2) = 2.919986."""
    found = verdict(side(0.6, 0.7, 0.8), side(0.5, 0.5, 0.5), "hm")
    assert found.difference == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - 2.919986 * 0.1 / 3**0.5, abs=1e-6)
    assert found.is_better


def test_a_lead_within_what_pairs_vary_by_is_no_lead() -> None:
    found = verdict(side(0.7, 0.55, 0.58), side(0.5, 0.6, 0.7), "hm")
    assert found.difference > -0.05
    assert not found.is_better


def test_a_steady_lead_within_what_images_vary_by_is_no_lead_either() -> None:
    candidate, current = side(0.501, 0.501, 0.501), side(0.5, 0.5, 0.5)
    for number, fresh in enumerate(candidate):
        noise = np.random.default_rng(number).standard_normal((200, 3))
        candidate[number] = Fresh(scores=fresh.scores, estimates=fresh.estimates, replicates=50 + noise)
    found = verdict(candidate, current, "hm")
    assert found.low > 0
    assert found.by_images["hm"]["low"] < 0
    assert not found.is_better
    assert verdict(candidate, current, "ausuc").is_better  # images are drawn for the harmonic mean alone


def test_a_verdict_needs_two_whole_pairs() -> None:
    for first, second in ((side(0.5), side(0.5)), (side(0.5, 0.6), side(0.5))):
        with pytest.raises(ValueError, match="compare at least two pairs"):
            verdict(first, second, "hm")


def test_settings_compared_with_themselves_do_not_win() -> None:
    inputs = tiny_inputs(hold_outs=4)
    fits = [fresh_scores(inputs, {}, number) for number in (2, 3)]
    found = verdict(fits, fits, "hm")
    assert (found.difference, found.low, found.is_better) == (0.0, 0.0, False)
    for fresh in fits:
        assert fresh.estimates[2] == pytest.approx(100 * fresh.scores["accuracy/hm"])
        assert fresh.replicates.shape == (500, 3)
