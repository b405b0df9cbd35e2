"""The Secrets of an endpoint: what its engine reads, and the login with which nodes pull its image.

Both have fixed names, so no right to list Secrets is needed. Docker's configuration: kubectl create secret docker-registry.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from clusters.drivers.kinds import SECRET
from endpoints.targets.base import RevisionSpec, Spec
from models_catalog.registries import auth_key, registry_of

from .engine import secret_data
from .names import manifest, pull_secret_name, secret_name
from .place import PlaceView

DOCKER_TYPE, DOCKER_KEY = "kubernetes.io/dockerconfigjson", ".dockerconfigjson"


def secrets(spec: Spec, place: PlaceView) -> list[dict[str, Any]]:
    """Those that hold anything."""
    return secrets_with(spec, secret_data(spec, place))


def secrets_with(spec: Spec, kept: Mapping[str, str]) -> list[dict[str, Any]]:
    """The Secret that holds `kept`, and that with the logins of registries."""
    logins = _logins(spec)
    made = []
    if kept:
        made.append(manifest(SECRET, spec, secret_name(spec), type="Opaque", data={
            key: _encoded(value) for key, value in kept.items()}))
    if logins:
        made.append(manifest(SECRET, spec, pull_secret_name(spec), type=DOCKER_TYPE, data={
            DOCKER_KEY: _encoded(json.dumps({"auths": logins}, sort_keys=True))}))
    return made


def shown(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same objects for people: no secret's value is in them, and a cluster would still take them."""
    return [{**each, "data": {key: _blank(key) for key in each["data"]}} if each["kind"] == SECRET.kind else each
            for each in made]


def pulls_by(spec: Spec) -> dict[str, Any]:
    """What a pod says of the login that its image needs."""
    return {"imagePullSecrets": [{"name": pull_secret_name(spec)}]} if spec.wanted.registry_password else {}


def _logins(spec: Spec) -> dict[str, dict[str, str]]:
    """By registry: also that of the revision in service, whose pods may have to come again on another node."""
    revisions = [revision for revision in (spec.serving, spec.wanted) if revision is not None]
    return {auth_key(registry_of(revision.image)): _login(revision) for revision in revisions if revision.registry_password}


def _login(revision: RevisionSpec) -> dict[str, str]:
    user, password = revision.registry_user, revision.registry_password
    return {"username": user, "password": password, "auth": _encoded(f"{user}:{password}")}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _blank(key: str) -> str:
    """An API server refuses a docker configuration that is no JSON."""
    return _encoded('{"auths":{}}') if key == DOCKER_KEY else ""
