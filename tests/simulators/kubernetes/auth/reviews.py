"""The reviews: requests that ask who somebody is or what they may. They are answered and never stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulators.kubernetes.auth.attributes import Attributes
from tests.simulators.kubernetes.auth.authenticator import Authenticator
from tests.simulators.kubernetes.auth.rbac import Authorizer
from tests.simulators.kubernetes.auth.tokens import AUDIENCE, BadToken
from tests.simulators.kubernetes.auth.users import User
from tests.simulators.kubernetes.errors import cause, invalid
from tests.simulators.kubernetes.store import Object

AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Reviewer:
    authenticator: Authenticator
    authorizer: Authorizer
    now: Callable[[], str]


def review(reviewer: Reviewer, user: User, plural: str, namespace: str, body: Object) -> Object:
    """The answer to a POST of one of `REVIEWS`.

    :raises ApiError: 422, the question is not put well.
    """
    return REVIEWS[plural](reviewer, user, namespace, body)


def _self_access(reviewer: Reviewer, user: User, namespace: str, body: Object) -> Object:
    spec = body.get("spec") or {}
    return _access(reviewer, user, "SelfSubjectAccessReview", spec)


def _access_of(reviewer: Reviewer, user: User, namespace: str, body: Object) -> Object:
    spec = body.get("spec") or {}
    if not spec.get("user") and not spec.get("groups"):
        why = 'Invalid value: "": at least one of user or group must be specified'
        raise invalid(AUTHORIZATION, "", "", [cause("FieldValueInvalid", why, "spec.user")])
    groups = [*(spec.get("groups") or ())]
    name = spec.get("user", "")
    if name.startswith("system:serviceaccount:"):
        place = name.split(":")[2]
        groups += ["system:serviceaccounts", f"system:serviceaccounts:{place}", "system:authenticated"]
    return _access(reviewer, User(name, tuple(groups)), str(body.get("kind", "")), spec)


def _access(reviewer: Reviewer, user: User, kind: str, spec: Object) -> Object:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        why = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid(AUTHORIZATION, "", "", [cause("FieldValueInvalid", why, "spec.resourceAttributes")])
    decision = reviewer.authorizer.allowed(user, _asked(resource, path))
    status: Object = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    return _answer(AUTHORIZATION, kind, spec, status)


def _asked(resource: Object | None, path: Object | None) -> Attributes:
    if resource is None:
        return Attributes((path or {}).get("verb", ""), path=(path or {}).get("path", ""))
    keys = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Attributes(**{key: resource.get(key, "") for key in keys})


def _answer(group: str, kind: str, spec: Object, status: Object, metadata: Object | None = None) -> Object:
    return {"kind": kind, "apiVersion": f"{group}/v1", "metadata": metadata or {}, "spec": spec, "status": status}


RESOURCE_KEYS = ("verbs", "apiGroups", "resources", "resourceNames")


def _self_rules(reviewer: Reviewer, user: User, namespace: str, body: Object) -> Object:
    place = (body.get("spec") or {}).get("namespace", "")
    if not place:
        why = "Required value: namespace is required"
        raise invalid(AUTHORIZATION, "", "", [cause("FieldValueRequired", why, "spec.namespace")])
    resources: list[Any] = []
    paths: list[Any] = []
    for rule in reviewer.authorizer.rules(user, place):
        if rule.get("nonResourceURLs"):
            paths.append({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]})
        else:
            resources.append({key: rule[key] for key in RESOURCE_KEYS if rule.get(key)})
    status = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
    return _answer(AUTHORIZATION, "SelfSubjectRulesReview", {}, status)


def _self(reviewer: Reviewer, user: User, namespace: str, body: Object) -> Object:
    answer = _answer(AUTHENTICATION, "SelfSubjectReview", {}, {"userInfo": user.info()})
    del answer["spec"]
    return {**answer, "metadata": {"creationTimestamp": reviewer.now()}}


def _token(reviewer: Reviewer, user: User, namespace: str, body: Object) -> Object:
    spec = body.get("spec") or {}
    try:
        found = reviewer.authenticator.by_token(spec.get("token", ""))
    except BadToken:
        return _answer(AUTHENTICATION, "TokenReview", spec, {"user": {}, "error": "invalid bearer token"})
    audiences = [each for each in spec.get("audiences") or [AUDIENCE] if each == AUDIENCE]
    status = {"authenticated": True, "user": found.info(), "audiences": audiences}
    return _answer(AUTHENTICATION, "TokenReview", spec, status)


REVIEWS: dict[str, Callable[[Reviewer, User, str, Object], Object]] = {
    "selfsubjectaccessreviews": _self_access,
    "subjectaccessreviews": _access_of,
    "localsubjectaccessreviews": _access_of,
    "selfsubjectrulesreviews": _self_rules,
    "selfsubjectreviews": _self,
    "tokenreviews": _token,
}
