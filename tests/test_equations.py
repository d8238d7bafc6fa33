"""What docs/equations.md points at exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "equations.md").read_text()
SPANS = re.findall(r"`([^`]+)`", PAGE)
FUNCTIONS = [span.split(":") for span in SPANS if re.fullmatch(r"\w[\w/]*\.py:\w+", span)]
TESTS = [span.split("::") for span in SPANS if re.fullmatch(r"\w+\.py::\w+", span)]


def defined_in(path: Path) -> set[str]:
    """Return the functions and classes at the top of a file."""
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def test_every_function_of_the_page_exists() -> None:
    missing = [f"{path}:{name}" for path, name in FUNCTIONS if name not in defined_in(ROOT / path)]
    assert len(FUNCTIONS) > 15
    assert not missing


def test_every_test_of_the_page_exists() -> None:
    files = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
    missing = [f"{file}::{name}" for file, name in TESTS if file not in files or name not in defined_in(files[file])]
    assert len(TESTS) > 25
    assert not missing


def test_every_row_of_a_table_has_a_function_and_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| profile")]
    assert len(rows) > 15
    assert [row for row in rows if ".py:" not in row.split("|")[2] or "::" not in row.split("|")[3]] == []
