import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.evaluate.choice import choose, first_largest

SCORES = st.lists(st.integers(-4, 4), min_size=4, max_size=4)


@settings(max_examples=60, deadline=None)
@given(columns=st.lists(SCORES, min_size=1, max_size=5), seen=st.lists(st.booleans(), min_size=4, max_size=4))
def test_a_choice_is_the_first_largest_score_under_every_penalty(columns, seen):
    scores = torch.tensor(columns, dtype=torch.float32).T
    choice = choose(scores, seen)
    for penalty in (-9.0, -2.0, -0.5, 0.0, 1.0, 3.0, 9.0):
        handicapped = scores - penalty * torch.tensor(seen, dtype=torch.float32)[:, None]
        expected = [column.tolist().index(column.max()) for column in handicapped.T]
        assert choice.labels(penalty).tolist() == expected


def test_a_group_without_classes_is_never_chosen():
    scores = torch.tensor([[0.1], [0.3]])
    for seen in ((True, True), (False, False)):
        assert choose(scores, seen).labels(-1e9).tolist() == choose(scores, seen).labels(1e9).tolist() == [1]


def test_the_first_of_equals_is_largest():
    assert first_largest(torch.tensor([[1.0, 0.0], [1.0, 2.0], [0.0, 2.0]])).tolist() == [0, 1]
    assert first_largest(torch.zeros(300, 1)).tolist() == [0]
