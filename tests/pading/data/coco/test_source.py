import json
import pickle
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO

from pading.data.coco.record import ImageRecord
from pading.data.coco.source import choose, load, read, scan
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene
from pading.shapes.writer import write_shapes_world
from pading.splits.published import find_split

SHAPES = ("shapes-panoptic", "shapes-semantic", "shapes-instances")
CONFIG = ShapesConfig(num_train=30, num_val=4, seed=5)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    write_shapes_world(root, CONFIG)
    return root


def choices(root, split, part):
    return Counter(choose(record, split, part) for record in read(root, split, part))


def mini_instances(name):
    """One of ZSI's splits over a folder of photos of 2017."""
    return replace(find_split(name), train="train2017", val="train2017")


@pytest.mark.parametrize("name", SHAPES)
def test_every_task_reads_the_same_images_in_the_same_order(world, name):
    split = find_split(name)
    for part, count in (("train", 30), ("val", 4)):
        records = read(world, split, part)
        assert len(records) == count
        assert [record.image_id for record in records] == sorted(record.image_id for record in records)
        assert {record.image_path.parent.name for record in records} == {f"{part}2017"}


@pytest.mark.parametrize("name", SHAPES)
def test_records_survive_the_way_between_processes(world, name):
    records = read(world, find_split(name), "train")
    assert pickle.loads(pickle.dumps(records)) == records


@pytest.mark.parametrize("name", SHAPES)
def test_each_task_has_the_pixels_that_were_painted(world, name):
    """Per class: void and hidden classes aside, the scene says which class each pixel is of."""
    split = find_split(name)
    panoptic = find_split("shapes-panoptic").classes
    of_scene = {coco_id: index for index, coco_id in enumerate(panoptic.coco_ids)}
    for index, record in enumerate(read(world, split, "val")):
        scene = render_scene(CONFIG, "val", index)
        scene_classes = np.array([-1, *(segment.class_index for segment in scene.segments)])[scene.label_map]
        sample = load(record, split, "val").sample
        for class_index, coco_id in enumerate(split.classes.coco_ids):
            labels = [i for i, each in enumerate(sample.segments, start=1) if each.class_index == class_index]
            shown = np.isin(sample.label_maps, labels).any(axis=0)
            np.testing.assert_array_equal(shown, scene_classes == of_scene[coco_id])


def test_an_image_is_unseen_for_panoptic_training_if_any_segment_is_crowd_or_not(folder, split):
    records = read(folder.root, split, "train")
    assert [choose(record, split, "train") for record in records] == ["kept", "unseen", "unseen"]
    assert {choose(record, split, "val") for record in records} == {"kept"}


def test_semantic_data_keeps_every_image_and_hides_unseen_pixels_from_training_alone(world):
    split = find_split("shapes-semantic")
    assert choices(world, split, "train") == {"kept": 30}
    hidden = 0
    for record in read(world, split, "train"):
        training, whole = load(record, split, "train"), load(record, split, "val")
        unseen = [s for s in whole.sample.segments if s.class_index in split.classes.unseen]
        assert training.hidden_px == sum(segment.area_px for segment in unseen)
        assert whole.hidden_px == 0
        assert [s for s in whole.sample.segments if s not in unseen] == list(training.sample.segments)
        assert (whole.sample.label_map > 0).sum() - (training.sample.label_map > 0).sum() == training.hidden_px
        hidden += training.hidden_px
    assert hidden > 0


def test_instance_images_are_chosen_by_their_objects(world):
    split = find_split("shapes-instances")
    for part in ("train", "val"):
        for record in read(world, split, part):
            seen = [split.classes.is_seen[split.classes.index(each.coco_id)] for each in record.objects]
            if part == "val":
                expected = "no-unseen" if all(seen) else "kept"
            else:
                expected = "empty" if not seen else "kept" if all(seen) else "unseen"
            assert choose(record, split, part) == expected


def test_nothing_but_the_annotation_file_is_opened(world, tmp_path):
    root = tmp_path / "world"
    shutil.copytree(world, root)
    for pattern in ("*/*.jpg", "**/*.png"):
        for path in root.glob(pattern):
            path.write_bytes(b"")
    for name in SHAPES:
        assert len(list(scan(root, find_split(name), "train"))) == 30


def test_reading_stops_at_the_first_flaw(folder, split):
    folder.edit(lambda document: document["images"].append(document["images"][0]))
    with pytest.raises(ValueError, match=r"panoptic_train2017\.json: image id 1 occurs twice in 'images'; keep one"):
        read(folder.root, split, "train")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("coco-panoptic-119-14", "a COCO panoptic folder has"),
        ("coco-stuff-156-15", "a COCO-Stuff folder has"),
        ("coco-instances-48-17", "a COCO instance folder has train2014"),
    ],
)
def test_a_folder_of_another_layout_is_refused(tmp_path, name, what):
    with pytest.raises(FileNotFoundError, match=what):
        next(scan(tmp_path, find_split(name), "train"))


def test_a_record_of_no_reader_is_refused(tmp_path, split):
    record = ImageRecord(image_id=1, file_name="a", image_path=tmp_path, annotation_path=tmp_path)
    with pytest.raises(TypeError, match="no reader of ImageRecord"):
        load(record, split, "train")


def test_real_panoptic_training_images_free_of_unseen_classes_are_31_of_100(real_data):
    split = find_split("coco-panoptic-119-14")
    assert choices(real_data / "coco_mini", split, "train") == {"kept": 31, "unseen": 69}
    assert choices(real_data / "coco_mini", split, "val") == {"kept": 50}


@pytest.mark.parametrize(
    ("name", "train", "val"),
    [
        ("coco-instances-48-17", {"kept": 81, "unseen": 76, "empty": 3}, {"kept": 76, "no-unseen": 84}),
        ("coco-instances-65-15", {"kept": 107, "unseen": 53}, {"kept": 53, "no-unseen": 107}),
    ],
)
def test_real_instance_images_are_kept_or_left_out_as_counted_in_the_json(real_data, name, train, val):
    root, split = real_data / "coco_instances_mini", mini_instances(name)
    assert choices(root, split, "train") == train
    assert choices(root, split, "val") == val
    unseen = {split.classes.coco_ids[index] for index in split.classes.unseen}
    assert _literal_choices(root, set(split.classes.coco_ids), unseen) == train


def _literal_choices(root, of_the_split, unseen):
    """The same counts, straight from the file."""
    document = json.loads((root / "annotations" / "instances_train2017.json").read_text())
    counts = Counter()
    for image in document["images"]:
        found = {entry["category_id"] for entry in document["annotations"] if entry["image_id"] == image["id"]}
        counts["unseen" if found & unseen else "kept" if found & of_the_split else "empty"] += 1
    return counts


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools under numpy 2
def test_real_objects_have_the_pixels_of_the_official_tool_each_in_one_layer(real_data):
    root, split = real_data / "coco_instances_mini", mini_instances("coco-instances-65-15")
    official = COCO(root / "annotations" / "instances_train2017.json")
    num_objects = 0
    for record in read(root, split, "val")[:40]:
        sample = load(record, split, "val").sample
        assert len(sample.segments) == len(record.objects)
        for label, (segment, listed) in enumerate(zip(sample.segments, record.objects, strict=True), start=1):
            mask = official.annToMask(official.anns[listed.annotation_id]).astype(bool)
            shown = sample.label_maps == label
            np.testing.assert_array_equal(shown.any(axis=0), mask)
            assert shown.any(axis=(1, 2)).sum() == 1
            assert segment.area_px == mask.sum()
            num_objects += 1
    assert num_objects > 200
