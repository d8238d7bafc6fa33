"""Several hosts on one machine: each has a network, host name, process table, shared memory and `/tmp/ray` of its own.

They share files, as hosts with common storage do. A host lives as long as the process that made it holds a pipe to its
first process; with that process end all others of the host, its network and its mounts, so that nothing is left behind
however a test ends. A switch, which is a namespace too, joins them by cables, and this machine has a cable to it.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psutil

SUBNETS = range(1, 255)
LOCAL_NETWORK = ["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
READY = "ready"
# The shell stays: as first process of its table it takes in what `ray start` leaves, and it ends with its input.
WAIT = f"ip link set lo up && echo {READY} && cat; exit 0"
OWN_MOUNTS = """set -e
hostname "$1"
mount --bind "$2/hosts" /etc/hosts
mount -t tmpfs tmpfs /dev/shm
mount --bind "$2/$1/ray" /tmp/ray
"""
SOCKETS = Path("/tmp/ray")  # where Ray keeps a node's sockets, logs and code


class Namespace:
    """A first process in namespaces of its own; more can be started beside it."""

    def __init__(self, script: str, *words: str) -> None:
        self.process = subprocess.Popen(
            ["unshare", *LOCAL_NETWORK, "sh", "-c", script + WAIT, "sh", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt of the tests ends it through its input
        )
        self._started: list[subprocess.Popen] = []
        assert self.process.stdout
        if self.process.stdout.readline().strip() != READY:
            raise OSError(f"no namespaces: {self.process.communicate()[1].strip()[-300:]}")

    @property
    def pid(self) -> int:
        """Process on this machine that is in the namespaces."""
        return self.process.pid

    def command(self, words: Sequence[str | Path]) -> list[str]:
        """Return what to run here for these words to run there."""
        space = f"/proc/{self.pid}/ns"
        places = {"net": "net", "mount": "mnt", "uts": "uts", "pid": "pid_for_children"}
        return ["nsenter", *(f"--{kind}={space}/{name}" for kind, name in places.items()), *map(str, words)]

    def run(self, words: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command there to its end, with its output as text."""
        return subprocess.run(self.command(words), capture_output=True, text=True, **options)

    def start(
        self, words: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen:
        """Start a command there, in the folder of its log."""
        with log.open("a") as output:
            process = subprocess.Popen(
                self.command(words),
                cwd=log.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def kill(self) -> None:
        """End all processes there at once and wait until they are gone, and the network with them."""
        if self.process.poll() is None:
            for first in psutil.Process(self.pid).children():
                first.kill()
        self.process.communicate()  # the first process is gone only after all others of its table
        for process in self._started:
            process.wait()


class Host(Namespace):
    """A host in a network: its name, which the others know, its address, and a folder for its logs."""

    def __init__(self, name: str, address: str, folder: Path) -> None:
        self.name, self.address, self.folder = name, address, folder / name
        (self.folder / "ray").mkdir(parents=True)
        SOCKETS.mkdir(exist_ok=True)
        super().__init__(OWN_MOUNTS, name, str(folder))


class Network:
    """Hosts at one switch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: list[Host] = []
        self._names = folder / "hosts"
        self._names.write_text("127.0.0.1 localhost\n")
        self._switch = Namespace("")
        self._cable, self._subnet = _free_cable(self._switch.pid)
        self._at_switch("link", "add", "switch", "type", "bridge")
        self._at_switch("link", "set", "switch", "up")
        self._at_switch("link", "set", "uplink", "master", "switch", "up")
        _ip("address", "add", f"{self._subnet}.1/24", "dev", self._cable)
        _ip("link", "set", self._cable, "up")

    def add(self, name: str) -> Host:
        """Add a host that this machine and the other hosts reach by its address, and the other hosts by its name."""
        address = f"{self._subnet}.{len(self.hosts) + 2}"
        with self._names.open("a") as names:  # all hosts have mounted this file
            names.write(f"{address} {name}\n")
        host = Host(name, address, self.folder)
        self.hosts.append(host)
        self._at_switch("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        self._at_switch("link", "set", name, "master", "switch", "up")
        host.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"], check=True)
        host.run(["ip", "link", "set", "eth0", "up"], check=True)
        return host

    def cut(self, host: Host) -> None:
        """Pull a host's cable: its processes go on, and nobody hears from them, not even that they are gone."""
        self._at_switch("link", "set", host.name, "down")

    def rejoin(self, host: Host) -> None:
        """Plug a host's cable in again; the others try it again within seconds."""
        self._at_switch("link", "set", host.name, "up")

    def close(self) -> None:
        """End all hosts and the switch; the cables between them go in a while, the one to this machine at once."""
        subprocess.run(["ip", "link", "delete", self._cable], check=False, capture_output=True)
        for space in (*self.hosts, self._switch):
            space.kill()

    def _at_switch(self, *words: str) -> None:
        at_switch = ["nsenter", f"--net=/proc/{self._switch.pid}/ns/net"]  # a cable's other end is named by our pids
        subprocess.run([*at_switch, "ip", *words], check=True, capture_output=True)


@contextlib.contextmanager
def network(*names: str) -> Iterator[Network]:
    """Make hosts of these names, joined by a switch, and end them.

    Raises:
        OSError: if this process may not, or the tools are missing; `why_no_hosts` tells before.
    """
    folder = Path(tempfile.mkdtemp(prefix="hosts-", dir="/tmp"))
    try:
        made = Network(folder)
        try:
            for name in names:
                made.add(name)
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(folder)


@cache
def why_no_hosts() -> str:
    """Return why no hosts can be made here; nothing if they can."""
    missing = [tool for tool in ("ip", "unshare", "nsenter", "mount", "hostname") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not installed (apt-get install iproute2 util-linux)"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    try:
        with network("one"):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces are not allowed here ({error})"


def _free_cable(pid: int) -> tuple[str, str]:
    """Plug a cable between this machine and a switch; its name, which only one network can have, gives the subnet."""
    for number in SUBNETS:
        name = f"pading{number}"
        taken = Path("/sys/class/net", name)
        if taken.exists():
            continue
        try:
            _ip("link", "add", name, "type", "veth", "peer", "name", "uplink", "netns", str(pid))
        except subprocess.CalledProcessError:
            if taken.exists():  # another process was faster
                continue
            raise
        return name, f"10.213.{number}"
    raise OSError("all networks 10.213.N.0/24 are taken")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
