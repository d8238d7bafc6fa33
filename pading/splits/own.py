"""The user's own zero-shot split, from a file: other unseen classes of a published one, or a class list of its own.

.txt   "base: <published name>", then the unseen classes, one a line; "#" starts a comment
.json  {"name", "base", "unseen": [names], "task"?}, or
       {"name", "task", "classes": [{"name", "id", "isthing", "seen"}], "train"?, "val"?}
"""

import dataclasses
import difflib
import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from pading.classes import ClassTable
from pading.data.errors import DataError, MissingFileError
from pading.splits.split import Split, Task

SPLIT_SUFFIXES = (".json", ".txt")
_LAST_ID = 2**31 - 1
_BASE_FIELDS = ({"name", "base", "unseen"}, {"task"})
_LIST_FIELDS = ({"name", "task", "classes"}, {"train", "val"})
_CLASS_FIELDS = ({"name", "id", "isthing", "seen"}, set[str]())


def read_split(path: Path, find_base: Callable[[str], Split], taken: Collection[str]) -> Split:
    """Read a split; on a published base it keeps the base's classes and folders, but none of its published counts.

    With the task "instance" a base's stuff classes are left out.

    Args:
        path: the split file.
        find_base: returns a published split by name.
        taken: names that an own split may not have.

    Raises:
        MissingFileError: if there is no such file.
        DataError: if it does not describe a split; says which field or class.
    """
    fields = _read_text(path) if path.suffix == ".txt" else _read_json(path)
    try:
        required, optional = _BASE_FIELDS if "base" in fields else _LIST_FIELDS
        _check_fields(fields, required, optional)
        name = _string(fields, "name")
        if name in taken:
            raise ValueError(f"the name {name!r} belongs to a published split; choose another")
        return _from_base(fields, name, find_base) if "base" in fields else _from_list(fields, name)
    except ValueError as error:
        raise DataError(str(path), str(error), "correct the split file") from error


def _read_text(path: Path) -> dict[str, Any]:
    lines = [line.partition("#")[0].strip() for line in _content(path).splitlines()]
    lines = [line for line in lines if line]
    key, colon, base = lines[0].partition(":") if lines else ("", "", "")
    if key.strip() != "base" or not colon:
        seen = f"starts with {lines[0]!r}" if lines else "is empty"
        raise DataError(
            str(path), seen, "let its first line be 'base: <published split>', then one unseen class a line"
        )
    return {"name": path.stem, "base": base.strip(), "unseen": lines[1:]}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(_content(path))
    except (ValueError, RecursionError) as error:
        raise DataError(str(path), f"is not JSON ({error})", "correct the split file") from error
    if not isinstance(fields, dict):
        raise DataError(str(path), f"holds a {type(fields).__name__}", "write one JSON object with a name and a base")
    return fields


def _content(path: Path) -> str:
    if not path.is_file():
        raise MissingFileError(str(path), "no such split file", "check the path, or give the name of a published split")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(str(path), f"is not UTF-8 text ({error})", "save it as UTF-8") from error


def _from_base(fields: dict[str, Any], name: str, find_base: Callable[[str], Split]) -> Split:
    base = find_base(_string(fields, "base"))
    task = _task(fields) if "task" in fields else base.task
    unseen = fields["unseen"]
    if not isinstance(unseen, list) or not all(isinstance(entry, str) for entry in unseen):
        raise ValueError("field 'unseen' is not a list of class names")
    table = base.classes
    kept = [row for row in range(table.num_classes) if task != "instance" or table.is_thing[row]]
    names = [table.names[row] for row in kept]
    _check_distinct(unseen, "unseen class")
    _check_known(unseen, names, base.name)
    classes = ClassTable(
        name=name,
        names=tuple(names),
        coco_ids=tuple(table.coco_ids[row] for row in kept),
        is_thing=tuple(table.is_thing[row] for row in kept),
        is_seen=tuple(class_name not in unseen for class_name in names),
    )
    return dataclasses.replace(base, name=name, task=task, classes=classes, expected=())


def _from_list(fields: dict[str, Any], name: str) -> Split:
    entries = fields["classes"]
    if not isinstance(entries, list) or not entries:
        raise ValueError("field 'classes' is not a list of classes")
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f"classes[{position}] is not an object with a name, id, isthing and seen")
        _check_fields(entry, *_CLASS_FIELDS, where=f"classes[{position}]: ")
    names = [_string(entry, "name", f"classes[{position}]: ") for position, entry in enumerate(entries)]
    coco_ids = [_coco_id(entry, class_name) for entry, class_name in zip(entries, names, strict=True)]
    _check_distinct(names, "class")
    _check_distinct(coco_ids, "id")
    classes = ClassTable(
        name=name,
        names=tuple(names),
        coco_ids=tuple(coco_ids),
        is_thing=tuple(_flag(entry, "isthing", class_name) for entry, class_name in zip(entries, names, strict=True)),
        is_seen=tuple(_flag(entry, "seen", class_name) for entry, class_name in zip(entries, names, strict=True)),
    )
    return Split(
        name=name,
        task=_task(fields),
        classes=classes,
        train=_string(fields, "train") if "train" in fields else Split.train,
        val=_string(fields, "val") if "val" in fields else Split.val,
    )


def _check_fields(fields: dict[str, Any], required: set[str], optional: set[str], where: str = "") -> None:
    missing, unknown = sorted(required - fields.keys()), sorted(fields.keys() - required - optional)
    if missing or unknown:
        seen = f"no field {', '.join(missing)}" if missing else f"unknown field {', '.join(unknown)}"
        known = ", ".join([*sorted(required), *(f"{name} (optional)" for name in sorted(optional))])
        raise ValueError(f"{where}{seen}; the fields are {known}")


def _check_distinct(values: Sequence[str | int], what: str) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise ValueError(f"{what} {repeated[0]!r} is listed {Counter(values)[repeated[0]]} times")


def _check_known(unseen: Sequence[str], names: Sequence[str], base: str) -> None:
    unknown = [name for name in unseen if name not in names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], names, n=3, cutoff=0.5)
        meant = f"; near names: {', '.join(near)}" if near else ""
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise ValueError(f"unseen class {unknown[0]!r}{more} is none of the {len(names)} classes of {base}{meant}")


def _string(fields: dict[str, Any], key: str, where: str = "") -> str:
    value = fields[key]
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{where}field {key!r} is {value!r}, not a printable text")
    return value.strip()


def _task(fields: dict[str, Any]) -> Task:
    task = _string(fields, "task")
    if task not in get_args(Task):
        raise ValueError(f"task {task!r} is none of {', '.join(get_args(Task))}")
    return cast(Task, task)


def _coco_id(entry: dict[str, Any], name: str) -> int:
    coco_id = entry["id"]
    if type(coco_id) is not int or not 1 <= coco_id <= _LAST_ID:
        raise ValueError(f"class {name!r}: id {coco_id!r} is not a number from 1 to {_LAST_ID}")
    return coco_id


def _flag(entry: dict[str, Any], key: str, name: str) -> bool:
    if entry[key] not in (0, 1) or not isinstance(entry[key], int):
        raise ValueError(f"class {name!r}: {key} {entry[key]!r} is neither true nor false")
    return bool(entry[key])
