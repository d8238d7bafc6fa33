import pytest
import torch

from pading.config import override
from pading.zeroshot.accuracy import query_accuracy
from pading.zeroshot.classifier import CosineClassifier, LinearClassifier
from pading.zeroshot.methods import GENERATIVE, METHODS, MethodConfig, finish, fit_method
from tests.references.zeroshot_world import world_of_combinations

SHORT = override(
    MethodConfig(),
    {
        "primitive.num_primitives": 20,
        "primitive.heads": 2,
        "generator.steps": 150,
        "generator.learning_rate": 3e-3,
        "generator.classes_per_step": 4,
        "classifier.steps": 100,
        "classifier.learning_rate": 1e-2,
        "projection.steps": 200,
        "projection.learning_rate": 1e-2,
    },
)


def fit(method, world, seed=0, config=SHORT):
    return fit_method(method, config, world.train, world.text, world.classes, world.old_head, seed)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_classifier_of_all_classes_and_keeps_the_seen_ones(method):
    world = world_of_combinations()
    classifier = finish(fit(method, world)).classifier
    assert isinstance(classifier, CosineClassifier if method == "projection" else LinearClassifier)
    assert classifier(world.test.embeddings).shape == (len(world.test), 10)
    assert query_accuracy(classifier, world.test, world.classes)["accuracy/seen"] > 0.5


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_is_a_function_of_its_seed(method):
    world = world_of_combinations()
    first, second = (finish(fit(method, world)).classifier.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", GENERATIVE)
def test_generators_recognise_classes_that_no_real_feature_showed(method):
    world = world_of_combinations()
    assert query_accuracy(finish(fit(method, world)).classifier, world.test, world.classes)["accuracy/unseen"] > 0.3


def test_progress_is_named_by_stage():
    names = {name.split("/")[0] for metrics in fit("pading", world_of_combinations()) for name in metrics}
    assert names == {"generator", "classifier"}
    names = {name.split("/")[0] for metrics in fit("projection", world_of_combinations()) for name in metrics}
    assert names == {"projection"}


def test_supervised_is_blind_to_unseen_classes():
    world = world_of_combinations()
    accuracy = query_accuracy(finish(fit("supervised", world)).classifier, world.test, world.classes)
    assert accuracy["accuracy/unseen"] == accuracy["accuracy/hm"] == 0


def test_what_does_not_fit_is_refused():
    world = world_of_combinations()
    with pytest.raises(ValueError, match=r"unknown method 'gan': choose one of supervised, projection, .*pading"):
        finish(fit("gan", world))
    with pytest.raises(ValueError, match=r"shape \(8, 12\) .* pass one row for each of its 9"):
        finish(fit("pading", world._replace(text=world.text[:8])))
    for method in METHODS[1:]:
        with pytest.raises(ValueError, match="may not be fitted on"):
            finish(fit(method, world._replace(train=world.test)))
