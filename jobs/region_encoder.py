"""The image branch as a Ray Data actor: photos of the val shards and cached predictions -> region embeddings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cluster.filesystem import open_location
from jobs.clip import load_clip
from jobs.clip_tower import image_tower
from pading.data.shards.photos import Places, ShardPhotos
from pading.evaluate.predictions import ImagePrediction, read_predictions
from pading.regions.encode import Style, region_embeddings
from pading.regions.pruning import worth_encoding
from pading.segmenter.weights import load_segmenter


@dataclass(frozen=True, kw_only=True)
class RegionsConfig:
    """ZegFormer's image branch: what CLIP says of each mask's region. Off, with its rows, where no style is named.

    To turn it on: `--regions.styles crop+mask`, and where the run has no CLIP of its own `--regions.model ViT-B-16
    --regions.pretrained FILE_OR_TAG`.
    """

    styles: tuple[Style, ...] = ()
    """What is encoded of a mask: crop (its box of the photo), mask (the photo, grey outside the mask), crop+mask
    (both), pooled (the photo is encoded once, and its tokens under each mask are averaged)."""
    model: str = ""
    """An open_clip model or local-dir:FOLDER; empty: the shapes world's own."""
    pretrained: str = ""
    """An open_clip tag (needs the network) or a file of weights."""
    templates: tuple[str, ...] = ("A photo of a {} in the scene",)
    """Prompts of the image branch; after a change only the texts are encoded again."""
    negligible: float = 0.05
    """Queries that nowhere on a photo reach this share of the strongest one's score are not encoded; 0: encode all."""
    batch_size: int = 64  # sub-images that the encoder takes at once
    actors: int = 1
    cpus_per_actor: float = 0.5  # actors that take every CPU would leave none to read and write with
    gpus_per_actor: float = 1.0  # counts only where there is a GPU

    def __post_init__(self) -> None:
        if len(set(self.styles)) != len(self.styles):
            raise ValueError(f"regions.styles {', '.join(self.styles)}: name each once")
        if not 0 <= self.negligible < 1:
            raise ValueError(f"regions.negligible is {self.negligible}: a share, at least 0 and below 1")
        if self.batch_size < 1 or self.actors < 1:
            raise ValueError("regions.batch_size and regions.actors must be at least 1")


@dataclass(frozen=True, kw_only=True)
class RegionSources:
    """Where an actor finds what it needs; made once, by the driver."""

    segmenter: Path
    clip: tuple[str, str]  # model, weights
    shards: str
    photos: Places


class RegionEncoder:
    """Ray Data actor: row groups of prediction files to one row an image, a column a style."""

    def __init__(self, config: RegionsConfig, sources: RegionSources) -> None:
        torch.set_num_threads(max(1, int(config.cpus_per_actor)))
        self.config = config
        self.tower = image_tower(load_clip(*sources.clip))
        self.head = load_segmenter(sources.segmenter).class_head
        filesystem, _ = open_location(sources.shards)
        self.photos = ShardPhotos(filesystem, sources.photos)

    def __call__(self, places: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return image ids and region embeddings, in half precision, as they are kept."""
        files = zip(places["file"].tolist(), places["group"].tolist(), strict=True)
        predictions = [image for file, group in files for image in read_predictions(Path(file), [group])]
        found = region_embeddings(
            [self.photos[image.image_id] for image in predictions],
            predictions,
            [self._is_chosen(image) for image in predictions],
            self.config.styles,
            self.tower,
            self.config.batch_size,
        )
        columns = {
            style: np.stack([regions[style] for regions in found]).astype(np.float16) for style in self.config.styles
        }
        return {"image_id": np.array([image.image_id for image in predictions]), **columns}

    @torch.inference_mode()
    def _is_chosen(self, image: ImagePrediction) -> np.ndarray:
        logits = self.head(torch.from_numpy(image.query_embeddings))
        return worth_encoding(logits, torch.from_numpy(image.mask_logits), self.config.negligible).numpy()
