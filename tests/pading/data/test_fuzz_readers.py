"""A thousand damaged inputs: readers and the check refuse each in one line, or take it as it is, pixel by pixel.

What the damage changed without breaking the file, such as a flipped bit in the entropy-coded data of a JPEG, no reader
can tell: a lenient decoder must then see the same, and every pixel must be accounted for.
"""

import io
import json
import shutil
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from pycocotools import mask as coco_mask

from pading.data.checks.verify import verify
from pading.data.coco.instances import InstanceRecord
from pading.data.coco.panoptic import PanopticRecord
from pading.data.coco.source import load, scan
from pading.data.errors import DataError, MissingFileError
from pading.shapes.layout import ShapesConfig
from pading.shapes.writer import write_shapes_world
from pading.splits.published import find_split
from tests.references.damaged_images import JPEG_DAMAGE, PNG_DAMAGE
from tests.references.damaged_json import JSON_DAMAGE

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
MAX_CPU_S = 5.0
MAX_GROWTH_MB = 500
ERRORS = (DataError, MissingFileError)
ALWAYS_REFUSED = {
    *("empty", "noise", "other_format", "other_size", "turned", "jpeg_size_bomb", "jpeg_zero_size", "png_size_bomb"),
    *("png_zero_size", "png_text_bomb", "png_other_header"),
}
NEVER_REFUSED = {
    *("append_noise", "jpeg_cmyk", "jpeg_grey", "jpeg_progressive", "jpeg_with_orientation"),
    *("png_interlaced", "png_coloured"),
}
SHAPES = ("shapes-panoptic", "shapes-semantic", "shapes-instances")


class Folder:
    """A small data set, and a way to put one damaged file into it and the sound one back."""

    def __init__(self, root, split):
        self.root, self.split = root, split
        self.annotations = {
            "panoptic": root / "annotations" / f"panoptic_{split.train}.json",
            "instance": root / "annotations" / f"instances_{split.train}.json",
        }.get(split.task)
        self.sound = {record.image_id: load(record, split, "train") for record in self.records()}

    def records(self):
        return [item for item in scan(self.root, self.split, "train") if not isinstance(item, ERRORS)]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes")
    write_shapes_world(root, ShapesConfig(num_train=4, num_val=2))
    return {name: Folder(root, find_split(name)) for name in SHAPES}


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    """A few real photos of each task that has some, crowds among them."""
    panoptic, instances = tmp_path_factory.mktemp("panoptic"), tmp_path_factory.mktemp("instances")
    few_images(real_data / "coco_mini", "panoptic_train2017", panoptic, "panoptic_train2017", slice(0, 3))
    few_images(real_data / "coco_mini", "panoptic_val2017", panoptic, "panoptic_val2017", slice(0, 1))
    few_images(real_data / "coco_instances_mini", "instances_train2017", instances, "instances_train2017", slice(0, 3))
    few_images(real_data / "coco_instances_mini", "instances_train2017", instances, "instances_val2017", slice(3, 4))
    return {
        "panoptic": Folder(panoptic, find_split("coco-panoptic-119-14")),
        "instances": Folder(instances, replace(find_split("coco-instances-65-15"), train="train2017", val="val2017")),
    }


def few_images(source, name, root, new_name, which):
    """Copy some images, those with a crowd first, and what the annotation file says of them."""
    document = json.loads((source / "annotations" / f"{name}.json").read_text())
    crowded = {
        annotation["image_id"]
        for annotation in document["annotations"]
        if any(segment["iscrowd"] for segment in annotation.get("segments_info", [annotation]))
    }
    document["images"] = sorted(document["images"], key=lambda image: image["id"] not in crowded)[which]
    chosen = {image["id"] for image in document["images"]}
    document["annotations"] = [entry for entry in document["annotations"] if entry["image_id"] in chosen]
    kind, folder, new_folder = name.split("_")[0], name.split("_")[1], new_name.split("_")[1]
    for path in (root / new_folder, root / "annotations", root / new_name):
        path.mkdir(exist_ok=True)
    for image in document["images"]:
        shutil.copy(source / folder / image["file_name"], root / new_folder)
        if kind == "panoptic":
            shutil.copy((source / name / image["file_name"]).with_suffix(".png"), root / new_name)
    (root / "annotations" / f"{new_name}.json").write_text(json.dumps(document))


def damage(folder, path, damages, num_cases, seed):
    """Damage a file in many ways, let everything read the folder each time, and count what became of it."""
    outcomes = Counter()
    sound = path.read_bytes()
    try:
        for case in range(num_cases):
            change = damages[case % len(damages)]
            path.write_bytes(change(sound, np.random.default_rng((seed, case))))
            with limits(f"{change.__name__}, seed {(seed, case)}"):
                outcomes[f"{change.__name__}: {outcome(folder)}"] += 1
    finally:
        path.write_bytes(sound)
    return outcomes


class limits:
    """Fail if a case takes too much time or memory; name the case if anything at all is wrong with it."""

    def __init__(self, case):
        self.case = case

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.too_long)
        signal.alarm(60)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
        self.before_mb, self.start = memory_mb("VmRSS"), time.process_time()

    def __exit__(self, kind, error, trace):
        signal.alarm(0)
        if error is not None:
            raise AssertionError(f"{self.case}: {kind.__name__}: {error}") from error
        assert time.process_time() - self.start < MAX_CPU_S, f"{self.case}: slow"
        assert memory_mb("VmHWM") - self.before_mb < MAX_GROWTH_MB, f"{self.case}: too much memory"

    def too_long(self, *_):
        raise AssertionError(f"{self.case}: hangs")


def memory_mb(name):
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def outcome(folder):
    """Read everything: what is refused must be in the report of the check, what is not must be as a decoder sees it."""
    refused, changed = [], False
    try:
        for item in scan(folder.root, folder.split, "train"):
            if isinstance(item, ERRORS):
                refused.append(item)
                continue
            try:
                loaded = load(item, folder.split, "train")
            except ERRORS as error:
                refused.append(error)
            else:
                account_for(item, loaded, folder)
                changed |= differs(loaded, folder.sound.get(item.image_id))
    except ERRORS as error:
        refused.append(error)
    for error in refused:
        assert len(str(error).splitlines()) == 1, str(error)
        assert str(folder.root) in error.file
        assert error.what
        assert error.remedy
        str(error).encode()
    train, val = verify(folder.root, folder.split, deep=True)
    assert {(error.file, error.what) for error in refused} <= {
        (finding.file, finding.what.removesuffix(f" (left out: {choice})"))
        for finding in train.findings
        for choice in ("unseen", "empty")
    }, [finding.line for finding in train.findings]
    assert val.num_images == len(list(scan(folder.root, folder.split, "val")))
    assert json.loads(train.to_json())["num_errors"] == len(train.errors)
    assert train.to_text().encode()
    return "refused" if refused else "changes unnoticed" if changed else "as if sound"


def differs(loaded, sound):
    return (
        sound is None
        or loaded.sample.segments != sound.sample.segments
        or not np.array_equal(loaded.sample.image, sound.sample.image)
        or not np.array_equal(loaded.sample.label_maps, sound.sample.label_maps)
    )


def account_for(record, loaded, folder):
    """Compare a loaded image with what lenient decoders make of the files."""
    sample = loaded.sample
    assert loaded.jpeg == record.image_path.read_bytes()
    np.testing.assert_array_equal(sample.image, np.asarray(lenient(record.image_path).convert("RGB")))
    height, width, _ = sample.image.shape
    assert sample.label_maps.shape[1:] == (height, width)
    expected, num_other = expected_masks(record, folder, (height, width))
    assert [segment.segment_id for segment in sample.segments] == list(expected)
    for position, (segment, mask) in enumerate(zip(sample.segments, expected.values(), strict=True)):
        found = sample.label_maps == position + 1
        assert found.any(axis=(1, 2)).sum() == 1  # whole in one layer
        np.testing.assert_array_equal(found.any(axis=0), mask)
        assert segment.area_px == mask.sum() > 0
    labelled = sum(segment.area_px for segment in sample.segments)
    assert (sample.label_maps > 0).sum() == labelled
    if num_other is not None:
        assert labelled + num_other + loaded.hidden_px == height * width


def expected_masks(record, folder, size):
    """Return the mask of each segment by its id, in the order of the samples, and the number of void pixels."""
    if isinstance(record, InstanceRecord):
        return instance_masks(record, folder, size), None
    pixels = np.asarray(lenient(record.label_path)).astype(np.int64)
    if isinstance(record, PanopticRecord):
        ids = pixels @ [1, 256, 256**2]
        return {segment.segment_id: ids == segment.segment_id for segment in record.segments}, (ids == 0).sum()
    classes = folder.split.classes
    seen = [classes.coco_ids[index] for index in classes.seen]
    masks = {coco_id: pixels == coco_id - 1 for coco_id in classes.coco_ids if coco_id in seen}
    return {coco_id: mask for coco_id, mask in masks.items() if mask.any()}, (pixels == 255).sum()


def instance_masks(record, folder, size):
    masks = {}
    for annotation in json.loads(folder.annotations.read_bytes().decode("utf-8-sig"))["annotations"]:
        wanted = annotation.get("image_id") == record.image_id
        if not wanted or annotation["category_id"] not in folder.split.classes.coco_ids:
            continue
        shape = annotation["segmentation"]
        if isinstance(shape, list):
            shape = coco_mask.merge(coco_mask.frPyObjects(shape, *size))
        elif isinstance(shape["counts"], list):
            shape = coco_mask.frPyObjects(shape, *size)
        mask = coco_mask.decode(shape).astype(bool)
        if mask.any():
            masks[annotation["id"]] = mask
    return masks


def lenient(path):
    """Open an image as a decoder that never complains would."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
        return image
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def judge(outcomes, least_refused):
    """Check that what no decoder can read was refused, and what every decoder reads was not."""
    for name, count in outcomes.items():
        kind, became = name.split(": ")
        assert (became == "refused") or kind not in ALWAYS_REFUSED, (name, count)
        assert (became != "refused") or kind not in NEVER_REFUSED, (name, count)
    refused = sum(count for name, count in outcomes.items() if name.endswith(": refused"))
    assert refused >= least_refused * outcomes.total()


@pytest.mark.parametrize("name", SHAPES)
def test_damaged_photos(shapes, name):
    folder = shapes[name]
    judge(damage(folder, folder.records()[1].image_path, JPEG_DAMAGE, 105, seed=1), 0.4)


@pytest.mark.parametrize("name", ["shapes-panoptic", "shapes-semantic"])
def test_damaged_label_images(shapes, name):
    folder = shapes[name]
    judge(damage(folder, folder.records()[1].label_path, PNG_DAMAGE, 112, seed=2), 0.6)


@pytest.mark.parametrize("name", ["shapes-panoptic", "shapes-instances"])
def test_damaged_annotation_files(shapes, name):
    folder = shapes[name]
    judge(damage(folder, folder.annotations, JSON_DAMAGE, 150, seed=3), 0.4)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["panoptic", "instances"])
def test_damaged_real_photos(real, task):
    folder = real[task]
    judge(damage(folder, folder.records()[0].image_path, JPEG_DAMAGE, 42, seed=4), 0.4)


@pytest.mark.slow
def test_damaged_real_label_images(real):
    folder = real["panoptic"]
    judge(damage(folder, folder.records()[0].label_path, PNG_DAMAGE, 56, seed=5), 0.6)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["panoptic", "instances"])
def test_damaged_real_annotation_files(real, task):
    folder = real[task]
    judge(damage(folder, folder.annotations, JSON_DAMAGE, 78, seed=6), 0.3)
