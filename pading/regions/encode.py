"""Region embeddings: one image-encoder vector for what lies under each query's mask.

Sub-images of several photos fill a batch of the encoder together, and a sub-image that two queries share is encoded
once; style `pooled` encodes the photo once instead, and averages its tokens under each mask.
Axes: Q queries, H W pixels of a photo, S pixels of a sub-image's side, h w tokens, E width, N sub-images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

from pading.evaluate.inference import upsampled_masks
from pading.evaluate.predictions import ImagePrediction
from pading.regions.subimages import SUB_IMAGES, SubImage, mask_boxes, roi_align, sub_images

Style = Literal["crop", "mask", "crop+mask", "pooled"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTower:
    """An image encoder as functions, and the pixels that it expects: (pixel / 255 - mean) / deviation, on squares.

    Sub-images have `side_px`, a whole photo that is taken apart into tokens has `tokens_px`.
    """

    encode: Callable[[Float[Tensor, "N 3 S S"]], Float[Tensor, "N E"]]
    encode_tokens: Callable[[Float[Tensor, "N 3 S S"]], Float[Tensor, "N E h w"]]
    side_px: int
    tokens_px: int
    width: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    device: torch.device

    def normalised(self, photo: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "3 H W"]:
        """Return a photo as the encoder sees pixels."""
        mean, deviation = (
            torch.tensor(values, device=self.device).view(3, 1, 1) for values in (self.mean, self.deviation)
        )
        pixels = torch.tensor(photo, device=self.device).permute(2, 0, 1)
        return (pixels / 255 - mean) / deviation


@torch.inference_mode()
def region_embeddings(
    photos: Sequence[UInt8[np.ndarray, "H W 3"]],
    predictions: Sequence[ImagePrediction],
    is_chosen: Sequence[Bool[np.ndarray, "Q"]],
    styles: Sequence[Style],
    tower: ImageTower,
    batch_size: int,
) -> list[dict[str, Float32[np.ndarray, "Q E"]]]:
    """Return by image and style the unit embedding of each chosen query's region; NaN rows for the others.

    Raises:
        ValueError: if a photo has not the size that its prediction was made for.
    """
    pixels = [tower.normalised(photo) for photo in photos]
    batches = {style: _Batches(tower.encode, batch_size) for style in SUB_IMAGES if style in styles}
    tokens = _photo_tokens(pixels, tower, batch_size) if "pooled" in styles else None
    pooled, places = list[Tensor](), list[dict[SubImage, Tensor]]()
    for index, (photo, prediction) in enumerate(zip(pixels, predictions, strict=True)):
        if photo.shape[1:] != (prediction.height, prediction.width):
            raise ValueError(
                f"image {prediction.image_id}: the photo is {tuple(photo.shape[1:])}, its prediction was made for "
                f"{(prediction.height, prediction.width)}; cache again"
            )
        is_inside = inside_masks(prediction, is_chosen[index]).to(tower.device)
        places.append({style: batches[style].add(photo, is_inside, style, tower.side_px) for style in batches})
        if tokens is not None:
            pooled.append(pool_tokens(tokens[index], is_inside))
    vectors = {style: each.finish(tower.width) for style, each in batches.items()}
    return [
        {
            style: _rows_of_all(is_chosen[index], pooled[index] if style == "pooled" else vectors[style][at[style]])
            for style in styles
        }
        for index, at in enumerate(places)
    ]


def inside_masks(prediction: ImagePrediction, is_chosen: Bool[np.ndarray, "Q"]) -> Bool[Tensor, "q H W"]:
    """Return the masks of some queries at the photo's size: sigma(m) > 0.5."""
    part = replace(
        prediction,
        query_embeddings=prediction.query_embeddings[is_chosen],
        mask_logits=prediction.mask_logits[is_chosen],
        regions={},
    )
    return upsampled_masks(part).is_positive


def pool_tokens(tokens: Float[Tensor, "E h w"], is_inside: Bool[Tensor, "Q H W"]) -> Float[Tensor, "Q E"]:
    """Return the unit mean of a photo's tokens under each mask: a token counts by the share of its cell that is inside.

    An empty mask counts every token alike, as its sub-image would be the whole photo.
    """
    _, height, width = tokens.shape
    share = F.adaptive_avg_pool2d(is_inside.float(), (height, width)).flatten(1)  # (Q, h*w)
    share = torch.where(share.any(dim=1, keepdim=True), share, 1.0)
    return F.normalize(share @ tokens.flatten(1).T.float(), dim=1)


class _Batches:
    """Collects sub-images, whatever photo they are of, and encodes them a full batch at a time."""

    def __init__(self, encode: Callable[[Tensor], Tensor], batch_size: int) -> None:
        self.encode, self.batch_size = encode, batch_size
        self.waiting: list[Tensor] = []
        self.vectors: list[Tensor] = []
        self.num_added = 0

    def add(
        self, photo: Float[Tensor, "3 H W"], is_inside: Bool[Tensor, "Q H W"], style: SubImage, side_px: int
    ) -> Int64[Tensor, "Q"]:
        """Take the regions of a photo and return which of all vectors will be theirs."""
        first, place = _distinct(is_inside, style)
        if len(first):
            self.waiting.append(sub_images(photo, is_inside[first], style, side_px))
        if sum(map(len, self.waiting)) >= self.batch_size:
            self._encode_full_batches()
        self.num_added += len(first)
        return place + self.num_added - len(first)

    def finish(self, width: int) -> Float[Tensor, "N E"]:
        """Encode what is left and return the unit vectors of all."""
        if any(map(len, self.waiting)):
            self.vectors.append(self.encode(torch.cat(self.waiting)))
        vectors = torch.cat(self.vectors) if self.vectors else torch.zeros(0, width)
        return F.normalize(vectors.float(), dim=1).cpu()

    def _encode_full_batches(self) -> None:
        waiting = torch.cat(self.waiting)
        num_full = len(waiting) - len(waiting) % self.batch_size
        self.vectors += [self.encode(batch) for batch in torch.split(waiting[:num_full], self.batch_size)]
        self.waiting = [waiting[num_full:]]


def _distinct(is_inside: Bool[Tensor, "Q H W"], style: SubImage) -> tuple[Int64[Tensor, "D"], Int64[Tensor, "Q"]]:
    """Return one query of each different sub-image, and for each query which of these is its own."""
    if not len(is_inside):
        return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    boxes = style == "crop"
    keys = mask_boxes(is_inside).cpu().numpy() if boxes else np.packbits(is_inside.flatten(1).cpu().numpy(), axis=1)
    _, first, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return torch.from_numpy(first), torch.from_numpy(place.reshape(-1))


def _photo_tokens(pixels: Sequence[Tensor], tower: ImageTower, batch_size: int) -> list[Float[Tensor, "E h w"]]:
    """Return the tokens of whole photos, squeezed to what the encoder takes."""
    whole = [torch.tensor([[0, 0, *photo.shape[1:]]], device=photo.device) for photo in pixels]
    squares = torch.cat([roi_align(photo, box, tower.tokens_px) for photo, box in zip(pixels, whole, strict=True)])
    return [tokens for batch in torch.split(squares, batch_size) for tokens in tower.encode_tokens(batch)]


def _rows_of_all(is_chosen: Bool[np.ndarray, "Q"], vectors: Float[Tensor, "q E"]) -> Float32[np.ndarray, "Q E"]:
    rows = np.full((len(is_chosen), vectors.shape[1]), np.nan, np.float32)
    rows[is_chosen] = vectors.cpu().numpy()
    return rows
