from pathlib import Path

import pytest

from jobs.ablation_fits import RECORD, planned_fits
from pading.config import override
from pading.data.errors import DataError
from pading.zeroshot.ablation import Variant
from pading.zeroshot.methods import MethodConfig

SETTINGS = MethodConfig()
VARIANT = Variant(method="pading", settings=SETTINGS)
INPUTS = {"cache": "a", "segmenter": "b", "text": "c"}


def keys(variant: Variant = VARIANT, inputs: dict[str, str] = INPUTS, seeds: range = range(2)) -> list[str]:
    return [fit.key for fit in planned_fits([variant], seeds, inputs, Path("fits"))]


def test_a_fit_lies_under_a_digest_of_what_decides_it() -> None:
    first = keys()
    assert first == keys(inputs=dict(reversed(INPUTS.items())))
    others = [
        keys(Variant(method="gmmn", settings=SETTINGS)),
        keys(Variant(method="pading", settings=override(SETTINGS, {"generator.tau": 0.2}))),
        keys(inputs={**INPUTS, "text": "d"}),
        keys(seeds=range(2, 4)),
    ]
    assert len({key for some in (first, *others) for key in some}) == 10


def test_one_more_seed_keeps_the_others() -> None:
    assert keys(seeds=range(3))[:2] == keys()


def test_a_fit_is_done_only_with_classifier_and_record(tmp_path: Path) -> None:
    (fit,) = planned_fits([VARIANT], [0], INPUTS, tmp_path)
    assert not fit.is_done
    fit.folder.mkdir()
    (fit.folder / RECORD).write_text('{"seconds": 1.5}')
    assert not fit.is_done
    (fit.folder / "classifier.json").write_text("{}")
    assert fit.is_done
    assert fit.seconds == 1.5


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"seconds": null}', "\x00"])
def test_a_damaged_record_is_named_with_the_remedy(content: str, tmp_path: Path) -> None:
    (fit,) = planned_fits([VARIANT], [0], INPUTS, tmp_path)
    fit.folder.mkdir()
    (fit.folder / RECORD).write_text(content)
    with pytest.raises(DataError, match=rf"{fit.key}/fit\.json: .*delete its folder"):
        _ = fit.seconds
