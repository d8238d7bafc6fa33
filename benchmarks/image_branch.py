"""ZegFormer's image branch: masks classified a second, beside every query of every photo encoded one photo at a time.

Ours is what the stage `regions` does: queries that cannot matter are left out, equal sub-images are encoded once, and
those of several photos fill a batch. The peer cuts each mask by itself and encodes all of a photo's together. Both have
the same encoder. The maps that follow are compared: ZegFormer's fusion with all embeddings and with ours, pixel by
pixel. A second table sets reading the cache and scoring anew beside the pass of the encoder that it replaces.

Without --run-dir the photos are made up (`_regions_world`) and the encoder has random weights; with the folder of a
finished run, its predictions, rows and photos count, and for the tower `own` its CLIP. Seconds are the processor's.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks._regions_world import OBJECTNESS, World, made_up, world_of_run
from jobs.clip import LOCAL_FOLDER, Clip, import_open_clip, load_clip
from jobs.clip_tower import image_tower
from jobs.embed import CLIP_FOLDER
from pading.evaluate.inference import InferenceConfig, panoptic_map, semantic_map, upsampled_masks
from pading.randomness import generator_for
from pading.regions.encode import ImageTower, region_embeddings
from pading.regions.files import region_file, with_regions, write_regions
from pading.regions.pruning import worth_encoding
from pading.regions.subimages import roi_align
from pading.zeroshot.zegformer import ZegformerConfig, fuse, region_probabilities

STYLE, BATCH, GROUP = "crop+mask", 64, 16
TOWERS = {  # of random weights
    "small": {"layers": 6, "width": 192, "head_width": 64, "patch_size": 16, "image_size": 112},
    "ViT-B-32": {"layers": 12, "width": 768, "head_width": 64, "patch_size": 32, "image_size": 224},
}
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's
TEXT_WIDTH = 512
TEXT = {"context_length": 8, "vocab_size": 64, "width": 64, "heads": 1, "layers": 1}  # never asked
INFERENCE = InferenceConfig(seen_penalty=ZegformerConfig().seen_penalty)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks image_branch")
    parser.add_argument("--run-dir", type=Path, help="a finished run; without it, made-up predictions")
    parser.add_argument("--tower", choices=[*TOWERS, "own"], help="own: the CLIP of the run")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--negligible", type=float, default=0.05, help="as --regions.negligible")
    parser.add_argument("--objectness", type=float, nargs=2, default=OBJECTNESS, help="of made-up queries")
    arguments = parser.parse_args(sys.argv[2:])
    torch.set_num_threads(arguments.threads)
    name = arguments.tower or ("own" if arguments.run_dir else "ViT-B-32")
    clip = own_clip(arguments.run_dir) if name == "own" else random_clip(name)
    tower, scale = image_tower(clip), float(clip.model.logit_scale.detach().exp())
    if arguments.run_dir:
        world = world_of_run(arguments.run_dir, arguments.images)
    else:
        world = made_up(arguments.images, tuple(arguments.objectness))
    text = world.text if name == "own" else random_text(len(world.classes.names))
    masks = (torch.from_numpy(prediction.mask_logits) for prediction in world.predictions)
    is_chosen = [
        worth_encoding(logits, of_image, arguments.negligible).numpy()
        for logits, of_image in zip(world.head_logits, masks, strict=True)
    ]
    num_masks = sum(map(len, is_chosen))
    print(
        f"tower {name}, {len(world.photos)} images, {num_masks} masks, {sum(map(sum, is_chosen)) / num_masks:.0%} kept"
    )

    plain(world, tower, slice(0, 1))  # warms up
    peer_s, everything = timed(lambda: plain(world, tower, slice(None)))
    ours_s, ours = timed(lambda: pruned_and_batched(world, tower, is_chosen))
    print(f"{'image branch':32}{'masks/s':>10}{'times':>8}")
    print(f"{'every query, photo by photo':32}{num_masks / peer_s:10.1f}{1:8.1f}")
    print(f"{'pruned, batched over photos':32}{num_masks / ours_s:10.1f}{peer_s / ours_s:8.1f}")
    same = same_pixels(world, everything, ours, text, scale)
    for row, (semantic, panoptic) in same.items():
        print(f"same pixels, {row:19}{semantic:10.3%} semantic {panoptic:10.3%} panoptic")

    rescore_s = rescoring(world, ours, text, scale)
    print(f"{'a further setting':32}{'ms/image':>10}{'times':>8}")
    print(f"{'pass of the encoder':32}{1000 * ours_s / len(ours):10.1f}{1:8.1f}")
    print(f"{'from the cache':32}{1000 * rescore_s / len(ours):10.2f}{ours_s / rescore_s:8.1f}")
    result = {
        "benchmark": "image_branch",
        "ratio": peer_s / ours_s,
        "ours": num_masks / ours_s,
        "peer": num_masks / peer_s,
        "same_pixels": min(min(shares) for shares in same.values()),
        "rescoring_ratio": ours_s / rescore_s,
        "tower": name,
    }
    print(json.dumps(result))


def plain(world: World, tower: ImageTower, which: slice) -> list[np.ndarray]:
    """Return the embeddings of all queries: mask by mask cut, photo by photo encoded."""
    found = []
    for photo, prediction in zip(world.photos[which], world.predictions[which], strict=True):
        pixels, masks = tower.normalised(photo), upsampled_masks(prediction).is_positive
        pieces = []
        for mask in masks:
            rows, columns = (torch.nonzero(mask.any(dim=axis)).flatten() for axis in (1, 0))
            box = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if len(rows) else (0, 0, *mask.shape)
            pieces.append(roi_align(pixels, torch.tensor([[int(edge) for edge in box]]), tower.side_px, mask[None]))
        with torch.inference_mode():
            found.append(tower.encode(torch.cat(pieces)).numpy())
    return found


def pruned_and_batched(world: World, tower: ImageTower, is_chosen: list[np.ndarray]) -> list[np.ndarray]:
    """Return the embeddings as the stage `regions` makes them, NaN where a query was left out."""
    found = []
    for start in range(0, len(world.photos), GROUP):
        part = slice(start, start + GROUP)
        given = world.photos[part], world.predictions[part], is_chosen[part]
        found += [regions[STYLE] for regions in region_embeddings(*given, [STYLE], tower, BATCH)]
    return found


def same_pixels(
    world: World, everything: list[np.ndarray], ours: list[np.ndarray], text: Tensor, scale: float
) -> dict[str, tuple[float, float]]:
    """Return, for each row, the shares of pixels that the semantic and the panoptic maps have in common."""
    counts = {row: np.zeros(3) for row in world.row_logits}
    for index, prediction in enumerate(world.predictions):
        masks = upsampled_masks(prediction)
        for row, logits in world.row_logits.items():
            maps = []
            for embeddings in (everything[index], ours[index]):
                probabilities = fused(logits[index], embeddings, world, text, scale)
                panoptic = panoptic_map(probabilities, masks, world.classes, INFERENCE)
                semantic = semantic_map(probabilities, masks, world.classes, INFERENCE)
                maps.append((semantic, np.append(-1, panoptic.classes)[panoptic.label_map]))
            (first, second), size = zip(*maps, strict=True), prediction.height * prediction.width
            counts[row] += [(first[0] == first[1]).sum(), (second[0] == second[1]).sum(), size]
    return {row: (semantic / size, panoptic / size) for row, (semantic, panoptic, size) in counts.items()}


def fused(
    logits: Float[Tensor, "Q K+1"], embeddings: Float[np.ndarray, "Q E"], world: World, text: Tensor, scale: float
) -> Float[Tensor, "Q K+1"]:
    """Return ZegFormer's fused probabilities, with its published constants."""
    config = ZegformerConfig()
    of_regions = region_probabilities(torch.from_numpy(embeddings), text, scale, logits, config.objectness)
    return fuse(logits.softmax(dim=1), of_regions, torch.tensor(world.classes.is_seen), config)


def rescoring(world: World, ours: list[np.ndarray], text: Tensor, scale: float) -> float:
    """Return the seconds of reading all embeddings from their file and fusing them with a row anew."""
    row = next(iter(world.row_logits.values()))
    with tempfile.TemporaryDirectory() as folder:
        ids = [prediction.image_id for prediction in world.predictions]
        write_regions(region_file(Path(folder), STYLE), zip(ids, ours, strict=True))

        def again() -> None:
            images = with_regions(iter(world.predictions), Path(folder), [STYLE])
            for image, logits in zip(images, row, strict=True):
                fused(logits, image.regions[STYLE], world, text, scale)

        return min(timed(again)[0] for _ in range(3))


def own_clip(root: Path) -> Clip:
    return load_clip(f"{LOCAL_FOLDER}{root.absolute() / 'text' / CLIP_FOLDER}")


def random_clip(name: str) -> Clip:
    """Return a CLIP of random weights; its towers cost what trained ones do."""
    vision = TOWERS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = import_open_clip().CLIP(embed_dim=TEXT_WIDTH, vision_cfg=vision, text_cfg=TEXT).eval()
    return Clip(name=name, model=model, tokenize=list, image_px=vision["image_size"], mean=MEAN, deviation=DEVIATION)


def random_text(num_classes: int) -> Float[Tensor, "K E"]:
    vectors = torch.randn(num_classes, TEXT_WIDTH, generator=generator_for(0, "texts"))
    return vectors / vectors.norm(dim=1, keepdim=True)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


if __name__ == "__main__":
    main()
