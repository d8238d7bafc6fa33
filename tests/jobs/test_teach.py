"""A model is taught and forgets; the run is made by hand, small and without Ray, from the same files as a real one."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.storage import Manifest, RunDir, write_json
from jobs.__main__ import main
from jobs.clip import embed_names
from jobs.fit import INDEX
from jobs.model import open_model
from jobs.presets import smoke
from jobs.shapes_clip import SHAPES_TEMPLATES, ShapesClipConfig, train_shapes_clip
from jobs.teach_report import quality_lines
from pading.classes import ClassTable
from pading.config import override, to_plain
from pading.data.sample import Sample
from pading.evaluate.extract import predict_samples
from pading.evaluate.predictions import read_predictions, write_predictions
from pading.randomness import generator_for
from pading.segmenter.segmenter import Segmenter
from pading.segmenter.weights import load_segmenter, save_segmenter
from pading.shapes.classes import shapes_classes
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene
from pading.text.embeddings import TextEmbeddings
from pading.zeroshot.classifier import LinearClassifier, load_classifier, save_classifier
from pading.zeroshot.features import Features, write_features
from pading.zeroshot.generator_files import load_generator, save_generator
from pading.zeroshot.methods import finish, fit_method
from pading.zeroshot.vocabulary import carry_head, remove_class

CLIP = ShapesClipConfig(
    crop_px=32, num_crops=64, steps=2, batch=8, vision_width=8, text_width=32, embed_dim=16, whole_captions=4
)
TABLE = shapes_classes()
CONFIG = override(
    smoke(), {"method.generator.steps": 3, "method.classifier.steps": 30, "fit.methods": ("supervised", "pading")}
)


@pytest.fixture(scope="module", autouse=True)
def _threads_as_before() -> Iterator[None]:
    """Commands that fit keep to one thread from then on."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose stages up to `fit` are finished."""
    root = tmp_path_factory.mktemp("taught") / "run"
    run_dir = RunDir(root)
    for name in ("shards", "segmenter", "text", "cache/features", "cache/predictions", "classifiers"):
        (root / name).mkdir(parents=True)
    write_json(root / "config.json", to_plain(CONFIG))
    (root / "shards" / "classes.json").write_text(TABLE.to_json())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        segmenter = Segmenter(CONFIG.segmenter, TABLE.num_classes).eval()
    save_segmenter(root / "segmenter", segmenter)
    train_shapes_clip(root / "text" / "clip", CLIP, shapes_classes())
    text = embed_names(TABLE.names, SHAPES_TEMPLATES, model=f"local-dir:{root / 'text' / 'clip'}")
    text.save(root / "text" / "embeddings.npz")
    width = CONFIG.segmenter.width
    labels = torch.tensor([*TABLE.seen, TABLE.no_object]).repeat(6)
    centres = torch.randn(TABLE.num_classes + 1, width, generator=generator_for(0, "centres"))
    embeddings = centres[labels] + 0.3 * torch.randn(len(labels), width, generator=generator_for(0, "rows"))
    features = Features(embeddings, labels, torch.arange(len(labels)))
    write_features(root / "cache" / "features" / "part-00000.parquet", features)
    world = ShapesConfig(num_val=4)
    scenes = [render_scene(world, "val", index) for index in range(4)]
    samples = [
        Sample(
            image_id=index,
            file_name=f"{index}.jpg",
            image=scene.image,
            label_maps=scene.label_map[None].astype(np.uint16),
            segments=scene.segments,
        )
        for index, scene in enumerate(scenes)
    ]
    predictions = predict_samples(segmenter, samples, CONFIG.data.input_px)
    write_predictions(root / "cache" / "predictions" / "part-00000.parquet", iter(predictions))
    head = LinearClassifier(segmenter.class_head.weight, segmenter.class_head.bias)
    rows = []
    for method in CONFIG.fit.methods:
        matrix = torch.from_numpy(text.matrix)
        fitted = finish(fit_method(method, CONFIG.method, features, matrix, TABLE, head, 0))
        save_classifier(root / "classifiers" / method, fitted.classifier)
        if fitted.generator is not None:
            save_generator(root / "classifiers" / method, fitted.generator)
        rows.append({"method": method, "profile": "best", "seed": 0, "folder": method})
    write_json(root / "classifiers" / INDEX, {"rows": rows, "settings": {"best": to_plain(CONFIG.method)}})
    for stage, output in (("cache", "cache"), ("fit", "classifiers")):
        Manifest(stage=stage, schema_version=1, settings={}, inputs={}).write(run_dir.artefact(output))
    return root


@pytest.fixture(scope="module")
def taught(run: Path) -> Path:
    out = run.parent / "hexagon"
    assert main(["teach", "striped hexagon", "--model", str(run), "--out", str(out)]) == 0
    return out


def test_a_taught_model_has_one_more_unseen_class_and_all_that_goes_with_it(run: Path, taught: Path):
    model = open_model(taught, "pading", "", 0)
    assert model.classes.names == (*TABLE.names, "striped hexagon")
    assert (model.classes.coco_ids[-1], model.classes.is_thing[-1], model.classes.is_seen[-1]) == (110, True, False)
    assert load_classifier(model.fitted).weight.shape[0] == 35
    old = TextEmbeddings.load(run / "text" / "embeddings.npz")
    new = model.embeddings()
    np.testing.assert_array_equal(new.matrix[:-1], old.matrix)
    (expected,) = embed_names(
        ["striped hexagon"], CONFIG.embed.templates, model=f"local-dir:{run / 'text' / 'clip'}"
    ).matrix
    np.testing.assert_array_equal(new.matrix[-1], expected)
    assert model.cached_classes == TABLE
    again, first = (
        load_generator(model.fitted).state_dict(),
        load_generator(run / "classifiers" / "pading").state_dict(),
    )
    assert all(torch.equal(again[name], first[name]) for name in first)


def test_teaching_then_forgetting_gives_the_table_text_and_classifier_of_the_run(
    run: Path, taught: Path, tmp_path: Path
):
    assert main(["teach", "--forget", "striped hexagon", "--model", str(taught), "--out", str(tmp_path / "m")]) == 0
    model = open_model(tmp_path / "m", "pading", "", 0)
    assert model.classes == TABLE
    np.testing.assert_array_equal(model.embeddings().matrix, TextEmbeddings.load(run / "text/embeddings.npz").matrix)
    again, first = load_classifier(model.fitted), load_classifier(run / "classifiers" / "pading")
    assert torch.equal(again.weight, first.weight)
    assert torch.equal(again.bias, first.bias)


def test_a_taught_model_stands_alone_for_predict(taught: Path, tmp_path: Path):
    shutil.copytree(taught, tmp_path / "elsewhere")
    assert main(["draw", "striped hexagon", "plain disc", "--out", str(tmp_path / "photos"), "--count", "2"]) == 0
    photos = sorted((tmp_path / "photos").glob("*.png"))
    assert [path.name for path in photos] == ["drawing-000.png", "drawing-001.png"]
    command = ["predict", *map(str, photos), "--model", str(tmp_path / "elsewhere"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    categories = json.loads((tmp_path / "out" / "panoptic.json").read_text())["categories"]
    assert categories[-1] == {"id": 110, "name": "striped hexagon", "isthing": 1}
    assert sorted(path.name for path in (tmp_path / "out").glob("*_overlay.png")) == [
        "drawing-000_overlay.png",
        "drawing-001_overlay.png",
    ]


def test_teaching_is_repeatable_on_what_it_wrote_and_takes_kind_and_id(taught: Path, tmp_path: Path):
    command = ["teach", "red hexagon", "--stuff", "--id", "500", "--model", str(taught), "--out", str(tmp_path / "m")]
    assert main([*command, "--no-report"]) == 0
    classes = open_model(tmp_path / "m", "pading", "", 0).classes
    assert classes.names[-2:] == ("striped hexagon", "red hexagon")
    assert (classes.coco_ids[-1], classes.is_thing[-1]) == (500, False)


def test_a_class_that_comes_back_by_name_gets_its_old_id(run: Path, tmp_path: Path):
    name = TABLE.names[TABLE.unseen[0]]
    assert main(["teach", "--forget", name, "--model", str(run), "--out", str(tmp_path / "m"), "--no-report"]) == 0
    assert name not in open_model(tmp_path / "m", "pading", "", 0).classes.names
    assert main(["teach", name, "--model", str(tmp_path / "m"), "--out", str(tmp_path / "n"), "--no-report"]) == 0
    classes = open_model(tmp_path / "n", "pading", "", 0).classes
    assert (classes.names[-1], classes.coco_ids[-1]) == (name, TABLE.coco_ids[TABLE.unseen[0]])


def test_the_report_scores_what_both_models_know(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["teach", "dotted heart", "--model", str(run), "--out", str(tmp_path / "m")]) == 0
    said = capsys.readouterr().out
    for part in (
        "taught 'dotted heart' (thing, id 110) in",
        "34 classes",
        "nearest in text: ",
        "PQ of 33 classes, 4 val",
    ):
        assert part in said
    assert "dotted heart: in none of them" in said
    model = open_model(run, "pading", "", 0)
    same = load_classifier(model.fitted)
    files = sorted((run / "cache" / "predictions").glob("*.parquet"))
    for line in quality_lines(model, same, same, TABLE, files)[1:]:
        before, after = line.split()[1:4:2]
        assert before == after


@pytest.mark.parametrize(("task", "measure"), [("panoptic", "PQ"), ("semantic", "IoU"), ("instance", "AP50")])
def test_a_forgotten_class_is_scored_as_never_found_by_the_measure_of_the_task(run: Path, task: str, measure: str):
    model = open_model(run, "pading", "", 0)
    model = dataclasses.replace(model, config=dataclasses.replace(model.config, task=task))
    head = load_classifier(model.fitted)
    files = sorted((run / "cache" / "predictions").glob("*.parquet"))
    segments = [segment for file in files for image in read_predictions(file) for segment in image.segments]
    shown = next(s.class_index for s in segments if TABLE.is_thing[s.class_index] and not s.is_crowd)
    table = remove_class(TABLE, TABLE.names[shown])
    title, *_, last = quality_lines(model, head, carry_head(head, TABLE, table), table, files)
    assert title.strip().startswith(f"{measure} of 32 classes, 4 val images")
    assert last.startswith(f"    {TABLE.names[shown]}: ")
    assert last.endswith("-> 0.0")


def test_vectors_from_a_file_teach_a_run_that_took_its_text_from_a_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    copy = shutil.copytree(run, tmp_path / "run")
    write_json(copy / "config.json", to_plain(override(CONFIG, {"embed.file": "vectors.npy"})))
    command = ["teach", "orb", "--model", str(copy), "--out", str(tmp_path / "m"), "--no-report"]
    assert main(command) == 1
    assert (
        "came from vectors.npy: give the vector of 'orb', made in the same way, by --embedding"
        in capsys.readouterr().err
    )
    np.save(tmp_path / "wide.npy", np.ones((1, 17), np.float32))
    assert main([*command, "--embedding", str(tmp_path / "wide.npy")]) == 1
    assert "1 rows of width 17, the model's text embeddings are 16 wide" in capsys.readouterr().err
    np.save(tmp_path / "orb.npy", np.ones((1, 16), np.float32))
    assert main([*command, "--embedding", str(tmp_path / "orb.npy")]) == 0
    np.testing.assert_allclose(open_model(tmp_path / "m", "", "", 0).embeddings().matrix[-1], 0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["striped star"], "the model knows 'striped star' already"),
        (["--forget", "cow"], "the model knows no 'cow'"),
        ([], "say what to do"),
        (["orb", "--forget", "striped star"], "say what to do"),
        (["orb", "--thing", "--stuff"], "a class is one of them"),
        (["--forget", "striped star", "--id", "7"], "--forget takes no --thing"),
        (["orb", "--method", "supervised"], "method 'supervised' has no generator that could imagine a class"),
        (
            ["orb", "--method", "gmmn"],
            "no 'gmmn' with seed 0 was fitted; there is supervised (best, seed 0), pading (best, seed 0)",
        ),
        (["orb", "--id", "3"], "id 3 is that of 'dotted disc'"),
        (["orb", "--embedding", "nowhere.npy"], "nowhere.npy: no such text embedding file"),
    ],
)
def test_a_lesson_that_makes_no_sense_is_one_clear_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    assert main(["teach", *arguments, "--model", str(run), "--out", str(tmp_path / "m")]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert message in stderr
    assert not (tmp_path / "m").exists()


def test_the_id_of_a_forgotten_class_goes_to_no_other(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    forgotten = ["teach", "--forget", "striped star", "--model", str(run), "--out", str(tmp_path / "m"), "--no-report"]
    assert main(forgotten) == 0
    coco_id = TABLE.coco_ids[TABLE.names.index("striped star")]
    assert (
        main(["teach", "orb", "--id", str(coco_id), "--model", str(tmp_path / "m"), "--out", str(tmp_path / "n")]) == 1
    )
    assert f"id {coco_id} means another class in the cached predictions; choose --id 110" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no fit", "has no finished classifiers; run its stages up to 'fit' first"),
        ("no generator", "generator.json: no such generator; fit the method again"),
        ("other cache", "was made again since"),
        ("no run", "config.json: no such file; give the --run-dir of a finished run"),
        ("out exists", "is there already; give another --out"),
    ],
)
def test_a_model_that_cannot_be_taught_says_why(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, message: str
):
    root = shutil.copytree(run, tmp_path / "run")
    if damage == "no fit":
        (root / "classifiers" / "manifest.json").unlink()
    if damage == "no generator":
        (root / "classifiers" / "pading" / "generator.json").unlink()
    if damage == "other cache":
        command = ["teach", "orb", "--model", str(root), "--out", str(tmp_path / "first"), "--no-report"]
        assert main(command) == 0
        Manifest(stage="cache", schema_version=1, settings={"seed": 1}, inputs={}).write(root / "cache")
        root = tmp_path / "first"
    if damage == "no run":
        (root / "config.json").unlink()
    if damage == "out exists":
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "precious.txt").write_text("kept")
    assert main(["teach", "globe", "--model", str(root), "--out", str(tmp_path / "m")]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert message in stderr


@pytest.mark.parametrize("file", ["model.json", "classes.json", "cached_classes.json"])
@pytest.mark.parametrize("text", ["", "[1]", '{"schema": 1}', '{"schema": 9, "name": 1}', "\x00"])
def test_a_damaged_paper_of_a_model_is_named(taught: Path, tmp_path: Path, file: str, text: str):
    root = shutil.copytree(taught, tmp_path / "model")
    (root / file).write_text(text)
    with pytest.raises(ValueError, match=rf"/{file}: (does not describe a model|is no class table)"):
        open_model(root, "pading", "", 0)


def test_pictures_of_nothing_and_of_unknown_things_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["draw", "striped dog", "--out", str(tmp_path)]) == 1
    assert "the shapes world has no 'striped dog'" in capsys.readouterr().err
    assert main(["draw", "plain disc", "--count", "0", "--out", str(tmp_path)]) == 1
    assert "0 pictures of 1 things" in capsys.readouterr().err


def test_the_segmenter_of_a_model_is_that_of_the_run(run: Path, taught: Path):
    ours, theirs = (load_segmenter(path / "segmenter").state_dict() for path in (taught, run))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert ClassTable.from_json((taught / "cached_classes.json").read_text()) == TABLE
