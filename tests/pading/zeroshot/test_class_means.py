import numpy as np
import pytest
import torch

from pading.zeroshot.class_means import ClassMeansConfig, move_means, regressed_means
from pading.zeroshot.features import Features

NO_OBJECT = 6


def world(seed=0, rows=400):
    """Six classes of which the last two have no rows; class means are a linear map of text, plus noise."""
    random = torch.Generator().manual_seed(seed)
    text = torch.randn(6, 3, generator=random)
    labels = torch.randint(0, 5, (rows,), generator=random)
    labels[labels == 4] = NO_OBJECT
    embeddings = torch.randn(rows, 4, generator=random)
    known = labels < 4
    embeddings[known] += 5 * (text @ torch.randn(3, 4, generator=random))[labels[known]] + 2
    return Features(embeddings, labels, torch.arange(rows)), text


def literal_ridge(real, text, wanted, penalty):
    """Primal ridge regression, one class mean after the other, in double precision."""
    seen = sorted({int(label) for label in real.labels if label < len(text)})
    means = np.array([real.embeddings[real.labels == label].double().numpy().mean(axis=0) for label in seen])
    texts = text.double().numpy() - text[seen].double().numpy().mean(axis=0)
    size = np.mean([texts[label] @ texts[label] for label in seen])
    normal = sum(np.outer(texts[label], texts[label]) for label in seen) + penalty * size * np.eye(texts.shape[1])
    centre = means.mean(axis=0)
    right = sum(np.outer(texts[label], mean - centre) for label, mean in zip(seen, means, strict=True))
    return centre + texts[wanted] @ np.linalg.solve(normal, right)


@pytest.mark.parametrize("penalty", [0.01, 0.3, 5.0])
def test_regression_is_that_of_the_normal_equations(penalty):
    real, text = world()
    found = regressed_means(real, text, [4, 5, 1], penalty)
    np.testing.assert_allclose(found, literal_ridge(real, text, [4, 5, 1], penalty), rtol=1e-5, atol=1e-5)


def test_the_mean_of_an_unseen_class_is_found_where_text_composes():
    random = torch.Generator().manual_seed(3)
    text, map_to_features = torch.randn(9, 2, generator=random), torch.randn(2, 4, generator=random)
    labels = torch.arange(8).repeat_interleave(50)
    real = Features((text @ map_to_features)[labels] + 1, labels, labels)
    found = regressed_means(real, text, [8], penalty=1e-9)[0]
    torch.testing.assert_close(found, text[8] @ map_to_features + 1, rtol=1e-4, atol=1e-4)


def test_no_object_rows_change_nothing():
    real, text = world()
    without = real.where(real.labels != NO_OBJECT)
    assert torch.equal(regressed_means(real, text, [4], 0.3), regressed_means(without, text, [4], 0.3))


def test_a_class_moves_as_a_whole_and_by_its_share():
    real, text = world()
    synthetic = Features(torch.randn(30, 4), torch.tensor([5, 4]).repeat(15), torch.full((30,), -1))
    target = regressed_means(real, text, [4, 5], 0.3)
    moved = move_means(ClassMeansConfig(share=0.25), synthetic, real, text)
    for row, label in enumerate((4, 5)):
        before, after = (one.embeddings[one.labels == label] for one in (synthetic, moved))
        torch.testing.assert_close(after - after.mean(dim=0), before - before.mean(dim=0))
        torch.testing.assert_close(after.mean(dim=0), 0.75 * before.mean(dim=0) + 0.25 * target[row])
    assert torch.equal(moved.labels, synthetic.labels)
    assert move_means(ClassMeansConfig(share=0.0), synthetic, real, text) is synthetic


def test_one_class_alone_says_only_where_features_are():
    real, text = world()
    only = real.where(real.labels == 2)
    torch.testing.assert_close(regressed_means(only, text, [4, 5], 0.3), only.embeddings.mean(dim=0).expand(2, -1))


def test_there_must_be_something_to_regress_from():
    real, text = world()
    with pytest.raises(ValueError, match="no real object"):
        regressed_means(real.where(real.labels == NO_OBJECT), text, [4], 0.3)
    for wrong in ({"share": 1.5}, {"share": -0.1}, {"penalty": 0.0}):
        with pytest.raises(ValueError, match="must lie between 0 and 1"):
            ClassMeansConfig(**wrong)
