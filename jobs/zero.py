"""DeepSpeed ZeRO: optimiser state (1), gradients (2) and weights (3) sharded. The only `import deepspeed`."""

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from jobs.timing import Stopwatch
from jobs.universal import REMEDY, check_shards, read_origin, universal_copy, world_size, write_origin
from pading.segmenter.optimisation import scale_learning_rates

TAG = "zero"


class ZeroEngine:
    """See `jobs.engine.Engine`.

    With accumulation, stage 1 communicates once a step; stages 2 and 3 once a micro-batch, which is what lets them keep
    only a shard of the gradients.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        stage: int,
        micro_batch: int,
        clip: float,
        bf16: bool,
        accumulation: int,
        resume_from: Path | None,
        stopwatch: Stopwatch,
    ) -> None:
        if not dist.is_initialized():
            raise ValueError(f"zero{stage} needs a process group; a run in one process without Ray Train uses ddp")
        self._strategy, self._stage, self._accumulation = f"zero{stage}", stage, accumulation
        # DeepSpeed must know before it starts in which form the checkpoint comes.
        self._reshards = resume_from is not None and self._saved_by_others(resume_from)
        settings = {
            "train_micro_batch_size_per_gpu": micro_batch,
            "gradient_accumulation_steps": accumulation,
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
            "checkpoint": {"load_universal": self._reshards},
            "steps_per_print": 1_000_000_000,
        }
        for tensor in [*module.parameters(), *module.buffers()]:
            # DeepSpeed views weights as bytes and flattens them: it cannot take channels-last strides, even of 1 x 1.
            tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
        self._deepspeed = import_deepspeed()
        self._deepspeed.init_distributed(dist_backend=dist.get_backend(), auto_mpi_discovery=False)
        self._engine, *_ = self._deepspeed.initialize(
            model=module, optimizer=optimizer, config=settings, dist_init_required=False
        )
        if self._reshards and stage < 3:
            self._check_every_rank_has_a_share()
        self.model = self._engine
        self._stopwatch = stopwatch
        self._stopwatch.watch(self.model)
        self._pending = 0

    def backward(self, loss: Tensor) -> None:
        """Add a micro-batch's gradients."""
        if self._pending == self._accumulation:
            raise ValueError(f"all {self._accumulation} micro-batches of this step are in; call step first")
        self._stopwatch.start()
        self._engine.backward(loss)  # divides by the number of micro-batches
        self._pending += 1
        if self._pending < self._accumulation:
            self._engine.step()  # before the last micro-batch, DeepSpeed only counts
        self._stopwatch.stop("backward")

    def step(self, learning_rate_scale: float) -> Tensor:
        """Clip, update, clear gradients."""
        if self._pending != self._accumulation:
            raise ValueError(f"{self._pending} of {self._accumulation} micro-batches are in; call backward first")
        self._stopwatch.start()
        scale_learning_rates(self._engine.optimizer.param_groups, learning_rate_scale)
        self._engine.step()
        self._pending = 0
        self._stopwatch.stop("optimizer")
        norm = torch.as_tensor(self._engine.get_global_grad_norm())
        if not self._engine.was_step_applied():
            raise ValueError(f"the gradient's norm is {norm.item()}; lower the learning rate or look at the last batch")
        return norm

    def save(self, folder: Path, position: dict[str, Any]) -> None:
        """Write this rank's shard."""
        state = {"position": position, "unsharded": self._unsharded()}
        self._engine.save_checkpoint(str(folder), tag=TAG, client_state=state)
        write_origin(folder, self._strategy)

    def load(self, folder: Path) -> dict[str, Any]:
        """Restore the shards of as many ranks, or those of another number cut anew."""
        if self._saved_by_others(folder) != self._reshards:
            raise ValueError(
                f"{folder} comes from {read_origin(folder, self._strategy).world_size} ranks, this run has "
                f"{world_size()}: give the engine the folder as resume_from when it is made"
            )
        if not self._reshards:
            return self._load(folder, TAG)["position"]
        settings = [
            {key: value for key, value in group.items() if key != "params"}
            for group in self._engine.optimizer.param_groups
        ]
        with universal_copy(folder / TAG, self._deepspeed.checkpoint.ds_to_universal.main) as copy:
            state = self._load(copy, "universal")
        # Stage 3 gives every group the settings of the first, and all shards one and the same step counter.
        for group, own in zip(self._engine.optimizer.param_groups, settings, strict=True):
            group.update(own)
        for shard, moments in self._engine.optimizer.optimizer.state.items():
            if "step" in moments:
                moments["step"] = torch.as_tensor(moments["step"]).to(shard.device, copy=True)
        self._restore_unsharded(state["unsharded"])
        return state["position"]

    def full_weights(self) -> dict[str, Tensor]:
        """Return the whole weights."""
        with self._whole(list(self._engine.module.parameters())):
            return _copies(self._engine.module.state_dict())

    def _saved_by_others(self, folder: Path) -> bool:
        origin = read_origin(folder, self._strategy)
        check_shards(folder / TAG, origin)
        return origin.world_size != world_size()

    def _check_every_rank_has_a_share(self) -> None:
        """Refuse what DeepSpeed cannot load: a parameter group so small that a rank's share of it is only padding."""
        sizes = [
            sum(parameter.numel() for parameter in group)
            for group in self._engine.optimizer.bit16_groups
            if all(parameter._hp_mapping is None for parameter in group)
        ]
        by_rank: list[list[int]] = [[] for _ in range(world_size())]
        dist.all_gather_object(by_rank, sizes)
        if too_small := [size for sizes in by_rank for size in sizes]:
            raise ValueError(
                f"a parameter group of {min(too_small)} numbers is too small for {world_size()} ranks of "
                f"{self._strategy}, resuming a checkpoint of another number; resume with fewer, or start over with ddp"
            )

    def _load(self, folder: Path, tag: str) -> dict[str, Any]:
        try:
            path, state = self._engine.load_checkpoint(str(folder), tag=tag)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise ValueError(f"{folder / tag} is damaged ({error}); {REMEDY}") from error
        if path is None:
            raise ValueError(f"{folder / tag} lacks the weights; {REMEDY}")
        return state

    def _unsharded(self) -> dict[str, Tensor]:
        """Return frozen weights and buffers: the universal form has only what the optimiser moves."""
        parameters = dict(self._engine.module.named_parameters())
        with self._whole([parameter for parameter in parameters.values() if not parameter.requires_grad]):
            state = self._engine.module.state_dict()
            moved = {name for name, parameter in parameters.items() if parameter.requires_grad}
            return _copies({name: tensor for name, tensor in state.items() if name not in moved})

    def _restore_unsharded(self, state: dict[str, Tensor]) -> None:
        module = self._engine.module
        with self._whole([parameter for parameter in module.parameters() if not parameter.requires_grad], writes=True):
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
                if name in state:
                    tensor.data.copy_(state[name])

    def _whole(self, parameters: list[nn.Parameter], *, writes: bool = False) -> Any:
        """Gather parameters that stage 3 has sharded."""
        return self._deepspeed.zero.GatheredParameters(
            parameters, modifier_rank=0 if writes else None, enabled=self._stage == 3 and bool(parameters)
        )


def _copies(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _refuse_pickles() -> None:
    """Let its checkpoints hold tensors and three of its own types, and nothing that runs when they are read.

    DeepSpeed reads its files with all that pickle can do; torch can be told to do less, whoever asks.
    """
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    torch.serialization.add_safe_globals([LossScaler, ZeroStageEnum, fragment_address])
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


def import_deepspeed() -> Any:
    """Import DeepSpeed for the device at hand; on a CPU, without the ops that it would compile for a minute."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("DEEPSPEED_LOG_LEVEL", "warning")
    # It calls collectives by names that torch has renamed, once a step and bucket.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed.*")
    import deepspeed

    _refuse_pickles()
    if not torch.cuda.is_available():
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed
