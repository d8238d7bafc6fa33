"""The frame of a page: one HTML file that asks nothing of the network, light or dark as the reader's system is."""

import html

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


def document(title: str, body: list[str], style: str = "") -> str:
    """Return a page with `body`, which is HTML already, below a heading; `style` is added to the common style."""
    sources = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    policy = f'<meta http-equiv=Content-Security-Policy content="{sources}">'
    viewport = "<meta name=viewport content='width=device-width'>"
    head = f"<meta charset=utf-8>{policy}{viewport}<title>{html.escape(title)}</title>"
    return (
        f"<!doctype html>\n<html lang=en>\n<head>{head}\n<style>{STYLE}{style}</style></head>\n<body>\n"
        + "\n".join([f"<h1>{html.escape(title)}</h1>", *body])
        + "\n</body></html>\n"
    )
