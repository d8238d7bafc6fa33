"""Outputs and truth of one image in COCO's forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from pading.classes import ClassTable
from pading.data.coco.masks import decompress
from pading.data.sample import Segment
from pading.evaluate.inference import Instances
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.results import (
    PIXELS_JUDGED,
    at_judged_size,
    enlarged,
    instance_entries,
    segment_colours,
    segments_info,
    true_instances,
    true_segment_ids,
    true_segments_info,
)

CLASSES = ClassTable(
    name="own",
    names=("dog", "cat", "sky"),
    coco_ids=(18, 17, 187),
    is_thing=(True, True, False),
    is_seen=(True, False, True),
)


def truth(label_maps: np.ndarray, *segments: Segment) -> ImagePrediction:
    _, height, width = label_maps.shape
    return ImagePrediction(
        image_id=7,
        height=height,
        width=width,
        content_height=1,
        content_width=1,
        input_px=4,
        query_embeddings=np.zeros((1, 2), np.float32),
        mask_logits=np.ones((1, 1, 1), np.float16),
        label_maps=label_maps.astype(np.uint16),
        segments=segments,
    )


def segment(segment_id: int, class_index: int, is_crowd: bool = False) -> Segment:
    return Segment(segment_id=segment_id, class_index=class_index, is_crowd=is_crowd, area_px=1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 256**3 - 1), min_size=1, max_size=8))
def test_colours_hold_every_id(ids: list[int]) -> None:
    colours = segment_colours(np.array([ids])).astype(int)
    assert (colours @ [1, 256, 65536]).tolist() == [ids]


@pytest.mark.parametrize("wrong", [-1, 256**3])
def test_an_id_that_no_colour_holds_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="do not fit the 24 bits of a colour"):
        segment_colours(np.array([[wrong]]))


def test_segments_of_a_map_by_hand() -> None:
    found = segments_info(np.array([[0, 1, 1], [2, 1, 0]]), [18, 187])
    assert found == [
        {"id": 1, "category_id": 18, "area": 3, "iscrowd": 0},
        {"id": 2, "category_id": 187, "area": 1, "iscrowd": 0},
    ]


def test_the_truth_keeps_its_ids_and_crowds() -> None:
    image = truth(np.array([[[0, 1, 2], [2, 2, 0]]]), segment(70_000, 0), segment(9, 2, is_crowd=True))
    assert true_segment_ids(image).tolist() == [[0, 70_000, 9], [9, 9, 0]]
    assert true_segments_info(image, CLASSES) == [
        {"id": 70_000, "category_id": 18, "area": 1, "iscrowd": 0},
        {"id": 9, "category_id": 187, "area": 3, "iscrowd": 1},
    ]


def test_true_instances_are_things_each_from_its_layer() -> None:
    lower = np.array([[1, 1, 0], [1, 1, 0]])
    upper = np.array([[0, 2, 2], [0, 3, 0]])
    image = truth(np.stack([lower, upper]), segment(1, 0), segment(2, 1), segment(3, 2))
    dog, cat = true_instances(image, CLASSES)
    assert (dog["category_id"], dog["area"], dog["bbox"]) == (18, 4, [0, 0, 2, 2])
    assert (cat["category_id"], cat["area"], cat["bbox"], cat["image_id"]) == (17, 2, [1, 0, 2, 1], 7)
    assert decompress(cat["segmentation"]["counts"].encode()).tolist() == [2, 1, 1, 1, 1]  # down the columns


def test_a_query_that_is_tried_as_two_classes_has_one_mask_and_an_empty_one_none() -> None:
    masks = np.zeros((3, 4, 4), bool)
    masks[0, 1:3, 2:] = masks[2] = True
    found = Instances(
        queries=np.array([0, 1, 2, 0]), classes=np.array([0, 0, 1, 1]), scores=np.array([0.9, 0.8, 0.7, 0.1])
    )
    entries = instance_entries(found, masks, CLASSES, (4, 4))
    assert [(entry["category_id"], entry["score"]) for entry in entries] == [(18, 0.9), (17, 0.7), (17, 0.1)]
    assert entries[0]["segmentation"] == entries[2]["segmentation"]
    assert entries[0]["bbox"] == [2, 1, 2, 2]
    assert coco_mask.area(entries[1]["segmentation"]) == 16
    nothing = Instances(queries=np.zeros(0, int), classes=np.zeros(0, int), scores=np.zeros(0))
    assert instance_entries(nothing, masks, CLASSES, (4, 4)) == []


def test_enlarging_keeps_each_pixel_in_its_place() -> None:
    labels = np.array([[1, 2], [3, 4]])
    assert enlarged(labels, (4, 2)).tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert set(enlarged(labels, (5, 3)).ravel()) == {1, 2, 3, 4}
    assert enlarged(labels, (2, 2)) is labels


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000))
def test_judged_sizes_are_bounded_and_small_photos_keep_theirs(height: int, width: int) -> None:
    image = truth(np.zeros((1, height, width), np.uint8))
    judged = at_judged_size(image)
    assert judged.height * judged.width <= PIXELS_JUDGED
    if height * width <= PIXELS_JUDGED:
        assert judged is image
    else:
        assert judged.height / judged.width == pytest.approx(height / width, rel=0.3)
