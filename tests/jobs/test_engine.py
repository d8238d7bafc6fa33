"""Every strategy takes the same steps, resumes exactly, and gives up its whole weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jobs.engine import Engine, make_engine

STRATEGIES = ["ddp", "zero1", "zero2", "zero3"]
SHARDED = ["zero1", "zero2", "zero3"]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


@pytest.fixture(scope="module")
def results(run_ranks: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("engine")
    run_ranks(2, "engine_worker.py", folder)
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("kind", ["plain", "accumulated"])
@every_strategy
def test_resuming_takes_exactly_the_steps_of_the_uninterrupted_run(results: dict, strategy: str, kind: str) -> None:
    found = results[strategy][kind]
    assert found["epoch"] == 7
    assert found["resumed"] == found["losses"][-len(found["resumed"]) :]
    assert len(found["resumed"]) == (2 if kind == "plain" else 4)
    assert found["resumed_weights"] == found["weights"]
    assert {"frozen.weight", "marker", "batch_norm.running_mean"} <= found["weights"].keys()


@pytest.mark.parametrize("kind", ["plain", "accumulated"])
@pytest.mark.parametrize("strategy", SHARDED)
def test_every_strategy_takes_the_same_steps(results: dict, strategy: str, kind: str) -> None:
    found, expected = results[strategy][kind], results["ddp"][kind]
    torch.testing.assert_close(torch.tensor(found["losses"]), torch.tensor(expected["losses"]))
    assert found["weights"].keys() == expected["weights"].keys()
    for name, value in expected["weights"].items():
        torch.testing.assert_close(torch.tensor(found["weights"][name]), torch.tensor(value))


@every_strategy
def test_the_gradient_is_clipped_by_the_norm_of_the_whole_model(results: dict, strategy: str) -> None:
    found = results[strategy]["clipped"]
    assert found["norm"] == pytest.approx(results["ddp"]["clipped"]["norm"], rel=1e-6)
    assert found["norm"] > 0.1
    assert found["move"] == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("strategy", ["ddp", "zero1"])
def test_micro_batches_before_the_last_exchange_nothing(results: dict, strategy: str) -> None:
    one, two = results[strategy]["exchanges"]
    assert one == two > 0


@every_strategy
def test_a_step_reports_the_seconds_of_its_parts(results: dict, strategy: str) -> None:
    assert all(0 < seconds < 10 for seconds in results[strategy]["plain"]["seconds"])


@every_strategy
def test_a_micro_batch_too_few_or_too_many_is_refused(results: dict, strategy: str) -> None:
    told = results[strategy]["refusals"]
    assert told["step too early"] == "0 of 2 micro-batches are in; call backward first"
    assert told["a micro-batch too many"] == "all 2 micro-batches of this step are in; call step first"


@every_strategy
def test_a_checkpoint_of_another_strategy_is_refused(results: dict, strategy: str) -> None:
    told = results[strategy]["refusals"]
    assert (
        f"was written by {'zero2' if strategy == 'zero1' else 'zero1'}, not by {strategy}" in told["another strategy"]
    )
    assert "does not say who wrote the checkpoint" in told["nothing there"]


@every_strategy
def test_a_damaged_checkpoint_is_refused(results: dict, strategy: str) -> None:
    told = results[strategy]["refusals"]["damaged"]
    assert "damaged" in told
    assert "remove it to start over" in told


@every_strategy
def test_a_gradient_that_is_not_finite_moves_nothing(results: dict, strategy: str) -> None:
    told = results[strategy]["refusals"]
    assert "the gradient's norm is " in told["not finite"]
    assert told["moved"] == "False"


def single(**settings: object) -> Engine:
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    return make_engine(
        module, optimizer, **{"strategy": "ddp", "rank_batch": 4, "clip": 1.0, "bf16": False, **settings}
    )


def test_zero_needs_a_process_group() -> None:
    with pytest.raises(ValueError, match="needs a process group; a run in one process without Ray Train uses ddp"):
        single(strategy="zero1")


@pytest.mark.parametrize("accumulation", [0, 3, 8])
def test_a_batch_that_does_not_split_into_micro_batches_is_refused(accumulation: int) -> None:
    with pytest.raises(ValueError, match=f"4 images a rank do not split into {accumulation} equal micro-batches"):
        single(accumulation=accumulation)


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan")])
def test_a_clip_that_would_stop_training_is_refused(clip: float) -> None:
    with pytest.raises(ValueError, match="clip must be positive"):
        single(clip=clip)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    engine = single()
    engine.save(tmp_path, {"epoch": 1})
    assert engine.load(tmp_path) == {"epoch": 1}
    whole = (tmp_path / "training.pt").read_bytes()
    (tmp_path / "training.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"training\.pt is missing or damaged"):
        engine.load(tmp_path)


def test_a_checkpoint_to_resume_from_is_looked_at_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not say who wrote the checkpoint"):
        single(resume_from=tmp_path)


def test_full_weights_are_copies() -> None:
    engine = single()
    weights = engine.full_weights()
    before = {name: tensor.clone() for name, tensor in weights.items()}
    engine.backward(engine.model(torch.ones(4, 2)).sum())
    engine.step(1.0)
    assert all(torch.equal(weights[name], before[name]) for name in before)
