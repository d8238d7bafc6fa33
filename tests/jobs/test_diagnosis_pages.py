"""Pictures and page of a diagnosis that was made by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.diagnosis_page import diagnosis_page, sentences
from jobs.diagnosis_pictures import draw_discrepancies, draw_responses
from jobs.diagnosis_plane import MOST_POINTS, draw_plane, plane_rows
from jobs.tsne import embed_on_plane
from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.zeroshot.diagnostics.confusion import Confusion
from pading.zeroshot.diagnostics.diagnosis import ClassReport, Diagnosis
from pading.zeroshot.diagnostics.discrepancy import ClassDiscrepancy
from pading.zeroshot.diagnostics.response_map import response_map
from pading.zeroshot.features import Features

ROW = {"method": "pading", "profile": "paper", "seed": 0}
CLASSES = ClassTable(
    name="three",
    names=("star", "<b>ring</b>", "sky"),
    coco_ids=(1, 2, 3),
    is_thing=(True, True, False),
    is_seen=(True, False, True),
)


def features(rows_per_class: int, shift: float) -> Features:
    labels = torch.arange(3).repeat(rows_per_class)
    rows = 5 * torch.nn.functional.one_hot(labels, 8) + shift
    noise = torch.randn(len(labels), 8, generator=generator_for(0, "rows", str(shift)))
    return Features(rows + 0.1 * noise, labels, torch.zeros_like(labels))


def diagnosis(*, has_primitives: bool = True) -> Diagnosis:
    measured = ClassDiscrepancy(num_real=20, mmd=0.5, floor=0.05, spread=1.5)
    responses = torch.softmax(torch.randn(3, 2, 9, generator=generator_for(0)), dim=2)
    return Diagnosis(
        classes=CLASSES,
        reports=tuple(
            ClassReport(
                name=name,
                is_seen=is_seen,
                held_out=measured if name == "star" else None,
                val=None if name == "sky" else measured,
                nearest_by_mean=name,
                nearest_by_rows=Confusion(of=name, taken_for="star", share=0.75),
                nearest_text="sky",
                text_cosine=0.5,
                effective_primitives=4.0 if has_primitives else None,
            )
            for name, is_seen in zip(CLASSES.names, CLASSES.is_seen, strict=True)
        ),
        of_synthetic=(Confusion(of="<b>ring</b>", taken_for="star", share=0.61),),
        of_classifier=(),
        responses=response_map(responses) if has_primitives else None,
        synthetic=features(30, 0.5),
        val=features(20, 0.0),
        bandwidths=(1.0,),
    )


def test_classes_are_drawn_with_equally_many_rows_of_each_kind_in_the_same_budget() -> None:
    rows, labels, is_real = plane_rows(diagnosis())
    assert (is_real.sum(), (~is_real).sum()) == (60, 90)
    assert np.bincount(labels[is_real]).tolist() == [20, 20, 20]
    many = features(1000, 0.0)
    large = Diagnosis(**{**vars(diagnosis()), "val": many, "synthetic": many})
    assert MOST_POINTS - 6 <= len(plane_rows(large)[0]) <= MOST_POINTS
    np.testing.assert_array_equal(rows[:20], diagnosis().val.embeddings[labels_of(diagnosis().val, 0)][:20].numpy())


def labels_of(found: Features, index: int) -> torch.Tensor:
    return torch.nonzero(found.labels == index).flatten()


def test_near_rows_stay_near_on_the_plane_and_a_seed_places_them_alike() -> None:
    rows, labels, _ = plane_rows(diagnosis())
    places = embed_on_plane(rows, seed=0)
    np.testing.assert_array_equal(places, embed_on_plane(rows, seed=0))
    centres = np.stack([places[labels == index].mean(axis=0) for index in range(3)])
    nearest = np.linalg.norm(places[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.95
    with pytest.raises(ValueError, match="3 features cannot be laid out"):
        embed_on_plane(rows[:3], seed=0)


def test_the_page_holds_every_picture_and_asks_nothing_of_the_network(tmp_path: Path) -> None:
    found = diagnosis()
    figures = {
        "tsne": draw_plane(found, 0),
        "discrepancy": draw_discrepancies(found),
        "responses": draw_responses(found),
    }
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=40)
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 300
    page = diagnosis_page(found, ROW, tmp_path)
    assert page.count("src='data:image/png;base64,iVBOR") == 3
    assert "http" not in page.replace("http-equiv", "")
    assert "no zero-shot result" in page


def test_names_cannot_break_out_of_the_page_and_unseen_ones_are_marked(tmp_path: Path) -> None:
    found = diagnosis(has_primitives=False)
    for name in ("tsne", "discrepancy"):
        Image.new("RGB", (2, 2)).save(tmp_path / f"{name}.png")
    page = diagnosis_page(found, ROW, tmp_path)
    assert "<b>" not in page
    assert "<td class='name unseen'>&lt;b&gt;ring&lt;/b&gt; *</td>" in page
    assert "→ star</td><td>61 %</td>" in page
    assert "none above a tenth of a class" in page
    assert "responses" not in page
    assert draw_responses(found) is None


def test_an_unseen_class_that_no_val_query_covers_is_drawn_by_its_crosses_alone(tmp_path: Path) -> None:
    found = diagnosis()
    for kept in ((0, 2), ()):
        some = found.val.where(torch.isin(found.val.labels, torch.tensor(kept)))
        draw_plane(Diagnosis(**{**vars(found), "val": some}), 0).savefig(tmp_path / f"{len(kept)}.png", dpi=40)
        assert (tmp_path / f"{len(kept)}.png").stat().st_size > 5000


def test_the_summary_reads_as_sentences() -> None:
    assert sentences(diagnosis().summary()) == [
        "seen classes, training images held out: MMD² 0.500 (chance 0.050), variance 1.5 times the real one (medians)",
        "seen classes, val queries: MMD² 0.500 (chance 0.050), variance 1.5 times the real one (medians); "
        "the own class is nearest for 100 % of classes",
        "unseen classes *, val queries: MMD² 0.500 (chance 0.050), variance 1.5 times the real one (medians); "
        "the own class is nearest for 100 % of classes",
        f"effective number of primitives: {diagnosis().summary()['effective_primitives']:.0f} (mean over classes)",
    ]
