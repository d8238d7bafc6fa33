"""Who may import whom, and how large a file may grow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EDGE = {"ray", "deepspeed", "mlflow", "open_clip", "tyro", "huggingface_hub"}
FORBIDDEN = {
    "pading": EDGE | {"cluster", "jobs", "tuning", "torchvision", "transformers"},
    "cluster": {"pading", "jobs", "tuning", "torch", "deepspeed", "open_clip"},
    "tuning": {"jobs", "deepspeed", "mlflow", "open_clip"},
    "jobs": set(),
}
ONE_DOOR = {
    "deepspeed": {"jobs/zero.py"},
    "huggingface_hub": {"jobs/hub.py"},
    "matplotlib": {"jobs/diagnosis_pictures.py", "jobs/diagnosis_plane.py"},
    "mlflow": {"cluster/tracking.py"},
    "open_clip": {"jobs/clip.py"},
    "panopticapi": {"jobs/official_tools.py"},
    "pycocotools": {"pading/data/coco/masks.py", "jobs/official_tools.py"},
    "sklearn": {"jobs/tsne.py"},
    "simplejpeg": {"pading/data/jpeg.py"},
    "cv2": {f"pading/data/views/{name}.py" for name in ("batch", "colour", "labels", "resample")} | {"jobs/video.py"},
    "timm": {"pading/segmenter/timm_backbone.py"},
}
CORE_INSIDE = {  # sub-packages of the core that a sub-package must not know
    "pading/data": {"pading.segmenter", "pading.zeroshot", "pading.evaluate", "pading.shapes"},
    "pading/segmenter": {"pading.zeroshot", "pading.evaluate", "pading.shapes"},
    "pading/zeroshot": {"pading.evaluate", "pading.shapes", "pading.regions"},
    "pading/evaluate": {"pading.regions"},
    "pading/regions": {"pading.zeroshot", "pading.shapes"},
    "pading/shapes": {"pading.segmenter", "pading.zeroshot", "pading.evaluate"},
}
FILES = [path for room in FORBIDDEN for path in sorted((ROOT / room).rglob("*.py"))]


def imported_names(source: str) -> set[str]:
    """Return every module that a source imports, dotted."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def violations(path: str, source: str) -> list[str]:
    """Return what a file imports against the rules."""
    names = imported_names(source)
    tops = {name.split(".")[0] for name in names}
    found = [f"{path} imports {name}" for name in sorted(tops & FORBIDDEN[path.split("/")[0]])]
    found += [f"{path} imports {name}" for name, doors in ONE_DOOR.items() if name in tops and path not in doors]
    for room, unknown in CORE_INSIDE.items():
        if path.startswith(room + "/"):
            found += [f"{path} imports {name}" for name in sorted(names) for far in unknown if name.startswith(far)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    assert violations(path.relative_to(ROOT).as_posix(), path.read_text()) == []


def test_a_planted_import_is_caught() -> None:
    assert violations("pading/planted.py", "import ray") == ["pading/planted.py imports ray"]
    assert violations("jobs/planted.py", "import deepspeed") == ["jobs/planted.py imports deepspeed"]
    assert violations("jobs/planted.py", "from huggingface_hub import snapshot_download") == [
        "jobs/planted.py imports huggingface_hub"
    ]
    assert violations("pading/planted.py", "import timm") == ["pading/planted.py imports timm"]
    assert violations("pading/data/planted.py", "from pading.segmenter.matcher import match") == [
        "pading/data/planted.py imports pading.segmenter.matcher"
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_holds_two_ideas(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_the_core_reads_no_environment_and_opens_no_socket() -> None:
    for path in sorted((ROOT / "pading").rglob("*.py")):
        source = path.read_text()
        assert "environ" not in source, path
        assert not {"socket", "torch.distributed"} & imported_names(source), path


def test_importing_the_whole_core_loads_nothing_of_the_edge() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "pading").rglob("*.py"))
    ]
    late = sorted(EDGE | {"timm", "torchvision"})
    script = (
        f"import sys\nfor name in {modules!r}:\n    __import__(name)\nprint(sorted(set({late!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
