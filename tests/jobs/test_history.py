import pytest
import torch

from jobs.history import History, shares
from jobs.timing import StepSeconds


def losses(value: float) -> dict[str, torch.Tensor]:
    return {"class": torch.tensor(value), "mask": torch.tensor(2 * value)}


def test_a_line_is_the_mean_of_its_steps() -> None:
    history = History(batch_size=8)
    for value in (1.0, 3.0):
        history.add(losses(value), torch.tensor(value + 1), StepSeconds(forward=value, data_wait=0.5))
    line = history.end_line(20, 0.1)
    assert (line["step"], line["learning_rate"]) == (20, 0.1)
    assert (line["loss/class"], line["loss/mask"], line["gradient_norm"]) == (2.0, 4.0, 3.0)
    assert (line["seconds/forward"], line["seconds/data_wait"], line["seconds/match"]) == (2.0, 0.5, 0.0)
    assert line["images_per_s"] == pytest.approx(8 / line["seconds/step"])
    history.add(losses(7.0), torch.tensor(0.0), StepSeconds())
    assert history.end_line(21, 0.1)["loss/class"] == 7.0


def test_lines_survive_a_file(tmp_path) -> None:
    history, other = History(8), History(8)
    history.add(losses(1.0), torch.tensor(1.0), StepSeconds())
    history.end_line(1, 0.1)
    history.save(tmp_path)
    other.load(tmp_path)
    assert other.lines == history.lines


@pytest.mark.parametrize("text", [None, "{"])
def test_a_missing_or_damaged_file_is_named(tmp_path, text) -> None:
    if text:
        (tmp_path / "history.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"history\.jsonl is missing or damaged"):
        History(8).load(tmp_path)


def test_shares_are_of_the_whole_step() -> None:
    line = {"seconds/step": 2.0, "seconds/forward": 0.5, "seconds/match": 0.1, "loss/mask": 3.0}
    assert shares(line) == "forward 25 %, match 5 %"
