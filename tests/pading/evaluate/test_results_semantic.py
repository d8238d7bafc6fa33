"""Class maps of results and of the truth, in each coding."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pading.classes import ClassTable
from pading.evaluate.results_scores import semantic_scores
from pading.evaluate.results_semantic import (
    Coding,
    class_iou,
    class_of_value,
    count_semantic,
    find_class_maps,
    value_of_class,
)
from pading.splits.published import find_split

CLASSES = ClassTable(
    name="own", names=("dog", "sky"), coco_ids=(18, 187), is_thing=(True, False), is_seen=(True, False)
)


def save(path: Path, values: list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint8)).save(path)


def test_an_image_by_hand_void_counts_in_no_truth(tmp_path: Path) -> None:
    """Truth: dog dog / sky void. Found: dog sky / sky dog. Dog: 1 of 2; sky: 1 of 2; the void pixel says nothing."""
    save(tmp_path / "truth" / "1.png", [[17, 17], [186, 255]])
    save(tmp_path / "results" / "1.png", [[17, 186], [186, 17]])
    pairs = find_class_maps(tmp_path / "truth", tmp_path / "results")
    tally = count_semantic(pairs, CLASSES)
    np.testing.assert_array_equal(class_iou(tally), [0.5, 0.5])
    assert semantic_scores(tally, CLASSES)["miou/hm"] == 50.0


def test_a_result_that_is_void_has_missed_the_pixel(tmp_path: Path) -> None:
    save(tmp_path / "truth" / "1.png", [[17, 17], [186, 186]])
    save(tmp_path / "results" / "1.png", [[17, 255], [186, 186]])
    tally = count_semantic(find_class_maps(tmp_path / "truth", tmp_path / "results"), CLASSES)
    np.testing.assert_array_equal(class_iou(tally), [0.5, 1.0])


def test_what_predict_writes_is_found_beside_its_other_pictures(tmp_path: Path) -> None:
    save(tmp_path / "truth" / "1.png", [[17]])
    save(tmp_path / "results" / "1_semantic.png", [[18]])
    Image.new("RGB", (1, 1)).save(tmp_path / "results" / "1.png")
    pairs = find_class_maps(tmp_path / "truth", tmp_path / "results")
    assert class_iou(count_semantic(pairs, CLASSES, coding="coco-id"))[0] == 1.0


@pytest.mark.parametrize("coding", ["coco-id", "coco-id-less-one", "train-id", "contiguous"])
def test_values_and_classes_are_each_others_inverse(coding: Coding) -> None:
    classes = find_split("coco-stuff-156-15").classes
    values, meaning = value_of_class(coding, classes), class_of_value(coding, classes)
    np.testing.assert_array_equal(meaning[values[:-1]], np.arange(classes.num_classes))
    assert (values[-1], meaning[255]) == (255, -1)
    assert (meaning >= 0).sum() == classes.num_classes


def test_bad_maps_are_one_clear_error(tmp_path: Path) -> None:
    truth, results = tmp_path / "truth", tmp_path / "results"
    with pytest.raises(FileNotFoundError, match="truth: no such folder"):
        find_class_maps(truth, results)
    truth.mkdir()
    results.mkdir()
    with pytest.raises(FileNotFoundError, match="truth: holds no PNG"):
        find_class_maps(truth, results)
    save(truth / "1.png", [[17, 17]])
    with pytest.raises(FileNotFoundError, match=r"results/1\.png: is missing, but there is a truth of that name"):
        find_class_maps(truth, results)
    save(results / "1.png", [[17], [17]])
    pairs = find_class_maps(truth, results)
    with pytest.raises(ValueError, match=r"results/1\.png: is 1 x 2 pixels, its truth 2 x 1"):
        count_semantic(pairs, CLASSES)
    save(results / "1.png", [[17, 5]])
    with pytest.raises(ValueError, match=r"results/1\.png: 1 pixels have value 5, which means no class"):
        count_semantic(pairs, CLASSES)
    content = (results / "1.png").read_bytes()
    (results / "1.png").write_bytes(content[:-25])
    with pytest.raises(ValueError, match=r"results/1\.png: is truncated or corrupt"):
        count_semantic(pairs, CLASSES)


def test_ids_beyond_eight_bits_have_no_class_map() -> None:
    large = ClassTable(name="own", names=("a",), coco_ids=(300,), is_thing=(True,), is_seen=(True,))
    with pytest.raises(ValueError, match="COCO id 300 of class table 'own'"):
        class_of_value("coco-id", large)
    with pytest.raises(ValueError, match="COCO id 300 of class table 'own'"):
        value_of_class("coco-id-less-one", large)
