from dataclasses import replace

import pytest
import torch

from pading.segmenter.optimisation import (
    OptimiserConfig,
    ScheduleConfig,
    adamw,
    learning_rate_factor,
    parameter_groups,
    scale_learning_rates,
)
from pading.segmenter.segmenter import Segmenter, r50


def names_of(segmenter, group):
    members = {id(p) for p in group["params"]}
    return {name for name, p in segmenter.named_parameters() if id(p) in members}


def test_every_parameter_is_in_exactly_one_group(segmenter):
    groups = parameter_groups(segmenter, OptimiserConfig())
    members = [id(p) for group in groups for p in group["params"]]
    assert sorted(members) == sorted(id(p) for p in segmenter.parameters())


def test_norms_embeddings_and_biases_do_not_decay(segmenter):
    groups = {group["name"]: group for group in parameter_groups(segmenter, OptimiserConfig())}
    assert groups.keys() == {"backbone/decayed", "backbone/plain", "rest/decayed", "rest/plain"}
    plain = names_of(segmenter, groups["rest/plain"])
    assert {"mask_decoder.query_content.weight", "mask_decoder.norm.weight", "class_head.bias"} <= plain
    assert names_of(segmenter, groups["rest/decayed"]) >= {
        "class_head.weight",
        "mask_decoder.layers.0.cross_attention.key.weight",
    }
    assert all(group["weight_decay"] == (0.05 if name.endswith("decayed") else 0) for name, group in groups.items())
    assert {p.ndim for p in groups["backbone/plain"]["params"]} == {1}


def test_vectors_and_position_tables_of_published_networks_do_not_decay():
    config = replace(
        r50(), backbone="swin_tiny_patch4_window7_224", class_head="text", text_width=8, learn_temperature=True
    )
    segmenter = Segmenter(config, 3)
    groups = {group["name"]: group for group in parameter_groups(segmenter, OptimiserConfig())}
    plain = names_of(segmenter, groups["backbone/plain"]) | names_of(segmenter, groups["rest/plain"])
    assert {
        "backbone.network.layers.0.blocks.0.attn.relative_position_bias_table",
        "backbone.norms.0.weight",
        "pixel_decoder.level.weight",
        "pixel_decoder.inputs.0.1.weight",
        "class_head.no_object",
        "class_head.log_scale",
    } <= plain
    assert "class_head.project.weight" not in plain


def test_the_backbone_has_its_own_learning_rate(segmenter):
    groups = parameter_groups(segmenter, OptimiserConfig(learning_rate=1e-2, backbone_factor=0.1))
    rates = {group["name"].split("/")[0]: group["lr"] for group in groups}
    assert rates == {"backbone": pytest.approx(1e-3), "rest": 1e-2}


def test_frozen_parameters_are_left_out(segmenter):
    segmenter.backbone.requires_grad_(False)
    groups = parameter_groups(segmenter, OptimiserConfig())
    assert [group["name"] for group in groups] == ["rest/decayed", "rest/plain"]


def test_the_optimiser_moves_every_parameter(segmenter):
    optimiser = adamw(segmenter, OptimiserConfig())
    before = [p.detach().clone() for p in segmenter.parameters()]
    for parameter in segmenter.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    assert all((p != old).all() for p, old in zip(segmenter.parameters(), before, strict=True))


def test_the_learning_rate_warms_up_and_falls_to_zero():
    config = ScheduleConfig(num_steps=110, warmup_steps=10)
    factors = [learning_rate_factor(step, config) for step in range(111)]
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == 1
    assert factors[60] == pytest.approx(0.5)
    assert factors[110] == pytest.approx(0)
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_shapes_of_the_fall():
    assert learning_rate_factor(50, ScheduleConfig(num_steps=100, shape="constant")) == 1
    assert learning_rate_factor(50, ScheduleConfig(num_steps=100, shape="polynomial", power=2)) == pytest.approx(0.25)


@pytest.mark.parametrize("warmup_steps", [-1, 10, 11])
def test_a_warm_up_longer_than_the_run_is_refused(warmup_steps):
    with pytest.raises(ValueError, match="warmup_steps must be"):
        ScheduleConfig(num_steps=10, warmup_steps=warmup_steps)


@pytest.mark.parametrize(
    "norm", [torch.nn.GroupNorm(2, 4), torch.nn.BatchNorm1d(4), torch.nn.InstanceNorm2d(4, affine=True)], ids=repr
)
def test_no_kind_of_norm_decays(norm):
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), norm)
    groups = {group["name"]: group for group in parameter_groups(module, OptimiserConfig())}
    assert [tuple(p.shape) for p in groups["rest/decayed"]["params"]] == [(4, 4)]
    assert {id(p) for p in groups["rest/plain"]["params"]} == {id(module[0].bias), id(norm.weight), id(norm.bias)}


def test_a_frozen_norm_is_in_no_group():
    module = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False), torch.nn.GroupNorm(2, 4).requires_grad_(False))
    assert [group["name"] for group in parameter_groups(module, OptimiserConfig())] == ["rest/decayed"]


def test_the_published_steps():
    config = ScheduleConfig(num_steps=140_350, shape="step")
    factors = [learning_rate_factor(step, config) for step in (0, 126_314, 126_315, 133_332, 133_333, 140_349)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_steps_after_a_warm_up():
    config = ScheduleConfig(num_steps=10, warmup_steps=2, shape="step", milestones=(0.5,), step_factor=0.5)
    factors = [learning_rate_factor(step, config) for step in range(10)]
    assert factors == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("milestones", [(0.9, 0.5), (0.5, 0.5), (0.0,), (1.0,), (126_315,)])
def test_milestones_that_are_no_rising_shares_are_refused(milestones):
    with pytest.raises(ValueError, match="milestones must rise and lie between 0 and 1"):
        ScheduleConfig(num_steps=10, milestones=milestones)


def test_every_group_keeps_its_own_share_of_the_rate():
    groups = [{"base_lr": 1.0, "lr": 7.0}, {"base_lr": 0.1, "lr": 7.0}]
    scale_learning_rates(groups, 0.5)
    assert [group["lr"] for group in groups] == [0.5, 0.05]
