"""Picture of a diagnosis: real and synthetic features of all classes on one plane (PADing, Fig. 5)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from jobs.tsne import embed_on_plane
from pading.classes import ClassTable
from pading.evaluate.panels import class_colour
from pading.zeroshot.diagnostics.diagnosis import Diagnosis
from pading.zeroshot.features import Features

MOST_POINTS = 2000
MOST_NAMES = 45  # written on the plane; of more classes only the unseen ones
INK, FRAME, OFF, LEGEND = "#20242c", "#b9bec7", "#dadce1", "#777777"
SEEN_PT, UNSEEN_PT = 8, 11  # size of names
HALO = [withStroke(linewidth=2.5, foreground="white")]


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """Rows on a plane."""

    places: Float[np.ndarray, "N 2"]
    labels: Int64[np.ndarray, "N"]
    is_real: Bool[np.ndarray, "N"]
    classes: ClassTable

    def of(self, index: int, *, real: bool) -> Float[np.ndarray, "n 2"]:
        """Return the places of one class's real or synthetic rows."""
        return self.places[(self.labels == index) & (self.is_real == real)]


def draw_plane(diagnosis: Diagnosis, seed: int) -> Figure:
    """Return t-SNE of real and synthetic rows: all classes on the left, the unseen ones picked out on the right."""
    rows, labels, is_real = plane_rows(diagnosis)
    classes = diagnosis.classes
    plane = Plane(places=embed_on_plane(rows, seed), labels=labels, is_real=is_real, classes=classes)
    figure = Figure(figsize=(17, 9), layout="constrained")
    left, right = figure.subplots(1, 2)
    everything = range(classes.num_classes)
    _scatter(left, plane, coloured=everything)
    _write_names(left, plane, everything if classes.num_classes <= MOST_NAMES else classes.unseen)
    _scatter(right, plane, coloured=classes.unseen)
    for index in classes.unseen:
        _arrow(right, plane.of(index, real=False), plane.of(index, real=True))
    _write_names(right, plane, classes.unseen)
    left.set_title("every class", color=INK)
    right.set_title("unseen classes: arrows lead from the synthetic features of a class to its real ones", color=INK)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("Real and synthetic features on one plane (t-SNE): colour is class", fontsize=15, color=INK)
    return figure


def plane_rows(
    diagnosis: Diagnosis,
) -> tuple[Float[np.ndarray, "N D"], Int64[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
    """Return rows, classes and which rows are real: equally many of each class on each side, 2000 in all at most."""
    each = max(2, MOST_POINTS // (2 * diagnosis.classes.num_classes))
    real, synthetic = (_first_of_each(features, each) for features in (diagnosis.val, diagnosis.synthetic))
    return (
        torch.cat([real.embeddings, synthetic.embeddings]).numpy(),
        torch.cat([real.labels, synthetic.labels]).numpy(),
        np.arange(len(real) + len(synthetic)) < len(real),
    )


def _first_of_each(features: Features, most: int) -> Features:
    """Return the first rows of each class."""
    order = torch.argsort(features.labels, stable=True)
    labels = features.labels[order]
    rank = torch.arange(len(labels)) - torch.searchsorted(labels, labels)
    chosen = order[rank < most]
    return Features(features.embeddings[chosen], features.labels[chosen], features.image_ids[chosen])


def _scatter(axes: Axes, plane: Plane, coloured: range | tuple[int, ...]) -> None:
    """Draw dots and crosses, those of seen classes below; classes that are not coloured are grey."""
    for index in (*plane.classes.seen, *plane.classes.unseen):
        colour = [channel / 255 for channel in class_colour(index)] if index in coloured else OFF
        dots, crosses = plane.of(index, real=True), plane.of(index, real=False)
        if plane.classes.is_seen[index]:
            axes.scatter(*crosses.T, marker="x", s=18, color=colour, linewidths=1.2)
            axes.scatter(*dots.T, marker="o", s=16, color=colour, edgecolors="none")
        else:
            axes.scatter(*crosses.T, marker="x", s=46, color="black", linewidths=2.8)
            axes.scatter(*crosses.T, marker="x", s=38, color=colour, linewidths=1.4)
            axes.scatter(*dots.T, marker="o", s=36, color=colour, edgecolors="black", linewidths=0.8)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(FRAME)


def _arrow(axes: Axes, start: Float[np.ndarray, "N 2"], end: Float[np.ndarray, "M 2"]) -> None:
    """Draw an arrow from the middle of some rows to the middle of others, if there are any."""
    if len(start) and len(end):
        style = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=np.median(end, axis=0), xytext=np.median(start, axis=0), arrowprops=style, zorder=5)


def _write_names(axes: Axes, plane: Plane, indices: range | tuple[int, ...]) -> None:
    """Write each class's name above its real rows, unseen ones first; a name that would hide another moves away."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    taken: list[tuple[float, float, float, float]] = []
    for index in sorted(indices, key=lambda index: plane.classes.is_seen[index]):
        rows, is_unseen = plane.of(index, real=True), not plane.classes.is_seen[index]
        if not len(rows):
            continue
        text, size = plane.classes.names[index] + " *" * is_unseen, UNSEEN_PT if is_unseen else SEEN_PT
        half, height = 0.0011 * size * len(text) / 2, 0.0027 * size  # as shares of the axes, about
        x = float((np.median(rows[:, 0]) - left) / (right - left))
        start = float((np.quantile(rows[:, 1], 0.9) - bottom) / (top - bottom)) + 0.02
        for y in (start + sign * step * height / 2 for step in range(24) for sign in (1, -1)):
            box = (x - half, y - height / 2, x + half, y + height / 2)
            if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
                break
        taken.append(box)
        axes.text(
            x, y, text, transform=axes.transAxes, fontsize=size, weight="bold" if is_unseen else "normal",
            ha="center", va="center", color=INK, path_effects=HALO, zorder=6,
        )  # fmt: skip


def _legend() -> list[Line2D]:
    kinds = (
        ("o", LEGEND, 6, "real (a val query on a true segment)"),
        ("x", LEGEND, 7, "synthetic (from the class name)"),
        ("o", "black", 7, "unseen class: black outline, name in bold with *"),
    )
    return [
        Line2D([], [], linestyle="", marker=kind, color=LEGEND, markeredgecolor=edge, markersize=size, label=label)
        for kind, edge, size, label in kinds
    ]
