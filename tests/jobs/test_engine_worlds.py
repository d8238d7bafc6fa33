"""How images are split over ranks and micro-batches changes no loss, and neither does a change of the ranks."""

import json
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.slow

STRATEGIES = ["ddp", "zero1", "zero2", "zero3"]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


@pytest.fixture(scope="module")
def results(run_ranks: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("[worlds]")  # a name that would mean something else to a pattern
    run_ranks(2, "engine_worlds_worker.py", folder, "split", "save", "compose")
    run_ranks(1, "engine_worlds_worker.py", folder, "split", "resume")
    run_ranks(3, "engine_worlds_worker.py", folder, "resume")
    run_ranks(4, "engine_worlds_worker.py", folder, "split", "refuse_small_group", "refuse")
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@every_strategy
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_split_of_a_batch_changes_no_loss(results: dict, world_size: int, accumulation: int, strategy: str) -> None:
    expected = results["split-1"]["ddp/1"]
    assert len(set(expected)) == 10
    assert results[f"split-{world_size}"][f"{strategy}/{accumulation}"] == pytest.approx(expected, rel=1e-5, abs=1e-5)


@every_strategy
def test_two_ranks_then_one_then_three_take_the_steps_of_two(results: dict, strategy: str) -> None:
    whole, one, three = (results[name][strategy] for name in ("save-2", "resume-1", "resume-3"))
    assert len(set(whole["losses"])) == 6
    assert one["losses"] + three["losses"] == pytest.approx(whole["losses"], rel=1e-5, abs=1e-5)
    assert three["weights"] == pytest.approx(whole["weights"], rel=1e-5)


@every_strategy
def test_frozen_weights_and_buffers_survive_a_change_of_ranks(results: dict, strategy: str) -> None:
    whole, three = results["save-2"][strategy], results["resume-3"][strategy]
    assert three["frozen"] == whole["frozen"]
    assert three["marker"] == whole["marker"] == [0.0, 0.0]


@every_strategy
@pytest.mark.parametrize("kind", ["compiled", "checkpointed", "channels_last"])
def test_what_a_model_does_inside_changes_no_loss(results: dict, strategy: str, kind: str) -> None:
    expected = results["compose-2"]["ddp/plain"]
    assert len(set(expected)) == 3
    assert results["compose-2"][f"{strategy}/{kind}"] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_model_was_truly_compiled_and_checkpointed(results: dict) -> None:
    assert results["compose-2"]["graphs"] > 0
    assert results["compose-2"]["backbone calls"] == 2 * 3 * len(STRATEGIES)  # forward, and again in the backward pass


def test_an_engine_not_made_to_resume_says_so(results: dict) -> None:
    told = results["refuse-4"]["unannounced"]
    assert "comes from 3 ranks, this run has 4: give the engine the folder as resume_from" in told


def test_a_damaged_shard_is_refused_on_every_rank(results: dict) -> None:
    assert "cannot be converted for 4 ranks" in results["refuse-4"]["damaged"]


def test_a_missing_shard_is_refused(results: dict) -> None:
    assert "holds the optimiser shards of 2 of 3 ranks" in results["refuse-4"]["shard missing"]


def test_a_group_too_small_for_the_ranks_is_refused(results: dict) -> None:
    assert "a parameter group of 1 numbers is too small for 4 ranks" in results["refuse_small_group-4"]["small group"]
