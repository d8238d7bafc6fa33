import pytest
import torch
from torch import nn

from pading.config import override
from pading.segmenter.class_heads import TextHead
from pading.zeroshot.classifier import CosineClassifier
from pading.zeroshot.confidence import mean_confidence
from pading.zeroshot.features import concatenate
from pading.zeroshot.methods import MethodConfig, finish, fit_method
from pading.zeroshot.segmenter_head import cosine_head, linear_head
from tests.references.zeroshot_world import TEXT_WIDTH, WIDTH, world_of_combinations

WORLD = world_of_combinations()
SEEN = list(WORLD.classes.seen)


@pytest.fixture(scope="module")
def text_head() -> TextHead:
    """A head that is sure of the seen classes, trained as a segmenter's is: it holds their texts alone."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = TextHead(WIDTH, WORLD.classes.num_classes, TEXT_WIDTH, temperature=0.05, learn_temperature=True)
    head.set_text(WORLD.text[SEEN], SEEN)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(100):
        loss = nn.functional.cross_entropy(head(WORLD.train.embeddings), WORLD.train.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return head


def objects():
    return WORLD.train.embeddings[WORLD.train.labels != WORLD.classes.no_object]


@torch.no_grad()
def test_the_cosine_classifier_says_what_the_text_head_says_and_knows_the_unseen_names_too(text_head):
    classifier = cosine_head(text_head, WORLD.text)
    theirs, ours = text_head(WORLD.test.embeddings), classifier(WORLD.test.embeddings)
    known = [*SEEN, WORLD.classes.no_object]
    torch.testing.assert_close(ours[:, known], theirs[:, known], rtol=1e-4, atol=1e-4)
    assert torch.isneginf(theirs[:, list(WORLD.classes.unseen)]).all()
    assert ours.isfinite().all()
    is_unseen = torch.isin(WORLD.test.labels, torch.tensor(WORLD.classes.unseen))
    named = ours[is_unseen].argmax(dim=1) == WORLD.test.labels[is_unseen]
    assert named.float().mean() > 1 / WORLD.classes.num_classes


def test_texts_of_another_model_are_refused(text_head):
    with pytest.raises(ValueError, match="width 3 for a text head of width 12: use the text model"):
        cosine_head(text_head, torch.ones(9, 3))


def test_a_linear_head_is_taken_as_it_is():
    own = nn.Linear(WIDTH, 10)
    taken = linear_head(own, WORLD.train, WORLD.classes)
    assert torch.equal(taken.weight, own.weight)
    assert torch.equal(taken.bias, own.bias)


def test_in_the_place_of_a_text_head_a_linear_one_is_fitted_that_is_as_sure_of_seen_classes(text_head):
    fitted = linear_head(text_head, WORLD.train, WORLD.classes)
    is_seen = torch.isin(WORLD.test.labels, torch.tensor(SEEN))
    rows, labels = WORLD.test.embeddings[is_seen], WORLD.test.labels[is_seen]
    ours, theirs = (head(rows).argmax(dim=1) for head in (fitted, text_head))
    assert (ours == labels).float().mean() > 0.9
    assert (ours == labels).float().mean() >= (theirs == labels).float().mean() - 0.05
    sure, wanted = mean_confidence(fitted(objects())), mean_confidence(text_head(objects())[:, [*SEEN, 9]])
    assert sure == pytest.approx(wanted, abs=1e-4)
    again = linear_head(text_head, WORLD.train, WORLD.classes)
    assert torch.equal(fitted.weight, again.weight)


def test_a_head_is_never_fitted_on_a_feature_of_an_unseen_class(text_head):
    with pytest.raises(ValueError, match="may not be fitted on"):
        linear_head(text_head, concatenate([WORLD.train, WORLD.test]), WORLD.classes)


def test_the_row_projection_is_the_segmenters_own_head_where_it_has_one(text_head):
    own = cosine_head(text_head, WORLD.text)
    config = override(MethodConfig(), {"projection.steps": 50})
    arguments = config, WORLD.train, WORLD.text, WORLD.classes, WORLD.old_head, 0
    assert finish(fit_method("projection", *arguments, own_projection=own)).classifier is own
    fitted = finish(fit_method("projection", *arguments)).classifier
    assert isinstance(fitted, CosineClassifier)
    assert not torch.equal(fitted.weight, own.weight)
