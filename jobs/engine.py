"""One optimiser step on one or many processes: plain torch (`ddp`) here, DeepSpeed ZeRO in `jobs.zero`."""

import pickle
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from jobs.timing import Stopwatch
from jobs.universal import REMEDY, is_first_rank, read_origin, world_size, write_origin
from jobs.zero import ZeroEngine
from pading.segmenter.optimisation import scale_learning_rates

Strategy = Literal["ddp", "zero1", "zero2", "zero3"]
STATE_FILE = "training.pt"


class Engine(Protocol):
    """What the training loop needs: a model to call, and five verbs.

    Calls of the model, `backward` and `step` give their time to the stopwatch that the engine was made with.

    A step is `accumulation` times a call of the model and `backward`, then `step`. Its gradient is the mean over ranks
    and micro-batches of the gradients of the losses. So a loss that is a sum over masks is to be divided by the masks
    of the whole step / (ranks * accumulation): how the images are split then changes nothing but rounding.
    """

    model: nn.Module

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a micro-batch.

        Raises:
            ValueError: if the micro-batches of this step are complete.
        """

    def step(self, learning_rate_scale: float) -> Tensor:
        """Clip, update, clear gradients and return the gradient's L2 norm over the whole model, before the clip.

        Each parameter group runs at its own base rate times the scale.

        Raises:
            ValueError: if a micro-batch is missing, or the norm is not finite; no weight has moved then.
        """

    def save(self, folder: Path, position: dict[str, Any]) -> None:
        """Write this rank's part of a checkpoint, between two steps; every rank calls it."""

    def load(self, folder: Path) -> dict[str, Any]:
        """Restore a checkpoint and return its position; every rank calls it.

        Raises:
            ValueError: if the checkpoint is incomplete, of another strategy, or of another number of ranks and not the
                one that the engine was made to resume from.
        """

    def full_weights(self) -> dict[str, Tensor]:
        """Return a copy of the whole model's weights, gathered where they are sharded; every rank calls it."""


def make_engine(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    strategy: Strategy,
    rank_batch: int,
    clip: float,
    bf16: bool,
    accumulation: int = 1,
    resume_from: Path | None = None,
    stopwatch: Stopwatch | None = None,
) -> Engine:
    """Wrap a module and its optimiser for the strategy; under more than one process a process group must exist.

    `rank_batch` is the images of a rank in one step, over all its micro-batches. `resume_from` is the checkpoint that
    `load` will be given, if any: DeepSpeed must know at its start whether it comes from another number of ranks.

    Raises:
        ValueError: if `rank_batch` does not split into `accumulation` micro-batches, the clip is not positive, ZeRO has
            no process group, or the checkpoint is not one to resume from.
    """
    if accumulation < 1 or rank_batch < 1 or rank_batch % accumulation:
        raise ValueError(f"{rank_batch} images a rank do not split into {accumulation} equal micro-batches")
    if not clip > 0:
        raise ValueError(f"clip must be positive, got {clip}; float('inf') never clips")
    if resume_from is not None:
        read_origin(resume_from, strategy)
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"]
    stopwatch = stopwatch or Stopwatch()
    if strategy == "ddp":
        return TorchEngine(module, optimizer, clip=clip, bf16=bf16, accumulation=accumulation, stopwatch=stopwatch)
    return ZeroEngine(
        module,
        optimizer,
        stage=int(strategy[-1]),
        micro_batch=rank_batch // accumulation,
        clip=clip,
        bf16=bf16,
        accumulation=accumulation,
        resume_from=resume_from,
        stopwatch=stopwatch,
    )


class TorchEngine:
    """Plain torch: one process, or DistributedDataParallel over the current process group."""

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        clip: float,
        bf16: bool,
        accumulation: int,
        stopwatch: Stopwatch,
    ) -> None:
        self._module, self._optimizer, self._clip, self._accumulation = module, optimizer, clip, accumulation
        self._parallel = nn.parallel.DistributedDataParallel(module) if world_size() > 1 else None
        inner = module if self._parallel is None else self._parallel
        self.model = _Autocast(inner) if bf16 else inner
        self._stopwatch = stopwatch
        self._stopwatch.watch(self.model)
        self._await(0)

    def backward(self, loss: Tensor) -> None:
        if self._pending == self._accumulation:
            raise ValueError(f"all {self._accumulation} micro-batches of this step are in; call step first")
        self._stopwatch.start()
        (loss / self._accumulation).backward()
        self._await(self._pending + 1)
        self._stopwatch.stop("backward")

    def step(self, learning_rate_scale: float) -> Tensor:
        if self._pending != self._accumulation:
            raise ValueError(f"{self._pending} of {self._accumulation} micro-batches are in; call backward first")
        self._stopwatch.start()
        norm = nn.utils.clip_grad_norm_(self._module.parameters(), self._clip)
        if not norm.isfinite():
            raise ValueError(f"the gradient's norm is {norm.item()}; lower the learning rate or look at the last batch")
        scale_learning_rates(self._optimizer.param_groups, learning_rate_scale)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._await(0)
        self._stopwatch.stop("optimizer")
        return norm

    def _await(self, pending: int) -> None:
        """Note how many micro-batches are in; ranks exchange gradients in the last one only."""
        self._pending = pending
        if self._parallel is not None:
            self._parallel.require_backward_grad_sync = pending == self._accumulation - 1

    def save(self, folder: Path, position: dict[str, Any]) -> None:
        if is_first_rank():
            state = {
                "model": self._module.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "position": position,
            }
            torch.save(state, folder / STATE_FILE)
        write_origin(folder, "ddp")

    def load(self, folder: Path) -> dict[str, Any]:
        read_origin(folder, "ddp")
        try:
            state = torch.load(folder / STATE_FILE, weights_only=True, map_location="cpu")
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise ValueError(f"{folder / STATE_FILE} is missing or damaged ({error}); {REMEDY}") from error
        self._module.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        position: dict[str, Any] = state["position"]
        return position

    def full_weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().cpu().clone() for name, tensor in self._module.state_dict().items()}


class _Autocast(nn.Module):
    """Run a module in bfloat16 where that is safe, on whichever device its input lies."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Any:
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            return self.inner(images)
