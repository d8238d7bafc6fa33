"""Fit a generator against a Wasserstein critic instead of a discrepancy; batches, noise and schedule as the others'.

Axes: C batches of the critic in a step, G classes of each, N rows of each class, D width, K classes, E text width.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.zeroshot.features import Features, require_only
from pading.zeroshot.fit_generator import GeneratorFitConfig
from pading.zeroshot.sampling import draw_by_class
from pading.zeroshot.standardise import FeatureGenerator, standardising
from pading.zeroshot.wgan import Critic, WganConfig, gradient_penalty, wasserstein_distance


def fit_wgan(
    generator: FeatureGenerator,
    config: WganConfig,
    schedule: GeneratorFitConfig,
    real: Features,
    text: Float[Tensor, "K E"],
    classes: ClassTable,
    seed: int,
) -> Iterator[dict[str, float]]:
    """Fit `generator` in place, yielding metrics every `report_every` generator steps and after the last.

    The critic descends penalty_weight * penalty - distance on `critic_steps` batches, then the generator descends the
    distance on the classes of the last of them. Of the schedule, steps, batches and reports are used. Rows without an
    object are not used.

    Raises:
        ValueError: if a real feature has an unseen label, or nothing but no-object is left.
    """
    require_only(real, [*classes.seen, classes.no_object], classes)
    real = real.where(real.labels != classes.no_object)
    device = real.embeddings.device
    draws = draw_by_class(
        real.labels, schedule.steps * config.critic_steps, schedule.classes_per_step, schedule.rows_per_class,
        generator_for(seed, "generator batches", device=device),
    )  # fmt: skip
    mixing_source = generator_for(seed, "critic mixing", device=device)
    critic = Critic(config, text.shape[1], real.embeddings.shape[1], generator_for(seed, "critic weights")).to(device)
    noise_source = generator_for(seed, "generator noise", device=device)

    def noise(num_classes: int) -> Float[Tensor, "K N D"]:
        shape = (num_classes, schedule.rows_per_class, generator.noise_width)
        return torch.randn(shape, generator=noise_source, device=device)

    offset, scale = standardising(text)
    critic_text = (text - offset) * scale
    parameters = list(generator.parameters())
    of_generator, of_critic = (
        torch.optim.Adam(trained, lr=config.learning_rate, betas=config.betas, fused=True)
        for trained in (parameters, list(critic.parameters()))
    )
    for step in range(schedule.steps):
        for group in (*of_generator.param_groups, *of_critic.param_groups):
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
        window = slice(step * config.critic_steps, (step + 1) * config.critic_steps)
        labels, real_rows = draws.classes[window], real.embeddings[draws.rows[window]]  # (C, G), (C, G, N, D)
        with torch.no_grad():
            imagined = generator(text[labels.flatten()], noise(labels.numel())).view_as(real_rows)
        mixing = torch.rand(*real_rows.shape[:3], 1, generator=mixing_source, device=device)
        for batch in zip(critic_text[labels], real_rows, imagined, mixing, strict=True):
            distance = wasserstein_distance(critic, *batch[:3])
            penalty = gradient_penalty(critic, *batch)
            loss = config.penalty_weight * penalty - distance
            of_critic.zero_grad()
            torch.autograd.backward(loss)
            of_critic.step()
        synthetic = generator(text[labels[-1]], noise(labels.shape[1]))
        of_generator.zero_grad()
        torch.autograd.backward(-critic(critic_text[labels[-1]], synthetic).mean(), inputs=parameters)
        of_generator.step()
        if (step + 1) % schedule.report_every == 0 or step + 1 == schedule.steps:
            yield {
                "step": step + 1.0,
                "loss": float(loss.detach()),
                "loss/penalty": float(penalty.detach()),
                "wasserstein": float(distance.detach()),
            }
