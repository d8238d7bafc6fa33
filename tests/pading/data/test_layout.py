import shutil
from pathlib import Path

import pytest

from pading.data.layout import find_panoptic, path_inside


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
    "name", ["../a.jpg", "b/../../a.jpg", "/etc/a.jpg", "..\\a.jpg", "C:\\a.jpg", "\\a.jpg", "", ".", "a\0.jpg"]
)
def test_names_that_lead_out_of_the_folder_are_refused(name):
    with pytest.raises(ValueError, match=r"a\.json: file_name .* leads out of photos/"):
        path_inside(Path("photos"), name, Path("a.json"))


@pytest.mark.parametrize("name", ["a.jpg", "part1/a.jpg", "..a.jpg"])
def test_names_inside_the_folder_are_kept(name):
    assert path_inside(Path("photos"), name, Path("a.json")) == Path("photos") / name
