"""Make torchvision importable where the installed wheel and torch were built for different devices.

The trap: the index's torchvision wheel is a CUDA build. Beside a CPU build of torch its compiled half, `_C.so`, cannot
be loaded (it asks for CUDA's libraries); torchvision hides that and then dies on import with "operator torchvision::nms
does not exist", because its Python half adds to operators that only `_C.so` declares. timm and open_clip import
torchvision, so they die with it. Declaring the missing operators is enough: nothing here ever calls them.
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def make_torchvision_importable() -> None:
    """Declare the operators that torchvision's import needs; call before open_clip or timm, in every process.

    Does nothing where torchvision is absent, where its own library loads, or on a second call.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None or hasattr(torch.ops.torchvision, "nms"):
        return
    if not _load_own_library(Path(found.origin).parent):
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", _SCHEMA)


def _load_own_library(package: Path) -> bool:
    for library in package.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError:
            return False
        return True
    return False
