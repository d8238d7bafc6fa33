"""Which rows a run fits, and with which settings."""

import itertools
import json
import shutil
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.config import FitConfig, PipelineConfig
from jobs.fit import planned_rows, profile_settings
from jobs.model import row_of
from jobs.presets import PRESETS
from pading.config import override
from pading.zeroshot.classifier import load_classifier
from pading.zeroshot.methods import GENERATIVE, METHODS, MethodConfig
from pading.zeroshot.profiles import released

BEST = override(MethodConfig(), {"generator.tau": 0.3, "projection.steps": 7})
ALL = override(PipelineConfig(preset="test"), {"fit.profiles": ("paper", "released", "best"), "fit.seeds": (0, 4)})


def names(config: PipelineConfig) -> list[str]:
    return [row["folder"] for row in planned_rows(config)]


def test_by_default_every_method_is_fitted_under_best_for_every_seed() -> None:
    config = PipelineConfig(preset="test")
    expected = [f"{method}-best-seed{seed}" for method in METHODS for seed in (0, 1, 2)]
    assert names(config) == [*expected, *(f"projection-best-seed{seed}" for seed in (0, 1, 2))]  # zegformer-seg


def test_methods_without_a_generator_appear_once_under_the_first_profile() -> None:
    found = names(override(ALL, {"fit.methods": METHODS}))
    # For each seed: two without a generator, four in every profile, and wgan in two of them.
    assert len(found) == len(set(found)) == 2 * (2 + 3 * 4 + 2)
    assert [name for name in found if name.startswith("supervised")] == [
        "supervised-paper-seed0",
        "supervised-paper-seed4",
    ]
    under_best = {row["method"] for row in planned_rows(ALL) if row["profile"] == "best"}
    assert under_best == {*GENERATIVE} & {*METHODS}


def test_the_sweeps_winner_applies_to_best_only() -> None:
    assert profile_settings(ALL, "best", BEST) is BEST
    for profile in ("paper", "released"):
        settings = profile_settings(ALL, profile, BEST)
        assert settings.profile == profile
        assert settings.generator.tau == 0.1
        assert settings.projection.steps == 7  # it has no profile


def test_published_steps_unless_the_run_has_a_budget() -> None:
    assert profile_settings(ALL, "paper", BEST).generator.steps == 20_000
    config = override(ALL, {"fit.profile_steps": 11})
    for profile in ("paper", "released"):
        settings = profile_settings(config, profile, BEST)
        assert (settings.generator.steps, settings.classifier.steps, settings.released.steps) == (11, 11, 11)


def test_the_released_profile_follows_the_task_and_the_segmenters_queries() -> None:
    config = override(ALL, {"data.split": "shapes-instances", "segmenter.queries": 33})
    settings = profile_settings(config, "released", BEST).released
    assert settings.head.unseen_weight == released("instance").released.head.unseen_weight == 2.0
    assert settings.head.queries_per_image == 33


@pytest.mark.parametrize("name", ["coco-mini", "coco-panoptic"])
def test_presets_fit_best_and_give_published_profiles_their_published_budget(name: str) -> None:
    config = PRESETS[name]()
    assert config.fit.profiles == ("best",)
    assert profile_settings(config, "released", BEST).released.steps == 20_000


def test_the_demo_gives_published_profiles_more_than_best_and_the_smallest_preset_as_little() -> None:
    config = PRESETS["shapes"]()
    assert profile_settings(config, "paper", BEST).generator.steps == 5 * config.method.generator.steps
    config = PRESETS["smoke"]()
    assert config.fit.profile_steps == config.method.generator.steps == config.method.classifier.steps


def test_rows_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fit\.profiles is \(\): name at least one, each once"):
        FitConfig(profiles=())
    with pytest.raises(ValueError, match=r"fit\.seeds is \(0, 0\): name at least one, each once"):
        FitConfig(seeds=(0, 0))
    with pytest.raises(ValueError, match=r"profile_steps is -1"):
        FitConfig(profile_steps=-1)


def test_a_model_is_of_the_first_profile_unless_another_is_asked_for() -> None:
    fitted = planned_rows(ALL)
    assert row_of(fitted, "pading", "", 0)["folder"] == "pading-paper-seed0"
    assert row_of(fitted, "pading", "released", 4)["folder"] == "pading-released-seed4"
    with pytest.raises(
        ValueError, match=r"no 'supervised' with seed 0 and profile 'released' .* there is supervised \(paper, seed 0\)"
    ):
        row_of(fitted, "supervised", "released", 0)


def test_every_method_of_the_table_can_be_asked_for() -> None:
    assert planned_rows(override(ALL, {"fit.methods": METHODS}))


def test_one_run_fits_several_profiles(smoke_run: Path, tmp_path: Path) -> None:
    run_dir = shutil.copytree(smoke_run, tmp_path / "run", ignore=shutil.ignore_patterns("work"))
    flags = ["--fit.profiles", "paper", "released", "--fit.methods", "supervised", "pading"]
    assert main(["fit", "smoke", "--run-dir", str(run_dir), "--force", *flags]) == 0
    folder = run_dir / "classifiers"
    index = json.loads((folder / "classifiers.json").read_text())
    expected = ["supervised-paper-seed0", "pading-paper-seed0", "pading-released-seed0"]
    assert [row["folder"] for row in index["rows"]] == expected
    assert {name: settings["profile"] for name, settings in index["settings"].items()} == {
        "paper": "paper",
        "released": "released",
    }
    heads = [load_classifier(folder / name).weight for name in expected]
    assert len({head.shape for head in heads}) == 1
    assert not any(head.equal(other) for head, other in itertools.combinations(heads, 2))
