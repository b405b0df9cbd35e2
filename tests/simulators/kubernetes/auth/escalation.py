"""Nobody grants rights that they do not have: the check of Roles and of bindings to them.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping . A JSON
patch of a Role is not looked into.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.simulators.kubernetes import errors
from tests.simulators.kubernetes.auth.attributes import Attributes
from tests.simulators.kubernetes.auth.rbac import GROUP, MASTERS, Authorizer, rule_allows
from tests.simulators.kubernetes.auth.users import User
from tests.simulators.kubernetes.store import Object

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

Rule = dict[str, Any]


def refuse_escalation(cluster: Cluster, authorizer: Authorizer, user: User, asked: Attributes, body: Any) -> None:
    """
    :raises ApiError: 403, the Role or binding that is written gives rights that the user does not have.
    """
    if asked.group != GROUP or asked.verb not in ("create", "update", "patch") or MASTERS in user.groups:
        return
    if not isinstance(body, dict):
        return
    name = asked.name or (body.get("metadata") or {}).get("name", "")
    if asked.resource in ("roles", "clusterroles"):
        given, special = (
            body.get("rules") or [],
            Attributes("escalate", GROUP, asked.resource, "", asked.namespace, name),
        )
    else:
        ref = body.get("roleRef") or {}
        plural = f"{ref.get('kind', '').lower()}s"
        place = asked.namespace if plural == "roles" else ""
        given = _rules_of(cluster, ref, place)
        special = Attributes("bind", GROUP, plural, "", asked.namespace, ref.get("name", ""))
    if authorizer.allowed(user, special).allowed:
        return
    held = authorizer.rules(user, asked.namespace)
    missing = [rule for rule in given if not covered(rule, held)]
    if missing:
        groups = ", ".join(f'"{group}"' for group in user.groups)
        why = f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
        raise errors.forbidden(GROUP, asked.resource, name, why + "\n".join(_shown(rule) for rule in missing))


def _rules_of(cluster: Cluster, ref: Object, namespace: str) -> list[Rule]:
    found = cluster.get(f"{ref.get('kind')}.{GROUP}", namespace, ref.get("name", "")) if ref.get("kind") else None
    return (found or {}).get("rules") or []


def covered(rule: Rule, held: list[Rule]) -> bool:
    """Whether somebody with the held rules may do all that a rule allows."""
    return all(any(rule_allows(each, asked) for each in held) for asked in _parts(rule))


def _parts(rule: Rule) -> Iterator[Attributes]:
    """Every single thing that a rule allows. A star stands for itself: only a star covers it."""
    for verb, path in itertools.product(rule.get("verbs") or (), rule.get("nonResourceURLs") or ()):
        yield Attributes(verb, path=path)
    names = rule.get("resourceNames") or [""]
    keys = (rule.get("verbs") or (), rule.get("apiGroups") or (), rule.get("resources") or (), names)
    for verb, group, full, name in itertools.product(*keys):
        resource, _, subresource = full.partition("/")
        yield Attributes(verb, group, resource, subresource, name=name)


def _shown(rule: Rule) -> str:
    keys = ("APIGroups", "Resources", "ResourceNames", "NonResourceURLs", "Verbs")
    given = {key.lower(): value for key, value in rule.items()}
    parts = [f"{key}:{_list(given[key.lower()])}" for key in keys if given.get(key.lower())]
    return f"{{{', '.join(parts)}}}"


def _list(values: list[str]) -> str:
    return f"[{', '.join(f'{chr(34)}{value}{chr(34)}' for value in values)}]"
