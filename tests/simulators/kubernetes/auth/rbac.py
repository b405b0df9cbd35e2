"""Role-based access control: which rules hold for a user, and whether one of them allows a request.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/ . Not done: aggregated ClusterRoles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulators.kubernetes.auth.attributes import Attributes
from tests.simulators.kubernetes.auth.users import User, account_name
from tests.simulators.kubernetes.store import Object

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

Rule = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str = ""


class Authorizer:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._bindings: dict[str, list[Object]] = {}
        """By namespace ("" for ClusterRoleBindings), until one changes."""
        cluster.on_change(["RoleBinding", "ClusterRoleBinding"], lambda *_: self._bindings.clear())

    def allowed(self, user: User, asked: Attributes) -> Decision:
        if MASTERS in user.groups:
            return Decision(True)
        for rule, reason in self._rules(user, asked.namespace):
            if rule_allows(rule, asked):
                return Decision(True, reason)
        return Decision(False)

    def rules(self, user: User, namespace: str) -> list[Rule]:
        """All the rules that hold for a user in a namespace."""
        if MASTERS in user.groups:
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            return [everything, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
        return [rule for rule, _ in self._rules(user, namespace)]

    def _rules(self, user: User, namespace: str) -> Iterator[tuple[Rule, str]]:
        for scope in dict.fromkeys(("", namespace)):
            for binding in self._bindings_of(scope):
                subject = next((each for each in binding.get("subjects") or () if is_subject(each, user, scope)), None)
                if subject is None:
                    continue
                reason = _reason(binding, subject)
                for rule in self._role(binding["roleRef"], scope).get("rules") or ():
                    yield rule, reason

    def _bindings_of(self, namespace: str) -> list[Object]:
        found = self._bindings.get(namespace)
        if found is None:
            kind = f"RoleBinding.{GROUP}" if namespace else f"ClusterRoleBinding.{GROUP}"
            found = self._bindings[namespace] = self._cluster.list(kind, namespace or None)
        return found

    def _role(self, ref: dict[str, str], namespace: str) -> Object:
        scope = namespace if ref["kind"] == "Role" else ""
        return self._cluster.get(f"{ref['kind']}.{GROUP}", scope, ref["name"]) or {}


def is_subject(subject: dict[str, str], user: User, namespace: str) -> bool:
    match subject.get("kind"):
        case "User":
            return subject["name"] == user.name
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            return account_name(subject.get("namespace") or namespace, subject["name"]) == user.name
    return False


def rule_allows(rule: Rule, asked: Attributes) -> bool:
    if not _has(rule.get("verbs"), asked.verb):
        return False
    if asked.path:
        return any(_path_fits(pattern, asked.path) for pattern in rule.get("nonResourceURLs") or ())
    if not _has(rule.get("apiGroups"), asked.group):
        return False
    resources = rule.get("resources") or ()
    anything_below = asked.subresource and f"*/{asked.subresource}" in resources
    if not (_has(resources, asked.full_resource) or anything_below):
        return False
    names = rule.get("resourceNames")
    return not names or asked.name in names


def _has(values: list[str] | tuple[str, ...] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _path_fits(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _reason(binding: Object, subject: dict[str, str]) -> str:
    metadata, ref = binding["metadata"], binding["roleRef"]
    name, kind = metadata["name"], "ClusterRoleBinding"
    if metadata.get("namespace"):
        name, kind = f"{name}/{metadata['namespace']}", "RoleBinding"
    whom = subject["name"]
    if subject["kind"] == "ServiceAccount":
        whom = f"{whom}/{subject.get('namespace', '')}"
    return f'RBAC: allowed by {kind} "{name}" of {ref["kind"]} "{ref["name"]}" to {subject["kind"]} "{whom}"'
