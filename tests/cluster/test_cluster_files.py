import copy
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray.autoscaler
import yaml
from jsonschema import ValidationError, validate

from cluster.resources import Request, read_groups
from cluster.storage import ROOT
from jobs.__main__ import main
from tests.references.cluster_file_rules import (
    RAY_VERSION,
    cluster_spec,
    compose_problems,
    kubernetes_problems,
    launcher_problems,
)

KUBERNETES = sorted((ROOT / "cluster" / "kubernetes").glob("*.yaml"))
LAUNCHERS = sorted((ROOT / "cluster" / "launch").glob("*.yaml"))
COMPOSE = ROOT / "cluster" / "compose" / "compose.yaml"
SCHEMA = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def manifests() -> list[dict[str, Any]]:
    return [document for path in KUBERNETES for document in yaml.safe_load_all(path.read_text())]


def named(documents: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    return next(each for each in documents if each["kind"] == kind and name in ("", each["metadata"]["name"]))


def worker(documents: list[dict[str, Any]], group: int = 1) -> dict[str, Any]:
    return named(documents, "RayCluster")["spec"]["workerGroupSpecs"][group]


def container(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return worker(documents)["template"]["spec"]["containers"][0]


def mlflow(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return named(documents, "Deployment", "mlflow")["spec"]["template"]


def test_our_own_files_break_no_rule() -> None:
    assert kubernetes_problems(manifests()) == []
    assert compose_problems(yaml.safe_load(COMPOSE.read_text())) == []
    assert [launcher_problems(yaml.safe_load(path.read_text())) for path in LAUNCHERS] == [[], []]


ERRORS: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "image None is not pinned": lambda d: container(d).pop("image"),
    "image 'postgres:latest' is not pinned": lambda d: container(d).update(image="postgres:latest"),
    "nodes of 2 images": lambda d: container(d).update(image="pading:0.2.0"),
    "no Secret 'other' with 'auth_token'": lambda d: named(d, "RayCluster")["spec"]["authOptions"].update(
        secretName="other"
    ),
    "no token authentication": lambda d: named(d, "RayJob")["spec"]["rayClusterSpec"].pop("authOptions"),
    "no Secret 'mlflow-secrets' with 'typo'": lambda d: mlflow(d)["spec"]["containers"][0]["env"][0]["valueFrom"][
        "secretKeyRef"
    ].update(key="typo"),
    "AWS_SECRET_ACCESS_KEY in plain text": lambda d: container(d)["env"].append(
        {"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}
    ),
    "its selector does not match its own pods": lambda d: mlflow(d)["metadata"]["labels"].clear(),
    "Service mlflow: selects no pods": lambda d: named(d, "Service", "mlflow")["spec"]["selector"].update(app="x"),
    "Service postgres: no container has a port 'pg'": lambda d: named(d, "Service", "postgres")["spec"]["ports"][
        0
    ].update(targetPort="pg"),
    "asks mlflow:5000: no Service": lambda d: named(d, "Service", "mlflow")["spec"]["ports"][0].update(port=80),
    "a port twice": lambda d: container(d).update(ports=[{"containerPort": 1}, {"containerPort": 1}]),
    "may run as root": lambda d: worker(d)["template"]["spec"].pop("securityContext"),
    "may gain rights": lambda d: container(d).pop("securityContext"),
    "no limits of CPU and memory": lambda d: container(d)["resources"].pop("limits"),
    "no claim 'stroage'": lambda d: worker(d)["template"]["spec"]["volumes"][0]["persistentVolumeClaim"].update(
        claimName="stroage"
    ),
    "no volume 'models'": lambda d: container(d)["volumeMounts"].append({"name": "models", "mountPath": "/m"}),
    "reaches into its host": lambda d: worker(d)["template"]["spec"].update(hostNetwork=True),
    "replicas out of their bounds": lambda d: worker(d).update(minReplicas=9),
    "Ray and Kubernetes count other GPUs": lambda d: worker(d)["rayStartParams"].update({"num-gpus": "2"}),
    "tolerates no GPU node": lambda d: worker(d)["template"]["spec"].pop("tolerations"),
    "PADING_MAY_ADD says other than group 'gpu'": lambda d: worker(d).update(maxReplicas=20),
    "PADING_MAY_ADD does not name the groups that grow": lambda d: worker(d, 0).update(maxReplicas=3),
    "rayVersion 2.9.0": lambda d: named(d, "RayCluster")["spec"].update(rayVersion="2.9.0"),
    "not in namespace pading": lambda d: named(d, "RayJob")["metadata"].pop("namespace"),
    "no NetworkPolicy keeps other namespaces out": lambda d: named(d, "NetworkPolicy")["spec"]["ingress"][0][
        "from"
    ].append({"namespaceSelector": {}}),
}


@pytest.mark.parametrize("message", ERRORS)
def test_a_planted_error_is_found(message: str) -> None:
    documents = copy.deepcopy(manifests())
    ERRORS[message](documents)
    assert [problem for problem in kubernetes_problems(documents) if message in problem]


def test_a_job_starts_the_cluster_that_stays() -> None:
    documents = manifests()
    assert cluster_spec(named(documents, "RayJob")) == cluster_spec(named(documents, "RayCluster"))


def test_what_the_manifests_run_can_be_placed_on_them() -> None:
    """The job's own flags ask for workers that the GPU group has room for."""
    documents = manifests()
    spec = cluster_spec(named(documents, "RayJob"))
    head = spec["headGroupSpec"]["template"]["spec"]["containers"][0]
    (group,) = read_groups(next(each["value"] for each in head["env"] if each["name"] == "PADING_MAY_ADD"))
    entrypoint = named(documents, "RayJob")["spec"]["entrypoint"]
    workers, cpus = (
        int(re.search(rf"--pretrain\.{flag} (\d+)", entrypoint)[1]) for flag in ("workers", "cpus-per-worker")
    )
    asked = Request(resources={"CPU": cpus, "GPU": 1}, count=workers)
    assert asked.count <= group.max_nodes
    assert cpus <= group.resources["CPU"]


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.name)
def test_the_launcher_accepts_its_files(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    validate(document, SCHEMA)
    with pytest.raises(ValidationError):
        validate(document | {"idle_minutes": 5}, SCHEMA)


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("no token", lambda d: d.update(worker_start_ray_commands=["ray start --address=$RAY_HEAD_IP:6379"])),
        ("dashboard is open", lambda d: d.update(head_start_ray_commands=["RAY_AUTH_MODE=token ray start --head"])),
        ("nodes get no token", lambda d: d.update(file_mounts={})),
        ("rsync sends **/.env", lambda d: d["rsync_exclude"].remove("**/.env")),
        (
            "lets ssh in from everywhere",
            lambda d: d["available_node_types"]["gpu"]["node_config"].pop("SecurityGroupIds"),
        ),
        (
            "head belongs on demand",
            lambda d: d["available_node_types"]["gpu"]["node_config"].pop("InstanceMarketOptions"),
        ),
    ],
)
def test_a_planted_error_of_a_launcher_is_found(message: str, change: Callable[[dict[str, Any]], object]) -> None:
    document = yaml.safe_load((ROOT / "cluster" / "launch" / "aws.yaml").read_text())
    change(document)
    assert [problem for problem in launcher_problems(document) if message in problem]


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("port 5000:5000 is open", lambda s: s["mlflow"].update(ports=["5000:5000"])),
        ("answers to every host name", lambda s: s["mlflow"]["command"].pop()),
        ("no token authentication", lambda s: s["ray"]["environment"].pop("RAY_AUTH_MODE")),
        ("POSTGRES_PASSWORD in plain text", lambda s: s["postgres"]["environment"].update(POSTGRES_PASSWORD="x")),
        ("no service 'postgres'", lambda s: s.pop("postgres")),
        ("no volume 'stroage'", lambda s: s["ray"].update(volumes=["stroage:/storage"])),
        ("is not pinned", lambda s: s["postgres"].update(image="postgres")),
    ],
)
def test_a_planted_error_of_the_compose_file_is_found(message: str, change: Callable[[dict[str, Any]], object]) -> None:
    document = yaml.safe_load(COMPOSE.read_text())
    change(document["services"])
    assert [problem for problem in compose_problems(document) if message in problem]


def test_versions_are_those_of_the_project() -> None:
    assert any(each.startswith("ray[") and each.endswith(f"=={RAY_VERSION}") for each in PROJECT["dependencies"])
    files = [*KUBERNETES, *LAUNCHERS, COMPOSE]
    images = {tag for path in files for tag in re.findall(r"pading:([\w.-]+)", path.read_text())}
    assert images == {PROJECT["version"]}


def test_the_image_is_not_root_and_takes_the_pins_of_the_project() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (base,) = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)
    assert [line for line in lines if line.startswith("USER ")] == ["USER ray"]
    assert lines.index("USER ray") > max(
        number for number, line in enumerate(lines) if line.startswith(("RUN", "COPY"))
    )
    copied = {line.split()[2] for line in lines if line.startswith("COPY ")}
    assert copied == {"pyproject.toml", "pading", "cluster", "jobs", "tuning"}
    (script,) = re.findall(r'RUN python -c "(.+)" \\', "\n".join(lines))
    printed = subprocess.run(["python3.11", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == PROJECT["dependencies"]


def test_the_entrypoint_of_the_job_is_a_command_that_exists(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = named(manifests(), "RayJob")["spec"]["entrypoint"].split()
    assert words[0] == "pading"
    words[words.index("--run-dir") + 1] = str(tmp_path / "run")
    main([*words[1:], "--dry-run"])  # this machine need not have room for it
    assert "coco-panoptic" in capsys.readouterr().out
