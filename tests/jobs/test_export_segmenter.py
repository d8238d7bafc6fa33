import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.filesystem import file_sizes
from cluster.storage import Manifest, RunDir, write_json
from jobs.config import DataConfig, PipelineConfig
from jobs.export import Export, export
from pading.classes import ClassTable
from pading.config import to_plain
from pading.segmenter.initialisation import initialise
from pading.segmenter.pretrained import load_pretrained, write_papers
from pading.segmenter.provenance import Provenance
from pading.segmenter.segmenter import IMAGE_MEAN, IMAGE_STD, Segmenter, SegmenterConfig, r50, tiny
from pading.segmenter.torchvision_on_cpu import make_torchvision_importable
from pading.segmenter.weights import save_segmenter

SIZES = {"width": 32, "queries": 3, "encoder_layers": 1, "decoder_layers": 1, "feedforward_width": 8, "heads": 2}
PUBLISHED = replace(r50(), encoder_feedforward_width=8, **SIZES)
CLASSES = ClassTable(
    name="t", names=("dog", "cow", "sky"), coco_ids=(1, 2, 3), is_thing=(True, True, False), is_seen=(True, False, True)
)
LEAKY = Provenance(source="owner/name", digest="abc", leaky=True, reason="so", trained_names=("cow", "boat"))
PAPERS = {"classes.json", "provenance.json"}


def finished_run(root: Path, config: SegmenterConfig) -> tuple[RunDir, Segmenter]:
    """A run whose segmenter is trained, as far as anyone can tell from its files."""
    segmenter = initialise(Segmenter(config, 3), torch.Generator().manual_seed(0)).eval()
    run_dir = RunDir(root / "run")
    save_segmenter(run_dir.artefact("segmenter"), segmenter)
    write_papers(run_dir.artefact("segmenter"), CLASSES, LEAKY)
    Manifest(stage="pretrain", schema_version=1, settings={}, inputs={}).write(run_dir.artefact("segmenter"))
    config = PipelineConfig(preset="test", segmenter=config, data=DataConfig(input_px=128))
    write_json(run_dir.root / "config.json", to_plain(config))
    return run_dir, segmenter


def assert_same_outputs(one: Segmenter, other: Segmenter) -> None:
    random = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (1, 3, 64, 96), generator=random, dtype=torch.uint8)
    with torch.no_grad():
        mine, theirs = one(images)[-1], other(images)[-1]
    assert torch.equal(mine.class_logits, theirs.class_logits)
    assert torch.equal(mine.mask_logits, theirs.mask_logits)


@pytest.mark.parametrize("protocol", ["", "fsspec+file://"])
def test_our_form_comes_back_with_outputs_classes_and_mark(
    protocol: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir, segmenter = finished_run(tmp_path, tiny())
    output = f"{protocol}{tmp_path}/out"
    export(Export(run_dir=run_dir.root, output=output, what="segmenter"))
    assert file_sizes(output).keys() == {"config.json", "weights.safetensors", *PAPERS}
    found = load_pretrained(tmp_path / "out")
    assert_same_outputs(segmenter, found.segmenter)
    assert (found.names, found.trained_rows, found.origin) == (CLASSES.names, (0, 2), LEAKY)
    assert found.trained_names == ("dog", "sky", "cow", "boat")
    said = capsys.readouterr().out
    assert (
        f"segmenter of 3 classes (classes.json, config.json, provenance.json, weights.safetensors) -> {output}" in said
    )
    assert "started from owner/name (abc); LEAKY: so" in said


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Segmenter]:
    """An export for transformers, and the segmenter in it."""
    root = tmp_path_factory.mktemp("transformers")
    run_dir, segmenter = finished_run(root, PUBLISHED)
    export(Export(run_dir=run_dir.root, output=str(root / "out"), what="transformers"))
    return root / "out", segmenter


def test_the_form_of_transformers_comes_back_with_outputs_classes_and_mark(published: tuple[Path, Segmenter]) -> None:
    folder, segmenter = published
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json", *PAPERS}
    described = json.loads((folder / "config.json").read_text())
    assert described["id2label"] == {"0": "dog", "1": "cow", "2": "sky"}
    assert described["label2id"] == {"dog": 0, "cow": 1, "sky": 2}
    found = load_pretrained(folder)
    assert_same_outputs(segmenter, found.segmenter)
    assert (found.names, found.trained_rows, found.origin) == (CLASSES.names, (0, 2), LEAKY)


def test_the_image_processor_of_transformers_prepares_images_as_our_network_sees_them(
    published: tuple[Path, Segmenter],
) -> None:
    make_torchvision_importable()
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(published[0])
    photo = np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)  # as large as input_px
    pixels = processor(photo, return_tensors="pt")["pixel_values"][0]
    ours = (torch.from_numpy(photo).float() - torch.tensor(IMAGE_MEAN)) / torch.tensor(IMAGE_STD)
    torch.testing.assert_close(pixels, ours.permute(2, 0, 1), rtol=1e-5, atol=1e-5)


def test_an_architecture_that_transformers_lacks_leaves_nothing_behind(tmp_path: Path) -> None:
    run_dir, _ = finished_run(tmp_path, tiny())
    with pytest.raises(ValueError, match="transformers has no Mask2Former of"):
        export(Export(run_dir=run_dir.root, output=str(tmp_path / "out"), what="transformers"))
    assert not (tmp_path / "out").exists()


def test_another_segmenter_is_not_overwritten(tmp_path: Path) -> None:
    run_dir, _ = finished_run(tmp_path, tiny())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text("mine")
    with pytest.raises(
        ValueError, match=r"already holds config\.json; give an empty --output or remove that segmenter"
    ):
        export(Export(run_dir=run_dir.root, output=str(tmp_path / "out"), what="segmenter"))
    assert (tmp_path / "out" / "config.json").read_text() == "mine"
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_run_without_a_finished_segmenter_is_refused(tmp_path: Path) -> None:
    run_dir, _ = finished_run(tmp_path, tiny())
    (run_dir.artefact("segmenter") / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="no finished segmenter; run the stage 'pretrain' first"):
        export(Export(run_dir=run_dir.root, output=str(tmp_path / "out"), what="segmenter"))


def test_a_segmenter_without_its_mark_is_not_exported(tmp_path: Path) -> None:
    run_dir, _ = finished_run(tmp_path, tiny())
    (run_dir.artefact("segmenter") / "provenance.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"provenance\.json: no such file, so nobody knows what was leaked"):
        export(Export(run_dir=run_dir.root, output=str(tmp_path / "out"), what="segmenter"))
