"""docker/kubernetes.yaml: valid by Kubernetes' own schemas, refers to nothing that is not there, and its settings are the bridge's."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config import given, load
from bridge.version import VERSION
from tests.tools.bridge import ROOT

MANIFEST = ROOT / "docker/kubernetes.yaml"
OBJECTS: dict[str, Any] = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text())}
POD = OBJECTS["Deployment"]["spec"]["template"]
CONTAINER = POD["spec"]["containers"][0]


@pytest.mark.parametrize("version", ["1.30.0", "1.33.0", "1.37.0"])
def test_it_is_valid(version):
    words = [ROOT / ".venv-deploy/bin/kubernetes-validate", "--strict", "-k", version, MANIFEST]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count(" passed ") == len(OBJECTS), said


def test_the_validator_finds_a_mistake(folder):
    wrong = folder / "wrong.yaml"
    wrong.write_text(MANIFEST.read_text().replace("readOnlyRootFilesystem:", "readonlyRootFilesystem:"))
    words = [ROOT / ".venv-deploy/bin/kubernetes-validate", "--strict", "-k", "1.37.0", wrong]
    assert subprocess.run(words, capture_output=True, check=False).returncode != 0


def test_the_pod_keeps_to_the_restricted_standard():
    """The profile `restricted` of the Pod Security Standards, which the namespace enforces."""
    assert OBJECTS["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] is True and pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD["spec"].keys()
    assert all("hostPort" not in port for port in CONTAINER["ports"])
    assert [set(volume) - {"name"} for volume in POD["spec"]["volumes"]] == [{"secret"}]
    assert POD["spec"]["automountServiceAccountToken"] is False


def test_it_refers_only_to_what_is_there():
    labels = POD["metadata"]["labels"].items()
    selectors = [
        OBJECTS["Deployment"]["spec"]["selector"]["matchLabels"],
        OBJECTS["Service"]["spec"]["selector"],
        OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        OBJECTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(rule["labelSelector"]["matchLabels"] for rule in POD["spec"]["topologySpreadConstraints"]),
    ]
    assert all(selector.items() <= labels for selector in selectors)
    assert {one["metadata"].get("namespace", "sns-bridge") for one in OBJECTS.values()} == {"sns-bridge"}
    assert OBJECTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == OBJECTS["Deployment"]["metadata"]["name"]
    assert OBJECTS["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == OBJECTS["Deployment"]["spec"]["replicas"] == 2
    backend = OBJECTS["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert (backend["name"], backend["port"]["name"]) == ("bridge", OBJECTS["Service"]["spec"]["ports"][0]["name"])
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    probes = {name: CONTAINER[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: (probe["path"], ports[probe["port"]]) for name, probe in probes.items()} == {
        "startupProbe": ("/livez", 3001),
        "livenessProbe": ("/livez", 3001),
        "readinessProbe": ("/readyz", 3001),
    }
    assert CONTAINER["image"].rpartition(":")[2] == VERSION


def test_its_settings_are_settings(folder):
    """ConfigMap and Secret as the container gets them, the Secret's files elsewhere."""
    mount = Path(CONTAINER["volumeMounts"][0]["mountPath"])
    for name, text in OBJECTS["Secret"]["stringData"].items():
        (folder / name).write_text(text)
    environment = {name: text.replace(str(mount), str(folder)) for name, text in OBJECTS["ConfigMap"]["data"].items()}
    texts, _ = given(environment, [])
    config = load(texts)
    assert config.admin_listen == ("", 3001)  # reachable for the kubelet
    assert len(config.broker.urls) == 3
    assert all(re.fullmatch(r"amqp://bridge@[a-z0-9.-]+:5672/%2F", url) for url in config.broker.urls)
