"""Where a segmenter's first weights come from, and whether these were trained on classes that a split calls unseen.

The mark outlives the weights: it lies beside them as `provenance.json`, and what starts from them inherits it. Classes
are compared by name; a source that means an unseen class by an unrelated name is not noticed.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pading.classes import ClassTable
from pading.config import from_plain, to_plain
from pading.data.errors import DataError, MissingFileError
from pading.text.names import spoken_forms

PROVENANCE_FILE = "provenance.json"
UNKNOWN_CLASSES = "its classes are not known"
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a segmenter started from; every field at its default: weights drawn at random."""

    source: str = ""  # folder or hub id of a whole segmenter
    digest: str = ""  # of its weights file
    backbone: str = ""  # file or name of a backbone's weights
    backbone_digest: str = ""
    leaky: bool = False  # trained on classes that are unseen here, or not known not to be
    reason: str = ""  # why it is leaky
    unseen_names: tuple[str, ...] = ()  # the split's unseen classes that the source was trained on
    trained_names: tuple[str, ...] = ()  # every class that the source, or what it started from, was trained on
    num_kept: int = 0  # seen classes whose rows of the class head were taken over

    def __post_init__(self) -> None:
        if self.leaky != bool(self.reason):
            raise ValueError(f"leaky is {self.leaky}, its reason {self.reason!r}")

    @property
    def line(self) -> str:
        """What to tell people."""
        origin = f"{self.source} ({self.digest})" if self.source else "random weights"
        if self.backbone:
            origin += f", backbone from {self.backbone} ({self.backbone_digest})"
        return f"{origin}; LEAKY: {self.reason}" if self.leaky else origin


def judge(
    source: str, digest: str, trained_names: tuple[str, ...] | None, origin: Provenance | None, classes: ClassTable
) -> Provenance:
    """Return the provenance of a segmenter that starts from `source` and is trained on the seen of `classes`.

    Args:
        source: folder or hub id.
        digest: of its weights file.
        trained_names: every class that it was trained on, itself or by what it started from; None where not known.
        origin: what the source started from itself; None where not known.
        classes: the split.
    """
    if trained_names is None or origin is None:
        return Provenance(source=source, digest=digest, leaky=True, reason=UNKNOWN_CLASSES)
    known = frozenset[str]().union(*map(spoken_forms, trained_names))
    unseen = tuple(name for name in (classes.names[index] for index in classes.unseen) if spoken_forms(name) & known)
    reasons = []
    if unseen:
        shown = ", ".join([*unseen[:_SHOWN], *["..."] * (len(unseen) > _SHOWN)])
        reasons.append(f"it was trained on {len(unseen)} of {len(classes.unseen)} unseen classes ({shown})")
    if origin.leaky:
        reasons.append(f"it was leaky itself: {origin.reason}")
    return Provenance(
        source=source,
        digest=digest,
        leaky=bool(reasons),
        reason=", and ".join(reasons),
        unseen_names=unseen,
        trained_names=trained_names,
    )


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Write `provenance.json` into a folder of weights."""
    text = json.dumps(to_plain(provenance), indent=1, ensure_ascii=False)
    (folder / PROVENANCE_FILE).write_text(text + "\n", encoding="utf-8")


def read_provenance(folder: Path) -> Provenance:
    """Return what `write_provenance` wrote.

    Raises:
        MissingFileError: if there is no such file.
        DataError: if it is no provenance.
    """
    path = folder / PROVENANCE_FILE
    if not path.is_file():
        raise MissingFileError(
            str(path), "no such file, so nobody knows what was leaked", "pretrain the segmenter again"
        )
    try:
        return from_plain(Provenance, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise DataError(str(path), f"is no provenance ({error})", "pretrain the segmenter again") from error
