"""How lines look wherever they are drawn: colour is the method, shape the profile, a hollow mark is calibrated."""

import html
from collections.abc import Iterable
from dataclasses import dataclass

CALIBRATED = "+cal"
SHAPES = ("circle", "square", "triangle", "diamond")
# Light and dark of each colour; a method keeps its place in this list on the whole page.
COLOURS = (
    ("#2563c9", "#7fb0ff"), ("#c2410c", "#ff9d66"), ("#0b7a55", "#4fd1a1"), ("#8b3fd1", "#c79bff"),
    ("#b3134a", "#ff8fb0"), ("#0a7285", "#5fd3e6"), ("#946200", "#e5bd4f"), ("#56606e", "#aab4c2"),
    ("#1c3f95", "#a3b8ff"), ("#5b7a0a", "#b5d957"), ("#8a4a2b", "#e0a586"), ("#a626a4", "#f19bf0"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How one line is drawn."""

    paint: str  # a CSS colour
    shape: str
    is_hollow: bool


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The marks of all lines of a page."""

    methods: tuple[str, ...]
    profiles: tuple[str, ...]

    @staticmethod
    def of(lines: Iterable[tuple[str, str]]) -> "Marks":
        """Return marks for (method, profile) pairs; the profile `best` is a circle wherever it is."""
        pairs = list(lines)
        profiles = dict.fromkeys(profile for _, profile in pairs)
        return Marks(
            methods=tuple(dict.fromkeys(method.removesuffix(CALIBRATED) for method, _ in pairs)),
            profiles=tuple(sorted(profiles, key=lambda profile: profile != "best")),
        )

    def mark(self, method: str, profile: str) -> Mark:
        """Return the mark of a line; of one that was not known from the start, the last colour and shape."""
        base = method.removesuffix(CALIBRATED)
        colour = self.methods.index(base) if base in self.methods else len(COLOURS) - 1
        shape = self.profiles.index(profile) if profile in self.profiles else len(SHAPES) - 1
        return Mark(
            paint=f"var(--c{colour % len(COLOURS)})",
            shape=SHAPES[shape % len(SHAPES)],
            is_hollow=method.endswith(CALIBRATED),
        )

    def label(self, method: str, profile: str) -> str:
        """Return what stands beside a mark: the profile only where it is not the first."""
        return method if profile in self.profiles[:1] else f"{method} · {profile}"


def variables(dark: bool) -> str:
    """Return the colours as declarations of CSS variables."""
    return " ".join(f"--c{number}: {pair[dark]};" for number, pair in enumerate(COLOURS))


def drawn(mark: Mark, x: float, y: float, size: float, title: str = "") -> str:
    """Return a mark at a place of a drawing, with a title to hover over."""
    fill = "var(--paper)" if mark.is_hollow else mark.paint
    style = f"fill='{fill}' stroke='{mark.paint}' stroke-width=1.6"
    inside = f"<title>{html.escape(title)}</title>" if title else ""
    if mark.shape == "circle":
        return f"<circle cx={x:.1f} cy={y:.1f} r={size:g} {style}>{inside}</circle>"
    corners = {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "triangle": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
        "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    }[mark.shape]
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
    return f"<polygon points='{points}' {style}>{inside}</polygon>"


def chip(mark: Mark) -> str:
    """Return a mark as tall as a line of text."""
    return f"<svg class=chip viewBox='0 0 14 14' aria-hidden=true>{drawn(mark, 7, 7, 4.4)}</svg>"


def line_key(method: str, profile: str) -> str:
    """Return what ties the drawn parts of a line to its row of the table, as an attribute."""
    return f'data-line="{html.escape(f"{method} ({profile})", quote=True)}"'
