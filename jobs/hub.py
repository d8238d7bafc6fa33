"""Weights by name: a folder of this machine or a repository of Hugging Face's hub, which only this module asks."""

import re
from pathlib import Path

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?", re.ASCII)
PATTERNS = ["*.safetensors", "*.json"]  # nothing that could run code when it is read


def is_hub_id(name: str) -> bool:
    """Return whether a name that is no folder could be one of the hub's."""
    return HUB_ID.fullmatch(name) is not None


def fetch(name: str) -> Path:
    """Return a local folder as it is, or download "owner/name" or "owner/name@revision" unless the cache has it.

    `HF_HOME`, `HF_HUB_OFFLINE` and `HF_TOKEN` mean what they mean to the hub's own library.

    Raises:
        FileNotFoundError: if there is no such folder, and the name is not one of the hub's.
        OSError: if the hub does not give it and the cache does not have it.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise NotADirectoryError(f"{name} is a file; give the folder with its weights and config.json")
    if not is_hub_id(name):
        raise FileNotFoundError(f"{name}: no such folder, nor a hub id like owner/name; check the path")
    from huggingface_hub import snapshot_download  # late: it takes a while, and few runs need it

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=PATTERNS))
    except Exception as error:  # of the hub, the network or the cache: the remedy is the same
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = "check the name and the network, unset HF_HUB_OFFLINE, or give a folder of this machine"
        raise OSError(f"{name}: no such folder, and the hub does not give it ({cause}); {remedy}") from error
