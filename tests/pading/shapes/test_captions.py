"""Captioned crops teach every word of the unseen names and never an unseen combination."""

import itertools

import numpy as np
import pytest

from pading.randomness import derive_seed
from pading.shapes.captions import CaptionConfig, caption_crop, draw_crop
from pading.shapes.classes import COLOURS, PATTERNS, SHAPES, TEXTURES, shapes_classes

TABLE = shapes_classes()
CONFIG = CaptionConfig(seed=5)
WORDS = {*COLOURS, *PATTERNS, *SHAPES, *TEXTURES}


@pytest.fixture(scope="module")
def crops():
    return [draw_crop(CONFIG, np.random.default_rng(derive_seed(5, "captions", index))) for index in range(5000)]


def surfaces(crop):
    return [surface for surface in (crop.thing and crop.thing.surface, crop.ground) if surface is not None]


def class_words(caption):
    return [word for word in caption.replace(".", "").split() if word in WORDS]


def test_no_caption_names_an_unseen_class(crops):
    unseen = {frozenset(TABLE.names[index].split()) for index in TABLE.unseen}
    assert not any(frozenset(class_words(crop.caption)) in unseen for crop in crops)


def test_no_crop_shows_an_unseen_class_in_front_or_behind(crops):
    shown = {surface.class_index for crop in crops for surface in surfaces(crop)}
    assert shown == set(TABLE.seen)


def test_every_word_of_every_unseen_name_is_learned(crops):
    spoken = set(itertools.chain.from_iterable(class_words(crop.caption) for crop in crops))
    assert spoken == WORDS
    assert {word for index in TABLE.unseen for word in TABLE.names[index].split()} <= spoken


def test_a_caption_tells_the_truth_about_its_subject(crops):
    for crop in crops:
        name = TABLE.names[surfaces(crop)[0].class_index].split()
        words = class_words(crop.caption)
        assert words in (name, name[:1], name[1:])


def test_captions_name_wholes_and_each_of_the_parts(crops):
    shares = np.bincount([len(class_words(crop.caption)) for crop in crops], minlength=3) / len(crops)
    assert shares[0] == 0
    assert shares[1:] == pytest.approx([0.5, 0.5], abs=0.03)
    captions = {crop.caption for crop in crops}
    assert {"a photo of dotted disc", "something striped", "a star"} <= captions
    assert {"blue waves", "something blue", "waves"} <= captions


def test_things_stand_on_stuff_or_are_cut_out(crops):
    is_cut = [crop.ground is None for crop in crops if crop.thing is not None]
    assert np.mean(is_cut) == pytest.approx(0.5, abs=0.05)


def test_a_crop_depends_on_seed_and_index_alone():
    first, caption = caption_crop(CONFIG, 7)
    caption_crop(CONFIG, 8)
    again, same_caption = caption_crop(CONFIG, 7)
    assert np.array_equal(first, again)
    assert caption == same_caption
    assert not np.array_equal(first, caption_crop(CONFIG, 8)[0])
    assert not np.array_equal(first, caption_crop(CaptionConfig(seed=6), 7)[0])


@pytest.mark.parametrize("size_px", [16, 33, 64])
def test_crops_have_the_wanted_size(size_px):
    image, _ = caption_crop(CaptionConfig(size_px=size_px), 0)
    assert image.shape == (size_px, size_px, 3)
    assert image.dtype == np.uint8


def test_crops_too_small_to_read_are_rejected():
    with pytest.raises(ValueError, match="size_px is 15"):
        CaptionConfig(size_px=15)
