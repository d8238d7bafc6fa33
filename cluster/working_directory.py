"""The working directory that a submitted job gets: which files Ray would pack, and whether they should be sent.

The files are found by Ray's own walk, with the ignore files that it honours, so that what is judged is what is sent.
"""

import logging
import os
from pathlib import Path

from ray._private.ray_constants import DASHBOARD_CLIENT_MAX_SIZE, get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

from cluster.secrets import SECRET_FILES

LIMIT_BYTES = DASHBOARD_CLIENT_MAX_SIZE  # the head refuses a larger upload, with an error that names nothing
SHOWN = 3
MEBIBYTE = 2**20
_SILENT = logging.getLogger(f"{__name__}.walk")


def packed_files(folder: Path) -> list[Path]:
    """Return the files that Ray would send of a folder, without those that hold secrets by their name.

    Raises:
        ValueError: if it is not a folder.
    """
    if not folder.is_dir():
        raise ValueError(f"--working-dir {folder}: no such folder; give the one that holds the code")
    root = folder.absolute()
    excludes = [_get_excludes(root, [*get_runtime_env_default_excludes(), *SECRET_FILES])]
    found: list[Path] = []
    _SILENT.setLevel(logging.WARNING)
    _dir_travel(root, excludes, found.append, include_gitignore=_honours_gitignore(), logger=_SILENT)
    return sorted(path for path in found if path.is_file())


def require_sendable(folder: Path, limit_bytes: int = LIMIT_BYTES) -> int:
    """Return how many bytes a folder packs, before compression.

    Raises:
        ValueError: if it is not a folder, or too large; the message names the largest files.
    """
    sizes = {path: path.stat().st_size for path in packed_files(folder)}
    total = sum(sizes.values())
    if total > limit_bytes:
        largest = sorted(sizes, key=lambda path: -sizes[path])[:SHOWN]
        shown = ", ".join(f"{path.relative_to(folder.absolute())} ({_size(sizes[path])})" for path in largest)
        raise ValueError(
            f"the working directory {folder} packs {len(sizes)} files of {_size(total)}, the limit is "
            f"{_size(limit_bytes)}; the largest are {shown}: name what the job does not need in {folder}/.rayignore"
        )
    return total


def _honours_gitignore() -> bool:
    return os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "0") != "1"


def _size(num_bytes: int) -> str:
    return f"{num_bytes / MEBIBYTE:.1f} MiB"
