"""Closed input, listed output: no field of a model can be written that its schema does not name, no secret is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.apps import apps

from models_catalog import services
from models_catalog.models import EngineRelease
from portal.api import api
from portal.tenancy.actor import PORTAL
from portal.tenancy.fields import EncryptedField
from portal.tenancy.models import AuditEntry
from tests.cast import Cast
from tests.portal.apiclient import Api
from tests.portal.apiworld import World, make_world
from tests.portal.test_matrix import MATRIX, holes

OURS = ("tenancy", "clusters", "models_catalog", "endpoints")
MODEL_FIELDS = sorted({field.name for label in OURS for model in apps.get_app_config(label).get_models()
                       for field in model._meta.get_fields()} | {"price", "phase", "role", "is_staff", "tenant_id", "pk"})
WITH_BODY = [route for route, entry in MATRIX.items() if entry.body is not None]


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def schema_of(verb: str, path: str) -> dict[str, Any]:
    root = api.get_root_path({})
    document = api.get_openapi_schema()
    operations = next(found for where, found in document["paths"].items()
                      if holes(f"/{where.removeprefix(root)}") == holes(path))
    reference = operations[verb.lower()]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return schema


@pytest.mark.parametrize(("verb", "path"), WITH_BODY, ids=[" ".join(route) for route in WITH_BODY])
def test_no_field_beyond_the_schema_is_taken(world: World, verb: str, path: str) -> None:
    entry = MATRIX[verb, path]
    known = set(schema_of(verb, path)["properties"])
    extra = {name: 1 for name in MODEL_FIELDS if name not in known}
    before = AuditEntry.objects.count()
    response = Api(world.cast.operator).call(verb, f"/api/v1{path.format_map(world.names())}", {**entry.body, **extra})
    assert response.status_code == 422
    refused = {item["field"] for item in json.loads(response.content)["error"]["errors"]}
    assert refused == set(extra)
    assert AuditEntry.objects.count() == before


def test_every_body_has_a_closed_schema() -> None:
    for verb, path in WITH_BODY:
        assert schema_of(verb, path)["additionalProperties"] is False, (verb, path)


def test_no_output_schema_names_a_secret_field() -> None:
    secret = {field.name for label in OURS for model in apps.get_app_config(label).get_models()
              for field in model._meta.get_fields() if isinstance(field, EncryptedField)} | {"digest", "password", "public_key"}
    secret -= {"canary"}  # Instance's, which no schema shows; a route's canary is an endpoint
    shown = {name: schema for name, schema in api.get_openapi_schema()["components"]["schemas"].items()
             if name.endswith("Out") and not name.startswith("New")}
    for name, schema in shown.items():
        assert not secret & set(schema["properties"]), name


def test_no_secret_of_the_world_is_in_any_answer(world: World) -> None:
    """Canaries: each secret is planted, then every read is made by the one who may see most."""
    world.artifact.put_secret("token", "hf_canaryOfTheArtifact")
    world.artifact.save()
    release = EngineRelease.objects.get(slug="vllm-cpu-unused")
    services.set_registry_login(PORTAL, release, "robot-canary", "canaryOfTheRegistry")
    secrets = [*world.secrets, "hf_canaryOfTheArtifact", "robot-canary", "canaryOfTheRegistry", release.registry_password,
               world.artifact.token, world.key.digest, world.token.digest, world.cast.alice.password]
    callers = [Api(world.cast.operator), Api(world.cast.alice)]
    for verb, path in MATRIX:
        if verb != "GET":
            continue
        for caller in callers:
            text = caller.get(path.format_map(world.names()).lstrip("/")).content.decode()
            assert not [secret for secret in secrets if secret in text], path
    stored = json.dumps(list(AuditEntry.objects.values("before", "after", "object_label")))
    assert not [secret for secret in secrets if secret in stored]


def test_a_new_key_is_shown_once_and_opens_the_door(cast: Cast) -> None:
    made = Api(cast.alice).post("workspaces/alpha/keys", {"name": "ci", "scopes": ["read"]}, Idempotency_Key="k").json()
    again = Api(cast.alice).post("workspaces/alpha/keys", {"name": "ci", "scopes": ["read"]}, Idempotency_Key="k").json()
    assert again == made
    assert Api(key=made["key"]).get("workspaces/alpha").status_code == 200
    listed = Api(cast.alice).get("workspaces/alpha/keys").content.decode()
    assert made["key"].split("-", 2)[2] not in listed
    assert made["api_key"]["last4"] == made["key"][-4:]
