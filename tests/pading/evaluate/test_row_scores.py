"""Everything that a row earns in one pass equals what each part of it is when it is scored alone."""

import dataclasses

import numpy as np
import pytest

from pading.evaluate.curve import with_ends
from pading.evaluate.per_image import QUALITIES, qualities_of
from pading.evaluate.predictions import renumber_truth
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.evaluate.row_scores import Asked, RowScores
from pading.evaluate.scorer import Scorer
from pading.evaluate.scoring_pass import score_rows
from pading.evaluate.unseen_world import unseen_world

TASKS = ("panoptic", "semantic", "instance")
PENALTIES = with_ends((-0.3, 0.0, 0.2, 0.5))


def scored(world, images=None, inference=None, seed=0) -> RowScores:
    scorers = [world.scorer(seed, inference or world.lenient)]
    asked = Asked(tasks=TASKS, world=unseen_world(world.classes), penalties=PENALTIES)
    return RowScores.concatenate(
        [score_rows(image, scorers, world.classes, asked)[0] for image in images or world.images]
    )


def reported(world, inference, seed=0) -> ImageTally:
    scorer = world.scorer(seed, inference)
    return ImageTally.total([evaluate_image(image, [scorer], world.classes, TASKS)[0] for image in world.images])


@pytest.mark.parametrize("threshold", [None, 0.2])
def test_a_point_of_the_curve_is_the_report_under_that_penalty(random_world, threshold):
    inference = dataclasses.replace(random_world.lenient, unseen_score_threshold=threshold)
    curves = scored(random_world, inference=inference).curves
    found = {task: curves[task].quality() for task in ("panoptic", "semantic")}
    moved = 0
    for at, penalty in enumerate(PENALTIES):
        tally = reported(random_world, dataclasses.replace(inference, seen_penalty=penalty))
        np.testing.assert_array_equal(found["panoptic"][at], tally.panoptic.quality().pq)
        np.testing.assert_array_equal(found["semantic"][at], tally.semantic.iou())
        moved += not np.array_equal(found["panoptic"][at], found["panoptic"][0], equal_nan=True)
    assert moved > 2
    assert np.nanmax(found["panoptic"]) > 0


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_scores_are_those_of_the_report_whatever_else_is_asked(random_world, penalty):
    inference = dataclasses.replace(random_world.lenient, seen_penalty=penalty)
    row, values = (
        scored(random_world, inference=inference),
        metrics(reported(random_world, inference), random_world.classes),
    )
    for task, scores in row.generalised.items():
        for name in qualities_of(task):
            quality = 100 * scores.quality(name, np.ones((1, len(random_world.images))))[0]
            seen = np.nanmean(quality[list(random_world.classes.seen)])
            assert seen == pytest.approx(values[f"{name}/seen"], abs=1e-9), name


def test_any_grouping_of_images_gives_the_same_bits(random_world):
    images = random_world.images
    whole = scored(random_world)
    parts = [scored(random_world, chosen) for chosen in (images[6:], images[2:6], list(reversed(images[:2])))]
    other = RowScores.concatenate([RowScores.concatenate(parts[:2]), parts[2]])
    for task in TASKS:
        for mine, theirs in ((whole.generalised, other.generalised), (whole.unseen_only, other.unseen_only)):
            ones = np.ones((1, len(mine[task].image_ids)))
            for name in qualities_of(task):
                np.testing.assert_array_equal(mine[task].quality(name, ones), theirs[task].quality(name, ones))
    for task, curve in whole.curves.items():
        np.testing.assert_array_equal(curve.counts, other.curves[task].counts)


def test_unseen_only_scores_are_the_report_of_a_world_without_seen_classes(random_world):
    world = unseen_world(random_world.classes)
    whole = random_world.scorer(0)
    inside = Scorer(
        name="inside",
        classify=lambda image: world.probabilities(whole.probabilities(image, random_world.classes)),
        inference=whole.inference,
    )
    images = [renumber_truth(image, world.numbers) for image in random_world.images]
    images = [image for image in images if image.segments]
    tally = ImageTally.total([evaluate_image(image, [inside], world.classes, TASKS)[0] for image in images])
    values = metrics(tally, world.classes)
    row = scored(random_world)
    for task in TASKS:
        scores = row.unseen_only[task]
        assert len(scores.image_ids) == len(images)
        quality = scores.quality(QUALITIES[task][0], np.ones((1, len(images))))[0]
        assert 100 * np.nanmean(quality) == pytest.approx(values[f"{QUALITIES[task][0]}/unseen"], abs=1e-9)


def test_rows_are_scored_together_as_one_by_one(random_world):
    scorers = [random_world.scorer(seed) for seed in range(3)]
    asked = Asked(tasks=TASKS, world=unseen_world(random_world.classes), penalties=PENALTIES)
    for image in [*random_world.images[:3], *random_world.smooth_images[:2]]:
        for together, scorer in zip(score_rows(image, scorers, random_world.classes, asked), scorers, strict=True):
            (alone,) = score_rows(image, [scorer], random_world.classes, asked)
            for task in TASKS:
                np.testing.assert_array_equal(together.generalised[task].counts, alone.generalised[task].counts)
                one, other = together.generalised[task].detections, alone.generalised[task].detections
                if one is not None and other is not None:
                    np.testing.assert_array_equal(one.is_matched, other.is_matched)
                    np.testing.assert_array_equal(one.scores, other.scores)
            for task, curve in together.curves.items():
                np.testing.assert_array_equal(curve.counts, alone.curves[task].counts)


def test_a_doubled_image_and_no_image_are_refused(random_world):
    one = scored(random_world, random_world.images[:1])
    with pytest.raises(ValueError, match="image 7 was scored twice"):
        RowScores.concatenate([one, one])
    with pytest.raises(ValueError, match="no image was scored"):
        RowScores.concatenate([])
