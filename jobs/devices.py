"""Whether a run uses GPUs: decided once for all its workers, by a driver that may have none itself."""

import torch

from cluster.resources import Offer, offered


def uses_gpus(offer: Offer | None = None) -> bool:
    """Return whether workers are to ask for GPUs.

    They are if this process sees one, and also if the cluster has some elsewhere, or may start nodes that have: drivers
    belong on nodes without. A build of torch without CUDA never uses any.
    """
    if torch.version.cuda is None:
        return False
    return torch.cuda.is_available() or (offered() if offer is None else offer).has("GPU")
