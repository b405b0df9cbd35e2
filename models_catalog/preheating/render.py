"""From a copy to its objects. Pure; the order is that in which they are sent."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clusters.drivers.kinds import DATASET, JOB, NETWORK_POLICY, PVC, SECRET, SERVICE_ACCOUNT, Kind
from clusters.namespaces import COPY_UID, MANAGED_BY, MANAGER
from clusters.units import GIB
from models_catalog.choices import ArtifactKind
from models_catalog.registries import auth_key, registry_of
from models_catalog.states import CopyMethod

from .source import dataset_source, secret_data
from .view import CopyView

# As the Hydra guide labels Datasets; its model check looks for exactly this.
MODEL_ID = "hydra.io/model-id"
USER = 1000  # that of engine pods, which read what is loaded here
DATA, FOLDER, HOME = "/data", "model", "/home/loader"
HTTPS = 443
# What the Dataset controller gives its own loader of hubs (facts.md 5.4).
REQUESTS, LIMITS = {"cpu": "2", "memory": "2Gi"}, {"cpu": "4", "memory": "8Gi"}
TRIES = 4
LOADER = Path(__file__).with_name("loader.py").read_text()


def render(copy: CopyView) -> list[dict[str, Any]]:
    """Everything that the copy is in its cluster; what loads it comes last."""
    if copy.method == CopyMethod.REFERENCE:
        return [_reference(copy)]
    data = secret_data(copy.kind, copy.token)
    secret = [_secret(copy, data)] if data else []
    if copy.method == CopyMethod.DATASET:
        return [*secret, _dataset(copy, has_secret=bool(data))]
    return [*secret, *_pull_secret(copy), _object(SERVICE_ACCOUNT, copy, copy.name, automountServiceAccountToken=False),
            *_port_policy(copy), _claim(copy), _job(copy, data)]


def _object(kind: Kind, copy: CopyView, name: str, /, **parts: Any) -> dict[str, Any]:
    labels = {MANAGED_BY: MANAGER, COPY_UID: str(copy.uid), MODEL_ID: copy.model}
    return {"apiVersion": kind.api_version, "kind": kind.kind,
            "metadata": {"name": name, "namespace": copy.namespace, "labels": labels}, **parts}


def _dataset(copy: CopyView, *, has_secret: bool) -> dict[str, Any]:
    source = dataset_source(copy.kind, copy.location, copy.revision)
    return _object(DATASET, copy, copy.name, spec={
        "dataSyncRound": copy.round, "share": True,
        "source": {"type": source.type, "uri": source.uri, **({"options": source.options} if source.options else {})},
        "mountOptions": {"uid": USER, "gid": USER, "mode": "0774", "path": "/"},
        # Without a size the controller asks for 100Ti.
        "volumeClaimTemplate": {"spec": _claim_spec(copy)},
        **({"secretRef": copy.secret_name} if has_secret else {}),
    })


def _reference(copy: CopyView) -> dict[str, Any]:
    """The type must be REFERENCE; the controller then clones the shared volume for this namespace."""
    return _object(DATASET, copy, copy.name, spec={
        "dataSyncRound": 1, "source": {"type": "REFERENCE", "uri": f"dataset://{copy.shared_namespace}/{copy.shared_name}"},
        "mountOptions": {"uid": USER, "gid": USER, "mode": "0774", "path": "/"},
    })


def _claim_spec(copy: CopyView) -> dict[str, Any]:
    storage = {"storageClassName": copy.storage_class} if copy.storage_class else {}
    return {"accessModes": [copy.access_mode], "resources": {"requests": {"storage": quantity(copy.size_bytes)}}, **storage}


def quantity(size: int) -> str:
    """Bytes as Kubernetes writes them, in whole GiB, rounded up."""
    return f"{-(-size // GIB)}Gi"


def _secret(copy: CopyView, data: dict[str, str]) -> dict[str, Any]:
    return _object(SECRET, copy, copy.secret_name, type="Opaque", data={
        key: _encoded(value) for key, value in data.items()})


def _pull_secret(copy: CopyView) -> list[dict[str, Any]]:
    """As `kubectl create secret docker-registry` writes it."""
    if not copy.registry_password:
        return []
    login = {"username": copy.registry_user, "password": copy.registry_password,
             "auth": _encoded(f"{copy.registry_user}:{copy.registry_password}")}
    auths = json.dumps({"auths": {auth_key(registry_of(copy.image)): login}}, sort_keys=True)
    return [_object(SECRET, copy, copy.pull_secret_name, type="kubernetes.io/dockerconfigjson",
                    data={".dockerconfigjson": _encoded(auths)})]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _claim(copy: CopyView) -> dict[str, Any]:
    return _object(PVC, copy, copy.name, spec=_claim_spec(copy))


def _port_policy(copy: CopyView) -> list[dict[str, Any]]:
    """The namespace lets pods out to port 443; this opens another one that the address names."""
    port = urlsplit(copy.location).port if copy.kind == ArtifactKind.HTTP else None
    if port in (None, HTTPS):
        return []
    return [_object(NETWORK_POLICY, copy, copy.name, spec={
        "podSelector": {"matchLabels": {COPY_UID: str(copy.uid)}}, "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": port, "protocol": "TCP"}]}]})]


def _job(copy: CopyView, data: dict[str, str]) -> dict[str, Any]:
    """One pod that fills the claim. It is never changed: another round is another Job."""
    made = _object(JOB, copy, copy.job_name)
    labels = made["metadata"]["labels"]
    return {**made, "spec": {"backoffLimit": TRIES, "template": {"metadata": {"labels": labels}, "spec": {
        "restartPolicy": "Never", "serviceAccountName": copy.name, "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **({"imagePullSecrets": [{"name": copy.pull_secret_name}]} if copy.registry_password else {}),
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(copy, data)],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": copy.name}}, {"name": "home", "emptyDir": {}}],
    }}}}


def _container(copy: CopyView, data: dict[str, str]) -> dict[str, Any]:
    """The engine's own image has Python and the hub's client. What people typed is an argument, never a line of a shell."""
    variables = {"token": "HF_TOKEN", "username": "SOURCE_USER", "password": "SOURCE_PASSWORD"}
    kept = [{"name": variables[key], "valueFrom": {"secretKeyRef": {"name": copy.secret_name, "key": key}}} for key in data]
    plain = {"HOME": HOME, "HF_HOME": f"{HOME}/huggingface", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {
        "name": "loader", "image": copy.image, "imagePullPolicy": "IfNotPresent", "command": ["python3", "-I", "-c", LOADER],
        # Kubernetes reads $$ as $, so that no text is taken for a variable's name.
        "args": [copy.kind, copy.location.replace("$", "$$"), copy.revision.replace("$", "$$"), f"{DATA}/{FOLDER}"],
        "env": [*({"name": name, "value": value} for name, value in sorted(plain.items())), *kept],
        "resources": {"requests": REQUESTS, "limits": LIMITS},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": DATA}, {"name": "home", "mountPath": HOME}],
    }
