"""The image half of a CLIP model as the core takes it: sub-images to vectors, a whole photo to tokens.

Axes: N images, S pixels of a side, h w tokens, C width of the tower, E width shared with texts.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from jobs.clip import Clip
from pading.regions.encode import ImageTower

TOKENS_A_SIDE = 3  # fewer would hardly tell one mask from another


def image_tower(clip: Clip) -> ImageTower:
    """Return the image tower of a CLIP model; on a GPU in half precision, as published."""
    device = next(clip.model.parameters()).device
    in_half = torch.autocast(device.type, torch.float16, enabled=device.type == "cuda")

    def encode(pixels: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N E"]:
        with in_half:
            vectors: Tensor = clip.model.encode_image(pixels, normalize=True)
        return vectors.float()

    def encode_tokens(pixels: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N E h w"]:
        with in_half:
            return projected_tokens(clip, pixels).float()

    with torch.inference_mode():
        width = encode(torch.zeros(1, 3, clip.image_px, clip.image_px, device=device)).shape[1]
    return ImageTower(
        encode=encode,
        encode_tokens=encode_tokens,
        side_px=clip.image_px,
        tokens_px=tokens_px(clip),
        width=width,
        mean=clip.mean,
        deviation=clip.deviation,
        device=device,
    )


def projected_tokens(clip: Clip, pixels: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N E h w"]:
    """Return what each patch says in the space of texts.

    Of a vision transformer, the patch tokens of its last layer, normalised and projected as the class token is. Of
    CLIP's ResNets, the cells of the last layer through the value and output maps of the attention that pools them,
    without positions: what the pooled vector would be if all the attention were on this cell.

    Raises:
        ValueError: if the tower is of another kind.
    """
    require_tokens(clip)
    visual = clip.model.visual
    if _kind(clip) == "VisionTransformer":
        found = visual.forward_intermediates(pixels, indices=1, normalize_intermediates=True, intermediates_only=True)
        (tokens,) = found["image_intermediates"]  # (N, C, h, w)
        projected = tokens.movedim(1, -1) @ visual.proj
    else:
        found = visual.forward_intermediates(pixels, indices=1, intermediates_only=True)
        (cells,) = found["image_intermediates"]  # (N, C, h, w)
        projected = visual.attnpool.c_proj(visual.attnpool.v_proj(cells.movedim(1, -1)))
    return projected.movedim(-1, 1)


def tokens_px(clip: Clip) -> int:
    """Return the side of a photo that is taken apart into tokens.

    A transformer has positions for its own size alone. A ResNet made for small images has so few cells that a photo
    must be larger than a sub-image.
    """
    if _kind(clip) != "ModifiedResNet":
        return clip.image_px
    cells = math.isqrt(len(clip.model.visual.attnpool.positional_embedding) - 1)
    return clip.image_px * math.ceil(TOKENS_A_SIDE / cells)


def require_tokens(clip: Clip) -> None:
    """Check that a model's patch tokens can be had, by `projected_tokens`.

    Raises:
        ValueError: if its image tower is neither a vision transformer that pools its tokens in the usual way nor a
            ResNet of CLIP.
    """
    visual = clip.model.visual
    is_usual = _kind(clip) == "VisionTransformer" and visual.attn_pool is None and visual.proj is not None
    if not is_usual and _kind(clip) != "ModifiedResNet":
        raise ValueError(
            f"region style `pooled` needs the patch tokens of a vision transformer or of a ResNet of CLIP; "
            f"{clip.name!r} has a {_kind(clip)} that pools them in its own way; leave `pooled` out of --regions.styles"
        )


def _kind(clip: Clip) -> str:
    return type(clip.model.visual).__name__
