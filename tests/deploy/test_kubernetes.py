"""docker/kubernetes.yaml is valid by Kubernetes' own schemas, its references exist, and its settings are the bridge's."""

import json
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


# ---- docker/kubernetes-gateway.yaml: resources that Kubernetes itself has no schema of

GATEWAY = ROOT / "docker/kubernetes-gateway.yaml"
ROUTE, MONITOR = yaml.safe_load_all(GATEWAY.read_text())
VALIDATE = """
const [group, kind] = process.argv.slice(1)
const { [kind]: Model } = await import(`@kubernetes-models/${group}/${kind}`)
let text = ""
process.stdin.on("data", part => text += part).on("end", () => new Model(JSON.parse(text)).validate())
"""
MODELS = {
    "HTTPRoute": "gateway-api/gateway.networking.k8s.io/v1",
    "PodMonitor": "prometheus-operator/monitoring.coreos.com/v1",
}


def validate(one: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    words = ["node", "--input-type=module", "-e", VALIDATE, "--", MODELS[one["kind"]], one["kind"]]
    return subprocess.run(words, input=json.dumps(one), capture_output=True, text=True, check=False, cwd=ROOT / ".venv-deploy")


@pytest.mark.parametrize("one", [ROUTE, MONITOR], ids=lambda one: one["kind"])
def test_the_examples_are_valid(one):
    done = validate(one)
    assert done.returncode == 0, done.stderr
    group = MODELS[one["kind"]].partition("/")[2]
    assert one["apiVersion"] == group and one["metadata"]["namespace"] == "sns-bridge"
    assert validate(one | {"spec": {"rules": 1, "selector": 1}}).returncode != 0, "the validator finds a mistake"


def test_the_examples_refer_only_to_what_is_there():
    (backend,) = ROUTE["spec"]["rules"][0]["backendRefs"]
    service = OBJECTS["Service"]
    assert (backend["name"], backend["port"]) == (service["metadata"]["name"], service["spec"]["ports"][0]["port"])
    assert MONITOR["spec"]["selector"]["matchLabels"].items() <= POD["metadata"]["labels"].items()
    assert MONITOR["spec"]["podMetricsEndpoints"][0]["port"] in {port["name"] for port in CONTAINER["ports"]}
