"""All trials at once: a line a trial through an axis for each setting, to its score at the right."""

import html
from collections.abc import Sequence

from pading.evaluate.svg import scale, svg
from pading.evaluate.sweeps.axes import Axis, axis_of
from pading.evaluate.sweeps.trials import Trial, Trials, short_names, spoken

WIDTH, LEFT, RIGHT, HEIGHT, TOP, BOTTOM = 1160, 70, 70, 400, 44, 18
SPREAD = 0.55  # of the room of a choice, over which its lines are spread so that they can be told apart


def parallel_coordinates(trials: Trials) -> str:
    """Return the chart; the better the rank of a trial the stronger its line.

    Trials without a score on every hold-out end before the last axis.
    """
    names = [name for name in trials.settings if all(name in trial.settings for trial in trials.trials)]
    axes = [axis_of(name, [trial.settings[name] for trial in trials.trials]) for name in names]
    scores = [100 * trial.score for trial in trials.trials if trial.score is not None]
    low, high, ticks = scale(min(scores), max(scores))
    span = (high - low) or 1.0
    marks = tuple((f"{tick:g}", (tick - low) / span) for tick in ticks)
    titled = [(short, axis.ticks) for short, axis in zip(short_names(names).values(), axes, strict=True)]
    titled.append((trials.objective, marks))
    across = [LEFT + (WIDTH - LEFT - RIGHT) * at / len(axes) for at in range(len(titled))]
    parts = [f"<line class=upright x1={x:.1f} x2={x:.1f} y1={_y(1):.1f} y2={_y(0):.1f} />" for x in across]
    lanes = [_lanes(axis, [trial.settings[axis.name] for trial in trials.trials]) for axis in axes]
    for at in reversed(range(len(trials.trials))):  # the best is drawn last, on top
        trial = trials.trials[at]
        points = [(x, _y(lane[at])) for x, lane in zip(across, lanes, strict=False)]
        strength = 0.0
        if trial.is_whole and trial.score is not None:
            points.append((across[-1], _y((100 * trial.score - low) / span)))
            strength = (1 - at / len(trials.trials)) ** 2
        kind = f"trial {trial.state}{' default' * trial.is_default}"
        parts.append(
            f"<path class='{kind}' data-line={trial.rank} style='--strength:{100 * strength:.0f}%' "
            f"d='{_curve(points)}'><title>{html.escape(described(trials, trial))}</title></path>"
        )
    parts += [_labels(x, title, marks) for x, (title, marks) in zip(across, titled, strict=True)]
    return svg(WIDTH, HEIGHT, parts, f"parallel coordinates: {len(trials.trials)} trials over {', '.join(names)}")


def described(trials: Trials, trial: Trial) -> str:
    """Return a trial in words: rank, score, settings."""
    values = ", ".join(
        f"{short} {spoken(trial.settings.get(name))}" for name, short in short_names(trials.settings).items()
    )
    score = "no score" if trial.score is None else f"{100 * trial.score:.1f}"
    state = "" if trial.state == "whole" else f" ({trial.state})"
    return f"{trial.rank}: {score}{state}; {values}"


def _y(place: float) -> float:
    return TOP + (1 - place) * (HEIGHT - TOP - BOTTOM)


def _labels(x: float, title: str, ticks: Sequence[tuple[str, float]]) -> str:
    """Return what stands on an axis, which is drawn over the lines so that it can be read."""
    marks = "".join(
        f"<line class=rule x1={x - 4:.1f} x2={x:.1f} y1={_y(place):.1f} y2={_y(place):.1f} />"
        f"<text class=tick x={x - 7:.1f} y={_y(place):.1f} dy=4 text-anchor=end>{html.escape(text)}</text>"
        for text, place in ticks
    )
    return f"<text class=title x={x:.1f} y=20 text-anchor=middle>{html.escape(title)}</text>{marks}"


def _lanes(axis: Axis, values: Sequence[float | int | bool | str]) -> list[float]:
    """Return the place of each trial; trials that share a choice lie side by side, the best in the middle."""
    if axis.kind != "choice":
        return [axis.place(value) for value in values]
    room = SPREAD / len(axis.choices)
    met: dict[float, int] = {}
    counts: dict[float, int] = {}
    places = [axis.place(value) for value in values]
    for place in places:
        counts[place] = counts.get(place, 0) + 1
    lanes = []
    for place in places:
        rank = met.get(place, 0)
        met[place] = rank + 1
        side = (rank + 1) // 2 * (1 if rank % 2 else -1)
        lanes.append(place + room * side / max(counts[place], 2))
    return lanes


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """Return a path that crosses every axis level, so that the eye can follow it."""
    (x, y), *rest = points
    steps = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        middle = (x + to_x) / 2
        steps.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(steps)
