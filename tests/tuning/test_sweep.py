from tuning.sweep import winner


def record(name: str, *scores: float) -> dict:
    metrics = {f"holdout/{number}": score for number, score in enumerate(scores)}
    return {"settings": {"name": name}, "accuracy/hm": sum(scores) / len(scores), "metrics": metrics}


def test_a_lead_within_the_noise_of_the_hold_outs_does_not_win() -> None:
    start, lucky = record("start", 0.5, 0.6, 0.7), record("lucky", 0.7, 0.55, 0.58)
    assert winner([lucky, start], start["settings"]) is start  # differences .2, -.05, -.12: mean .01, error .1


def test_a_clear_lead_wins() -> None:
    start, better = record("start", 0.5, 0.6, 0.7), record("better", 0.6, 0.7, 0.81)
    assert winner([better, start], start["settings"]) is better


def test_without_the_start_or_with_one_hold_out_the_best_wins() -> None:
    best, start = record("best", 0.6), record("start", 0.5)
    assert winner([best, start], start["settings"]) is best
    assert winner([best], {"name": "gone"}) is best
