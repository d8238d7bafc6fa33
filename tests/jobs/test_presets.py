"""The presets over whole COCO ask for the published segmenter and training."""

from dataclasses import replace

import pytest

from jobs.config import scored_tasks, split_of
from jobs.presets import PRESETS
from pading.config import override
from pading.segmenter.segmenter import maskformer_r50, r50

COCO = ["coco-panoptic", "coco-stuff", "coco-instances-48-17", "coco-instances-65-15"]
PUBLISHED_STEPS = {  # kept images, steps
    "coco-panoptic": (45_617, 140_350),
    "coco-stuff": (118_287, 120_000),
    "coco-stuff-zegformer": (118_287, 60_000),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_complete(name: str) -> None:
    config = PRESETS[name]()
    assert config.preset == name
    assert split_of(config).classes.num_classes > 0
    assert config.data.input_px % config.segmenter.stride == 0


@pytest.mark.parametrize("name", COCO)
def test_coco_presets_train_mask2former_as_published(name: str) -> None:
    config = PRESETS[name]()
    assert config.segmenter == r50()
    pretrain = config.pretrain
    assert (pretrain.batch_size, pretrain.clip, pretrain.criterion.num_points) == (16, 0.01, 12_544)
    assert (pretrain.optimiser.learning_rate, pretrain.optimiser.backbone_factor) == (1e-4, 0.1)


def test_zegformer_trains_maskformer_under_text_as_published() -> None:
    config = PRESETS["coco-stuff-zegformer"]()
    assert config.segmenter == replace(maskformer_r50(), class_head="text")
    assert (config.segmenter.temperature, config.segmenter.learn_temperature) == (0.01, False)
    pretrain, weights = config.pretrain, config.pretrain.criterion.weights
    assert (pretrain.batch_size, pretrain.clip, pretrain.criterion.num_points) == (32, 0.01, 0)
    assert (pretrain.schedule, pretrain.warmup_steps, config.data.input_px) == ("polynomial", 0, 640)
    optimiser = pretrain.optimiser
    assert (optimiser.learning_rate, optimiser.backbone_factor, optimiser.weight_decay) == (1e-4, 0.1, 1e-4)
    assert (weights.classification, weights.cross_entropy, weights.focal, weights.dice) == (1.0, 0.0, 20.0, 1.0)


def test_unseen_classes_weigh_as_published_for_each_task() -> None:
    weights = {name: PRESETS[name]().method.classifier.unseen_weight for name in COCO}
    assert weights == {
        "coco-panoptic": 5.0,
        "coco-stuff": 5.0,
        "coco-instances-48-17": 2.0,
        "coco-instances-65-15": 2.0,
    }


def test_a_panoptic_run_is_scored_as_three_tasks_and_the_others_as_their_own() -> None:
    assert scored_tasks(PRESETS["coco-panoptic"]()) == ("panoptic", "semantic", "instance")
    assert scored_tasks(PRESETS["coco-stuff"]()) == ("semantic",)
    assert scored_tasks(PRESETS["coco-instances-48-17"]()) == ("instance",)


def test_fewer_tasks_may_be_asked_for_but_none_that_the_truth_cannot_judge() -> None:
    some = override(PRESETS["shapes"](), {"evaluate.tasks": ("instance", "panoptic")})
    assert scored_tasks(some) == ("panoptic", "instance")
    with pytest.raises(ValueError, match="truth of the semantic split 'coco-stuff-156-15' cannot judge 'panoptic'"):
        scored_tasks(override(PRESETS["coco-stuff"](), {"evaluate.tasks": ("panoptic",)}))
    with pytest.raises(ValueError, match="tasks semantic, semantic: name each once"):
        override(PRESETS["shapes"](), {"evaluate.tasks": ("semantic", "semantic")})


@pytest.mark.parametrize("name", PUBLISHED_STEPS)
def test_as_many_steps_as_published(name: str) -> None:
    pretrain, (images, steps) = PRESETS[name]().pretrain, PUBLISHED_STEPS[name]
    assert images // pretrain.batch_size * pretrain.epochs == pytest.approx(steps, rel=0.02)


def test_the_panoptic_rate_falls_where_the_published_one_does() -> None:
    schedule = PRESETS["coco-panoptic"]().pretrain.schedule_over(45_617 // 16)
    falls = [share * 140_350 for share in schedule.milestones]
    assert schedule.shape == "step"
    assert falls == pytest.approx([126_315, 133_333], abs=1)
