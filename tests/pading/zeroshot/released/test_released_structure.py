import math

import pytest
import torch
from torch.autograd import gradcheck

from pading.randomness import generator_for
from pading.zeroshot.alignment import relationship_alignment
from pading.zeroshot.released.structure import (
    ReleasedDisentangler,
    ReleasedStructureConfig,
    alignment,
    element_divergence,
    random_pattern,
    relation_classification,
    structure_terms,
)
from tests.references import zeroshot_released as reference

SEEN, UNSEEN = torch.tensor([0, 2, 3]), torch.tensor([1, 4])
LABELS = torch.tensor([3, 0, 0, 2])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows():
    return normal(4, 6), normal(2, 6, seed=1), normal(5, 6, seed=2)  # seen, unseen, projected


def terms(disentangler, config, seed=0, inputs=None):
    seen, unseen, projected = inputs or rows()
    return structure_terms(disentangler, seen, LABELS, unseen, projected, SEEN, UNSEEN, config, generator_for(seed))


@pytest.mark.parametrize("related_to", ["all", "seen"])
def test_terms_equal_the_literal_loops(related_to):
    config = ReleasedStructureConfig(
        alignment_weight=2,
        unrelated_weight=3,
        relation_weight=5,
        reconstruction_weight=7,
        dropout=0,
        related_to=related_to,
    )
    disentangler = ReleasedDisentangler(6, 0.0, generator_for(0, "test")).double()
    seen, unseen, projected = rows()
    randomness = generator_for(0)
    patterns = [torch.randn(x.shape, generator=randomness, dtype=torch.float64).numpy() for x in (seen, unseen)]
    expected = reference.structure(
        {name: value.numpy() for name, value in disentangler.state_dict().items()},
        seen.numpy(), LABELS.tolist(), unseen.numpy(), UNSEEN.tolist(), projected.numpy(),
        SEEN.tolist() if related_to == "seen" else list(range(5)), tuple(patterns),
    )  # fmt: skip
    weights = {"alignment": 2, "unrelated": 3, "relation": 5, "reconstruction": 7}
    found = terms(disentangler, config)
    assert set(found) == set(weights)
    for name, weight in weights.items():
        assert found[name].item() == pytest.approx(weight * expected[name], rel=1e-9), name


def test_without_a_disentangler_features_themselves_are_aligned():
    seen, unseen, projected = rows()
    found = terms(None, ReleasedStructureConfig(alignment_weight=2))
    expected = reference.alignment(*(x.numpy() for x in (seen, projected[LABELS], unseen, projected[UNSEEN])))
    assert {name: value.item() for name, value in found.items()} == {"alignment": pytest.approx(2 * expected)}


def test_relation_scores_as_logits_can_hardly_move_the_loss():
    # Scores lie in (0, 1) and are read as logits of 133 classes. The right one 1 and the others 0: log(1 + 132 / e);
    # all equal: log 133; the right one 0 and the others 1: log(1 + 132 e). Printed: 3.90, 4.89, 5.89.
    right = torch.zeros(1, 133, dtype=torch.float64)
    right[0, 7] = 1
    values = [float(relation_classification(s, torch.tensor([7]))) for s in (right, torch.ones(1, 133) / 2, 1 - right)]
    assert values == pytest.approx([math.log(1 + 132 / math.e), math.log(133), math.log(1 + 132 * math.e)], rel=1e-6)
    assert [round(value, 2) for value in values] == [3.90, 4.89, 5.89]


def test_an_element_divergence_is_the_mean_over_rows_divided_by_the_columns_once_more():
    # One row of two elements: wanted logits 0.1 log 3 and 0 become (3/4, 1/4), found ones (1/2, 1/2), so that the row's
    # divergence is 3/4 log(3/2) + 1/4 log(1/2) = 0.130812; over two elements, half of it.
    wanted = torch.tensor([[0.1 * math.log(3), 0.0]], dtype=torch.float64)
    row = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(element_divergence(torch.zeros(1, 2, dtype=torch.float64), wanted)) == pytest.approx(row / 2)


def test_alignment_is_a_small_fraction_of_the_paper_form():
    # Blocks of 4 x 4, 2 x 2 and 4 x 2: dividing by elements instead of rows divides them by 4, 2 and 2 columns, and the
    # three are averaged instead of summed.
    seen, unseen, projected = rows()
    arguments = (seen, projected[LABELS], unseen, projected[UNSEEN])
    by_rows = [
        reference.element_divergence(reference.cosines(a, b), reference.cosines(c, d)) * len(b)
        for a, b, c, d in (
            (seen, seen, projected[LABELS], projected[LABELS]),
            (unseen, unseen, projected[UNSEEN], projected[UNSEEN]),
            (seen, unseen, projected[LABELS], projected[UNSEEN]),
        )
    ]
    assert float(relationship_alignment(*arguments)) == pytest.approx(sum(by_rows))
    assert float(alignment(*arguments)) == pytest.approx((by_rows[0] / 4 + by_rows[1] / 2 + by_rows[2] / 2) / 3)


def test_the_projected_text_is_a_target_that_gets_a_gradient():
    seen, unseen, projected = rows()
    projected.requires_grad_()
    alignment(seen, projected[LABELS], unseen, projected[UNSEEN]).backward()
    assert projected.grad[[0, 1, 2, 3, 4]].abs().sum(dim=1).min() > 0


def test_the_reconstructed_feature_is_a_target_that_gets_a_gradient():
    # With a decoder that answers zero the term is the mean size of the features: only a target can pull them to zero.
    seen, unseen, projected = rows()
    seen.requires_grad_()
    disentangler = ReleasedDisentangler(6, 0.0, generator_for(0)).double()
    torch.nn.init.zeros_(disentangler.decoder.second.weight)
    torch.nn.init.zeros_(disentangler.decoder.second.bias)
    terms(disentangler, ReleasedStructureConfig(), inputs=(seen, unseen, projected))["reconstruction"].backward()
    torch.testing.assert_close(seen.grad, 0.5 * 0.5 * seen.detach().sign() / 24)


def test_the_unrelated_part_is_pushed_to_a_fresh_pattern_each_time():
    part, randomness = normal(3, 5), generator_for(0)
    first, second = random_pattern(part, randomness), random_pattern(part, randomness)
    assert first != second
    drawn = torch.randn(3, 5, generator=generator_for(0), dtype=torch.float64)
    torch.testing.assert_close(first, element_divergence(part, drawn))


def test_dropout_comes_from_the_given_randomness_alone():
    disentangler = ReleasedDisentangler(6, 0.4, generator_for(0)).double()
    config = ReleasedStructureConfig(dropout=0.4)
    torch.manual_seed(0)
    first, other = terms(disentangler, config), terms(disentangler, config, seed=1)
    torch.manual_seed(1)
    second = terms(disentangler, config)
    assert first == second
    assert first["alignment"] != other["alignment"]


def test_gradients_are_right():
    seen, unseen, projected = (x.requires_grad_() for x in rows())
    assert gradcheck(lambda a, b, c: alignment(a, c[LABELS], b, c[UNSEEN]), (seen, unseen, projected))
    assert gradcheck(lambda a, b: element_divergence(a, b), (normal(3, 4).requires_grad_(), normal(3, 4, seed=1)))
    disentangler = ReleasedDisentangler(6, 0.2, generator_for(0)).double()
    config = ReleasedStructureConfig(dropout=0.2)
    assert gradcheck(
        lambda *inputs: sum(terms(disentangler, config, inputs=inputs).values()), (seen, unseen, projected)
    )


def test_impossible_settings_are_refused():
    for changes in ({"dropout": 1.0}, {"relation_weight": -1.0}):
        with pytest.raises(ValueError, match=r"not negative, and in \[0, 1\)"):
            ReleasedStructureConfig(**changes)
