"""Verb `official`: the official tools on result files, their numbers beside ours, and the difference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.judged import Judged, ResultFilesGiven, find_judged
from jobs.official_tools import ToolMissingError, official_quality
from jobs.progress import say
from jobs.score import score_files
from pading.evaluate.results_instance import read_instance_truth
from pading.evaluate.results_scores import with_all

ROUNDING = 1e-6  # in percent: sums of as many ratios as a large validation set has, in another order


@dataclass(frozen=True, kw_only=True)
class Official(ResultFilesGiven):
    """Judge result files by the official tools too, and compare: with our counting, and with the leaderboard."""


def official(command: Official) -> None:
    """Print a table for each task: official, ours from the same files, the leaderboard's, and the largest difference.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file does not read, a tool is not installed, or numbers differ by more than rounding; every
            task whose tool is there is compared first.
    """
    failures = []
    for judged in find_judged(command):
        ours = score_files(judged)  # first: it says what is wrong with the files
        theirs: dict[str, float] = {}
        try:
            theirs = _official_scores(judged)
        except ToolMissingError as error:
            failures.append(str(error))
        say(f"{judged.title}: {judged.results}")
        for line in comparison_lines(theirs, ours, judged.leaderboard):
            say(f"  {line}")
        largest = largest_difference(theirs, ours, judged.leaderboard)
        say(f"  largest difference {largest:.1e}" + ("" if theirs else ", nothing official to compare with"))
        if largest > ROUNDING:
            failures.append(f"{judged.title}: numbers differ by up to {largest:.6g} percent")
    if failures:
        raise ValueError("; ".join(failures))


def _official_scores(judged: Judged) -> dict[str, float]:
    image_ids = None
    if judged.task == "instance":
        listed = read_instance_truth(judged.truth, judged.split)
        image_ids = [record.image_id for record in judged.chosen(listed)]
    scores: dict[str, float] = {}
    for name, values in official_quality(judged, image_ids).items():
        scores |= with_all(name, values, judged.classes)
    return scores


def largest_difference(
    theirs: Mapping[str, float], ours: Mapping[str, float], leaderboard: Mapping[str, float | None]
) -> float:
    """Return how far any number is from ours; infinite where only one of the two is a number."""
    pairs = [(ours[name], value) for name, value in theirs.items()]
    pairs += [(ours[name], _number(value)) for name, value in leaderboard.items() if name in ours]
    return max((_distance(*pair) for pair in pairs), default=0.0)


def comparison_lines(
    theirs: Mapping[str, float], ours: Mapping[str, float], leaderboard: Mapping[str, float | None]
) -> list[str]:
    """Return a table with a line for each number; blank where a source lacks it."""
    lines = [f"{'':18s}{'official':>11s}{'ours':>11s}{'leaderboard':>13s}"]
    for name, value in ours.items():
        official_one = f"{theirs[name]:11.4f}" if name in theirs else f"{'':11s}"
        listed = f"{_number(leaderboard[name]):13.4f}" if name in leaderboard else ""
        lines.append(f"{name:18s}{official_one}{value:11.4f}{listed}")
    return lines


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _distance(first: float, second: float) -> float:
    if math.isnan(first) or math.isnan(second):
        return 0.0 if math.isnan(first) and math.isnan(second) else math.inf
    return abs(first - second)
