import dataclasses
import math

import numpy as np
import pytest

from pading.evaluate.curve import PENALTIES, area_under, with_ends
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.evaluate.row_report import RowReport, report_row
from pading.evaluate.row_scores import Asked, RowScores
from pading.evaluate.scoring_pass import score_rows
from pading.evaluate.unseen_world import unseen_world

TASKS = ("panoptic", "semantic", "instance")
SCALE = with_ends(PENALTIES)


def report_of(world, classes=None, tasks=TASKS) -> RowReport:
    classes = classes or world.classes
    inside = unseen_world(classes)
    asked = Asked(tasks=tasks, world=inside, penalties=SCALE)
    images = [score_rows(image, [world.scorer(0)], classes, asked)[0] for image in world.images]
    return report_row(RowScores.concatenate(images), classes, inside.classes, SCALE, resamples=200, seed=5)


@pytest.fixture(scope="module")
def report(random_world) -> RowReport:
    return report_of(random_world)


def test_every_metric_of_the_report_is_among_those_of_the_row(random_world, report):
    scorer = random_world.scorer(0)
    tally = ImageTally.total([evaluate_image(i, [scorer], random_world.classes, TASKS)[0] for i in random_world.images])
    for task in TASKS:
        expected = metrics(tally.of_task(task), random_world.classes)
        found = report.tasks[task].metrics
        assert expected.keys() <= found.keys()
        for name, value in expected.items():
            assert found[name] == (pytest.approx(value, abs=1e-9) if math.isfinite(value) else None), name
        if task == "panoptic":
            zeroed = metrics(tally, random_world.classes, absent="zero")
            assert {n: found[f"zero/{n}"] for n in ("pq/seen", "rq/hm")} == pytest.approx(
                {n: zeroed[n] for n in ("pq/seen", "rq/hm")}
            )


def test_a_task_has_views_of_its_own_and_panoptic_has_them_all(report):
    views = {
        task: {name.rsplit("/", 2)[0] for name in report.tasks[task].metrics if name.count("/") == 2} for task in TASKS
    }
    assert views["panoptic"] == {"things", "stuff", "zero", "zsi", "recall50"}
    assert views["semantic"] == {"things", "stuff", "zsi", "recall50"}
    assert views["instance"] == {"zsi", "recall50"}
    for task in ("semantic", "instance"):
        assert report.tasks[task].metrics.items() <= report.tasks["panoptic"].metrics.items()


def test_things_and_stuff_are_means_over_these_classes_alone(random_world, report):
    one = report.tasks["panoptic"]
    assert one.metrics["things/pq/seen"] == pytest.approx(np.nanmean([one.values["pq"][c] for c in (0, 2)]))
    assert one.metrics["stuff/pq/unseen"] == pytest.approx(one.values["pq"][4])


def test_intervals_hold_the_value_and_come_from_the_drawn_sets(report):
    for task, quality in (("panoptic", "pq"), ("semantic", "miou"), ("instance", "ap50")):
        one = report.tasks[task]
        assert list(one.intervals) == [f"{quality}/{group}" for group in ("seen", "unseen", "hm")]
        assert one.replicates.shape == (200, 3)
        for at, (name, (low, high)) in enumerate(one.intervals.items()):
            assert low <= one.metrics[name] <= high
            assert low == pytest.approx(np.nanquantile(one.replicates[:, at], 0.025))
            assert one.estimates[at] == pytest.approx(one.metrics[name])


def test_a_curve_passes_through_the_row_and_has_its_area(report):
    for task, quality in (("panoptic", "pq"), ("semantic", "miou")):
        one = report.tasks[task]
        curve = one.curve
        assert curve is not None
        assert curve["seen_penalty"] == list(SCALE)
        here = SCALE.index(0.0)
        assert (curve["seen"][here], curve["unseen"][here]) == pytest.approx(
            (one.metrics[f"{quality}/seen"], one.metrics[f"{quality}/unseen"])
        )
        assert curve["unseen"][0] == curve["seen"][-1] == 0.0
        area = area_under(np.array(curve["seen"]), np.array(curve["unseen"]))
        assert one.metrics[f"{quality}/ausuc"] == curve["ausuc"] == area > 0
    assert report.tasks["instance"].curve is None


def test_a_group_without_classes_has_null_everywhere(random_world):
    everything_seen = dataclasses.replace(random_world.classes, is_seen=(True,) * 5)
    one = report_of(random_world, everything_seen, ("panoptic",)).tasks["panoptic"]
    assert one.metrics["pq/unseen"] is None
    assert one.metrics["pq/ausuc"] is None
    assert one.intervals["pq/hm"] == [None, None]
    assert one.curve is not None
    assert set(one.curve["unseen"]) == {None}
    assert one.metrics["pq/seen"] > 0
