"""Class tables: what can be segmented, which classes are seen in training, and COCO's ids for them."""

import dataclasses
import functools
import json
from dataclasses import dataclass

from pading.config import from_plain


@dataclass(frozen=True, kw_only=True)
class ClassTable:
    """The classes of one zero-shot split; a class is its index in these tuples, no-object comes after the last."""

    name: str
    names: tuple[str, ...]
    coco_ids: tuple[int, ...]
    is_thing: tuple[bool, ...]
    is_seen: tuple[bool, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.names), len(self.coco_ids), len(self.is_thing), len(self.is_seen)}
        if len(lengths) != 1:
            raise ValueError(f"class table {self.name!r}: columns differ in length: {sorted(lengths)}")
        if len(set(self.coco_ids)) != len(self.coco_ids):
            raise ValueError(f"class table {self.name!r}: a COCO id occurs twice")

    @property
    def num_classes(self) -> int:
        """K, the number of classes without no-object."""
        return len(self.names)

    @property
    def no_object(self) -> int:
        """The label of a query that matches nothing: K."""
        return len(self.names)

    @functools.cached_property
    def seen(self) -> tuple[int, ...]:
        """Indices of the classes that training may use."""
        return tuple(i for i, seen in enumerate(self.is_seen) if seen)

    @functools.cached_property
    def unseen(self) -> tuple[int, ...]:
        """Indices of the classes that are known by name only."""
        return tuple(i for i, seen in enumerate(self.is_seen) if not seen)

    @functools.cached_property
    def _index_of_coco_id(self) -> dict[int, int]:
        return {coco_id: index for index, coco_id in enumerate(self.coco_ids)}

    def index(self, coco_id: int) -> int:
        """Return the class of a COCO category id.

        Raises:
            ValueError: if the table has no such id.
        """
        if coco_id not in self._index_of_coco_id:
            raise ValueError(f"category id {coco_id} is not in class table {self.name!r} ({self.num_classes} classes)")
        return self._index_of_coco_id[coco_id]

    def to_json(self) -> str:
        """Return the table as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @staticmethod
    def from_json(text: str) -> "ClassTable":
        """Read a table that `to_json` wrote."""
        return from_plain(ClassTable, json.loads(text))
