"""A trial of a sweep on cached features, beside the same trial with the frozen segmenter in its loop, in CPU seconds.

The published code pushes twelve images through the frozen network in every step, and takes the rows of the step from
it. Here the network has run once over every image (stage `cache`), and a trial reads its rows. Both sides take the same
steps: first those of the generator, then those of the head, each of which needs real rows (Algorithm 1 of the paper).
Theirs decodes, views, segments and matches twelve images a step beside that, which is done here for some steps and
scaled to a trial's. The released code takes a step of the head and one of the generator on the same twelve images: that
trial is counted beside it, with as many network passes as the longer of the two fits has steps.

Two profiles: `paper`, whose steps draw twelve images whether cached or not, and `best`, the default, whose rows drawn
class by class no twelve images would hold; there, the network is charged all the same. Two sizes: the demo (the preset
`shapes`, 96 px), and Mask2Former with a ResNet-50 at 512 px on a data set of COCO's size. Scenes are those of the
shapes world; weights are random, which changes no time. The cache is not free: what it costs once, and after how many
trials it is paid back, is printed with the rest.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from pading.config import override
from pading.data.sample import Sample
from pading.data.shards.rows import encode_row
from pading.data.views.batch import Batch, batch_arrays
from pading.data.views.jitter import JitterConfig, draw_view
from pading.evaluate.extract import matched_features
from pading.segmenter.initialisation import initialise
from pading.segmenter.segmenter import Segmenter, SegmenterConfig, r50, tiny
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene
from pading.splits.published import coco_panoptic, shapes_panoptic
from pading.splits.split import Split
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features
from pading.zeroshot.methods import Profile, build_generator, finish, retrain_by_generator, train_generator
from pading.zeroshot.profiles import profile_config

IMAGES_PER_STEP = 12  # PADing's code
HOLDOUTS = 3  # fits of a trial
NO_OBJECT_PER_IMAGE = 4
SCENES = 24
SEED = 0
BLOCK_STEPS, HEAD_STEPS = 100, 1000
COMPARED: tuple[Profile, ...] = ("paper", "best")


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is swept, and how much of it is measured."""

    name: str
    segmenter: SegmenterConfig
    split: Split
    input_px: int
    train_images: int
    feature_rows: int
    rows_per_image: int
    text_width: int
    chunk: int  # images that go through the network at once; memory
    steps: int  # of the published way that are done, after one chunk to warm up


SIZES = (
    Size(
        name="demo, 96 px",
        segmenter=tiny(),
        split=shapes_panoptic(),
        input_px=96,
        train_images=8000,
        feature_rows=46_000,
        rows_per_image=6,
        text_width=64,
        chunk=12,
        steps=10,
    ),
    Size(
        name="R50, 512 px",
        segmenter=r50(),
        split=coco_panoptic(),
        input_px=512,
        train_images=118_287,
        feature_rows=110_000,
        rows_per_image=11,
        text_width=512,
        chunk=4,
        steps=1,
    ),
)


def main() -> None:
    """Print the costs of both ways, then the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sweep_cost")
    parser.add_argument("--only", default="", help="part of a size's name")
    parser.add_argument("--blocks", type=int, default=3, help="timed blocks of 100 generator steps, the fastest counts")
    options = parser.parse_args(sys.argv[2:])
    torch.set_num_threads(1)
    print(f"CPU seconds, one thread; a trial is {HOLDOUTS} fits of generator and head")
    found = {}
    for size in SIZES:
        if options.only in size.name:
            for profile, costs in measured(size, options.blocks).items():
                found[f"{size.name}, {profile}"] = costs
                report(size, profile, costs)
    name, costs = next((name, costs) for name, costs in reversed(found.items()) if name.endswith("paper"))
    line = {"benchmark": "sweep_cost", "ratio": costs.peer_trial / costs.our_trial, "unit": "CPU seconds a trial"}
    line |= {"ours": costs.our_trial, "peer": costs.peer_trial, "of": name}
    for name, costs in found.items():
        line[f"ratio of a trial, {name}"] = costs.peer_trial / costs.our_trial
        line[f"ratio of a trial in turns, {name}"] = costs.peer_trial_in_turns / costs.our_trial
        line[f"ratio of a generator step, {name}"] = costs.peer_step / costs.our_step
        line[f"trials that pay the cache back, {name}"] = costs.paid_back_after
    print(json.dumps(line))


@dataclass(frozen=True, kw_only=True)
class Costs:
    """CPU seconds."""

    our_step: float  # of the generator, on cached rows
    head: float  # retraining it once
    images: float  # twelve of them: decoding, views, network, matching
    cache: float  # once
    steps: int  # of the generator in a fit
    head_steps: int  # of the head in a fit

    @property
    def peer_step(self) -> float:
        """A step of the generator with the network in it."""
        return self.our_step + self.images

    @property
    def our_trial(self) -> float:
        """All fits of a trial."""
        return HOLDOUTS * (self.steps * self.our_step + self.head)

    @property
    def peer_trial(self) -> float:
        """The same with the network in every step that reads real rows."""
        return self.our_trial + HOLDOUTS * (self.steps + self.head_steps) * self.images

    @property
    def peer_trial_in_turns(self) -> float:
        """The same where generator and head share the images of their steps, as in the released code."""
        return self.our_trial + HOLDOUTS * max(self.steps, self.head_steps) * self.images

    @property
    def paid_back_after(self) -> float:
        """Trials after which filling the cache has cost less than doing without."""
        return self.cache / (self.peer_trial - self.our_trial)


def report(size: Size, profile: Profile, costs: Costs) -> None:
    """Print the costs of one size under one profile."""
    print(f"\n{size.name}, profile {profile}: {costs.steps} steps of the generator and {costs.head_steps} of the head")
    print(f"{'':34}{'cached':>14}{'in the loop':>14}{'times':>9}")
    for what, ours, peer in (
        ("a generator step", costs.our_step, costs.peer_step),
        ("  of it: 12 images", 0.0, costs.images),
        ("retraining the head", costs.head, costs.head + costs.head_steps * costs.images),
        ("a trial", costs.our_trial, costs.peer_trial),
        ("  both fits on the same images", costs.our_trial, costs.peer_trial_in_turns),
    ):
        times = f"{peer / ours:9.0f}" if ours else ""
        print(f"{what:34}{ours:12.4f} s{peer:12.4f} s{times}")
    print(
        f"{'the cache, once':34}{costs.cache:12.0f} s: {size.train_images} images, paid back after "
        f"{costs.paid_back_after:.2f} trials"
    )


def measured(size: Size, blocks: int) -> dict[Profile, Costs]:
    """Return what both ways cost under each profile, measured in turn."""
    torch.manual_seed(SEED)
    fits = {profile: CachedFit(size, profile, blocks) for profile in COMPARED}
    images, chunks = image_steps(size), IMAGES_PER_STEP // size.chunk
    next(images)  # warm
    per_step: list[float] = []
    our_steps: dict[Profile, list[float]] = {profile: [] for profile in fits}
    for block in range(max(1 + blocks, size.steps)):
        if block < size.steps:
            per_step.append(sum(cpu_seconds(lambda: next(images)) for _ in range(chunks)))
        if block < 1 + blocks:
            for profile, fit in fits.items():
                our_steps[profile].append(cpu_seconds(fit.block) / BLOCK_STEPS)
    return {
        profile: Costs(
            our_step=min(our_steps[profile][1:]),  # the first warms up
            head=fit.head_seconds(),
            images=min(per_step),
            cache=min(per_step) / IMAGES_PER_STEP * size.train_images,
            steps=profile_config(profile).generator.steps,
            head_steps=profile_config(profile).classifier.steps,
        )
        for profile, fit in fits.items()
    }


class CachedFit:
    """The fit of PADing's row as a trial does it, on rows of the cache's sizes; what is in them changes no time."""

    def __init__(self, size: Size, profile: Profile, blocks: int) -> None:
        random = torch.Generator().manual_seed(SEED)
        self.classes, width = size.split.classes, size.segmenter.width
        self.config = profile_config(profile)
        steps = {"generator.steps": (1 + blocks) * BLOCK_STEPS, "generator.report_every": BLOCK_STEPS}
        centres = torch.randn(self.classes.num_classes + 1, width, generator=random)
        labels = torch.tensor([*self.classes.seen, self.classes.no_object])
        labels = labels[torch.randint(len(labels), (size.feature_rows,), generator=random)]
        rows = F.layer_norm(centres[labels] + 0.5 * torch.randn(len(labels), width, generator=random), (width,))
        self.features = Features(rows, labels, torch.arange(len(labels)) // size.rows_per_image)
        self.text = F.normalize(torch.randn(self.classes.num_classes, size.text_width, generator=random), dim=1)
        self.old_head = LinearClassifier(centres / width**0.5, torch.zeros(self.classes.num_classes + 1))
        self.generator = build_generator("pading", self.config, self.text, width, SEED)
        shortened = override(self.config, steps)
        self.fit = train_generator("pading", shortened, self.generator, self.features, self.text, self.classes, SEED)

    def block(self) -> None:
        """Take some steps of the generator."""
        next(self.fit)

    def head_seconds(self) -> float:
        """Return what retraining the head costs, which is measured over at most so many steps and scaled."""
        steps = min(HEAD_STEPS, self.config.classifier.steps)
        config = override(self.config, {"classifier.steps": steps, "classifier.report_every": steps})
        arguments = (self.features, self.text, self.classes, self.old_head, SEED)
        spent = cpu_seconds(lambda: finish(retrain_by_generator(self.generator, config, *arguments)))
        return spent * self.config.classifier.steps / steps


def image_steps(size: Size) -> Iterator[Features]:
    """Yield the rows of a few images at a time, as the published way gets them: by the network."""
    rows = [scene_row(size, index) for index in range(SCENES)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    draws = np.random.default_rng(SEED)
    jitter = JitterConfig()
    segmenter = initialise(Segmenter(size.segmenter, size.split.classes.num_classes), torch.Generator()).eval()
    while True:
        chosen = draws.choice(SCENES, size.chunk, replace=False).tolist()
        batch = {name: [column[at] for at in chosen] for name, column in columns.items()}
        sides = zip(batch["height"], batch["width"], strict=True)
        views = [draw_view(jitter, height, width, size.input_px, draws) for height, width in sides]
        arrays = batch_arrays(batch, views, size.input_px, 24, has_background=False)
        yield matched_features(segmenter, Batch.from_arrays(arrays), NO_OBJECT_PER_IMAGE, SEED)


def scene_row(size: Size, index: int) -> dict:
    """Return a scene as a row of a shard."""
    scene = render_scene(ShapesConfig(image_px=size.input_px), "train", index)
    photo = io.BytesIO()
    Image.fromarray(scene.image).save(photo, format="JPEG", quality=90)
    sample = Sample(
        image_id=index,
        file_name=f"{index:012d}.jpg",
        image=scene.image,
        label_maps=scene.label_map[None].astype(np.uint16),
        segments=scene.segments,
    )
    return encode_row(photo.getvalue(), sample)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of this process that some work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
