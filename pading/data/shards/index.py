"""What shards consist of: which files, their digests and row groups, and what was counted while they were written.

Readers go by the index, not by a listing: a file is part of the data set when the index names it. Axis: K classes.
"""

import hashlib
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pading.data.errors import DataError

INDEX_FILE = "index.json"
DIGEST_LENGTH = 64
NAME_DIGITS = 8  # of a file's digest that its name shows
REMEDY = "write the shards again"


@dataclass(frozen=True, kw_only=True)
class ShardFile:
    """One parquet file of a data set, by content."""

    name: str
    sha256: str
    num_bytes: int
    rows_per_group: tuple[int, ...]

    @property
    def num_rows(self) -> int:
        """Number of images in the file."""
        return sum(self.rows_per_group)


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """All files of one part of a split, in the order of the annotation file, with counts.

    `counts` holds "found", "kept", one entry for each reason to leave an image out, and "quarantined"; all but the
    first add up to it. `class_segments` and `class_pixels` are over the kept images, crowds included.
    """

    schema_version: str
    split: str
    part: str
    classes: str  # digest of the class table
    files: tuple[ShardFile, ...]
    counts: Mapping[str, int]
    class_segments: tuple[int, ...]
    class_pixels: tuple[int, ...]

    @property
    def num_images(self) -> int:
        """Number of images in all files."""
        return sum(file.num_rows for file in self.files)

    @property
    def num_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.num_bytes for file in self.files)

    @property
    def digest(self) -> str:
        """Identity of the written bytes: the sha256 of the files' sha256, in order."""
        return hashlib.sha256("".join(file.sha256 for file in self.files).encode()).hexdigest()

    def to_json(self) -> str:
        """Return the index as JSON text; equal indices have equal text."""
        fields = {**vars(self), "counts": dict(self.counts), "files": []}
        text = json.dumps(fields, indent=1, sort_keys=True)
        files = ",\n".join(textwrap.indent(_file_text(file), "  ") for file in self.files)
        return (text.replace('"files": []', f'"files": [\n{files}\n ]', 1) if files else text) + "\n"

    @staticmethod
    def from_json(text: str, file: str) -> "ShardIndex":
        """Read an index that `to_json` wrote; `file` is the name to blame.

        Raises:
            ValueError: if the text is no index, or what it says does not fit together.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            files = tuple(shard_file_from_plain(entry) for entry in fields.pop("files"))
            for key in ("class_segments", "class_pixels"):
                fields[key] = tuple(map(int, fields[key]))
            counts = {str(key): int(value) for key, value in fields.pop("counts").items()}
            index = ShardIndex(files=files, counts=counts, **fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(file, f"is not an index of shards ({error!r})", REMEDY) from error
        if index.num_images != counts.get("kept"):
            what = f"counts {counts.get('kept')} images kept, but its files hold {index.num_images}"
            raise DataError(file, what, REMEDY)
        return index


def shard_file_from_plain(fields: Mapping[str, Any]) -> ShardFile:
    """Return the file that `dataclasses.asdict` described.

    Raises:
        ValueError: if a field is missing, unknown or no description of a file inside the folder.
    """
    try:
        file = ShardFile(**{**fields, "rows_per_group": tuple(map(int, fields["rows_per_group"]))})
        is_sound = len(file.sha256) == DIGEST_LENGTH and file.num_bytes > 0 and not {"/", "\\", "\0"} & set(file.name)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{fields!r} does not describe a shard") from error
    if not is_sound:
        raise ValueError(f"{fields!r} does not describe a shard")
    return file


def _file_text(file: ShardFile) -> str:
    """Return the text of one file; the encoder keeps a piece of text for each number until the last is there."""
    return json.dumps(vars(file), indent=1, sort_keys=True)


def content_name(number: int, sha256: str) -> str:
    """Return the name of a shard: its place, then its content, so that other bytes have another name."""
    return f"part-{number:05d}-{sha256[:NAME_DIGITS]}.parquet"
