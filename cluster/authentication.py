"""Token authentication as seen from a client: whether it is on, where the token is, and which clusters go without.

A cluster without it runs the code of anyone who reaches its ports (CVE-2023-48022), so that we join none that others
can reach. Ray itself reads and sends the token; nothing here prints or keeps it.
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
DEFAULT_TOKEN_FILE = ".ray/auth_token"  # in the home directory
OWN = "local"  # Ray's word for a cluster of its own on this machine


def is_token_mode(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether Ray is told to authenticate by token."""
    return environment.get(MODE, "").lower() == "token"


def is_loopback(address: str) -> bool:
    """Return whether an address, with or without scheme and port, can be reached from this machine only."""
    host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_closed_cluster(address: str, environment: Mapping[str, str] = os.environ) -> None:
    """Check, before anything is sent to a cluster, that it is one that authenticates, or one of this machine alone.

    Raises:
        ValueError: if the cluster can be reached by others and token authentication is off here.
    """
    if address == OWN or is_loopback(address) or is_token_mode(environment):
        return
    raise ValueError(
        f"the Ray cluster {address!r} can be reached from other machines and {MODE} is not 'token': whoever reaches it "
        f"could run code on it; start it with {MODE}=token and a token (`ray get-auth-token --generate`), and set both here"
    )


def require_token(environment: Mapping[str, str] = os.environ) -> None:
    """Check that token authentication is on and that there is a token to send.

    Raises:
        ValueError: if it is off, or no token is found where Ray looks.
    """
    if not is_token_mode(environment):
        found = environment.get(MODE, "not set")
        raise ValueError(f"{MODE} is {found}: without it no token is sent; set {MODE}=token, as on the cluster")
    if environment.get(TOKEN):
        return
    file = Path(environment.get(TOKEN_PATH) or Path.home() / DEFAULT_TOKEN_FILE)
    if not file.is_file() or not file.read_text().strip():
        raise ValueError(
            f"no token: {TOKEN} is not set and {file} is no file with a token; "
            "take the cluster's token, or make one for it with `ray get-auth-token --generate`"
        )
