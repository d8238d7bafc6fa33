"""What `predict` writes for one photo, read back by COCO's own tools."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from jobs.result_files import ResultFiles
from pading.classes import ClassTable
from pading.data.coco.masks import decompress
from pading.data.sample import Segment
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction
from pading.splits.split import Task
from pading.zeroshot.classifier import LinearClassifier

SIZE = 8
PHOTO = np.full((SIZE, SIZE, 3), 128, dtype=np.uint8)


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


def written(folder: Path, task: Task = "panoptic", classes: ClassTable | None = None) -> ResultFiles:
    files = ResultFiles(folder=folder, classes=classes or table(), task=task, inference=InferenceConfig())
    files.add("photo", PHOTO, prediction(), says(1, 2, 3))
    files.finish()
    return files


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_one_model_writes_three_outputs(tmp_path: Path) -> None:
    written(tmp_path)
    ids = pixels(tmp_path / "photo.png").astype(int) @ [1, 256, 65536]
    (annotation,) = json.loads((tmp_path / "panoptic.json").read_text())["annotations"]
    names = {info["id"]: info["category_id"] for info in annotation["segments_info"]}
    left, right = np.s_[:, : SIZE // 2], np.s_[:, SIZE // 2 :]
    assert {names[i] for i in ids[left].ravel()} == {17}
    assert {names[i] for i in ids[right].ravel()} == {187}
    semantic = pixels(tmp_path / "photo_semantic.png")
    assert (semantic.dtype, set(semantic[left].ravel()), set(semantic[right].ravel())) == (np.uint8, {17}, {187})
    best = json.loads((tmp_path / "instances.json").read_text())[0]
    assert (best["image_id"], best["category_id"]) == (4, 17)
    assert best["score"] == pytest.approx(1.0, abs=1e-3)
    counts = decompress(best["segmentation"]["counts"].encode())
    assert (best["segmentation"]["size"], counts.tolist()) == ([SIZE, SIZE], [0, 32, 32])  # down the columns
    assert pixels(tmp_path / "photo_overlay.png").shape == (SIZE, SIZE, 3)


def test_instances_are_things_with_pixels(tmp_path: Path) -> None:
    written(tmp_path)
    results = json.loads((tmp_path / "instances.json").read_text())
    assert {result["category_id"] for result in results} == {17, 18}
    assert len(results) == 4  # two queries with pixels, each tried as either thing
    assert all(coco_mask.area(result["segmentation"]) > 0 for result in results)


@pytest.mark.parametrize(
    ("task", "names"),
    [("semantic", {"photo_semantic.png"}), ("instance", {"instances.json"})],
)
def test_a_task_of_its_own_has_no_output_that_its_model_was_not_made_for(
    task: Task, names: set[str], tmp_path: Path
) -> None:
    written(tmp_path, task)
    assert {path.name for path in tmp_path.iterdir()} == names | {"photo.png", "photo_overlay.png", "panoptic.json"}


def test_large_ids_take_a_picture_of_sixteen_bits(tmp_path: Path) -> None:
    written(tmp_path, classes=table(sky_id=70_00))
    assert 7000 in pixels(tmp_path / "photo_semantic.png")


@pytest.mark.parametrize("name", ["photo", "photo_overlay"])
def test_a_photo_may_not_overwrite_the_results_of_another(name: str, tmp_path: Path) -> None:
    files = written(tmp_path)
    with pytest.raises(
        ValueError, match=r"two photos would both be written to .*photo.*\.png; predict them separately"
    ):
        files.add(name, PHOTO, prediction(), says(1, 2, 3))
