"""Copies, their places and a keeper that comes by until something is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from clusters.models import Cluster, KubernetesAccess
from models_catalog import services
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, EngineRelease, ModelCopy
from tests.cast import GIB, make_model, make_release
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator

PATIENCE = 30.0
IMAGE = "registry.example.org/engine@sha256:" + "b" * 64


def make_place(sim: Simulator, name: str = "kube", *found: str) -> Cluster:
    """A place of `sim`, with these capabilities found there."""
    place = make_kubernetes_place(sim, name)
    KubernetesAccess.objects.filter(cluster=place).update(capabilities={each: {"found": True} for each in found})
    return place


def make_artifact(slug: str, kind: str = ArtifactKind.HUGGING_FACE, location: str = "org/small", **values: Any) -> Artifact:
    EngineRelease.objects.filter(pk=make_release().pk).update(image=IMAGE)
    return Artifact.objects.create(model=make_model(slug, weights_bytes=GIB), kind=kind, location=location, **values)


def again(copy: ModelCopy) -> ModelCopy:
    return ModelCopy.objects.get(pk=copy.pk)


def look(copy: ModelCopy) -> None:
    """Let the keeper come by now."""
    ModelCopy.objects.filter(cluster=copy.cluster_id).update(next_look_at=timezone.now() - timedelta(seconds=1))
    services.look_at_copies(copy.cluster_id)


def until(copy: ModelCopy, wanted: Callable[[ModelCopy], Any] | str) -> ModelCopy:
    """Let the keeper come by until the row is as wanted (a state, or a test); fails after half a minute."""
    holds = (lambda row: row.state == wanted) if isinstance(wanted, str) else wanted
    begun = time.monotonic()
    while True:
        look(copy)
        row = again(copy)
        if holds(row):
            return row
        assert time.monotonic() - begun < PATIENCE, f"still {row.state} {row.cause}: {row.message}"
        time.sleep(0.03)


def until_gone(copy: ModelCopy) -> None:
    begun = time.monotonic()
    while ModelCopy.objects.filter(pk=copy.pk).exists():
        assert time.monotonic() - begun < PATIENCE, again(copy).message
        look(copy)
        time.sleep(0.03)
