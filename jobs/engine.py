"""One optimiser step on one or many processes: plain torch (`ddp`) or DeepSpeed ZeRO. The only `import deepspeed`."""

import os
import warnings
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

Strategy = Literal["ddp", "zero1", "zero2", "zero3"]
STATE_FILE = "training.pt"
ZERO_TAG = "zero"


class Engine(Protocol):
    """What the training loop needs: a model to call, and four verbs."""

    model: nn.Module

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""

    def step(self, learning_rate_scale: float) -> None:
        """Clip, update, clear gradients; each parameter group runs at its own base rate times the scale."""

    def save(self, folder: Path, position: dict[str, Any]) -> None:
        """Write this rank's part of a checkpoint; every rank calls it."""

    def load(self, folder: Path) -> dict[str, Any]:
        """Restore a checkpoint and return its position; every rank calls it."""

    def full_weights(self) -> dict[str, Tensor]:
        """Return the whole model's weights, gathered where they are sharded; every rank calls it."""


def make_engine(
    module: nn.Module, optimizer: torch.optim.Optimizer, *, strategy: Strategy, rank_batch: int, clip: float, bf16: bool
) -> Engine:
    """Wrap a module and its optimiser for the strategy; under more than one process a process group must exist."""
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"]
    if strategy == "ddp":
        return TorchEngine(module, optimizer, clip=clip, bf16=bf16)
    return ZeroEngine(module, optimizer, stage=int(strategy[-1]), rank_batch=rank_batch, clip=clip, bf16=bf16)


class TorchEngine:
    """Plain torch: one process, or DistributedDataParallel over the current process group."""

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer, *, clip: float, bf16: bool) -> None:
        self._module, self._optimizer, self._clip = module, optimizer, clip
        distributed = dist.is_initialized() and dist.get_world_size() > 1
        inner = nn.parallel.DistributedDataParallel(module) if distributed else module
        self.model = _Autocast(inner) if bf16 else inner

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self, learning_rate_scale: float) -> None:
        nn.utils.clip_grad_norm_(self._module.parameters(), self._clip)
        _set_learning_rate(self._optimizer, learning_rate_scale)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def save(self, folder: Path, position: dict[str, Any]) -> None:
        if not dist.is_initialized() or dist.get_rank() == 0:
            state = {
                "model": self._module.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "position": position,
            }
            torch.save(state, folder / STATE_FILE)

    def load(self, folder: Path) -> dict[str, Any]:
        state = torch.load(folder / STATE_FILE, weights_only=True, map_location="cpu")
        self._module.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        position: dict[str, Any] = state["position"]
        return position

    def full_weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().cpu() for name, tensor in self._module.state_dict().items()}


class ZeroEngine:
    """DeepSpeed ZeRO: optimiser state (1), gradients (2) and weights (3) sharded over the ranks."""

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        stage: int,
        rank_batch: int,
        clip: float,
        bf16: bool,
    ) -> None:
        deepspeed = import_deepspeed()
        if not dist.is_initialized():
            raise ValueError(f"zero{stage} needs a process group; a run in one process without Ray Train uses ddp")
        deepspeed.init_distributed(dist_backend=dist.get_backend(), auto_mpi_discovery=False)
        settings = {
            "train_micro_batch_size_per_gpu": rank_batch,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": clip,
            # Small buckets: the model has under 0.2 B parameters; overlap needs streams that a CPU has not.
            "zero_optimization": {
                "stage": stage,
                "overlap_comm": torch.cuda.is_available(),
                "reduce_bucket_size": 50_000_000,
                "allgather_bucket_size": 50_000_000,
            },
            "zero_allow_untested_optimizer": True,
            "torch_autocast": {"enabled": bf16, "dtype": "bfloat16"},
            "steps_per_print": 1_000_000_000,
        }
        self._engine, *_ = deepspeed.initialize(
            model=module, optimizer=optimizer, config=settings, dist_init_required=False
        )
        self._deepspeed = deepspeed
        self._stage = stage
        self.model = self._engine

    def backward(self, loss: Tensor) -> None:
        self._engine.backward(loss)

    def step(self, learning_rate_scale: float) -> None:
        _set_learning_rate(self._engine.optimizer, learning_rate_scale)
        self._engine.step()

    def save(self, folder: Path, position: dict[str, Any]) -> None:
        self._engine.save_checkpoint(str(folder), tag=ZERO_TAG, client_state={"position": position})

    def load(self, folder: Path) -> dict[str, Any]:
        path, client_state = self._engine.load_checkpoint(str(folder), tag=ZERO_TAG)
        if path is None:
            raise ValueError(f"{folder} holds no ZeRO checkpoint; remove it to start over")
        position: dict[str, Any] = client_state["position"]
        return position

    def full_weights(self) -> dict[str, Tensor]:
        parameters = list(self._engine.module.parameters()) if self._stage == 3 else []
        with self._deepspeed.zero.GatheredParameters(parameters, enabled=self._stage == 3):
            state = self._engine.module.state_dict()
            return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


class _Autocast(nn.Module):
    """Run a module in bfloat16 where that is safe, on whichever device its input lies."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Any:
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            return self.inner(images)


def _set_learning_rate(optimizer: Any, scale: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * scale


def import_deepspeed() -> Any:
    """Import DeepSpeed for the device at hand; on a CPU, without the ops that it would compile for a minute."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("DEEPSPEED_LOG_LEVEL", "warning")
    # It calls collectives by names that torch has renamed, once a step and bucket.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed.*")
    import deepspeed

    if not torch.cuda.is_available():
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed
