"""What the files that start clusters must obey: a list of problems for a set of documents, empty where there are none.

Kubernetes' own schema is not repeated here; these are the mistakes that it lets pass, and what this project promises.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
RAY_VERSION = "2.60.0"
NAMESPACE = "pading"
OUTSIDE_SECRETS = {
    "ray-token": {"auth_token"},
    "mlflow-secrets": {"postgres-password", "objects-user", "objects-password"},
}
PINNED = re.compile(r"^[\w./-]+:(?!latest)[\w.-]+$")


def kubernetes_problems(documents: list[Document]) -> list[str]:
    """Return what is wrong with a set of manifests that is applied together."""
    return list(_kubernetes(documents))


def _kubernetes(documents: list[Document]) -> Iterator[str]:
    claims = {each["metadata"]["name"] for each in documents if each["kind"] == "PersistentVolumeClaim"}
    services = {each["metadata"]["name"]: each for each in documents if each["kind"] == "Service"}
    workloads = [each for each in documents if each["kind"] in ("Deployment", "StatefulSet")]
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] != "Namespace" and document["metadata"].get("namespace") != NAMESPACE:
            yield f"{name}: not in namespace {NAMESPACE}"
        for pod in pods_of(document):
            yield from (f"{name}: {problem}" for problem in _pod(pod, claims))
        if document["kind"] in ("RayCluster", "RayJob"):
            yield from (f"{name}: {problem}" for problem in _ray(cluster_spec(document)))
    for workload in workloads:
        labels = workload["spec"]["template"]["metadata"]["labels"]
        if not workload["spec"]["selector"]["matchLabels"].items() <= labels.items():
            yield f"{workload['metadata']['name']}: its selector does not match its own pods"
    for name, service in services.items():
        matched = [each for each in workloads if _selects(service["spec"]["selector"], each)]
        if not matched:
            yield f"Service {name}: selects no pods"
        named = {port["name"] for each in matched for port in _ports(each["spec"]["template"]["spec"])}
        yield from (
            f"Service {name}: no container has a port {port['targetPort']!r}"
            for port in service["spec"]["ports"]
            if port["targetPort"] not in named
        )
    yield from _addresses(documents, services)
    if not any(is_closed(each) for each in documents if each["kind"] == "NetworkPolicy"):
        yield "no NetworkPolicy keeps other namespaces out of every pod"


def pods_of(document: Document) -> list[Document]:
    """Return the pod specifications of a document."""
    if document["kind"] in ("Deployment", "StatefulSet"):
        return [document["spec"]["template"]["spec"]]
    if document["kind"] in ("RayCluster", "RayJob"):
        spec = cluster_spec(document)
        return [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]
    return []


def cluster_spec(document: Document) -> Document:
    """Return the specification of a Ray cluster, which a job carries within its own."""
    return document["spec"] if document["kind"] == "RayCluster" else document["spec"]["rayClusterSpec"]


def is_closed(policy: Document) -> bool:
    """Return whether a policy holds for every pod and lets in pods of its namespace only."""
    spec = policy["spec"]
    sources = [source for rule in spec.get("ingress", []) for source in rule.get("from", [{}])]
    own = all(set(source) == {"podSelector"} for source in sources) and bool(sources)
    return spec["podSelector"] == {} and "Ingress" in spec["policyTypes"] and own


def _pod(pod: Document, claims: set[str]) -> Iterator[str]:
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "may run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    if pod.get("hostNetwork") or pod.get("hostPID") or any("hostPath" in volume for volume in pod.get("volumes", [])):
        yield "reaches into its host"
    volumes = {volume["name"] for volume in pod.get("volumes", [])} | {"data"}  # `data` is a StatefulSet's own claim
    for volume in pod.get("volumes", []):
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim and claim not in claims:
            yield f"no claim {claim!r}"
    for container in pod["containers"]:
        yield from (f"container {container['name']}: {problem}" for problem in _container(container, volumes))


def _container(container: Document, volumes: set[str]) -> Iterator[str]:
    if not PINNED.match(container.get("image", "")):
        yield f"image {container.get('image')!r} is not pinned"
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("capabilities") != {"drop": ["ALL"]}:
        yield "may gain rights"
    if not all({"cpu", "memory"} <= set(container.get("resources", {}).get(key, {})) for key in ("requests", "limits")):
        yield "no limits of CPU and memory"
    ports = [port["containerPort"] for port in container.get("ports", [])]
    if len(set(ports)) < len(ports):
        yield "a port twice"
    yield from (f"no volume {m['name']!r}" for m in container.get("volumeMounts", []) if m["name"] not in volumes)
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference and reference["key"] not in OUTSIDE_SECRETS.get(reference["name"], ()):
            yield f"no Secret {reference['name']!r} with {reference['key']!r}"
        if "value" in variable and re.search(r"(PASSWORD|SECRET|TOKEN|KEY)$", variable["name"]):
            yield f"{variable['name']} in plain text"


def _ray(spec: Document) -> Iterator[str]:
    if spec["rayVersion"] != RAY_VERSION:
        yield f"rayVersion {spec['rayVersion']}, the project pins {RAY_VERSION}"
    authentication = spec.get("authOptions", {})
    if authentication.get("mode") != "token":
        yield "no token authentication"
    if "auth_token" not in OUTSIDE_SECRETS.get(authentication.get("secretName"), ()):
        yield f"no Secret {authentication.get('secretName')!r} with 'auth_token'"
    images = {container["image"] for pod in _ray_pods(spec) for container in pod["containers"] if "image" in container}
    if len(images) > 1:
        yield f"nodes of {len(images)} images"
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    for name, group in groups.items():
        if not 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]:
            yield f"group {name}: replicas out of their bounds"
        (container,) = group["template"]["spec"]["containers"]
        gpus = container["resources"].get("limits", {}).get("nvidia.com/gpu", "0")
        if group["rayStartParams"].get("num-gpus", "0") != gpus:
            yield f"group {name}: Ray and Kubernetes count other GPUs"
        if gpus != "0" and not group["template"]["spec"].get("tolerations"):
            yield f"group {name}: tolerates no GPU node"
    for container in (pod["containers"][0] for pod in _ray_pods(spec)):
        yield from _growth(container, groups)


def _growth(container: Document, groups: Document) -> Iterator[str]:
    said = next((each["value"] for each in container.get("env", []) if each["name"] == "PADING_MAY_ADD"), "[]")
    grows = {name for name, group in groups.items() if group["maxReplicas"] > group["minReplicas"]}
    listed = json.loads(said)
    if {each["name"] for each in listed} != grows:
        yield f"container {container['name']}: PADING_MAY_ADD does not name the groups that grow"
    for each in listed:
        parameters = groups.get(each["name"], {}).get("rayStartParams", {})
        offered = {"CPU": float(parameters.get("num-cpus", 0)), "GPU": float(parameters.get("num-gpus", 0))}
        if each["name"] in groups and (
            each["max_nodes"] != groups[each["name"]]["maxReplicas"] or each["resources"] != offered
        ):
            yield f"container {container['name']}: PADING_MAY_ADD says other than group {each['name']!r}"


def _ray_pods(spec: Document) -> list[Document]:
    return [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def _selects(selector: Document, workload: Document) -> bool:
    return bool(selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items())


def _ports(pod: Document) -> list[Document]:
    return [port for container in pod["containers"] for port in container.get("ports", [])]


def _addresses(documents: list[Document], services: dict[str, Document]) -> Iterator[str]:
    """Every http address and database in a variable is a service here, at its port."""
    for document in documents:
        for pod in pods_of(document):
            for variable in (each for container in pod["containers"] for each in container.get("env", [])):
                for host, port in re.findall(r"(?:http://|@)([\w-]+):(\d+)", str(variable.get("value", ""))):
                    known = [each["port"] for each in services.get(host, {"spec": {"ports": []}})["spec"]["ports"]]
                    if int(port) not in known:
                        yield f"{document['metadata']['name']}: {variable['name']} asks {host}:{port}: no Service"


def compose_problems(document: Document) -> list[str]:
    """Return what is wrong with a compose file."""
    problems = []
    services = document["services"]
    for name, service in services.items():
        if not PINNED.match(service.get("image", "")):
            problems.append(f"{name}: image {service.get('image')!r} is not pinned")
        if "no-new-privileges:true" not in service.get("security_opt", []):
            problems.append(f"{name}: may gain rights")
        problems += [
            f"{name}: port {port} is open" for port in service.get("ports", []) if not port.startswith("127.0.0.1:")
        ]
        for variable, value in service.get("environment", {}).items():
            if re.search(r"(PASSWORD|SECRET|TOKEN|KEY|USER)$", variable) and "${" not in value and value != "mlflow":
                problems.append(f"{name}: {variable} in plain text")
        problems += [
            f"{name}: no service {other!r}" for other in service.get("depends_on", {}) if other not in services
        ]
        sources = [volume.split(":")[0] for volume in service.get("volumes", [])]
        problems += [f"{name}: no volume {each!r}" for each in sources if each not in document["volumes"]]
        words = [str(word) for word in service.get("command", [])]
        if words[:2] == ["mlflow", "server"] and not any(word.startswith("--allowed-hosts=") for word in words):
            problems.append(f"{name}: answers to every host name")
        if words[:2] == ["ray", "start"] and service["environment"].get("RAY_AUTH_MODE") != "token":
            problems.append(f"{name}: no token authentication")
    return problems


def launcher_problems(document: Document) -> list[str]:
    """Return what is wrong with a file of `ray up`, beyond Ray's own schema."""
    problems = []
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        problems += [
            f"{key}: no token authentication"
            for line in document[key]
            if "ray start" in line and "RAY_AUTH_MODE=token" not in line
        ]
    if not any("--dashboard-host=127.0.0.1" in line for line in document["head_start_ray_commands"]):
        problems.append("the dashboard is open")
    if not any(target.endswith(".ray/auth_token") for target in document["file_mounts"]):
        problems.append("nodes get no token")
    if missing := {"**/.git", "**/.env", "**/*.pem", "**/id_rsa*"} - set(document["rsync_exclude"]):
        problems.append(f"rsync sends {', '.join(sorted(missing))}")
    types = document.get("available_node_types", {})
    for name, kind in types.items():
        if not kind["node_config"].get("SecurityGroupIds"):
            problems.append(f"{name}: Ray would make a security group that lets ssh in from everywhere")
        is_spot = kind["node_config"].get("InstanceMarketOptions", {}).get("MarketType") == "spot"
        if is_spot == (name == document["head_node_type"]):
            problems.append(f"{name}: the head belongs on demand, workers on spot")
    return problems
