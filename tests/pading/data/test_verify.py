import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pading.coco_classes import coco_panoptic_119_14
from pading.data.findings import MAX_FINDINGS_SHOWN, Finding
from pading.data.verify import verify_panoptic


def verify(folder, classes, **options):
    return verify_panoptic(folder.root, "train2017", classes, **options)


def messages(report):
    return [f"{f.severity}: {f.file}: {f.what}; {f.remedy}" for f in report.findings]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def wrong_size(path):
    Image.fromarray(np.zeros((6, 7, 3), dtype=np.uint8)).save(path)


@pytest.mark.parametrize("decode", [False, True])
def test_a_sound_folder_has_no_findings_and_right_counts(folder, classes, decode):
    report = verify(folder, classes, decode=decode)
    assert report.findings == ()
    assert (report.num_images, report.num_segments, report.num_crowds, report.num_without_unseen) == (3, 5, 1, 1)
    assert report.class_segments == {"cat": 1, "dog": 2, "sky": 2}


def test_label_folders_beside_the_photos_are_as_good(folder_with_labels_beside_photos, classes):
    assert verify(folder_with_labels_beside_photos, classes, decode=True).findings == ()


def test_a_missing_folder_is_a_finding(folder, classes):
    shutil.rmtree(folder.root / "train2017")
    report = verify(folder, classes)
    assert messages(report)[0].startswith(f"error: {folder.root}: no train2017/; a COCO panoptic folder has")
    assert report.num_images == 0


def test_an_unreadable_annotation_file_is_a_finding(folder, classes):
    truncate(folder.annotations())
    assert "is truncated or corrupt" in verify(folder, classes).findings[0].what


@pytest.mark.parametrize("decode", [False, True])
def test_all_that_is_wrong_is_found_in_one_run(folder, classes, decode):
    folder.photo(1).unlink()
    wrong_size(folder.label(2))
    folder.edit(lambda document: document["images"].append(document["images"][0]))
    report = verify(folder, classes, decode=decode)
    assert (report.num_errors, report.num_warnings) == (3, 0)
    found = messages(report)
    assert "image id 1 occurs twice in 'images'; keep one" in found[0]
    assert "000000000001.jpg: is missing, but" in found[1]
    assert "000000000002.png: is 7 x 6 pixels, but 8 x 6 in" in found[2]


def test_files_that_are_not_images_are_found_from_the_header(folder, classes):
    folder.photo(1).write_bytes(b"<html>not found</html>")
    folder.label(1).write_bytes(b"")
    report = verify(folder, classes)
    assert [finding.file for finding in report.findings] == [str(folder.photo(1)), str(folder.label(1))]
    assert all("is truncated or corrupt" in finding.what for finding in report.findings)


@pytest.mark.parametrize("which", ["photo", "label"])
def test_files_that_end_early_are_found_by_decoding_only(folder, classes, which):
    truncate(getattr(folder, which)(1))
    assert verify(folder, classes).findings == ()
    [finding] = verify(folder, classes, decode=True).findings
    assert finding.file == str(getattr(folder, which)(1))
    assert "is truncated or corrupt" in finding.what


def test_pixels_and_annotations_that_disagree_are_found_by_decoding(folder, classes):
    folder.write_label(1, np.full((6, 8), 300))
    [finding] = verify(folder, classes, decode=True).findings
    assert "has no pixel of segment id 70000" in finding.what


def test_a_wrong_area_is_a_warning(folder, classes):
    folder.edit(lambda document: document["annotations"][0]["segments_info"][0].update(area=1))
    [message] = messages(verify(folder, classes, decode=True))
    assert message.startswith(f"warning: {folder.annotations()}: image id 1: segment 300 has area 1, but 24 pixels in")


def test_a_crowd_of_stuff_is_a_warning(folder, classes):
    folder.edit(lambda document: document["annotations"][0]["segments_info"][0].update(iscrowd=1))
    [message] = messages(verify(folder, classes))
    assert "segment 300 of category id 187 is a crowd of stuff" in message
    assert message.startswith("warning")


def test_an_image_without_segments_is_a_warning(folder, classes):
    folder.edit(lambda document: document["annotations"][0].update(segments_info=[]))
    [message] = messages(verify(folder, classes))
    assert message.startswith("warning")
    assert "image id 1 has no segments" in message


def test_a_photo_in_both_splits_is_an_error(folder, classes):
    twin = folder.root / "val2017" / folder.photo(2).name
    shutil.copy(folder.photo(2), twin)
    [message] = messages(verify(folder, classes))
    assert message.startswith(f"error: {twin}: is the same photo as in train2017/; remove it from one")


def test_other_photos_of_the_same_name_are_fine(folder, classes):
    shutil.copy(folder.photo(1), folder.root / "val2017" / folder.photo(2).name)
    assert verify(folder, classes).findings == ()


def test_the_limit_bounds_files_but_not_the_annotation_check(folder, classes):
    folder.photo(3).unlink()
    report = verify(folder, classes, limit=2)
    assert report.findings == ()
    assert report.num_images == 3
    assert len(verify(folder, classes, limit=3).findings) == 1


def test_reports_as_json_and_text_hold_counts_and_findings(folder, classes):
    folder.photo(1).unlink()
    report = verify(folder, classes)
    plain = json.loads(report.to_json())
    assert (plain["num_images"], plain["num_errors"], plain["class_segments"]["dog"]) == (3, 1, 2)
    assert plain["findings"][0]["remedy"] == "download or unpack it again"
    text = report.to_text()
    assert "images           3   without unseen classes 1" in text
    assert "error: " + str(folder.photo(1)) in text
    assert "2 dog*" in text
    assert "1 cat*" not in text


def test_long_lists_of_findings_are_cut_in_text_with_errors_first(folder, classes):
    folder.photo(1).unlink()
    report = verify(folder, classes)
    warning = Finding(severity="warning", file="f", what="odd", remedy="look")
    many = type(report)(**vars(report) | {"findings": (warning,) * MAX_FINDINGS_SHOWN + report.findings})
    lines = many.to_text().splitlines()
    assert lines[4].startswith("  error: ")
    assert "  ... and 1 more" in lines


@pytest.mark.parametrize(("split", "counts"), [("train2017", (100, 31, 6)), ("val2017", (50, 27, 3))])
def test_real_photos_have_no_findings(real_data, split, counts):
    report = verify_panoptic(real_data / "coco_mini", split, coco_panoptic_119_14(), decode=split == "val2017")
    assert report.findings == ()
    assert (report.num_images, report.num_without_unseen, report.num_crowds) == counts
