"""Ways to damage a COCO annotation file. Every function: text of the file, generator -> text of the damaged file."""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]
HUGE = 2**70
NASTY: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    255,
    2**31,
    2**63,
    HUGE,
    -HUGE,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "17",
    "../../../etc/passwd",
    "/etc/passwd",
    "C:\\photo.jpg",
    "..\\up.jpg",
    "a\0b",
    "two\nlines.jpg",
    "\ud800",
    "n" * 5000,
    ".",
    [],
    [[]],
    [[1, 2]],
    [[1.0, 2.0, 3.0]],
    [float("nan")] * 6,
    {},
    {"size": [4, 4], "counts": [16]},
    {"size": [HUGE, HUGE], "counts": [0, 1]},
    {"counts": "P"},
    {"size": [96, 96], "counts": "\x7f\x7f\x7f\x7f"},
)


def change_a_value(content: bytes, random: np.random.Generator) -> bytes:
    """Replace any value, at any depth, by something that does not belong there."""
    document = json.loads(content)
    parent, key = _somewhere(document, random)
    parent[key] = copy.deepcopy(NASTY[int(random.integers(len(NASTY)))])
    return _dump(document)


def scale_a_number(content: bytes, random: np.random.Generator) -> bytes:
    document = json.loads(content)
    for _ in range(1000):
        parent, key = _somewhere(document, random)
        if isinstance(parent[key], int | float):
            parent[key] = type(parent[key])(parent[key] * float(random.choice([-1, 0, 2, 1000, 1e6])))
            break
    return _dump(document)


def remove_a_value(content: bytes, random: np.random.Generator) -> bytes:
    document = json.loads(content)
    parent, key = _somewhere(document, random)
    del parent[key]
    return _dump(document)


def repeat_an_entry(content: bytes, random: np.random.Generator) -> bytes:
    document = json.loads(content)
    entries = document[str(random.choice(["images", "annotations", "categories"]))]
    entries.append(copy.deepcopy(entries[int(random.integers(len(entries)))]))
    return _dump(document)


def swap_two_entries(content: bytes, random: np.random.Generator) -> bytes:
    """Give an image the annotation of another."""
    document = json.loads(content)
    first, second = (
        document["annotations"][int(index)] for index in random.integers(len(document["annotations"]), size=2)
    )
    first["image_id"], second["image_id"] = second["image_id"], first["image_id"]
    return _dump(document)


def flip_bits(content: bytes, random: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for position in random.integers(0, len(damaged), int(random.integers(1, 5))):
        damaged[position] ^= 1 << int(random.integers(8))
    return bytes(damaged)


def cut(content: bytes, random: np.random.Generator) -> bytes:
    return content[: int(random.integers(0, len(content)))]


def other_text(content: bytes, random: np.random.Generator) -> bytes:
    texts = (
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"NaN",
        b"[" * 200_000,
        b'{"images":' * 50_000,
        b"9" * 10_000,
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf" + content,
        content.decode().encode("utf-16"),
        b'{"images": [], "annotations": [], "categories": []}',
        b'{"images": {}, "annotations": [], "categories": []}',
        b'{"images": [null], "annotations": [], "categories": []}',
        b"<html>404 not found</html>",
        content + content,
    )
    return texts[int(random.integers(len(texts)))]


JSON_DAMAGE: tuple[Damage, ...] = (
    change_a_value,
    change_a_value,
    change_a_value,
    change_a_value,
    scale_a_number,
    scale_a_number,
    remove_a_value,
    remove_a_value,
    repeat_an_entry,
    swap_two_entries,
    flip_bits,
    cut,
    other_text,
)


def _dump(document: Any) -> bytes:
    return json.dumps(document).encode()


def _somewhere(document: Any, random: np.random.Generator) -> tuple[Any, Any]:
    """Walk down from the top to a random depth; favour the lists that a reader looks at."""
    parent, key = document, str(random.choice(["images", "annotations", "categories"], p=[0.3, 0.55, 0.15]))
    while isinstance(parent[key], list | dict) and parent[key] and random.random() < 0.85:
        parent = parent[key]
        keys = list(parent) if isinstance(parent, dict) else range(len(parent))
        key = keys[int(random.integers(len(keys)))]
    return parent, key
