"""Endpoints on a simulated cluster that moves by itself: the keeper comes by until what is waited for is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.specs import namespace_of
from endpoints.states import Status
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, EngineRelease, Profile
from tests.cast import GIB, Cast, make_model, make_profile
from tests.simulators.kubernetes.server import Simulator

PATIENCE = 30.0
IMAGE = "registry.example.org/engine@sha256:" + "a" * 64
Object = dict[str, Any]


def cluster_profile(slug: str = "small", **values: Any) -> Profile:
    """A profile that a cluster can run: weights from a hub, an engine with an image."""
    made = make_profile(f"{slug}-cpu", make_model(slug, weights_bytes=GIB), memory_bytes=2 * GIB, **values)
    Artifact.objects.filter(pk=made.artifact_id).update(kind=ArtifactKind.HUGGING_FACE, location="org/small")
    EngineRelease.objects.filter(pk=made.release_id).update(image=IMAGE)
    return Profile.objects.select_related("model", "artifact", "release").get(pk=made.pk)


def new_endpoint(cast: Cast, place: Cluster, name: str = "chat", **values: Any) -> Endpoint:
    profile = values.pop("profile", None) or Profile.objects.filter(slug="small-cpu").first() or cluster_profile()
    return services.create(cast.actor("alice"), cast.alpha, name=name, cluster=place, profile=profile, **values)


def until(endpoint: Endpoint, wanted: Callable[[Endpoint], Any] | str) -> Endpoint:
    """Let the keeper come by until the row is as wanted (a status, or a test); fails after half a minute."""
    holds = (lambda row: row.status == wanted) if isinstance(wanted, str) else wanted
    begun = time.monotonic()
    while True:
        services.reconcile(endpoint.pk)
        endpoint = Endpoint.objects.select_related("wanted", "serving", "workspace", "cluster").get(pk=endpoint.pk)
        if holds(endpoint):
            return endpoint
        assert time.monotonic() - begun < PATIENCE, (
            f"still {endpoint.status} {endpoint.cause}: {endpoint.message} {endpoint.last_error}")
        time.sleep(0.03)


def in_service(endpoint: Endpoint) -> Endpoint:
    return until(endpoint, Status.INSERVICE)


def gone(endpoint: Endpoint) -> None:
    """Let the keeper come by until the row itself is gone."""
    begun = time.monotonic()
    while Endpoint.objects.filter(pk=endpoint.pk).exists():
        left = Endpoint.objects.filter(pk=endpoint.pk).values_list("status", "message", "last_error")
        assert time.monotonic() - begun < PATIENCE, list(left)
        services.reconcile(endpoint.pk)
        time.sleep(0.03)


def make_late(endpoint: Endpoint) -> None:
    """What the profile's start time does."""
    Endpoint.objects.filter(pk=endpoint.pk).update(deadline_at=timezone.now())


def stateful_set(sim: Simulator, endpoint: Endpoint) -> Object:
    return sim.client().get("apps/v1", "statefulsets", namespace_of(endpoint), endpoint.external_name)


def pods(sim: Simulator, endpoint: Endpoint) -> list[Object]:
    return [pod for pod in sim.client().list("v1", "pods", namespace_of(endpoint))
            if pod["metadata"]["name"].startswith(endpoint.external_name)]


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def left_over(sim: Simulator, endpoint: Endpoint) -> list[str]:
    """Every object that still carries the endpoint's label, and its pods."""
    kinds = [("v1", "services"), ("v1", "secrets"), ("v1", "serviceaccounts"), ("v1", "pods"), ("apps/v1", "statefulsets"),
             ("networking.k8s.io/v1", "networkpolicies"), ("policy/v1", "poddisruptionbudgets"),
             ("gateway.networking.k8s.io/v1", "httproutes"), ("keda.sh/v1alpha1", "scaledobjects"),
             ("leaderworkerset.x-k8s.io/v1", "leaderworkersets")]
    client, label = sim.client(), f"inference-portal/endpoint={endpoint.uid}"
    return [f"{plural} {each['metadata']['name']}" for version, plural in kinds
            for each in client.list(version, plural, labelSelector=label)]


def changes(sim: Simulator, since: int) -> list[str]:
    """Method and path of every request that changes something, from number `since` on."""
    return [f"{each.method} {each.path}" for each in sim.requests[since:] if each.method not in ("GET", "HEAD")]

