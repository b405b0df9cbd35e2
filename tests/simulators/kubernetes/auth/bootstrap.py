"""The roles and bindings that every cluster starts with, as far as clients meet them.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"

HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
DISCOVERY = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
]
READ, WRITE = ["get", "list", "watch"], ["create", "delete", "deletecollection", "patch", "update"]

VIEWED = {
    "": ["configmaps", "endpoints", "events", "limitranges", "namespaces", "namespaces/status", "persistentvolumeclaims",
         "persistentvolumeclaims/status", "pods", "pods/log", "pods/status", "replicationcontrollers",
         "replicationcontrollers/scale", "resourcequotas", "resourcequotas/status", "serviceaccounts", "services",
         "services/status"],
    "apps": ["controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale",
             "deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets",
             "statefulsets/scale", "statefulsets/status"],
    "autoscaling": ["horizontalpodautoscalers", "horizontalpodautoscalers/status"],
    "batch": ["cronjobs", "cronjobs/status", "jobs", "jobs/status"],
    "discovery.k8s.io": ["endpointslices"],
    "networking.k8s.io": ["ingresses", "ingresses/status", "networkpolicies"],
    "policy": ["poddisruptionbudgets", "poddisruptionbudgets/status"],
}  # fmt: skip
EDITED = {
    "": ["configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "replicationcontrollers",
         "replicationcontrollers/scale", "secrets", "serviceaccounts", "services"],
    "apps": ["daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets",
             "statefulsets/scale"],
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["cronjobs", "jobs"],
    "coordination.k8s.io": ["leases"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "policy": ["poddisruptionbudgets"],
}  # fmt: skip


def rule(verbs: list[str], group: str, resources: list[str]) -> Object:
    return {"verbs": verbs, "apiGroups": [group], "resources": resources}


def paths(*urls: str) -> Object:
    return {"verbs": ["get"], "nonResourceURLs": list(urls)}


def view() -> list[Object]:
    return [rule(READ, group, resources) for group, resources in VIEWED.items()]


def edit() -> list[Object]:
    reads = ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"]
    writes = [rule(WRITE, group, resources) for group, resources in EDITED.items()]
    more = [rule(READ, "", reads), rule(WRITE, "", reads[:4] + reads[5:]), rule(["create"], "", ["pods/eviction"])]
    return [*view(), *more, rule(["create"], "", ["serviceaccounts/token"]), rule(["impersonate"], "", ["serviceaccounts"]),
            *writes]  # fmt: skip


def admin() -> list[Object]:
    reviews = rule(["create"], "authorization.k8s.io", ["localsubjectaccessreviews"])
    return [*edit(), reviews, rule([*READ, *WRITE], GROUP, ["rolebindings", "roles"])]


ROLES: dict[str, list[Object]] = {
    "cluster-admin": [rule(["*"], "*", ["*"]), {"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "admin": admin(),
    "edit": edit(),
    "view": view(),
    "system:discovery": [paths(*DISCOVERY)],
    "system:public-info-viewer": [paths(*HEALTH)],
    "system:basic-user": [
        rule(["create"], "authorization.k8s.io", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        rule(["create"], "authentication.k8s.io", ["selfsubjectreviews"]),
    ],
    "system:service-account-issuer-discovery": [
        paths("/.well-known", "/.well-known/*"),
        paths(
            "/.well-known/openid-configuration",
            "/.well-known/openid-configuration/",
            "/openid/v1/jwks",
            "/openid/v1/jwks/",
        ),
    ],
}
BINDINGS: dict[str, list[str]] = {
    "cluster-admin": ["system:masters"],
    "system:discovery": ["system:authenticated"],
    "system:basic-user": ["system:authenticated"],
    "system:public-info-viewer": ["system:authenticated", "system:unauthenticated"],
    "system:service-account-issuer-discovery": ["system:serviceaccounts"],
}


def bootstrap_objects() -> list[Object]:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    made: list[Object] = [
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels},
            "rules": rules,
        }
        for name, rules in ROLES.items()
    ]
    for name, groups in BINDINGS.items():
        subjects = [{"kind": "Group", "apiGroup": GROUP, "name": group} for group in groups]
        made.append({
            "apiVersion": f"{GROUP}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name, "labels": labels},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}, "subjects": subjects,
        })  # fmt: skip
    return made
