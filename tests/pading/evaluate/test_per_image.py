import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from pading.classes import ClassTable
from pading.data.sample import Segment
from pading.evaluate.bootstrap import draw_weights, group_scores
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.per_image import ImageScores, qualities_of
from pading.evaluate.predictions import ImagePrediction, num_groups, read_predictions, write_predictions
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.evaluate.row_scores import Asked
from pading.evaluate.scorer import Scorer
from pading.evaluate.scoring_pass import score_images

CLASSES = ClassTable(
    name="five",
    names=("dog", "cat", "ant", "sky", "grass"),
    coco_ids=(1, 2, 3, 4, 5),
    is_thing=(True, True, True, False, False),
    is_seen=(True, False, True, True, False),
)
CONFIG = InferenceConfig(object_score_threshold=0.3, overlap_threshold=0.3)
TASKS = ("panoptic", "semantic", "instance")
NUM_QUERIES = 6


def random_image(image_id: int) -> ImagePrediction:
    """Segments of random classes (some crowds), and queries whose masks resemble them to varying degrees."""
    rng = np.random.default_rng(image_id)
    label_map = np.kron(rng.integers(0, 5, (3, 3)), np.ones((4, 4))).astype(np.uint16)
    logits = rng.normal(scale=2, size=(NUM_QUERIES, 12, 12))
    for query in range(NUM_QUERIES):
        logits[query] += np.where(label_map == query, 4, -4)
    segments = tuple(
        Segment(segment_id=1 + i, class_index=int(rng.integers(5)), is_crowd=bool(rng.random() < 0.15), area_px=16)
        for i in range(4)
    )
    return ImagePrediction(
        image_id=image_id,
        height=12,
        width=12,
        content_height=12,
        content_width=12,
        input_px=12,
        query_embeddings=rng.normal(size=(NUM_QUERIES, 8)).astype(np.float32),
        mask_logits=logits.astype(np.float16),
        label_maps=label_map[None],
        segments=segments,
    )


def by(classifier) -> Scorer:
    return Scorer(
        name="row", classify=lambda image: classifier(torch.from_numpy(image.query_embeddings)), inference=CONFIG
    )


def random_classifier(seed: int) -> Scorer:
    weight = torch.randn(8, CLASSES.num_classes + 1, generator=torch.Generator().manual_seed(seed)) * 2
    return by(lambda embeddings: (embeddings @ weight).softmax(dim=1))


IMAGES = [random_image(image_id) for image_id in (7, 3, 11, 5, 2, 13, 1, 17)]


def scored(task: str, images=IMAGES, seed: int = 0) -> ImageScores:
    (row,) = score_images(images, [random_classifier(seed)], CLASSES, Asked(tasks=(task,)))
    return row.generalised[task]


def reported(task: str, images, seed: int = 0) -> dict[str, float]:
    tallies = [evaluate_image(image, [random_classifier(seed)], CLASSES, (task,))[0] for image in images]
    return metrics(ImageTally.total(tallies), CLASSES)


def grouped(scores: ImageScores, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Quality/group -> one value for each set of weights."""
    return {
        f"{name}/{group}": group_scores(scores.quality(name, weights), CLASSES)[:, at]
        for name in qualities_of(scores.task)
        for at, group in enumerate(("seen", "unseen", "hm"))
    }


@pytest.mark.parametrize("task", TASKS)
def test_with_all_weights_one_it_is_the_report(task: str):
    expected = reported(task, IMAGES)
    for name, values in grouped(scored(task), np.ones((1, len(IMAGES)))).items():
        assert values[0] == pytest.approx(expected[name], abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize("task", TASKS)
def test_an_image_of_weight_w_counts_like_w_images(task: str):
    """Oracle: the report on a list in which each image, under ids of their own, occurs as often as it was drawn."""
    scores, weights = scored(task), draw_weights(len(IMAGES), 6, seed=1)
    found = grouped(scores, weights)
    by_id = {image.image_id: image for image in IMAGES}
    for row, drawn in enumerate(weights.astype(int)):
        copies = []
        for image_id, times in zip(scores.image_ids.tolist(), drawn, strict=True):
            one = by_id[image_id]
            copies += [ImagePrediction(**{**vars(one), "image_id": 100 * image_id + number}) for number in range(times)]
        expected = reported(task, copies)
        for name, values in found.items():
            assert values[row] == pytest.approx(expected[name], abs=1e-9, nan_ok=True), (row, name)


@pytest.mark.parametrize("task", TASKS)
def test_the_order_of_images_and_of_parts_does_not_matter(task: str):
    weights = draw_weights(len(IMAGES), 5, seed=2)
    first = grouped(scored(task), weights)
    halves = [scored(task, IMAGES[5:]), scored(task, list(reversed(IMAGES[:5])))]
    second = grouped(ImageScores.concatenate(halves), weights)
    for name, values in first.items():
        assert (values == second[name])[~np.isnan(values)].all(), name


@pytest.mark.parametrize("task", TASKS)
def test_classifiers_are_scored_together_as_one_by_one(task: str):
    together = score_images(IMAGES, [random_classifier(0), random_classifier(1)], CLASSES, Asked(tasks=(task,)))
    for seed, row in enumerate(together):
        one, alone = row.generalised[task], scored(task, seed=seed)
        assert (one.counts == alone.counts).all()
        assert (one.pair_classes == alone.pair_classes).all()


def test_row_groups_of_a_file_partition_its_images(tmp_path: Path):
    path = tmp_path / "part.parquet"
    write_predictions(path, [random_image(image_id) for image_id in range(40)])
    assert num_groups(path) == 3
    parts = [[image.image_id for image in read_predictions(path, [group])] for group in range(3)]
    assert list(itertools.chain(*parts)) == list(range(40))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"part\.parquet"):
        num_groups(path)


def test_an_image_that_was_scored_twice_is_refused():
    with pytest.raises(ValueError, match="image 7 was scored twice"):
        scored("panoptic", [IMAGES[0], IMAGES[1], IMAGES[0]])
    with pytest.raises(ValueError, match="no image was scored"):
        ImageScores.concatenate([])


def test_foreign_qualities_weights_classes_and_classifiers_are_refused():
    scores = scored("semantic")
    with pytest.raises(ValueError, match="has no 'pq': it has miou"):
        scores.quality("pq", np.ones((1, len(IMAGES))))
    with pytest.raises(ValueError, match="one column an image"):
        scores.quality("miou", np.ones((1, 3)))
    with pytest.raises(ValueError, match="row returned"):
        score_images(IMAGES, [by(lambda embeddings: embeddings)], CLASSES, Asked(tasks=("panoptic",)))
    with pytest.raises(ValueError, match="negative probabilities"):
        score_images(IMAGES, [by(lambda embeddings: -embeddings[:, :6].abs())], CLASSES, Asked(tasks=("panoptic",)))
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="NaN or infinite; was it fitted"):
            score_images(IMAGES, [by(lambda e, v=value: e[:, :6].abs() + v)], CLASSES, Asked(tasks=("panoptic",)))
    few = ClassTable(name="one", names=("dog",), coco_ids=(1,), is_thing=(True,), is_seen=(True,))
    with pytest.raises(ValueError, match="beyond the 1 of table"):
        score_images(IMAGES, [random_classifier(0)], few, Asked(tasks=("panoptic",)))
