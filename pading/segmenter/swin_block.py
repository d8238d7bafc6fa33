"""A Swin block for maps of any size, as detectors use it. Axes: B images, W windows, N cells of a window, D width."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class PaddedSwinBlock(nn.Module):
    """The weights of a block of timm's, under the same names, with the padding of the published detectors.

    A map that is no multiple of the window is padded before it is shifted, and the window never shrinks; timm shifts
    first, so that the padding lies between cells that should see each other. Published weights expect the former.
    """

    def __init__(self, block: nn.Module, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1: nn.Module = block.get_submodule("norm1")
        self.attn: nn.Module = block.get_submodule("attn")
        self.drop_path1: nn.Module = block.get_submodule("drop_path1")
        self.norm2: nn.Module = block.get_submodule("norm2")
        self.mlp: nn.Module = block.get_submodule("mlp")
        self.drop_path2: nn.Module = block.get_submodule("drop_path2")

    def forward(self, x: Float[Tensor, "B h w D"]) -> Float[Tensor, "B h w D"]:
        """Return the map after windowed self-attention and feed-forward, each with a residual."""
        x = x + self.drop_path1(self.attend(self.norm1(x)))
        out: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return out

    def attend(self, x: Float[Tensor, "B h w D"]) -> Float[Tensor, "B h w D"]:
        """Return what every cell reads from its window."""
        _, height, width, _ = x.shape
        x = F.pad(x, (0, 0, 0, -width % self.window, 0, -height % self.window))
        padded_height, padded_width = x.shape[1:3]
        mask = None
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
            mask = self.seam_mask(padded_height, padded_width, x)
        windows = cut(x, self.window)
        windows = self.attn(windows, mask=mask)
        x = join(windows, self.window, padded_height, padded_width)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]

    def seam_mask(self, height: int, width: int, like: Tensor) -> Float[Tensor, "W N N"]:
        """Return 0 where two cells of a shifted window were neighbours before the shift, and -100 where not."""
        row, column = (
            (place >= side - self.window).int() + (place >= side - self.shift).int()
            for side in (height, width)
            for place in (torch.arange(side, device=like.device),)
        )
        region = cut((3 * row[:, None] + column)[None, :, :, None], self.window)[..., 0]  # (W, N)
        return (region[:, :, None] != region[:, None, :]).to(like.dtype) * -100.0


def cut(x: Tensor, window: int) -> Tensor:
    """Return the windows of maps (B, h, w, D) as (B W, N, D)."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(-1, window * window, channels)


def join(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """Return the maps that `cut` took apart."""
    x = windows.view(-1, height // window, width // window, window, window, windows.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, windows.shape[-1])
