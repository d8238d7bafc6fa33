"""Image to multi-scale features by a network of timm: resnet*, swin_*, convnext_*. The only module that imports timm.

Weights start random; `load_backbone_weights` reads a file, `hub_weights` asks timm for the published ones.
Axes: B images, C channels.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pading.segmenter.backbone import Level
from pading.segmenter.frozen_norm import freeze_norms
from pading.segmenter.swin_block import PaddedSwinBlock
from pading.segmenter.torchvision_on_cpu import make_torchvision_importable

STRIDES = (4, 8, 16, 32)
IGNORED = ("num_batches_tracked", "relative_position_index", "attn_mask")  # buffers that say nothing


class TimmBackbone(nn.Module):
    """Levels of strides 4, 8, 16 and 32 of a timm network, whose weights keep timm's names below `network`.

    A convolutional network with batch normalisation keeps its statistics and scales as loaded where `freeze_norms`
    says so. Networks of LayerNorms (swin, convnext) get one more on every level, as published detectors have it.
    """

    def __init__(self, name: str, *, frozen_norms: bool, drop_path_rate: float) -> None:
        super().__init__()
        self.network = _create(name, drop_path_rate)
        chosen = {level["reduction"]: (i, level["num_chs"]) for i, level in enumerate(self.network.feature_info)}
        if not set(STRIDES) <= chosen.keys():
            raise ValueError(f"backbone {name} has strides {sorted(chosen)}, not {STRIDES}; choose another")
        self.indices = [chosen[stride][0] for stride in STRIDES]
        self.channels = tuple(int(chosen[stride][1]) for stride in STRIDES)
        self.network.prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)
        if name.startswith("swin_"):
            _pad_before_shifting(self.network)
        has_batch_norm = any(isinstance(module, nn.BatchNorm2d) for module in self.network.modules())
        if has_batch_norm and frozen_norms:
            freeze_norms(self.network)
        self.norms = nn.ModuleList(nn.Identity() if has_batch_norm else LevelNorm(width) for width in self.channels)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as images come: some run twice as fast

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Level]:
        """Return the levels, finest first."""
        maps = self.network.forward_intermediates(images, indices=self.indices, intermediates_only=True)
        return [Level(stride, norm(features)) for stride, norm, features in zip(STRIDES, self.norms, maps, strict=True)]


class LevelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a map."""

    def forward(self, input: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Return the map with every cell normalised."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def load_backbone_weights(backbone: TimmBackbone, weights: Path | dict[str, Tensor]) -> None:
    """Take over the weights of a timm network: a `.safetensors` or torch file, or tensors by name.

    The classifier, the last norm and derived buffers are left aside; the norms of the levels stay as they are.

    Raises:
        ValueError: naming the file that cannot be read, or the tensors that are missing, unknown or of another shape.
    """
    where = str(weights) if isinstance(weights, Path) else "the weights"
    found = _read(weights) if isinstance(weights, Path) else dict(weights)
    expected = backbone.network.state_dict()
    found = {name: tensor for name, tensor in found.items() if not name.endswith(IGNORED)}
    kept = {name for name in expected if not name.endswith(IGNORED)}
    if missing := sorted(kept - found.keys()):
        raise ValueError(f"{where}: {len(missing)} tensors of the backbone are missing, e.g. {missing[0]}")
    unknown = sorted(n for n in found.keys() - kept if n.split(".")[0] not in ("fc", "head", "norm", "head_norm"))
    if unknown:
        raise ValueError(f"{where}: {len(unknown)} tensors do not belong to the backbone, e.g. {unknown[0]}")
    for name in sorted(kept):
        if found[name].shape != expected[name].shape:
            raise ValueError(
                f"{where}: {name} has shape {tuple(found[name].shape)}, the backbone {tuple(expected[name].shape)}"
            )
    backbone.network.load_state_dict({name: found[name] for name in kept}, strict=False)


def hub_weights(name: str) -> dict[str, Tensor]:
    """Return the weights that timm publishes under a name, from its cache or the network."""
    state: dict[str, Tensor] = _import_timm().create_model(name, pretrained=True).state_dict()
    return state


def _create(name: str, drop_path_rate: float) -> Any:
    timm = _import_timm()
    if not timm.is_model(name):
        close = ", ".join(sorted(timm.list_models(f"{name.split('_')[0]}*"))[:5]) or "resnet50, swin_*, convnext_*"
        raise ValueError(f"timm has no backbone {name!r}; near it: {close}")
    size = {"strict_img_size": False, "always_partition": True} if name.startswith("swin_") else {}
    return timm.create_model(name, pretrained=False, num_classes=0, drop_path_rate=drop_path_rate, **size)


def _import_timm() -> Any:
    make_torchvision_importable()
    import timm

    return timm


def _pad_before_shifting(network: Any) -> None:
    for stage in network.layers:
        for index, block in enumerate(stage.blocks):
            stage.blocks[index] = PaddedSwinBlock(block, block.window_size[0], block.shift_size[0])


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"{path} is missing; give a file of timm's weights")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, OSError, RuntimeError, ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a readable file of weights: {error}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(f"{path} is not a dictionary of tensors by name")
    return state
