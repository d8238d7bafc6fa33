"""What must never be shown or kept: passwords inside addresses, and the values of the environment's secret variables.

Applied where text leaves a process: error lines, `status.json`, `error.log`, lines about the tracker.
"""

import os
import re
from collections.abc import Mapping

HIDDEN = "***"
SHORTEST = 6  # a shorter value is a word that text holds by chance
IN_ADDRESS = re.compile(r"(://)[^/\s]*@")
SECRET_NAME = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PASS|SECRET|TOKEN|APIKEY|API_KEY|ACCESS_KEY|ACCESS_KEY_ID|PRIVATE_KEY|CREDENTIALS?)$"
)

# Left out of every working directory that is submitted, wherever they lie in it. Patterns of .gitignore.
SECRET_FILES = (
    ".env",
    ".env.*",
    ".netrc",
    ".pypirc",
    ".git-credentials",
    ".aws",
    ".ssh",
    ".kube",
    ".config/gcloud",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "auth_token",
    "credentials",
    "credentials.json",
)


def without_accounts(text: str) -> str:
    """Return a text without user names and passwords in addresses, whatever the environment holds."""
    return IN_ADDRESS.sub(rf"\g<1>{HIDDEN}@", text)


def masked(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a text without user names and passwords in addresses, and without the values of secret variables.

    A variable is secret by its name: what ends in PASSWORD, TOKEN, SECRET and the like.
    """
    text = without_accounts(text)
    for value in sorted(secret_values(environment), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def secret_values(environment: Mapping[str, str]) -> set[str]:
    """Return the values of the variables whose names say that they are secret."""
    return {value for name, value in environment.items() if len(value) >= SHORTEST and SECRET_NAME.search(name.upper())}
