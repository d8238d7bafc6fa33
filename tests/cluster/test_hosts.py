"""The hosts that other tests run clusters on are separate, can be cut off, and leave nothing behind."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.hosts import Host, Network, network

ANSWER = "import socket; s = socket.create_server(('', 7000)); s.accept()[0].sendall(b'hello')"
ASK = "import socket, sys; print(socket.create_connection((sys.argv[1], 7000), 2).recv(9).decode())"


@pytest.fixture
def pair(several_hosts: None) -> Iterator[Network]:
    with network("left", "right") as made:
        yield made


def ask(host: Host | None, name: str) -> str:
    """Return what a server says to a host, or to this machine."""
    words = [sys.executable, "-S", "-c", ASK, name]
    done = host.run(words) if host else subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def answer(host: Host) -> None:
    """Start a server that answers once, and wait for it."""
    host.start([sys.executable, "-S", "-c", ANSWER], host.folder / "server.log")
    host.run(["sh", "-c", "until ss -Hltn sport = :7000 | grep -q .; do sleep 0.05; done"], timeout=30)


def test_a_host_is_known_by_its_name_and_reached_by_its_address(pair: Network) -> None:
    left, right = pair.hosts
    assert left.run(["hostname"]).stdout.strip() == "left"
    answer(right)
    assert ask(left, "right") == "hello"
    answer(right)
    assert ask(None, right.address) == "hello"
    late = pair.add("late")
    answer(late)
    assert ask(left, "late") == "hello"


def test_hosts_have_processes_shared_memory_and_sockets_of_their_own(pair: Network) -> None:
    left, right = pair.hosts
    left.run(["sh", "-c", "echo mine > /dev/shm/hosts-test; echo mine > /tmp/ray/hosts-test"], check=True)
    for elsewhere in (right.run, subprocess.run):
        assert elsewhere(["sh", "-c", "! test -e /dev/shm/hosts-test && ! test -e /tmp/ray/hosts-test"]).returncode == 0
    assert left.run(["sh", "-c", "ls -d /proc/[0-9]*"]).stdout.split()[0] == "/proc/1"
    assert len(left.run(["sh", "-c", "ls -d /proc/[0-9]*"]).stdout.split()) < 6


def test_a_host_that_is_cut_off_is_silent_until_it_joins_again(pair: Network) -> None:
    left, right = pair.hosts
    answer(right)
    pair.cut(right)
    assert "timed out" in ask(left, "right") or "No route to host" in ask(left, "right")
    pair.rejoin(right)
    deadline = time.monotonic() + 30
    while (heard := ask(left, "right")) != "hello" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert heard == "hello"


def test_a_killed_host_takes_its_daemons_along(pair: Network) -> None:
    left, right = pair.hosts
    left.run(["sh", "-c", "setsid sleep 1234.5 >/dev/null 2>&1 &"], check=True)
    daemons = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "1234.5"]]
    assert len(daemons) == 1
    left.kill()
    assert not daemons[0].is_running()
    assert right.run(["hostname"]).stdout.strip() == "right"


def test_hosts_end_with_the_process_that_made_them(several_hosts: None) -> None:
    script = (
        "import os, sys\n"
        "from tests.cluster.hosts import network\n"
        "with network('orphan') as made:\n"
        "    print(made.hosts[0].pid, made.hosts[0].folder.parent, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    pid, folder = done.stdout.split()
    try:
        psutil.wait_procs([psutil.Process(int(pid))] if psutil.pid_exists(int(pid)) else [], timeout=10)
        assert not psutil.pid_exists(int(pid))
    finally:
        subprocess.run(["rm", "-r", folder], check=True)


def test_two_networks_stand_side_by_side_and_leave_nothing(pair: Network) -> None:
    with network("left") as other:
        cable = Path("/sys/class/net", f"pading{other.hosts[0].address.split('.')[2]}")
        assert cable.exists()
        answer(other.hosts[0])
        assert "refused" in ask(None, pair.hosts[0].address)  # of the same name, elsewhere
        assert ask(None, other.hosts[0].address) == "hello"
    assert not cable.exists()
    assert not other.folder.exists()
