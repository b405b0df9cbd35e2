"""`deploy/gateway` goes into a cluster as it is: every field known, every object allowed, pods that come up and go in peace."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.supervisor.gateway import FLUSH_SECONDS
from tests.gateway.server import ROOT, eventually
from tests.portal.test_deploy import check_command
from tests.portal.test_settings import names_in_docs
from tests.simulators.kubernetes.server import Simulator, cpu_node

FOLDER = ROOT / "deploy" / "gateway"
NAMESPACE = "inference-portal"
NAME = "inference-gateway"
LABELS = {"app.kubernetes.io/name": NAME}
PLURALS = {
    "Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps", "Deployment": "deployments",
    "Service": "services", "HTTPRoute": "httproutes", "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "PodDisruptionBudget": "poddisruptionbudgets", "NetworkPolicy": "networkpolicies",
}
SECRET = {
    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAMESPACE, "namespace": NAMESPACE},
    "stringData": dict.fromkeys(("secret-key", "field-keys", "metrics-token", "database-url", "broker-url"), "x"),
}
Object = dict[str, Any]


def manifests() -> dict[str, Object]:
    """What `kustomization.yaml` lists, by kind, in its namespace."""
    files = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert sorted(files) == sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
    found = {}
    for name in files:
        obj = yaml.safe_load((FOLDER / name).read_text())
        if obj["kind"] != "Namespace":
            obj["metadata"]["namespace"] = NAMESPACE
        found[obj["kind"]] = obj
    return found


ALL = manifests()
POD: Object = ALL["Deployment"]["spec"]["template"]["spec"]
CONTAINER: Object = POD["containers"][0]
SETTINGS: dict[str, str] = ALL["ConfigMap"]["data"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulator]:
    with Simulator([cpu_node("cpu-a"), cpu_node("cpu-b")], speed=10.0) as simulator:
        yield simulator


def apply(cluster: Simulator, obj: Object) -> Object:
    """By server-side apply that refuses an unknown field, as `kubectl apply --server-side` does."""
    client, metadata = cluster.client(), obj["metadata"]
    path = client.path(obj["apiVersion"], PLURALS[obj["kind"]], metadata.get("namespace", ""), metadata["name"])
    found: Object = client.call("PATCH", path, obj, content_type="application/apply-patch+yaml", fieldManager="kubectl",
                                fieldValidation="Strict")
    return found


def test_each_object_is_taken_and_two_pods_serve(cluster: Simulator) -> None:
    for obj in ALL.values():
        assert apply(cluster, obj)["metadata"]["uid"]
    cluster.client().create("secrets", SECRET)
    two = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 2}}
    scaler = {**two, "metadata": {"name": NAME, "namespace": NAMESPACE}}
    cluster.client().apply("deployments", scaler, manager="horizontal-pod-autoscaler")
    assert apply(cluster, ALL["Deployment"])["spec"]["replicas"] == 2, "the autoscaler's field is left alone"

    def state() -> Object:
        status: Object = cluster.client().get("apps/v1", "deployments", NAMESPACE, NAME).get("status", {})
        return status

    eventually(lambda: state().get("readyReplicas") == 2, 20)
    budget = eventually(lambda: _allowed(cluster), 20)
    assert budget["expectedPods"] == 2


def _allowed(cluster: Simulator) -> Object | None:
    status: Object = cluster.client().get("policy/v1", "poddisruptionbudgets", NAMESPACE, NAME)["status"]
    return status if status["disruptionsAllowed"] == 1 else None


def test_an_unknown_field_would_be_refused(cluster: Simulator) -> None:
    """Else the test above could not fail."""
    wrong = {**ALL["ServiceAccount"], "automountServiceAccountTokens": False}
    wrong["metadata"] = {"name": "wrong", "namespace": "default"}
    with pytest.raises(Exception, match="automountServiceAccountTokens"):
        apply(cluster, wrong)


def test_kubectl_applies_the_folder(cluster: Simulator, tmp_path: Path) -> None:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(cluster.kubeconfig())
    command = [program, f"--kubeconfig={kubeconfig}", f"--cache-dir={tmp_path}", "apply", "--server-side", "--force-conflicts",
               "-k", str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("serverside-applied") == len(ALL)


def test_all_look_for_the_same_pods_and_ports() -> None:
    spec = ALL["Deployment"]["spec"]
    assert spec["selector"]["matchLabels"] == LABELS
    assert LABELS.items() <= spec["template"]["metadata"]["labels"].items()
    assert ALL["Service"]["spec"]["selector"] == LABELS
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert ALL[kind]["spec"][key]["matchLabels"] == LABELS
    assert ALL["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == NAME
    assert "replicas" not in spec, "the autoscaler owns them"
    ports = {port["name"]: str(port["containerPort"]) for port in CONTAINER["ports"]}
    assert ports == {"http": SETTINGS["PORTAL_GATEWAY_PORT"], "admin": SETTINGS["PORTAL_GATEWAY_ADMIN_PORT"]}
    assert [port["targetPort"] for port in ALL["Service"]["spec"]["ports"]] == ["http"], "figures are not for callers"
    route = ALL["HTTPRoute"]["spec"]["rules"][0]
    assert route["backendRefs"] == [{"name": NAME, "port": ALL["Service"]["spec"]["ports"][0]["port"]}]


def test_a_pod_has_the_time_to_end_in_peace() -> None:
    before = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = float(SETTINGS["PORTAL_GATEWAY_DRAIN_SECONDS"])
    assert POD["terminationGracePeriodSeconds"] >= before + drain + FLUSH_SECONDS + 5
    probe = CONTAINER["readinessProbe"]
    assert before >= probe["periodSeconds"] * probe["failureThreshold"]


def test_its_settings_exist_and_its_secrets_are_files() -> None:
    known = names_in_docs()
    assert {name.removesuffix("_FILE") for name in SETTINGS} <= known
    files = {value for name, value in SETTINGS.items() if name.endswith("_FILE")}
    assert {path.removeprefix("/secrets/") for path in files} == set(SECRET["stringData"])
    plain = {name for name in SETTINGS if not name.endswith("_FILE")}
    assert not any(re.search(r"KEY|TOKEN|URL", name) for name in plain - {"PORTAL_URL"})
    check_command(CONTAINER["command"])


def test_the_pod_may_do_little() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["automountServiceAccountToken"] is False
    assert POD["enableServiceLinks"] is False
    rights = CONTAINER["securityContext"]
    assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False)
    assert rights["capabilities"] == {"drop": ["ALL"]}
    written = {mount["mountPath"] for mount in CONTAINER["volumeMounts"] if not mount.get("readOnly")}
    assert written == {SETTINGS["PORTAL_DATA_DIR"], "/tmp"}
