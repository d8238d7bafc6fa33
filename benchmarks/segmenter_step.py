"""A training step (forward, match, loss, backward) of the segmenter beside that of transformers on one CPU core.

Five pairs: `tiny`, ours for images of about 96 px, beside their Mask2Former shrunk to its width, queries and layers;
the same small network in both, compared at the same number of points; MaskFormer with a ResNet-50 in both, ours
comparing masks at cells and theirs at pixels, in one layer more; and Mask2Former with a ResNet-50 in both, at two
sizes. Their batch normalisation is frozen like ours. Steps alternate in one process, the fastest counts, in CPU
seconds; memory is what a process of its own reaches above what it held before its first step.
"""

import gc
import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pading.segmenter.criterion import CriterionConfig, criterion
from pading.segmenter.initialisation import initialise
from pading.segmenter.matcher import LossWeights, match, match_at_points
from pading.segmenter.points import uniform_points
from pading.segmenter.segmenter import Segmenter, SegmenterConfig, maskformer_r50, r50, tiny
from pading.segmenter.targets import targets_from_batch
from pading.segmenter.torchvision_on_cpu import make_torchvision_importable

NUM_CLASSES, SEGMENTS, POINTS = 133, 8, 12544
PARTS = ("forward", "match", "loss", "backward")
STAGES = ["stage1", "stage2", "stage3", "stage4"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two networks of the same sizes, and what they are fed."""

    name: str
    config: SegmenterConfig
    points: int  # of ours; theirs always takes 12 544
    backbone: dict[str, Any]  # of theirs
    side_px: int
    batch: int
    steps: int


MASKFORMER = replace(maskformer_r50(), dropout=0.0)
SMALL = {"width": 64, "queries": 16, "decoder_layers": 3, "heads": 4, "feedforward_width": 256}
PAIRS = (
    Pair(
        name="tiny, 96 px x 8",
        config=tiny(),
        points=0,
        backbone={"layer_type": "basic", "depths": [1] * 4, "hidden_sizes": [48, 96, 128, 128], "embedding_size": 48},
        side_px=96,
        batch=8,
        steps=4,
    ),
    Pair(
        name="small, 192 px x 2",
        config=replace(r50(), backbone="resnet18", encoder_layers=1, encoder_feedforward_width=256, **SMALL),
        points=POINTS,
        backbone={"layer_type": "basic", "depths": [2] * 4, "hidden_sizes": [64, 128, 256, 512]},
        side_px=192,
        batch=2,
        steps=4,
    ),
    Pair(name="MaskFormer, 256 px", config=MASKFORMER, points=0, backbone={}, side_px=256, batch=1, steps=3),
    Pair(name="R50, 256 px x 1", config=r50(), points=POINTS, backbone={}, side_px=256, batch=1, steps=3),
    Pair(name="R50, 512 px x 1", config=r50(), points=POINTS, backbone={}, side_px=512, batch=1, steps=2),
)


def main() -> None:
    torch.set_num_threads(1)
    print(f"one core, CPU seconds of the fastest step, {SEGMENTS} segments an image; MB above the model")
    print(f"{'':20}{'':14}" + "".join(f"{name:>10}" for name in (*PARTS, "step", "MB")))
    for pair in PAIRS:
        times = {"ours": [], "transformers": []}
        runners = {"ours": Ours(pair), "transformers": Theirs(pair)}
        for _ in range(1 + pair.steps):
            for who, runner in runners.items():
                times[who].append(runner.step())
        del runners
        gc.collect()
        best = {who: min(steps[1:], key=sum) for who, steps in times.items()}
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            megabytes = {who: pool.submit(peak_megabytes, who, pair).result() for who in best}
        for who, parts in best.items():
            figures = "".join(f"{1000 * seconds:8.0f}ms" for seconds in (*parts, sum(parts)))
            print(f"{pair.name:20}{who:14}{figures}{megabytes[who]:10.0f}")
        ours, peer = sum(best["ours"]), sum(best["transformers"])
        print(f"{pair.name:20}{'ratio':14}{peer / ours:50.2f}{megabytes['transformers'] / megabytes['ours']:10.2f}")
    print(json.dumps({"benchmark": "segmenter_step", "ours": ours, "peer": peer, "ratio": peer / ours}))


class Ours:
    """A training step of the segmenter."""

    def __init__(self, pair: Pair) -> None:
        self.draws = torch.Generator().manual_seed(0)
        self.model = initialise(Segmenter(pair.config, NUM_CLASSES), self.draws).train()
        self.config = CriterionConfig(num_points=pair.points, weights=weights_of(pair))
        self.images, label_maps, classes = scene(pair)
        self.targets = targets_from_batch(label_maps, classes)

    def step(self) -> list[float]:
        self.model.zero_grad()
        clock = [time.process_time()]
        predictions = self.model(self.images)
        clock.append(time.process_time())
        self.match(predictions)
        clock.append(time.process_time())
        losses = criterion(predictions, self.targets, self.targets.num_masks, self.config, self.draws)
        clock.append(time.process_time())
        sum(losses.values()).backward()
        return parts_of([*clock, time.process_time()])

    def match(self, predictions) -> None:
        if self.config.num_points:
            points = uniform_points(self.config.num_points, self.images.device, self.draws)
            match_at_points(predictions, self.targets, self.config.weights, points)
        else:
            class_logits = torch.stack([prediction.class_logits for prediction in predictions])
            mask_logits = torch.stack([prediction.mask_logits for prediction in predictions])
            match(class_logits, mask_logits, self.targets, self.config.weights)


class Theirs:
    """The same of transformers."""

    def __init__(self, pair: Pair) -> None:
        make_torchvision_importable()
        from transformers.utils import logging

        logging.set_verbosity_error()  # or it says that a ResNet is not supported, which works all the same
        torch.manual_seed(0)
        build = their_maskformer if pair.config.mask_decoder == "maskformer" else their_mask2former
        self.model = build(pair).train()
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval().requires_grad_(False)
        images, label_maps, classes = scene(pair)
        self.images = (images.float() - 120) / 58
        self.masks = [torch.stack([(label[0] == m).float() for m in range(1, SEGMENTS + 1)]) for label in label_maps]
        self.classes = list(classes)

    def step(self) -> list[float]:
        self.model.zero_grad()
        clock = [time.process_time()]
        output = self.model(self.images, output_auxiliary_logits=True)
        clock.append(time.process_time())
        final = {
            "masks_queries_logits": output.masks_queries_logits,
            "class_queries_logits": output.class_queries_logits,
        }
        for layer in (final, *output.auxiliary_logits):
            self.model.criterion.matcher(**layer, mask_labels=self.masks, class_labels=self.classes)
        clock.append(time.process_time())
        losses = self.model.get_loss_dict(*final.values(), self.masks, self.classes, output.auxiliary_logits)
        clock.append(time.process_time())
        self.model.get_loss(losses).backward()
        return parts_of([*clock, time.process_time()])


def their_mask2former(pair: Pair) -> nn.Module:
    """Return transformers' Mask2Former of the sizes of a pair."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, ResNetConfig

    config = pair.config
    sizes = Mask2FormerConfig(
        backbone_config=ResNetConfig(out_features=STAGES, **pair.backbone),
        feature_size=config.width,
        mask_feature_size=config.width,
        hidden_dim=config.width,
        encoder_feedforward_dim=min(config.encoder_feedforward_width, 4 * config.width),
        encoder_layers=config.encoder_layers if config.pixel_decoder == "deformable" else 1,
        decoder_layers=config.decoder_layers + 1,
        num_attention_heads=config.heads,
        dim_feedforward=config.feedforward_width,
        num_queries=config.queries,
        num_labels=NUM_CLASSES,
    )
    return Mask2FormerForUniversalSegmentation(sizes)


def their_maskformer(pair: Pair) -> nn.Module:
    """Return transformers' MaskFormer of the published sizes, every layer supervised."""
    from transformers import MaskFormerConfig, MaskFormerDetrConfig, MaskFormerForInstanceSegmentation, ResNetConfig

    sizes = MaskFormerConfig(
        backbone_config=ResNetConfig(out_features=STAGES, **pair.backbone),
        decoder_config=MaskFormerDetrConfig(dropout=pair.config.dropout),
        num_labels=NUM_CLASSES,
        use_auxiliary_loss=True,
    )
    return MaskFormerForInstanceSegmentation(sizes)


def weights_of(pair: Pair) -> LossWeights:
    """Return the weights of the loss that belongs to a network."""
    is_maskformer = pair.config.mask_decoder == "maskformer"
    return LossWeights(classification=1.0, cross_entropy=0.0, dice=1.0, focal=20.0) if is_maskformer else LossWeights()


def parts_of(clock: list[float]) -> list[float]:
    """Return the seconds of each part; the loss matches once more by itself."""
    forward, matching, loss, backward = (after - before for before, after in pairwise(clock))
    return [forward, matching, max(loss - matching, 0.0), backward]


def scene(pair: Pair) -> tuple[Tensor, Tensor, Tensor]:
    """Return images of noise, label maps of blocks that hold all segments, and the classes of these."""
    random = torch.Generator().manual_seed(0)
    side, batch = pair.side_px, pair.batch
    images = torch.randint(0, 256, (batch, 3, side, side), generator=random, dtype=torch.uint8)
    blocks = torch.randint(1, SEGMENTS + 1, (batch, (side // 16) ** 2), generator=random, dtype=torch.uint8)
    blocks[:, :SEGMENTS] = torch.arange(1, SEGMENTS + 1)
    label_maps = blocks.view(batch, side // 16, -1).repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)
    return images, label_maps[:, None], torch.randint(0, NUM_CLASSES, (batch, SEGMENTS), generator=random)


def peak_megabytes(who: str, pair: Pair) -> float:
    """Return how far two steps take this process above what it holds with the model and its inputs."""
    torch.set_num_threads(1)
    runner = Ours(pair) if who == "ours" else Theirs(pair)
    gc.collect()
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak that building the model has reached
    for _ in range(2):
        runner.step()
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return (peak * 1024 - before) / 1e6


if __name__ == "__main__":
    main()
