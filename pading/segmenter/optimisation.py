"""How a segmenter is optimised: which parameters decay, AdamW, the learning rate as a function of the step."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

# Every norm of torch: layer, group, root mean square; batch and instance norms share a base.
NOT_DECAYED = (nn.Embedding, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)
POSITION_TABLE = "relative_position_bias_table"  # of a Swin backbone


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """AdamW; the defaults suit `tiny`. Mask2Former on COCO uses 1e-4, backbone factor 0.1, decay 0.05."""

    learning_rate: float = 3e-3
    backbone_factor: float = 1.0
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """A linear warm-up, then a fall over the remaining steps.

    `milestones` are shares of all steps, so they survive another batch size; at each the shape "step" multiplies by
    `step_factor`.
    """

    num_steps: int
    warmup_steps: int = 0
    shape: Literal["constant", "cosine", "polynomial", "step"] = "cosine"
    power: float = 0.9  # of the polynomial
    milestones: tuple[float, ...] = (0.9, 0.95)  # PADing: 126,315 and 133,333 of 140,350
    step_factor: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_steps < self.num_steps:
            raise ValueError(f"warmup_steps must be in [0, num_steps), got {self.warmup_steps} of {self.num_steps}")
        if sorted(set(self.milestones)) != list(self.milestones) or not all(0 < at < 1 for at in self.milestones):
            raise ValueError(f"milestones must rise and lie between 0 and 1, got {self.milestones}")


def parameter_groups(module: nn.Module, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Return the groups {backbone, rest} x {decayed, plain}; norms, embeddings and whatever is a vector do not decay.

    Each group has a name; empty groups and frozen parameters are left out.
    """
    groups: dict[str, dict[str, Any]] = {}
    for prefix, owner in module.named_modules():
        in_backbone = prefix.split(".")[0] == "backbone"
        for name, parameter in owner.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            decays = parameter.ndim > 1 and name != POSITION_TABLE and not isinstance(owner, NOT_DECAYED)
            key = ("backbone" if in_backbone else "rest") + ("/decayed" if decays else "/plain")
            group = groups.setdefault(
                key,
                {
                    "name": key,
                    "lr": config.learning_rate * (config.backbone_factor if in_backbone else 1.0),
                    "weight_decay": config.weight_decay if decays else 0.0,
                    "params": [],
                },
            )
            group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def adamw(module: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """Return torch's fused AdamW over the parameter groups of `module`."""
    return torch.optim.AdamW(parameter_groups(module, config), lr=config.learning_rate, betas=config.betas, fused=True)


def learning_rate_factor(step: int, config: ScheduleConfig) -> float:
    """Return the factor in [0, 1] on every learning rate at a step counted from 0; a resumed run needs no state.

    The first step already moves (1 / (warmup_steps + 1)); at `num_steps` the cosine and the polynomial have reached 0.
    """
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    progress = min((step - config.warmup_steps) / (config.num_steps - config.warmup_steps), 1.0)
    if config.shape == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if config.shape == "polynomial":
        return float((1 - progress) ** config.power)
    if config.shape == "step":
        return config.step_factor ** sum(step >= math.floor(at * config.num_steps + 0.5) for at in config.milestones)
    return 1.0


def scale_learning_rates(groups: list[dict[str, Any]], factor: float) -> None:
    """Set the learning rate of every parameter group to its own `base_lr` times a factor."""
    for group in groups:
        group["lr"] = group["base_lr"] * factor
