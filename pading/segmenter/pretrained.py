"""Published weights to start from: a folder of ours or one of transformers', with the names of its classes.

A folder of ours holds `weights.safetensors` and `config.json`, and as its papers the class table (`classes.json`) and
the provenance (`provenance.json`); a folder of transformers' that we export carries the same papers.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from pading.classes import ClassTable
from pading.data.errors import DataError
from pading.segmenter import huggingface, weights
from pading.segmenter.provenance import PROVENANCE_FILE, Provenance, read_provenance, write_provenance
from pading.segmenter.segmenter import Segmenter
from pading.text.names import match_rows

CLASSES_FILE = "classes.json"
CONFIG_FILE = "config.json"
CLASS_HEAD, CELL_HEAD = ("class_head.weight", "class_head.bias"), ("cell_head.weight", "cell_head.bias")
GIVEN_ANEW = "class_head.text"  # a text head reads the texts of the split that it is trained for


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A segmenter with what is known about its classes."""

    segmenter: Segmenter
    weights_file: Path
    names: tuple[str, ...] | None  # of its classes
    trained_rows: tuple[int, ...]  # its classes that training showed it; the others it learned to deny
    origin: Provenance | None  # what it started from; None where not known

    @property
    def trained_names(self) -> tuple[str, ...] | None:
        """Every class that it, or what it started from, was trained on; None where not known."""
        if self.names is None or self.origin is None:
            return None
        return tuple(dict.fromkeys([*(self.names[row] for row in self.trained_rows), *self.origin.trained_names]))


def load_pretrained(folder: Path) -> Pretrained:
    """Return the segmenter in a folder of ours or of transformers', on the CPU and in evaluation mode.

    What a folder of transformers' calls its classes is in `id2label`: it is taken to be trained on all of them. Our
    papers hold instead where they lie beside it, as beside an export.

    Raises:
        ValueError: if the folder holds neither, or naming the file that is unreadable, that does not fit the others, or
            whose weights are not finite.
    """
    described = _read_config(folder)
    if described.get("model_type") in huggingface.MODEL_TYPES:
        segmenter, file = huggingface.load_huggingface(folder), huggingface.WEIGHTS_FILE
        try:
            names = huggingface.names_from_huggingface(described, segmenter.num_classes)
        except ValueError as error:
            raise ValueError(f"{folder / CONFIG_FILE}: {error}") from error
        origin: Provenance | None = Provenance()  # of others: all that they were trained on is in their names
    else:
        segmenter, file, names, origin = weights.load_segmenter(folder), weights.WEIGHTS_FILE, None, None
    if wild := [name for name, tensor in segmenter.state_dict().items() if not bool(tensor.isfinite().all())]:
        raise ValueError(f"{folder / file}: {wild[0]} holds values that are not finite; give sound weights")
    trained_rows = () if names is None else tuple(range(len(names)))
    if (folder / PROVENANCE_FILE).is_file():
        classes, origin = read_papers(folder)
        if classes.num_classes != segmenter.num_classes:
            what = f"has {classes.num_classes} classes, the weights beside it have {segmenter.num_classes}"
            raise DataError(str(folder / CLASSES_FILE), what, "give a folder whose files belong together")
        names, trained_rows = classes.names, classes.seen
    return Pretrained(
        segmenter=segmenter, weights_file=folder / file, names=names, trained_rows=trained_rows, origin=origin
    )


def write_papers(folder: Path, classes: ClassTable, provenance: Provenance) -> None:
    """Write what a folder of weights says about its classes and about what it started from."""
    (folder / CLASSES_FILE).write_text(classes.to_json() + "\n", encoding="utf-8")
    write_provenance(folder, provenance)


def read_papers(folder: Path) -> tuple[ClassTable, Provenance]:
    """Return what `write_papers` wrote.

    Raises:
        MissingFileError: if there is no provenance.
        DataError: if one of the two cannot be read, or there is no class table beside the provenance.
    """
    provenance, path = read_provenance(folder), folder / CLASSES_FILE
    remedy = "export or pretrain the segmenter again"
    if not path.is_file():
        raise DataError(str(path), f"is missing beside {PROVENANCE_FILE}", remedy)
    try:
        return ClassTable.from_json(path.read_text(encoding="utf-8")), provenance
    except (ValueError, RecursionError) as error:
        raise DataError(str(path), f"is no class table ({error})", remedy) from error


@torch.no_grad()
def take_over(segmenter: Segmenter, source: Pretrained, classes: ClassTable) -> int:
    """Give a segmenter the weights of another of its architecture, and return how many rows of classes came with them.

    Rows of the class head and of the cell head are taken for seen classes that the source was trained on, by name; all
    others, those of every unseen class among them, stay as they are. A text head has no such rows.
    """
    names = [source.names[row] for row in source.trained_rows] if source.names else []
    matches = match_rows(names, [classes.names[index] for index in classes.seen])
    pairs = [(index, row) for index, row in zip(classes.seen, matches, strict=True) if row is not None]
    ours = torch.tensor([index for index, _ in pairs], dtype=torch.long)
    theirs = torch.tensor([source.trained_rows[row] for _, row in pairs], dtype=torch.long)
    own, state = segmenter.state_dict(), dict(source.segmenter.state_dict())
    for name in {*CLASS_HEAD, *CELL_HEAD, GIVEN_ANEW} & own.keys():
        rows = own[name].clone()
        if name != GIVEN_ANEW:
            rows[ours] = state[name][theirs]
        if name in CLASS_HEAD:
            rows[-1] = state[name][-1]  # no-object
        state[name] = rows
    segmenter.load_state_dict(state)
    return len(pairs) if GIVEN_ANEW not in own else 0


def _read_config(folder: Path) -> dict[str, object]:
    expected = (
        f"a segmenter is {weights.WEIGHTS_FILE} (ours) or {huggingface.WEIGHTS_FILE} (transformers' mask2former "
        f"or maskformer) beside {CONFIG_FILE}"
    )
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"{folder} holds no {CONFIG_FILE}; {expected}")
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); {expected}") from error
    if not isinstance(described, dict) or not (
        described.get("model_type") in huggingface.MODEL_TYPES or "schema" in described
    ):
        kind = described.get("model_type") if isinstance(described, dict) else type(described).__name__
        raise ValueError(f"{path} describes {kind or 'no model'}; {expected}")
    return described
