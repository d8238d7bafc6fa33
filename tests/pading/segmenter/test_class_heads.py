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
    made.set_text(text)
    direction = normalize(made.project(queries), dim=-1)
    expected = torch.cat([direction @ normalize(text, dim=1).T, (direction @ made.no_object)[..., None]], dim=-1) / 0.5
    torch.testing.assert_close(made(queries), expected)


def test_the_temperature_learns_only_if_asked_to():
    for learns in (False, True):
        made = head(learn_temperature=learns)
        assert ("log_scale" in dict(made.named_parameters())) == learns
        made.set_text(torch.eye(3, 5))
        made(torch.randn(2, 8)).square().sum().backward()
        assert (made.log_scale.grad is not None) == learns


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
        head().set_text(text)


def test_a_segmenter_with_a_text_head_is_saved_with_its_text(tmp_path):
    config = SegmenterConfig(class_head="text", text_width=12, cell_head=False)
    segmenter = initialise(Segmenter(config, 4), torch.Generator().manual_seed(0)).eval()
    segmenter.class_head.set_text(torch.randn(4, 12))
    save_segmenter(tmp_path, segmenter)
    images = torch.zeros(1, 3, 32, 32)
    logits = load_segmenter(tmp_path)(images)[-1].class_logits
    assert logits.shape == (1, 16, 5)
    assert torch.equal(logits, segmenter(images)[-1].class_logits)
