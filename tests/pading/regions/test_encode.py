import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pading.evaluate.inference import upsampled_masks
from pading.evaluate.predictions import ImagePrediction, as_half
from pading.regions.encode import ImageTower, inside_masks, pool_tokens, region_embeddings
from pading.regions.subimages import SUB_IMAGES, roi_align, sub_images

SIDE, WIDTH = 8, 6


class Counted:
    """A small tower that counts what it encodes."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = nn.Sequential(
                nn.Conv2d(3, WIDTH, 3, stride=4), nn.Tanh(), nn.Flatten(), nn.LazyLinear(WIDTH)
            )
            self.network(torch.zeros(1, 3, SIDE, SIDE))
        self.sizes: list[int] = []

    def encode(self, pixels: Tensor) -> Tensor:
        self.sizes.append(len(pixels))
        return self.network(pixels)

    def tower(self) -> ImageTower:
        return ImageTower(
            encode=self.encode,
            encode_tokens=lambda pixels: self.network[:2](pixels),
            side_px=SIDE,
            tokens_px=2 * SIDE,
            width=WIDTH,
            mean=(0.5, 0.4, 0.3),
            deviation=(0.2, 0.25, 0.3),
            device=torch.device("cpu"),
        )


def photo_and_prediction(seed: int, queries: int = 6) -> tuple[np.ndarray, ImagePrediction]:
    random = np.random.default_rng(seed)
    height, width = random.integers(12, 30, 2).tolist()
    logits = random.normal(scale=3, size=(queries, 5, 5))
    logits[-1] = -5
    prediction = ImagePrediction(
        image_id=seed,
        height=height,
        width=width,
        content_height=16,
        content_width=12,
        input_px=20,
        query_embeddings=np.zeros((queries, 3), np.float32),
        mask_logits=as_half(logits),
        label_maps=np.zeros((1, height, width), np.uint16),
        segments=(),
    )
    return random.integers(0, 256, (height, width, 3)).astype(np.uint8), prediction


def embed(
    seeds: list[int], counted: Counted, styles: list[str], batch: int, choose: Callable[[int], np.ndarray]
) -> list[dict[str, np.ndarray]]:
    pairs = [photo_and_prediction(seed) for seed in seeds]
    photos, predictions = [photo for photo, _ in pairs], [prediction for _, prediction in pairs]
    chosen = [choose(len(prediction.mask_logits)) for prediction in predictions]
    return region_embeddings(photos, predictions, chosen, styles, counted.tower(), batch)


def everything(queries: int) -> np.ndarray:
    return np.ones(queries, dtype=bool)


@pytest.mark.parametrize("style", SUB_IMAGES)
def test_an_embedding_is_the_towers_vector_of_the_sub_image(style: str) -> None:
    counted = Counted()
    photo, prediction = photo_and_prediction(3)
    (found,) = embed([3], counted, [style], 64, everything)
    pixels = (torch.from_numpy(photo).permute(2, 0, 1) / 255 - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / (
        torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)
    )
    masks = upsampled_masks(prediction).probabilities > 0.5
    with torch.no_grad():
        vectors = counted.network(sub_images(pixels, masks, style, SIDE))
    expected = vectors / vectors.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(found[style], expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_filling_batches_from_several_photos_changes_nothing(batch: int) -> None:
    seeds, styles = [1, 2, 3, 4], ["crop", "crop+mask", "pooled"]
    alone = [embed([seed], Counted(), styles, 7, everything)[0] for seed in seeds]
    counted = Counted()
    together = embed(seeds, counted, styles, batch, everything)
    for first, second in zip(alone, together, strict=True):
        for style in styles:
            np.testing.assert_allclose(first[style], second[style], atol=1e-5)
    assert max(counted.sizes) <= batch
    assert len(counted.sizes) <= 2 * math.ceil(4 * 6 / batch)  # two styles, four photos of six queries


def test_queries_that_were_not_chosen_are_nan_and_the_others_unit() -> None:
    (found,) = embed([5], Counted(), ["mask", "pooled"], 64, lambda queries: np.arange(queries) % 2 == 0)
    (whole,) = embed([5], Counted(), ["mask", "pooled"], 64, everything)
    for style in ("mask", "pooled"):
        assert np.isnan(found[style][1::2]).all()
        np.testing.assert_allclose(np.linalg.norm(found[style][::2], axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(found[style][::2], whole[style][::2], atol=1e-5)


def test_nothing_chosen_encodes_nothing() -> None:
    counted = Counted()
    found = embed([5, 6], counted, ["crop", "pooled"], 64, lambda queries: np.zeros(queries, dtype=bool))
    assert counted.sizes == []
    assert all(np.isnan(regions[style]).all() for regions in found for style in ("crop", "pooled"))


@pytest.mark.parametrize("style", SUB_IMAGES)
def test_equal_sub_images_are_encoded_once(style: str) -> None:
    photo, prediction = photo_and_prediction(9)
    logits = prediction.mask_logits[[0, 1, 0, 5, 5, 1, 0]]
    twice = ImagePrediction(
        **{**vars(prediction), "mask_logits": logits, "query_embeddings": np.zeros((7, 3), np.float32)}
    )
    counted = Counted()
    (found,) = region_embeddings([photo], [twice], [everything(7)], [style], counted.tower(), 64)
    assert sum(counted.sizes) <= 3
    np.testing.assert_array_equal(found[style][0], found[style][2])
    np.testing.assert_array_equal(found[style][3], found[style][4])
    (before,) = region_embeddings([photo], [prediction], [everything(6)], [style], counted.tower(), 64)
    np.testing.assert_allclose(found[style], before[style][[0, 1, 0, 5, 5, 1, 0]], atol=1e-6)


def test_pooled_is_the_mean_of_the_tokens_under_the_mask() -> None:
    counted = Counted()
    photo, prediction = photo_and_prediction(11)
    (found,) = embed([11], counted, ["pooled"], 64, everything)
    tower = counted.tower()
    pixels = tower.normalised(photo)
    square = roi_align(pixels, torch.tensor([[0, 0, *pixels.shape[1:]]]), 2 * SIDE)
    with torch.no_grad():
        tokens = tower.encode_tokens(square)[0]
    expected = pool_tokens(tokens, inside_masks(prediction, everything(6)))
    np.testing.assert_allclose(found["pooled"], expected.numpy(), atol=1e-6)


def test_tokens_count_by_the_share_of_their_cell_by_hand() -> None:
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]])  # (E, h, w)
    is_inside = torch.zeros(2, 4, 4, dtype=torch.bool)
    is_inside[0, :2, :2] = True  # all of the first cell
    is_inside[0, 0, 2] = True  # a quarter of the second
    pooled = pool_tokens(tokens, is_inside)
    torch.testing.assert_close(pooled[0], torch.tensor([1.0, 0.25]) / 1.0625**0.5)
    torch.testing.assert_close(pooled[1], torch.tensor([0.5, 0.5]).sqrt())  # empty: every token alike


def test_a_photo_of_another_size_is_refused() -> None:
    photo, prediction = photo_and_prediction(2)
    with pytest.raises(ValueError, match=r"image 2: the photo is .* cache again"):
        region_embeddings([photo[:-1]], [prediction], [everything(6)], ["crop"], Counted().tower(), 4)
