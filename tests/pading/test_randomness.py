import torch

from pading.randomness import derive_seed, generator_for


def test_a_position_always_draws_the_same_numbers() -> None:
    first = torch.rand(4, generator=generator_for(1, "augment", 2, 3))
    assert torch.equal(first, torch.rand(4, generator=generator_for(1, "augment", 2, 3)))


def test_every_part_of_a_position_counts() -> None:
    seeds = {
        derive_seed(*key) for key in [(1, "a", 2), (2, "a", 2), (1, "b", 2), (1, "a", 3), (1, "a", "2"), (1, "a2")]
    }
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)
