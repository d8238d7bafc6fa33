import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pading.classes import ClassTable
from pading.data.errors import DataError
from pading.segmenter.huggingface import save_huggingface
from pading.segmenter.initialisation import initialise
from pading.segmenter.pretrained import Pretrained, load_pretrained, read_papers, take_over, write_papers
from pading.segmenter.provenance import Provenance
from pading.segmenter.segmenter import Segmenter, SegmenterConfig, r50
from pading.segmenter.weights import save_segmenter

CONFIG = SegmenterConfig(width=16, queries=4, decoder_layers=1, feedforward_width=16)
NAMES = ("dog", "tree-merged", "cow", "sky")


def table(names: tuple[str, ...], is_seen: tuple[bool, ...]) -> ClassTable:
    ids = tuple(range(len(names)))
    return ClassTable(name="t", names=names, coco_ids=ids, is_thing=(True,) * len(names), is_seen=is_seen)


CLASSES = table(NAMES, (True, True, False, True))


def random_segmenter(seed: int, num_classes: int = 4, config: SegmenterConfig = CONFIG) -> Segmenter:
    """A segmenter none of whose tensors is a constant, so that every one of them has something to lose."""
    random = torch.Generator().manual_seed(seed)
    segmenter = initialise(Segmenter(config, num_classes), random)
    with torch.no_grad():
        for parameter in segmenter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=random), alpha=0.1)
    return segmenter


def source_of(segmenter: Segmenter, names: tuple[str, ...] | None, rows: tuple[int, ...] | None = None) -> Pretrained:
    known = tuple(range(len(names or ()))) if rows is None else rows
    return Pretrained(segmenter=segmenter, weights_file=Path("w"), names=names, trained_rows=known, origin=Provenance())


@pytest.fixture(scope="module")
def published() -> Segmenter:
    """A Mask2Former with the backbone of the published one and little behind it."""
    sizes = {"width": 32, "queries": 3, "encoder_layers": 1, "decoder_layers": 1, "feedforward_width": 8}
    return Segmenter(replace(r50(), heads=2, encoder_feedforward_width=8, **sizes), 4).eval()


def test_a_folder_of_ours_comes_with_its_papers(tmp_path: Path) -> None:
    segmenter = random_segmenter(0)
    save_segmenter(tmp_path, segmenter)
    origin = Provenance(source="before", trained_names=("horse", "dog"))
    write_papers(tmp_path, CLASSES, origin)
    assert read_papers(tmp_path) == (CLASSES, origin)
    found = load_pretrained(tmp_path)
    assert (found.names, found.trained_rows, found.origin) == (NAMES, (0, 1, 3), origin)
    assert found.trained_names == ("dog", "tree-merged", "sky", "horse")
    assert found.weights_file == tmp_path / "weights.safetensors"
    assert not found.segmenter.training
    for name, tensor in segmenter.state_dict().items():
        assert torch.equal(found.segmenter.state_dict()[name], tensor), name


def test_a_folder_of_ours_without_papers_has_unknown_classes(tmp_path: Path) -> None:
    save_segmenter(tmp_path, random_segmenter(0))
    (tmp_path / "classes.json").write_text(CLASSES.to_json())  # half of the papers says nothing of what came before
    found = load_pretrained(tmp_path)
    assert (found.names, found.trained_rows, found.trained_names) == (None, (), None)


def test_a_folder_of_transformers_was_trained_on_all_that_it_names(tmp_path: Path, published: Segmenter) -> None:
    save_huggingface(tmp_path, published, NAMES)
    found = load_pretrained(tmp_path)
    assert (found.names, found.trained_names, found.origin) == (NAMES, NAMES, Provenance())
    assert found.weights_file == tmp_path / "model.safetensors"
    images = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        mine, theirs = published(images)[-1], found.segmenter(images)[-1]
    assert torch.equal(mine.class_logits, theirs.class_logits)
    assert torch.equal(mine.mask_logits, theirs.mask_logits)


def test_labels_without_names_and_papers_beside_them(tmp_path: Path, published: Segmenter) -> None:
    save_huggingface(tmp_path, published, [f"LABEL_{index}" for index in range(4)])
    assert load_pretrained(tmp_path).trained_names is None
    write_papers(tmp_path, CLASSES, Provenance())
    assert load_pretrained(tmp_path).trained_names == ("dog", "tree-merged", "sky")
    described = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**described, "id2label": {"0": "dog"}}))
    with pytest.raises(ValueError, match=r"config\.json: id2label does not name the classes 0 to 3"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no config.json; a segmenter is weights.safetensors .* or model.safetensors"),
        ("{", "config.json is not JSON"),
        ("[" * 100_000, "config.json is not JSON"),
        ("[]", "config.json describes list; a segmenter is"),
        ("{}", "config.json describes no model; a segmenter is"),
        ('{"model_type": "detr"}', "config.json describes detr; a segmenter is"),
        ('{"schema": 9}', "config.json does not describe a segmenter"),
    ],
)
def test_a_folder_of_neither_kind_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_pretrained(tmp_path)


def test_papers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_segmenter(tmp_path, random_segmenter(0))
    write_papers(tmp_path, table(("dog",), (True,)), Provenance())
    with pytest.raises(DataError, match=r"classes\.json: has 1 classes, the weights beside it have 4"):
        load_pretrained(tmp_path)
    (tmp_path / "classes.json").write_text('{"name": "t"}')
    with pytest.raises(DataError, match=r"classes\.json: is no class table"):
        load_pretrained(tmp_path)
    (tmp_path / "classes.json").unlink()
    with pytest.raises(DataError, match=r"classes\.json: is missing beside provenance\.json"):
        load_pretrained(tmp_path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    segmenter = random_segmenter(0)
    segmenter.class_head.bias.data[1] = float("nan")
    save_segmenter(tmp_path, segmenter)
    with pytest.raises(ValueError, match=r"weights\.safetensors: class_head\.bias holds values that are not finite"):
        load_pretrained(tmp_path)


PER_CLASS = {"class_head.weight", "class_head.bias", "cell_head.weight", "cell_head.bias"}


def test_rows_of_classes_go_by_name_and_everything_else_as_a_whole() -> None:
    # "cow" is unseen here, "sky" the source never saw, "tree" is spelled otherwise, "boat" is nobody's
    other, mine = random_segmenter(1, 5), random_segmenter(2)
    before = {name: tensor.clone() for name, tensor in mine.state_dict().items()}
    source = source_of(other, ("cow", "sky", "boat", "tree", "dog"), rows=(0, 2, 3, 4))
    assert take_over(mine, source, CLASSES) == 2
    after, theirs = mine.state_dict(), other.state_dict()
    for name in after.keys() - PER_CLASS:
        assert torch.equal(after[name], theirs[name]), name
    for name in PER_CLASS:
        assert torch.equal(after[name][[0, 1]], theirs[name][[4, 3]]), name
        assert torch.equal(after[name][[2, 3]], before[name][[2, 3]]), name
        assert not torch.equal(before[name][[0, 1]], theirs[name][[4, 3]]), name
    assert torch.equal(after["class_head.weight"][4], theirs["class_head.weight"][5])
    assert torch.equal(after["class_head.bias"][4], theirs["class_head.bias"][5])


def test_nameless_rows_stay_with_their_owner() -> None:
    other, mine = random_segmenter(1), random_segmenter(2)
    before = mine.state_dict()["class_head.weight"].clone()
    assert take_over(mine, source_of(other, None), CLASSES) == 0
    assert torch.equal(mine.state_dict()["class_head.weight"][:4], before[:4])
    assert torch.equal(mine.mask_decoder.query_content.weight, other.mask_decoder.query_content.weight)


def test_the_source_is_left_as_it_was() -> None:
    other = random_segmenter(1)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    take_over(random_segmenter(2), source_of(other, NAMES), CLASSES)
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


def test_a_text_head_keeps_its_projection_and_not_the_texts() -> None:
    config = replace(CONFIG, class_head="text", text_width=8, cell_head=False)
    other, mine = random_segmenter(1, 6, config), random_segmenter(2, 4, config)
    other.class_head.set_text(torch.randn(6, 8), range(6))
    texts = torch.randn(4, 8)
    mine.class_head.set_text(texts, range(len(texts)))
    assert take_over(mine, source_of(other, (*NAMES, "boat", "car")), CLASSES) == 0
    assert torch.equal(mine.class_head.project.weight, other.class_head.project.weight)
    assert torch.equal(mine.class_head.no_object, other.class_head.no_object)
    assert torch.equal(mine.class_head.text, torch.nn.functional.normalize(texts, dim=1))
