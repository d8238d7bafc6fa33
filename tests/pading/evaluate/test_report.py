import dataclasses
import math

import numpy as np
import pytest
import torch

from pading.classes import ClassTable
from pading.data.sample import Segment
from pading.evaluate.instance import INSTANCE_QUALITIES
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.report import ImageTally, evaluate_image, group_mean, harmonic_mean, metrics
from pading.evaluate.scorer import Scorer
from pading.splits.split import JUDGED

CLASSES = ClassTable(
    name="four",
    names=("dog", "cat", "sky", "grass"),
    coco_ids=(1, 2, 3, 4),
    is_thing=(True, True, False, False),
    is_seen=(True, False, True, False),
)
NO_OBJECT = CLASSES.no_object


def image_of_quadrants(image_id: int, classes: tuple[int, int, int, int]) -> ImagePrediction:
    """Four quadrants, each a segment and, almost certainly, the mask of one query; a fifth query covers nothing."""
    label_map = np.kron(np.array([[1, 2], [3, 4]]), np.ones((4, 4))).astype(np.uint16)
    mask_logits = np.full((5, 8, 8), -10, dtype=np.float16)
    for query in range(4):
        mask_logits[query][label_map == query + 1] = 10
    return ImagePrediction(
        image_id=image_id,
        height=8,
        width=8,
        content_height=8,
        content_width=8,
        input_px=8,
        query_embeddings=np.eye(5, dtype=np.float32),
        mask_logits=mask_logits,
        label_maps=label_map[None],
        segments=tuple(
            Segment(segment_id=1 + i, class_index=c, is_crowd=False, area_px=16) for i, c in enumerate(classes)
        ),
    )


def by(classifier) -> Scorer:
    return Scorer(name="row", classify=lambda image: classifier(torch.from_numpy(image.query_embeddings)))


def says(*labels: int) -> Scorer:
    """A scorer that gives the query of each unit embedding its label, with certainty."""
    table = torch.nn.functional.one_hot(torch.tensor(labels), CLASSES.num_classes + 1).float()
    return by(lambda embeddings: embeddings @ table)


def test_a_perfect_classifier_earns_a_hundred_everywhere():
    image = image_of_quadrants(1, (0, 1, 2, 3))
    (tally,) = evaluate_image(image, [says(0, 1, 2, 3, NO_OBJECT)], CLASSES, JUDGED["panoptic"])
    values = metrics(tally, CLASSES)
    counts = {"miou/num_seen": 2, "miou/num_unseen": 2}
    assert values == pytest.approx({name: 100.0 for name in values} | counts, abs=1e-9)
    for metric in ("pq", "sq", "rq", "miou", "ap50", "recall100"):
        assert {f"{metric}/seen", f"{metric}/unseen", f"{metric}/hm"} <= set(values)


def test_a_task_has_the_metrics_that_its_truth_can_judge():
    image, classifier = image_of_quadrants(1, (0, 1, 2, 3)), says(0, 1, 2, 3, NO_OBJECT)
    kinds = {}
    for task in ("panoptic", "semantic", "instance"):
        tally = ImageTally.total(2 * evaluate_image(image, [classifier], CLASSES, JUDGED[task]))
        kinds[task] = {name.split("/")[0] for name in metrics(tally, CLASSES)}
    assert kinds["panoptic"] == {"pq", "sq", "rq", "miou", "recall50", *INSTANCE_QUALITIES}
    assert kinds["semantic"] == {"miou", "recall50"}
    assert kinds["instance"] == {"recall50", *INSTANCE_QUALITIES}


def test_a_panoptic_tally_has_the_scores_of_the_same_data_as_a_semantic_split():
    image, classifier = image_of_quadrants(1, (0, 1, 2, 3)), says(0, 0, 3, 3, NO_OBJECT)
    (together,) = evaluate_image(image, [classifier], CLASSES, JUDGED["panoptic"])
    (alone,) = evaluate_image(image, [classifier], CLASSES, JUDGED["semantic"])
    found = metrics(together.of_task("semantic"), CLASSES)
    assert found == pytest.approx(metrics(alone, CLASSES), nan_ok=True)
    assert found["miou/seen"] == pytest.approx(100 * (1 / 2 + 0) / 2)
    assert found["miou/unseen"] == pytest.approx(100 * (0 + 1 / 2) / 2)


def test_a_panoptic_tally_has_the_scores_of_the_same_data_as_an_instance_split():
    things = ClassTable(
        name="things", names=("dog", "cat"), coco_ids=(1, 2), is_thing=(True, True), is_seen=(True, False)
    )
    image = image_of_quadrants(1, (0, 1, 2, 3))
    label_maps = np.where(image.label_maps < 3, image.label_maps, 0)
    of_things = dataclasses.replace(image, label_maps=label_maps, segments=image.segments[:2])
    scores = torch.tensor([[0.9, 0.0, 0.1, 0, 0], [0.6, 0.3, 0, 0, 0.1], [0, 0.2, 0.8, 0, 0], [0.1] * 5, [0.1] * 5])
    (together,) = evaluate_image(image, [by(lambda _: scores)], CLASSES, JUDGED["panoptic"])
    (alone,) = evaluate_image(of_things, [by(lambda _: scores[:, [0, 1, 4]])], things, JUDGED["instance"])
    found, expected = metrics(together.of_task("instance"), CLASSES), metrics(alone, things)
    assert {name: found[name] for name in expected if not name.startswith("recall50")} == pytest.approx(
        {name: value for name, value in expected.items() if not name.startswith("recall50")}
    )
    assert expected["ap50/unseen"] == pytest.approx(100)  # 0.3 is the best guess of a cat


def test_a_tally_of_a_task_is_what_scoring_that_task_alone_gives():
    image, classifier = image_of_quadrants(1, (0, 1, 2, 3)), says(0, 0, 3, 3, NO_OBJECT)
    (whole,) = evaluate_image(image, [classifier], CLASSES, JUDGED["panoptic"])
    for task in ("panoptic", "semantic", "instance"):
        (alone,) = evaluate_image(image, [classifier], CLASSES, JUDGED[task])
        assert metrics(whole.of_task(task), CLASSES) == pytest.approx(metrics(alone, CLASSES), nan_ok=True)


def test_a_task_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no task 'depth' to score; choose from panoptic, semantic, instance"):
        evaluate_image(image_of_quadrants(1, (0, 1, 2, 3)), [], CLASSES, ("semantic", "depth"))
    with pytest.raises(ValueError, match="no task 'a' to score"):  # a name where names are expected
        evaluate_image(image_of_quadrants(1, (0, 1, 2, 3)), [], CLASSES, "panoptic")


def test_instances_that_share_pixels_are_judged_by_their_own_masks():
    image = image_of_quadrants(1, (0, 1, 0, 1))
    layers = np.zeros((2, 8, 8), dtype=np.uint16)
    layers[0, :4], layers[1, :, :4] = 1, 2  # the upper half is a dog, the left half a cat
    mask_logits = np.where([layers[0] == 1, layers[1] == 2], 10, -10).astype(np.float16)
    image = dataclasses.replace(
        image,
        query_embeddings=np.eye(5, dtype=np.float32)[:2],
        mask_logits=mask_logits,
        label_maps=layers,
        segments=image.segments[:2],
    )
    (tally,) = evaluate_image(image, [says(0, 1, 2, 3, NO_OBJECT)], CLASSES, JUDGED["instance"])
    assert metrics(tally, CLASSES)["ap50/hm"] == pytest.approx(100)
    with pytest.raises(ValueError, match="2 layers of overlapping segments"):
        evaluate_image(image, [says(0, 1, 2, 3, NO_OBJECT)], CLASSES, JUDGED["panoptic"])


def test_confusing_the_unseen_thing_costs_what_the_definitions_say():
    image = image_of_quadrants(1, (0, 1, 2, 3))
    perfect, confused = evaluate_image(
        image, [says(0, 1, 2, 3, NO_OBJECT), says(0, 0, 2, 3, NO_OBJECT)], CLASSES, JUDGED["panoptic"]
    )
    assert metrics(perfect, CLASSES)["pq/hm"] == pytest.approx(100)
    values = metrics(confused, CLASSES)
    # dog: 1 match and 1 false segment, PQ 1 / 1.5; sky 1. cat: missed, 0; grass 1.
    assert values["pq/seen"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert values["pq/unseen"] == pytest.approx(50)
    assert values["pq/hm"] == pytest.approx(harmonic_mean(values["pq/seen"], values["pq/unseen"]))
    assert values["sq/seen"] == pytest.approx(100)
    assert values["miou/seen"] == pytest.approx(100 * (1 / 2 + 1) / 2)
    assert values["miou/unseen"] == pytest.approx(50)
    assert values["recall100/seen"] == 100
    # Every query is also tried as a cat, here at score 0: the first of these is wrong, the second one right.
    assert values["ap50/unseen"] == pytest.approx(50)
    assert values["recall50/masks/unseen"] == 100


def test_classifiers_do_not_influence_each_other():
    image = image_of_quadrants(1, (0, 1, 2, 3))
    good, bad = says(0, 1, 2, 3, NO_OBJECT), says(1, 0, 3, 2, NO_OBJECT)
    together = evaluate_image(image, [bad, good, bad], CLASSES, JUDGED["panoptic"])
    alone = evaluate_image(image, [good], CLASSES, JUDGED["panoptic"])
    assert metrics(together[1], CLASSES) == metrics(alone[0], CLASSES)
    assert metrics(together[0], CLASSES) == metrics(together[2], CLASSES)


def test_totals_equal_adding_one_by_one_in_any_order():
    classifier = says(0, 1, 2, 3, NO_OBJECT)
    truths = [(0, 1, 2, 3), (0, 0, 2, 3), (1, 1, 2, 2), (3, 1, 0, 0)]
    tallies = [
        evaluate_image(image_of_quadrants(i, truth), [classifier], CLASSES, JUDGED["panoptic"])[0]
        for i, truth in enumerate(truths)
    ]
    total = ImageTally.total(tallies)
    backwards = tallies[3] + tallies[2] + tallies[1] + tallies[0]
    assert total.num_images == backwards.num_images == 4
    assert metrics(total, CLASSES) == pytest.approx(metrics(backwards, CLASSES), abs=1e-9)
    assert 0 < metrics(total, CLASSES)["pq/hm"] < 100
    with pytest.raises(ValueError, match="no tally to add"):
        ImageTally.total([])


def test_absent_classes_are_skipped_or_count_as_zero():
    image = image_of_quadrants(1, (0, 0, 2, 2))
    (tally,) = evaluate_image(image, [says(0, 0, 2, 2, NO_OBJECT)], CLASSES, JUDGED["panoptic"])
    skipped, zeroed = metrics(tally, CLASSES), metrics(tally, CLASSES, absent="zero")
    # Two segments of one stuff class are one predicted segment: IoU 1/2 with each, hence no match.
    assert skipped["pq/seen"] == pytest.approx(50)
    assert math.isnan(skipped["pq/unseen"])
    assert math.isnan(skipped["pq/hm"])
    assert zeroed["pq/unseen"] == 0
    assert zeroed["pq/hm"] == 0
    assert skipped["miou/num_unseen"] == 0
    assert math.isnan(zeroed["ap50/unseen"])
    assert math.isnan(zeroed["recall50/masks/unseen"])


def test_group_mean_and_harmonic_mean_by_hand():
    values = np.array([0.2, np.nan, 0.6, 1.0])
    assert group_mean(values, (0, 1, 2), "skip") == pytest.approx(0.4)
    assert group_mean(values, (0, 1, 2), "zero") == pytest.approx(0.8 / 3)
    assert math.isnan(group_mean(values, (1,), "skip"))
    assert math.isnan(group_mean(values, (), "zero"))
    assert harmonic_mean(41.5, 15.3) == pytest.approx(22.36, abs=0.005)  # PADing Tab. 1
    assert harmonic_mean(80.6, 72.8) == pytest.approx(76.5, abs=0.05)
    assert harmonic_mean(0.0, 50.0) == harmonic_mean(50.0, 0.0) == harmonic_mean(0.0, 0.0) == 0.0
    assert math.isnan(harmonic_mean(math.nan, 50.0))
    with pytest.raises(ValueError, match='choose "skip" or "zero"'):
        group_mean(values, (0,), "drop")


def test_a_classifier_of_another_shape_is_refused():
    image = image_of_quadrants(1, (0, 1, 2, 3))
    with pytest.raises(ValueError, match=r"row returned \(5, 4\) for image 1, expected \(5, 5\)"):
        evaluate_image(image, [says(0, 1, 2, 3, 4), by(lambda e: e[:, :4])], CLASSES, JUDGED["panoptic"])
    with pytest.raises(ValueError, match="row returned probabilities of image 1 that are NaN"):
        evaluate_image(image, [by(lambda e: torch.full((5, 5), torch.nan))], CLASSES, JUDGED["panoptic"])


def test_a_class_of_another_table_is_refused():
    with pytest.raises(ValueError, match="image 8 has a class beyond the 4 of table 'four'"):
        evaluate_image(image_of_quadrants(8, (0, 1, 2, 4)), [], CLASSES, JUDGED["panoptic"])
