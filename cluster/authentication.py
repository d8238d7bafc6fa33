"""Token authentication as seen from a client: whether it is on, where the token is, and which clusters go without.

A cluster without it runs the code of anyone who reaches its ports (CVE-2023-48022), so that we join none that others
can reach. The token is looked for where Ray looks, and never printed.
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
        f"could run code on it; start it with {MODE}=token and a token (`ray get-auth-token --generate`); set both here"
    )


def find_token(environment: Mapping[str, str] = os.environ) -> str:
    """Return the token to send, from the variable, the file that a variable names, or the one in the home directory.

    Raises:
        ValueError: if token authentication is off, so that Ray itself would send none, or there is no token.
    """
    if not is_token_mode(environment):
        found = environment.get(MODE, "not set")
        raise ValueError(f"{MODE} is {found}: without it no token is sent; set {MODE}=token, as on the cluster")
    if environment.get(TOKEN):
        return environment[TOKEN]
    file = Path(environment.get(TOKEN_PATH) or Path.home() / DEFAULT_TOKEN_FILE)
    token = file.read_text().strip() if file.is_file() else ""
    if not token:
        raise ValueError(
            f"no token: {TOKEN} is not set and {file} is no file with a token; "
            "take the cluster's token, or make one for it with `ray get-auth-token --generate`"
        )
    return token
