"""The segmenter: backbone, pixel decoder and mask decoder; images in, class and mask logits of every query out.

Axes: B images, Q queries, K classes, D query-embedding width, S input side, h w = S / 4.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pading.segmenter.backbone import ConvBackbone, Level
from pading.segmenter.class_heads import TextHead
from pading.segmenter.deformable_decoder import NORM_GROUPS, DeformableDecoder
from pading.segmenter.fpn_decoder import FpnDecoder
from pading.segmenter.mask_decoder import MaskDecoder
from pading.segmenter.pixel_decoder import PyramidDecoder
from pading.segmenter.plain_mask_decoder import PlainMaskDecoder
from pading.segmenter.precision import at_least_float32
from pading.segmenter.timm_backbone import STRIDES, TimmBackbone

IMAGE_MEAN = (123.675, 116.28, 103.53)  # ImageNet, RGB, 0-255
IMAGE_STD = (58.395, 57.12, 57.375)
OWN_BACKBONE = "conv"


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """Sizes of a segmenter; the defaults are those of `tiny`.

    The backbone is "conv", ours, whose i-th stage has stride 4 * 2^i and the i-th channels and blocks, or the name of a
    timm network with strides 4 to 32. `encoder_*` and `points` are the deformable decoder's.
    """

    backbone: str = OWN_BACKBONE
    backbone_channels: tuple[int, ...] = (48, 96, 128)
    backbone_blocks: tuple[int, ...] = (1, 1, 1)
    frozen_norms: bool = True  # of a timm network: batch normalisation as loaded
    drop_path_rate: float = 0.0  # of a timm network
    pixel_decoder: Literal["pyramid", "deformable", "fpn"] = "pyramid"  # ours, Mask2Former's, MaskFormer's
    encoder_layers: int = 6
    encoder_feedforward_width: int = 1024
    points: int = 4
    mask_decoder: Literal["ours", "published", "maskformer"] = "ours"  # two forms of Mask2Former's, MaskFormer's
    dropout: float = 0.0  # of MaskFormer's
    width: int = 64
    queries: int = 16
    decoder_layers: int = 3
    heads: int = 4
    feedforward_width: int = 256
    class_head: Literal["linear", "text"] = "linear"
    text_width: int = 0  # of the text head, as are the next two; 0: that of the run's text embeddings
    temperature: float = 0.01  # ZegFormer
    learn_temperature: bool = False
    cell_head: bool = True  # classes of cells beside those of queries, in training: for small networks from scratch

    def __post_init__(self) -> None:
        if len(self.backbone_channels) != len(self.backbone_blocks) or len(self.backbone_channels) < 2:
            raise ValueError(
                f"backbone_channels {self.backbone_channels} and backbone_blocks {self.backbone_blocks} "
                "must describe the same stages, at least two"
            )
        if self.width % 4 or self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of 4 and of the {self.heads} heads")
        if self.pixel_decoder in ("deformable", "fpn") and self.width % NORM_GROUPS:
            raise ValueError(
                f"width {self.width} of a {self.pixel_decoder} decoder must be a multiple of {NORM_GROUPS}"
            )
        if not 0 <= self.dropout < 1 or (self.dropout and self.mask_decoder != "maskformer"):
            raise ValueError(
                f"dropout {self.dropout} must be in [0, 1), and 0 for the mask decoder {self.mask_decoder!r}: "
                "only 'maskformer' has any"
            )
        if not self.temperature > 0:
            raise ValueError(f"temperature {self.temperature} must be above 0")

    @property
    def stride(self) -> int:
        """Stride of the coarsest level; the input side must be a multiple of it."""
        return 4 << (len(self.backbone_channels) - 1) if self.backbone == OWN_BACKBONE else STRIDES[-1]


def tiny() -> SegmenterConfig:
    """Return a segmenter of 0.8 million parameters that learns images of about 96 px on a CPU in minutes."""
    return SegmenterConfig()


def r50() -> SegmenterConfig:
    """Return Mask2Former with a ResNet-50, the segmenter of PADing (44 million parameters)."""
    return SegmenterConfig(
        backbone="resnet50",
        pixel_decoder="deformable",
        mask_decoder="published",
        width=256,
        queries=100,
        decoder_layers=9,
        heads=8,
        feedforward_width=2048,
        cell_head=False,
    )


def swin_t() -> SegmenterConfig:
    """Return Mask2Former with a Swin-T (47 million parameters)."""
    return replace(r50(), backbone="swin_tiny_patch4_window7_224", drop_path_rate=0.3)


def maskformer_r50() -> SegmenterConfig:
    """Return MaskFormer with a ResNet-50, the segmenter of ZegFormer (41 million parameters)."""
    return SegmenterConfig(
        backbone="resnet50",
        pixel_decoder="fpn",
        mask_decoder="maskformer",
        width=256,
        queries=100,
        decoder_layers=6,
        heads=8,
        feedforward_width=2048,
        dropout=0.1,
        cell_head=False,
    )


def maskformer_r101() -> SegmenterConfig:
    """Return MaskFormer with a ResNet-101 (60 million parameters)."""
    return replace(maskformer_r50(), backbone="resnet101")


@dataclass(frozen=True)
class Prediction:
    """What one decoder layer says about every query; `query_embeddings` is the vector that both heads read.

    `cell_logits`, on the last prediction in training mode only, are class logits of cells of the finest decoder level.
    `mask_logits` are the products of `mask_embeddings` with `mask_features`, which all predictions share; the criterion
    makes the few that it compares anew where it has both.
    """

    query_embeddings: Float[Tensor, "B Q D"]
    class_logits: Float[Tensor, "B Q K+1"]
    mask_logits: Float[Tensor, "B Q h w"]
    cell_logits: Float[Tensor, "B K h2 w2"] | None = None
    mask_embeddings: Float[Tensor, "B Q D"] | None = None
    mask_features: Float[Tensor, "B D h w"] | None = None


class Segmenter(nn.Module):
    """Mask transformer: Q queries, each with class logits (no-object last) and mask logits at stride 4."""

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, config: SegmenterConfig, num_classes: int) -> None:
        super().__init__()
        self.config, self.num_classes = config, num_classes
        self.backbone = make_backbone(config)
        channels = self.backbone.channels
        self.pixel_decoder = make_pixel_decoder(config, channels)
        self.mask_decoder = make_mask_decoder(config, self.pixel_decoder.num_levels)
        self.class_head = make_class_head(config, num_classes)
        # For training only; see criterion.cell_loss.
        self.cell_head = nn.Conv2d(config.width, num_classes, 1) if config.cell_head else None
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(IMAGE_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: UInt8[Tensor, "B 3 S S"] | Float[Tensor, "B 3 S S"]) -> list[Prediction]:
        """Return the predictions of every decoder layer, and of Mask2Former's queries before them; the last is final.

        Images are RGB in 0-255; normalisation happens here.

        Raises:
            ValueError: if the images are not (B, 3, H, W) with sides that are multiples of the coarsest stride.
        """
        stride = self.config.stride
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % stride or images.shape[3] % stride:
            raise ValueError(
                f"images must be (B, 3, H, W) with sides that are multiples of {stride}, got {tuple(images.shape)}"
            )
        normalised = ((at_least_float32(images) - self.image_mean) / self.image_std).contiguous(
            memory_format=torch.channels_last
        )
        mask_features, levels = self.pixel_decoder(self.backbone(normalised))
        with torch.autocast(images.device.type, enabled=False):
            mask_features = at_least_float32(mask_features)
            queries = self.mask_decoder(
                mask_features, [Level(stride, at_least_float32(features)) for stride, features in levels]
            )
            class_logits = self.class_head(queries.embeddings)
            mask_logits = torch.einsum("lbqd,bdhw->lbqhw", queries.mask_embeddings, mask_features)
            cell_logits = None
            if self.cell_head is not None and self.training:
                cell_logits = self.cell_head(at_least_float32(levels[-1].features))
        parts = queries.embeddings, class_logits, mask_logits, queries.mask_embeddings
        *earlier, last = (
            Prediction(embeddings, classes, masks, None, kernels, mask_features)
            for embeddings, classes, masks, kernels in zip(*parts, strict=True)
        )
        return [*earlier, replace(last, cell_logits=cell_logits)]


def make_backbone(config: SegmenterConfig) -> ConvBackbone | TimmBackbone:
    """Return the backbone of a configuration, with random weights."""
    if config.backbone == OWN_BACKBONE:
        return ConvBackbone(config.backbone_channels, config.backbone_blocks)
    return TimmBackbone(config.backbone, frozen_norms=config.frozen_norms, drop_path_rate=config.drop_path_rate)


def make_pixel_decoder(
    config: SegmenterConfig, channels: tuple[int, ...]
) -> PyramidDecoder | DeformableDecoder | FpnDecoder:
    """Return the pixel decoder of a configuration over levels of these channels."""
    if config.pixel_decoder == "pyramid":
        return PyramidDecoder(channels, config.width)
    if config.pixel_decoder == "fpn":
        return FpnDecoder(channels, config.width)
    return DeformableDecoder(
        channels,
        config.width,
        layers=config.encoder_layers,
        heads=config.heads,
        points=config.points,
        feedforward_width=config.encoder_feedforward_width,
    )


def make_mask_decoder(config: SegmenterConfig, levels: int) -> MaskDecoder | PlainMaskDecoder:
    """Return the mask decoder of a configuration that reads so many levels."""
    if config.mask_decoder == "maskformer":
        return PlainMaskDecoder(
            width=config.width,
            queries=config.queries,
            layers=config.decoder_layers,
            heads=config.heads,
            feedforward_width=config.feedforward_width,
            dropout=config.dropout,
        )
    return MaskDecoder(
        width=config.width,
        queries=config.queries,
        layers=config.decoder_layers,
        heads=config.heads,
        feedforward_width=config.feedforward_width,
        levels=levels,
        as_published=config.mask_decoder == "published",
    )


def make_class_head(config: SegmenterConfig, num_classes: int) -> nn.Linear | TextHead:
    """Return the class head of a configuration.

    Raises:
        ValueError: if a text head is not told how wide texts are.
    """
    if config.class_head == "linear":
        return nn.Linear(config.width, num_classes + 1)
    if config.text_width < 1:
        raise ValueError(f"text_width {config.text_width}: a text head must be told how wide its texts are")
    return TextHead(
        config.width,
        num_classes,
        config.text_width,
        temperature=config.temperature,
        learn_temperature=config.learn_temperature,
    )
