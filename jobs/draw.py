"""Verb `draw`: pictures of the shapes world that show what is asked for, things of no split among it."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image

from jobs.progress import say
from pading.shapes.classes import named_class
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene_of


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Draw scenes of the shapes world with the things and stuff that are named, the things from back to front."""

    names: tyro.conf.Positional[tuple[str, ...]]
    """Such as "striped hexagon" "plain disc" "red planks"; without stuff, two kinds of it are chosen."""
    out: Path = Path("pictures")
    """Folder for drawing-000.png, ..."""
    count: int = 1
    """How many pictures."""
    seed: int = 0
    """Other pictures of the same things."""
    image_px: int = 96
    """Side about which the sides of pictures vary."""


def draw(command: Draw) -> None:
    """Draw pictures for `predict`, each a function of names, seed and number alone.

    Raises:
        ValueError: if the world has no such thing, or a number makes no sense.
    """
    if command.count < 1 or not command.names:
        raise ValueError(f"{command.count} pictures of {len(command.names)} things: ask for at least one of each")
    classes = [named_class(name) for name in command.names]
    config = ShapesConfig(image_px=command.image_px, seed=command.seed)
    command.out.mkdir(parents=True, exist_ok=True)
    for number in range(command.count):
        scene = render_scene_of(config, classes, *command.names, number)
        Image.fromarray(scene.image).save(command.out / f"drawing-{number:03d}.png")
    say(f"{command.count} pictures of {', '.join(command.names)} -> {command.out}")
