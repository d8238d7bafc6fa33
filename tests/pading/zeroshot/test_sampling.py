import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.randomness import generator_for
from pading.zeroshot.sampling import draw_by_class, draw_by_image


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 8), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_rows_are_of_the_class_and_classes_of_a_step_are_distinct(labels, classes_per_step, rows_per_class):
    labels = torch.tensor(labels)
    draws = draw_by_class(labels, 4, classes_per_step, rows_per_class, generator_for(0))
    assert draws.rows.shape == (4, min(classes_per_step, len(labels.unique())), rows_per_class)
    assert torch.equal(labels[draws.rows], draws.classes.unsqueeze(2).expand_as(draws.rows))
    assert all(len(step.unique()) == len(step) for step in draws.classes)


def test_rare_classes_are_as_likely_as_common_ones_and_every_row_is_reached():
    labels = torch.tensor([7] * 3 + [2] * 97)
    draws = draw_by_class(labels, 2000, 1, 4, generator_for(0))
    assert 900 < (draws.classes == 7).sum() < 1100
    assert len(draws.rows.unique()) == 100


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(ValueError, match="no feature to draw from"):
        draw_by_class(torch.zeros(0, dtype=torch.int64), 1, 1, 1, generator_for(0))


IMAGES = torch.tensor([7, 3, 7, 9, 3, 7, 5])


def test_a_step_has_all_rows_of_its_images_and_images_come_once_before_any_comes_again():
    steps = list(draw_by_image(IMAGES, 6, 2, generator_for(0)))
    rows_of = {image: (image == IMAGES).nonzero().flatten().tolist() for image in (3, 5, 7, 9)}
    drawn = []
    for rows in steps:
        images = list(dict.fromkeys(IMAGES[rows].tolist()))
        assert rows.tolist() == [row for image in images for row in rows_of[image]]
        drawn += images
    for start in (0, 4, 8):
        assert sorted(drawn[start : start + 4]) == [3, 5, 7, 9]
    assert drawn[:4] != drawn[4:8] or drawn[4:8] != drawn[8:]


def test_more_images_than_there_are_means_that_some_come_twice():
    (rows,) = draw_by_image(IMAGES, 1, 8, generator_for(0))
    assert sorted(rows.tolist()) == sorted([*range(7), *range(7)])


def test_drawing_by_image_depends_on_its_randomness_alone():
    first, second = (torch.cat(list(draw_by_image(IMAGES, 5, 3, generator_for(1)))) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first[:9], torch.cat(list(draw_by_image(IMAGES, 5, 3, generator_for(2))))[:9])


def test_no_images_to_draw_are_refused():
    with pytest.raises(ValueError, match="no feature to draw from"):
        draw_by_image(IMAGES[:0], 1, 1, generator_for(0))
    with pytest.raises(ValueError, match="0 images a step"):
        draw_by_image(IMAGES, 1, 0, generator_for(0))
