"""Pictures of a diagnosis, class by class: how far synthetic features are from real ones, which primitives fire.

Figures are made without matplotlib's global state.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FormatStrFormatter

from pading.zeroshot.diagnostics.diagnosis import Diagnosis

POWERS = (-1, -0.5, 0, 0.5, 1)
MOST_LIFT = 16.0  # colours end there: a primitive that one class has for itself
INK, FAINT, GREY, UNSEEN, CHANCE = "#20242c", "#eceef1", "#6b7280", "#c2185b", "#0b6e4f"


def draw_discrepancies(diagnosis: Diagnosis) -> Figure:
    """Return, class by class, the discrepancy of synthetic and real rows, and what chance makes of real rows alone."""
    reports = sorted(diagnosis.reports, key=lambda report: (report.is_seen, -(report.val.mmd if report.val else 0)))
    figure = Figure(figsize=(11, 1.9 + 0.28 * len(reports)), layout="constrained")
    axes = figure.subplots()
    shown = []
    for place, report in enumerate(reports):
        lanes = ((report.val, -0.17, "o", INK if report.is_seen else UNSEEN), (report.held_out, 0.21, "s", GREY))
        for found, lane, marker, colour in lanes:
            if found is not None:
                axes.barh(place + lane, found.floor, height=0.3, color=CHANCE, alpha=0.35)
                axes.plot([0, found.mmd], [place + lane] * 2, color=colour, linewidth=1, alpha=0.4)
                axes.plot(found.mmd, place + lane, marker, color=colour, markersize=5.5)
                shown.append(found)
    floor = min((found.floor for found in shown), default=0.01)
    axes.set_xscale("symlog", linthresh=floor)
    axes.set_xlim(min([-floor / 4, *(found.mmd for found in shown)]), 1.4 * max([1, *(f.mmd for f in shown)]))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)
    axes.set_ylim(len(reports) - 0.3, -0.7)
    axes.set_xlabel("MMD² of synthetic and real rows, unbiased: 0 if nothing tells them apart")
    _name_rows(axes, [(report.name, report.is_seen) for report in reports])
    handles = [
        Line2D([], [], marker="o", linestyle="", color=UNSEEN, label="unseen *, against val queries"),
        Line2D([], [], marker="o", linestyle="", color=INK, label="seen, against val queries"),
        Line2D([], [], marker="s", linestyle="", color=GREY, label="seen, against training images held out of the fit"),
        Patch(color=CHANCE, alpha=0.35, label="chance: MMD² between two random halves of the real rows"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle("How far synthetic features are from real ones", fontsize=14, color=INK)
    return figure


def draw_responses(diagnosis: Diagnosis) -> Figure | None:
    """Return which primitives fire for which class and how many; None for a generator without primitives."""
    responses = diagnosis.responses
    if responses is None:
        return None
    classes = diagnosis.classes
    order = [*classes.unseen, *classes.seen]
    lift = responses.lift[order].numpy()
    reach = float(np.clip(np.exp(np.abs(np.log(np.maximum(lift, 1e-9))).max()), 1.01, MOST_LIFT))
    figure = Figure(figsize=(15, 2.2 + 0.23 * len(order)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(5, 1), sharey=True)
    scale = LogNorm(1 / reach, reach)  # symmetric around 1, so that twice and half are as far from white
    image = left.imshow(lift, aspect="auto", cmap="RdBu_r", norm=scale, interpolation="nearest")
    left.set_xlabel(f"the {lift.shape[1]} of {responses.num_primitives} primitives that tell classes apart best")
    left.set_xticks([])
    bar = figure.colorbar(image, ax=left, location="top", fraction=0.03, aspect=60)
    bar.set_ticks([reach**power for power in POWERS], labels=[f"{reach**power:.3g} ×" for power in POWERS])
    bar.minorticks_off()
    bar.set_label("response, compared with its mean over all classes")
    _name_rows(left, [(classes.names[index], classes.is_seen[index]) for index in order])
    effective = responses.effective[order].numpy()
    right.barh(
        range(len(order)), effective, color=[INK if classes.is_seen[index] else UNSEEN for index in order], alpha=0.75
    )
    right.axvline(responses.num_primitives, color="black", linestyle=":", linewidth=1)
    right.tick_params(axis="y", length=0)
    right.set_xlim(0, responses.num_primitives * 1.08)
    right.set_xlabel(f"effective number of primitives\n(dotted: all {responses.num_primitives} alike)")
    figure.suptitle("Which primitives fire for which class", fontsize=14, color=INK)
    return figure


def _name_rows(axes: Axes, rows: list[tuple[str, bool]]) -> None:
    """Write class names beside the rows, unseen ones marked."""
    axes.set_yticks(range(len(rows)), [name if is_seen else f"{name} *" for name, is_seen in rows], fontsize=9)
    for text, (_, is_seen) in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_color(INK if is_seen else UNSEEN)
        text.set_fontweight("normal" if is_seen else "bold")
    axes.tick_params(axis="y", length=0)
