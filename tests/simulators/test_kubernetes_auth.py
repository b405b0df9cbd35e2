"""Who may what in a simulated cluster: tokens, certificates, impersonation, roles and reviews, over its real API."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.simulators.kubernetes.auth import Attributes
from tests.simulators.kubernetes.auth.rbac import is_subject, rule_allows
from tests.simulators.kubernetes.auth.users import User
from tests.simulators.kubernetes.server import Simulator

RULE = {"apiGroups": ["apps"], "resources": ["deployments", "*/scale"], "verbs": ["get", "list"]}
NAMED = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"], "resourceNames": ["mine"]}
PATHS = {"nonResourceURLs": ["/healthz", "/api/*"], "verbs": ["get"]}


@pytest.mark.parametrize(
    ("rule", "asked", "allowed"),
    [
        (RULE, Attributes("get", "apps", "deployments"), True),
        (RULE, Attributes("delete", "apps", "deployments"), False),
        (RULE, Attributes("get", "", "deployments"), False),
        (RULE, Attributes("get", "apps", "deployments", "status"), False),
        (RULE, Attributes("get", "apps", "statefulsets", "scale"), True),
        (RULE, Attributes("get", path="/api"), False),
        (NAMED, Attributes("get", "", "secrets", name="mine"), True),
        (NAMED, Attributes("get", "", "secrets", name="other"), False),
        (NAMED, Attributes("list", "", "secrets"), False),
        (PATHS, Attributes("get", path="/api/v1"), True),
        (PATHS, Attributes("get", path="/healthz/x"), False),
        (PATHS, Attributes("get", "", "pods"), False),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, Attributes("patch", "x", "y", "z"), True),
    ],
)
def test_a_rule_allows_what_it_says(rule: dict[str, Any], asked: Attributes, allowed: bool) -> None:
    assert rule_allows(rule, asked) is allowed


def test_a_subject_is_a_user_a_group_or_an_account() -> None:
    user = User("system:serviceaccount:n:a", ("system:serviceaccounts",))
    assert is_subject({"kind": "ServiceAccount", "name": "a", "namespace": "n"}, user, "")
    assert not is_subject({"kind": "ServiceAccount", "name": "a", "namespace": "m"}, user, "")
    assert is_subject({"kind": "Group", "name": "system:serviceaccounts"}, user, "")
    assert not is_subject({"kind": "User", "name": "a"}, user, "")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulator]:
    with Simulator([], crds=None) as simulator:
        client = simulator.client()
        client.create("serviceaccounts", account("agent"))
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": place("agent"), "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]}  # fmt: skip
        client.create("roles", role)
        client.create("rolebindings", {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": place("agent"),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "agent"},
            "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": "default"}],
        })  # fmt: skip
        yield simulator


def place(name: str) -> dict[str, str]:
    return {"name": name, "namespace": "default"}


def account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place(name)}


def ask(
    cluster: Simulator,
    path: str,
    *,
    token: str = "",
    body: Any = None,
    context: ssl.SSLContext | None = None,
    **headers: str,
) -> tuple[int, Any]:
    trusted = context or ssl.create_default_context(cadata=cluster.ca_pem)
    connection = http.client.HTTPSConnection(
        "127.0.0.1", int(cluster.url.rpartition(":")[2]), context=trusted, timeout=30
    )
    told = {"Authorization": f"Bearer {token}"} if token else {}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        told["Content-Type"] = "application/json"
    try:
        connection.request("GET" if body is None else "POST", path, body and json.dumps(body), told)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith(b"{") else text.decode()
    finally:
        connection.close()


MAPS = "/api/v1/namespaces/default/configmaps"


def test_an_account_may_what_its_role_says(cluster: Simulator) -> None:
    token = cluster.token_for("default", "agent")
    assert ask(cluster, MAPS, token=token)[0] == 200
    status, body = ask(cluster, "/api/v1/namespaces/default/secrets", token=token)
    assert (status, body["reason"]) == (403, "Forbidden")
    assert 'User "system:serviceaccount:default:agent" cannot list resource "secrets"' in body["message"]
    assert ask(cluster, "/api/v1/configmaps", token=token)[0] == 403


def test_a_token_ends_with_its_account(cluster: Simulator) -> None:
    client = cluster.client()
    client.create("serviceaccounts", account("short"))
    token = cluster.token_for("default", "short")
    assert ask(cluster, MAPS, token=token)[0] == 403
    client.delete("v1", "serviceaccounts", "default", "short")
    assert ask(cluster, MAPS, token=token)[0] == 401
    client.create("serviceaccounts", account("short"))
    assert ask(cluster, MAPS, token=token)[0] == 401


def test_a_changed_token_is_nobodys(cluster: Simulator) -> None:
    token = cluster.token_for("default", "agent")
    head, claims, signature = token.split(".")
    for changed in (f"{head}.{claims}.x", f"{head}.{claims[:-2]}.{signature}", "nonsense", "a.b.c", "é"):
        assert ask(cluster, MAPS, Authorization=f"Bearer {changed}".encode().decode("latin-1"))[0] == 401


def test_a_token_for_somebody_else_is_refused(cluster: Simulator) -> None:
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["portal"]}}
    path = "/api/v1/namespaces/default/serviceaccounts/agent/token"
    status, answer = ask(cluster, path, token=cluster.admin_token, body=asked)
    assert status == 201
    assert ask(cluster, MAPS, token=answer["status"]["token"])[0] == 401


def test_nobody_sees_health_only(cluster: Simulator) -> None:
    assert ask(cluster, "/healthz") == (200, "ok")
    assert ask(cluster, "/apis")[0] == 403
    assert ask(cluster, MAPS)[1]["message"].startswith('configmaps is forbidden: User "system:anonymous"')


def test_a_client_certificate_names_the_user(cluster: Simulator, tmp_path: Path) -> None:
    user = yaml.safe_load(cluster.kubeconfig(client_certificate=True))["users"][0]["user"]
    context = ssl.create_default_context(cadata=cluster.ca_pem)
    for key in ("client-certificate-data", "client-key-data"):
        (tmp_path / key).write_bytes(base64.b64decode(user[key]))
    context.load_cert_chain(tmp_path / "client-certificate-data", tmp_path / "client-key-data")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    status, answer = ask(cluster, path, body=review, context=context)
    assert status == 201
    assert answer["status"]["userInfo"]["username"] == "kubernetes-admin"
    assert "system:masters" in answer["status"]["userInfo"]["groups"]


def test_an_administrator_may_speak_for_others(cluster: Simulator) -> None:
    admin = cluster.admin_token
    assert ask(cluster, MAPS, token=admin, Impersonate_User="jane")[0] == 403
    assert ask(cluster, MAPS, token=admin, Impersonate_User="system:serviceaccount:default:agent")[0] == 200
    assert ask(cluster, MAPS, token=cluster.token_for("default", "agent"), Impersonate_User="jane")[0] == 403


@pytest.mark.parametrize(("verb", "allowed"), [("list", True), ("delete", False)])
def test_a_review_tells_what_one_may(cluster: Simulator, verb: str, allowed: bool) -> None:
    attributes = {"namespace": "default", "resource": "configmaps", "verb": verb}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes}}  # fmt: skip
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    status, answer = ask(cluster, path, token=cluster.token_for("default", "agent"), body=body)
    assert (status, answer["status"]["allowed"]) == (201, allowed)


def test_a_secret_holds_a_token_that_does_not_end(cluster: Simulator) -> None:
    client = cluster.client()
    client.create("serviceaccounts", account("lasting"))
    annotations = {"kubernetes.io/service-account.name": "lasting"}
    client.create("secrets", {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {**place("lasting"), "annotations": annotations},
    })  # fmt: skip
    token = ""
    for _ in range(200):
        data = client.get("v1", "secrets", "default", "lasting").get("data") or {}
        token = base64.b64decode(data.get("token", "")).decode()
        if token:
            break
        time.sleep(0.05)
    assert base64.b64decode(data["ca.crt"]).decode() == cluster.ca_pem
    assert ask(cluster, MAPS, token=token)[0] == 403
    client.delete("v1", "secrets", "default", "lasting")
    assert ask(cluster, MAPS, token=token)[0] == 401


@pytest.mark.parametrize(("resource", "status"), [("configmaps", 201), ("secrets", 403), ("*", 403)])
def test_nobody_grants_more_than_they_have(cluster: Simulator, resource: str, status: int) -> None:
    client = cluster.client()
    name = f"giver-{status}-{len(resource)}"
    client.create("serviceaccounts", account(name))
    rules = [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
    ]
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": place(name)}
    client.create("roles", {**head, "kind": "Role", "rules": rules})
    client.create("rolebindings", {
        **head, "kind": "RoleBinding", "subjects": [{"kind": "ServiceAccount", **place(name)}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
    })  # fmt: skip
    given = [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]
    body = {**head, "kind": "Role", "metadata": place(f"{name}-given"), "rules": given}
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
    found, answer = ask(cluster, path, token=cluster.token_for("default", name), body=body)
    assert found == status
    assert status == 201 or "attempting to grant RBAC permissions not currently held" in answer["message"]
