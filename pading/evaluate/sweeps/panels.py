"""Small charts of a sweep: the effect of one setting, the search as it went, what each trial cost."""

import html
import math
from collections.abc import Sequence
from statistics import median

from pading.evaluate.svg import path, scale, svg
from pading.evaluate.sweeps.effects import Effect, level_scores
from pading.evaluate.sweeps.parallel import described
from pading.evaluate.sweeps.trials import Trial, Trials

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 230, 44, 14, 28, 40
LONG = 1160  # of a chart that has the trials side by side


def effect_panel(trials: Trials, effect: Effect, title: str, bounds: tuple[float, float]) -> str:
    """Return dots for trials and a line through the means; the dashed line is the default.

    `bounds` hold the scores of all panels, so that a steep line in one and a flat one in another compare.
    """
    low, high, ticks = scale(*bounds)

    def place(across: float, value: float) -> tuple[float, float]:
        inside = LEFT + 12, WIDTH - RIGHT - 12  # no dot touches the edge
        return inside[0] + across * (inside[1] - inside[0]), _up(value, low, high)

    parts = [f"<text class=title x={LEFT} y=15>{html.escape(title)}</text>", *_levels(ticks, low, high, WIDTH)]
    shown = effect.axis.ticks if len(effect.axis.ticks) <= 8 else effect.axis.ticks[::2]
    for text, at in shown:
        x, _ = place(at, low)
        parts.append(
            f"<text class=faint x={x:.1f} y={HEIGHT - BOTTOM + 16} text-anchor=middle>{html.escape(text)}</text>"
        )
    parts.append(
        f"<text class=faint x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 6} text-anchor=middle>"
        f"{html.escape(effect.name)}{' (log scale)' * (effect.axis.kind == 'log')}</text>"
    )
    if trials.default is not None and effect.name in trials.default.settings:
        x, _ = place(effect.axis.place(trials.default.settings[effect.name]), low)
        parts.append(f"<line class=default x1={x:.1f} x2={x:.1f} y1={TOP} y2={HEIGHT - BOTTOM} />")
    for dot in effect.dots:
        x, y = place(dot.place, dot.score)
        parts.append(
            f"<circle class='dot{' chosen' * dot.trial.is_chosen}' cx={x:.1f} cy={y:.1f} "
            f"r={4.5 if dot.trial.is_chosen else 3} data-line={dot.trial.rank}>"
            f"<title>{html.escape(described(trials, dot.trial))}</title></circle>"
        )
    means = [place(point.place, point.mean) for point in effect.points]
    parts.append(f"<polyline class=mean points='{path(means)}' />")
    for point, (x, y) in zip(effect.points, means, strict=True):
        words = f"{point.label}: {point.mean:.1f}"
        if math.isfinite(point.low):
            words += f" [{point.low:.1f}, {point.high:.1f}]"
            bar = f"y1={_up(max(point.low, low), low, high):.1f} y2={_up(min(point.high, high), low, high):.1f}"
            parts.append(f"<line class=bar x1={x:.1f} x2={x:.1f} {bar} />")
        words += f", {point.num_trials} trial{'s' * (point.num_trials != 1)}"
        parts.append(f"<circle class=mean cx={x:.1f} cy={y:.1f} r=4><title>{html.escape(words)}</title></circle>")
    return svg(WIDTH, HEIGHT, parts, f"score over {effect.name}")


def score_bounds(trials: Trials, shown: Sequence[Effect]) -> tuple[float, float]:
    """Return bounds that hold every dot, and the intervals as far as they do not dwarf the dots."""
    scores = level_scores(trials).mean(axis=1)
    low, high = float(scores.min()), float(scores.max())
    reach = 0.5 * (high - low)
    ends = [end for one in shown for point in one.points for end in (point.low, point.high) if math.isfinite(end)]
    return max(min([low, *ends]), low - reach), min(max([high, *ends]), high + reach)


def search_chart(trials: Trials) -> str:
    """Return the score of every trial in the order of the search, and the best so far; empty if no order is known."""
    order = in_order(trials)
    scored = [trial for trial in order if trial.is_whole]
    if not scored:
        return ""
    values = [100 * trial.score for trial in scored if trial.score is not None]
    low, high, ticks = scale(min(values), max(values))
    parts = [
        f"<text class=title x={LEFT} y=15>Score and best so far</text>",
        *_levels(ticks, low, high, LONG),
        *_numbers(order),
    ]
    steps: list[tuple[float, float]] = []
    best = -math.inf
    for number, trial in enumerate(order, start=1):
        x = _along(number, len(order))
        title = f"<title>{html.escape(described(trials, trial))}</title>"
        tie = f"data-line={trial.rank}"
        if not trial.is_whole or trial.score is None:
            y = HEIGHT - BOTTOM
            parts.append(
                f"<path class='cross {trial.state}' {tie} d='M{x - 3:.1f} {y - 7}l6 6m-6 0l6 -6'>{title}</path>"
            )
        else:
            value = 100 * trial.score
            if value > best:
                steps += [(x, _up(best, low, high))] if steps else []
                steps.append((x, _up(value, low, high)))
                best = value
            chosen = trial.is_chosen
            parts.append(
                f"<circle class='dot{' chosen' * chosen}' {tie} cx={x:.1f} cy={_up(value, low, high):.1f} "
                f"r={4.5 if chosen else 3}>{title}</circle>"
            )
    steps.append((_along(len(order), len(order)), _up(best, low, high)))
    parts.append(f"<polyline class=best points='{path(steps)}' />")
    return svg(LONG, HEIGHT, parts, f"best score so far over {len(order)} trials")


def cost_chart(trials: Trials) -> str:
    """Return the seconds of every trial, in the order of the search or, if none is known, by rank; empty if unknown."""
    order = in_order(trials) or list(trials.trials)
    timed = [trial.seconds for trial in order if trial.seconds is not None]
    if not timed:
        return ""
    _, high, ticks = scale(0.0, max(timed))
    middle = median(timed)
    by = "order of the search" if in_order(trials) else "rank"
    parts = [
        f"<text class=title x={LEFT} y=15>Seconds of each trial, by {by}; dashed: the median, {middle:.3g} s</text>",
        *_levels(ticks, 0.0, high, LONG),
        *_numbers(order),
    ]
    room = (LONG - LEFT - RIGHT) / len(order)
    thick = max(min(0.7 * room, 22), 1.0)
    for number, trial in enumerate(order, start=1):
        if trial.seconds is not None:
            top = _up(trial.seconds, 0.0, high)
            parts.append(
                f"<rect class='cost {trial.state}' data-line={trial.rank} "
                f"x={_along(number, len(order)) - thick / 2:.1f} y={top:.1f} width={thick:.1f} "
                f"height={HEIGHT - BOTTOM - top:.1f}>"
                f"<title>{trial.seconds:.3g} s; {html.escape(described(trials, trial))}</title></rect>"
            )
    y = f"{_up(middle, 0.0, high):.1f}"
    parts.append(f"<line class=default x1={LEFT} x2={LONG - RIGHT} y1={y} y2={y} />")
    return svg(LONG, HEIGHT, parts, f"seconds of {len(order)} trials")


def in_order(trials: Trials) -> list[Trial]:
    """Return the trials in the order of the search; empty if it is not known of all."""
    numbered = [(trial.number, trial) for trial in trials.trials if trial.number is not None]
    return (
        [trial for _, trial in sorted(numbered, key=lambda pair: pair[0])]
        if len(numbered) == len(trials.trials)
        else []
    )


def _up(value: float, low: float, high: float) -> float:
    return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _along(number: int, count: int) -> float:
    return LEFT + (number - 0.5) / count * (LONG - LEFT - RIGHT)


def _levels(ticks: Sequence[float], low: float, high: float, width: int) -> list[str]:
    return [
        f"<line class=rule x1={LEFT} x2={width - RIGHT} y1={_up(tick, low, high):.1f} y2={_up(tick, low, high):.1f} />"
        f"<text class=faint x={LEFT - 6} y={_up(tick, low, high):.1f} dy=4 text-anchor=end>{tick:g}</text>"
        for tick in ticks
    ]


def _numbers(order: Sequence[Trial]) -> list[str]:
    """Return the numbers of some trials, or their ranks where they have none."""
    count = len(order)
    _, _, ticks = scale(1, max(count, 2))
    shown = [1, *(int(tick) for tick in ticks if 1 < tick <= count and tick == int(tick))]
    return [
        f"<text class=faint x={_along(place, count):.1f} y={HEIGHT - BOTTOM + 16} text-anchor=middle>"
        f"{order[place - 1].rank if order[place - 1].number is None else order[place - 1].number}</text>"
        for place in dict.fromkeys(shown)
    ]
