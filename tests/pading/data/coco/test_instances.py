import json
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pading.data.coco.instances import load_instances, scan_instances
from pading.data.coco.layout import InstanceLayout
from pading.data.errors import DataError
from pading.shapes.rle import encode_mask

CAT, DOG, SKY, COW = 17, 18, 187, 21  # COCO ids; dog is unseen, cow in COCO but not in the table
HEIGHT, WIDTH = 5, 7
SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]  # 3 x 3 pixels from (1, 1)


def crowd(rows, columns):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[rows, columns] = True
    return encode_mask(mask)


def annotation(annotation_id, coco_id=CAT, image_id=1, segmentation=SQUARE, **fields):
    entry = {"id": annotation_id, "image_id": image_id, "category_id": coco_id, "segmentation": segmentation}
    return {**entry, "iscrowd": 0, "area": 9.5, "bbox": [1, 1, 3, 3], **fields}


@pytest.fixture
def document():
    """Image 1: a cat, an overlapping crowd of dogs, a cow; image 2: nothing."""
    return {
        "images": [
            {"id": image_id, "file_name": f"{image_id}.jpg", "height": HEIGHT, "width": WIDTH} for image_id in (2, 1)
        ],
        "annotations": [
            annotation(40),
            annotation(10, DOG, segmentation=crowd(slice(3, 5), slice(3, 7)), iscrowd=1, area=8),
            annotation(30, COW, segmentation=None),
        ],
        "categories": [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"}, {"id": COW, "name": "cow"}],
    }


@pytest.fixture
def layout(tmp_path):
    layout = InstanceLayout(annotations=tmp_path / "instances.json", images=tmp_path / "photos", is_zsi=False)
    layout.images.mkdir()
    for image_id in (1, 2):
        Image.new("RGB", (WIDTH, HEIGHT), (9, 90, 200)).save(layout.images / f"{image_id}.jpg")
    return layout


def scan(layout, document, classes):
    layout.annotations.write_text(json.dumps(document))
    return list(scan_instances(layout, classes))


def load(layout, document, classes, image_id=1, **options):
    records = {record.image_id: record for record in scan(layout, document, classes)}
    return load_instances(records[image_id], classes, **options)


def test_records_list_the_objects_of_the_split_in_file_order(layout, document, classes):
    empty, full = scan(layout, document, classes)
    assert (empty.image_id, empty.objects) == (2, ())
    assert (full.image_id, full.height, full.width, full.file_name) == (1, HEIGHT, WIDTH, "1.jpg")
    assert full.annotation_path == layout.annotations
    assert [(each.annotation_id, each.coco_id, each.is_crowd, each.area_px) for each in full.objects] == [
        (40, CAT, False, 9.5),
        (10, DOG, True, 8.0),
    ]


def test_objects_that_overlap_lie_in_two_layers(layout, document, classes):
    """The square and the crowd share pixel (3, 3), so the crowd has a layer of its own."""
    loaded = load(layout, document, classes)
    first = np.zeros((HEIGHT, WIDTH), dtype=int)
    first[1:4, 1:4] = 1
    second = np.zeros((HEIGHT, WIDTH), dtype=int)
    second[3:5, 3:7] = 2
    assert loaded.sample.label_maps.tolist() == [first.tolist(), second.tolist()]
    assert [(s.segment_id, s.class_index, s.is_crowd, s.area_px) for s in loaded.sample.segments] == [
        (40, 0, False, 9),
        (10, 1, True, 8),
    ]
    assert loaded.hidden_px == 0
    assert loaded.jpeg == (layout.images / "1.jpg").read_bytes()


def test_an_object_without_a_pixel_is_left_out(layout, document, classes):
    outside = [[50, 50, 60, 50, 60, 60]]
    document["annotations"].insert(0, annotation(5, segmentation=outside))
    sample = load(layout, document, classes).sample
    assert [segment.segment_id for segment in sample.segments] == [40, 10]
    assert np.unique(sample.label_maps).tolist() == [0, 1, 2]


def test_an_image_without_objects_is_background(layout, document, classes):
    sample = load(layout, document, classes, image_id=2).sample
    assert sample.segments == ()
    assert sample.label_maps.tolist() == np.zeros((1, HEIGHT, WIDTH)).tolist()


def test_the_lists_may_come_in_any_order(layout, document, classes):
    expected = scan(layout, document, classes)
    assert scan(layout, dict(reversed(document.items())), classes) == expected


def add(**fields):
    return lambda document: document["annotations"].append({**annotation(50), **fields})


IMAGE_1 = "image id 1: annotation 50"
DAMAGES = {
    "image id 1 occurs twice in 'images'; keep one": lambda d: d["images"].append(d["images"][1]),
    "annotation id 40 occurs twice in 'annotations'; keep one": lambda d: d["annotations"].append(annotation(40)),
    "an annotation is of image id 9, which is not listed; list": lambda d: d["annotations"].append(
        annotation(9, image_id=9)
    ),
    "an entry of 'annotations': 'image_id' is '1', not int": add(image_id="1"),
    "an entry of 'annotations': 'id' is None, not int": add(id=None),
    f"{IMAGE_1}: 'category_id' is 1.0, not int": add(category_id=1.0),
    "1 annotations, the first of image id 1, have category id 99, which 'categories' lacks": add(category_id=99),
    f"{IMAGE_1}: 'bbox' is None, not list": add(bbox=None),
    f"{IMAGE_1}: 'bbox' is [1, 2, 3]; give [x, y, width, height]": add(bbox=[1, 2, 3]),
    f"{IMAGE_1}: 'bbox' is [1, nan, 3, 3]": add(bbox=[1, math.nan, 3, 3]),
    f"{IMAGE_1}: 'bbox' is [1, -inf, 3, 3]": add(bbox=[1, -math.inf, 3, 3]),
    f"{IMAGE_1}: 'bbox' is [1, '2', 3, 3]": add(bbox=[1, "2", 3, 3]),
    f"{IMAGE_1}: width -3; nothing is smaller than 0": add(bbox=[1, 1, -3, 3]),
    f"{IMAGE_1}: height -0.5; nothing": add(bbox=[1, 1, 3, -0.5]),
    f"{IMAGE_1}: area -1.0; nothing": add(area=-1),
    f"{IMAGE_1}: 'area' is nan; give a finite number": add(area=math.nan),
    f"{IMAGE_1}: 'iscrowd' is 2; use 0 or 1": add(iscrowd=2),
    f"{IMAGE_1}: polygons of [4] numbers": add(segmentation=[[1, 2, 3, 4]]),
    f"{IMAGE_1}: run lengths do not add up to 2 x 2 pixels": add(segmentation={"counts": [5], "size": [2, 2]}),
    "image id 1: annotation 50 has run lengths of 7 x 5 pixels, but the image has 5 x 7; take": add(
        segmentation={"counts": [35], "size": [7, 5]}
    ),
    "image id 1: 'height' is None, not int": lambda d: d["images"][1].pop("height"),
    "file_name '../1.jpg' leads out of photos/": lambda d: d["images"][1].update(file_name="../1.jpg"),
    "category id 17 is 'cats', but 'cat' in class table 'toy'": lambda d: d["categories"][0].update(name="cats"),
}


@pytest.mark.parametrize("expected", DAMAGES)
def test_each_damage_is_one_error_and_spares_the_other_image(layout, document, classes, expected):
    DAMAGES[expected](document)
    items = scan(layout, document, classes)
    errors = [item for item in items if isinstance(item, DataError)]
    assert len(errors) == 1
    assert str(errors[0]).startswith(f"{layout.annotations}: {expected}")
    assert "\n" not in str(errors[0])
    assert 2 in [item.image_id for item in items if item not in errors]


@pytest.mark.parametrize(
    "damage", [add(bbox=None), add(category_id=99), add(segmentation={"counts": [35], "size": [7, 5]})]
)
def test_an_image_with_a_wrong_annotation_is_no_record(layout, document, classes, damage):
    damage(document)
    document["annotations"].append(annotation(60))
    assert [item.image_id for item in scan(layout, document, classes) if not isinstance(item, DataError)] == [2]


def test_the_file_of_a_split_has_all_its_classes_or_the_seen_ones_in_order(layout, document, classes):
    """The toy table is in another order than seen, then unseen, so one that is is made."""
    ordered = replace(classes, coco_ids=(CAT, SKY, DOG), names=("cat", "sky", "dog"), is_seen=(True, True, False))
    zsi = replace(layout, is_zsi=True)
    cat, dog, cow = document["categories"]
    sky = {"id": SKY, "name": "sky"}
    document["annotations"].pop()
    document["categories"] = [cat, sky, dog]
    assert len(scan(zsi, document, ordered)) == 2
    document["categories"] = [cat, sky]
    document["annotations"].pop()
    assert len(scan(zsi, document, ordered)) == 2
    for categories, expected in (
        ([cat, dog, sky], "category 1 is COCO id 18, but 187 in class table 'toy'; take the file of this split"),
        ([cat], "category 1 is COCO id none, but 187"),
        ([cat, sky, dog, cow], "category 3 is COCO id 21, but none in class table"),
    ):
        document["categories"] = categories
        with pytest.raises(ValueError, match=rf"instances\.json: {expected}"):
            scan(zsi, document, ordered)


def test_a_file_without_one_of_the_lists_is_refused(layout, document, classes):
    del document["images"]
    with pytest.raises(ValueError, match=r"instances\.json: has no list of objects 'images'"):
        scan(layout, document, classes)


def test_a_photo_of_another_size_is_refused(layout, document, classes):
    Image.new("RGB", (WIDTH, 4)).save(layout.images / "1.jpg")
    with pytest.raises(ValueError, match=r"1\.jpg: is 7 x 4 pixels, but 7 x 5 in .*instances\.json"):
        load(layout, document, classes)


def test_a_photo_above_the_limit_is_refused(layout, document, classes):
    with pytest.raises(ValueError, match="7 x 5 pixels, more than the limit of 34"):
        load(layout, document, classes, max_pixels=34)


def test_a_missing_or_damaged_photo_is_named(layout, document, classes):
    photo = layout.images / "1.jpg"
    photo.write_bytes(photo.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"1\.jpg: is truncated or corrupt"):
        load(layout, document, classes)
    photo.unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.jpg: is missing, but .*instances\.json lists it for image id 1"):
        load(layout, document, classes)


def test_objects_that_overlap_beyond_measure_are_refused(layout, document, classes):
    document["annotations"] = [annotation(i) for i in range(1, 4)]
    expected = r"instances\.json: image id 1: more than 2 masks of 5 x 7 pixels overlap; split the image, or remove"
    with pytest.raises(ValueError, match=expected):
        load(layout, document, classes, max_pixels=HEIGHT * WIDTH)
