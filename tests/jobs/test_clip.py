import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.clip import embed_names, encode_images, encode_texts, import_open_clip, load_clip
from jobs.shapes_clip import SHAPES_TEMPLATES, ShapesClipConfig, seen_captions, seen_crops, train_shapes_clip
from pading.shapes.classes import shapes_classes
from pading.text import TextEmbeddings, prompts_for

TINY = ShapesClipConfig(num_crops=64, steps=2, batch=8, vision_width=8, text_width=32, embed_dim=16, whole_captions=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "model"
    train_shapes_clip(path, TINY)
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
    train_shapes_clip(tmp_path, TINY, lambda step, steps, loss: losses.append(loss))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len(losses) == TINY.steps
    again, first = (path / "open_clip_model.safetensors" for path in (tmp_path, folder))
    assert again.read_bytes() == first.read_bytes()


def test_no_crop_and_no_caption_shows_an_unseen_combination():
    table = shapes_classes()
    _, labels = seen_crops(TINY)
    assert set(labels.tolist()) <= set(table.seen)
    unseen = [set(table.names[k].split()) for k in table.unseen]
    assert not [text for text in seen_captions().texts if any(words <= set(text.split()) for words in unseen)]


def test_a_caption_is_true_of_the_classes_that_have_all_its_words():
    table, captions = shapes_classes(), seen_captions()
    true_of = {
        text: {table.names[k] for k in captions.is_true[:, u].nonzero()[:, 0]} for u, text in enumerate(captions.texts)
    }
    assert true_of["a photo of plain disc"] == {"plain disc"}
    assert true_of["something striped"] == {name for name in table.names if name.startswith("striped")}
    assert true_of["a photo of a ring"] == {name for name in table.names if name.endswith("ring")}
    assert true_of["something blue"] == {"blue waves", "blue bricks", "blue planks"}


def test_every_word_of_an_unseen_name_has_a_caption_of_its_own():
    table, captions = shapes_classes(), seen_captions()
    said = {word for text in captions.texts[captions.num_wholes :] for word in text.split()}
    assert {word for k in table.unseen for word in table.names[k].split()} <= said


def test_images_are_encoded_to_unit_vectors(folder: Path):
    clip = load_clip(f"local-dir:{folder}")
    pixels, _ = seen_crops(TINY)
    vectors = encode_images(clip, pixels[:4].float() / 255)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    assert clip.image_px == TINY.crop_px


@pytest.mark.parametrize("change", [{"crop_px": 40}, {"text_width": 50}, {"mix_rate": 1.5}])
def test_settings_that_cannot_work_are_refused(change: dict):
    with pytest.raises(ValueError, match=next(iter(change))):
        ShapesClipConfig(**change)
