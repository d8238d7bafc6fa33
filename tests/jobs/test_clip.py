import dataclasses
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.clip import embed_names, encode_texts, import_open_clip, load_clip
from jobs.shapes_clip import (
    CUT_OUT_GREY,
    SHAPES_TEMPLATES,
    ShapesClipConfig,
    contrast,
    crops_of,
    known_captions,
    known_classes,
    known_crops,
    train_shapes_clip,
    turned,
)
from pading.data.sample import Segment
from pading.shapes.classes import extra_classes, shapes_classes, world_names
from pading.shapes.scene import Scene
from pading.text.embeddings import TextEmbeddings, prompts_for

TINY = ShapesClipConfig(
    crop_px=32, num_crops=64, steps=2, batch=8, vision_width=8, text_width=32, embed_dim=16, whole_captions=4
)
EVERYTHING = tuple(range(len(world_names())))
WITHOUT_UNSEEN = known_classes(dataclasses.replace(TINY, knows_unseen=False), shapes_classes())


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small only lose by sharing a busy machine's cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "model"
    train_shapes_clip(path, TINY, shapes_classes())
    return path


def test_an_embedding_is_the_unit_mean_of_unit_prompt_vectors_over_templates_and_synonyms(folder: Path):
    templates = ("a {}", "a photo of a {}.")
    embeddings = embed_names(["red planks, scarlet planks", "ring"], templates, model=f"local-dir:{folder}", batch=3)
    clip = load_clip(f"local-dir:{folder}")
    for row, name in enumerate(embeddings.names):
        with torch.no_grad():
            prompts = [
                clip.model.encode_text(clip.tokenize([text]))[0].double() for text in prompts_for(name, templates)
            ]
        mean = sum(vector / vector.norm() for vector in prompts) / len(prompts)
        np.testing.assert_allclose(embeddings.matrix[row], (mean / mean.norm()).numpy(), atol=1e-5)


def test_the_embeddings_say_what_they_were_made_of_and_fit_the_class_table(folder: Path, tmp_path: Path):
    table = shapes_classes()
    made = embed_names(table.names, SHAPES_TEMPLATES, model=f"local-dir:{folder}")
    made.save(tmp_path / "text.npz")
    loaded = TextEmbeddings.load(tmp_path / "text.npz").for_classes(table)
    assert loaded.matrix.shape == (table.num_classes, TINY.embed_dim)
    assert (loaded.model, loaded.templates) == (f"local-dir:{folder}", SHAPES_TEMPLATES)


def test_the_batch_size_does_not_matter(folder: Path):
    clip = load_clip(f"local-dir:{folder}")
    texts = [f"{name} star" for name in shapes_classes().names]
    torch.testing.assert_close(encode_texts(clip, texts, batch=5), encode_texts(clip, texts, batch=100))


def test_a_checkpoint_file_with_a_model_name_is_read(tmp_path: Path):
    config = {"embed_dim": 8, **{key: TINY.model()[key] for key in ("vision_cfg", "text_cfg")}}
    (tmp_path / "tiny-for-test.json").write_text(json.dumps(config))
    open_clip = import_open_clip()
    open_clip.add_model_config(tmp_path / "tiny-for-test.json")
    network = open_clip.CLIP(**config)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    made = embed_names(["cat"], ("{}",), model="tiny-for-test", pretrained=str(tmp_path / "weights.pt"))
    with torch.no_grad():
        expected = network.eval().encode_text(open_clip.get_tokenizer("tiny-for-test")(["cat"]), normalize=True)
    np.testing.assert_allclose(made.matrix, expected.numpy(), atol=1e-6)


def test_an_unknown_model_name_lists_near_names():
    with pytest.raises(ValueError, match=r"no model 'ViT-B-61'; near names: .*ViT-B-16"):
        load_clip("ViT-B-61", "openai")


@pytest.mark.parametrize("pretrained", ["", "no-such-tag"])
def test_weights_that_are_neither_tag_nor_file_list_the_tags(pretrained: str):
    with pytest.raises(ValueError, match=r"give a checkpoint file or one of the tags .*openai"):
        load_clip("ViT-B-16", pretrained)


@pytest.mark.parametrize("damage", ["no folder", "no weights", "damaged weights"])
def test_weights_that_cannot_be_had_say_how_to_do_without_network(folder: Path, tmp_path: Path, damage: str):
    if damage != "no folder":
        shutil.copytree(folder, tmp_path / "model")
        (tmp_path / "model" / "open_clip_model.safetensors").unlink()
    if damage == "damaged weights":
        (tmp_path / "model" / "open_clip_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match="Without network, give a checkpoint file") as caught:
        load_clip(f"local-dir:{tmp_path}/model")
    assert len(str(caught.value).splitlines()) == 1


def test_training_twice_gives_the_same_weights_and_leaves_the_global_seed_alone(folder: Path, tmp_path: Path):
    before = torch.random.get_rng_state()
    losses: list[float] = []
    train_shapes_clip(tmp_path, TINY, shapes_classes(), lambda step, steps, loss: losses.append(loss))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len(losses) == TINY.steps
    again, first = (path / "open_clip_model.safetensors" for path in (tmp_path, folder))
    assert again.read_bytes() == first.read_bytes()


def test_what_the_run_calls_unseen_is_known_unless_it_is_to_be_hidden():
    table = shapes_classes()
    assert known_classes(TINY, table) == EVERYTHING
    assert (*table.seen, *extra_classes()) == WITHOUT_UNSEEN
    own = dataclasses.replace(table, is_seen=tuple(name != "plain disc" for name in table.names))
    hidden = set(EVERYTHING) - set(known_classes(dataclasses.replace(TINY, knows_unseen=False), own))
    assert [world_names()[k] for k in hidden] == ["plain disc"]


def test_no_crop_and_no_caption_shows_a_hidden_combination():
    table, captions = shapes_classes(), known_captions(WITHOUT_UNSEEN)
    _, labels = known_crops(dataclasses.replace(TINY, num_crops=1000), WITHOUT_UNSEEN)
    assert set(labels.tolist()) == set(WITHOUT_UNSEEN)
    assert set(captions.whole_classes.tolist()) == set(WITHOUT_UNSEEN)
    unseen = [set(table.names[k].split()) for k in table.unseen]
    texts = captions.wholes + captions.words
    assert not [text for text in texts if any(words <= set(text.split()) for words in unseen)]


def test_a_model_that_knows_everything_sees_reads_and_is_asked_everything():
    captions = known_captions(EVERYTHING)
    assert set(captions.whole_classes.tolist()) == set(EVERYTHING)
    assert captions.is_asked.all()
    assert {"striped star", "striped hexagon", "a hexagon"} <= {*captions.wholes, *captions.words}


def test_all_things_are_shown_about_alike_and_so_is_all_stuff():
    _, labels = known_crops(dataclasses.replace(TINY, num_crops=3000), EVERYTHING)
    counts = torch.bincount(labels, minlength=len(world_names())).double()
    table = shapes_classes()
    unseen_things, seen_things = ([k for k in group if table.is_thing[k]] for group in (table.unseen, table.seen))
    expected = float(counts[seen_things].mean())
    assert float(counts[unseen_things].mean()) == pytest.approx(expected, rel=0.2)
    assert float(counts[list(extra_classes())].mean()) == pytest.approx(expected, rel=0.2)


def test_crops_are_tight_and_cut_out_ones_are_grey_outside():
    labels = np.zeros((20, 30), np.uint8)
    labels[5:9, 10:18] = 1
    labels[5, 10] = 0
    image = np.full((20, 30, 3), 200, np.uint8)
    image[5:9, 10:18] = 50
    segment = Segment(segment_id=1, class_index=3, is_crowd=False, area_px=31)
    scene = Scene(image=image, label_map=labels, segments=(segment,))
    ((crop, label),) = crops_of(scene, 32, is_cut_out=False)
    assert (label, crop.shape) == (3, (32, 32, 3))
    assert (crop == 50).all()
    ((cut_out, _),) = crops_of(scene, 32, is_cut_out=True)
    assert (cut_out[0, 0] == CUT_OUT_GREY).all()
    assert (cut_out[-1, -1] == 50).all()


def test_a_caption_is_true_of_the_classes_that_have_its_word():
    captions = known_captions(WITHOUT_UNSEEN)
    columns = {text: column for column, text in enumerate(captions.words)}
    for text, word in (("something striped", "striped"), ("a photo of a ring", "ring"), ("something blue", "blue")):
        true_of = {world_names()[k] for k in captions.is_true[:, columns[text]].nonzero()[:, 0].tolist()}
        assert true_of == {name for name in world_names() if word in name.split()}


def test_a_word_is_asked_unless_it_would_turn_the_name_into_a_hidden_one():
    table, captions = shapes_classes(), known_captions(WITHOUT_UNSEEN)
    columns = {text: column for column, text in enumerate(captions.words)}
    assert "striped star" in {table.names[k] for k in table.unseen}
    striped_disc, plain_star, red_waves = (
        table.names.index(name) for name in ("striped disc", "plain star", "red waves")
    )
    assert not captions.is_asked[striped_disc, columns["a star"]]
    assert not captions.is_asked[plain_star, columns["something striped"]]
    assert captions.is_asked[striped_disc, columns["a ring"]]
    assert captions.is_asked[plain_star, columns["something dotted"]]
    assert captions.is_asked[red_waves, columns["a star"]]
    striped_hexagon = world_names().index("striped hexagon")
    assert not captions.is_asked[striped_hexagon, columns["a star"]]
    assert captions.is_asked[striped_disc, columns["a hexagon"]]
    known = torch.tensor(WITHOUT_UNSEEN)
    assert captions.is_asked[known][captions.is_true[known]].all()


def test_every_word_of_an_unseen_name_has_a_caption_of_its_own():
    table = shapes_classes()
    said = {word for text in known_captions(WITHOUT_UNSEEN).words for word in text.split()}
    assert {word for k in table.unseen for word in table.names[k].split()} <= said


def test_the_contrast_is_the_mean_of_both_soft_cross_entropies_over_asked_pairs():
    logits = torch.tensor([[1.0, 0.0, 2.0], [0.5, -1.0, 3.0]], dtype=torch.float64)
    is_true = torch.tensor([[True, True, False], [True, False, False]])
    is_asked = torch.tensor([[True, True, False], [True, True, True]])
    e = math.exp
    first = 0.5 * (math.log(e(1) + e(0)) - 1) + 0.5 * (math.log(e(1) + e(0)) - 0)
    second = math.log(e(0.5) + e(-1) + e(3)) - 0.5
    crops = (first + second) / 2
    caption_0 = 0.5 * (math.log(e(1) + e(0.5)) - 1) + 0.5 * (math.log(e(1) + e(0.5)) - 0.5)
    caption_1 = math.log(e(0) + e(-1)) - 0
    captions = (caption_0 + caption_1) / 2  # the third caption is true of no crop
    assert contrast(logits, is_true, is_asked).item() == pytest.approx((crops + captions) / 2, abs=1e-12)


def test_swapping_crops_or_captions_leaves_the_contrast_unchanged():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    is_true, is_asked = torch.rand(6, 5, generator=generator) < 0.5, torch.rand(6, 5, generator=generator) < 0.7
    is_true |= torch.eye(6, 5, dtype=torch.bool)
    is_true[5, 0] = True
    is_asked |= is_true
    rows, columns = torch.randperm(6, generator=generator), torch.randperm(5, generator=generator)
    shuffled = contrast(*(values[rows][:, columns] for values in (logits, is_true, is_asked)))
    torch.testing.assert_close(shuffled, contrast(logits, is_true, is_asked))


def test_squares_are_turned_together_into_each_of_their_eight_positions():
    squares = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).reshape(2, 3, 2, 2)
    random = torch.Generator().manual_seed(0)
    found = [turned(squares, random) for _ in range(200)]
    positions = {tuple(each[0, 0].flatten().tolist()) for each in found}
    # Corners 0 1 / 2 3: whichever is first, its two neighbours follow in either order, and the opposite one is last.
    assert positions == {
        (0, 1, 2, 3), (0, 2, 1, 3), (1, 0, 3, 2), (1, 3, 0, 2), (2, 0, 3, 1), (2, 3, 0, 1), (3, 1, 2, 0), (3, 2, 1, 0)
    }  # fmt: skip
    for each in found:
        torch.testing.assert_close(each - each[:1, :1], (squares - squares[:1, :1])[:, :, :1, :1].expand_as(each))


@pytest.mark.parametrize("change", [{"crop_px": 40}, {"text_width": 50}])
def test_settings_that_cannot_work_are_refused(change: dict):
    with pytest.raises(ValueError, match=next(iter(change))):
        ShapesClipConfig(**change)
