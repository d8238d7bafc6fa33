import torch

from pading.randomness import generator_for
from pading.zeroshot.alignment import relationship_alignment
from pading.zeroshot.disentangle import Disentangler, disentanglement
from pading.zeroshot.structure import StructureConfig, structure_losses


def groups():
    randomness = generator_for(0, "groups")
    seen, unseen = torch.randn(4, 3, 6, generator=randomness), torch.randn(2, 3, 6, generator=randomness)
    return seen, unseen, torch.tensor([0, 2, 0, 2]), torch.tensor([1, 3]), torch.randn(4, 5, generator=randomness)


def test_rows_are_aligned_as_printed_when_nothing_is_centred():
    seen, unseen, seen_labels, unseen_labels, text = groups()
    config = StructureConfig(relate="rows", is_centred=False)
    losses = structure_losses(None, seen, unseen, seen_labels, unseen_labels, text, 0.4, config)
    row_text = text[[0, 0, 0, 2, 2, 2] * 2], text[[1, 1, 1, 3, 3, 3]]
    expected = relationship_alignment(seen.flatten(0, 1), row_text[0], unseen.flatten(0, 1), row_text[1], 0.4)
    assert set(losses) == {"alignment"}
    torch.testing.assert_close(losses["alignment"], expected)


def test_alignment_of_class_means_ignores_the_spread_of_rows():
    seen, unseen, *rest = groups()
    means = StructureConfig(relate="class_means")
    spread = [
        structure_losses(
            None, scale * (seen - seen.mean(1, keepdim=True)) + seen.mean(1, keepdim=True), unseen, *rest, 0.4, means
        )
        for scale in (1.0, 5.0)
    ]
    torch.testing.assert_close(spread[0]["alignment"], spread[1]["alignment"])


def test_centred_alignment_ignores_what_all_classes_have_in_common():
    seen, unseen, seen_labels, unseen_labels, text = groups()
    plain, moved = (
        structure_losses(
            None, seen + offset, unseen + offset, seen_labels, unseen_labels, text + offset, 0.4, StructureConfig()
        )
        for offset in (0.0, 3.0)
    )
    torch.testing.assert_close(plain, moved)


def test_with_a_disentangler_related_parts_are_aligned_and_its_terms_added():
    seen, unseen, seen_labels, unseen_labels, text = groups()
    disentangler = Disentangler(6, 5, generator_for(0))
    config = StructureConfig()
    losses = structure_losses(disentangler, seen, unseen, seen_labels, unseen_labels, text, 0.4, config)
    rows = torch.cat([seen, unseen]).flatten(0, 1)
    parts = disentangler(rows)
    labels = torch.cat([seen_labels, unseen_labels]).repeat_interleave(3)
    terms = disentanglement(disentangler, parts, rows, labels, text, config.disentangle)
    related = parts.related.view(6, 3, 6)
    aligned = structure_losses(None, related[:4], related[4:], seen_labels, unseen_labels, text, 0.4, config)
    torch.testing.assert_close(losses, terms | aligned)


def test_without_unseen_classes_there_is_nothing_to_align():
    seen, unseen, seen_labels, unseen_labels, text = groups()
    assert structure_losses(None, seen, unseen[:0], seen_labels, unseen_labels[:0], text, 0.4, StructureConfig()) == {}
