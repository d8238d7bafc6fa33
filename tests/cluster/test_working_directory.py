import zipfile
from pathlib import Path

import pytest
from ray._private.ray_constants import get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import create_package

from cluster.secrets import SECRET_FILES
from cluster.storage import ROOT
from cluster.working_directory import LIMIT_BYTES, packed_files, require_sendable

SECRETS = (".env", "keys/id_rsa", "keys/id_ed25519.pub", "deep/down/server.pem", ".aws/credentials", ".ray/auth_token")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("code.py", "package/__init__.py", "package/module.py", ".git/config", "runs/weights.bin", *SECRETS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("package/module.py\n")
    (tmp_path / ".rayignore").write_text("runs\n")
    return tmp_path


def test_what_is_judged_is_what_ray_packs(project: Path, tmp_path: Path) -> None:
    target = tmp_path.with_suffix(".zip")
    excludes = [*get_runtime_env_default_excludes(), *SECRET_FILES]
    create_package(str(project), target, include_gitignore=True, excludes=excludes)
    with zipfile.ZipFile(target) as archive:
        packed = {name for name in archive.namelist() if not name.endswith("/")}
    target.unlink()
    assert packed == {str(path.relative_to(project)) for path in packed_files(project)}
    assert packed == {"code.py", "package/__init__.py", ".gitignore", ".rayignore"}


def test_a_folder_that_is_too_large_is_refused_with_its_largest_files(project: Path) -> None:
    assert require_sendable(project) < 1000
    (project / "package" / "photos.bin").write_bytes(bytes(3 * 2**20))
    with pytest.raises(
        ValueError, match=r"packs 5 files of 3\.0 MiB, the limit is 1\.0 MiB; the largest are package/ph"
    ):
        require_sendable(project, limit_bytes=2**20)
    (project / ".rayignore").write_text("runs\n*.bin\n")
    require_sendable(project, limit_bytes=2**20)


def test_the_limit_is_that_of_the_dashboard() -> None:
    assert LIMIT_BYTES == 100 * 2**20


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none: no such folder; give the one that holds the code"):
        packed_files(tmp_path / "none")


def test_this_project_sends_its_packages_and_little_else() -> None:
    sent = {path.relative_to(ROOT).as_posix() for path in packed_files(ROOT)}
    assert {"jobs/full_pipeline.py", "jobs/estimates.json", "pading/classes.py", "pyproject.toml"} <= sent
    assert {name.split("/")[0] for name in sent if "/" in name} == {"pading", "cluster", "jobs", "tuning"}
    assert not any(name.endswith((".yaml", ".pem")) for name in sent)
    assert require_sendable(ROOT) < 5 * 2**20
