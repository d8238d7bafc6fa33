"""Folders in transformers' format: what does not fit, is damaged or has no names is refused by name."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from pading.segmenter.huggingface import (
    config_from_huggingface,
    config_to_huggingface,
    load_huggingface,
    names_from_huggingface,
    save_huggingface,
    state_from_huggingface,
    state_to_huggingface,
)
from pading.segmenter.segmenter import Segmenter, maskformer_r50, r50, tiny

NUM_CLASSES = 7
NAMES = ("cat", "dog", "cow", "tree-merged", "sky", "sea", "road")


@pytest.fixture(scope="module")
def small() -> Segmenter:
    """A Mask2Former with the backbone of the others and little behind it."""
    sizes = {"width": 32, "queries": 3, "encoder_layers": 1, "decoder_layers": 1, "feedforward_width": 8}
    return Segmenter(replace(r50(), heads=2, encoder_feedforward_width=8, **sizes), NUM_CLASSES)


@pytest.fixture(scope="module")
def small_maskformer() -> Segmenter:
    sizes = {"width": 32, "queries": 3, "decoder_layers": 2, "feedforward_width": 8, "heads": 2}
    return Segmenter(replace(maskformer_r50(), dropout=0.2, **sizes), NUM_CLASSES)


@pytest.mark.parametrize("network", ["small", "small_maskformer"])
def test_names_are_one_to_one_in_both_directions(network, request):
    small = request.getfixturevalue(network)
    theirs = state_to_huggingface(small.state_dict(), small.config)
    again = state_from_huggingface(theirs, small.config)
    assert again.keys() == small.state_dict().keys()
    assert all(torch.equal(tensor, small.state_dict()[name]) for name, tensor in again.items())
    assert config_from_huggingface(config_to_huggingface(small.config, NAMES)) == small.config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("class_predictor.bias"), "1 tensors are missing, e.g. class_predictor.bias"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 tensors are unknown, e.g. extra"),
        (
            lambda s: s.update({"model.transformer_module.decoder.layers.0.cross_attn.in_proj_bias": torch.zeros(5)}),
            r"in_proj_bias has shape \(5,\): not query, key and value",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(small, change, message):
    state = state_to_huggingface(small.state_dict(), small.config)
    change(state)
    with pytest.raises(ValueError, match=message):
        state_from_huggingface(state, small.config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(model_type="detr"), "model_type is 'detr', not one of mask2former, maskformer"),
        (lambda d: d.update(pre_norm=True), "pre_norm is True; this network has False"),
        (lambda d: d.update(hidden_dim=128), r"differ: \[32, 128\]"),
        (lambda d: d.update(num_queries="many"), "'many' is not int"),
        (lambda d: d["backbone_config"].update(depths=[1, 1, 1, 1]), r"depths \(1, 1, 1, 1\) is neither"),
        (lambda d: d.update(backbone_config={"model_type": "swin", "embed_dim": 97}), "a swin of .*width=97"),
        (lambda d: d["backbone_config"].update(model_type="vit"), "backbone 'vit'"),
        (lambda d: d.pop("backbone_config"), "backbone None"),
    ],
)
def test_settings_that_this_network_does_not_have_are_named(small, change, message):
    described = config_to_huggingface(small.config, NAMES)
    change(described)
    with pytest.raises(ValueError, match=message):
        config_from_huggingface(described)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["decoder_config"].update(activation_function="gelu"), "activation_function is 'gelu'.* 'relu'"),
        (
            lambda d: d["decoder_config"].update(position_embedding_type="learned"),
            "position_embedding_type is 'learned'",
        ),
        (lambda d: d.update(mask_feature_size=64), r"d_model differ: \[32, 64, 32\]"),
        (lambda d: d["decoder_config"].update(dropout=1.5), r"dropout 1.5 must be in \[0, 1\)"),
        (lambda d: d.pop("backbone_config"), "backbone None"),
    ],
)
def test_settings_that_our_maskformer_does_not_have_are_named(small_maskformer, change, message):
    described = config_to_huggingface(small_maskformer.config, NAMES)
    change(described)
    with pytest.raises(ValueError, match=message):
        config_from_huggingface(described)


def test_a_maskformer_leaves_its_defaults_out_of_its_file():
    described = {"model_type": "maskformer", "backbone_config": {"model_type": "resnet"}}
    assert config_from_huggingface(described) == maskformer_r50()


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "mask2former", "decoder_layers": "x"}'])
def test_a_configuration_that_describes_nothing_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json does not describe a segmenter of ours"):
        load_huggingface(tmp_path)


def test_files_that_are_missing_damaged_or_of_another_shape_are_named(small, tmp_path):
    save_huggingface(tmp_path, small, NAMES)
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    state["model.transformer_module.level_embed.weight"] = torch.zeros(4, 32)
    save_file(state, path)
    message = r"safetensors: mask_decoder.level.weight has shape \(4, 32\), its configuration says \(3, 32\)"
    with pytest.raises(ValueError, match=message):
        load_huggingface(tmp_path)
    path.write_bytes(b"\x08" * 100)
    with pytest.raises(ValueError, match=r"model.safetensors is not a readable"):
        load_huggingface(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"model.safetensors is missing"):
        load_huggingface(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"config.json .* the file is missing"):
        load_huggingface(tmp_path)


def test_a_segmenter_that_is_neither_network_is_not_exported():
    with pytest.raises(ValueError, match="no Mask2Former of"):
        state_to_huggingface({}, tiny())
    with pytest.raises(ValueError, match="no MaskFormer of"):
        state_to_huggingface({}, replace(tiny(), mask_decoder="maskformer"))
    with pytest.raises(ValueError, match="'swin_tiny_patch4_window7_224' is not translated; resnet50"):
        state_to_huggingface({}, replace(maskformer_r50(), backbone="swin_tiny_patch4_window7_224"))
    with pytest.raises(ValueError, match="'convnext_atto' has no counterpart"):
        state_to_huggingface({}, replace(r50(), backbone="convnext_atto"))


def test_there_is_a_name_for_each_class(small, tmp_path):
    with pytest.raises(ValueError, match="6 names for a segmenter of 7 classes; give one a class"):
        save_huggingface(tmp_path, small, NAMES[:-1])
    assert names_from_huggingface(config_to_huggingface(small.config, NAMES), NUM_CLASSES) == NAMES


@pytest.mark.parametrize(
    "labels", [None, {"0": "LABEL_0", "1": "LABEL_1"}, {"0": "cat", "1": "LABEL_1"}, {"0": "class 0", "1": "class 1"}]
)
def test_numbers_are_no_names(labels):
    assert names_from_huggingface({"id2label": labels}, 2) is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"0": "cat"}, "does not name the classes 0 to 1"),
        ({"0": "cat", "2": "dog"}, "does not name the classes 0 to 1"),
        (["cat", "dog"], "does not name the classes 0 to 1"),
        ({"0": "cat", "1": 7}, "empty or no text"),
        ({"0": "cat", "1": " "}, "empty or no text"),
    ],
)
def test_labels_that_do_not_name_the_classes_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        names_from_huggingface({"id2label": labels}, 2)
