"""Which rows exist, what they read, and that constants are chosen without a look at unseen classes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.config import PipelineConfig
from jobs.constants import grid_of, score_held_out
from jobs.fit import planned_rows
from jobs.pipeline import chosen_stages, stages
from jobs.presets import PRESETS
from jobs.row_inputs import row_artefacts, row_settings, sources_of
from jobs.rows import RECIPES, RowInputs, require_styles, scored_row, scorer_of, styles_read
from pading.config import override
from pading.data.sample import Segment
from pading.evaluate.grid import PENALTIES, WEIGHTS
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction, write_predictions
from pading.regions.files import region_file, write_regions
from pading.zeroshot.classifier import CosineClassifier, LinearClassifier, of_classes, save_classifier
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.methods import METHODS, MethodConfig
from pading.zeroshot.zegformer import ZegformerConfig
from tests.references.zeroshot_world import world_of_combinations

WORLD = world_of_combinations()
SMALL = override(
    MethodConfig(),
    {"generator.steps": 5, "classifier.steps": 5, "projection.steps": 40, "generator.classes_per_step": 4},
)
CONFIG = override(
    PipelineConfig(preset="test"), {"sweep.holdout_fraction": 0.3, "inference.object_score_threshold": 0.0}
)


@pytest.fixture
def cached(tmp_path: Path) -> tuple[Path, RowInputs]:
    """Twelve images, a query a segment, the mask of each query is its segment; and their regions."""
    classes, random = WORLD.classes, np.random.default_rng(3)
    images, regions = [], []
    for number in range(12):
        rows = random.permutation(len(WORLD.test))[:4]
        labels = WORLD.test.labels[rows].tolist()
        strips = np.repeat(np.arange(1, 5, dtype=np.uint16), 4)
        logits = np.full((4, 16, 16), -9, np.float16)
        for query in range(4):
            logits[query, :, 4 * query : 4 * query + 4] = 9
        images.append(
            ImagePrediction(
                image_id=number, height=16, width=16, content_height=16, content_width=16, input_px=16,
                query_embeddings=WORLD.test.embeddings[rows].numpy(), mask_logits=logits,
                label_maps=np.broadcast_to(strips, (1, 16, 16)).copy(),
                segments=tuple(
                    Segment(segment_id=place, class_index=label, is_crowd=False, area_px=64)
                    for place, label in enumerate(labels, 1)
                ),
            )
        )  # fmt: skip
        regions.append((number, WORLD.text[labels].numpy()))
    write_predictions(tmp_path / "part.parquet", images)
    write_regions(region_file(tmp_path, "crop+mask"), regions)
    inputs = RowInputs(
        classes=classes, regions=tmp_path, styles=("crop+mask",), region_text=WORLD.text.numpy(), logit_scale=20.0
    )
    return tmp_path / "part.parquet", inputs


def fit_inputs(projection: CosineClassifier | None = None) -> FitInputs:
    return FitInputs.of(WORLD.train, WORLD.text.numpy(), WORLD.old_head, WORLD.classes, projection)


def test_every_row_names_a_method_that_can_be_fitted_and_a_style_exactly_if_it_has_an_image_branch() -> None:
    for recipe in RECIPES.values():
        assert recipe.fitted in METHODS
        assert bool(recipe.style) == (recipe.branches != "queries")


def test_rows_that_read_one_classifier_share_its_folder() -> None:
    config = override(
        PipelineConfig(preset="test"), {"fit.methods": ("zegformer-seg", "zegformer", "pading+img", "pading")}
    )
    folders = {row["method"]: row["folder"] for row in planned_rows(config) if row["seed"] == 1}
    assert folders == {
        "zegformer-seg": "projection-best-seed1",
        "zegformer": "projection-best-seed1",
        "pading+img": "pading-best-seed1",
        "pading": "pading-best-seed1",
    }


def test_rows_follow_the_profiles_of_the_classifier_that_they_read() -> None:
    changes = {"fit.methods": ("zegformer", "pading+img"), "fit.profiles": ("paper", "best"), "fit.seeds": (0,)}
    rows = planned_rows(override(PipelineConfig(preset="test"), changes))
    assert [(row["method"], row["profile"]) for row in rows] == [
        ("zegformer", "paper"), ("pading+img", "paper"), ("pading+img", "best")
    ]  # fmt: skip


def test_a_row_without_its_regions_is_refused_before_anything_runs() -> None:
    config = override(PipelineConfig(preset="test"), {"fit.methods": ("projection", "zegformer")})
    message = (
        r"row 'zegformer' reads region embeddings 'crop\+mask', the run has none: give --regions\.styles crop\+mask"
    )
    with pytest.raises(ValueError, match=message):
        stages(config)
    assert "regions" in [stage.name for stage in stages(override(config, {"regions.styles": ("crop+mask",)}))]


@pytest.mark.parametrize(
    "changes",
    [
        {"data.split": "coco-panoptic-119-14"},
        {"embed.file": "vectors.npy"},
        {"embed.model": "ViT-B-16", "embed.pretrained": "openai"},
    ],
    ids=["photos", "texts from a file", "texts from a model"],
)
def test_an_image_branch_without_a_clip_is_refused_before_anything_runs(changes: dict[str, str]) -> None:
    config = override(PipelineConfig(preset="test"), {"regions.styles": ("crop+mask",)})
    assert chosen_stages(config, "", "")
    named = {"regions.model": "ViT-B-16", "regions.pretrained": "openai"}
    assert chosen_stages(override(config, changes | named), "", "")
    assert chosen_stages(override(config, changes), "", "cache")
    message = r"no CLIP of its own; give the image branch a CLIP by --regions\.model ViT-B-16 --regions\.pretrained"
    with pytest.raises(ValueError, match=message):
        chosen_stages(override(config, changes), "", "")


@pytest.mark.parametrize("name", PRESETS)
def test_the_rows_of_a_preset_have_the_regions_that_they_read(name: str) -> None:
    config = PRESETS[name]()
    require_styles(config.fit.methods, config.regions.styles)
    assert "zegformer-seg" in config.fit.methods
    assert ("zegformer" in config.fit.methods) == bool(config.regions.styles)


def test_evaluation_depends_on_regions_and_on_how_constants_are_chosen_only_where_rows_do() -> None:
    plain = PipelineConfig(preset="test")
    assert row_artefacts(plain) == ()
    assert row_artefacts(override(plain, {"fit.methods": ("zegformer",)})) == ("regions",)
    assert "sweep" not in row_settings(plain)
    assert {"sweep", "seed"} <= row_settings(override(plain, {"fit.methods": ("zegformer-seg+cal",)})).keys()


def test_zegformers_own_rows_lose_gamma_and_others_do_not() -> None:
    constants, inference = ZegformerConfig(seen_penalty=0.3), InferenceConfig(object_score_threshold=0.7)
    for method, recipe in RECIPES.items():
        row = scored_row(recipe, Path("x"), inference, constants)
        expected = 0.3 if method.startswith("zegformer") or method == "pading+img+cal" else 0.0
        assert row.inference == dataclasses.replace(inference, seen_penalty=expected), method


def test_a_scorer_is_the_same_from_a_file_with_regions_and_the_rows_differ(cached, tmp_path: Path) -> None:
    path, inputs = cached
    save_classifier(tmp_path / "head", WORLD.old_head)
    (image, *_) = inputs.predictions(path)
    rows = {
        method: scorer_of(
            scored_row(RECIPES[method], tmp_path / "head", InferenceConfig(), ZegformerConfig()), inputs
        ).probabilities(image, inputs.classes)
        for method in ("projection", "zegformer-seg", "zegformer-img", "zegformer")
    }
    assert torch.equal(rows["projection"], rows["zegformer-seg"])
    truth = torch.tensor([segment.class_index for segment in image.segments])
    assert torch.equal(rows["zegformer-img"][:, :-1].argmax(dim=1), truth)  # a region is its class's text here
    assert not torch.allclose(rows["zegformer"], rows["zegformer-img"])
    pooled = scored_row(RECIPES["zegformer-pooled"], tmp_path / "head", InferenceConfig(), ZegformerConfig())
    with pytest.raises(ValueError, match="there are no region embeddings 'pooled'"):
        scorer_of(pooled, inputs)


def test_a_grid_has_the_constants_that_matter_to_its_row() -> None:
    assert len(grid_of(RECIPES["zegformer+cal"])) == len(WEIGHTS) * len(PENALTIES)
    assert {weight for weight, _ in grid_of(RECIPES["zegformer-seg+cal"])} == {2 / 3}
    assert styles_read(["projection", "zegformer-seg+cal"]) == ()


def test_constants_are_chosen_by_seen_classes_alone(cached) -> None:
    """Other texts, other truth and other head rows of the unseen classes change no digit of the grid."""
    path, inputs = cached
    recipe, unseen = RECIPES["zegformer+cal"], list(WORLD.classes.unseen)
    points = score_held_out(recipe, SMALL, fit_inputs(), inputs, CONFIG, [path], 5)
    assert max(point.hm for point in points) > 0

    text = WORLD.text.clone()
    text[unseen] = text[unseen].flip(dims=[0]) * -1
    head = LinearClassifier(WORLD.old_head.weight.detach().clone(), WORLD.old_head.bias.detach().clone())
    with torch.no_grad():
        head.weight[unseen] = 9.0
    other = FitInputs.of(WORLD.train, text.numpy(), head, WORLD.classes)
    other_inputs = dataclasses.replace(inputs, region_text=text.numpy())
    swap = {unseen[0]: unseen[1], unseen[1]: unseen[0]}
    images = []
    for image in inputs.predictions(path):
        segments = tuple(
            dataclasses.replace(segment, class_index=swap.get(segment.class_index, segment.class_index))
            for segment in image.segments
        )
        images.append(dataclasses.replace(image, segments=segments, regions={}))
    write_predictions(path, images)
    assert score_held_out(recipe, SMALL, other, other_inputs, CONFIG, [path], 5) == points


def test_a_segmenters_own_text_head_is_judged_without_truly_unseen_texts(cached) -> None:
    path, inputs = cached
    width, text_width = WORLD.train.embeddings.shape[1], WORLD.text.shape[1]
    own = CosineClassifier(torch.ones(text_width, width), torch.zeros(text_width), WORLD.text, torch.zeros(text_width))
    points = score_held_out(RECIPES["zegformer-seg+cal"], SMALL, fit_inputs(own), inputs, CONFIG, [path], 5)
    assert [point.seen_penalty for point in points] == list(PENALTIES)
    kept = of_classes(own, [2, 0])
    rows = WORLD.test.embeddings[:3]
    torch.testing.assert_close(kept(rows), own(rows)[:, [2, 0, WORLD.classes.no_object]])


def test_a_calibrated_row_takes_the_best_point_of_its_grid(tmp_path: Path, cached) -> None:
    from cluster.storage import RunDir

    path, inputs = cached
    points = score_held_out(RECIPES["zegformer+cal"], SMALL, fit_inputs(), inputs, CONFIG, [path], 5)
    rows = [
        {"method": "zegformer", "profile": "best", "seed": 0, "folder": "projection-best-seed0"},
        {"method": "zegformer+cal", "profile": "best", "seed": 0, "folder": "projection-best-seed0"},
    ]
    given, chosen = sources_of(CONFIG, RunDir(tmp_path), rows, {("zegformer+cal", "best"): points})
    best = max(points, key=lambda point: point.hm)
    assert given.constants == ZegformerConfig()
    assert (chosen.constants.weight, chosen.inference.seen_penalty) == (best.weight, best.seen_penalty)
    assert given.folder == chosen.folder
