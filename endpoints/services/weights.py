"""Which copy of the weights a revision mounts: chosen once and frozen with it.

A copy that appears or goes must not restart pods that run, so nothing is chosen while rendering. A new revision takes
the copy that is ready when it is made; a person who wants a running endpoint to use a newer copy presses Update. A copy
that endpoints use can't be removed. The one choice that is made later is for weights that no engine can fetch by itself
(HTTP, S3): until their copy is there no pod was ever started, so there is nothing to restart.
"""

from __future__ import annotations

from typing import Any

from clusters.states import AWS_KINDS
from endpoints.models import Endpoint, Revision
from models_catalog import services as catalogue
from models_catalog.choices import ArtifactKind
from models_catalog.models import Profile
from portal.tenancy.db import retry_tx

KEY = "weights"
FETCHED_BY_NO_ENGINE = frozenset({ArtifactKind.HTTP, ArtifactKind.S3})


def with_weights(endpoint: Endpoint, profile: Profile, spec: dict[str, Any], *, make: bool = True) -> dict[str, Any]:
    """The settings of a new revision with the copy that it mounts, if there is one. `make` false is for plans.

    An endpoint that an object of the cluster owns lies in that object's namespace, where no copy of ours is.
    """
    if endpoint.origin:
        return spec
    chosen = catalogue.weights_for(profile.artifact, endpoint.cluster, endpoint.workspace, make=make)
    return {**spec, KEY: chosen} if chosen else spec


def bind(endpoint: Endpoint) -> None:
    """Give the wanted revision a copy that came after it, where it can't start without one. Repeating it is harmless."""
    revision = endpoint.wanted
    if revision is not None and KEY not in revision.spec and _can_not_start(endpoint, revision.spec["artifact"]["kind"]):
        _bind(endpoint, revision)


def _can_not_start(endpoint: Endpoint, kind: str) -> bool:
    """HyperPod's operator and SageMaker fetch from S3 themselves."""
    return kind in FETCHED_BY_NO_ENGINE and not (kind == ArtifactKind.S3 and endpoint.cluster.kind in AWS_KINDS)


@retry_tx
def _bind(endpoint: Endpoint, revision: Revision) -> None:
    spec = with_weights(endpoint, revision.profile, revision.spec)
    if KEY in spec:
        _keep(revision, spec)


def renew(endpoint: Endpoint, revision: Revision) -> None:
    """Choose again for an earlier revision whose copy is gone."""
    frozen = revision.spec.get(KEY)
    if frozen and not catalogue.has_copy(endpoint.cluster, endpoint.workspace, frozen["claim"]):
        plain = {name: value for name, value in revision.spec.items() if name != KEY}
        _keep(revision, with_weights(endpoint, revision.profile, plain))


def _keep(revision: Revision, spec: dict[str, Any]) -> None:
    revision.spec = spec
    Revision.objects.filter(pk=revision.pk).update(spec=spec)
