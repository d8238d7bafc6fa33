import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from jobs.clip import Clip, import_open_clip, load_clip
from jobs.clip_tower import image_tower, projected_tokens, require_tokens, tokens_px
from jobs.shapes_clip import ShapesClipConfig, train_shapes_clip
from pading.shapes.classes import shapes_classes

TEXT = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 1, "layers": 1}
VISION = {"layers": 2, "width": 64, "image_size": 32, "patch_size": 8, "head_width": 32}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def clip_of(vision: dict) -> Clip:
    open_clip = import_open_clip()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=TEXT).eval()
    size = vision["image_size"]
    return Clip(
        name="made here",
        model=model,
        tokenize=lambda texts: torch.zeros(len(texts), 8, dtype=torch.int64),
        image_px=size,
        mean=(0.48, 0.46, 0.41),
        deviation=(0.27, 0.26, 0.28),
    )


@pytest.fixture(scope="module")
def transformer() -> Clip:
    return clip_of(VISION)


@pytest.fixture(scope="module")
def resnet() -> Clip:
    return clip_of({"layers": [1, 1, 1, 1], "width": 8, "image_size": 64})


@pytest.mark.parametrize("which", ["transformer", "resnet"])
def test_the_tower_takes_normalised_pixels_and_gives_clips_own_vectors(
    which: str, request: pytest.FixtureRequest
) -> None:
    clip = request.getfixturevalue(which)
    tower = image_tower(clip)
    photo = torch.randint(0, 256, (clip.image_px, clip.image_px, 3), dtype=torch.uint8)
    with torch.inference_mode():
        found = tower.encode(tower.normalised(photo.numpy())[None])
        mean, deviation = torch.tensor(clip.mean).view(3, 1, 1), torch.tensor(clip.deviation).view(3, 1, 1)
        expected = clip.model.encode_image(((photo.permute(2, 0, 1) / 255 - mean) / deviation)[None], normalize=True)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(1))
    assert (tower.side_px, tower.width, tower.mean) == (clip.image_px, 16, clip.mean)


def test_the_mean_token_of_a_transformer_that_averages_is_its_vector() -> None:
    clip = clip_of({**VISION, "pool_type": "avg"})
    pixels = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        tokens = projected_tokens(clip, pixels)
        torch.testing.assert_close(tokens.mean(dim=(2, 3)), clip.model.encode_image(pixels))
    assert tokens.shape == (3, 16, 4, 4)


def test_tokens_lie_where_their_patches_lie(transformer: Clip) -> None:
    """With the attention taken out, only the token of a changed patch changes."""
    clip = clip_of(VISION)
    for block in clip.model.visual.transformer.resblocks:
        torch.nn.init.zeros_(block.attn.out_proj.weight)
    pixels = torch.zeros(2, 3, 32, 32)
    pixels[1, :, 8:16, 24:32] = 1
    with torch.inference_mode():
        before, after = projected_tokens(clip, pixels)
    changed = (before - after).abs().amax(dim=0) > 1e-6
    assert changed.nonzero().tolist() == [[1, 3]]


def test_a_token_of_a_resnet_is_its_vector_if_every_cell_is_alike(resnet: Clip) -> None:
    """Attention over equal values gives that value; positions, which tokens leave out, are set to zero."""
    clip = clip_of({"layers": [1, 1, 1, 1], "width": 8, "image_size": 32})
    torch.nn.init.zeros_(clip.model.visual.attnpool.positional_embedding)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        tokens = projected_tokens(clip, pixels)
        torch.testing.assert_close(tokens[:, :, 0, 0], clip.model.encode_image(pixels))
    assert tokens.shape == (2, 16, 1, 1)


def test_a_photo_is_taken_apart_into_three_cells_a_side_or_more(transformer: Clip, resnet: Clip) -> None:
    assert tokens_px(transformer) == 32
    assert tokens_px(resnet) == 128
    for clip in (transformer, resnet):
        with torch.inference_mode():
            tokens = image_tower(clip).encode_tokens(torch.zeros(1, 3, tokens_px(clip), tokens_px(clip)))
        assert tokens.shape == (1, 16, 4, 4)


def test_another_kind_of_tower_is_refused_by_name(transformer: Clip) -> None:
    model = torch.nn.Module()
    model.visual = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"`pooled` needs the patch tokens .* has a Linear .* leave `pooled` out"):
        require_tokens(dataclasses.replace(transformer, model=model))


def test_a_tower_that_pools_by_attention_of_its_own_is_refused() -> None:
    clip = clip_of({**VISION, "attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2})
    with pytest.raises(ValueError, match="has a VisionTransformer that pools them in its own way"):
        projected_tokens(clip, torch.zeros(1, 3, 32, 32))


def test_the_shapes_worlds_own_clip_has_tokens(tmp_path: Path) -> None:
    tiny = ShapesClipConfig(
        crop_px=32, num_crops=16, steps=1, batch=8, vision_width=8, text_width=32, embed_dim=16, whole_captions=4
    )
    train_shapes_clip(tmp_path / "clip", tiny, shapes_classes())
    tower = image_tower(load_clip(f"local-dir:{tmp_path / 'clip'}"))
    assert tower.tokens_px == 96
    with torch.inference_mode():
        assert tower.encode_tokens(torch.zeros(1, 3, 96, 96)).shape == (1, 16, 3, 3)
