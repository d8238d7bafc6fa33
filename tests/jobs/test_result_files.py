"""What `predict` writes for one photo, read back by COCO's own tools."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jobs.prediction_journal import Journal
from jobs.prediction_lists import write_prediction_lists
from jobs.result_files import Output, ResultFiles, possible_outputs
from jobs.sources import Source
from pading.classes import ClassTable
from pading.data.coco.masks import decompress
from pading.data.sample import Segment
from pading.evaluate import results
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.evaluate.scorer import head_scorer
from pading.splits.split import JUDGED, Task
from pading.zeroshot.classifier import LinearClassifier

SIZE = 8


def table(sky_id: int = 187) -> ClassTable:
    return ClassTable(
        name="three",
        names=("dog", "cat", "sky"),
        coco_ids=(18, 17, sky_id),
        is_thing=(True, True, False),
        is_seen=(True, False, True),
    )


def prediction() -> ImagePrediction:
    """The left half is the mask of one query, the right half of another, a third one has no pixel."""
    mask_logits = np.full((3, SIZE, SIZE), -10, dtype=np.float16)
    mask_logits[0, :, : SIZE // 2] = mask_logits[1, :, SIZE // 2 :] = 10
    return ImagePrediction(
        image_id=4,
        height=SIZE,
        width=SIZE,
        content_height=SIZE,
        content_width=SIZE,
        input_px=SIZE,
        query_embeddings=np.eye(3, dtype=np.float32),
        mask_logits=mask_logits,
        label_maps=np.zeros((1, SIZE, SIZE), np.uint16),
        segments=tuple[Segment, ...](),
    )


def says(*labels: int) -> LinearClassifier:
    """A head that is sure of the class of each unit embedding."""
    return LinearClassifier(20 * torch.nn.functional.one_hot(torch.tensor(labels), 4).T.float(), torch.zeros(4))


def result_files(folder: Path, task: Task = "panoptic", classes: ClassTable | None = None) -> ResultFiles:
    return ResultFiles(
        folder=folder,
        classes=classes or table(),
        task=task,
        scorer=head_scorer("row", says(1, 2, 3), InferenceConfig()),
        outputs=possible_outputs(task),
    )


def write_all(files: ResultFiles, images: dict[str, ImagePrediction]) -> None:
    """What `predict` does with photos that are read and predicted."""
    sources = [Source(name=name, path=Path(name), kind="photo", stamp="one") for name in images]
    journal = Journal.open(files.folder, {}, again=True)
    for name, image in images.items():
        grey = np.full((image.height, image.width, 3), 128, np.uint8)
        written = files.write(name, grey, image)
        journal.add({"file_name": f"{name}.jpg", **written.entry}, "one")
    write_prediction_lists(journal, sources, files)
    journal.close()


def written(folder: Path, task: Task = "panoptic", classes: ClassTable | None = None) -> None:
    write_all(result_files(folder, task, classes), {"4": prediction()})


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_one_model_writes_three_outputs(tmp_path: Path) -> None:
    written(tmp_path)
    ids = pixels(tmp_path / "4.png").astype(int) @ [1, 256, 65536]
    (annotation,) = json.loads((tmp_path / "panoptic.json").read_text())["annotations"]
    names = {info["id"]: info["category_id"] for info in annotation["segments_info"]}
    left, right = np.s_[:, : SIZE // 2], np.s_[:, SIZE // 2 :]
    assert {names[i] for i in ids[left].ravel()} == {17}
    assert {names[i] for i in ids[right].ravel()} == {187}
    semantic = pixels(tmp_path / "4_semantic.png")
    assert (semantic.dtype, set(semantic[left].ravel()), set(semantic[right].ravel())) == (np.uint8, {17}, {187})
    best = json.loads((tmp_path / "instances.json").read_text())[0]
    assert (best["image_id"], best["category_id"]) == (4, 17)
    assert best["score"] == pytest.approx(1.0, abs=1e-3)
    counts = decompress(best["segmentation"]["counts"].encode())
    assert (best["segmentation"]["size"], counts.tolist()) == ([SIZE, SIZE], [0, 32, 32])  # down the columns
    assert best["bbox"] == [0, 0, 4, 8]
    assert pixels(tmp_path / "4_overlay.png").shape[1] == 480  # small photos are enlarged, and have a legend


def test_instances_are_things_with_pixels(tmp_path: Path) -> None:
    written(tmp_path)
    results = json.loads((tmp_path / "instances.json").read_text())
    assert {result["category_id"] for result in results} == {17, 18}
    assert len(results) == 4  # two queries with pixels, each tried as either thing
    assert all(coco_mask.area(result["segmentation"]) > 0 for result in results)


def noisy_prediction(image_id: int, classes: ClassTable) -> ImagePrediction:
    """Six segments of a random image, some of them crowds, and queries that shift and thin them and guess a class."""
    random = np.random.default_rng(image_id)
    label_map = np.kron(random.integers(0, 7, (3, 3)), np.ones((6, 6), dtype=np.int64)).astype(np.uint16)
    kinds = random.integers(0, classes.num_classes, 6)
    crowds = (random.random(6) < 0.2) & np.array(classes.is_thing)[kinds]
    mask_logits = np.full((20, 18, 18), -6, dtype=np.float16)
    embeddings = random.normal(0, 1, (20, 4)).astype(np.float32)
    for query in range(20):
        segment = random.integers(6)
        mask = np.roll(label_map == segment + 1, tuple(random.integers(-1, 2, 2)), (0, 1))
        mask_logits[query][mask & (random.random((18, 18)) < 0.9)] = 6
        embeddings[query, kinds[segment]] += 3
    return ImagePrediction(
        image_id=image_id,
        height=18,
        width=18,
        content_height=18,
        content_width=18,
        input_px=18,
        query_embeddings=embeddings,
        mask_logits=mask_logits,
        label_maps=label_map[None],
        segments=tuple(
            Segment(segment_id=i, class_index=int(kind), is_crowd=bool(is_crowd), area_px=1)
            for i, (kind, is_crowd) in enumerate(zip(kinds, crowds, strict=True))
        ),
    )


def coco_truth(images: list[ImagePrediction], classes: ClassTable) -> COCO:
    annotations = []
    for image in images:
        for label, segment in enumerate(image.segments, start=1):
            if classes.is_thing[segment.class_index]:
                encoded = coco_mask.encode(np.asfortranarray(image.label_map == label).astype(np.uint8))
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image.image_id,
                        "category_id": classes.coco_ids[segment.class_index],
                        "iscrowd": int(segment.is_crowd),
                        "segmentation": encoded,
                        "area": float(coco_mask.area(encoded)),
                        "bbox": coco_mask.toBbox(encoded).tolist(),
                    }
                )
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": image.image_id, "height": 18, "width": 18} for image in images],
        "annotations": annotations,
        "categories": [{"id": coco_id, "name": str(coco_id)} for coco_id in classes.coco_ids],
    }
    truth.createIndex()
    return truth


def by_mask(path: Path) -> list[dict[str, Any]]:
    """A result that has a box too would be taken for a box."""
    return [{key: value for key, value in entry.items() if key != "bbox"} for entry in json.loads(path.read_text())]


def test_the_files_of_one_model_score_as_its_rows_of_the_leaderboard_say(tmp_path: Path) -> None:
    """Instances by COCO's own tool, classes of pixels by counting them; both against one panoptic evaluation."""
    classes, head = table(), says(0, 1, 2, 3)
    head.weight.data *= 0.1  # unsure, so that guesses rank differently
    images = [noisy_prediction(image_id, classes) for image_id in range(1, 7)]
    scorer = head_scorer("row", head, InferenceConfig())
    files = replace(result_files(tmp_path), scorer=scorer)
    write_all(files, {str(image.image_id): image for image in images})
    tally = ImageTally.total([evaluate_image(image, [scorer], classes, JUDGED["panoptic"])[0] for image in images])

    truth = coco_truth(images, classes)
    evaluation = COCOeval(truth, truth.loadRes(by_mask(tmp_path / "instances.json")), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    cat, dog = 100 * evaluation.eval["precision"][0, :, :2, 0, -1].mean(axis=0)  # IoU 0.5; ids 17 and 18
    found = metrics(tally.of_task("instance"), classes)
    assert 10 < cat < 95
    assert (found["ap50/unseen"], found["ap50/seen"]) == pytest.approx((cat, dog))

    called = np.concatenate([pixels(tmp_path / f"{image.image_id}_semantic.png").ravel() for image in images])
    void = [0]
    true = np.concatenate(
        [
            np.array(void + [classes.coco_ids[s.class_index] for s in image.segments])[image.label_map].ravel()
            for image in images
        ]
    )
    iou = {
        coco_id: ((called == coco_id) & (true == coco_id)).sum()
        / (((called == coco_id) | (true == coco_id)) & (true > 0)).sum()
        for coco_id in classes.coco_ids
    }
    found = metrics(tally.of_task("semantic"), classes)
    assert found["miou/unseen"] == pytest.approx(100 * iou[17])
    assert found["miou/seen"] == pytest.approx(50 * (iou[18] + iou[187]))


@pytest.mark.parametrize(
    ("task", "names"),
    [("semantic", {"4_semantic.png"}), ("instance", {"instances.json"})],
)
def test_a_task_of_its_own_has_no_output_that_its_model_was_not_made_for(
    task: Task, names: set[str], tmp_path: Path
) -> None:
    written(tmp_path, task)
    others = {"4.png", "4_overlay.png", "panoptic.json", "predictions.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == names | others


def test_large_ids_take_a_picture_of_sixteen_bits(tmp_path: Path) -> None:
    written(tmp_path, classes=table(sky_id=70_00))
    assert 7000 in pixels(tmp_path / "4_semantic.png")


@pytest.mark.parametrize("output", ["panoptic", "semantic", "instances", "overlay"])
def test_only_what_is_asked_for_is_written(output: Output, tmp_path: Path) -> None:
    write_all(replace(result_files(tmp_path), outputs=(output,)), {"4": prediction()})
    expected = {
        "panoptic": {"4.png", "panoptic.json"},
        "semantic": {"4_semantic.png"},
        "instances": {"instances.json"},
        "overlay": {"4_overlay.png"},
    }
    assert {path.name for path in tmp_path.iterdir()} == expected[output] | {"predictions.jsonl"}


def test_a_photo_too_large_for_memory_is_judged_smaller_and_its_results_are_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PIXELS_JUDGED", 64)
    large = replace(prediction(), height=80, width=80, label_maps=np.zeros((1, 80, 80), np.uint16))
    write_all(result_files(tmp_path), {"4": large})
    ids = pixels(tmp_path / "4.png")[..., 0]
    (left, right) = (set(half.ravel()) for half in (ids[:, :40], ids[:, 40:]))
    assert ids.shape == (80, 80)
    assert len(left) == len(right) == 1
    assert left != right
    (annotation,) = json.loads((tmp_path / "panoptic.json").read_text())["annotations"]
    assert [info["area"] for info in annotation["segments_info"]] == [3200, 3200]
    best = json.loads((tmp_path / "instances.json").read_text())[0]
    assert coco_mask.area(best["segmentation"]) == 3200
    assert best["bbox"] == [0, 0, 40, 80]
