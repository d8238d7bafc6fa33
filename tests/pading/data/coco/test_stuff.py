import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pading.classes import ClassTable
from pading.data.coco.layout import StuffLayout
from pading.data.coco.stuff import ABSENT, VOID, load_stuff, scan_stuff, stuff_coding
from pading.data.errors import DataError
from pading.splits.coco_classes import coco_panoptic_119_14, coco_stuff_156_15
from tests.references.data_masks import mask_of_runs, runs_of_code

CAT, DOG, SKY = 17, 18, 187  # COCO ids of the toy classes 0, 1 (unseen) and 2
VALUES = np.array([[16, 16, 255, 186], [16, 17, 17, 186]], dtype=np.uint8)


@pytest.fixture
def layout(tmp_path):
    layout = StuffLayout(images=tmp_path / "val2017", labels=tmp_path / "maps", coding="coco-id-less-one")
    layout.images.mkdir()
    layout.labels.mkdir()
    for name in ("000000000009", "000000000010"):
        put(layout, name, VALUES)
    return layout


def put(layout, name, values, **options):
    Image.new("RGB", values.shape[::-1], (9, 90, 200)).save(layout.images / f"{name}.jpg")
    Image.fromarray(values).save(layout.labels / f"{name}.png", **options)


def load_first(layout, classes, hidden=(), **options):
    return load_stuff(next(scan_stuff(layout, classes)), classes, hidden, **options)


def test_a_record_is_a_photo_and_the_label_map_of_its_name(layout, classes):
    first, second = scan_stuff(layout, classes)
    assert (first.image_id, second.image_id, first.file_name) == (9, 10, "000000000009.jpg")
    assert first.image_path == layout.images / "000000000009.jpg"
    assert first.annotation_path == first.label_path == layout.labels / "000000000009.png"


def test_each_class_present_is_one_segment_in_the_order_of_the_table(layout, classes):
    """Counted by hand: 3 pixels of cat, 2 of dog, 2 of sky, 1 of void."""
    loaded = load_first(layout, classes)
    sample = loaded.sample
    assert sample.label_maps.tolist() == [[[1, 1, 0, 3], [1, 2, 2, 3]]]
    assert sample.label_maps.dtype == np.uint16
    assert [(s.segment_id, s.class_index, s.area_px, s.is_crowd) for s in sample.segments] == [
        (CAT, 0, 3, False),
        (DOG, 1, 2, False),
        (SKY, 2, 2, False),
    ]
    assert loaded.hidden_px == 0
    assert loaded.jpeg == (layout.images / "000000000009.jpg").read_bytes()


def test_hidden_classes_are_void_and_counted(layout, classes):
    loaded = load_first(layout, classes, hidden=(1,))
    assert loaded.sample.label_maps.tolist() == [[[1, 1, 0, 2], [1, 0, 0, 2]]]
    assert [segment.class_index for segment in loaded.sample.segments] == [0, 2]
    assert loaded.hidden_px == 2


def test_values_of_a_palette_count_not_its_colours(layout, classes):
    image = Image.frombytes("P", VALUES.shape[::-1], VALUES.tobytes())
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tolist())
    image.save(layout.labels / "000000000009.png")
    assert load_first(layout, classes).sample.label_maps.tolist() == [[[1, 1, 0, 3], [1, 2, 2, 3]]]


def test_the_three_codings_of_the_same_pixels_give_the_same_sample(layout):
    """COCO-Stuff 156/15: banner is COCO id 92, train id 73 and 81st of all; grass 124, 165 and 113th."""
    classes = coco_stuff_156_15()
    ids = np.array([[92, 124, 1, 182, 0]])
    coded = {
        "coco-id-less-one": [[91, 123, 0, 181, 255]],
        "train-id": [[73, 165, 0, 155, 255]],
        "contiguous": [[80, 112, 0, 170, 255]],
    }
    for coding, values in coded.items():
        put(layout, "000000000009", np.array(values, dtype=np.uint8))
        sample = load_first(replace(layout, coding=coding), classes).sample
        shown = np.array([0, *(segment.segment_id for segment in sample.segments)])[sample.label_map]
        assert shown.tolist() == ids.tolist(), coding


def test_every_class_has_one_value_in_every_coding():
    classes = coco_stuff_156_15()
    for name in ("coco-id-less-one", "train-id", "contiguous"):
        coding = stuff_coding(name, classes).classes
        assert len(coding) == 256
        assert coding[255] == VOID
        assert sorted(index for index in coding if index >= 0) == list(range(171))
        assert Counter(coding)[ABSENT] == 84
    assert stuff_coding("train-id", classes).classes[:171] == tuple(range(171))
    contiguous = [classes.coco_ids[index] for index in stuff_coding("contiguous", classes).classes[:171]]
    assert contiguous == sorted(classes.coco_ids)


def test_codings_of_the_171_classes_need_a_table_of_these(layout):
    table = coco_panoptic_119_14()
    with pytest.raises(
        ValueError, match=r"COCO id 184 of class table 'coco-panoptic-119-14' has no value in .*'train-id'"
    ):
        stuff_coding("train-id", table)
    with pytest.raises(ValueError, match=r"maps: COCO id 184 of class table .*; use a table of COCO-Stuff"):
        next(scan_stuff(replace(layout, coding="contiguous"), table))


def test_an_id_beyond_8_bits_has_no_value():
    table = ClassTable(name="far", names=("a", "b"), coco_ids=(1, 256), is_thing=(True, True), is_seen=(True, False))
    with pytest.raises(ValueError, match="COCO id 256 of class table 'far' has no value"):
        stuff_coding("coco-id-less-one", table)


@pytest.mark.parametrize("value", [11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90])
def test_the_eleven_values_that_no_class_has_are_refused(layout, value):
    put(layout, "000000000009", np.array([[0, value, value]], dtype=np.uint8))
    expected = (
        rf"000000000009\.png: 2 pixels have value {value}, which no class has in coding 'coco-id-less-one'; "
        "values must be COCO id - 1; maps of train ids or contiguous ids belong in folders of their own"
    )
    with pytest.raises(ValueError, match=expected):
        load_first(layout, coco_stuff_156_15())


@pytest.mark.parametrize(
    ("coding", "value", "expected"),
    [
        (
            "coco-id-less-one",
            182,
            "COCO-Stuff 10k and the pixel maps of stuff_.*: take stuffthingmaps_trainval2017.zip",
        ),
        ("coco-id-less-one", 183, "COCO-Stuff 10k and the pixel maps"),
        ("coco-id-less-one", 254, "values must be COCO id - 1"),
        ("train-id", 171, r"maps of COCO id - 1 belong in stuffthingmaps_trainval2017/"),
        ("contiguous", 181, r"maps of COCO id - 1 belong in stuffthingmaps_trainval2017/"),
    ],
)
def test_the_likely_cause_of_a_strange_value_is_told(layout, coding, value, expected):
    put(layout, "000000000009", np.array([[0, value]], dtype=np.uint8))
    with pytest.raises(ValueError, match=rf"1 pixels have value {value}, which no class has in .*; {expected}"):
        load_first(replace(layout, coding=coding), coco_stuff_156_15())


def test_a_photo_or_a_label_map_alone_is_an_error_in_its_place(layout, classes):
    (layout.images / "000000000009.jpg").unlink()
    put(layout, "000000000011", VALUES)
    (layout.labels / "000000000011.png").unlink()
    (layout.images / "holiday.jpg").write_bytes(b"")
    (layout.labels / ".hidden.png").write_bytes(b"")
    (layout.labels / "notes.txt").write_text("not a label map")
    items = list(scan_stuff(layout, classes))
    assert [isinstance(item, DataError) for item in items] == [True, True, False, True]
    assert str(items[0]) == (
        f"{layout.images}: file name 'holiday.jpg' is no image id; name the file by a number, or remove it"
    )
    assert str(items[1]).startswith(f"{layout.labels}/000000000009.png: has no photo of that name in {layout.images}; ")
    assert str(items[3]).startswith(f"{layout.images}/000000000011.jpg: has no label map of that name in ")


def test_two_names_of_one_image_id_are_an_error(layout, classes):
    put(layout, "9", VALUES)
    items = list(scan_stuff(layout, classes))
    assert [isinstance(item, DataError) for item in items] == [False, True, False]
    assert "image id 9 occurs twice" in str(items[1])


def test_a_folder_without_label_maps_is_refused(layout, classes):
    for path in layout.labels.iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="maps: holds no PNG; unpack the label maps there"):
        next(scan_stuff(layout, classes))


def test_label_maps_of_another_kind_are_refused(layout, classes):
    Image.fromarray(np.zeros((2, 4, 3), dtype=np.uint8)).save(layout.labels / "000000000009.png")
    with pytest.raises(ValueError, match=r"000000000009\.png: is a PNG of mode RGB; give a class map"):
        load_first(layout, classes)


def test_a_photo_of_another_size_is_refused(layout, classes):
    Image.fromarray(VALUES[:, :3]).save(layout.labels / "000000000009.png")
    with pytest.raises(ValueError, match=r"000000000009\.png: is 3 x 2 pixels, but 4 x 2 in .*000000000009\.jpg"):
        load_first(layout, classes)


@pytest.mark.parametrize("ending", ["images/000000000009.jpg", "labels/000000000009.png"])
def test_a_file_that_went_missing_is_named(layout, classes, ending):
    folder, name = ending.split("/")
    record = next(scan_stuff(layout, classes))
    (getattr(layout, folder) / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}: is missing, but .* lists it for image id 9"):
        load_stuff(record, classes, ())


def test_an_image_above_the_limit_is_refused(layout, classes):
    with pytest.raises(ValueError, match="4 x 2 pixels, more than the limit of 7"):
        load_first(layout, classes, max_pixels=7)


@pytest.fixture
def pixel_maps(real_data):
    """The pixel maps of two real images, values COCO ids, 0 = unlabelled, 183 = a thing; and the same as JSON."""
    folder = real_data / "metric_oracles" / "stuff_cocostuffapi_examples"
    annotations = json.loads((folder / "stuff_examples.json").read_text())["annotations"]
    return folder / "gt_png", [entry for entry in annotations if entry["category_id"] != 183]


@pytest.mark.parametrize("name", ["000000000934", "000000013715"])
def test_real_pixel_maps_of_the_stuff_files_are_told_apart(pixel_maps, layout, name):
    with Image.open(pixel_maps[0] / f"{name}.png") as image:
        put(layout, "1", np.asarray(image))
    with pytest.raises(
        ValueError, match=r"have value 183, which no class has .*pixel maps of stuff_\*\.json hold COCO ids"
    ):
        load_first(layout, coco_stuff_156_15())


@pytest.mark.parametrize("name", ["000000000934", "000000013715"])
def test_real_label_maps_have_the_masks_of_the_official_json(pixel_maps, layout, name):
    folder, annotations = pixel_maps
    with Image.open(folder / f"{name}.png") as image:
        ids = np.asarray(image).astype(int)
    put(layout, "1", np.where(np.isin(ids, [0, 183]), 255, ids - 1).astype(np.uint8))
    classes = coco_stuff_156_15()
    sample = load_first(layout, classes).sample
    listed = {entry["category_id"]: entry for entry in annotations if entry["image_id"] == int(name)}
    assert {segment.segment_id: segment.area_px for segment in sample.segments} == {
        coco_id: entry["area"] for coco_id, entry in listed.items()
    }
    for label, segment in enumerate(sample.segments, start=1):
        official = mask_of_runs(runs_of_code(listed[segment.segment_id]["segmentation"]["counts"].encode()), *ids.shape)
        np.testing.assert_array_equal(sample.label_map == label, official)
