import dataclasses
import json
import math

import pytest
import torch

from pading.config import override
from pading.zeroshot.diagnostics.diagnosis import Diagnosis, look_into
from pading.zeroshot.features import split_by_image
from pading.zeroshot.methods import Fitted, MethodConfig, finish, fit_method
from tests.references.zeroshot_world import World, world_of_combinations

CONFIG = override(
    MethodConfig(),
    {
        "generator.steps": 150,
        "classifier.steps": 150,
        "primitive.num_primitives": 20,
        "primitive.hidden": 0,
        "primitive.dropout": 0.0,
        "gmmn.dropout": 0.0,
    },
)
WORLD = world_of_combinations()


def fitted(method: str, world: World) -> Fitted:
    return finish(fit_method(method, CONFIG, world.train, world.text, world.classes, world.old_head, 0))


@pytest.fixture(scope="module")
def diagnoses() -> dict[str, Diagnosis]:
    torch.set_num_threads(1)
    rest, held_out = split_by_image(WORLD.train, 0.25, 0)
    found = {}
    for method in ("pading", "gmmn"):
        without = fitted(method, WORLD._replace(train=rest))
        found[method] = look_into(
            fitted(method, WORLD), without, held_out, WORLD.test, WORLD.text, WORLD.classes, seed=0
        )
    return found


def test_seen_classes_are_compared_with_both_kinds_of_real_rows_and_unseen_ones_with_val(diagnoses):
    for report in diagnoses["pading"].reports:
        assert report.val is not None
        assert (report.held_out is not None) == report.is_seen
    assert diagnoses["pading"].reports[1].val.num_real == 40


def test_a_fit_that_works_makes_rows_that_look_like_their_class(diagnoses):
    found = diagnoses["gmmn"]
    assert found.summary()["own_class_nearest/seen"] == 1.0
    assert found.summary()["val_spread/seen"] == pytest.approx(1, abs=0.4)
    for report in found.reports:
        if report.is_seen:
            assert report.nearest_by_rows.taken_for == report.name
            assert report.nearest_by_rows.share > 0.5


def test_only_primitives_respond(diagnoses):
    assert diagnoses["gmmn"].responses is None
    assert all(report.effective_primitives is None for report in diagnoses["gmmn"].reports)
    assert "effective_primitives" not in diagnoses["gmmn"].summary()
    assert all(1 <= report.effective_primitives <= 20 for report in diagnoses["pading"].reports)


def test_the_summary_is_the_median_over_classes(diagnoses):
    found = diagnoses["pading"]
    values = sorted(report.val.mmd for report in found.reports if not report.is_seen)
    assert found.summary()["val_mmd/unseen"] == pytest.approx(sum(values) / 2)


def test_a_class_without_rows_has_no_figures_and_the_rest_is_json(diagnoses):
    absent = WORLD.classes.unseen[0]
    val = WORLD.test.where(WORLD.test.labels != absent)
    method = fitted("gmmn", WORLD)
    found = look_into(method, method, WORLD.train, val, WORLD.text, WORLD.classes, seed=0)
    assert found.reports[absent].val is None
    assert found.reports[absent].nearest_by_mean != WORLD.classes.names[absent]
    plain = json.loads(json.dumps(found.as_plain(), allow_nan=False))
    assert plain["classes"][absent]["val"] is None
    seen = WORLD.classes.seen[0]
    held_out = plain["classes"][seen]["held_out"]
    assert held_out["ratio"] == pytest.approx(held_out["mmd"] / held_out["floor"])
    assert all(math.isfinite(value) for value in plain["summary"].values())


def test_without_val_features_the_held_out_images_are_still_compared_with(diagnoses):
    nothing, method = WORLD.test.where(WORLD.test.labels < 0), fitted("gmmn", WORLD)
    found = look_into(method, method, WORLD.train, nothing, WORLD.text, WORLD.classes, seed=0)
    assert (found.of_synthetic, found.of_classifier) == ((), ())
    assert {name.split("/")[0] for name in found.summary()} == {
        "held_out_mmd",
        "held_out_floor",
        "held_out_ratio",
        "held_out_spread",
    }
    for report in found.reports:
        assert (report.val, report.nearest_by_mean, report.nearest_by_rows) == (None, None, None)


def test_a_method_without_a_generator_is_refused(diagnoses):
    supervised = fitted("supervised", WORLD)
    with pytest.raises(ValueError, match="without a generator has no synthetic features"):
        look_into(supervised, supervised, WORLD.train, WORLD.test, WORLD.text, WORLD.classes, seed=0)


def test_the_same_seed_says_the_same(diagnoses):
    rest, held_out = split_by_image(WORLD.train, 0.25, 0)
    again = look_into(
        fitted("gmmn", WORLD),
        fitted("gmmn", WORLD._replace(train=rest)),
        held_out,
        WORLD.test,
        WORLD.text,
        WORLD.classes,
        seed=0,
    )
    assert again.as_plain() == diagnoses["gmmn"].as_plain()
    assert dataclasses.asdict(again.of_classifier[0]) == dataclasses.asdict(diagnoses["gmmn"].of_classifier[0])
