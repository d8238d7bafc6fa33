"""Configuration as frozen dataclasses: to plain data and back, and overrides by dotted name."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

Config = TypeVar("Config")


def to_plain(config: Any) -> Any:
    """Return a configuration as nested dicts, lists and scalars that JSON can hold."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: to_plain(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, (tuple, list)):
        return [to_plain(item) for item in config]
    return str(config) if isinstance(config, Path) else config


def from_plain(kind: type[Config], plain: Mapping[str, Any]) -> Config:
    """Rebuild a configuration of type `kind` from what `to_plain` returned.

    Raises:
        ValueError: if a field is unknown, missing or of another type.
    """
    return typing.cast(Config, _convert(kind, plain, kind.__name__))


def override(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return `config` with the fields named by dotted keys replaced, e.g. `{"fit.steps": 100}`.

    The single door for sampled and hand-written settings alike. One item of a tuple is named by its place, as in
    `generator.bandwidths.0`.

    Raises:
        ValueError: if a key names no field (the message lists those that exist), or the value has another type.
    """
    result: Any = config
    for key, value in changes.items():
        result = _replace(result, key.split("."), value, key)
    return typing.cast(Config, result)


def lookup(config: Any, key: str) -> Any:
    """Return the value of a field by its dotted name, as `override` takes it.

    Raises:
        ValueError: if the name is no field.
    """
    for name in key.split("."):
        if isinstance(config, tuple) and name.isdecimal() and int(name) < len(config):
            config = config[int(name)]
        elif dataclasses.is_dataclass(config) and name in typing.get_type_hints(type(config)):
            config = getattr(config, name)
        else:
            raise ValueError(f"{key}: there is no {name!r} below {type(config).__name__}")
    return config


def field_names(config: Any) -> list[str]:
    """Return the dotted names of all fields that hold no fields themselves, and of the items of tuples of numbers."""
    names = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            names += [f"{field.name}.{name}" for name in field_names(value)]
        else:
            names.append(field.name)
            if isinstance(value, tuple):
                names += [f"{field.name}.{place}" for place in range(len(value))]
    return names


def _replace(config: Any, path: list[str], value: Any, key: str) -> Any:
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"{key}: {path[0]!r} has no fields below it")
    hints = typing.get_type_hints(type(config))
    if path[0] not in hints:
        raise ValueError(f"{key}: {type(config).__name__} has no field {path[0]!r}; it has {', '.join(hints)}")
    current = getattr(config, path[0])
    if len(path) > 1 and isinstance(current, tuple):
        value = _convert(hints[path[0]], _with_item(current, path[1:], value, key), key)
    elif len(path) > 1:
        value = _replace(current, path[1:], value, key)
    else:
        value = _convert(hints[path[0]], value, key)
    return dataclasses.replace(config, **{path[0]: value})


def _with_item(items: tuple[Any, ...], path: list[str], value: Any, key: str) -> tuple[Any, ...]:
    if len(path) > 1 or not path[0].isdecimal() or int(path[0]) >= len(items):
        raise ValueError(f"{key}: {'.'.join(path)!r} is no place among {len(items)} items; the first is 0")
    place = int(path[0])
    return (*items[:place], value, *items[place + 1 :])


def _convert(kind: Any, value: Any, key: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        if isinstance(value, kind):  # type: ignore[arg-type]
            return value
        return _convert_dataclass(kind, value, key)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise ValueError(f"{key}: {len(kinds)} values expected, {len(value)} given")
        return tuple(_convert(item_kind, item, key) for item_kind, item in zip(kinds, value, strict=True))
    if origin is typing.Literal and value in arguments:
        return value
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            try:
                return _convert(option, value, key)
            except ValueError:
                continue
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    expected = " | ".join(map(repr, arguments)) if origin is typing.Literal else getattr(kind, "__name__", str(kind))
    raise ValueError(f"{key}: {value!r} is not {expected}")


def _convert_dataclass(kind: Any, value: Any, key: str) -> Any:
    hints = typing.get_type_hints(kind)
    if not isinstance(value, Mapping):
        raise ValueError(f"{key}: {value!r} is not a {kind.__name__}")
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise ValueError(f"{key}: {kind.__name__} has no field {unknown[0]!r}; it has {', '.join(hints)}")
    try:
        return kind(**{name: _convert(hints[name], item, f"{key}.{name}") for name, item in value.items()})
    except TypeError as error:
        raise ValueError(f"{key}: {error}") from error
