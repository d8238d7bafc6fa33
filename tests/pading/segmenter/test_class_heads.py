import pytest
import torch
from torch.nn.functional import normalize

from pading.segmenter.class_heads import TextHead
from pading.segmenter.initialisation import initialise
from pading.segmenter.segmenter import Segmenter, SegmenterConfig
from pading.segmenter.weights import load_segmenter, save_segmenter


def head(**changes) -> TextHead:
    torch.manual_seed(0)
    return TextHead(8, 3, 5, **{"temperature": 0.01, "learn_temperature": False, **changes})


def test_logits_are_cosines_over_the_temperature_and_no_object_is_not_normalised():
    made, text, queries = head(temperature=0.5), torch.randn(3, 5) * 7, torch.randn(2, 4, 8)
    made.set_text(text, range(3))
    direction = normalize(made.project(queries), dim=-1)
    expected = torch.cat([direction @ normalize(text, dim=1).T, (direction @ made.no_object)[..., None]], dim=-1) / 0.5
    torch.testing.assert_close(made(queries), expected)


def test_the_temperature_learns_only_if_asked_to():
    for learns in (False, True):
        made = head(learn_temperature=learns)
        assert ("log_scale" in dict(made.named_parameters())) == learns
        made.set_text(torch.eye(3, 5), range(3))
        made(torch.randn(2, 8)).square().sum().backward()
        assert (made.log_scale.grad is not None) == learns


def test_no_parameter_is_without_dimensions():
    """DeepSpeed views parameters as bytes, which torch refuses for a bare number."""
    assert all(parameter.ndim for parameter in head(learn_temperature=True).parameters())


def test_a_head_without_text_is_refused():
    with pytest.raises(ValueError, match="has no text embeddings"):
        head()(torch.randn(2, 8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (torch.ones(3, 4), r"must be \(3, 5\), got \(3, 4\)"),
        (torch.tensor([[1.0], [0.0], [2.0]]).expand(3, 5), r"classes \[1\] are zero"),
        (torch.tensor([[1.0], [1.0], [float("nan")]]).expand(3, 5), r"classes \[2\] are zero or not finite"),
    ],
)
def test_text_that_says_nothing_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        head().set_text(text, (0, 1, 2))


def test_classes_without_text_are_silent_and_leave_the_others_as_they_are():
    text, queries = torch.randn(3, 5), torch.randn(4, 8)
    whole, part = head(), head()
    whole.set_text(text, range(3))
    part.set_text(text, range(3))  # which is forgotten
    part.set_text(text[[2, 0]], (2, 0))
    logits, some = whole(queries), part(queries)
    assert torch.equal(some[:, 1], torch.full((4,), -torch.inf))
    assert torch.equal(some[:, [0, 2, 3]], logits[:, [0, 2, 3]])
    assert not part.text[1].any()


def test_a_silent_class_takes_no_part_in_the_gradient():
    queries, labels = torch.randn(6, 8), torch.tensor([0, 2, 3, 0, 2, 3])
    gradients = []
    for classes, columns in (((0, 2), 4), ((0, 1), 3)):  # the same two texts in a table of three classes and of two
        torch.manual_seed(0)
        made = TextHead(8, columns - 1, 5, temperature=0.1, learn_temperature=False)
        made.set_text(torch.eye(2, 5), classes)
        target = labels if columns == 4 else torch.tensor([0, 1, 2, 0, 1, 2])
        torch.nn.functional.cross_entropy(made(queries), target).backward()
        gradients.append((made.project.weight.grad, made.no_object.grad))
    for with_silent, without in zip(*gradients, strict=True):
        assert with_silent.isfinite().all()
        torch.testing.assert_close(with_silent, without)


def test_a_text_head_must_know_how_wide_texts_are():
    with pytest.raises(ValueError, match="text_width 0: a text head must be told"):
        Segmenter(SegmenterConfig(class_head="text"), 4)


def test_a_segmenter_with_a_text_head_is_saved_with_its_text(tmp_path):
    config = SegmenterConfig(class_head="text", text_width=12, cell_head=False)
    segmenter = initialise(Segmenter(config, 4), torch.Generator().manual_seed(0)).eval()
    segmenter.class_head.set_text(torch.randn(3, 12), (0, 1, 3))
    save_segmenter(tmp_path, segmenter)
    images = torch.zeros(1, 3, 32, 32)
    logits = load_segmenter(tmp_path)(images)[-1].class_logits
    assert logits.shape == (1, 16, 5)
    assert torch.isneginf(logits[..., 2]).all()
    assert torch.equal(logits, segmenter(images)[-1].class_logits)
