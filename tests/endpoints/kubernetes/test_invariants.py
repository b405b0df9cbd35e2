"""No spec gets a pod out of its namespace (T24 to T26): the rules hold for hundreds of made-up specs."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from clusters.units import GIB
from endpoints.targets.base import Autoscale, Placement, Resources, Spec, TargetError, Trigger, Weights
from endpoints.targets.kubernetes.render import render

from .making import EVERYTHING, FULL, OWNED, PLACE, revision, spec

SPECS = 500
NASTY = ["$(HF_TOKEN)", "; rm -rf /", "`id`", "../../kube-system", "other/secret", "hostPath", "--privileged", "\u202e", "a\nb",
         "x" * 200, "{{ .Values }}", "$$(X)"]
ALLOWED_KINDS = {"ServiceAccount", "Secret", "Service", "NetworkPolicy", "PodDisruptionBudget", "HTTPRoute", "PodMonitor",
                 "StatefulSet", "LeaderWorkerSet", "ScaledObject", "InterceptorRoute"}
POD_FIELDS = {"serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds",
              "securityContext", "nodeSelector", "tolerations", "priorityClassName", "runtimeClassName", "containers",
              "volumes", "imagePullSecrets"}
CONTAINER_FIELDS = {"name", "image", "imagePullPolicy", "command", "args", "env", "resources", "ports", "startupProbe",
                    "readinessProbe", "livenessProbe", "lifecycle", "securityContext", "volumeMounts"}
VOLUMES = {"emptyDir", "persistentVolumeClaim"}
DNS = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def fuzzed(rng: random.Random) -> Spec:
    """Whatever might get past the forms one day: names, arguments, variables and placements from hostile words."""
    nodes, gpus = rng.choice([1, 1, 1, 2, 4]), rng.choice([0, 1, 2, 8])
    word = lambda: rng.choice(NASTY)  # noqa: E731
    wanted = revision(
        number=rng.randint(1, 99), engine=rng.choice(["vllm", "vllm", "sglang"]), image=f"registry.example.org/{rng.random()}",
        arguments={word(): rng.choice([word(), True, 4, [word()], {word(): word()}]) for _ in range(rng.randint(0, 4))},
        environment={word(): word() for _ in range(rng.randint(0, 3))}, artifact_location=word(),
        resources=Resources(rng.randint(1, 64000), rng.randint(1, 512) * GIB, gpus=gpus, nodes=nodes),
        placement=Placement({word(): word()}, ({"key": word(), "operator": "Exists"},), word(), word()),
        weights=rng.choice([None, Weights(word(), word())]), hub_token=rng.choice(["", "hf_" + word()]),
        registry_user=word(), registry_password=rng.choice(["", word()]))
    scaled = Autoscale(0, 4, (Trigger("http", {"concurrency": "1"}),))
    return spec(wanted, replicas=rng.randint(1, 9), public_name=word(), autoscale=rng.choice([None, None, scaled]),
                origin=rng.choice([None, None, OWNED]), namespace=rng.choice(["ip-alpha-0123456789", "default"]))


def templates(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every pod template of an object."""
    if made["kind"] == "StatefulSet":
        yield made["spec"]["template"]
    if made["kind"] == "LeaderWorkerSet":
        group = made["spec"]["leaderWorkerTemplate"]
        yield from (group["leaderTemplate"], group["workerTemplate"])


def check_pod(template: dict[str, Any], secrets: set[str], wanted: Spec) -> None:
    pod = template["spec"]
    assert set(pod) <= POD_FIELDS
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert pod["serviceAccountName"] == wanted.object_name
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {each["name"] for each in pod.get("imagePullSecrets", [])} <= secrets, "only a Secret of this endpoint"
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= VOLUMES, "no hostPath, Secret, or other file of the node or of others"
        assert volume.get("persistentVolumeClaim", {"readOnly": True})["readOnly"] is True
    assert len(pod["containers"]) == 1
    check_container(pod["containers"][0], secrets)


def check_container(container: dict[str, Any], secrets: set[str]) -> None:
    assert set(container) <= CONTAINER_FIELDS
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["command"][0] in ("vllm", "python3")
    for entry in container["env"]:
        reference = entry.get("valueFrom", {}).get("secretKeyRef")
        assert reference is None or reference["name"] in secrets, "only a Secret of this endpoint"
        assert set(entry.get("valueFrom", {})) <= {"secretKeyRef", "fieldRef"}
    gpus = "nvidia.com/gpu"
    assert container["resources"]["requests"].get(gpus) == container["resources"]["limits"].get(gpus)
    for text in [*container["args"], *(entry.get("value", "") for entry in container["env"])]:
        names = re.findall(r"\$\(([^)]*)\)", text.replace("$$", ""))  # Kubernetes reads $$ as a plain $
        assert set(names) <= {"LWS_GROUP_SIZE", "LWS_WORKER_INDEX", "LWS_LEADER_ADDRESS", "ENGINE_KEY"}, text


@pytest.mark.parametrize("place", [PLACE, FULL, replace(PLACE, capabilities=EVERYTHING)], ids=["bare", "full", "no gateway"])
def test_no_spec_breaks_out_of_its_namespace(place: Any) -> None:
    rng, rendered = random.Random(3), 0
    for _ in range(SPECS):
        wanted = fuzzed(rng)
        try:
            made = render(wanted, place)
        except TargetError:
            continue
        rendered += 1
        secrets = {each["metadata"]["name"] for each in made if each["kind"] == "Secret"}
        for each in made:
            assert each["kind"] in ALLOWED_KINDS
            assert each["metadata"]["namespace"] == wanted.namespace
            assert DNS.fullmatch(each["metadata"]["name"]), each["metadata"]["name"]
            for template in templates(each):
                check_pod(template, secrets, wanted)
    assert rendered > SPECS / 4
