import shutil
from pathlib import Path

import pytest

from pading.data.coco.layout import STUFF_FOLDERS, find_instances, find_panoptic, find_stuff, path_inside
from pading.splits.published import find_split


def test_label_images_may_lie_among_the_annotations(folder):
    assert find_panoptic(folder.root, "train2017").labels == folder.root / "annotations" / "panoptic_train2017"


def test_label_images_may_lie_beside_the_photos(folder_with_labels_beside_photos):
    root = folder_with_labels_beside_photos.root
    assert find_panoptic(root, "train2017").labels == root / "panoptic_train2017"


def test_a_missing_folder_gets_one_line_with_the_expected_layout(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        find_panoptic(tmp_path / "nowhere", "train2017")
    message = str(error.value)
    assert "\n" not in message
    assert (
        f"{tmp_path}/nowhere: no annotations/panoptic_train2017.json, train2017/, annotations/panoptic_train2017/;"
        in (message)
    )
    assert "a COCO panoptic folder has train2017/*.jpg, annotations/panoptic_train2017.json" in message


def test_only_what_is_missing_is_named(folder):
    shutil.rmtree(folder.root / "val2017")
    with pytest.raises(FileNotFoundError, match="coco: no val2017/; a COCO panoptic folder"):
        find_panoptic(folder.root, "val2017")


@pytest.mark.parametrize(
    "name", ["../a.jpg", "b/../../a.jpg", "/etc/a.jpg", "..\\a.jpg", "C:\\a.jpg", "\\a.jpg", "", "."]
)
def test_names_that_lead_out_of_the_folder_are_refused(name):
    with pytest.raises(ValueError, match=r"a\.json: file_name .* leads out of photos/"):
        path_inside(Path("photos"), name, Path("a.json"))


@pytest.mark.parametrize("name", ["a\0.jpg", "a\n.jpg", "a\x7f.jpg", "a\x85.jpg", "a\u2028.jpg", "a\ud800.jpg"])
def test_names_that_break_a_line_or_a_path_are_refused(name):
    with pytest.raises(ValueError, match=r"a\.json: file_name 'a\\.*\.jpg' has control characters; rename") as error:
        path_inside(Path("photos"), name, Path("a.json"))
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["a.jpg", "part1/a.jpg", "..a.jpg", "ä b.jpg"])
def test_names_inside_the_folder_are_kept(name):
    assert path_inside(Path("photos"), name, Path("a.json")) == Path("photos") / name


def make(root, *names):
    for name in names:
        path = root / name
        folder = path.parent if path.suffix else path
        folder.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_text("{}")


@pytest.mark.parametrize(("pattern", "coding"), STUFF_FOLDERS)
def test_label_maps_are_found_in_every_folder_in_use(tmp_path, pattern, coding):
    make(tmp_path, "val2017", pattern.format("val2017"))
    layout = find_stuff(tmp_path, "val2017")
    assert (layout.images, layout.labels, layout.coding) == (
        tmp_path / "val2017",
        tmp_path / pattern.format("val2017"),
        coding,
    )


def test_label_maps_as_shipped_are_preferred(tmp_path):
    make(tmp_path, "val2017", *(pattern.format("val2017") for pattern, _ in reversed(STUFF_FOLDERS)))
    assert find_stuff(tmp_path, "val2017").labels == tmp_path / "stuffthingmaps_trainval2017" / "val2017"


def test_a_folder_without_label_maps_gets_every_folder_that_would_do(tmp_path):
    make(tmp_path, "stuffthingmaps_trainval2017/train2017")
    with pytest.raises(FileNotFoundError) as error:
        find_stuff(tmp_path, "val2017")
    assert str(error.value) == (
        f"{tmp_path}: no val2017/, stuffthingmaps_trainval2017/val2017/; a COCO-Stuff folder has val2017/*.jpg and "
        "stuffthingmaps_trainval2017/val2017/*.png (or annotations/stuffthingmaps_trainval2017/val2017/, "
        "coco_stuff/annotations/val2017/, coco_stuff/annotations_detectron2/val2017/, "
        "coco_stuff/annotations_detectron2/val2017_all/, stuffthingmaps_detectron2/val2017/)"
    )


def test_the_released_files_of_a_split_come_before_cocos_own(tmp_path):
    split = find_split("coco-instances-48-17")
    make(tmp_path, "train2014", "val2014", "annotations/instances_train2014.json", "annotations/instances_val2014.json")
    layout = find_instances(tmp_path, split, "train")
    assert (layout.annotations.name, layout.images, layout.is_zsi) == (
        "instances_train2014.json",
        tmp_path / "train2014",
        False,
    )
    make(tmp_path, *(f"annotations/ZSIS/instances_{name}_48_17.json" for name in ("train2014_seen", "val2014_gzsi")))
    for part, name in (("train", "instances_train2014_seen_48_17.json"), ("val", "instances_val2014_gzsi_48_17.json")):
        layout = find_instances(tmp_path, split, part)
        assert (layout.annotations, layout.is_zsi) == (tmp_path / "annotations" / "ZSIS" / name, True)
    assert not find_instances(tmp_path, find_split("coco-instances-65-15"), "train").is_zsi


def test_other_splits_take_cocos_own_file(tmp_path):
    make(
        tmp_path, "val2017", "annotations/instances_val2017.json", "annotations/ZSIS/instances_val2017_gzsi_48_17.json"
    )
    assert not find_instances(tmp_path, find_split("shapes-instances"), "val").is_zsi


def test_an_instance_folder_without_annotations_is_told_both_names(tmp_path):
    make(tmp_path, "val2014")
    with pytest.raises(FileNotFoundError) as error:
        find_instances(tmp_path, find_split("coco-instances-48-17"), "val")
    assert str(error.value) == (
        f"{tmp_path}: no annotations/instances_val2014.json; a COCO instance folder has val2014/*.jpg and "
        "annotations/instances_val2014.json (or annotations/ZSIS/instances_val2014_gzsi_48_17.json)"
    )
