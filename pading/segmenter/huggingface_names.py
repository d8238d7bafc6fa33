"""Which tensor of ours is which of a Mask2Former saved by transformers, as data that reads in both directions.

Names are those in the file, which differ from transformers' own modules for Swin. Of `num_batches_tracked` and the
like there is nothing to say.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pading.segmenter.segmenter import SegmenterConfig

PIXEL, TRANSFORMER = "model.pixel_level_module", "model.transformer_module"
ENCODER, DECODER = f"{PIXEL}.encoder", f"{PIXEL}.decoder"
BOTH = ("weight", "bias")
SILENT = (  # buffers, and a norm that no output passes through
    "num_batches_tracked",
    "relative_position_index",
    "criterion.empty_weight",
    "encoder.swin.layernorm.weight",
    "encoder.swin.layernorm.bias",
)


class Piece(NamedTuple):
    """One tensor in both formats; a part says which third of the rows it is (query, key, value)."""

    ours: str
    theirs: str
    our_part: int | None = None
    their_part: int | None = None


def pieces(config: SegmenterConfig) -> list[Piece]:
    """Return every piece of a published segmenter.

    Raises:
        ValueError: if transformers has no such Mask2Former.
    """
    kinds = config.pixel_decoder, config.mask_decoder, config.class_head, config.cell_head
    if kinds != ("deformable", "published", "linear", False):
        raise ValueError(f"transformers has no Mask2Former of (pixel decoder, mask decoder, class, cell head) {kinds}")
    if config.backbone in SWIN_SIZES:
        return [*_swin(config.backbone), *_pixel_decoder(config), *_mask_decoder(config)]
    if config.backbone in RESNET_DEPTHS:
        return [*resnet(config.backbone), *_pixel_decoder(config), *_mask_decoder(config)]
    known = ", ".join([*RESNET_DEPTHS, *SWIN_SIZES])
    raise ValueError(f"backbone {config.backbone!r} has no counterpart in transformers; {known} have")


def both(ours: str, theirs: str) -> Iterator[Piece]:
    """Yield weight and bias of a module."""
    for kind in BOTH:
        yield Piece(f"{ours}.{kind}", f"{theirs}.{kind}")


def _pixel_decoder(config: SegmenterConfig) -> Iterator[Piece]:
    yield Piece("pixel_decoder.level.weight", f"{DECODER}.level_embed")
    for level in range(3):
        for index in (0, 1):
            yield from both(f"pixel_decoder.inputs.{level}.{index}", f"{DECODER}.input_projections.{level}.{index}")
    for layer in range(config.encoder_layers):
        ours, theirs = f"pixel_decoder.layers.{layer}", f"{DECODER}.encoder.layers.{layer}"
        yield from both(f"{ours}.attention.offsets", f"{theirs}.self_attn.sampling_offsets")
        yield from both(f"{ours}.attention.weights", f"{theirs}.self_attn.attention_weights")
        yield from both(f"{ours}.attention.value", f"{theirs}.self_attn.value_proj")
        yield from both(f"{ours}.attention.out", f"{theirs}.self_attn.output_proj")
        yield from both(f"{ours}.attention_norm", f"{theirs}.self_attn_layer_norm")
        yield from _feedforward(ours, theirs)
    for ours, theirs in (("lateral", "adapter_1"), ("smooth", "layer_1")):
        yield Piece(f"pixel_decoder.{ours}.0.weight", f"{DECODER}.{theirs}.0.weight")
        yield from both(f"pixel_decoder.{ours}.1", f"{DECODER}.{theirs}.1")
    yield from both("pixel_decoder.mask_features", f"{DECODER}.mask_projection")


def _mask_decoder(config: SegmenterConfig) -> Iterator[Piece]:
    yield Piece("mask_decoder.query_content.weight", f"{TRANSFORMER}.queries_features.weight")
    yield Piece("mask_decoder.query_position.weight", f"{TRANSFORMER}.queries_embedder.weight")
    yield Piece("mask_decoder.level.weight", f"{TRANSFORMER}.level_embed.weight")
    for layer in range(config.decoder_layers):
        ours, theirs = f"mask_decoder.layers.{layer}", f"{TRANSFORMER}.decoder.layers.{layer}"
        for part, name in enumerate(("query", "key", "value")):
            for kind in BOTH:
                packed = f"{theirs}.cross_attn.in_proj_{kind}"
                yield Piece(f"{ours}.cross_attention.{name}.{kind}", packed, their_part=part)
            yield from both(f"{ours}.self_attention.{name}", f"{theirs}.self_attn.{name[0]}_proj")
        yield from both(f"{ours}.cross_attention.out", f"{theirs}.cross_attn.out_proj")
        yield from both(f"{ours}.cross_norm", f"{theirs}.cross_attn_layer_norm")
        yield from both(f"{ours}.self_attention.out", f"{theirs}.self_attn.out_proj")
        yield from both(f"{ours}.self_norm", f"{theirs}.self_attn_layer_norm")
        yield from _feedforward(ours, theirs)
    yield from both("mask_decoder.norm", f"{TRANSFORMER}.decoder.layernorm")
    for index in range(3):
        theirs = f"{TRANSFORMER}.decoder.mask_predictor.mask_embedder.{index}.0"
        yield from both(f"mask_decoder.mask_embedding.{2 * index}", theirs)
    yield from both("class_head", "class_predictor")


def _feedforward(ours: str, theirs: str) -> Iterator[Piece]:
    yield from both(f"{ours}.feedforward.0", f"{theirs}.fc1")
    yield from both(f"{ours}.feedforward.2", f"{theirs}.fc2")
    yield from both(f"{ours}.feedforward_norm", f"{theirs}.final_layer_norm")


def resnet(name: str) -> Iterator[Piece]:
    """Yield the pieces of a ResNet, which both networks name alike."""
    ours = "backbone.network"
    yield from _convolution(f"{ours}.conv1", f"{ours}.bn1", f"{ENCODER}.embedder.embedder")
    for stage, depth in enumerate(RESNET_DEPTHS[name]):
        for block in range(depth):
            mine, theirs = f"{ours}.layer{stage + 1}.{block}", f"{ENCODER}.encoder.stages.{stage}.layers.{block}"
            if block == 0:
                yield from _convolution(f"{mine}.downsample.0", f"{mine}.downsample.1", f"{theirs}.shortcut")
            for index in range(3):
                yield from _convolution(f"{mine}.conv{index + 1}", f"{mine}.bn{index + 1}", f"{theirs}.layer.{index}")


def _convolution(convolution: str, norm: str, theirs: str) -> Iterator[Piece]:
    yield Piece(f"{convolution}.weight", f"{theirs}.convolution.weight")
    for kind in (*BOTH, "running_mean", "running_var"):
        yield Piece(f"{norm}.{kind}", f"{theirs}.normalization.{kind}")


def _swin(name: str) -> Iterator[Piece]:
    ours = "backbone.network"
    yield from both(f"{ours}.patch_embed.proj", f"{ENCODER}.embeddings.patch_embeddings.projection")
    yield from both(f"{ours}.patch_embed.norm", f"{ENCODER}.embeddings.norm")
    for stage, depth in enumerate(SWIN_SIZES[name].depths):
        theirs = f"{ENCODER}.encoder.layers.{stage}"
        if stage < 3:  # theirs ends a stage by halving the map, timm begins the next one so
            mine = f"{ours}.layers.{stage + 1}.downsample"
            yield Piece(f"{mine}.reduction.weight", f"{theirs}.downsample.reduction.weight")
            yield from both(f"{mine}.norm", f"{theirs}.downsample.norm")
        for block in range(depth):
            yield from _swin_block(f"{ours}.layers.{stage}.blocks.{block}", f"{theirs}.blocks.{block}")
        yield from both(f"backbone.norms.{stage}", f"{ENCODER}.hidden_states_norms.stage{stage + 1}")


def _swin_block(ours: str, theirs: str) -> Iterator[Piece]:
    yield from both(f"{ours}.norm1", f"{theirs}.layernorm_before")
    yield from both(f"{ours}.norm2", f"{theirs}.layernorm_after")
    for part, name in enumerate(("query", "key", "value")):
        for kind in BOTH:
            yield Piece(f"{ours}.attn.qkv.{kind}", f"{theirs}.attention.self.{name}.{kind}", our_part=part)
    table = "relative_position_bias_table"
    yield Piece(f"{ours}.attn.{table}", f"{theirs}.attention.self.{table}")
    yield from both(f"{ours}.attn.proj", f"{theirs}.attention.output.dense")
    yield from both(f"{ours}.mlp.fc1", f"{theirs}.intermediate.dense")
    yield from both(f"{ours}.mlp.fc2", f"{theirs}.output.dense")


class SwinSizes(NamedTuple):
    """What tells one Swin from another; windows of 12 belong to weights of 384 px."""

    width: int
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    window: int


RESNET_DEPTHS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}
SWIN_SIZES = {
    "swin_tiny_patch4_window7_224": SwinSizes(96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
    "swin_small_patch4_window7_224": SwinSizes(96, (2, 2, 18, 2), (3, 6, 12, 24), 7),
    "swin_base_patch4_window7_224": SwinSizes(128, (2, 2, 18, 2), (4, 8, 16, 32), 7),
    "swin_base_patch4_window12_384": SwinSizes(128, (2, 2, 18, 2), (4, 8, 16, 32), 12),
    "swin_large_patch4_window7_224": SwinSizes(192, (2, 2, 18, 2), (6, 12, 24, 48), 7),
    "swin_large_patch4_window12_384": SwinSizes(192, (2, 2, 18, 2), (6, 12, 24, 48), 12),
}
