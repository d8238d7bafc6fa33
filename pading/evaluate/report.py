"""All metrics of one image as mergeable tallies, and tallies as flat numbers in percent, as the papers print them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from pading.classes import ClassTable
from pading.evaluate.counting import count_instances, count_panoptic, count_semantic, prepare
from pading.evaluate.instance import INSTANCE_QUALITIES, InstanceTally
from pading.evaluate.mask_recall import MaskRecallTally
from pading.evaluate.panoptic import PanopticTally
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.scorer import Scorer
from pading.evaluate.semantic import SemanticTally
from pading.splits.split import JUDGED, Task

AbsentClasses = Literal["skip", "zero"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTally:
    """Everything that one scorer earned on one image, or on any number of images added up.

    Tasks that were not scored are None, because nobody asked or because the truth cannot judge them: classes without
    instances have no panoptic quality, instances that overlap make no semantic map.
    """

    num_images: int
    panoptic: PanopticTally | None
    semantic: SemanticTally | None
    instance: InstanceTally | None
    mask_recall: MaskRecallTally

    def __add__(self, other: "ImageTally") -> "ImageTally":
        return ImageTally.total([self, other])

    def of_task(self, task: Task) -> "ImageTally":
        """Return what the truth of a task can judge: of panoptic all there is, of the others their own part."""
        judged = JUDGED[task]
        return replace(
            self,
            panoptic=self.panoptic if "panoptic" in judged else None,
            semantic=self.semantic if "semantic" in judged else None,
            instance=self.instance if "instance" in judged else None,
        )

    @staticmethod
    def total(tallies: "Sequence[ImageTally]") -> "ImageTally":
        """Return the sum of tallies; their order and grouping do not matter.

        Raises:
            ValueError: if there is none.
        """
        if not tallies:
            raise ValueError("no tally to add; were any images evaluated?")
        instances = [tally.instance for tally in tallies if tally.instance is not None]
        return ImageTally(
            num_images=sum(tally.num_images for tally in tallies),
            panoptic=_sum(tally.panoptic for tally in tallies),
            semantic=_sum(tally.semantic for tally in tallies),
            instance=InstanceTally.total(instances) if instances else None,
            mask_recall=reduce(add, (tally.mask_recall for tally in tallies)),
        )


def evaluate_image(
    image: ImagePrediction, scorers: Sequence[Scorer], classes: ClassTable, tasks: Collection[Task]
) -> list[ImageTally]:
    """Return one tally for each scorer.

    Upsampling the masks and comparing them with the truth is done once, for all tasks; a further scorer costs
    milliseconds.

    Raises:
        ValueError: if a task is unknown, a scorer returns another shape or NaN, or the image has a class that the
            table lacks.
    """
    if unknown := sorted(set(tasks) - JUDGED.keys()):
        raise ValueError(f"no task {unknown[0]!r} to score; choose from {', '.join(JUDGED)}")
    prepared = prepare(image, classes)
    recall = prepared.mask_recall(classes.num_classes)
    tallies = []
    for scorer in scorers:
        probabilities, config = scorer.probabilities(image, classes), scorer.inference
        of_task: dict[Task, Any] = {}
        if "panoptic" in tasks:
            of_task["panoptic"] = count_panoptic(prepared, probabilities, classes, config)
        if "semantic" in tasks:
            of_task["semantic"] = count_semantic(prepared, probabilities, classes, config)
        if "instance" in tasks:
            of_task["instance"] = count_instances(prepared, probabilities, classes, config)
        tallies.append(
            ImageTally(
                num_images=1,
                panoptic=of_task.get("panoptic"),
                semantic=of_task.get("semantic"),
                instance=of_task.get("instance"),
                mask_recall=recall,
            )
        )
    return tallies


def metrics(tally: ImageTally, classes: ClassTable, absent: AbsentClasses = "skip") -> dict[str, float]:
    """Return flat metrics in percent: "pq/seen", "pq/unseen", "pq/hm" and so on for sq, rq, miou and instances.

    Each is a plain mean over the classes of the group; hm is the harmonic mean of the two means. Classes that occur
    neither in the truth nor in the predictions are left out, or count as zero in pq, sq and rq with absent="zero", as
    PADing's released evaluator has it. NaN where a group has no class to average. "miou/num_seen" and
    "miou/num_unseen" tell how many classes were averaged; "recall50/masks/..." is the class-agnostic share of covered
    segments. There are metrics of the tasks that were scored: panoptic "pq/...", "sq/..." and "rq/...", semantic
    "miou/...", instance "ap50/...", "recall100/..." and the others of `INSTANCE_QUALITIES`.
    """
    values: dict[str, float] = {}
    if tally.panoptic is not None:
        quality = tally.panoptic.quality()
        values |= grouped("pq", quality.pq, classes, absent)
        values |= grouped("sq", quality.sq, classes, absent)
        values |= grouped("rq", quality.rq, classes, absent)
    if tally.semantic is not None:
        miou = tally.semantic.iou()
        values |= grouped("miou", miou, classes, "skip")
        values["miou/num_seen"] = float(np.isfinite(miou[list(classes.seen)]).sum())
        values["miou/num_unseen"] = float(np.isfinite(miou[list(classes.unseen)]).sum())
    if tally.instance is not None:
        for name in INSTANCE_QUALITIES:
            values |= grouped(name, tally.instance.named_quality(name), classes, "skip")
    for name, group in (("seen", classes.seen), ("unseen", classes.unseen)):
        num_true = int(tally.mask_recall.num_true[list(group)].sum())
        num_found = int(tally.mask_recall.num_found[list(group)].sum())
        values[f"recall50/masks/{name}"] = 100 * num_found / num_true if num_true else float("nan")
    return values


def _sum(tallies: Iterable[Any]) -> Any:
    """Add tallies of one kind in order; None if the task has none."""
    present = [tally for tally in tallies if tally is not None]
    return reduce(add, present) if present else None


def group_mean(values: Float64[np.ndarray, "K"], group: Sequence[int], absent: AbsentClasses) -> float:
    """Return the mean over a group of classes; NaN values are absent classes. NaN if none is left.

    Raises:
        ValueError: if `absent` is neither "skip" nor "zero".
    """
    if absent not in ("skip", "zero"):
        raise ValueError(f'absent classes are {absent!r}; choose "skip" or "zero"')
    chosen = values[list(group)]
    chosen = np.nan_to_num(chosen, nan=0.0) if absent == "zero" else chosen[~np.isnan(chosen)]
    return float(chosen.mean()) if len(chosen) else float("nan")


def harmonic_mean(seen: float, unseen: float) -> float:
    """Return 2 s u / (s + u); 0 if either is 0, NaN if either is NaN."""
    product = seen * unseen
    return 2 * product / (seen + unseen) if product else product


def grouped(
    name: str, values: Float64[np.ndarray, "K"], classes: ClassTable, absent: AbsentClasses
) -> dict[str, float]:
    """Return the metrics of a quality of each class: means over seen and unseen classes in percent, and of both."""
    seen = 100 * group_mean(values, classes.seen, absent)
    unseen = 100 * group_mean(values, classes.unseen, absent)
    return {f"{name}/seen": seen, f"{name}/unseen": unseen, f"{name}/hm": harmonic_mean(seen, unseen)}
