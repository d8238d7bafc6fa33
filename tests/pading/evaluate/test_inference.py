import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from pading.classes import ClassTable
from pading.data.sample import Segment
from pading.evaluate.inference import (
    PIXELS_PER_CHUNK,
    InferenceConfig,
    UpsampledMasks,
    ground_truth_map,
    instances,
    panoptic_map,
    semantic_map,
    upsampled_masks,
)
from pading.evaluate.predictions import ImagePrediction, as_half, read_predictions, write_predictions
from tests.references import evaluate_inference as reference

IS_THING = (True, True, False, True, False)


def table(is_thing: tuple[bool, ...], is_seen: tuple[bool, ...] | None = None) -> ClassTable:
    size = len(is_thing)
    return ClassTable(
        name="table",
        names=tuple("abcdefgh"[:size]),
        coco_ids=tuple(range(1, size + 1)),
        is_thing=is_thing,
        is_seen=is_seen or (True,) * size,
    )


CLASSES = table(IS_THING, (True, True, True, False, False))


def random_prediction(seed: int, *, num_queries: int = 12, height: int = 29, width: int = 41) -> ImagePrediction:
    generator = torch.Generator().manual_seed(seed)
    smooth = functional.interpolate(
        torch.randn(1, num_queries, 3, 3, generator=generator) * 6, size=(8, 8), mode="bicubic", align_corners=False
    )
    return ImagePrediction(
        image_id=seed,
        height=height,
        width=width,
        content_height=23,
        content_width=32,
        input_px=32,
        query_embeddings=np.zeros((num_queries, 4), np.float32),
        mask_logits=as_half(smooth[0].numpy()),
        label_maps=np.zeros((1, height, width), np.uint16),
        segments=(),
    )


def random_probabilities(seed: int, num_queries: int = 12, sharpness: float = 5.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(num_queries, len(IS_THING) + 1, generator=generator)).softmax(dim=1)


def masks_of(probabilities: list[list[float]]) -> UpsampledMasks:
    """One row of pixels for each query."""
    values = torch.tensor(probabilities)[:, None, :]
    return UpsampledMasks(
        probabilities=values, is_positive=values > 0.5, mean_probability=torch.zeros(len(probabilities))
    )


def certain(*labels: int, num_classes: int = 3, score: float = 0.9) -> torch.Tensor:
    rows = torch.full((len(labels), num_classes + 1), (1 - score) / num_classes)
    rows[torch.arange(len(labels)), torch.tensor(labels)] = score
    return rows


def same_partition(one: np.ndarray, one_classes, two: np.ndarray, two_classes) -> bool:
    """Whether two label maps are equal up to the numbering of their segments, classes included."""
    pairs = {(int(a), int(b)) for a, b in zip(one.ravel(), two.ravel(), strict=True)}
    bijective = len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})
    return bijective and all(
        (a == 0) == (b == 0) and (a == 0 or one_classes[a - 1] == two_classes[b - 1]) for a, b in pairs
    )


def test_masks_are_upsampled_to_the_input_cut_and_resized_to_the_photo():
    prediction = random_prediction(0, num_queries=3)
    masks = upsampled_masks(prediction)
    for query in range(3):
        logits = prediction.mask_logits[query].astype(np.float64)
        square = reference.bilinear(logits, 32, 32)
        expected = reference.bilinear(square[:23, :32], 29, 41)
        sigmoid = 1 / (1 + np.exp(-expected))
        torch.testing.assert_close(masks.probabilities[query].double().numpy(), sigmoid, rtol=1e-5, atol=1e-5)
        clear = np.abs(expected) > 1e-5
        np.testing.assert_array_equal(masks.is_positive[query].numpy()[clear], (expected > 0)[clear])
        mean = sigmoid[expected > 0].mean()
        assert masks.mean_probability[query].item() == pytest.approx(mean, rel=1e-5)


def test_an_empty_mask_has_mean_probability_zero():
    prediction = random_prediction(0)
    prediction.mask_logits[4] = -3
    masks = upsampled_masks(prediction)
    assert masks.mean_probability[4] == 0
    assert (masks.mean_probability[:4] > 0.5).all()


def test_the_query_with_the_larger_weighted_probability_wins_a_pixel():
    masks = masks_of([[0.9, 0.9, 0.9, 0.9, 0.7], [0.1, 0.1, 0.1, 0.8, 0.9]])
    probabilities = torch.cat([certain(0, score=0.95), certain(1, score=0.85)])
    # Pixel 4: 0.95 * 0.7 = 0.665 against 0.85 * 0.9 = 0.765; pixel 3: 0.855 against 0.68. Query 1 wins 1 of its 2.
    strict = panoptic_map(probabilities, masks, table((True, True, True)), InferenceConfig())
    assert strict.label_map.tolist() == [[1, 1, 1, 1, 0]]
    assert strict.classes.tolist() == [0]
    lenient = panoptic_map(probabilities, masks, table((True, True, True)), InferenceConfig(overlap_threshold=0.5))
    assert lenient.label_map.tolist() == [[1, 1, 1, 1, 2]]
    assert lenient.classes.tolist() == [0, 1]


def test_stuff_of_one_class_is_one_segment_and_things_stay_apart():
    masks = masks_of([[0.9, 0.0, 0.0, 0.0], [0.0, 0.9, 0.0, 0.0], [0.0, 0.0, 0.9, 0.0], [0.0, 0.0, 0.0, 0.9]])
    partition = panoptic_map(certain(2, 0, 2, 0), masks, table((True, True, False)), InferenceConfig())
    labels = partition.label_map[0]
    assert labels[0] == labels[2]
    assert labels[1] != labels[3]
    assert partition.classes[labels - 1].tolist() == [2, 0, 2, 0]
    assert len(partition.classes) == 3


def test_unsure_no_object_and_outside_pixels_are_void():
    masks = masks_of([[0.9, 0.4], [0.9, 0.9], [0.9, 0.9]])
    probabilities = torch.cat([certain(0), certain(3), certain(1, score=0.8)])  # 0.8 does not exceed the threshold
    partition = panoptic_map(probabilities, masks, table((True, True, True)), InferenceConfig())
    assert partition.label_map.tolist() == [[1, 0]]
    nothing = panoptic_map(certain(3, 3, 3), masks, table((True, True, True)), InferenceConfig())
    assert nothing.label_map.tolist() == [[0, 0]]
    assert nothing.classes.shape == (0,)


@pytest.mark.parametrize("seed", range(12))
def test_panoptic_maps_equal_the_literal_procedure(seed):
    masks = upsampled_masks(random_prediction(seed))
    probabilities = random_probabilities(seed)
    config = InferenceConfig(object_score_threshold=0.5, overlap_threshold=0.4)
    partition = panoptic_map(probabilities, masks, CLASSES, config)
    expected, classes = reference.panoptic(
        probabilities.numpy(), masks.probabilities.numpy(), IS_THING, score_threshold=0.5, overlap_threshold=0.4
    )
    assert len(classes) >= 1
    assert same_partition(partition.label_map, partition.classes, expected, classes)
    assert sorted(np.unique(partition.label_map[partition.label_map > 0])) == list(range(1, len(classes) + 1))


def test_random_panoptic_cases_merge_stuff_and_drop_queries():
    merged = dropped = 0
    for seed in range(12):
        masks, probabilities = upsampled_masks(random_prediction(seed)), random_probabilities(seed)
        scores, labels = probabilities.max(dim=1)
        is_kept = (scores > 0.5) & (labels < 5)
        stuff = labels[is_kept & ((labels == 2) | (labels == 4))]
        merged += len(stuff) - len(stuff.unique())
        config = InferenceConfig(object_score_threshold=0.5, overlap_threshold=0.4)
        dropped += int(is_kept.sum()) - len(panoptic_map(probabilities, masks, CLASSES, config).classes)
    assert merged > 3
    assert dropped > merged


@pytest.mark.parametrize("size", [(29, 41), (150, 150)])
def test_semantic_maps_equal_the_literal_sum(size):
    assert 29 * 41 < PIXELS_PER_CHUNK < 150 * 150
    masks = upsampled_masks(random_prediction(1, height=size[0], width=size[1]))
    probabilities = random_probabilities(1, sharpness=1.0)
    expected = reference.semantic(probabilities.numpy(), masks.probabilities.numpy())
    assert len(np.unique(expected)) > 1
    # The literal sum is in float64: a pixel may differ only where two classes tie to float32 precision.
    scores = np.einsum("qc,qhw->chw", probabilities[:, :-1].double(), masks.probabilities.double())
    best = np.sort(scores, axis=0)
    clear = best[-1] - best[-2] > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(
        semantic_map(probabilities, masks, CLASSES, InferenceConfig())[clear], expected[clear]
    )


@pytest.mark.parametrize("limit", [7, 100])
def test_instances_equal_the_literal_ranking(limit):
    prediction = random_prediction(2)
    masks, probabilities = upsampled_masks(prediction), random_probabilities(2)
    found = instances(probabilities, masks, CLASSES, InferenceConfig(max_instances=limit))
    logits = torch.logit(masks.probabilities.double()).numpy()
    expected = reference.instances(probabilities.numpy(), logits, IS_THING, limit)
    assert len(found.scores) == min(limit, 12 * 3)
    assert found.queries.tolist() == [query for query, _, _ in expected]
    assert found.classes.tolist() == [label for _, label, _ in expected]
    np.testing.assert_allclose(found.scores, [score for _, _, score in expected], rtol=1e-5)


def test_a_penalty_renames_queries_and_leaves_the_segments_as_they_are():
    masks = masks_of([[0.9, 0.9, 0.0, 0.0], [0.0, 0.0, 0.9, 0.0], [0.0, 0.0, 0.0, 0.9]])
    # Classes 0 and 1 are seen, 2 is unseen; the last query is no object, under any penalty.
    probabilities = torch.tensor([[0.85, 0.03, 0.1, 0.02], [0.05, 0.9, 0.03, 0.02], [0.1, 0.1, 0.3, 0.5]])
    classes = table((True, True, True), (True, True, False))
    found = {
        penalty: panoptic_map(probabilities, masks, classes, InferenceConfig(seen_penalty=penalty))
        for penalty in (-1.0, 0.0, 0.7, 0.8, 1.0)
    }
    for partition in found.values():
        assert partition.label_map.tolist() == [[1, 1, 2, 0]]
    named = {penalty: partition.classes.tolist() for penalty, partition in found.items()}
    assert named == {-1.0: [0, 1], 0.0: [0, 1], 0.7: [0, 1], 0.8: [2, 1], 1.0: [2, 2]}


def test_queries_called_unseen_have_a_threshold_of_their_own():
    masks = masks_of([[0.9, 0.0, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, 0.9]])
    probabilities = torch.tensor([[0.6, 0.1, 0.3], [0.1, 0.6, 0.3], [0.5, 0.4, 0.1]])
    classes = table((True, True), (True, False))
    lenient = InferenceConfig(unseen_score_threshold=0.5)
    assert panoptic_map(probabilities, masks, classes, InferenceConfig()).label_map.tolist() == [[0, 0, 0]]
    assert panoptic_map(probabilities, masks, classes, lenient).label_map.tolist() == [[0, 1, 0]]
    lower = dataclasses.replace(lenient, unseen_score_threshold=0.45, seen_penalty=0.2)
    partition = panoptic_map(probabilities, masks, classes, lower)  # 0.5 - 0.2 < 0.4: the last one is renamed, and kept
    assert partition.label_map.tolist() == [[0, 1, 2]]
    assert partition.classes.tolist() == [1, 1]


@pytest.mark.parametrize("penalty", [-0.7, -0.05, 0.05, 0.3, 2.0])
def test_semantic_penalties_are_taken_from_the_summed_map_of_seen_classes(penalty):
    masks, probabilities = upsampled_masks(random_prediction(3)), random_probabilities(3, sharpness=1.0)
    scores = np.einsum("qc,qhw->chw", probabilities[:, :-1].double(), masks.probabilities.double())
    scores[:3] -= penalty
    best = np.sort(scores, axis=0)
    clear = best[-1] - best[-2] > 1e-5
    assert clear.mean() > 0.99
    found = semantic_map(probabilities, masks, CLASSES, InferenceConfig(seen_penalty=penalty))
    np.testing.assert_array_equal(found[clear], scores.argmax(axis=0)[clear])


def test_a_vanishing_penalty_changes_no_output():
    masks, probabilities = upsampled_masks(random_prediction(4)), random_probabilities(4)
    plain, tiny = (
        InferenceConfig(object_score_threshold=0.4),
        InferenceConfig(object_score_threshold=0.4, seen_penalty=1e-30, unseen_score_threshold=0.4),
    )
    one, two = (panoptic_map(probabilities, masks, CLASSES, config) for config in (plain, tiny))
    np.testing.assert_array_equal(one.label_map, two.label_map)
    np.testing.assert_array_equal(one.classes, two.classes)
    one, two = (semantic_map(probabilities, masks, CLASSES, config) for config in (plain, tiny))
    np.testing.assert_array_equal(one, two)
    one, two = (instances(probabilities, masks, CLASSES, config) for config in (plain, tiny))
    np.testing.assert_array_equal(one.classes, two.classes)
    np.testing.assert_array_equal(one.queries, two.queries)
    np.testing.assert_allclose(one.scores, two.scores, rtol=0, atol=1e-29)


def test_a_penalty_makes_room_for_pairs_of_unseen_classes_and_keeps_ranks_within_a_class():
    masks, probabilities = upsampled_masks(random_prediction(5)), random_probabilities(5)
    every = instances(probabilities, masks, CLASSES, InferenceConfig())
    plain = instances(probabilities, masks, CLASSES, InferenceConfig(max_instances=9))
    calibrated = instances(probabilities, masks, CLASSES, InferenceConfig(max_instances=9, seen_penalty=0.4))
    nothing_seen = instances(probabilities, masks, CLASSES, InferenceConfig(max_instances=9, seen_penalty=1.5))
    assert (plain.classes == 3).sum() < (calibrated.classes == 3).sum() < 9
    assert set(nothing_seen.classes.tolist()) == {3}
    raw = dict(zip(zip(every.queries.tolist(), every.classes.tolist(), strict=True), every.scores, strict=True))
    for query, label, score in zip(calibrated.queries, calibrated.classes, calibrated.scores, strict=True):
        assert score == raw[query, label] - (0.0 if label == 3 else 0.4)


def test_a_world_of_stuff_has_no_instances():
    found = instances(
        random_probabilities(0), upsampled_masks(random_prediction(0)), table((False,) * 5), InferenceConfig()
    )
    assert len(found.queries) == len(found.classes) == len(found.scores) == 0


def test_cached_predictions_give_the_same_maps_as_fresh_ones(tmp_path):
    fresh = [random_prediction(seed) for seed in range(3)]
    write_predictions(tmp_path / "val.parquet", fresh)
    config = InferenceConfig(object_score_threshold=0.4, overlap_threshold=0.3)
    for one, two in zip(fresh, read_predictions(tmp_path / "val.parquet"), strict=True):
        probabilities = random_probabilities(one.image_id)
        first, second = upsampled_masks(one), upsampled_masks(two)
        ours, cached = (panoptic_map(probabilities, masks, CLASSES, config) for masks in (first, second))
        assert ours.label_map.any()
        np.testing.assert_array_equal(ours.label_map, cached.label_map)
        np.testing.assert_array_equal(ours.classes, cached.classes)
        ours, cached = (semantic_map(probabilities, masks, CLASSES, config) for masks in (first, second))
        np.testing.assert_array_equal(ours, cached)


def test_truth_as_a_map_refuses_classes_of_another_table():
    classes = ClassTable(name="two", names=("a", "b"), coco_ids=(1, 2), is_thing=(True, True), is_seen=(True, False))
    prediction = random_prediction(0)
    truth = (Segment(segment_id=9, class_index=1, is_crowd=False, area_px=3),)
    known = dataclasses.replace(prediction, segments=truth)
    assert ground_truth_map(known, classes).classes.tolist() == [1]
    foreign = (Segment(segment_id=9, class_index=2, is_crowd=False, area_px=3),)
    with pytest.raises(ValueError, match="class 2 is not in table 'two' of 2 classes"):
        ground_truth_map(dataclasses.replace(prediction, segments=foreign), classes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"object_score_threshold": 1.5}, "object_score_threshold is 1.5"),
        ({"overlap_threshold": -0.1}, "overlap_threshold is -0.1"),
        ({"mask_threshold": 2.0}, "mask_threshold is 2.0"),
        ({"unseen_score_threshold": -0.5}, "unseen_score_threshold is -0.5"),
        ({"seen_penalty": float("nan")}, "seen_penalty is nan"),
        ({"max_instances": 0}, "keep at least one instance"),
    ],
)
def test_impossible_thresholds_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        InferenceConfig(**change)
