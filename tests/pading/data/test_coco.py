import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from pading.coco_classes import coco_panoptic_119_14
from pading.data.coco import has_unseen, load_sample, read_panoptic
from tests.references.data_pixels import panoptic_label_map


def record_of(folder, classes, image_id):
    return {record.image_id: record for record in read_panoptic(folder.root, "train2017", classes)}[image_id]


def test_records_are_read_without_opening_an_image(folder, classes):
    shutil.rmtree(folder.root / "train2017")
    (folder.root / "train2017").mkdir()
    records = read_panoptic(folder.root, "train2017", classes)
    assert [record.image_id for record in records] == [1, 2, 3]
    assert (records[0].height, records[0].width, records[0].file_name) == (6, 8, "000000000001.jpg")
    assert [segment.segment_id for segment in records[0].segments] == [300, 70_000]


def test_records_survive_the_way_between_processes(folder, classes):
    records = read_panoptic(folder.root, "train2017", classes)
    assert pickle.loads(pickle.dumps(records)) == records


def test_labels_follow_the_order_of_the_annotation_file(folder, classes):
    """Image 1 by hand: left half is id 70,000 (second in the JSON, cat), right half id 300 (first, sky)."""
    jpeg, sample = load_sample(record_of(folder, classes, 1), classes)
    assert jpeg == folder.photo(1).read_bytes()
    assert sample.label_map.dtype == np.uint16
    assert sample.label_map.tolist() == [[2, 2, 2, 2, 1, 1, 1, 1]] * 6
    assert [(s.segment_id, s.class_index, s.area_px) for s in sample.segments] == [(300, 2, 24), (70_000, 0, 24)]
    np.testing.assert_array_equal(sample.image, np.asarray(Image.open(folder.photo(1))))


def test_void_is_zero_and_crowds_are_marked(folder, classes):
    _, with_void = load_sample(record_of(folder, classes, 2), classes)
    assert with_void.label_map[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    _, with_crowd = load_sample(record_of(folder, classes, 3), classes)
    assert [segment.is_crowd for segment in with_crowd.segments] == [True, False]


def test_areas_are_counted_not_believed(folder, classes):
    folder.edit(lambda document: document["annotations"][0]["segments_info"][0].update(area=1))
    _, sample = load_sample(record_of(folder, classes, 1), classes)
    assert sample.segments[0].area_px == 24


def test_a_random_label_image_equals_the_literal_definition(folder, classes):
    rng = np.random.default_rng(0)
    listed = [1, 255, 256, 65_535, 65_536, 256**3 - 1, 40_000]
    rng.shuffle(listed)
    ids = rng.choice([0, *listed], (17, 23))
    folder.write("train2017", {9: (ids, {key: (17, False) for key in listed})})
    _, sample = load_sample(record_of(folder, classes, 9), classes)
    with Image.open(folder.label(9)) as label:
        np.testing.assert_array_equal(sample.label_map, panoptic_label_map(np.asarray(label), listed))


def test_an_image_without_segments_is_all_void(folder, classes):
    folder.write("train2017", {9: (np.zeros((3, 4), dtype=np.int64), {})})
    _, sample = load_sample(record_of(folder, classes, 9), classes)
    assert sample.segments == ()
    assert not sample.label_map.any()


def test_unseen_segments_count_crowd_or_not(folder, classes):
    records = read_panoptic(folder.root, "train2017", classes)
    assert [has_unseen(record, classes) for record in records] == [False, True, True]


def test_a_grey_photo_is_rgb(folder, classes):
    Image.fromarray(np.full((6, 8), 9, dtype=np.uint8)).save(folder.photo(1))
    _, sample = load_sample(record_of(folder, classes, 1), classes)
    assert sample.image.shape == (6, 8, 3)


def test_label_folders_beside_the_photos_read_the_same(folder_with_labels_beside_photos, classes):
    _, sample = load_sample(record_of(folder_with_labels_beside_photos, classes, 1), classes)
    assert sample.label_map[0].tolist() == [2, 2, 2, 2, 1, 1, 1, 1]


def test_a_missing_folder_is_refused(tmp_path, classes):
    with pytest.raises(FileNotFoundError, match="a COCO panoptic folder has"):
        read_panoptic(tmp_path, "train2017", classes)


def test_the_first_wrong_entry_is_refused(folder, classes):
    folder.edit(lambda document: document["images"].append(document["images"][0]))
    with pytest.raises(ValueError, match=r"panoptic_train2017\.json: image id 1 occurs twice in 'images'; keep one"):
        read_panoptic(folder.root, "train2017", classes)


@pytest.mark.parametrize("which", ["photo", "label"])
def test_a_missing_file_is_named_with_where_it_is_listed(folder, classes, which):
    path = getattr(folder, which)(1)
    path.unlink()
    expected = rf"{path.name}: is missing, but .*panoptic_train2017\.json lists it for image id 1; download or unpack"
    with pytest.raises(FileNotFoundError, match=expected):
        load_sample(record_of(folder, classes, 1), classes)


@pytest.mark.parametrize("which", ["photo", "label"])
def test_a_truncated_file_is_named(folder, classes, which):
    path = getattr(folder, which)(1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=rf"{path.name}: is truncated or corrupt .*; download it again"):
        load_sample(record_of(folder, classes, 1), classes)


@pytest.mark.parametrize("which", ["photo", "label"])
def test_a_wrong_size_is_named_with_both_sizes(folder, classes, which):
    path = getattr(folder, which)(1)
    Image.fromarray(np.zeros((6, 7, 3), dtype=np.uint8)).save(path)
    with pytest.raises(ValueError, match=rf"{path.name}: is 7 x 6 pixels, but 8 x 6 in .*panoptic_train2017\.json"):
        load_sample(record_of(folder, classes, 1), classes)


def test_a_png_id_that_the_json_lacks_is_named(folder, classes):
    folder.edit(lambda document: document["annotations"][0]["segments_info"].pop())
    expected = r"000000000001\.png: has segment id 70000, which .*panoptic_train2017\.json lacks for image id 1"
    with pytest.raises(ValueError, match=expected):
        load_sample(record_of(folder, classes, 1), classes)


def test_a_png_id_above_all_listed_ids_is_named(folder, classes):
    folder.write_label(1, np.where(np.arange(8) < 4, 70_001, 300) + np.zeros((6, 1), dtype=np.int64))
    with pytest.raises(ValueError, match="has segment id 70001, which"):
        load_sample(record_of(folder, classes, 1), classes)


def test_a_json_segment_that_the_png_lacks_is_named(folder, classes):
    extra = {"id": 8, "category_id": 17, "iscrowd": 0, "area": 3}
    folder.edit(lambda document: document["annotations"][0]["segments_info"].append(extra))
    expected = r"000000000001\.png: has no pixel of segment id 8, which .*panoptic_train2017\.json lists for image id 1"
    with pytest.raises(ValueError, match=expected):
        load_sample(record_of(folder, classes, 1), classes)


def test_more_segments_than_16_bits_hold_are_refused(folder, classes):
    folder.edit(
        lambda document: document["annotations"][0].update(
            segments_info=[{"id": i, "category_id": 17, "iscrowd": 0, "area": 1} for i in range(1, 2**16 + 1)]
        )
    )
    with pytest.raises(ValueError, match="image id 1 has 65536 segments; give at most 65535"):
        load_sample(record_of(folder, classes, 1), classes)


def test_an_image_above_the_limit_is_refused(folder, classes):
    with pytest.raises(ValueError, match=r"000000000001\.jpg: the header says 8 x 6 pixels, more than the limit of 47"):
        load_sample(record_of(folder, classes, 1), classes, max_pixels=47)


def test_real_train_images_free_of_unseen_classes_are_31_of_100(real_data):
    classes = coco_panoptic_119_14()
    records = read_panoptic(real_data / "coco_mini", "train2017", classes)
    assert len(records) == 100
    assert sum(not has_unseen(record, classes) for record in records) == 31
    assert sum(segment.is_crowd for record in records for segment in record.segments) == 6


def test_real_label_images_equal_the_literal_definition(real_data):
    classes = coco_panoptic_119_14()
    record = read_panoptic(real_data / "coco_mini", "val2017", classes)[0]
    _, sample = load_sample(record, classes)
    with Image.open(record.label_path) as label:
        corner = np.asarray(label)[:120, :160]
    expected = panoptic_label_map(corner, [segment.segment_id for segment in record.segments])
    np.testing.assert_array_equal(sample.label_map[:120, :160], expected)
    assert [segment.area_px for segment in sample.segments] == [segment.area_px for segment in record.segments]
