"""Real and synthetic features of unseen classes on one plane (PADing, Fig. 5): a drawing for each generator.

All generators share the plane, so that the real features lie at the same places in every drawing.
"""

import html
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pading.evaluate.board.labels import place_labels
from pading.evaluate.svg import svg

SIZE, MARGIN = 250, 14


@dataclass(frozen=True, kw_only=True)
class ClassOnPlane:
    """A class of the plane, with its colour in all pictures."""

    name: str
    colour: str  # of CSS


@dataclass(frozen=True, kw_only=True)
class Places:
    """Rows on the plane: where, and of which class; the class is an index into the plane's own list."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    labels: tuple[int, ...]

    def of(self, label: int) -> list[tuple[float, float]]:
        """Return the places of one class."""
        return [(x, y) for x, y, found in zip(self.x, self.y, self.labels, strict=True) if found == label]


@dataclass(frozen=True, kw_only=True)
class GeneratorOnPlane:
    """The synthetic rows of one generator."""

    method: str
    profile: str
    seed: int
    own_nearest: float | None  # percent of rows that are nearest to the mean real row of their own class
    synthetic: Places


@dataclass(frozen=True, kw_only=True)
class FeaturePlanes:
    """The plane, its real rows, and every generator's."""

    classes: tuple[ClassOnPlane, ...]
    real: Places
    generators: tuple[GeneratorOnPlane, ...]


def draw_plane(planes: FeaturePlanes, generator: GeneratorOnPlane) -> str:
    """Return dots for real rows, crosses for synthetic ones, a line from the middle of one to that of the other."""
    left, right = _bounds([*planes.real.x, *(x for one in planes.generators for x in one.synthetic.x)])
    low, high = _bounds([*planes.real.y, *(y for one in planes.generators for y in one.synthetic.y)])

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across, up = (point[0] - left) / (right - left), (point[1] - low) / (high - low)
        return MARGIN + across * (SIZE - 2 * MARGIN), SIZE - MARGIN - up * (SIZE - 2 * MARGIN)

    parts, lines, named = [], [], []
    for label, one in enumerate(planes.classes):
        real = [place(point) for point in planes.real.of(label)]
        synthetic = [place(point) for point in generator.synthetic.of(label)]
        paint = html.escape(one.colour, quote=True)
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in real)
        crosses = "".join(f"M{x - 2.2:.1f} {y - 2.2:.1f}l4.4 4.4m-4.4 0l4.4 -4.4" for x, y in synthetic)
        drawing = f"<path class=real d='{dots}' /><path d='{crosses}' />"
        parts.append(f"<g class=features stroke='{paint}'><title>{html.escape(one.name)}</title>{drawing}</g>")
        if real and synthetic:
            (x1, y1), (x2, y2) = _middle(synthetic), _middle(real)
            lines.append(f"<line class=shift x1={x1:.1f} y1={y1:.1f} x2={x2:.1f} y2={y2:.1f} />")
        if real or synthetic:
            named.append((_middle(real or synthetic), one.name))
    middles, texts = [middle for middle, _ in named], [name for _, name in named]
    places = place_labels(middles, texts, (0, 0, SIZE, SIZE), gap=12)
    names = [
        f"<text class=halo x={found[0]:.1f} y={found[1]:.1f} text-anchor={found[2]}>{html.escape(text)}</text>"
        for text, found in zip(texts, places, strict=True)
        if found is not None
    ]
    description = f"real and synthetic features of unseen classes, {generator.method}"
    return svg(SIZE, SIZE, [*parts, *lines, *names], description)


def _middle(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(x for x, _ in points), statistics.median(y for _, y in points)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)
