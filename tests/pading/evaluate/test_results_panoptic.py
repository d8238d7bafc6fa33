"""Panoptic result files: read, refused with one clear error, and counted as panopticapi counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pading.classes import ClassTable
from pading.evaluate.results_panoptic import count_panoptic, read_panoptic_results, read_panoptic_truth
from pading.evaluate.results_scores import panoptic_scores


def table(*names: str, unseen: str) -> ClassTable:
    return ClassTable(
        name="own",
        names=names,
        coco_ids=tuple(range(1, len(names) + 1)),
        is_thing=(True,) * len(names),
        is_seen=tuple(name != unseen for name in names),
    )


CLASSES = table("dog", "cat", unseen="cat")


def save_ids(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)
    Image.fromarray(colours).save(path)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two images of 4 x 4: truth all dog 700 and all cat 3; found dog on three quarters, void, and cat on all."""
    whole, part = np.full((4, 4), 700), np.full((4, 4), 9)
    part[0] = 0
    for side, first, second in (("truth", whole, np.full((4, 4), 3)), ("results", part, np.full((4, 4), 70_000))):
        save_ids(tmp_path / side / "a.png", first)
        save_ids(tmp_path / side / "b.png", second)
    write(tmp_path / "results.json", result_file())
    true = [
        [{"id": 700, "category_id": 1, "iscrowd": 0, "area": 16}],
        [{"id": 3, "category_id": 2, "iscrowd": 0, "area": 16}],
    ]
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 4, "width": 4} for i in (1, 2)]
    annotations = [
        {"image_id": i, "file_name": f"{name}.png", "segments_info": info}
        for i, name, info in zip((1, 2), "ab", true, strict=True)
    ]
    categories = [{"id": i, "name": name, "isthing": 1} for i, name in ((1, "dog"), (2, "cat"))]
    write(tmp_path / "truth.json", {"images": images, "annotations": annotations, "categories": categories})
    return tmp_path


def result_file() -> dict[str, Any]:
    """As detectron2 and others write it, with less than COCO's truth has."""
    return {
        "annotations": [
            {"image_id": 2, "file_name": "b.png", "segments_info": [{"id": 70_000, "category_id": 2}]},
            {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 9, "category_id": 1}]},
        ]
    }


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def scores(files: Path) -> dict[str, float]:
    truth = read_panoptic_truth(files / "truth.json", files / "truth", CLASSES)
    results = read_panoptic_results(files / "results.json", files / "results", CLASSES, truth)
    return panoptic_scores(count_panoptic(truth, results, CLASSES), CLASSES)


def test_two_images_by_hand(files: Path) -> None:
    """The dog found lies in the true one: 12 of 16 pixels; the cat is exact. hm = 2 * 75 * 100 / 175."""
    found = scores(files)
    assert (found["pq/seen"], found["pq/unseen"], found["pq/all"]) == (75.0, 100.0, 87.5)
    assert found["pq/hm"] == pytest.approx(15_000 / 175)
    assert (found["sq/seen"], found["rq/seen"]) == (75.0, 100.0)


def test_an_image_without_segments_is_missed_not_refused(files: Path) -> None:
    content = result_file()
    content["annotations"][1]["segments_info"] = []
    save_ids(files / "results" / "a.png", np.zeros((4, 4), int))
    write(files / "results.json", content)
    assert scores(files)["pq/seen"] == 0.0


def changed(key: str, value: Any) -> dict[str, Any]:
    content = result_file()
    content["annotations"][1][key] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"annotations": result_file()["annotations"][:1]},
            r"has no entry of 1 images of .*truth\.json, the first of id 1",
        ),
        (changed("image_id", 5), r"results\.json: an entry is of image id 5, which .*truth\.json does not list; give"),
        (changed("image_id", 2), "image id 2 occurs twice"),
        (changed("image_id", "1"), "'image_id' is '1', not int"),
        (changed("file_name", "../truth/a.png"), "leads out of results/"),
        (changed("file_name", "none.png"), r"none\.png: is missing, but .*results\.json lists it for image id 1"),
        (changed("segments_info", None), "'segments_info' is None, not list"),
        (changed("segments_info", [{"id": 9, "category_id": 77}]), "category id 77 is not in class table 'own'"),
        (
            changed("segments_info", [{"id": 0, "category_id": 1}]),
            "segment id 0; use ids from 1 to 16777215; 0 is void",
        ),
        (changed("segments_info", [{"id": 2**24, "category_id": 1}]), "segment id 16777216; use ids from 1"),
        (changed("segments_info", [{"id": 9, "category_id": 1}] * 2), "a segment id occurs twice"),
        (changed("segments_info", []), r"a\.png: has segment id 9, which .*results\.json lacks for image id 1"),
        (
            changed("segments_info", [{"id": 9, "category_id": 1}, {"id": 8, "category_id": 1}]),
            r"a\.png: has no pixel of segment id 8, which .*results\.json lists",
        ),
        ([], "has no list of objects 'annotations'"),
    ],
)
def test_bad_results_are_one_clear_error(content: Any, message: str, files: Path) -> None:
    write(files / "results.json", content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        scores(files)


def test_a_png_that_ends_early_or_has_another_size_is_named(files: Path) -> None:
    path = files / "results" / "a.png"
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(ValueError, match=r"results/a\.png: is truncated or corrupt"):
        scores(files)
    save_ids(path, np.full((4, 5), 9))
    with pytest.raises(ValueError, match=r"results/a\.png: is 5 x 4 pixels, but 4 x 4 in .*results\.json"):
        scores(files)
    Image.new("L", (4, 4)).save(path)
    with pytest.raises(ValueError, match=r"results/a\.png: is a PNG of mode L; give the panoptic PNG"):
        scores(files)


def test_json_that_ends_early_is_named(files: Path) -> None:
    path = files / "results.json"
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ValueError, match=r"results\.json: is truncated or corrupt"):
        scores(files)


def test_files_of_a_real_photo_score_as_panopticapi_says(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "metric_oracles" / "pq_deeplab2_team"
    expected = json.loads((folder / "expected.json").read_text())["panopticapi"]
    truth_file = json.loads((folder / "panoptic_gt.json").read_text())
    num_classes = max(int(category) for category in expected["per_class"])
    classes = table(*(f"class {i}" for i in range(1, num_classes + 1)), unseen="class 2")
    truth_file["categories"] = [
        {"id": coco_id, "name": name, "isthing": 1}
        for coco_id, name in zip(classes.coco_ids, classes.names, strict=True)
    ]
    write(tmp_path / "truth.json", truth_file)
    truth = read_panoptic_truth(tmp_path / "truth.json", folder / "panoptic_gt", classes)
    results = read_panoptic_results(folder / "panoptic_pred.json", folder / "panoptic_pred", classes, truth)
    found = panoptic_scores(count_panoptic(truth, results, classes), classes)
    for name in ("pq", "sq", "rq"):
        assert found[f"{name}/all"] == pytest.approx(100 * expected["All"][name], abs=1e-10)
        assert found[f"{name}/seen"] == pytest.approx(100 * expected["per_class"]["1"][name], abs=1e-10)
        assert found[f"{name}/unseen"] == pytest.approx(100 * expected["per_class"]["2"][name], abs=1e-10)
