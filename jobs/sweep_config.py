"""What the stage `sweep` is asked for."""

from dataclasses import dataclass

from cluster.storage import plain_name
from tuning.proposals import Search
from tuning.sweep import Schedule
from tuning.trial import Objective


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """The search over generator settings; judged on seen classes held out as pseudo-unseen, never on unseen ones."""

    name: str = ""
    """Keep this sweep beside the pipeline's own, in sweeps/NAME; `fit` under the same name uses its winner."""
    space: str = "pading"
    """pading, paper-table-3, lambda-tau, bandwidths, all, or a JSON file: {"generator.tau": {"log": [0.03, 0.5]}}."""
    search: Search = "auto"  # a grid where the space has no more points than there are trials, else tpe
    schedule: Schedule = (
        "asha"  # stops trials after a hold-out on which others did better; fifo: the same run each time
    )
    objective: Objective = "hm"  # of seen and pseudo-unseen query accuracy; ausuc: area under their trade-off curve
    trials: int = 8  # of a grid always all
    concurrent: int = 2
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0  # a fraction lets several trials share one
    timeout_s: float = 0.0  # of one trial, which fails then; 0: none
    holdouts: int = 3  # different hold-outs that a trial's score is the mean of
    holdout_fraction: float = 0.2
    confirm: int = 5
    """Fresh hold-outs, each with a seed of its own, on which the winner has to beat the settings as they are by more
    than chance; if it does not, they stay. 0: the winner is taken as it is."""
    max_feature_rows: int = 1_000_000  # of a larger cache, whole images are drawn; 256 wide, a million rows are 1 GB
    leak_unseen_classes: bool = False
    """Judge trials on the truly unseen classes of val. NOT ZERO-SHOT: marks trials, winner and leaderboard rows."""

    def __post_init__(self) -> None:
        if self.name:
            plain_name(self.name)
        if min(self.trials, self.concurrent, self.holdouts, self.max_feature_rows) < 1:
            raise ValueError("sweep.trials, concurrent, holdouts and max_feature_rows must be at least 1")
        if self.confirm < 0 or self.confirm == 1:
            raise ValueError(f"sweep.confirm is {self.confirm}: compare on at least 2 fresh hold-outs, or on 0")
        if self.cpus_per_trial <= 0 or self.gpus_per_trial < 0 or self.timeout_s < 0:
            raise ValueError("sweep.cpus_per_trial must be positive, gpus_per_trial and timeout_s not negative")
