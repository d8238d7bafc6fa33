import json

import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.classifier import CosineClassifier, LinearClassifier, load_classifier, save_classifier


def linear():
    randomness = generator_for(0, "linear")
    return LinearClassifier(torch.randn(4, 5, generator=randomness), torch.tensor([0.0, 1.0, -torch.inf, 2.0]))


def cosine():
    randomness = generator_for(0, "cosine")
    weight, text = torch.randn(6, 5, generator=randomness), 3 * torch.randn(3, 6, generator=randomness)
    no_object = torch.randn(6, generator=randomness)
    return CosineClassifier(weight, torch.randn(6, generator=randomness), text, no_object, temperature=0.05)


def features(rows=7):
    return torch.randn(rows, 5, generator=generator_for(0, "features"))


def test_cosine_logits_are_cosines_over_temperature_and_no_object_is_not_bounded():
    head, rows = cosine(), features()
    logits = head(rows)
    for n in range(len(rows)):
        projected = head.weight @ rows[n] + head.bias
        for k in range(3):
            expected = torch.nn.functional.cosine_similarity(projected, head.text[k], dim=0) / 0.05
            torch.testing.assert_close(logits[n, k], expected)
        torch.testing.assert_close(logits[n, 3], projected @ head.no_object / projected.norm() / 0.05)


def test_text_is_frozen_and_of_unit_length():
    head = cosine()
    torch.testing.assert_close(head.text.norm(dim=1), torch.ones(3))
    assert {name for name, _ in head.named_parameters()} == {"weight", "bias", "no_object"}


@pytest.mark.parametrize("build", [linear, cosine])
def test_a_classifier_reads_back_with_equal_logits(tmp_path, build):
    save_classifier(tmp_path / "new" / "folder", build())
    loaded = load_classifier(tmp_path / "new" / "folder")
    assert type(loaded) is type(build())
    assert torch.equal(loaded(features()), build()(features()))


def test_damaged_files_are_named(tmp_path):
    save_classifier(tmp_path, linear())
    weights = tmp_path / "classifier.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[: len(good) // 2])
    with pytest.raises(ValueError, match=r"classifier\.safetensors does not hold a linear classifier"):
        load_classifier(tmp_path)
    weights.write_bytes(good)
    description = tmp_path / "classifier.json"
    description.write_text(json.dumps({"schema": 1, "kind": "cosine", "temperature": 0.1}))
    with pytest.raises(ValueError, match=r"classifier\.safetensors does not hold a cosine classifier"):
        load_classifier(tmp_path)
    description.write_text(json.dumps({"schema": 1, "kind": "cosine"}))
    with pytest.raises(ValueError, match=r"classifier\.json"):
        load_classifier(tmp_path)
    description.write_text(json.dumps({"schema": 9, "kind": "linear"}))
    with pytest.raises(ValueError, match=r"classifier\.json: schema 9, kind 'linear'; this code reads schema 1"):
        load_classifier(tmp_path)
    for text in ("{", "[]", "{}"):
        description.write_text(text)
        with pytest.raises(ValueError, match=r"classifier\.json does not describe a classifier"):
            load_classifier(tmp_path)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"weight \(4, 5\) and bias \(3,\)"):
        LinearClassifier(torch.zeros(4, 5), torch.zeros(3))
    with pytest.raises(ValueError, match="all must share the text width"):
        CosineClassifier(torch.zeros(6, 5), torch.zeros(6), torch.ones(3, 7), torch.zeros(6))
    with pytest.raises(ValueError, match="temperature is 0"):
        CosineClassifier(torch.zeros(6, 5), torch.zeros(6), torch.ones(3, 6), torch.zeros(6), temperature=0)
