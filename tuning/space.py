"""Search spaces as data: dotted fields of `MethodConfig` -> what to draw from."""

import functools
from collections.abc import Mapping
from typing import Any

from ray import tune

Space = Mapping[str, Any]


def current_point(config: Any, space: Space) -> dict[str, Any]:
    """Return the settings that `config` has now for each dotted field of a space."""
    return {name: functools.reduce(getattr, name.split("."), config) for name in space}


def pading_space() -> dict[str, Any]:
    """Return the space of the paper's knobs: primitive count, lambda, tau and the scale of the MMD bandwidths."""
    return {
        "primitive.num_primitives": tune.choice([50, 100, 200, 400, 800]),
        "generator.structure_weight": tune.loguniform(1e-3, 0.3),
        "generator.tau": tune.loguniform(0.03, 0.5),
        "generator.bandwidth_factor": tune.loguniform(2.0, 64.0),
        "classifier.unseen_weight": tune.loguniform(2.5, 20.0),
    }
