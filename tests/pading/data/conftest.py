"""A COCO panoptic folder of a few tiny images that a test may damage, its split, and samples without any folder."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pading.classes import ClassTable
from pading.data.sample import Sample, Segment
from pading.splits.split import Split

CAT, DOG, SKY = 17, 18, 187  # COCO ids; dog is unseen
HEIGHT, WIDTH = 6, 8


@pytest.fixture
def classes():
    return ClassTable(
        name="toy",
        names=("cat", "dog", "sky"),
        coco_ids=(CAT, DOG, SKY),
        is_thing=(True, True, False),
        is_seen=(True, False, True),
    )


@pytest.fixture
def split(classes):
    return Split(name="toy", task="panoptic", classes=classes)


class TinyFolder:
    """Writes COCO's layout; `edit` and `photo` / `label` let a test break one thing."""

    def __init__(self, root, labels_beside_photos=False):
        self.root = Path(root)
        self.labels_beside_photos = labels_beside_photos

    def annotations(self, split="train2017"):
        return self.root / "annotations" / f"panoptic_{split}.json"

    def photo(self, image_id, split="train2017"):
        return self.root / split / f"{image_id:012d}.jpg"

    def label(self, image_id, split="train2017"):
        folder = self.root if self.labels_beside_photos else self.root / "annotations"
        return folder / f"panoptic_{split}" / f"{image_id:012d}.png"

    def write(self, split, images):
        """`images`: image id -> (H, W) array of segment ids and {segment id: (COCO id, is crowd)}."""
        document = {"images": [], "annotations": [], "categories": []}
        for coco_id, name, is_thing in ((CAT, "cat", 1), (DOG, "dog", 1), (SKY, "sky", 0)):
            document["categories"].append({"id": coco_id, "name": name, "isthing": is_thing})
        for image_id, (ids, described) in images.items():
            photo, label = self.photo(image_id, split), self.label(image_id, split)
            for path in (photo, label, self.annotations(split)):
                path.parent.mkdir(parents=True, exist_ok=True)
            height, width = ids.shape
            pixels = np.random.default_rng(image_id).integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photo, quality=95)
            self.write_label(image_id, ids, split)
            document["images"].append({"id": image_id, "file_name": photo.name, "height": height, "width": width})
            segments = [
                {"id": key, "category_id": coco_id, "iscrowd": int(is_crowd), "area": int((ids == key).sum())}
                for key, (coco_id, is_crowd) in described.items()
            ]
            document["annotations"].append({"image_id": image_id, "file_name": label.name, "segments_info": segments})
        self.annotations(split).write_text(json.dumps(document))

    def write_label(self, image_id, ids, split="train2017"):
        colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
        Image.fromarray(colours).save(self.label(image_id, split))

    def edit(self, change, split="train2017"):
        document = json.loads(self.annotations(split).read_text())
        change(document)
        self.annotations(split).write_text(json.dumps(document))


def halves(left, right):
    ids = np.full((HEIGHT, WIDTH), left, dtype=np.int64)
    ids[:, WIDTH // 2 :] = right
    return ids


def fill(folder):
    """Train: 1 = cat | sky, 2 = void | dog (unseen), 3 = a crowd of dogs | sky. Val: 4 = cat | void."""
    train = {
        1: (halves(70_000, 300), {300: (SKY, False), 70_000: (CAT, False)}),
        2: (halves(0, 5), {5: (DOG, False)}),
        3: (halves(9, 7), {9: (DOG, True), 7: (SKY, False)}),
    }
    folder.write("train2017", train)
    folder.write("val2017", {4: (halves(6, 0), {6: (CAT, False)})})
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(TinyFolder(tmp_path / "coco"))


@pytest.fixture
def folder_with_labels_beside_photos(tmp_path):
    return fill(TinyFolder(tmp_path / "coco", labels_beside_photos=True))


@pytest.fixture
def jpeg_of():
    """(H, W, 3) array -> JPEG bytes of full colour resolution, the best quality."""

    def encode(image):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=100, subsampling=0)
        return buffer.getvalue()

    return encode


@pytest.fixture
def make_sample():
    """Label map, or several, and (class, is crowd) of each segment -> a sample with a smooth photo."""

    def make(label_maps, segments, image_id=1):
        label_maps = np.asarray(label_maps, dtype=np.uint16)
        label_maps = label_maps.reshape(-1, *label_maps.shape[-2:])
        _, height, width = label_maps.shape
        y, x = np.mgrid[:height, :width]
        image = np.stack([255 * y // height, 255 * x // width, np.full_like(x, 90)], axis=-1).astype(np.uint8)
        areas = np.bincount(label_maps.ravel(), minlength=len(segments) + 1)[1:]
        return Sample(
            image_id=image_id,
            file_name=f"{image_id:012d}.jpg",
            image=image,
            label_maps=label_maps,
            segments=tuple(
                Segment(segment_id=100 + i, class_index=class_index, is_crowd=is_crowd, area_px=int(areas[i]))
                for i, (class_index, is_crowd) in enumerate(segments)
            ),
        )

    return make
