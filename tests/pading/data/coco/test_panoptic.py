import shutil

import numpy as np
import pytest
from PIL import Image

from pading.data.coco.layout import find_panoptic
from pading.data.coco.panoptic import load_panoptic, scan_panoptic
from pading.data.errors import DataError
from pading.splits.published import find_split
from tests.references.data_pixels import panoptic_label_map


def scan(folder, classes):
    return list(scan_panoptic(find_panoptic(folder.root, "train2017"), classes))


def record_of(folder, classes, image_id):
    return {record.image_id: record for record in scan(folder, classes)}[image_id]


def sample_of(folder, classes, image_id):
    return load_panoptic(record_of(folder, classes, image_id), classes).sample


def first_segment(document):
    return document["annotations"][0]["segments_info"][0]


def annotate(document, image_id):
    document["annotations"].append({"image_id": image_id, "file_name": "7.png", "segments_info": []})


DAMAGES = {
    "image id 1 occurs twice in 'images'; keep one": lambda d: d["images"].append(d["images"][0]),
    "image id 1 occurs twice in 'annotations'; keep one": lambda d: d["annotations"].append(d["annotations"][0]),
    "an entry of 'images': 'id' is '1', not int; give": lambda d: d["images"].append({"id": "1"}),
    "an entry of 'annotations': 'image_id' is None, not int": lambda d: d["annotations"].append({"file_name": "a"}),
    "image id 7 has no annotation; add it or remove": lambda d: d["images"].append({**d["images"][0], "id": 7}),
    "an annotation is of image id 7, which is not listed": lambda d: annotate(d, 7),
    "image id 1: 'file_name' is None, not str": lambda d: d["images"][0].pop("file_name"),
    "image id 1: 'height' is '6', not int": lambda d: d["images"][0].update(height="6"),
    "image id 1: 'height' is True, not int": lambda d: d["images"][0].update(height=True),
    "image id 1: size is 6 x 0; give the size": lambda d: d["images"][0].update(width=0),
    "image id 1: size is 6 x 1000000000; give": lambda d: d["images"][0].update(width=10**9),
    "image id 1: 'segments_info' is None, not list": lambda d: d["annotations"][0].pop("segments_info"),
    "image id 1: 'id' is None, not int": lambda d: d["annotations"][0]["segments_info"].append(3),
    "image id 1: segment 300: 'iscrowd' is None, not int": lambda d: first_segment(d).pop("iscrowd"),
    "image id 1: segment 300: 'iscrowd' is 2; use 0 or 1": lambda d: first_segment(d).update(iscrowd=2),
    "image id 1: segment 300: 'area' is 1.5, not int": lambda d: first_segment(d).update(area=1.5),
    "image id 1: segment id 0; use ids from 1": lambda d: first_segment(d).update(id=0),
    "image id 1: segment id 16777216; use ids from 1": lambda d: first_segment(d).update(id=256**3),
    "image id 1: a segment id occurs twice": lambda d: first_segment(d).update(id=70_000),
    "image id 1: segment 300: category id 99 is not in class table": lambda d: first_segment(d).update(category_id=99),
    "file_name '../x.jpg' leads out of train2017/": lambda d: d["images"][0].update(file_name="../x.jpg"),
    "file_name '/x.png' leads out of panoptic_train2017/": lambda d: d["annotations"][0].update(file_name="/x.png"),
    "category id 17 is 'cow', a thing, but 'cat', a thing in": lambda d: d["categories"][0].update(name="cow"),
    "category id 187 is 'sky', a thing, but 'sky', stuff in": lambda d: d["categories"][2].update(isthing=1),
}


def test_a_sound_file_yields_records_alone(folder, classes):
    records = scan(folder, classes)
    assert [record.image_id for record in records] == [1, 2, 3]
    assert (records[0].height, records[0].width, records[0].file_name) == (6, 8, "000000000001.jpg")
    assert [segment.segment_id for segment in records[0].segments] == [300, 70_000]


def test_records_are_read_without_opening_an_image(folder, classes):
    shutil.rmtree(folder.root / "train2017")
    (folder.root / "train2017").mkdir()
    assert len(scan(folder, classes)) == 3


@pytest.mark.parametrize("expected", DAMAGES)
def test_each_damage_is_one_error_that_names_the_file(folder, classes, expected):
    folder.edit(DAMAGES[expected])
    errors = [item for item in scan(folder, classes) if isinstance(item, DataError)]
    assert len(errors) == 1
    assert str(errors[0]).startswith(f"{folder.annotations()}: {expected}")


def test_a_wrong_image_does_not_hide_the_others(folder, classes):
    folder.edit(lambda document: first_segment(document).update(category_id=99))
    items = scan(folder, classes)
    assert [isinstance(item, DataError) for item in items] == [True, False, False]


def test_a_file_without_one_of_the_lists_is_refused(folder, classes):
    folder.edit(lambda document: document.pop("categories"))
    with pytest.raises(ValueError, match=r"panoptic_train2017\.json: has no list of objects 'categories'"):
        scan(folder, classes)


def test_labels_follow_the_order_of_the_annotation_file(folder, classes):
    """Image 1 by hand: left half is id 70,000 (second in the JSON, cat), right half id 300 (first, sky)."""
    loaded = load_panoptic(record_of(folder, classes, 1), classes)
    sample = loaded.sample
    assert loaded.jpeg == folder.photo(1).read_bytes()
    assert loaded.hidden_px == 0
    assert (sample.label_maps.dtype, sample.label_maps.shape) == (np.uint16, (1, 6, 8))
    assert sample.label_map.tolist() == [[2, 2, 2, 2, 1, 1, 1, 1]] * 6
    assert [(s.segment_id, s.class_index, s.area_px) for s in sample.segments] == [(300, 2, 24), (70_000, 0, 24)]
    np.testing.assert_array_equal(sample.image, np.asarray(Image.open(folder.photo(1))))


def test_void_is_zero_and_crowds_are_marked(folder, classes):
    assert sample_of(folder, classes, 2).label_map[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [segment.is_crowd for segment in sample_of(folder, classes, 3).segments] == [True, False]


def test_areas_are_counted_not_believed(folder, classes):
    folder.edit(lambda document: first_segment(document).update(area=1))
    assert sample_of(folder, classes, 1).segments[0].area_px == 24


def test_a_random_label_image_equals_the_literal_definition(folder, classes):
    rng = np.random.default_rng(0)
    listed = [1, 255, 256, 65_535, 65_536, 256**3 - 1, 40_000]
    rng.shuffle(listed)
    ids = rng.choice([0, *listed], (17, 23))
    folder.write("train2017", {9: (ids, {key: (17, False) for key in listed})})
    with Image.open(folder.label(9)) as label:
        expected = panoptic_label_map(np.asarray(label), listed)
    np.testing.assert_array_equal(sample_of(folder, classes, 9).label_map, expected)


def test_an_image_without_segments_is_all_void(folder, classes):
    folder.write("train2017", {9: (np.zeros((3, 4), dtype=np.int64), {})})
    sample = sample_of(folder, classes, 9)
    assert sample.segments == ()
    assert not sample.label_map.any()


def test_a_grey_photo_is_rgb(folder, classes):
    Image.fromarray(np.full((6, 8), 9, dtype=np.uint8)).save(folder.photo(1))
    assert sample_of(folder, classes, 1).image.shape == (6, 8, 3)


def test_label_folders_beside_the_photos_read_the_same(folder_with_labels_beside_photos, classes):
    assert sample_of(folder_with_labels_beside_photos, classes, 1).label_map[0].tolist() == [2, 2, 2, 2, 1, 1, 1, 1]


@pytest.mark.parametrize("which", ["photo", "label"])
def test_a_missing_file_is_named_with_where_it_is_listed(folder, classes, which):
    path = getattr(folder, which)(1)
    path.unlink()
    expected = rf"{path.name}: is missing, but .*panoptic_train2017\.json lists it for image id 1; download or unpack"
    with pytest.raises(FileNotFoundError, match=expected):
        sample_of(folder, classes, 1)


@pytest.mark.parametrize("which", ["photo", "label"])
def test_a_truncated_file_is_named(folder, classes, which):
    path = getattr(folder, which)(1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=rf"{path.name}: is truncated or corrupt .*; download it again"):
        sample_of(folder, classes, 1)


@pytest.mark.parametrize("which", ["photo", "label"])
def test_a_wrong_size_is_named_with_both_sizes(folder, classes, which):
    path = getattr(folder, which)(1)
    Image.fromarray(np.zeros((6, 7, 3), dtype=np.uint8)).save(path)
    with pytest.raises(ValueError, match=rf"{path.name}: is 7 x 6 pixels, but 8 x 6 in .*panoptic_train2017\.json"):
        sample_of(folder, classes, 1)


def test_a_png_id_that_the_json_lacks_is_named(folder, classes):
    folder.edit(lambda document: document["annotations"][0]["segments_info"].pop())
    expected = r"000000000001\.png: has segment id 70000, which .*panoptic_train2017\.json lacks for image id 1"
    with pytest.raises(ValueError, match=expected):
        sample_of(folder, classes, 1)


def test_a_png_id_above_all_listed_ids_is_named(folder, classes):
    folder.write_label(1, np.where(np.arange(8) < 4, 70_001, 300) + np.zeros((6, 1), dtype=np.int64))
    with pytest.raises(ValueError, match="has segment id 70001, which"):
        sample_of(folder, classes, 1)


def test_a_json_segment_that_the_png_lacks_is_named(folder, classes):
    extra = {"id": 8, "category_id": 17, "iscrowd": 0, "area": 3}
    folder.edit(lambda document: document["annotations"][0]["segments_info"].append(extra))
    expected = r"000000000001\.png: has no pixel of segment id 8, which .*panoptic_train2017\.json lists for image id 1"
    with pytest.raises(ValueError, match=expected):
        sample_of(folder, classes, 1)


def test_more_segments_than_16_bits_hold_are_refused(folder, classes):
    folder.edit(
        lambda document: document["annotations"][0].update(
            segments_info=[{"id": i, "category_id": 17, "iscrowd": 0, "area": 1} for i in range(1, 2**16 + 1)]
        )
    )
    with pytest.raises(ValueError, match="image id 1 has 65536 segments; give at most 65535"):
        sample_of(folder, classes, 1)


def test_an_image_above_the_limit_is_refused(folder, classes):
    with pytest.raises(ValueError, match=r"000000000001\.jpg: the header says 8 x 6 pixels, more than the limit of 47"):
        load_panoptic(record_of(folder, classes, 1), classes, max_pixels=47)


def test_real_label_images_equal_the_literal_definition(real_data):
    classes = find_split("coco-panoptic-119-14").classes
    record = next(scan_panoptic(find_panoptic(real_data / "coco_mini", "val2017"), classes))
    sample = load_panoptic(record, classes).sample
    with Image.open(record.label_path) as label:
        corner = np.asarray(label)[:120, :160]
    expected = panoptic_label_map(corner, [segment.segment_id for segment in record.segments])
    np.testing.assert_array_equal(sample.label_map[:120, :160], expected)
    assert [segment.area_px for segment in sample.segments] == [segment.area_px for segment in record.segments]
