"""The segmenter: backbone, pixel decoder and mask decoder; images in, class and mask logits of every query out.

Axes: B images, Q queries, K classes, D query-embedding width, S input side, h w = S / 4.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pading.segmenter.backbone import ConvBackbone, Level
from pading.segmenter.mask_decoder import MaskDecoder
from pading.segmenter.pixel_decoder import PyramidDecoder

IMAGE_MEAN = (123.675, 116.28, 103.53)  # ImageNet, RGB, 0-255
IMAGE_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """Sizes of a segmenter; stage i of the backbone has stride 4 * 2^i, and the i-th channels and blocks."""

    backbone_channels: tuple[int, ...] = (48, 96, 128)
    backbone_blocks: tuple[int, ...] = (1, 1, 1)
    width: int = 64
    queries: int = 16
    decoder_layers: int = 3
    heads: int = 4
    feedforward_width: int = 256

    def __post_init__(self) -> None:
        if len(self.backbone_channels) != len(self.backbone_blocks) or len(self.backbone_channels) < 2:
            raise ValueError(
                f"backbone_channels {self.backbone_channels} and backbone_blocks {self.backbone_blocks} "
                "must describe the same stages, at least two"
            )
        if self.width % 4 or self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of 4 and of the {self.heads} heads")

    @property
    def stride(self) -> int:
        """Stride of the coarsest level; the input side must be a multiple of it."""
        return 4 << (len(self.backbone_channels) - 1)


def tiny() -> SegmenterConfig:
    """Return a segmenter of 0.8 million parameters that learns images of about 96 px on a CPU in minutes."""
    return SegmenterConfig()


@dataclass(frozen=True)
class Prediction:
    """What one decoder layer says about every query; `query_embeddings` is the vector that both heads read.

    `cell_logits`, on the last prediction in training mode only, are class logits of cells of the finest decoder level.
    """

    query_embeddings: Float[Tensor, "B Q D"]
    class_logits: Float[Tensor, "B Q K+1"]
    mask_logits: Float[Tensor, "B Q h w"]
    cell_logits: Float[Tensor, "B K h2 w2"] | None = None


class Segmenter(nn.Module):
    """Mask transformer: Q queries, each with class logits (no-object last) and mask logits at stride 4."""

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, config: SegmenterConfig, num_classes: int) -> None:
        super().__init__()
        self.config, self.num_classes = config, num_classes
        self.backbone = ConvBackbone(config.backbone_channels, config.backbone_blocks)
        self.pixel_decoder = PyramidDecoder(config.backbone_channels, config.width)
        self.mask_decoder = MaskDecoder(
            width=config.width,
            queries=config.queries,
            layers=config.decoder_layers,
            heads=config.heads,
            feedforward_width=config.feedforward_width,
            levels=len(config.backbone_channels) - 1,
        )
        self.class_head = nn.Linear(config.width, num_classes + 1)
        self.cell_head = nn.Conv2d(config.width, num_classes, 1)  # for training only; see criterion.cell_loss
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(IMAGE_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: UInt8[Tensor, "B 3 S S"] | Float[Tensor, "B 3 S S"]) -> list[Prediction]:
        """Return the predictions of the learned queries and of every decoder layer; the last is the final one.

        Images are RGB in 0-255; normalisation happens here.

        Raises:
            ValueError: if the images are not (B, 3, H, W) with sides that are multiples of the coarsest stride.
        """
        stride = self.config.stride
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % stride or images.shape[3] % stride:
            raise ValueError(
                f"images must be (B, 3, H, W) with sides that are multiples of {stride}, got {tuple(images.shape)}"
            )
        normalised = ((images.float() - self.image_mean) / self.image_std).contiguous(memory_format=torch.channels_last)
        mask_features, levels = self.pixel_decoder(self.backbone(normalised))
        with torch.autocast(images.device.type, enabled=False):
            mask_features = mask_features.float()
            queries = self.mask_decoder(mask_features, [Level(stride, features.float()) for stride, features in levels])
            class_logits = self.class_head(queries.embeddings)
            mask_logits = torch.einsum("lbqd,bdhw->lbqhw", queries.mask_embeddings, mask_features)
            cell_logits = self.cell_head(levels[-1].features.float()) if self.training else None
        *earlier, last = zip(queries.embeddings, class_logits, mask_logits, strict=True)
        return [*(Prediction(*layer) for layer in earlier), Prediction(*last, cell_logits)]
