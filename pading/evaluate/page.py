"""The frame of a page: one HTML file that asks nothing of the network, light or dark as the reader's system is."""

import base64
import hashlib
import html
import json
from typing import Any

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --faint: #6b7280; --rule: #e3e5e8; --best: #0b6e4f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --paper: #15171a; --faint: #9aa2ad; --rule: #2b2f36; --best: #4fd1a1; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; color: var(--faint); }
.best { font-weight: 700; color: var(--best); }
.warning { font-weight: 700; }
small, figcaption { color: var(--faint); }
figure { margin: 1rem 0; }
"""


def document(title: str, body: list[str], style: str = "", script: str = "") -> str:
    """Return a page with `body`, which is HTML already, below a heading; `style` is added to the common style.

    The page may run `script` and no other: its digest is in the page's own security policy.
    """
    sources = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        sources += f"; script-src 'sha256-{digest}'"
    policy = f'<meta http-equiv=Content-Security-Policy content="{sources}">'
    viewport = "<meta name=viewport content='width=device-width'>"
    head = f"<meta charset=utf-8>{policy}{viewport}<title>{html.escape(title)}</title>"
    return (
        f"<!doctype html>\n<html lang=en>\n<head>{head}\n<style>{STYLE}{style}</style></head>\n<body>\n"
        + "\n".join([f"<h1>{html.escape(title)}</h1>", *body, *([f"<script>{script}</script>"] if script else [])])
        + "\n</body></html>\n"
    )


def data_block(name: str, value: Any) -> str:
    """Return data for the page's script; nothing in it can end the block or be read as markup."""
    text = json.dumps(value, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"<script type=application/json id={name}>{text}</script>"
