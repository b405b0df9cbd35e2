"""The rights that the portal needs in a cluster: one table, asked by the connection test and given by a manifest.

Three roles. The wide one reads what lists and the inventory need and makes namespaces. Everything that writes is in
the narrow one, which a RoleBinding opens in the portal's own namespaces only (threat T26), and in a still narrower
one for the namespace where shared copies of models lie. The portal makes these bindings itself and may bind these two
roles and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from .drivers import kinds
from .drivers.kinds import Kind
from .namespaces import MANAGED_BY, MANAGER

ACCOUNT = "inference-portal"    # ServiceAccount, its namespace and the wide role
NARROW = "inference-portal-workspace"
MODELS = "inference-portal-models"
HOME = "inference-portal"
TOKEN_SECRET = "inference-portal-token"  # noqa: S105  the name of an object

# The name that the API server's proxy gives the Service of KEDA's HTTP add-on (KEDA HTTP add-on 0.14).
HTTP_INTERCEPTOR = "http:keda-add-ons-http-interceptor-proxy:8080"

READ = ("get", "list")
# Server-side apply asks for patch, and for create where the object is not there yet.
APPLY = ("get", "create", "patch")
OWN = (*APPLY, "list", "delete")


@dataclass(frozen=True)
class Right:
    """Verbs on one kind. `needs` names the capability without which the right is no use, "" where it always is."""

    kind: Kind
    verbs: tuple[str, ...]
    subresource: str = ""
    needs: str = ""
    names: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        """As messages of the API name it, such as ``statefulsets.apps`` or ``pods/log``."""
        plural = f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural
        return f"{plural}.{self.kind.group}" if self.kind.group else plural


_OF_HYPERPOD = (kinds.INFERENCE_ENDPOINT_CONFIG, kinds.JUMPSTART_MODEL)
WIDE: tuple[Right, ...] = (
    Right(kinds.NAMESPACE, (*READ, "create", "patch")),
    Right(kinds.ROLE_BINDING, APPLY),
    Right(kinds.CLUSTER_ROLE, ("bind",), names=(NARROW,)),
    Right(kinds.CLUSTER_ROLE, ("bind",), names=(MODELS,), needs="dataset"),
    *(Right(kind, READ) for kind in (kinds.NODE, kinds.STORAGE_CLASS, kinds.PRIORITY_CLASS, kinds.CRD)),
    # Lists go over all namespaces at once: foreign pods count against the room on nodes.
    *(Right(kind, ("list",)) for kind in (
        kinds.POD, kinds.EVENT, kinds.SERVICE, kinds.PVC, kinds.STATEFUL_SET, kinds.JOB, kinds.ENDPOINT_SLICE)),
    Right(kinds.SCALED_OBJECT, ("list",), needs="keda"),
    # The add-on's interceptor holds calls while it wakes an endpoint; this Service and no other, in whatever namespace.
    Right(kinds.SERVICE, ("get", "create"), "proxy", needs="keda_http", names=(HTTP_INTERCEPTOR,)),
    Right(kinds.GATEWAY, READ, needs="gateway"),
    Right(kinds.HTTP_ROUTE, ("list",), needs="gateway"),
    Right(kinds.LEADER_WORKER_SET, ("list",), needs="lws"),
    Right(kinds.DATASET, ("list",), needs="dataset"),
    Right(kinds.VLLM_CLUSTER, READ, needs="vllmcluster"),
    Right(kinds.VLLM_CLUSTER, ("patch",), "status", needs="vllmcluster"),
    *(Right(kind, ("list",), needs="hyperpod") for kind in _OF_HYPERPOD),
    # The operator's load balancers are in its own namespace.
    Right(kinds.INGRESS, ("list",), needs="hyperpod"),
)
IN_WORKSPACES: tuple[Right, ...] = (
    *(Right(kind, OWN) for kind in (
        kinds.SERVICE_ACCOUNT, kinds.SERVICE, kinds.CONFIG_MAP, kinds.PVC, kinds.STATEFUL_SET, kinds.JOB,
        kinds.NETWORK_POLICY, kinds.POD_DISRUPTION_BUDGET)),
    Right(kinds.STATEFUL_SET, ("patch",), "scale"),
    Right(kinds.SECRET, (*APPLY, "delete")),
    Right(kinds.RESOURCE_QUOTA, (*APPLY, "list")),
    Right(kinds.POD, (*READ, "delete")),
    Right(kinds.POD, ("get",), "log"),
    # The operator's figures come from a port of each pod.
    Right(kinds.POD, ("get",), "proxy", needs="hyperpod"),
    Right(kinds.SERVICE, ("get", "create"), "proxy"),
    Right(kinds.EVENT, READ),
    Right(kinds.SCALED_OBJECT, OWN, needs="keda"),
    Right(kinds.TRIGGER_AUTHENTICATION, OWN, needs="keda"),
    Right(kinds.INTERCEPTOR_ROUTE, OWN, needs="keda_http"),
    Right(kinds.HTTP_ROUTE, OWN, needs="gateway"),
    Right(kinds.LEADER_WORKER_SET, OWN, needs="lws"),
    Right(kinds.LEADER_WORKER_SET, ("patch",), "scale", needs="lws"),
    Right(kinds.DATASET, OWN, needs="dataset"),
    Right(kinds.SERVICE_MONITOR, OWN, needs="prometheus"),
    Right(kinds.POD_MONITOR, OWN, needs="prometheus"),
    *(Right(kind, OWN, needs="hyperpod") for kind in _OF_HYPERPOD),
    *(Right(kind, ("patch",), "scale", needs="hyperpod") for kind in _OF_HYPERPOD),
)
# Where shared copies lie: Datasets, their tokens, and what their loaders say. Part of IN_WORKSPACES, which is tested.
IN_MODELS: tuple[Right, ...] = (
    Right(kinds.DATASET, OWN, needs="dataset"),
    Right(kinds.SECRET, (*APPLY, "delete"), needs="dataset"),
    Right(kinds.POD, ("get",), "log", needs="dataset"),
)


def rules(rights: tuple[Right, ...]) -> list[dict[str, Any]]:
    """The rules of a role that gives exactly these rights."""
    grouped: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for right in rights:
        plural = f"{right.kind.plural}/{right.subresource}" if right.subresource else right.kind.plural
        grouped.setdefault((right.kind.group, right.verbs, right.names), []).append(plural)
    return [{"apiGroups": [group], "resources": resources, "verbs": list(verbs),
             **({"resourceNames": list(names)} if names else {})}
            for (group, verbs, names), resources in grouped.items()]


def _object(api_version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> dict[str, Any]:
    meta = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": {MANAGED_BY: MANAGER}}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **rest}


def _role_ref(name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}


def binding(namespace: str, subject: dict[str, str], role: str = NARROW) -> dict[str, Any]:
    """Opens a role to `subject` in one namespace."""
    return _object("rbac.authorization.k8s.io/v1", "RoleBinding", role, namespace, subjects=[subject],
                   roleRef=_role_ref(role))


def subject_of(username: str) -> dict[str, str]:
    """Who a user name of the API is, as a binding names it."""
    if username.startswith("system:serviceaccount:"):
        namespace, _colon, name = username.removeprefix("system:serviceaccount:").partition(":")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": username}


def objects(*, token: bool = True, eks: bool = False) -> list[dict[str, Any]]:
    """Everything that an operator applies once: namespace, account, the roles and, for a direct connection, a token.

    With `eks` the roles go to the group of an EKS access entry instead, for a portal that signs in to AWS.
    """
    if eks:
        group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": ACCOUNT}
        return [_object("v1", "Namespace", HOME), *_roles(group)]
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}
    secret = _object("v1", "Secret", TOKEN_SECRET, HOME, type="kubernetes.io/service-account-token")
    secret["metadata"]["annotations"] = {"kubernetes.io/service-account.name": ACCOUNT}
    return [
        _object("v1", "Namespace", HOME),
        _object("v1", "ServiceAccount", ACCOUNT, HOME),
        *_roles(account),
        *([secret] if token else []),
    ]


def _roles(subject: dict[str, str]) -> list[dict[str, Any]]:
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        _object(rbac, "ClusterRole", ACCOUNT, rules=rules(WIDE)),
        _object(rbac, "ClusterRole", NARROW, rules=rules(IN_WORKSPACES)),
        _object(rbac, "ClusterRole", MODELS, rules=rules(IN_MODELS)),
        _object(rbac, "ClusterRoleBinding", ACCOUNT, subjects=[subject], roleRef=_role_ref(ACCOUNT)),
        binding(HOME, subject),
    ]


def manifest(*, token: bool = True, eks: bool = False) -> str:
    """The same as YAML for ``kubectl apply -f -``."""
    return "---\n".join(yaml.safe_dump(each, sort_keys=False, width=120) for each in objects(token=token, eks=eks))
