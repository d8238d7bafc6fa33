from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from pading.config import field_names, from_plain, lookup, override, to_plain
from pading.zeroshot.methods import MethodConfig


@dataclass(frozen=True, kw_only=True)
class Inner:
    steps: int = 3
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    is_on: bool = False


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[str, float] = ("x", 1.0)
    root: Path | None = None


def test_plain_data_reads_back_as_the_configuration() -> None:
    config = Outer(inner=Inner(steps=7, kind="b"), sizes=(4,), root=Path("a/b"))
    assert from_plain(Outer, to_plain(config)) == config
    assert from_plain(Outer, to_plain(Outer())) == Outer()


def test_an_override_changes_one_field_and_leaves_the_original() -> None:
    config = Outer()
    changed = override(config, {"inner.steps": 9, "inner.rate": 2, "sizes": [5], "pair": ["y", 2]})
    assert changed == Outer(inner=Inner(steps=9, rate=2.0), sizes=(5,), pair=("y", 2.0))
    assert isinstance(changed.inner.rate, float)
    assert config == Outer()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner.stesp": 1}, "inner.stesp: Inner has no field 'stesp'; it has steps, rate, kind, is_on"),
        ({"nothing": 1}, "nothing: Outer has no field 'nothing'"),
        ({"inner.steps.more": 1}, "'more' has no fields|no fields below"),
        ({"inner.steps": "3"}, "inner.steps: '3' is not int"),
        ({"inner.steps": 3.5}, "inner.steps: 3.5 is not int"),
        ({"inner.steps": True}, "inner.steps: True is not int"),
        ({"inner.rate": True}, "inner.rate: True is not float"),
        ({"inner.is_on": 1}, "inner.is_on: 1 is not bool"),
        ({"inner.kind": "c"}, "inner.kind: 'c' is not 'a' | 'b'"),
        ({"pair": ("x",)}, "pair: 2 values expected, 1 given"),
        ({"inner": 3}, "inner: 3 is not a Inner"),
        ({"root": 3}, "root: 3 is not"),
    ],
)
def test_a_wrong_override_says_what_would_be_right(changes: dict[str, object], message: str) -> None:
    with pytest.raises(
        ValueError, match=message.replace("|", r"\|") if "|" in message and "no fields" not in message else message
    ):
        override(Outer(), changes)


def test_unknown_and_missing_fields_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Outer has no field 'x'"):
        from_plain(Outer, {"x": 1})

    @dataclass(frozen=True, kw_only=True)
    class Needy:
        value: int

    with pytest.raises(ValueError, match="missing 1 required"):
        from_plain(Needy, {})


def test_one_item_of_a_tuple_is_named_by_its_place() -> None:
    config = MethodConfig()
    found = override(config, {"generator.bandwidths.5": 7})
    assert found.generator.bandwidths == (*config.generator.bandwidths[:5], 7.0)
    assert lookup(found, "generator.bandwidths.5") == 7.0
    for key in ("generator.bandwidths.6", "generator.bandwidths.-1", "generator.bandwidths.0.1"):
        with pytest.raises(ValueError, match="is no place among 6 items"):
            override(config, {key: 1.0})
    with pytest.raises(ValueError, match=r"generator\.bandwidths\.0: 'a' is not float"):
        override(config, {"generator.bandwidths.0": "a"})


def test_every_field_name_can_be_looked_up_and_put_back() -> None:
    config = MethodConfig()
    names = field_names(config)
    assert {"profile", "generator.tau", "generator.bandwidths", "generator.bandwidths.0"} <= set(names)
    assert "generator" not in names
    assert override(config, {name: lookup(config, name) for name in names}) == config
    with pytest.raises(ValueError, match="there is no 'tua' below GeneratorFitConfig"):
        lookup(config, "generator.tua")
