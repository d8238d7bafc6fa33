"""Where COCO, COCO-Stuff and ZSI keep their files; `folder` is COCO's own name of some images, such as "train2017"."""

import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Literal

from pading.data.errors import DataError, MissingFileError
from pading.splits.split import Part, Split

StuffCodingName = Literal["coco-id-less-one", "train-id", "contiguous"]
# Folder of the label maps, and what their values mean; the first that is there is taken.
STUFF_FOLDERS: tuple[tuple[str, StuffCodingName], ...] = (
    ("stuffthingmaps_trainval2017/{}", "coco-id-less-one"),
    ("annotations/stuffthingmaps_trainval2017/{}", "coco-id-less-one"),
    ("coco_stuff/annotations/{}", "coco-id-less-one"),
    ("coco_stuff/annotations_detectron2/{}", "train-id"),
    ("coco_stuff/annotations_detectron2/{}_all", "train-id"),
    ("stuffthingmaps_detectron2/{}", "contiguous"),
)
# Files that ZSI released for its two splits: images and categories are already chosen.
ZSI_FILES = {"train": "annotations/ZSIS/instances_{}_seen_{}.json", "val": "annotations/ZSIS/instances_{}_gzsi_{}.json"}
ZSI_SPLITS = {"coco-instances-48-17": "48_17", "coco-instances-65-15": "65_15"}
NO_FILE_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class PanopticLayout:
    """The annotation file and the two folders of some images."""

    annotations: Path
    images: Path
    labels: Path


@dataclass(frozen=True, kw_only=True)
class StuffLayout:
    """The two folders of some images, and what the values of the label maps mean."""

    images: Path
    labels: Path
    coding: StuffCodingName


@dataclass(frozen=True, kw_only=True)
class InstanceLayout:
    """The annotation file and the photos of some images."""

    annotations: Path
    images: Path
    is_zsi: bool  # released for the split: its categories are the split's, in order


def find_panoptic(root: Path, folder: str) -> PanopticLayout:
    """Return where the images are; panoptic PNGs may lie in `annotations/panoptic_FOLDER/` or in `panoptic_FOLDER/`.

    Raises:
        FileNotFoundError: if the annotation file or one of the folders is missing; the message has the expected layout.
    """
    annotations = root / "annotations" / f"panoptic_{folder}.json"
    label_folders = [root / "annotations" / f"panoptic_{folder}", root / f"panoptic_{folder}"]
    labels = next((path for path in label_folders if path.is_dir()), label_folders[0])
    expected = (
        f"a COCO panoptic folder has {folder}/*.jpg, annotations/panoptic_{folder}.json "
        f"and annotations/panoptic_{folder}/*.png (or panoptic_{folder}/*.png)"
    )
    _check_there(root, [annotations], [root / folder, labels], expected)
    return PanopticLayout(annotations=annotations, images=root / folder, labels=labels)


def find_stuff(root: Path, folder: str) -> StuffLayout:
    """Return where photos and label maps are.

    Raises:
        FileNotFoundError: if one of the two is missing; the message has the expected layout.
    """
    candidates = [(root / pattern.format(folder), coding) for pattern, coding in STUFF_FOLDERS]
    labels, coding = next((pair for pair in candidates if pair[0].is_dir()), candidates[0])
    others = ", ".join(f"{path.relative_to(root)}/" for path, _ in candidates[1:])
    expected = f"a COCO-Stuff folder has {folder}/*.jpg and {labels.relative_to(root)}/*.png (or {others})"
    _check_there(root, [], [root / folder, labels], expected)
    return StuffLayout(images=root / folder, labels=labels, coding=coding)


def find_instances(root: Path, split: Split, part: Part) -> InstanceLayout:
    """Return where photos and annotations are: the file that ZSI released for the split, else COCO's own.

    Raises:
        FileNotFoundError: if the photos or both files are missing; the message has the expected layout.
    """
    folder = split.folder(part)
    annotations, is_zsi = root / "annotations" / f"instances_{folder}.json", False
    expected = f"a COCO instance folder has {folder}/*.jpg and annotations/{annotations.name}"
    if split.name in ZSI_SPLITS:
        released = root / ZSI_FILES[part].format(folder, ZSI_SPLITS[split.name])
        expected += f" (or {released.relative_to(root)})"
        if released.is_file():
            annotations, is_zsi = released, True
    _check_there(root, [annotations], [root / folder], expected)
    return InstanceLayout(annotations=annotations, images=root / folder, is_zsi=is_zsi)


def path_inside(folder: Path, file_name: str, source: Path) -> Path:
    """Return `folder / file_name` for a name found in the file `source`.

    Raises:
        ValueError: if the name is empty, absolute, leads out of the folder, or cannot be a file name.
    """
    name = PureWindowsPath(file_name)  # the stricter reading: both slashes part, and there are drives
    if name.anchor or ".." in name.parts or not name.parts:
        what = f"file_name {reprlib.repr(file_name)} leads out of {folder.name}/"
        raise DataError(str(source), what, "give names relative to that folder")
    if NO_FILE_NAME.search(file_name):
        raise DataError(str(source), f"file_name {reprlib.repr(file_name)} has control characters", "rename that file")
    return folder / file_name


def _check_there(root: Path, files: Sequence[Path], folders: Sequence[Path], expected: str) -> None:
    missing = [str(path.relative_to(root)) for path in files if not path.is_file()]
    missing += [f"{path.relative_to(root)}/" for path in folders if not path.is_dir()]
    if missing:
        raise MissingFileError(str(root), f"no {', '.join(missing)}", expected)
