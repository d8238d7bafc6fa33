"""A MaskFormer saved by transformers: which of its tensors is which of ours, and its `config.json` in both directions.

Backbones are ResNets: of transformers' Swin inside a MaskFormer the names differ from those of any other.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pading.config import override
from pading.segmenter.huggingface_names import DECODER, RESNET_DEPTHS, TRANSFORMER, Piece, both, resnet
from pading.segmenter.segmenter import SegmenterConfig, maskformer_r50

MODEL_TYPE = "maskformer"
FIXED = {"activation_function": "relu", "position_embedding_type": "sine"}  # of its decoder
PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}


def maskformer_pieces(config: SegmenterConfig) -> list[Piece]:
    """Return every piece of a published MaskFormer.

    Raises:
        ValueError: if transformers has no such MaskFormer, or its names are not known here.
    """
    kinds = config.pixel_decoder, config.mask_decoder, config.class_head, config.cell_head
    if kinds != ("fpn", "maskformer", "linear", False):
        raise ValueError(f"transformers has no MaskFormer of (pixel decoder, mask decoder, class, cell head) {kinds}")
    if config.backbone not in RESNET_DEPTHS:
        raise ValueError(
            f"a MaskFormer of backbone {config.backbone!r} is not translated; {', '.join(RESNET_DEPTHS)} are"
        )
    return [*resnet(config.backbone), *_pixel_decoder(), *_mask_decoder(config)]


def maskformer_from_huggingface(described: Mapping[str, Any], backbone: str) -> SegmenterConfig:
    """Return our configuration of a `config.json` whose backbone has this name.

    Raises:
        ValueError: naming the setting that our network does not have.
    """
    decoder = described.get("decoder_config") or {}
    for name, value in FIXED.items():
        if decoder.get(name, value) != value:
            raise ValueError(f"decoder_config.{name} is {decoder[name]!r}; this network has {value!r}")
    sizes = [
        described.get("fpn_feature_size", 256),
        described.get("mask_feature_size", 256),
        decoder.get("d_model", 256),
    ]
    if len(set(sizes)) > 1:
        raise ValueError(f"fpn_feature_size, mask_feature_size and decoder_config.d_model differ: {sizes}")
    changes = {
        "backbone": backbone,
        "width": sizes[0],
        "queries": decoder.get("num_queries", 100),
        "decoder_layers": decoder.get("decoder_layers", 6),
        "heads": decoder.get("decoder_attention_heads", 8),
        "feedforward_width": decoder.get("decoder_ffn_dim", 2048),
        "dropout": decoder.get("dropout", 0.1),
    }
    return override(maskformer_r50(), changes)


def maskformer_to_huggingface(
    config: SegmenterConfig, backbone: Mapping[str, Any], names: Sequence[str]
) -> dict[str, Any]:
    """Return the `config.json` of a segmenter with this description of its backbone and these classes."""
    return {
        "architectures": ["MaskFormerForInstanceSegmentation"],
        "model_type": MODEL_TYPE,
        "backbone_config": dict(backbone),
        "fpn_feature_size": config.width,
        "mask_feature_size": config.width,
        "decoder_config": {
            **FIXED,
            "model_type": "detr",
            "d_model": config.width,
            "num_queries": config.queries,
            "decoder_layers": config.decoder_layers,
            "encoder_attention_heads": config.heads,  # what transformers calls the hidden heads of the whole
            "decoder_attention_heads": config.heads,
            "decoder_ffn_dim": config.feedforward_width,
            "dropout": config.dropout,
        },
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
    }


def _pixel_decoder() -> Iterator[Piece]:
    yield from both("pixel_decoder.project", f"{TRANSFORMER}.input_projection")
    yield from _convolution("pixel_decoder.stem", f"{DECODER}.fpn.stem")
    for index in range(3):
        yield from _convolution(f"pixel_decoder.laterals.{index}", f"{DECODER}.fpn.layers.{index}.proj")
        yield from _convolution(f"pixel_decoder.merges.{index}", f"{DECODER}.fpn.layers.{index}.block")
    yield from both("pixel_decoder.mask_features", f"{DECODER}.mask_projection")


def _convolution(ours: str, theirs: str) -> Iterator[Piece]:
    yield Piece(f"{ours}.0.weight", f"{theirs}.0.weight")
    yield from both(f"{ours}.1", f"{theirs}.1")


def _mask_decoder(config: SegmenterConfig) -> Iterator[Piece]:
    yield Piece("mask_decoder.query_position.weight", f"{TRANSFORMER}.queries_embedder.weight")
    for layer in range(config.decoder_layers):
        ours, theirs = f"mask_decoder.layers.{layer}", f"{TRANSFORMER}.decoder.layers.{layer}"
        for mine, its in (("self", "self_attn"), ("cross", "encoder_attn")):
            for part, projection in PROJECTIONS.items():
                yield from both(f"{ours}.{mine}_attention.{part}", f"{theirs}.{its}.{projection}")
            yield from both(f"{ours}.{mine}_norm", f"{theirs}.{its}_layer_norm")
        yield from both(f"{ours}.feedforward.0", f"{theirs}.fc1")
        yield from both(f"{ours}.feedforward.3", f"{theirs}.fc2")
        yield from both(f"{ours}.feedforward_norm", f"{theirs}.final_layer_norm")
    yield from both("mask_decoder.norm", f"{TRANSFORMER}.decoder.layernorm")
    for index in range(3):
        yield from both(f"mask_decoder.mask_embedding.{2 * index}", f"mask_embedder.{index}.0")
    yield from both("class_head", "class_predictor")
