"""What `results` writes of images whose queries are right, wrong and in between, scored from the files alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.judged import Judged
from jobs.official import largest_difference
from jobs.official_tools import instance_quality, semantic_quality
from jobs.result_image import write_image
from jobs.score import score_files
from pading.classes import ClassTable
from pading.data.sample import Segment
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.evaluate.results_scores import with_all
from pading.evaluate.scorer import Scorer, head_scorer
from pading.splits.split import JUDGED, Split
from pading.zeroshot.classifier import LinearClassifier

SIDE = 24
CLASSES = ClassTable(
    name="four",
    names=("dog", "cat", "sky", "sea"),
    coco_ids=(18, 17, 187, 155),
    is_thing=(True, True, False, False),
    is_seen=(True, False, True, False),
)
TASKS = JUDGED["panoptic"]
UNSURE = InferenceConfig(object_score_threshold=0.2, overlap_threshold=0.3)


def noisy_image(image_id: int) -> ImagePrediction:
    """Nine patches, void, crowds and stuff among them, and queries that miss some of each and may name it wrong."""
    random = np.random.default_rng(image_id)
    label_map = np.kron(np.arange(9).reshape(3, 3), np.ones((8, 8), dtype=np.int64)).astype(np.uint16)
    kinds = random.integers(0, 4, 8)
    crowds = (random.random(8) < 0.3) & (kinds < 2)
    mask_logits = np.full((12, SIDE, SIDE), -6, dtype=np.float16)
    embeddings = random.normal(0, 0.5, (12, 4)).astype(np.float32)
    for query in range(12):
        patch = query % 9
        mask_logits[query][(label_map == patch) & (random.random((SIDE, SIDE)) < 0.8)] = 6
        embeddings[query, kinds[patch - 1] if random.random() < 0.7 else random.integers(4)] += 3
    return ImagePrediction(
        image_id=image_id,
        height=SIDE,
        width=SIDE,
        content_height=SIDE,
        content_width=SIDE,
        input_px=SIDE,
        query_embeddings=embeddings,
        mask_logits=mask_logits,
        label_maps=label_map[None],
        segments=tuple(
            Segment(segment_id=1000 * label, class_index=int(kind), is_crowd=bool(is_crowd), area_px=64)
            for label, (kind, is_crowd) in enumerate(zip(kinds, crowds, strict=True), start=1)
        ),
    )


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return head_scorer("row", LinearClassifier(torch.eye(5, 4), torch.zeros(5)), UNSURE)


@pytest.fixture(scope="module")
def images() -> list[ImagePrediction]:
    return [noisy_image(image_id) for image_id in range(1, 13)]


@pytest.fixture(scope="module")
def folder(images: list[ImagePrediction], scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a run of these images, as `results` lists them."""
    folder = tmp_path_factory.mktemp("results")
    parts = [
        write_image(image, f"{image.image_id}.jpg", scorer, CLASSES, "panoptic", TASKS, folder) for image in images
    ]
    rows = zip(CLASSES.coco_ids, CLASSES.names, CLASSES.is_thing, strict=True)
    shared = {
        "images": [part["image"] for part in parts],
        "categories": [{"id": coco_id, "name": name, "isthing": int(thing)} for coco_id, name, thing in rows],
    }
    true = [entry for part in parts for entry in part["true_instances"]]
    files = {
        "panoptic.json": {**shared, "annotations": [entry for part in parts for entry in part["panoptic"]]},
        "truth/panoptic.json": {**shared, "annotations": [entry for part in parts for entry in part["true_panoptic"]]},
        "instances.json": [entry for part in parts for entry in part["instances"]],
        "boxes.json": [entry for part in parts for entry in part["boxes"]],
        "truth/instances.json": {**shared, "annotations": [{"id": i, **one} for i, one in enumerate(true, start=1)]},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def judged_files(folder: Path) -> dict[str, Judged]:
    split = Split(name="four", task="panoptic", classes=CLASSES)
    panoptic = Judged(
        task="panoptic",
        split=split,
        results=folder / "panoptic.json",
        truth=folder / "truth" / "panoptic.json",
        results_pngs=folder / "panoptic",
        truth_pngs=folder / "truth" / "panoptic",
    )
    masks = replace(
        panoptic, task="instance", results=folder / "instances.json", truth=folder / "truth" / "instances.json"
    )
    return {
        "panoptic": panoptic,
        "semantic": replace(
            panoptic, task="semantic", results=folder / "semantic", truth=folder / "truth" / "semantic"
        ),
        "segm": masks,
        "bbox": replace(masks, results=folder / "boxes.json", kind="bbox"),
    }


@pytest.mark.parametrize("which", ["panoptic", "semantic", "segm", "bbox"])
def test_files_score_as_the_images_do(which: str, folder: Path, images: list[ImagePrediction], scorer: Scorer) -> None:
    tally = ImageTally.total([evaluate_image(image, [scorer], CLASSES, TASKS)[0] for image in images])
    expected = metrics(tally, CLASSES)
    found = score_files(judged_files(folder)[which])
    shared = found.keys() & expected.keys()
    assert len(shared) >= 3
    for name in shared:
        assert 3 < expected[name] <= 100, name
        assert found[name] == pytest.approx(expected[name], abs=1e-9), name


@pytest.mark.parametrize("which", ["semantic", "segm", "bbox"])
def test_the_official_tools_count_the_same(which: str, folder: Path) -> None:
    judged = judged_files(folder)[which]
    quality = semantic_quality(judged) if which == "semantic" else instance_quality(judged)
    theirs = {key: value for name, values in quality.items() for key, value in with_all(name, values, CLASSES).items()}
    assert largest_difference(theirs, score_files(judged), {}) < 1e-9


def test_the_official_panoptic_tool_counts_the_same(folder: Path) -> None:
    pytest.importorskip("panopticapi")
    from jobs.official_tools import panoptic_quality

    judged = judged_files(folder)["panoptic"]
    theirs = {
        key: value
        for name, values in panoptic_quality(judged).items()
        for key, value in with_all(name, values, CLASSES).items()
    }
    assert largest_difference(theirs, score_files(judged), {}) < 1e-9


def test_only_the_tasks_that_are_asked_for_are_written(
    images: list[ImagePrediction], scorer: Scorer, tmp_path: Path
) -> None:
    part = write_image(images[0], "7.jpg", scorer, CLASSES, "panoptic", ("semantic",), tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")) == [
        "semantic/7.png",
        "truth/semantic/7.png",
    ]
    assert not part["panoptic"] + part["instances"] + part["true_instances"]
