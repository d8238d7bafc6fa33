import dataclasses

import numpy as np
import pytest

from pading.data.sample import Segment
from pading.evaluate.matched import all_matched_queries, matched_queries
from pading.evaluate.predictions import ImagePrediction


def image_of_rows(queries: list[tuple[int, int]], image_id: int = 1) -> ImagePrediction:
    """Ten rows of pixels: segment 1 is the upper four, segment 2 the next four, a crowd the last two.

    Each query covers the rows from its first number to before its second one.
    """
    label_map = np.repeat([1, 1, 1, 1, 2, 2, 2, 2, 3, 3], 10).reshape(1, 10, 10).astype(np.uint16)
    mask_logits = np.full((len(queries), 10, 10), -10, dtype=np.float16)
    for mask, (first, last) in zip(mask_logits, queries, strict=True):
        mask[first:last] = 10
    kinds = ((7, False), (2, False), (5, True))
    return ImagePrediction(
        image_id=image_id,
        height=10,
        width=10,
        content_height=10,
        content_width=10,
        input_px=10,
        query_embeddings=np.arange(len(queries), dtype=np.float32)[:, None] * np.ones(3, np.float32),
        mask_logits=mask_logits,
        label_maps=label_map,
        segments=tuple(Segment(segment_id=1, class_index=c, is_crowd=crowd, area_px=1) for c, crowd in kinds),
    )


def test_each_segment_has_its_best_query_and_crowds_have_none():
    # IoU with segment 1: 3/4, 1, 0, 0; with segment 2: 0, 0, 1/2, 3/4; query 4 is the crowd exactly.
    found = matched_queries(image_of_rows([(0, 3), (0, 4), (4, 6), (4, 7), (8, 10)]))
    assert found.labels.tolist() == [7, 2]
    assert found.embeddings[:, 0].tolist() == [1, 3]
    assert found.image_ids.tolist() == [1, 1]


def test_half_an_overlap_is_not_enough():
    assert matched_queries(image_of_rows([(0, 2), (4, 7)])).labels.tolist() == [2]
    assert len(matched_queries(image_of_rows([(0, 2), (4, 6)]))) == 0
    assert matched_queries(image_of_rows([(0, 2)]), iou_threshold=0.4).labels.tolist() == [7]


def test_images_are_joined_in_order():
    empty = dataclasses.replace(image_of_rows([(4, 8)], 3), label_maps=np.zeros((1, 10, 10), np.uint16), segments=())
    found = all_matched_queries([image_of_rows([(0, 4)], 1), empty, image_of_rows([(4, 8)], 2)])
    assert (found.labels.tolist(), found.image_ids.tolist()) == ([7, 2], [1, 2])
    with pytest.raises(ValueError, match="0 feature parts"):
        all_matched_queries([])
