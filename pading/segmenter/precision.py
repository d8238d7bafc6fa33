"""What must not be computed in half precision."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return whole numbers and half precision as float32, and float32 and float64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
