"""What a cluster has, or may grow to, and whether a request fits on it."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ray
from ray._private.accelerators import NvidiaGPUAcceleratorManager
from ray._private.utils import get_num_cpus

from cluster.session import connect

Resources = Mapping[str, float]
MAY_ADD = "PADING_MAY_ADD"  # Ray cannot be asked what its autoscaler may start; the files of a cluster say it by this


@dataclass(frozen=True, kw_only=True)
class Request:
    """Equal shares, each of which must fit on one node, all at the same time."""

    resources: Resources
    count: int = 1

    def __str__(self) -> str:
        each = ", ".join(f"{amount:g} {name}" for name, amount in sorted(self.resources.items()))
        return f"{self.count} x ({each})"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Nodes that an autoscaler may start: what one has, and how many there may be at once."""

    name: str
    resources: Resources
    max_nodes: int


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The nodes there are, by the group that they belong to ("" for none), and the groups that may grow."""

    place: str
    nodes: tuple[tuple[str, Resources], ...]
    groups: tuple[Group, ...] = ()

    def total(self, name: str) -> float:
        """Return how much of a resource the nodes have together."""
        return sum(resources.get(name, 0) for _, resources in self.nodes)

    def has(self, name: str) -> bool:
        """Return whether a node has a resource, or one that may be started."""
        return self.total(name) > 0 or any(group.resources.get(name, 0) > 0 for group in self.groups)

    def grown(self) -> list[Resources]:
        """Return every node there is and every node that may still be started."""
        present = [group for group, _ in self.nodes]
        more = [
            group.resources for group in self.groups for _ in range(max(group.max_nodes - present.count(group.name), 0))
        ]
        return [*(resources for _, resources in self.nodes), *more]

    def __str__(self) -> str:
        counted = ", ".join(f"{self.total(name):g} {name}" for name in ("CPU", "GPU") if self.total(name))
        growth = "".join(f"; may grow to {group.max_nodes} of {group.name!r}" for group in self.groups)
        return f"{self.place}: {len(self.nodes)} nodes with {counted or 'no CPU'}{growth}"


def offered() -> Offer:
    """Return what the cluster that a run would join has; where it would join none, what this machine has.

    Raises:
        ValueError: if the variable that says what may be added is no list of groups, or the cluster is open to others.
    """
    groups = read_groups(os.environ.get(MAY_ADD, "[]"))
    if not ray.is_initialized() and "RAY_ADDRESS" not in os.environ:
        gpus = NvidiaGPUAcceleratorManager.get_current_node_num_accelerators()
        return Offer(place="this machine", nodes=(("", {"CPU": get_num_cpus(), "GPU": gpus}),), groups=groups)
    connect()
    alive = [node for node in ray.nodes() if node["Alive"]]
    nodes = tuple((node.get("Labels", {}).get("ray.io/node-group", ""), node["Resources"]) for node in alive)
    return Offer(place="the cluster", nodes=nodes, groups=groups)


def read_groups(text: str) -> tuple[Group, ...]:
    """Return groups from JSON such as `[{"name": "gpu", "max_nodes": 4, "resources": {"CPU": 16, "GPU": 1}}]`.

    Raises:
        ValueError: if it is not that.
    """
    try:
        groups = tuple(Group(**group) for group in json.loads(text))
        for group in groups:
            if group.max_nodes < 0 or any(amount < 0 for amount in group.resources.values()):
                raise ValueError(f"group {group.name!r} has a negative number")
    except (ValueError, TypeError, AttributeError) as error:
        form = '[{"name": "gpu", "max_nodes": 4, "resources": {"CPU": 16, "GPU": 1}}]'
        raise ValueError(f"{MAY_ADD} is no list of node groups ({error}); give {form}") from error
    return groups


def shortfall(requests: Sequence[Request], offer: Offer) -> str:
    """Return why requests cannot be placed together, or nothing if they can.

    Shares go, the largest first, to the first node with room, as many as fit: exact for equal shares.
    """
    free = [dict(resources) for resources in offer.grown()]
    for request in sorted(requests, key=lambda request: -sum(request.resources.values())):
        left = request.count
        for node in free:
            fitting = min(_times(request.resources, node), left)
            for name, amount in request.resources.items():
                node[name] = node.get(name, 0) - fitting * amount
            left -= fitting
        if left:
            return f"{request} asked, room for {request.count - left}"
    return ""


def _times(resources: Resources, node: Resources) -> int:
    """Return how often resources fit into a node; Ray counts in ten-thousandths."""
    ratios = [(node.get(name, 0) + 1e-9) / amount for name, amount in resources.items() if amount > 0]
    return math.floor(min(ratios)) if ratios else 2**31
