"""Who may do what: every route of the JSON doors by every kind of caller. A route without an entry fails."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver

from portal.api import api, deepinfer, hub
from portal.tenancy.models import AuditEntry, User
from tests.cast import Cast
from tests.portal.apiclient import Api, by_key
from tests.portal.apiworld import AUTOSCALE, NEW_ENDPOINT, NEW_PROFILE, World, make_world

PEOPLE = ("charlie", "vera", "bob", "alice", "operator")  # stranger, viewer, developer, owner, operator
LIST, VIEW = (200, 200, 200, 200, 200), (404, 200, 200, 200, 200)
UNKNOWN = (422, 422, 422, 422, 422)
OPERATE = (404, 403, 403, 403, 200)


def of(ok: int, *, viewer: bool = False, developer: bool = False, owner: bool = True) -> tuple[int, ...]:
    """A stranger finds nothing, a member without the right is told so."""
    return (404, *(ok if may else 403 for may in (viewer, developer, owner)), ok)


VLLMCLUSTER = """
apiVersion: training.distributed-inference.io/v1alpha1
kind: VLLMCluster
metadata: {name: imported}
spec: {model: {modelPath: acme/new}, resources: {resources: {limits: {memory: 8Gi}}}}
"""
DEPLOY, MANAGE, GONE, CHANGE = of(202, developer=True), of(200), of(204), of(200, developer=True)


@dataclass(frozen=True)
class Entry:
    """The status for each of PEOPLE; `writes` counts the audit entries that a success leaves."""

    expected: tuple[int, ...]
    body: Any = None
    writes: int = 0


MATRIX: dict[tuple[str, str], Entry] = {
    ("GET", "/workspaces"): Entry(LIST),
    ("POST", "/workspaces"): Entry((403, 403, 403, 403, 201), {"name": "New", "slug": "new"}, writes=1),
    ("GET", "/workspaces/{workspace}"): Entry(VIEW),
    ("PATCH", "/workspaces/{workspace}"): Entry(MANAGE, {"name": "Alpha 2"}, writes=1),
    ("GET", "/workspaces/{workspace}/members"): Entry(VIEW),
    ("POST", "/workspaces/{workspace}/members"): Entry(of(201), {"user": "charlie", "role": "viewer"}, writes=1),
    ("PATCH", "/workspaces/{workspace}/members/{member}"): Entry(MANAGE, {"role": "developer"}, writes=1),
    # The member of the world is Vera, who may leave by herself.
    ("DELETE", "/workspaces/{workspace}/members/{member}"): Entry(of(204, viewer=True), writes=1),
    ("GET", "/workspaces/{workspace}/keys"): Entry(VIEW),
    ("POST", "/workspaces/{workspace}/keys"): Entry(of(201, viewer=True, developer=True),
                                                    {"name": "k", "scopes": ["read"]}, writes=1),
    ("DELETE", "/workspaces/{workspace}/keys/{key}"): Entry(GONE, writes=1),
    ("GET", "/workspaces/{workspace}/governance"): Entry(VIEW),
    ("PUT", "/workspaces/{workspace}/governance"): Entry(OPERATE, {"queue": "alpha"}, writes=1),
    ("GET", "/alerts"): Entry(LIST),
    ("POST", "/alerts"): Entry((422, 403, 403, 201, 201), {
        "workspace": "alpha", "name": "new", "kind": "webhook", "url": "https://hooks.example"}, writes=1),
    ("GET", "/alerts/{alert}"): Entry(MANAGE),
    ("PATCH", "/alerts/{alert}"): Entry(MANAGE, {"is_enabled": False}, writes=1),
    ("DELETE", "/alerts/{alert}"): Entry(GONE, writes=1),
    ("POST", "/alerts/{alert}/secret"): Entry(of(201), writes=1),
    ("POST", "/alerts/{alert}/test"): Entry(of(202), writes=1),
    ("GET", "/alerts/{alert}/deliveries"): Entry(MANAGE),
    ("POST", "/alerts/{alert}/deliveries/{delivery}/resend"): Entry(of(202), writes=1),
    ("GET", "/limits"): Entry(LIST),
    ("POST", "/limits"): Entry((422, 403, 403, 201, 201), {
        "workspace": "alpha", "kind": "model", "model": "alpha-chat", "tokens_per_month": 5}, writes=1),
    ("GET", "/limits/{limit}"): Entry(VIEW),
    ("GET", "/limits/{limit}/use"): Entry(VIEW),
    ("PATCH", "/limits/{limit}"): Entry(MANAGE, {"requests_per_minute": 30}, writes=1),
    ("DELETE", "/limits/{limit}"): Entry(GONE, writes=1),
    ("GET", "/audit"): Entry(LIST),
    ("GET", "/usage"): Entry(LIST),
    ("GET", "/token-prices"): Entry(LIST),
    ("PUT", "/token-prices"): Entry((403, 403, 403, 403, 200), {
        "model": "alpha-spare", "prompt": "0.5", "completion": "1.5"}, writes=1),
    ("DELETE", "/token-prices/{token_price}"): Entry((404, 403, 403, 403, 204), writes=1),
    ("GET", "/places"): Entry(LIST),
    ("POST", "/places"): Entry((403, 403, 403, 403, 201), {"name": "new-place"}, writes=1),
    ("GET", "/places/{place}"): Entry(VIEW),
    ("PATCH", "/places/{place}"): Entry(OPERATE, {"paused": True}, writes=1),
    ("DELETE", "/places/{empty}"): Entry((404, 403, 403, 403, 204), writes=1),
    # Nobody answers at the address of the world's cluster.
    ("POST", "/places/{cluster}/check"): Entry(OPERATE),
    ("POST", "/places/{cluster}/refresh"): Entry((404, 403, 403, 403, 503)),
    ("POST", "/places/{cluster}/forget"): Entry((404, 403, 403, 403, 204), writes=1),
    # Nobody answers for AWS either, and the world's cluster is not there.
    ("GET", "/aws-accounts/{aws_account}/hyperpod-clusters"): Entry((404, 403, 403, 403, 503)),
    ("POST", "/aws-accounts/{aws_account}/hyperpod-clusters"): Entry((404, 403, 403, 403, 503), {"cluster": "team"}),
    ("POST", "/places/{cluster}/repair"): Entry((404, 403, 403, 403, 422), {
        "how": "reboot", "nodes": ["01890000-0000-7000-8000-000000000001"]}),
    ("POST", "/places/{cluster}/resize"): Entry((404, 403, 403, 403, 409), {"group": "gpu", "count": 2}),
    ("GET", "/places/{place}/nodes"): Entry(VIEW),
    ("GET", "/places/{place}/hosts"): Entry(VIEW),
    ("GET", "/places/{place}/enrolment-tokens"): Entry(OPERATE),
    ("POST", "/places/{place}/enrolment-tokens"): Entry((404, 403, 403, 403, 201), {}, writes=1),
    ("GET", "/aws-accounts"): Entry(LIST),
    ("GET", "/aws-accounts/{aws_account}"): Entry(VIEW),
    ("POST", "/aws-accounts"): Entry((403, 403, 403, 403, 201), {
        "name": "new", "region": "us-west-2", "sign_in": "role", "role_arn": "arn:aws:iam::123456789012:role/portal"},
        writes=1),
    ("PATCH", "/aws-accounts/{aws_account}"): Entry(OPERATE, {"region": "eu-west-1"}, writes=1),
    # Nobody answers for AWS in these tests.
    ("POST", "/aws-accounts/{aws_account}/check"): Entry(OPERATE),
    ("DELETE", "/aws-accounts/{aws_account}"): Entry((404, 403, 403, 403, 204), writes=1),
    ("GET", "/hosts/{host}"): Entry(VIEW),
    ("POST", "/hosts/{host}/drain"): Entry(OPERATE, writes=1),
    ("POST", "/hosts/{host}/resume"): Entry(OPERATE),
    ("DELETE", "/hosts/{host}"): Entry((404, 403, 403, 403, 204), writes=1),
    ("GET", "/instance-types"): Entry(LIST),
    ("GET", "/vendors"): Entry(LIST),
    ("GET", "/vendors/{vendor}"): Entry(VIEW),
    ("POST", "/vendors"): Entry((403, 403, 403, 403, 201), {"slug": "new", "names": {"enUS": "New"}}, writes=1),
    ("PATCH", "/vendors/{vendor}"): Entry(OPERATE, {"names": {"enUS": "Acme 2"}}, writes=1),
    ("DELETE", "/vendors/{unused_vendor}"): Entry((404, 404, 404, 404, 204), writes=1),
    ("GET", "/models"): Entry(LIST),
    ("GET", "/models/{model}"): Entry(VIEW),
    ("POST", "/models"): Entry((422, 422, 422, 201, 201), {
        "slug": "new", "name": "New", "vendor": "acme", "task": "chat", "workspace": "alpha"}, writes=1),
    ("PATCH", "/models/{model}"): Entry(MANAGE, {"name": "Renamed"}, writes=1),
    ("DELETE", "/models/{spare}"): Entry(GONE, writes=1),
    ("POST", "/models/{model}/shelve"): Entry(MANAGE),
    ("POST", "/models/{model}/unshelve"): Entry(MANAGE, writes=1),
    ("POST", "/models/{model}/artifacts"): Entry(of(201), {"kind": "path", "location": "/models/new"}, writes=1),
    ("PUT", "/models/{spare}/artifacts/{artifact}/token"): Entry(GONE, {"token": "hf_abc"}, writes=1),
    ("DELETE", "/models/{spare}/artifacts/{artifact}"): Entry(GONE, writes=1),
    ("GET", "/profiles"): Entry(LIST),
    ("GET", "/profiles/{profile}"): Entry(VIEW),
    ("POST", "/profiles"): Entry((422, 403, 403, 201, 201), NEW_PROFILE, writes=1),
    ("PATCH", "/profiles/{profile}"): Entry(MANAGE, {"name": "Renamed"}, writes=1),
    ("DELETE", "/profiles/{unused}"): Entry(GONE, writes=1),
    # Without an AWS account that the caller may use, the hub is not asked.
    ("GET", "/jumpstart/models"): Entry(UNKNOWN),
    ("GET", "/jumpstart/models/{model}"): Entry(UNKNOWN),
    ("POST", "/jumpstart/models/{model}/shelve"): Entry(UNKNOWN, {"account": "nowhere"}),
    ("POST", "/models/{spare}/artifacts/{artifact}/accept-licence"): Entry(
        (404, 422, 422, 422, 422), {"workspace": "alpha", "account": "nowhere"}),
    ("GET", "/copies"): Entry(LIST),
    ("GET", "/copies/{copy}"): Entry(VIEW),
    ("POST", "/copies"): Entry((422, 403, 202, 202, 202), {
        "model": "alpha-spare", "artifact": "acme/alpha-spare", "place": "alpha-kubernetes", "workspace": "alpha",
        "size_bytes": 2**30}, writes=1),
    ("POST", "/copies/{copy}/retry"): Entry(DEPLOY, writes=1),
    ("DELETE", "/copies/{copy}"): Entry(DEPLOY, writes=1),
    ("GET", "/releases"): Entry(LIST),
    ("GET", "/releases/{release}"): Entry(LIST),
    ("POST", "/releases"): Entry((403, 403, 403, 403, 201), {
        "slug": "vllm-cpu-9", "engine": "vllm", "version": "9.0", "device": "cpu"}, writes=1),
    ("PATCH", "/releases/{release}"): Entry((403, 403, 403, 403, 200), {"enabled": False}, writes=1),
    ("PUT", "/releases/{unused_release}/registry-login"): Entry(
        (403, 403, 403, 403, 204), {"user": "robot", "password": "hidden-7"}, writes=1),
    ("DELETE", "/releases/{unused_release}"): Entry((403, 403, 403, 403, 204), writes=1),
    ("GET", "/endpoints"): Entry(LIST),
    ("POST", "/endpoints"): Entry((422, 403, 202, 202, 202), NEW_ENDPOINT, writes=1),
    ("GET", "/endpoints/{running}"): Entry(VIEW),
    ("DELETE", "/endpoints/{running}"): Entry(DEPLOY, writes=1),
    ("POST", "/endpoints/{running}/deploy"): Entry(DEPLOY, writes=1),
    ("POST", "/endpoints/{running}/stop"): Entry(DEPLOY, writes=1),
    ("POST", "/endpoints/{stopped}/start"): Entry(DEPLOY, writes=1),
    ("POST", "/endpoints/{running}/retry"): Entry(DEPLOY, writes=1),
    ("POST", "/endpoints/{running}/scale"): Entry(DEPLOY, {"replicas": 2}, writes=1),
    ("POST", "/endpoints/{running}/affinity"): Entry(DEPLOY, {"affinity": "session"}, writes=1),
    ("POST", "/endpoints/{running}/update"): Entry(DEPLOY, {"arguments": {"max-model-len": 512}}, writes=1),
    ("POST", "/endpoints/{running}/rollback"): Entry(DEPLOY, {"revision": 1}, writes=1),
    ("GET", "/endpoints/{running}/revisions"): Entry(VIEW),
    ("GET", "/endpoints/{running}/events"): Entry(VIEW),
    ("GET", "/endpoints/{running}/engines"): Entry(VIEW),
    ("GET", "/endpoints/{running}/logs"): Entry(VIEW),
    ("GET", "/endpoints/{running}/explain"): Entry(VIEW),
    ("GET", "/endpoints/{running}/plan"): Entry(VIEW),
    ("GET", "/endpoints/{scaled}/autoscale"): Entry(VIEW),
    ("PUT", "/endpoints/{scaled}/autoscale"): Entry(DEPLOY, {**AUTOSCALE, "max_replicas": 3}, writes=1),
    ("DELETE", "/endpoints/{scaled}/autoscale"): Entry(DEPLOY, writes=1),
    ("GET", "/endpoints/{scaled}/export"): Entry(VIEW),
    # Whoever hands in a VLLMCluster makes a model, an artifact and a profile of the workspace.
    ("POST", "/endpoints/import"): Entry((422, 403, 403, 202, 202), {
        "workspace": "alpha", "place": "alpha-hosts", "yaml": VLLMCLUSTER}, writes=4),
    ("GET", "/endpoints/{running}/drift"): Entry(VIEW),
    # Nothing differs there: who may is told so.
    ("POST", "/endpoints/{running}/drift/put-back"): Entry((404, 403, 409, 409, 409)),
    ("POST", "/endpoints/{running}/drift/accept"): Entry((404, 403, 409, 409, 409)),
    ("POST", "/endpoints/{running}/drift/ignore"): Entry((404, 403, 409, 409, 409)),
    ("GET", "/routes"): Entry(LIST),
    ("POST", "/routes"): Entry((422, 403, 201, 201, 201), {
        "workspace": "alpha", "public_name": "new", "targets": [{"endpoint": "running"}]}, writes=1),
    ("GET", "/routes/{route}"): Entry(VIEW),
    ("PATCH", "/routes/{route}"): Entry(CHANGE, {"is_sticky": True}, writes=1),
    ("DELETE", "/routes/{route}"): Entry(of(204, developer=True), writes=1),
    ("POST", "/routes/{route}/canary"): Entry(CHANGE, {"endpoint": "stopped"}, writes=1),
    ("DELETE", "/routes/{route}/canary"): Entry(CHANGE, writes=1),
    ("POST", "/routes/{route}/promote"): Entry(CHANGE, writes=1),
    ("POST", "/routes/{route}/return"): Entry(CHANGE, writes=1),
    ("POST", "/routes/{returned}/resume"): Entry(CHANGE, writes=1),
    ("POST", "/routes/{route}/restore"): Entry(CHANGE, {"version": 1}, writes=1),
    ("GET", "/routes/{route}/changes"): Entry(VIEW),
    ("GET", "/routes/{route}/traffic"): Entry(VIEW),
    ("POST", "/endpoints/plan"): Entry((422, 403, 200, 200, 200), NEW_ENDPOINT),
    ("POST", "/endpoints/{running}/plan"): Entry((404, 403, 200, 200, 200), {"replicas": 2}),
    ("GET", "/endpoints/{running}/replicas"): Entry(VIEW),
    # Hosts keep no such figures.
    ("GET", "/endpoints/{running}/measures"): Entry((404, 404, 404, 404, 404)),
    ("GET", "/endpoints/{running}/cluster-events"): Entry(VIEW),
}
# deepinfer's door takes keys only; each key belongs to its maker's workspace, the stranger's to `beta`.
DEEPINFER: dict[tuple[str, str], Entry] = {
    ("GET", "/deployments"): Entry(LIST),
    ("POST", "/deployments"): Entry((404, 403, 202, 202, 202), {"model": "alpha-chat", "device": "cpu"}, writes=1),
    ("GET", "/deployments/{running}"): Entry(VIEW),
    ("DELETE", "/deployments/{running}"): Entry(DEPLOY, writes=1),
}
# So does the hub's. It tells a refusal of a wish in a body, as that system does.
HUB: dict[tuple[str, str], Entry] = {
    ("POST", "/deploy_endpoint"): Entry(LIST, {"engine": "vllm", "instance_type": "ml.g5.xlarge"}),
    ("POST", "/delete_endpoint"): Entry((200, 403, 200, 200, 200), {"endpoint_name": "running"}, writes=1),
    ("POST", "/get_endpoint_status"): Entry(LIST, {"endpoint_name": "running"}),
    ("POST", "/list_endpoints"): Entry(LIST, {}),
    ("POST", "/list_clusters"): Entry(LIST, {}),
    ("POST", "/get_cluster"): Entry((404, 404, 404, 404, 404), {"cluster_id": "nowhere"}),
    ("POST", "/list_cluster_nodes"): Entry((404, 404, 404, 404, 404), {"cluster_id": "nowhere"}),
}
OUTSIDE_THE_MATRIX = {
    "admin/", "agent/v1/", "api/v1/", "v1/", "health", "healthz", "readyz", "metrics", "static/", "i18n/setlang/",
    "account/", "admin/login/", "admin/logout/", "admin/password_change/",  # tests/web/test_signin.py
}
NOT_OF_A_TENANT = {
    "/releases/{release}", "/releases/{unused_release}", "/releases/{unused_release}/registry-login",
    "/jumpstart/models/{model}", "/jumpstart/models/{model}/shelve",
}


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def holes(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path)


def routes_of(door: Any) -> set[tuple[str, str]]:
    root = door.get_root_path({})
    schema = door.get_openapi_schema()["paths"]
    return {(verb.upper(), holes(f"/{path.removeprefix(root)}")) for path, verbs in schema.items() for verb in verbs}


@pytest.mark.parametrize(("door", "table"), [(api, MATRIX), (deepinfer, DEEPINFER), (hub, HUB)],
                         ids=["api", "deepinfer", "hub"])
def test_every_route_has_an_entry_and_every_entry_a_route(door: Any, table: dict[tuple[str, str], Entry]) -> None:
    assert routes_of(door) == {(verb, holes(path)) for verb, path in table}


def test_nothing_else_is_mounted_unseen() -> None:
    patterns: list[URLPattern | URLResolver] = get_resolver().url_patterns
    pages = {""}  # tests/web/test_matrix.py
    assert {str(pattern.pattern) for pattern in patterns} <= OUTSIDE_THE_MATRIX | pages


def probe(caller: Api, verb: str, path: str, entry: Entry) -> tuple[HttpResponse, int]:
    """The answer, and how many audit entries it left; what it changed is rolled back."""
    before = AuditEntry.objects.count()
    with transaction.atomic():
        response = caller.call(verb, path, entry.body)
        written = AuditEntry.objects.count() - before
        transaction.set_rollback(True)
    return response, written


@pytest.mark.parametrize(("verb", "path"), MATRIX, ids=[" ".join(route) for route in MATRIX])
def test_route_answers_each_person(world: World, verb: str, path: str) -> None:
    entry = MATRIX[verb, path]
    where = f"/api/v1{path.format_map(world.names())}"
    assert probe(Api(), verb, where, entry)[0].status_code == 401
    for name, expected in zip(PEOPLE, entry.expected, strict=True):
        response, written = probe(Api(person(world, name)), verb, where, entry)
        assert response.status_code == expected, (name, response.content)
        assert written == (entry.writes if expected < 300 else 0), name


BY_KEY = {**DEEPINFER, **HUB}


@pytest.mark.parametrize(("verb", "path"), BY_KEY, ids=[" ".join(route) for route in BY_KEY])
def test_another_systems_route_answers_each_key(world: World, verb: str, path: str) -> None:
    entry = BY_KEY[verb, path]
    where = f"/v1{path.format_map(world.names())}"
    assert probe(Api(), verb, where, entry)[0].status_code == 401
    for name, expected in zip(PEOPLE, entry.expected, strict=True):
        workspace = world.cast.beta if name == "charlie" else world.cast.alpha
        response, written = probe(by_key(person(world, name), workspace), verb, where, entry)
        assert response.status_code == expected, (name, response.content)
        assert written == (entry.writes if expected < 300 and (path, name) != ("/delete_endpoint", "charlie") else 0), name


@pytest.mark.parametrize(("verb", "path"), [route for route in MATRIX if "{" in route[1] and route[1] not in NOT_OF_A_TENANT],
                         ids=lambda part: part)
def test_a_neighbours_object_answers_like_a_missing_one(world: World, verb: str, path: str) -> None:
    charlie = Api(world.cast.charlie)
    nowhere = {name: str(uuid.uuid4()) if "-" in value and len(value) == 36 else "nowhere"
               for name, value in world.names().items()}
    seen = [probe(charlie, verb, f"/api/v1{path.format_map(names)}", MATRIX[verb, path])[0]
            for names in (world.names(), nowhere)]
    assert [response.status_code for response in seen] == [404, 404]
    assert without_id(seen[0]) == without_id(seen[1])
    assert sorted(seen[0].headers) == sorted(seen[1].headers)


CHANGES = [route for route in MATRIX if route[0] != "GET"]


@pytest.mark.parametrize(("verb", "path"), CHANGES, ids=[" ".join(route) for route in CHANGES])
def test_every_change_by_session_needs_the_token_and_json(world: World, verb: str, path: str) -> None:
    caller = Api(world.cast.operator)
    entry, where = MATRIX[verb, path], f"/api/v1{path.format_map(world.names())}"
    form = caller.call(verb, where, raw=b"name=x", Content_Type="application/x-www-form-urlencoded")
    assert form.status_code == 415
    del caller.headers["X-CSRFToken"]
    response, written = probe(caller, verb, where, entry)
    assert (response.status_code, response.json()["error"]["code"], written) == (403, "csrf", 0)


def person(world: World, name: str) -> User:
    user: User = getattr(world.cast, name)
    return user


def without_id(response: HttpResponse) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(response.content)
    assert body["error"].pop("request_id") == response["X-Request-Id"]
    return body
