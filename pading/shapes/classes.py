"""The classes of the shapes world: things are pattern x shape, stuff is colour x texture; some combinations are unseen.

Every word of an unseen name occurs in at least two seen names, so that what is learned about parts can carry over.
Beyond the table there are things of no split, which no annotated image shows: the world's CLIP has read and seen them,
as a public CLIP has read and seen more than COCO's classes, so that a model can be taught them by name.
"""

import functools

from pading.classes import ClassTable

SHAPES = ("disc", "square", "triangle", "star", "ring", "cross")
PATTERNS = ("plain", "striped", "dotted", "checked")
TEXTURES = ("waves", "bricks", "planks")
COLOURS = ("blue", "green", "red")
UNSEEN_THINGS = ("striped star", "dotted square", "checked ring", "plain triangle", "checked cross")
UNSEEN_STUFF = ("blue bricks", "green waves")
EXTRA_SHAPES = ("hexagon", "heart", "diamond")  # things of no split, with any pattern
FIRST_THING_ID, FIRST_STUFF_ID = 1, 101


@functools.cache
def shapes_classes() -> ClassTable:
    """Return the class table of the shapes world: 24 things (COCO ids 1 to 24), then 9 stuff classes (101 to 109)."""
    things = [f"{pattern} {shape}" for shape in SHAPES for pattern in PATTERNS]
    stuff = [f"{colour} {texture}" for texture in TEXTURES for colour in COLOURS]
    names = (*things, *stuff)
    return ClassTable(
        name="shapes",
        names=names,
        coco_ids=(
            *range(FIRST_THING_ID, FIRST_THING_ID + len(things)),
            *range(FIRST_STUFF_ID, FIRST_STUFF_ID + len(stuff)),
        ),
        is_thing=(*(True for _ in things), *(False for _ in stuff)),
        is_seen=tuple(name not in UNSEEN_THINGS + UNSEEN_STUFF for name in names),
    )


@functools.cache
def shapes_thing_classes() -> ClassTable:
    """Return the things of the shapes world alone, for its instance benchmark: 19 seen, then 5 unseen."""
    table = shapes_classes()
    order = class_pool(is_thing=True, is_seen=True) + class_pool(is_thing=True, is_seen=False)
    return ClassTable(
        name="shapes-things",
        names=tuple(table.names[index] for index in order),
        coco_ids=tuple(table.coco_ids[index] for index in order),
        is_thing=(True,) * len(order),
        is_seen=tuple(table.is_seen[index] for index in order),
    )


@functools.cache
def class_pool(*, is_thing: bool, is_seen: bool | None = None) -> tuple[int, ...]:
    """Return the thing or stuff classes, of one side of the split or (None) of both."""
    table = shapes_classes()
    return tuple(
        index
        for index in range(table.num_classes)
        if table.is_thing[index] == is_thing and is_seen in (None, table.is_seen[index])
    )


@functools.cache
def extra_classes() -> tuple[int, ...]:
    """Return the numbers of the things of no split; they follow the table's own."""
    first = shapes_classes().num_classes
    return tuple(range(first, first + len(EXTRA_SHAPES) * len(PATTERNS)))


@functools.cache
def world_names() -> tuple[str, ...]:
    """Return the names of all that can be drawn: the table's classes, then the things of no split."""
    extra = (f"{pattern} {shape}" for shape in EXTRA_SHAPES for pattern in PATTERNS)
    return (*shapes_classes().names, *extra)


def named_class(name: str) -> int:
    """Return the number of a class or of a thing of no split.

    Raises:
        ValueError: if nothing of that name can be drawn.
    """
    if name not in world_names():
        raise ValueError(f"the shapes world has no {name!r}; it has {', '.join(world_names())}")
    return world_names().index(name)


def class_parts(class_index: int) -> tuple[str, str]:
    """Return the two words of a name: (pattern, shape) of a thing, (colour, texture) of stuff."""
    modifier, noun = world_names()[class_index].split()
    return modifier, noun
