"""The files of the shapes world are COCO's: read back by pycocotools, by pixels, and independent of who wrote them."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from pading.data.coco.source import load, read
from pading.shapes.classes import shapes_classes
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene
from pading.shapes.writer import write_annotations, write_images, write_shapes_world
from pading.splits.published import find_split

CONFIG = ShapesConfig(num_train=40, num_val=6, seed=3)
TABLE = shapes_classes()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    write_shapes_world(root, CONFIG)
    return root


def file_bytes(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_layout_is_that_of_coco(world):
    names = set(file_bytes(world))
    jsons = {f"annotations/{kind}_{split}2017.json" for kind in ("panoptic", "instances") for split in ("train", "val")}
    folders = {
        f"{folder}.{suffix}"
        for split, first in (("train", 1), ("val", 1_000_001))
        for number in range(first, first + CONFIG.num_images(split))
        for folder, suffix in (
            (f"{split}2017/{number:012d}", "jpg"),
            (f"annotations/panoptic_{split}2017/{number:012d}", "png"),
            (f"stuffthingmaps_trainval2017/{split}2017/{number:012d}", "png"),
        )
    }
    assert names == jsons | folders


def test_panoptic_pixels_segments_info_and_scene_agree(world):
    document = json.loads((world / "annotations" / "panoptic_train2017.json").read_text())
    assert [entry["id"] for entry in document["categories"]] == list(TABLE.coco_ids)
    assert {"info", "licenses", "images", "annotations", "categories"} == set(document)
    for index, annotation in enumerate(document["annotations"]):
        scene = render_scene(CONFIG, "train", index)
        pixels = np.asarray(Image.open(world / "annotations" / "panoptic_train2017" / annotation["file_name"])).astype(
            int
        )
        ids = pixels @ [1, 256, 65536]
        assert np.array_equal(ids, scene.id_map)
        assert len(annotation["segments_info"]) == len(scene.segments)
        for entry, segment in zip(annotation["segments_info"], scene.segments, strict=True):
            rows, columns = np.nonzero(ids == entry["id"])
            left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert entry["bbox"] == [left, top, right - left, bottom - top]
            assert entry["area"] == len(rows) == segment.area_px
            assert TABLE.index(entry["category_id"]) == segment.class_index
            assert entry["iscrowd"] == segment.is_crowd


def test_stuff_thing_values_are_coco_ids_less_one(world):
    for index in range(CONFIG.num_train):
        scene = render_scene(CONFIG, "train", index)
        path = world / "stuffthingmaps_trainval2017" / "train2017" / f"{index + 1:012d}.png"
        values = np.asarray(Image.open(path))
        assert values.dtype == np.uint8
        assert (values[scene.label_map == 0] == 255).all()
        for position, segment in enumerate(scene.segments):
            assert (values[scene.label_map == position + 1] == TABLE.coco_ids[segment.class_index] - 1).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools under numpy 2
def test_pycocotools_reads_exactly_our_masks(world, capsys):
    coco = COCO(world / "annotations" / "instances_train2017.json")
    capsys.readouterr()
    num_crowds = 0
    for index in range(CONFIG.num_train):
        scene = render_scene(CONFIG, "train", index)
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[index + 1]))
        expected = [p for p, segment in enumerate(scene.segments) if TABLE.is_thing[segment.class_index]]
        assert len(annotations) == len(expected)
        for annotation, position in zip(annotations, expected, strict=True):
            assert np.array_equal(coco.annToMask(annotation), scene.label_map == position + 1)
            assert annotation["category_id"] == TABLE.coco_ids[scene.segments[position].class_index]
            num_crowds += annotation["iscrowd"]
    assert num_crowds > 0


def test_photos_look_like_their_scenes(world):
    for index in range(5):
        scene = render_scene(CONFIG, "val", index)
        photo = np.asarray(Image.open(world / "val2017" / f"{1_000_001 + index:012d}.jpg"))
        assert photo.shape == scene.image.shape
        assert np.abs(photo.astype(float) - scene.image).mean() < 12


def test_the_reader_of_coco_folders_takes_the_world(world):
    split = find_split("shapes-panoptic")
    records = read(world, split, "train")
    assert len(records) == CONFIG.num_train
    for index, record in enumerate(records):
        sample = load(record, split, "train").sample
        scene = render_scene(CONFIG, "train", index)
        assert np.array_equal(sample.label_map, scene.label_map)
        assert sample.segments == scene.segments


def test_image_and_annotation_ids_are_distinct_across_splits(world):
    documents = [json.loads((world / "annotations" / f"instances_{s}2017.json").read_text()) for s in ("train", "val")]
    for key in ("images", "annotations"):
        ids = [entry["id"] for document in documents for entry in document[key]]
        assert len(set(ids)) == len(ids)


def test_any_division_of_the_work_writes_the_same_bytes(world, tmp_path):
    shares = [range(1, 40, 2), [38, 0, *range(2, 38, 2)]]
    records = [record for share in shares for record in write_images(tmp_path, CONFIG, "train", share)]
    write_annotations(tmp_path, CONFIG, "train", json.loads(json.dumps(records)))
    records = write_images(tmp_path, CONFIG, "val", range(6))
    write_annotations(tmp_path, CONFIG, "val", records[::-1])
    assert file_bytes(tmp_path) == file_bytes(world)


@pytest.mark.parametrize("indices", [[0, 1], [0, 1, 2, 2], [0, 1, 1]])
def test_a_missing_or_repeated_image_is_noticed(indices, tmp_path):
    config = ShapesConfig(num_train=3)
    records = write_images(tmp_path, config, "train", indices)
    message = f"split 'train' has 3 images but {len(indices)} records ({len(set(indices))} distinct)"
    with pytest.raises(ValueError, match=re.escape(message)):
        write_annotations(tmp_path, config, "train", records)
    assert not (tmp_path / "annotations" / "panoptic_train2017.json").exists()


def test_an_unknown_split_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="split 'test' is none of"):
        write_images(tmp_path, CONFIG, "test", [0])
    assert not list(tmp_path.iterdir())
