import os
import socket
import urllib.error
import urllib.request

import pytest
import ray
from ray.util.state import get_actor

from cluster.session import _free_port


@ray.remote(num_cpus=0)
class Asked:
    def state(self) -> str:
        """State of this actor, as the cluster says to those who ask from a worker."""
        return str(get_actor(ray.get_runtime_context().get_actor_id(), timeout=60).state)

    def dashboard(self) -> str:
        return os.environ["RAY_API_SERVER_ADDRESS"]


def test_workers_ask_the_cluster_that_they_are_in(ray_session: None) -> None:
    asked = Asked.remote()
    address = ray.get(asked.dashboard.remote())
    with pytest.raises(urllib.error.HTTPError, match="Unauthorized"):  # it is there, and asks for the token
        urllib.request.urlopen(f"{address}/api/version", timeout=60)
    assert ray.get(asked.state.remote()) == "ALIVE"


def test_a_port_that_is_taken_is_left_to_who_has_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert _free_port(port) != port
    assert _free_port(port) == port
