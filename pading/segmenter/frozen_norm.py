"""Batch normalisation whose statistics and scales stay as they were loaded, folded into the convolution before it.

Small batches make poor statistics, so Mask2Former keeps those of ImageNet. A frozen normalisation is a scale and a
shift a channel: on the weights of the convolution they cost nothing, on its output two passes over every feature map.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pading.segmenter.pointwise import pointwise


class FrozenBatchNorm(nn.Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias with constants; nothing at all where a convolution does it."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: nn.BatchNorm2d, *, is_folded: bool) -> None:
        super().__init__()
        self.eps, self.is_folded = norm.eps, is_folded
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, getattr(norm, name).detach().clone())

    def scale_and_shift(self) -> tuple[Float[Tensor, "C"], Float[Tensor, "C"]]:
        """Return what the normalisation multiplies with and what it adds."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Return the normalised features, or the features as they are where the convolution has normalised them."""
        if self.is_folded:
            return x
        scale, shift = self.scale_and_shift()
        return x * scale[:, None, None] + shift[:, None, None]


class FoldedConvolution(nn.Conv2d):
    """A convolution that does the work of the frozen normalisation behind it; the names of weights do not change."""

    def __init__(self, convolution: nn.Conv2d, norm: FrozenBatchNorm) -> None:
        sizes = convolution.in_channels, convolution.out_channels, convolution.kernel_size
        places = convolution.stride, convolution.padding, convolution.dilation, convolution.groups
        super().__init__(*sizes, *places, bias=False)  # type: ignore[arg-type]
        self.weight = convolution.weight
        self.norm = (norm,)  # in a tuple: its buffers are registered, and named, where the normalisation stands

    def forward(self, input: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h2 w2"]:
        """Return the normalised convolution."""
        scale, shift = self.norm[0].scale_and_shift()
        weight = self.weight * scale[:, None, None, None]
        if self.kernel_size == (1, 1) and self.groups == 1 and self.padding == (0, 0):
            return pointwise(input, weight, shift, self.stride[0])
        return F.conv2d(input, weight, shift, self.stride, self.padding, self.dilation, self.groups)


def freeze_norms(module: nn.Module) -> None:
    """Put a frozen normalisation in the place of every BatchNorm2d, folded where a plain convolution precedes it.

    Which convolution precedes is known by timm's names: convN before bnN, or its predecessor in a Sequential.
    """
    for owner in list(module.modules()):
        children = dict(owner.named_children())
        previous = dict(zip(list(children)[1:], children, strict=False)) if isinstance(owner, nn.Sequential) else {}
        for name, norm in children.items():
            if type(norm) is not nn.BatchNorm2d:
                continue
            before = previous.get(name, name.replace("bn", "conv"))
            convolution = children.get(before)
            is_folded = type(convolution) is nn.Conv2d and convolution.bias is None
            frozen = FrozenBatchNorm(norm, is_folded=is_folded)
            owner.add_module(name, frozen)
            if isinstance(convolution, nn.Conv2d) and is_folded:
                owner.add_module(before, FoldedConvolution(convolution, frozen))
