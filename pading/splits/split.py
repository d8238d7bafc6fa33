"""What a zero-shot benchmark is: a task, its classes, the folders of its images, and the counts published for it."""

from dataclasses import dataclass
from typing import Literal, get_args

from pading.classes import ClassTable

Task = Literal["panoptic", "semantic", "instance"]
Part = Literal["train", "val"]

# What the truth of a task can judge. Instances that overlap make no map, label maps without segments no instances.
JUDGED: dict[Task, tuple[Task, ...]] = {
    "panoptic": ("panoptic", "semantic", "instance"),
    "semantic": ("semantic",),
    "instance": ("instance",),
}

LAST_PNG_ID = 255  # a stuff-thing map holds id - 1 in 8 bits, of which 255 is void


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A published number of images, in the folder or kept of it: to be reported beside one's own, never asserted."""

    part: Part
    what: Literal["images", "kept"]
    count: int
    source: str


@dataclass(frozen=True, kw_only=True)
class Split:
    """One benchmark; `train` and `val` are the names that COCO gave the folders of its photos.

    Raises:
        ValueError: if the task is unknown, nothing is seen or unseen, an instance task lists stuff, a semantic one an
            id that its 8-bit maps cannot hold, or a folder is not a plain name.
    """

    name: str
    task: Task
    classes: ClassTable
    train: str = "train2017"
    val: str = "val2017"
    expected: tuple[Expectation, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise ValueError(f"split {self.name!r}: task {self.task!r} is none of {', '.join(get_args(Task))}")
        if not self.classes.unseen:
            raise ValueError(f"split {self.name!r}: no class is unseen; name at least one")
        if not self.classes.seen:
            raise ValueError(f"split {self.name!r}: every class is unseen; leave at least one to train on")
        stuff = [name for name, is_thing in zip(self.classes.names, self.classes.is_thing, strict=True) if not is_thing]
        if self.task == "instance" and stuff:
            raise ValueError(f"split {self.name!r}: stuff such as {stuff[0]!r} has no instances; list things only")
        if self.task == "semantic" and max(self.classes.coco_ids) > LAST_PNG_ID:
            raise ValueError(
                f"split {self.name!r}: id {max(self.classes.coco_ids)} does not fit into a stuff-thing map, "
                f"whose pixels are the id less one; number the classes 1 to {LAST_PNG_ID}"
            )
        for folder in (self.train, self.val):
            if folder in ("", ".", "..") or "/" in folder or "\\" in folder:
                raise ValueError(f"split {self.name!r}: {folder!r} is not a folder name such as train2017")

    def folder(self, part: Part) -> str:
        """Return the COCO folder of a part."""
        return self.train if part == "train" else self.val
