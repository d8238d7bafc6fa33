"""Seeds as functions of position, so that a resumed or resharded run draws the same numbers as an uninterrupted one."""

import hashlib

import torch


def derive_seed(seed: int, *position: int | str) -> int:
    """Return a 63-bit seed that depends on `seed` and on every part of `position`, and on nothing else."""
    text = "/".join([str(seed), *(f"{type(part).__name__}:{part}" for part in position)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator_for(seed: int, *position: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator for one position of a run, e.g. `generator_for(seed, "augment", epoch, step, rank)`."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *position))
