"""A segmenter under a text head: seen texts enter its training, unseen ones never do."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.storage import RunDir
from jobs.config import PipelineConfig, class_table
from jobs.embed import EMBEDDINGS
from jobs.initial_weights import initial_segmenter, staged_start
from jobs.pipeline import stages
from jobs.seen_text import with_seen_text
from jobs.trainer import Trainer
from pading.config import override
from pading.data.views.batch import Batch
from pading.segmenter.weights import load_segmenter, save_segmenter
from pading.text.embeddings import TextEmbeddings

LINEAR = PipelineConfig(preset="test")
CONFIG = override(
    LINEAR,
    {
        "segmenter.class_head": "text",
        "segmenter.width": 32,
        "segmenter.queries": 5,
        "segmenter.learn_temperature": True,
        "pretrain.strategy": "ddp",
        "pretrain.workers": 1,
        "pretrain.batch_size": 2,
        "pretrain.bf16": False,
    },
)
TABLE = class_table(CONFIG)
SEEN, UNSEEN, WIDTH = list(TABLE.seen), list(TABLE.unseen), 24


def run_with_texts(root: Path, matrix: np.ndarray) -> RunDir:
    (root / "text").mkdir(parents=True)
    unit = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    TextEmbeddings(names=TABLE.names, matrix=unit, model="test", templates=("{}",)).save(root / "text" / EMBEDDINGS)
    return RunDir(root)


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(TABLE.num_classes, WIDTH)).astype(np.float32)


def batch() -> Batch:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(1, 4, (2, 1, 4, 4), generator=random, dtype=torch.uint8)
    return Batch(
        images=torch.randint(0, 256, (2, 3, 64, 64), generator=random, dtype=torch.uint8),
        label_maps=labels.repeat_interleave(16, 2).repeat_interleave(16, 3),
        classes=torch.tensor([SEEN[:3], SEEN[3:6]]),
        image_ids=torch.arange(2),
    )


def trained(run_dir: RunDir, steps: int = 2) -> torch.nn.Module:
    config, seen_text = with_seen_text(CONFIG, run_dir, TABLE)
    segmenter, _ = initial_segmenter(config, TABLE, seen_text)
    trainer = Trainer(config, segmenter, config.pretrain.schedule_over(10))
    for step in range(steps):
        trainer.step(step, batch())
    return segmenter.cpu()


def test_a_linear_head_is_given_no_text(tmp_path: Path) -> None:
    assert with_seen_text(LINEAR, RunDir(tmp_path), TABLE) == (LINEAR, None)


def test_the_head_is_as_wide_as_the_texts_and_gets_those_of_seen_classes_alone(tmp_path: Path, matrix) -> None:
    config, seen_text = with_seen_text(CONFIG, run_with_texts(tmp_path, matrix), TABLE)
    assert config == override(CONFIG, {"segmenter.text_width": WIDTH})
    assert seen_text is not None
    assert seen_text.shape == (len(SEEN), WIDTH)
    wanted = matrix[SEEN] / np.linalg.norm(matrix[SEEN], axis=1, keepdims=True)
    np.testing.assert_allclose(seen_text, wanted, rtol=1e-5, atol=1e-6)


def test_another_width_than_that_of_the_texts_is_refused(tmp_path: Path, matrix) -> None:
    config = override(CONFIG, {"segmenter.text_width": 512})
    with pytest.raises(ValueError, match=r"--segmenter\.text-width 512, but the run's text embeddings are 24 wide"):
        with_seen_text(config, run_with_texts(tmp_path, matrix), TABLE)


def test_unseen_texts_change_no_bit_of_a_training_and_seen_ones_do(tmp_path: Path, matrix) -> None:
    other_unseen, other_seen = matrix.copy(), matrix.copy()
    other_unseen[UNSEEN] = np.random.default_rng(1).normal(size=(len(UNSEEN), WIDTH))
    other_seen[SEEN[0]] *= -1
    runs = {"first": matrix, "unseen": other_unseen, "seen": other_seen}
    states = {name: trained(run_with_texts(tmp_path / name, texts)).state_dict() for name, texts in runs.items()}
    assert all(torch.equal(tensor, states["unseen"][name]) for name, tensor in states["first"].items())
    moved = [name for name, tensor in states["first"].items() if not torch.equal(tensor, states["seen"][name])]
    assert "class_head.project.weight" in moved


def test_a_trained_segmenter_holds_no_unseen_text_and_names_no_unseen_class(tmp_path: Path, matrix) -> None:
    segmenter = trained(run_with_texts(tmp_path / "run", matrix)).eval()
    save_segmenter(tmp_path / "saved", segmenter)
    loaded = load_segmenter(tmp_path / "saved")
    assert not loaded.class_head.text[UNSEEN].any()
    assert loaded.class_head.text[SEEN].any(dim=1).all()
    logits = loaded(batch().images)[-1].class_logits
    assert torch.isneginf(logits[..., UNSEEN]).all()
    assert logits[..., [*SEEN, TABLE.no_object]].isfinite().all()


def test_the_temperature_learns_with_the_rest(tmp_path: Path, matrix) -> None:
    run_dir = run_with_texts(tmp_path, matrix)
    before, after = (trained(run_dir, steps).class_head.log_scale for steps in (0, 2))
    assert before.item() == pytest.approx(np.log(100), rel=1e-6)
    assert not torch.equal(before, after)


def test_a_start_from_another_text_head_keeps_the_texts_of_the_run(tmp_path: Path, matrix) -> None:
    source = trained(run_with_texts(tmp_path / "source", matrix[::-1].copy()), steps=0)
    save_segmenter(tmp_path / "weights", source)
    config, seen_text = with_seen_text(CONFIG, run_with_texts(tmp_path / "run", matrix), TABLE)
    config = override(config, {"pretrain.init_from": str(tmp_path / "weights")})
    staged, _ = staged_start(config, TABLE, tmp_path / "start", seen_text)
    segmenter, _ = initial_segmenter(staged, TABLE, seen_text)
    assert torch.equal(segmenter.class_head.project.weight, source.class_head.project.weight)
    assert seen_text is not None
    torch.testing.assert_close(segmenter.class_head.text[SEEN], torch.from_numpy(seen_text))
    assert not segmenter.class_head.text[UNSEEN].any()


def test_only_under_a_text_head_does_the_training_depend_on_texts() -> None:
    inputs = [{stage.name: stage.inputs for stage in stages(config)}["pretrain"] for config in (LINEAR, CONFIG)]
    assert inputs == [("shards",), ("shards", "text")]
