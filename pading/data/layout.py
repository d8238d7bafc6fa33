"""Where COCO keeps the files of a panoptic split."""

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from pading.data.errors import DataError, MissingFileError


@dataclass(frozen=True, kw_only=True)
class PanopticLayout:
    """The annotation file and the two folders of one split such as "train2017"."""

    annotations: Path
    images: Path
    labels: Path


def find_panoptic(root: Path, split: str) -> PanopticLayout:
    """Return where the split is; panoptic PNGs may lie in `annotations/panoptic_SPLIT/` or in `panoptic_SPLIT/`.

    Raises:
        FileNotFoundError: if the annotation file or one of the folders is missing; the message has the expected layout.
    """
    annotations = root / "annotations" / f"panoptic_{split}.json"
    images = root / split
    label_folders = (root / "annotations" / f"panoptic_{split}", root / f"panoptic_{split}")
    labels = next((folder for folder in label_folders if folder.is_dir()), None)
    missing = []
    if not annotations.is_file():
        missing.append(f"annotations/{annotations.name}")
    if not images.is_dir():
        missing.append(f"{split}/")
    if labels is None:
        missing.append(f"annotations/panoptic_{split}/")
    if missing or labels is None:
        remedy = (
            f"a COCO panoptic folder has {split}/*.jpg, annotations/panoptic_{split}.json "
            f"and annotations/panoptic_{split}/*.png (or panoptic_{split}/*.png)"
        )
        raise MissingFileError(str(root), f"no {', '.join(missing)}", remedy)
    return PanopticLayout(annotations=annotations, images=images, labels=labels)


def path_inside(folder: Path, file_name: str, source: Path) -> Path:
    """Return `folder / file_name` for a name found in the file `source`.

    Raises:
        ValueError: if the name is empty, absolute or leads out of the folder.
    """
    name = PureWindowsPath(file_name)  # the stricter reading: both slashes part, and there are drives
    if name.anchor or ".." in name.parts or not name.parts or "\0" in file_name:
        raise DataError(
            str(source), f"file_name {file_name!r} leads out of {folder.name}/", "give names relative to that folder"
        )
    return folder / file_name
