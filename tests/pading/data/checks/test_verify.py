import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pading.data.checks.findings import MAX_FINDINGS_SHOWN, Finding
from pading.data.checks.survey import survey
from pading.data.checks.verify import verify, with_findings
from pading.shapes.layout import ShapesConfig
from pading.shapes.writer import write_shapes_world
from pading.splits.published import find_split
from pading.splits.split import Expectation
from tests.references.damaged_images import png_16_bit_colours

NO_DOG_IN_VAL = "has no segment of 1 of the 1 unseen classes in the images kept: dog"


@pytest.fixture(scope="module")
def shapes_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes")
    write_shapes_world(root, ShapesConfig(num_train=6, num_val=3))
    return root


@pytest.fixture
def shapes_copy(shapes_root, tmp_path):
    return shutil.copytree(shapes_root, tmp_path / "copy")


def train_of(folder, split, deep=False):
    return verify(folder.root, split, deep=deep)[0]


def lines(report):
    return [finding.line for finding in report.findings]


def errors(report):
    return [finding.line for finding in report.errors]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def wrong_size(path):
    Image.fromarray(np.zeros((6, 7, 3), dtype=np.uint8)).save(path)


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_folder_has_no_errors_and_right_counts(folder, split, deep):
    train, val = verify(folder.root, split, deep=deep)
    assert lines(train) == []
    assert train.choices == {"kept": 1, "unseen": 2}
    assert train.counts.segments == (1, 0, 1)
    assert train.counts.pixels == ((24, 0, 24) if deep else (0, 0, 0))
    assert val.choices == {"kept": 1}
    [warning] = val.findings  # the trap of many splits of one's own
    assert (warning.severity, warning.what) == ("warning", NO_DOG_IN_VAL)


def test_label_folders_beside_the_photos_are_as_good(folder_with_labels_beside_photos, split):
    assert train_of(folder_with_labels_beside_photos, split, deep=True).findings == ()


def test_a_missing_folder_is_an_error_that_no_image_can_be_blamed_for(folder, split):
    shutil.rmtree(folder.root / "train2017")
    report = train_of(folder, split)
    assert errors(report)[0].startswith(f"error: {folder.root}: no train2017/; a COCO panoptic folder has")
    assert not any(finding.is_skippable for finding in report.errors)
    assert report.num_images == 0


def test_an_unreadable_annotation_file_is_an_error(folder, split):
    truncate(folder.annotations())
    assert "is truncated or corrupt" in train_of(folder, split).findings[0].what


def test_an_empty_annotation_file_is_an_error(folder, split):
    folder.annotations().write_text('{"images": [], "annotations": [], "categories": []}')
    [line] = errors(train_of(folder, split))
    assert line.endswith("no image of 0 is left for train; choose another split, or a larger part of the data set")


def test_nothing_left_to_train_on_is_an_error(folder, split, classes):
    all_but_cat = replace(split, classes=replace(classes, is_seen=(False, False, True)))
    [line] = errors(train_of(folder, all_but_cat))
    assert "no image of 3 is left for train" in line


@pytest.mark.parametrize("deep", [False, True])
def test_all_that_is_wrong_is_found_in_one_run(folder, split, deep):
    folder.photo(1).unlink()
    wrong_size(folder.label(1))
    folder.edit(lambda document: document["images"].append(document["images"][0]))
    found = errors(train_of(folder, split, deep))
    assert len(found) == 3
    assert "image id 1 occurs twice in 'images'; keep one" in found[0]
    assert "000000000001.jpg: is missing, but" in found[1]
    assert "000000000001.png: is 7 x 6 pixels, but 8 x 6 in" in found[2]


def test_damage_to_images_that_are_left_out_is_a_warning(folder, split):
    folder.photo(2).unlink()
    truncate(folder.photo(3))
    report = train_of(folder, split, deep=True)
    assert [finding.severity for finding in report.findings] == ["warning", "warning"]
    assert all(finding.what.endswith("(left out: unseen)") for finding in report.findings)


def test_files_that_are_not_images_are_found_from_the_header(folder, split):
    folder.photo(1).write_bytes(b"<html>not found</html>")
    folder.label(1).write_bytes(b"")
    report = train_of(folder, split)
    assert [finding.file for finding in report.findings] == [str(folder.photo(1)), str(folder.label(1))]
    assert all("is truncated or corrupt" in finding.what for finding in report.findings)
    assert all(finding.is_skippable for finding in report.findings)


def test_a_folder_in_the_place_of_a_photo_is_found(folder, split):
    folder.photo(1).unlink()
    folder.photo(1).mkdir()
    [line] = errors(train_of(folder, split))
    assert "cannot be read (Is a directory)" in line


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_panoptic_pngs_must_be_rgb(folder, split, mode):
    with Image.open(folder.label(1)) as image:
        image.convert(mode).save(folder.label(1))
    [line] = errors(train_of(folder, split))
    assert f"is a PNG of mode {mode}; give the panoptic PNG" in line


@pytest.mark.parametrize("deep", [False, True])
def test_panoptic_pngs_of_16_bits_are_refused(folder, split, deep):
    """A decoder that keeps the upper half of each colour would read other ids."""
    path = folder.label(1)
    path.write_bytes(png_16_bit_colours(path.read_bytes(), np.random.default_rng(0)))
    [line] = errors(train_of(folder, split, deep))
    assert "is a PNG of mode RGB of 16 bits; give the panoptic PNG" in line


@pytest.mark.parametrize(("mode", "is_fine"), [("L", True), ("P", True), ("RGB", False), ("I;16", False)])
def test_label_maps_must_be_grey_or_palettes(shapes_copy, mode, is_fine):
    path = sorted((shapes_copy / "stuffthingmaps_trainval2017" / "train2017").iterdir())[0]
    image = Image.open(io.BytesIO(path.read_bytes()))
    if mode == "P":
        image.putpalette(bytes(768))
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
    else:
        image = image.convert(mode)
    image.save(path)
    train, _ = verify(shapes_copy, find_split("shapes-semantic"), deep=is_fine)
    wrong = f"error: {path}: is a PNG of mode {mode}; give a class map: 8-bit grey, or with a palette"
    assert errors(train) == ([] if is_fine else [wrong])


def test_categories_of_another_table_are_an_error_that_no_skipping_cures(folder, split):
    folder.edit(lambda document: document["categories"][0].update(name="kitten"))
    [finding] = train_of(folder, split).errors
    assert "category id 17 is 'kitten', a thing, but 'cat', a thing in class table 'toy'" in finding.what
    assert not finding.is_skippable


@pytest.mark.parametrize("which", ["photo", "label"])
def test_files_that_end_early_are_found_by_decoding_only(folder, split, which):
    truncate(getattr(folder, which)(1))
    assert train_of(folder, split).findings == ()
    [line] = errors(train_of(folder, split, deep=True))
    assert line.startswith(f"error: {getattr(folder, which)(1)}: is truncated or corrupt")


def test_pixels_and_annotations_that_disagree_are_found_by_decoding(folder, split):
    folder.write_label(1, np.full((6, 8), 300))
    [line] = errors(train_of(folder, split, deep=True))
    assert "has no pixel of segment id 70000" in line


def test_a_wrong_area_is_a_warning(folder, split):
    folder.edit(lambda document: document["annotations"][0]["segments_info"][0].update(area=1))
    [line] = lines(train_of(folder, split, deep=True))
    assert line.startswith(f"warning: {folder.annotations()}: image id 1 has area 1 for segment 300, ")
    assert "000000000001.png has 24 pixels of it" in line


def test_a_crowd_of_stuff_is_a_warning(folder, split):
    folder.edit(lambda document: document["annotations"][0]["segments_info"][0].update(iscrowd=1))
    crowd, absent = lines(train_of(folder, split))
    assert crowd.startswith("warning")
    assert "image id 1 has segment 300 of category id 187, a crowd of stuff" in crowd
    assert "no segment of 1 of the 2 seen classes in the images kept: sky; nothing can be learnt of them" in absent


def test_an_image_without_segments_is_a_warning(folder, split):
    folder.edit(lambda document: document["annotations"][1].update(segments_info=[]))
    [line] = lines(train_of(folder, split))
    assert line.startswith("warning")
    assert "image id 2 has no segments" in line


def test_a_photo_in_both_parts_is_an_error_of_val_if_both_keep_it(folder, split):
    shutil.copy(folder.photo(1), folder.photo(4, "val2017"))
    train, val = verify(folder.root, split)
    assert lines(train) == []
    [line] = errors(val)
    assert line.startswith(f"error: {folder.photo(4, 'val2017')}: is the same photo as {folder.photo(1)}")
    shutil.copy(folder.photo(2), folder.photo(4, "val2017"))  # nobody trains on this one
    assert errors(verify(folder.root, split)[1]) == []


def test_published_counts_are_reported_beside_what_was_found(folder, split):
    rows = (
        Expectation(part="train", what="images", count=3, source="a paper"),
        Expectation(part="train", what="kept", count=2, source="its authors"),
        Expectation(part="val", what="images", count=1, source="a paper"),
    )
    train, val = verify(folder.root, replace(split, expected=rows))
    [warning] = train.findings
    assert warning.severity == "warning"
    assert warning.what == "has 1 images kept where 2 are published (its authors)"
    assert "fine for a part of the data set" in warning.remedy
    assert [(row["what"], row["expected"], row["found"]) for row in json.loads(train.to_json())["published"]] == [
        ("images", 3, 3),
        ("kept", 2, 1),
    ]
    assert "  kept              2         1   its authors  (differs)" in train.to_text().splitlines()
    assert [finding.what for finding in val.findings] == [NO_DOG_IN_VAL]


def test_reports_as_json_and_text_hold_counts_and_findings(folder, split):
    folder.photo(1).unlink()
    report = train_of(folder, split)
    plain = json.loads(report.to_json())
    assert (plain["num_images"], plain["num_errors"], plain["class_segments"]["sky"]) == (3, 1, 1)
    assert plain["choices"] == {"kept": 1, "unseen": 2}
    assert plain["findings"][0]["remedy"] == "download or unpack it again"
    text = report.to_text()
    assert "images            3   kept 1   left out: unseen 2" in text
    assert f"error: {folder.photo(1)}" in text
    assert "0 dog*" in text
    assert "1 cat" in text
    assert "cat*" not in text


def test_long_lists_of_findings_are_cut_in_text_with_errors_first(folder, split):
    folder.photo(1).unlink()
    warning = Finding(severity="warning", file="f", what="odd", remedy="look")
    found = with_findings(train_of(folder, split), [warning] * MAX_FINDINGS_SHOWN).to_text().splitlines()
    assert found[4].startswith("  error: ")
    assert "  ... and 1 more" in found


@pytest.mark.parametrize("name", ["shapes-panoptic", "shapes-semantic", "shapes-instances"])
def test_every_task_is_checked_without_errors(shapes_root, name):
    split = find_split(name)
    for deep in (False, True):
        for report in verify(shapes_root, split, deep=deep):
            assert errors(report) == []
            assert (report.counts is None) == (name == "shapes-semantic" and not deep)
            if deep:
                assert sum(report.counts.pixels) > 0
    train, _ = verify(shapes_root, split, deep=True)
    unseen = [train.counts.pixels[index] for index in split.classes.unseen]
    assert sum(unseen) == 0


def test_what_both_counts_of_a_deep_check_say_agrees_with_the_lists(shapes_root):
    for name in ("shapes-panoptic", "shapes-instances"):
        listed, counted = (verify(shapes_root, find_split(name), deep=deep) for deep in (False, True))
        assert [report.counts.segments for report in listed] == [report.counts.segments for report in counted]


def test_a_label_map_without_a_label_is_a_warning_and_one_of_another_coding_an_error(shapes_copy):
    labels = sorted((shapes_copy / "stuffthingmaps_trainval2017" / "train2017").iterdir())
    for path, value in zip(labels, (255, 254), strict=False):
        with Image.open(path) as image:
            size = image.size
        Image.new("L", size, value).save(path)
    train, _ = verify(shapes_copy, find_split("shapes-semantic"), deep=True)
    assert any("has no labelled pixel" in finding.what for finding in train.findings)
    [line] = errors(train)
    assert line.startswith(f"error: {labels[1]}: ")
    assert "have value 254" in line


def edit_instances(root, change):
    path = root / "annotations" / "instances_train2017.json"
    document = json.loads(path.read_text())
    split = find_split("shapes-instances")
    kept = {
        image.record.image_id
        for image in survey(root, split, "train").images
        if image.is_kept and len(image.record.objects) > 1
    }
    change(next(annotation for annotation in document["annotations"] if annotation["image_id"] in kept))
    path.write_text(json.dumps(document))


def test_an_object_of_a_wrong_area_is_a_warning(shapes_copy):
    edit_instances(shapes_copy, lambda annotation: annotation.update(area=9e6))
    train, _ = verify(shapes_copy, find_split("shapes-instances"), deep=True)
    assert any("has area 9e+06 for annotation" in finding.what for finding in train.findings)
    assert errors(train) == []


def test_an_object_without_a_pixel_is_a_warning(shapes_copy):
    edit_instances(shapes_copy, lambda annotation: annotation.update(segmentation=[[500.0, 5, 501, 5, 501, 5]]))
    train, _ = verify(shapes_copy, find_split("shapes-instances"), deep=True)
    assert any("whose mask has no pixel" in finding.what for finding in train.findings)
    assert errors(train) == []


@pytest.mark.parametrize(("part", "counts"), [(0, (100, 31, 335, 0)), (1, (50, 50, 523, 3))])
def test_real_panoptic_photos_have_no_errors(real_data, part, counts):
    report = verify(real_data / "coco_mini", find_split("coco-panoptic-119-14"), deep=part == 1)[part]
    assert errors(report) == []
    segments = sum(report.counts.segments)
    assert (report.num_images, report.choices["kept"], segments, report.counts.num_crowds) == counts
    assert {finding.file for finding in report.findings} == {
        str(real_data / "coco_mini" / folder) for folder in ([("train2017")], ["val2017"])[part]
    }


@pytest.mark.parametrize(
    ("name", "train", "val"),
    [
        ("coco-instances-48-17", {"kept": 81, "empty": 3, "unseen": 76}, {"kept": 76, "no-unseen": 84}),
        ("coco-instances-65-15", {"kept": 107, "unseen": 53}, {"kept": 53, "no-unseen": 107}),
    ],
)
def test_real_objects_have_no_errors_and_their_listed_areas(real_data, name, train, val):
    split = replace(find_split(name), train="train2017", val="train2017")
    reports = verify(real_data / "coco_instances_mini", split, deep=True)
    assert [report.choices for report in reports] == [train, val]
    for report in reports:
        assert errors(report) == []
        assert not [finding for finding in report.findings if "area" in finding.what]
