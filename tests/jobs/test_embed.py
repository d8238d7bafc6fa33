import json
import re
from pathlib import Path

import numpy as np
import pytest

from cluster.storage import RunDir, file_digest
from jobs.clip import embed_names
from jobs.config import PipelineConfig
from jobs.embed import EMBEDDINGS, NEIGHBOURS, embed, outside_files
from jobs.shapes_clip import ShapesClipConfig, train_shapes_clip
from pading.config import override
from pading.shapes.classes import shapes_classes
from pading.text.embeddings import TextEmbeddings

TINY_CLIP = ShapesClipConfig(
    crop_px=32, num_crops=16, steps=1, batch=8, vision_width=8, text_width=32, embed_dim=16, whole_captions=4
)
RUN = PipelineConfig(preset="test")


def run_embed(folder: Path, **settings: str | bool) -> tuple[TextEmbeddings, dict]:
    config = override(RUN, {key.replace("__", "."): value for key, value in settings.items()})
    folder.mkdir()
    embed(config, RunDir(folder), folder)
    return TextEmbeddings.load(folder / EMBEDDINGS), json.loads((folder / NEIGHBOURS).read_text())


def test_spnets_vectors_become_the_embeddings_of_coco_stuff_with_a_sanity_report(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = real_data / "word_vectors"
    files = ",".join(str(folder / f"spnet_cocostuff182_{kind}_300.npy") for kind in ("word2vec", "fasttext"))
    names = str(folder / "names_cocostuff182.json")
    embeddings, report = run_embed(
        tmp_path / "run", data__split="coco-stuff-156-15", embed__file=files, embed__names=names
    )
    assert embeddings.matrix.shape == (171, 600)
    assert len(report["neighbours"]) == 15
    assert report["neighbours"]["cow"][0]["name"] == "sheep"
    assert (report["indistinguishable"], report["respelled"]) == ([], [])
    said = capsys.readouterr()
    assert re.search(r"\n    cow +sheep 0\.\d\d, ", said.out + said.err)
    assert "warning" not in said.out + said.err


def test_classes_found_under_another_spelling_are_said(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = real_data / "text_embeddings"
    embeddings, report = run_embed(
        tmp_path / "run",
        data__split="coco-panoptic-119-14",
        embed__file=str(folder / "zegclip_cocostuff171_clip_vitb16_multi.npy"),
        embed__names=str(folder / "names_cocostuff171.json"),
    )
    assert embeddings.names[116] == "tree-merged"
    assert ["tree-merged", "tree"] in report["respelled"]
    said = capsys.readouterr()
    assert "17 classes were found under another spelling: tree-merged as tree" in said.out + said.err


def test_names_and_vectors_that_are_one_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    split = tmp_path / "doors.json"
    classes = [
        {"name": name, "id": number, "isthing": False, "seen": number > 1}
        for number, name in enumerate(("door-stuff", "door", "cat"), start=1)
    ]
    split.write_text(json.dumps({"name": "doors", "task": "semantic", "classes": classes}))
    (tmp_path / "w.vec").write_text("door 1 0\ncat 0 1\n")
    _, report = run_embed(tmp_path / "run", data__split=str(split), embed__file=str(tmp_path / "w.vec"))
    assert report["indistinguishable"] == [["door-stuff", "door"]]
    assert report["names_alike_when_cleaned"] == [["door-stuff", "door"]]
    said = capsys.readouterr()
    assert "warning: 'door-stuff' and 'door' have the same text embedding" in said.out + said.err
    assert "warning: cleaned, 'door-stuff' and 'door' are one name" in said.out + said.err


def test_cleaned_names_are_encoded_as_spoken_and_kept_as_spelled(tmp_path: Path):
    train_shapes_clip(tmp_path / "clip", TINY_CLIP, shapes_classes())
    split = tmp_path / "planks.json"
    classes = [
        {"name": name, "id": number, "isthing": False, "seen": number > 1}
        for number, name in enumerate(("red planks-merged", "blue-waves"), start=1)
    ]
    split.write_text(json.dumps({"name": "planks", "task": "panoptic", "classes": classes}))
    model = f"local-dir:{tmp_path / 'clip'}"
    spoken, raw = (
        run_embed(tmp_path / str(clean), data__split=str(split), embed__model=model, embed__clean_names=clean)[0]
        for clean in (True, False)
    )
    assert spoken.names == raw.names == ("red planks-merged", "blue-waves")
    expected = embed_names(["red planks", "blue waves"], RUN.embed.templates, model=model)
    np.testing.assert_array_equal(spoken.matrix, expected.matrix)
    assert not np.array_equal(spoken.matrix, raw.matrix)


def test_every_file_and_list_of_names_counts_among_the_inputs(tmp_path: Path):
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.ones((1, 1), np.float32))
    (tmp_path / "names.json").write_text("[]")
    files = f"{tmp_path / 'a.npy'},{tmp_path / 'b.npy'}"
    config = override(RUN, {"embed.file": files, "embed.names": str(tmp_path / "names.json")})
    assert outside_files(config) == {
        "file:0:a.npy": file_digest(tmp_path / "a.npy"),
        "file:1:b.npy": file_digest(tmp_path / "b.npy"),
        "names:0:names.json": file_digest(tmp_path / "names.json"),
    }
    assert outside_files(RUN) == {}
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such text embedding file; check --embed\.names"):
        outside_files(override(config, {"embed.names": str(tmp_path / "none.json")}))


def test_a_run_over_photos_without_a_source_of_embeddings_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"give --embed\.file FILE"):
        run_embed(tmp_path / "run", data__split="coco-panoptic-119-14")
