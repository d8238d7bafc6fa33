import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.resources import MAY_ADD, Group, Offer, Request, offered, read_groups, shortfall

TWO_NODES = Offer(place="the cluster", nodes=(("", {"CPU": 4}), ("", {"CPU": 4, "GPU": 1})))
GPU_NODES = Group(name="gpu", max_nodes=2, resources={"CPU": 16, "GPU": 1})


@pytest.mark.parametrize(
    ("requests", "missing"),
    [
        ([], ""),
        ([Request(resources={"CPU": 4}, count=2)], ""),
        ([Request(resources={"CPU": 3}, count=3)], "3 x (3 CPU) asked, room for 2"),  # a share must fit on one node
        ([Request(resources={"CPU": 8})], "1 x (8 CPU) asked, room for 0"),
        ([Request(resources={"CPU": 1, "GPU": 1}, count=2)], "2 x (1 CPU, 1 GPU) asked, room for 1"),
        ([Request(resources={"CPU": 0.1}, count=80)], ""),  # ten tenths make one
        ([Request(resources={"CPU": 0.1}, count=81)], "81 x (0.1 CPU) asked, room for 80"),
        ([Request(resources={"CPU": 4}, count=2), Request(resources={"CPU": 1})], "1 x (1 CPU) asked, room for 0"),
        ([Request(resources={"driver": 1})], "1 x (1 driver) asked, room for 0"),
        ([Request(resources={"CPU": 0}, count=9)], ""),
    ],
)
def test_shares_go_where_they_fit(requests: list[Request], missing: str) -> None:
    assert shortfall(requests, TWO_NODES) == missing


def test_nodes_that_may_be_started_count_less_those_that_were() -> None:
    wish = [Request(resources={"GPU": 1}, count=3)]
    nothing = Offer(place="", nodes=(("", {"CPU": 1}),), groups=(GPU_NODES,))
    assert nothing.has("GPU")
    assert shortfall(wish, nothing) == "3 x (1 GPU) asked, room for 2"
    one_started = Offer(place="", nodes=(("gpu", {"CPU": 16, "GPU": 1}),), groups=(GPU_NODES,))
    assert shortfall(wish, one_started) == "3 x (1 GPU) asked, room for 2"
    other = Offer(place="", nodes=(("other", {"GPU": 1}),), groups=(GPU_NODES,))
    assert shortfall(wish, other) == ""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=5), st.integers(1, 4), st.integers(0, 20))
def test_equal_shares_are_placed_exactly_when_the_nodes_have_room(nodes: list[int], share: int, count: int) -> None:
    offer = Offer(place="", nodes=tuple(("", {"CPU": float(cpus)}) for cpus in nodes))
    room = sum(cpus // share for cpus in nodes)
    assert (shortfall([Request(resources={"CPU": share}, count=count)], offer) == "") == (count <= room)


def test_groups_are_read_from_json() -> None:
    assert read_groups("[]") == ()
    text = json.dumps([{"name": "gpu", "max_nodes": 2, "resources": {"CPU": 16, "GPU": 1}}])
    assert read_groups(text) == (GPU_NODES,)


@pytest.mark.parametrize(
    "text", ["", "{", "3", "[3]", '[{"name": "gpu"}]', '[{"name": "g", "max_nodes": -1, "resources": {}}]']
)
def test_groups_that_are_none_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=rf"{MAY_ADD} is no list of node groups .*; give \[{{\"name\": \"gpu\""):
        read_groups(text)


def test_the_cluster_of_a_session_is_asked(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAY_ADD, json.dumps([{"name": "gpu", "max_nodes": 2, "resources": {"GPU": 1}}]))
    offer = offered()
    assert offer.total("CPU") == 2
    assert str(offer) == "the cluster: 1 nodes with 2 CPU; may grow to 2 of 'gpu'"
    assert shortfall([Request(resources={"CPU": 1}, count=3)], offer) == "3 x (1 CPU) asked, room for 2"
