"""Search spaces as data: dotted fields of `MethodConfig` -> what to choose from; named ones, and users' JSON files.

Whatever is wrong with a space is found before anything starts: a name that is no field, a value that it cannot take.
"""

import contextlib
import difflib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pading.config import field_names, lookup, override
from pading.data.errors import DataError, MissingFileError
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.profiles import profile_config, with_steps
from tuning.dimensions import Choice, Dimension, Range, Value, from_plain, to_plain

Space = Mapping[str, Dimension]
Settings = Mapping[str, Value]

PROFILE = "profile"  # in a space, a profile stands for all its settings, of which the others named change some
LARGEST_FILE = 1_000_000  # bytes
LARGEST_GRID = 100_000  # points

_PRIMITIVES: dict[str, Dimension] = {"primitive.num_primitives": Choice(values=(50, 100, 200, 400, 800, 1600))}
_LAMBDA_TAU: dict[str, Dimension] = {
    "generator.structure_weight": Range(low=1e-3, high=0.3, is_log=True),
    "generator.tau": Range(low=0.03, high=0.5, is_log=True),
}
_SCALE: dict[str, Dimension] = {"generator.bandwidth_factor": Range(low=2.0, high=64.0, is_log=True)}
_BASES = MethodConfig().generator.bandwidths
_UNSEEN: dict[str, Dimension] = {"classifier.unseen_weight": Range(low=2.5, high=20.0, is_log=True)}

SPACES: dict[str, Space] = {
    # The paper's knobs, and how much unseen classes weigh.
    "pading": {**_PRIMITIVES, **_LAMBDA_TAU, **_SCALE, **_UNSEEN},
    "paper-table-3": {"primitive.num_primitives": Choice(values=tuple(range(100, 801, 100)))},
    "lambda-tau": _LAMBDA_TAU,
    # One scale for all, and each base within a factor of two.
    "bandwidths": {
        **_SCALE,
        **{
            f"generator.bandwidths.{place}": Range(low=base / 2, high=base * 2, is_log=True)
            for place, base in enumerate(_BASES)
        },
    },
    "all": {
        **_PRIMITIVES,
        **_LAMBDA_TAU,
        **_SCALE,
        **_UNSEEN,
        "primitive.attention_temperature": Range(low=1.0, high=300.0, is_log=True),
        "primitive.hidden": Choice(values=(0, 64, 128, 256, 512)),  # 0: one layer; else two, and how wide
        "primitive.dropout": Range(low=0.0, high=0.6),  # the second part of the noise
        "generator.learning_rate": Range(low=3e-4, high=1e-2, is_log=True),
        "classifier.learning_rate": Range(low=3e-4, high=1e-2, is_log=True),
        "classifier.synthetic_per_class": Choice(values=(100, 250, 500, 1000, 2000)),
    },
}


def read_space(name_or_file: str) -> Space:
    """Return a named space, or the one of a JSON file such as `{"generator.tau": {"log": [0.03, 0.5]}}`.

    Raises:
        ValueError: if there is no space of that name.
        MissingFileError: if there is no such file.
        DataError: if the file holds no space.
    """
    if name_or_file in SPACES:
        return SPACES[name_or_file]
    path = Path(name_or_file)
    if path.suffix != ".json":
        near = difflib.get_close_matches(name_or_file, SPACES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no space {name_or_file!r}: choose one of {', '.join(SPACES)}, or give a .json file{hint}")
    remedy = 'write dotted fields with what to choose from, such as {"generator.tau": {"log": [0.03, 0.5]}}'
    if not path.is_file():
        raise MissingFileError(str(path), "no such file", remedy)
    if path.stat().st_size > LARGEST_FILE:
        raise DataError(str(path), f"has more than {LARGEST_FILE} bytes", remedy)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
        space = {}
        for name, plain in found.items():
            with _about(name):
                space[name] = from_plain(plain)
    except (ValueError, RecursionError) as error:
        raise DataError(str(path), f"is no search space ({error})", remedy) from error
    return space


def require_space(space: Space, config: MethodConfig) -> None:
    """Check that every dimension is a field and that the field takes its values.

    Raises:
        ValueError: naming the first that does not fit, and fields of similar names.
    """
    if not space:
        raise ValueError("the search space is empty: name at least one field")
    known = field_names(config)
    for name, dimension in space.items():
        if name not in known:
            endings = [field for field in known if field.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
            near = endings or difflib.get_close_matches(name, known, n=3) or known[:5]
            raise ValueError(f"the search space names {name!r}, which is no setting; near it: {', '.join(near)}")
        for value in dimension.ends():
            with _about(name):
                applied(config, {name: value})


def applied(config: MethodConfig, settings: Settings) -> MethodConfig:
    """Return a configuration with the settings of a trial.

    Raises:
        ValueError: if a setting is no field or of another type, or the profile is the published loop, which has
            settings of its own.
    """
    profile = settings.get(PROFILE, config.profile)
    if profile != config.profile:
        if profile == "released":
            raise ValueError("the profile 'released' has a loop of its own: compare it as rows, by --fit.profiles")
        base = override(with_steps(profile_config(profile), config.generator.steps), {"projection": config.projection})
        return override(base, settings)
    return override(config, settings)


def current_point(config: MethodConfig, space: Space) -> dict[str, Value]:
    """Return the settings that `config` has now for each dotted field of a space."""
    return {name: lookup(config, name) for name in space}


def space_to_plain(space: Space) -> dict[str, Any]:
    """Return a space as it is written in JSON."""
    return {name: to_plain(dimension) for name, dimension in space.items()}


def grid_size(space: Space) -> int | None:
    """Return how many points a space has; None if a dimension is a range."""
    choices = [dimension for dimension in space.values() if isinstance(dimension, Choice)]
    return math.prod(len(choice.values) for choice in choices) if len(choices) == len(space) else None


def grid(space: Space) -> Iterator[dict[str, Value]]:
    """Yield every point of a space of choices, the last dimension fastest.

    Raises:
        ValueError: if a dimension is a range, or there are more points than anybody waits for.
    """
    size = grid_size(space)
    if size is None:
        ranges = [name for name, dimension in space.items() if isinstance(dimension, Range)]
        raise ValueError(f"a grid needs choices, and {ranges[0]!r} is a range: list its values in a space of your own")
    if size > LARGEST_GRID:
        raise ValueError(f"the grid has {size} points, of which {LARGEST_GRID} are allowed: draw them at random")
    values = [dimension.values for dimension in space.values() if isinstance(dimension, Choice)]
    return (dict(zip(space, point, strict=True)) for point in itertools.product(*values))


@contextlib.contextmanager
def _about(name: str) -> Iterator[None]:
    """Put the name of a dimension before what is said against it."""
    try:
        yield
    except ValueError as error:
        if name in str(error):
            raise
        raise ValueError(f"{name}: {error}") from error
