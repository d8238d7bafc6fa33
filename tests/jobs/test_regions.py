"""The stage `regions` on a finished toy run, and what it says where it cannot work."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.storage import Manifest, RunDir
from jobs.__main__ import main
from jobs.cache import prediction_files
from jobs.clip import load_clip
from jobs.clip_tower import image_tower
from jobs.config import PipelineConfig
from jobs.presets import PRESETS, smoke
from jobs.region_encoder import RegionsConfig
from jobs.regions import clip_source, logit_scale, outside_files, region_inputs, region_styles, region_text
from pading.config import override
from pading.data.errors import DataError, MissingFileError
from pading.data.shards.rows import decode_row, read_rows
from pading.evaluate.predictions import ImagePrediction, read_predictions
from pading.regions.encode import region_embeddings
from pading.regions.files import with_regions
from pading.regions.pruning import worth_encoding
from pading.segmenter.weights import load_segmenter

PROMPTS = ["--regions.templates", "{}", "one more {}"]


@pytest.fixture
def copied_run(smoke_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(smoke_run, tmp_path / "copy", ignore=shutil.ignore_patterns("work"))


def redo(run: Path, *flags: str) -> int:
    return main(["regions", "smoke", "--run-dir", str(run), *flags])


@torch.no_grad()
def chosen(head: torch.nn.Module, image: ImagePrediction) -> np.ndarray:
    logits = head(torch.from_numpy(image.query_embeddings))
    return worth_encoding(logits, torch.from_numpy(image.mask_logits), smoke().regions.negligible).numpy()


def test_every_query_of_every_image_has_an_embedding_or_was_negligible(smoke_run: Path) -> None:
    run = RunDir(smoke_run)
    head = load_segmenter(smoke_run / "segmenter").class_head
    images = (image for file in prediction_files(run) for image in read_predictions(file))
    found = list(with_regions(images, smoke_run / "regions", region_styles(run)))
    assert len(found) == smoke().shapes.num_val
    assert region_styles(run) == smoke().regions.styles == ("crop+mask", "pooled")
    width = region_text(run).matrix.shape[1]
    for image in found:
        is_chosen = chosen(head, image)
        for style in region_styles(run):
            lengths = np.linalg.norm(image.regions[style], axis=1)
            assert image.regions[style].shape == (len(is_chosen), width)
            np.testing.assert_array_equal(np.isnan(lengths), ~is_chosen)
            np.testing.assert_allclose(lengths[is_chosen], 1, atol=1e-5)


def test_what_the_actors_wrote_is_what_the_core_computes(smoke_run: Path) -> None:
    run = RunDir(smoke_run)
    rows = [row for file in sorted((smoke_run / "shards" / "val").glob("*.parquet")) for row in read_rows(file)]
    photos = {row["image_id"]: decode_row(row).image for row in rows}
    images = [image for file in prediction_files(run) for image in read_predictions(file)][:5]
    head, styles = load_segmenter(smoke_run / "segmenter").class_head, region_styles(run)
    tower = image_tower(load_clip(f"local-dir:{smoke_run / 'text' / 'clip'}"))
    again = region_embeddings(
        [photos[image.image_id] for image in images],
        images,
        [chosen(head, image) for image in images],
        styles,
        tower,
        7,
    )
    for cached, fresh in zip(with_regions(iter(images), smoke_run / "regions", styles), again, strict=True):
        for style in styles:
            np.testing.assert_allclose(cached.regions[style], fresh[style], atol=1e-3)


def test_the_texts_have_the_branchs_own_prompts_and_the_clips_scale(smoke_run: Path) -> None:
    run = RunDir(smoke_run)
    assert region_text(run).templates == smoke().regions.templates
    clip = load_clip(f"local-dir:{smoke_run / 'text' / 'clip'}")
    assert logit_scale(run) == pytest.approx(float(clip.model.logit_scale.detach().exp()))


def test_other_prompts_make_the_texts_again_and_leave_the_images(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied_run / "regions"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert redo(copied_run, *PROMPTS) == 1  # an artefact with other settings is never overwritten unasked
    assert "templates" in capsys.readouterr().err
    assert redo(copied_run, *PROMPTS, "--force") == 0
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed - {"clip.json"} == {"text.npz", "manifest.json"}  # clip.json names the folder of the run
    assert "other prompts" in capsys.readouterr().out
    assert region_text(RunDir(copied_run)).templates == ("{}", "one more {}")
    assert redo(copied_run, *PROMPTS) == 0
    assert "up to date" in capsys.readouterr().out


def test_damaged_embeddings_are_not_taken_over(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copied_run / "regions" / "pooled.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    assert redo(copied_run, *PROMPTS, "--force") == 0
    assert "other prompts" not in capsys.readouterr().out
    assert file.read_bytes() == whole


def test_the_stage_is_only_in_runs_that_name_a_style(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {name for name, preset in PRESETS.items() if preset().regions.styles} == {"smoke", "shapes"}
    without = ["regions", "smoke", "--run-dir", str(tmp_path), "--regions.styles"]
    assert main(without) == 1
    assert "row 'zegformer-img' reads region embeddings 'crop+mask', the run has none" in capsys.readouterr().err
    assert main([*without, "--fit.methods", "pading"]) == 1
    assert "--regions.styles crop+mask turns it on" in capsys.readouterr().err


def test_without_a_clip_one_line_says_how_to_give_one(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = copied_run / "text"
    shutil.rmtree(text / "clip")
    manifest = json.loads((text / "manifest.json").read_text())  # as where the vectors came from a file
    manifest["files"] = {name: digest for name, digest in manifest["files"].items() if not name.startswith("clip/")}
    (text / "manifest.json").write_text(json.dumps(manifest))
    assert redo(copied_run, "--force") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--regions.model ViT-B-16 --regions.pretrained FILE_OR_TAG" in said


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--regions.model", "ViT-B-16"], "has no weights ''"),
        (["--regions.model", "ViT-B-16", "--regions.pretrained", "nowhere.pt"], "no weights 'nowhere.pt'"),
        (["--regions.model", "ViT-Z"], "no model 'ViT-Z'"),
        (["--regions.model", "local-dir:nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_clip_that_cannot_be_had_is_one_line_with_the_remedy(
    copied_run: Path, capsys: pytest.CaptureFixture[str], flags: list[str], what: str
) -> None:
    assert redo(copied_run, "--force", *flags) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert what in said
    assert "--regions.model" in said


def test_where_a_clip_comes_from_decides_what_the_stage_reads(tmp_path: Path) -> None:
    own, given = smoke(), override(smoke(), {"regions.model": "ViT-B-16", "regions.pretrained": "w.pt"})
    assert region_inputs(own) == ("shards", "segmenter", "cache", "text")
    assert region_inputs(given) == ("shards", "segmenter", "cache")
    assert clip_source(given, RunDir(tmp_path)) == ("ViT-B-16", "w.pt")


def test_weights_that_were_given_as_files_are_part_of_the_identity(tmp_path: Path) -> None:
    weights, folder = tmp_path / "w.pt", tmp_path / "clip"
    weights.write_bytes(b"one")
    folder.mkdir()
    (folder / "open_clip_config.json").write_text("{}")
    config = override(
        PipelineConfig(preset="test"),
        {"regions.model": f"local-dir:{folder}", "regions.pretrained": str(weights)},
    )
    before = outside_files(config)
    assert before.keys() == {"pretrained:w.pt", "model:open_clip_config.json"}
    weights.write_bytes(b"two")
    assert outside_files(config)["pretrained:w.pt"] != before["pretrained:w.pt"]
    assert clip_source(config, RunDir(tmp_path)) == (f"local-dir:{folder}", str(weights))


def test_a_run_without_the_stage_has_no_styles_and_says_which_stage_to_run(tmp_path: Path) -> None:
    assert region_styles(RunDir(tmp_path)) == ()
    with pytest.raises(MissingFileError, match="run the stage 'regions' first"):
        logit_scale(RunDir(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", '{"styles": ["crop"]}', '{"logit_scale": 0, "styles": []}', "null"])
def test_a_damaged_description_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions" / "clip.json").write_text(content)
    with pytest.raises(DataError, match=r"clip\.json: does not describe the image branch"):
        logit_scale(RunDir(tmp_path))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"styles": ("crop", "crop")}, "name each once"),
        ({"negligible": 1.0}, "below 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"actors": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(change: dict, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        RegionsConfig(**change)


def test_the_manifest_counts_images_and_files(smoke_run: Path) -> None:
    manifest = Manifest.read(smoke_run / "regions")
    assert manifest is not None
    assert manifest.counts["images"] == smoke().shapes.num_val
    assert manifest.counts["files"].keys() == {"crop+mask.parquet", "pooled.parquet"}
    described = json.loads((smoke_run / "regions" / "clip.json").read_text())
    assert described.keys() == {"model", "logit_scale", "image_px", "styles"}
