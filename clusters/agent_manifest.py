"""What an operator applies once in a cluster that the portal can't reach: account, roles, and the agent itself."""

from __future__ import annotations

from typing import Any

import yaml
from django.conf import settings

from .namespaces import MANAGED_BY, MANAGER
from .rbac import ACCOUNT, HOME, objects

NAME = "inference-portal-agent"
SECRET = "inference-portal-agent-token"  # noqa: S105 - the name of an object
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 10001,
              "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
RESOURCES = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}


def agent_manifest(token: str, *, server: str = "") -> str:
    """YAML for ``kubectl apply -f -``, with the one-use `token`; least rights, no cluster-admin."""
    labels = {"app.kubernetes.io/name": NAME, MANAGED_BY: MANAGER}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": {"token": token},
              "metadata": {"name": SECRET, "namespace": HOME, "labels": labels}}
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": HOME, "labels": labels},
        # Two agents would share one key: the old one ends before the new one starts.
        "spec": {"replicas": 1, "strategy": {"type": "Recreate"},
                 "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
                 "template": {"metadata": {"labels": labels}, "spec": _pod(server or settings.PORTAL_URL)}},
    }
    parts = [*objects(token=False), secret, deployment]
    return "---\n".join(yaml.safe_dump(part, sort_keys=False, width=120) for part in parts)


def _pod(server: str) -> dict[str, Any]:
    arguments = ["--server", server]
    arguments += [part for url in settings.PORTAL_GATEWAY_URLS for part in ("--gateway-url", url)]
    if server.startswith("http://"):
        arguments.append("--allow-http")
    token = {"secretKeyRef": {"name": SECRET, "key": "token"}}
    container = {
        "name": "agent", "image": settings.PORTAL_AGENT_IMAGE, "args": arguments, "resources": RESOURCES,
        "env": [{"name": "PORTAL_AGENT_TOKEN", "valueFrom": token}], "securityContext": RESTRICTED,
    }
    return {"serviceAccountName": ACCOUNT, "enableServiceLinks": False, "containers": [container]}
