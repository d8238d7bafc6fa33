import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.diagnostics.held_out import default_bandwidths, held_out_discrepancies, look_at_held_out
from pading.zeroshot.features import Features
from pading.zeroshot.fit_generator import synthesise
from pading.zeroshot.methods import MethodConfig, build_generator
from pading.zeroshot.mmd import mmd
from tests.references.zeroshot_world import WIDTH, world_of_combinations

WORLD = world_of_combinations()
GENERATOR = build_generator("pading", MethodConfig(), WORLD.text, WIDTH, 0)


class Echo(torch.nn.Module):
    """A generator that knows the real rows of each class, told apart by the text."""

    noise_width = 1

    def __init__(self, rows: dict[int, torch.Tensor]) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, text: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        found = [int((WORLD.text - one).abs().sum(dim=1).argmin()) for one in text]
        draws = torch.randint(20, noise.shape[1:2], generator=torch.Generator().manual_seed(1))
        return torch.stack([self.rows[index][draws] for index in found])


def rows_of(index: int) -> torch.Tensor:
    return WORLD.test.embeddings[WORLD.test.labels == index]


def test_a_discrepancy_is_that_of_the_rows_themselves():
    found = held_out_discrepancies(GENERATOR, WORLD.test, WORLD.text, WORLD.classes, 3)
    assert list(found) == [WORLD.classes.names[index] for index in WORLD.classes.unseen]
    synthetic = synthesise(GENERATOR, WORLD.text, WORLD.classes.unseen, 256, 3)
    bandwidths = default_bandwidths(WORLD.test, WORLD.classes)
    index = WORLD.classes.unseen[0]
    ours = synthetic.embeddings[synthetic.labels == index]
    expected = mmd(ours.double(), rows_of(index).double(), bandwidths, "unbiased")
    assert found[WORLD.classes.names[index]] == pytest.approx(float(expected), rel=1e-4)


def test_no_other_class_is_made_or_measured():
    few = Features(*(part[WORLD.test.labels != WORLD.classes.unseen[0]] for part in vars(WORLD.test).values()))
    found = held_out_discrepancies(GENERATOR, few, WORLD.text, WORLD.classes, 0)
    assert list(found) == [WORLD.classes.names[WORLD.classes.unseen[1]]]


def test_kernels_do_not_depend_on_no_object_rows():
    nothing = torch.full((50,), WORLD.classes.no_object)
    far = Features(1000 * torch.randn(50, WIDTH, generator=generator_for(0, "x")), nothing, nothing)
    both = Features(*(torch.cat(pair) for pair in zip(vars(WORLD.test).values(), vars(far).values(), strict=True)))
    assert default_bandwidths(both, WORLD.classes) == default_bandwidths(WORLD.test, WORLD.classes)


def test_a_generator_that_repeats_real_rows_is_found_to_be_right():
    echo = Echo({index: rows_of(index)[:20] for index in WORLD.classes.unseen})
    looks, synthetic = look_at_held_out(echo, WORLD.test, WORLD.text, WORLD.classes, 0)
    assert set(synthetic.labels.tolist()) == set(WORLD.classes.unseen)
    for look in looks:
        assert look.nearest == look.name
        assert look.own_rows > 0.9
        assert look.num_real == 40
        assert abs(look.discrepancy) < 6 * look.chance
    swapped = dict(
        zip(WORLD.classes.unseen, reversed([rows_of(index)[:20] for index in WORLD.classes.unseen]), strict=True)
    )
    looks, _ = look_at_held_out(Echo(swapped), WORLD.test, WORLD.text, WORLD.classes, 0)
    assert [look.nearest for look in looks] == [look.name for look in reversed(looks)]
    assert all(look.own_rows < 0.1 and look.discrepancy > 20 * look.chance for look in looks)


def test_a_class_without_real_rows_has_no_discrepancy_and_no_chance():
    few = Features(*(part[WORLD.test.labels != WORLD.classes.unseen[0]] for part in vars(WORLD.test).values()))
    first, second = look_at_held_out(GENERATOR, few, WORLD.text, WORLD.classes, 0)[0]
    assert (first.discrepancy, first.chance, first.num_real) == (None, None, 0)
    assert first.nearest != first.name
    assert second.discrepancy is not None


def test_without_any_real_row_there_is_nothing_to_look_at():
    none = Features(*(part[:0] for part in vars(WORLD.test).values()))
    with pytest.raises(ValueError, match="median distance of 0 features"):
        look_at_held_out(GENERATOR, none, WORLD.text, WORLD.classes, 0)
