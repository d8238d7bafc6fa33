import dataclasses

import pytest
import torch
import torch.nn.functional as F

from pading.config import override
from pading.randomness import generator_for
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.methods import STRUCTURE, build_generator
from pading.zeroshot.profiles import released
from pading.zeroshot.released.fit import ReleasedConfig, fit_interleaved
from pading.zeroshot.released.head import class_weights, initial_head
from pading.zeroshot.sampling import draw_by_image
from tests.references.zeroshot_world import WIDTH, world_of_combinations

SHORT = override(
    released(),
    {
        "released.generator.num_primitives": 10,
        "released.generator.heads": 2,
        "released.generator.hidden": 16,
        "released.generator.num_layers": 2,
        "released.head.queries_per_image": 20,
        "released.steps": 12,
        "released.report_every": 5,
    },
)


def fit(method="pading", world=None, config=SHORT, seed=0):
    """Return the generator, the head and the metrics of a fit."""
    world = world or world_of_combinations()
    generator = build_generator(method, config, world.text, WIDTH, seed)
    steps = fit_interleaved(
        generator, STRUCTURE[method], config.released, world.train, world.text, world.classes, world.old_head, seed
    )
    metrics = []
    while True:
        try:
            metrics.append(next(steps))
        except StopIteration as end:
            return generator, end.value, metrics


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", STRUCTURE)
def test_a_fit_is_a_function_of_its_seed_and_leaves_global_randomness_out(method):
    torch.manual_seed(0)
    first = fit(method)
    torch.manual_seed(1)
    second, other = fit(method), fit(method, seed=1)
    assert same(first[0], second[0])
    assert same(first[1], second[1])
    assert first[2] == second[2]
    assert not same(first[1], other[1])


def test_metrics_come_every_so_often_and_after_the_last_step_for_both_sides():
    metrics = fit("primitive")[2]
    assert [m["generator/step"] for m in metrics] == [m["classifier/step"] for m in metrics] == [5, 10, 12]
    assert all(m["classifier/loss"] > 0 for m in metrics)


@pytest.mark.parametrize(
    ("method", "terms"),
    [
        ("primitive", set()),
        ("primitive+align", {"alignment"}),
        ("pading", {"alignment", "unrelated", "relation", "reconstruction"}),
    ],
)
def test_the_generators_loss_is_the_sum_of_its_terms(method, terms):
    for metrics in fit(method)[2]:
        found = {name.removeprefix("generator/loss/"): v for name, v in metrics.items() if "generator/loss/" in name}
        assert set(found) == {"mmd", "auxiliary"} | terms
        assert metrics["generator/loss"] == pytest.approx(sum(found.values()), rel=1e-5)


def first_head_step(generator, world, config, seed=0):
    """Return the head after one step, literally: the first batch's rows, and one vector of five unseen classes or all.

    SGD's first step is w - rate (gradient + decay w): the momentum is empty.
    """
    settings = config.released.head
    noise, choices = (generator_for(seed, f"released {purpose}") for purpose in ("noise", "choices"))
    shows_object = torch.isin(world.train.image_ids, world.train.image_ids[world.train.labels != 9])
    rows = shows_object.nonzero().squeeze(1)
    images = generator_for(seed, "released images")
    rows = rows[next(draw_by_image(world.train.image_ids[rows], 1, config.released.images_per_step, images))]
    num_objects = int((world.train.labels[rows] != 9).sum())
    torch.randn(num_objects, 1, generator.noise_width, generator=noise)  # what the generator's step used
    unseen = torch.tensor(world.classes.unseen)[torch.randperm(2, generator=choices)]
    with torch.no_grad():
        drawn = torch.randn(2, 1, generator.noise_width, generator=noise)
        imagined = generator(world.text[unseen], drawn).squeeze(1)
    head = initial_head(world.old_head, world.classes, settings)
    logits = head(torch.cat([world.train.embeddings[rows], imagined]))
    labels = torch.cat([world.train.labels[rows], unseen])
    F.cross_entropy(logits, labels, class_weights(world.train, world.classes, settings)).backward()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter -= settings.learning_rate * (parameter.grad + settings.weight_decay * parameter)
    return head


def test_the_head_steps_after_the_generator_on_the_same_images():
    world, config = world_of_combinations(), override(SHORT, {"released.steps": 1, "released.learning_rate": 0.05})
    before = build_generator("primitive", config, world.text, WIDTH, 0)
    after, head, _ = fit("primitive", world, config)
    expected = first_head_step(after, world, config)  # also shows that the auxiliary term left no gradient in the head
    torch.testing.assert_close(rows_of(head), rows_of(expected), rtol=0, atol=1e-6)
    assert (rows_of(first_head_step(before, world, config)) - rows_of(head)).abs().max() > 1e-5


def rows_of(head):
    return torch.cat([head.weight, head.bias.unsqueeze(1)], dim=1).detach()


def test_the_head_does_not_train_the_generator():
    # What the head is fitted with changes; the generator does not, as long as it does not look at the head itself.
    config = override(SHORT, {"released.auxiliary_weight": 0.0})
    other = override(config, {"released.head.unseen_weight": 50.0, "released.head.learning_rate": 0.1})
    first, second = fit(config=config), fit(config=other)
    assert same(first[0], second[0])
    assert not same(first[1], second[1])


def test_the_rate_of_the_generator_falls_and_that_of_the_head_does_not():
    # Ten steps, of which those from 7 on and from 9.25 on are a tenth and a hundredth: both sides still move at the
    # last step, the generator by no more than a hundredth of Adam's rate.
    tenth = override(SHORT, {"released.steps": 10, "released.learning_rate": 1.0, "released.generator.dropout": 0.0})
    world = world_of_combinations()
    generator = build_generator("primitive", tenth, world.text, WIDTH, 0)
    config = dataclasses.replace(tenth.released, report_every=1)
    arguments = (config, world.train, world.text, world.classes, world.old_head, 0)
    moved, before = [], None
    for _ in fit_interleaved(generator, "none", *arguments):
        after = generator.generator.text.bias.detach().clone()
        moved.append(0.0 if before is None else float((after - before).abs().max()))
        before = after
    assert max(moved[7:9]) < 0.5
    assert 0 < moved[9] < 0.05


def test_dropout_stays_on_when_samples_are_drawn():
    generator = fit("pading")[0].eval()
    world = world_of_combinations()
    noise = torch.randn(1, 2, generator.noise_width, generator=generator_for(0))
    noise[:, 1, :WIDTH] = noise[:, 0, :WIDTH]  # z of the first layer alike; masks differ
    half = generator.noise_width // 2
    noise[:, 1, half : half + WIDTH] = noise[:, 0, half : half + WIDTH]
    first, second = generator(world.text[:1], noise)[0]
    assert (first - second).abs().max() > 1e-2


def test_a_table_without_unseen_classes_is_fitted_on_real_rows_alone():
    world = world_of_combinations()
    world = world._replace(classes=dataclasses.replace(world.classes, is_seen=(True,) * 9))
    metrics = fit("pading", world)[2]
    assert not [name for name in metrics[-1] if "alignment" in name]


def test_images_without_an_object_are_never_drawn():
    world = world_of_combinations()
    lonely = torch.full((40,), 999)
    train = type(world.train)(
        torch.cat([world.train.embeddings, 1e6 * torch.ones(40, WIDTH)]),
        torch.cat([world.train.labels, torch.full((40,), 9)]),
        torch.cat([world.train.image_ids, lonely]),
    )
    _, head, metrics = fit("primitive", world._replace(train=train))
    assert metrics[-1]["classifier/loss"] < 1e3
    assert head.weight.isfinite().all()


def test_what_cannot_be_fitted_is_refused():
    world = world_of_combinations()
    with pytest.raises(ValueError, match="may not be fitted on"):
        fit(world=world._replace(train=world.test))
    with pytest.raises(ValueError, match="no feature to draw from"):
        fit(world=world._replace(train=world.train.where(world.train.labels == 9)))
    with pytest.raises(ValueError, match="old head has 2 outputs"):
        fit(world=world._replace(old_head=LinearClassifier(torch.zeros(2, WIDTH), torch.zeros(2))))


def test_impossible_settings_are_refused():
    for changes in ({"steps": 0}, {"images_per_step": 0}, {"report_every": 0}, {"auxiliary_outputs": 0}):
        with pytest.raises(ValueError, match="all must be at least 1"):
            ReleasedConfig(**changes)
    for changes in ({"structure_weight": -1.0}, {"auxiliary_weight": -1.0}):
        with pytest.raises(ValueError, match="neither may be negative"):
            ReleasedConfig(**changes)
