"""Endpoints in the simulated SageMaker, whose clock a test turns: the keeper comes by until what is waited for is so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from clusters.drivers import aws
from clusters.drivers.aws import Aws
from clusters.models import Cluster
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.specs import spec_of
from endpoints.states import Status
from endpoints.targets.base import Spec
from endpoints.targets.sagemaker import memory
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, EngineRelease, Profile
from tests.cast import GIB, Cast, make_model, make_profile
from tests.simulators.aws.server import AwsSimulator

PATIENCE = 30.0
TURN = 30.0  # seconds of AWS's clock between two visits of the keeper
IMAGE = "{account}.dkr.ecr.{region}.{suffix}/vllm:0.13-gpu-py312"
INSTANCE = "ml.g5.2xlarge"
WEIGHTS = "s3://models/small"


def profile_for_sagemaker(slug: str = "small", **values: Any) -> Profile:
    """A profile that SageMaker can run: weights in S3, an engine with an image of AWS's."""
    made = make_profile(f"{slug}-gpu", make_model(slug, weights_bytes=GIB), **{"memory_bytes": 8 * GIB, "gpus": 1, **values})
    Artifact.objects.filter(pk=made.artifact_id).update(kind=ArtifactKind.S3, location=WEIGHTS)
    EngineRelease.objects.filter(pk=made.release_id).update(image=IMAGE)
    return Profile.objects.select_related("model", "artifact", "release").get(pk=made.pk)


def new_endpoint(cast: Cast, place: Cluster, name: str = "chat", **values: Any) -> Endpoint:
    profile = values.pop("profile", None) or Profile.objects.filter(slug="small-gpu").first() or profile_for_sagemaker()
    options = {"InstanceType": INSTANCE, **values.pop("options", {})}
    return services.create(cast.actor("alice"), cast.alpha, name=name, cluster=place, profile=profile, options=options,
                           **values)


def fresh(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.select_related(
        "workspace", "cluster", "wanted__profile__artifact", "wanted__profile__release", "serving__profile__artifact",
        "serving__profile__release").get(pk=endpoint.pk)


def spec_now(endpoint: Endpoint) -> Spec:
    return spec_of(fresh(endpoint))


def until(sim: AwsSimulator, endpoint: Endpoint, wanted: Callable[[Endpoint], Any] | str) -> Endpoint:
    """Let the keeper come by, and AWS's time pass between, until the row is as wanted (a status, or a test)."""
    holds = (lambda row: row.status == wanted) if isinstance(wanted, str) else wanted
    begun = time.monotonic()
    while True:
        services.reconcile(endpoint.pk)
        row = fresh(endpoint)
        if holds(row):
            return row
        assert time.monotonic() - begun < PATIENCE, f"still {row.status} {row.cause}: {row.message} {row.last_error}"
        sim.clock.advance(TURN)


def in_service(sim: AwsSimulator, endpoint: Endpoint) -> Endpoint:
    return until(sim, endpoint, Status.INSERVICE)


def gone(sim: AwsSimulator, endpoint: Endpoint) -> None:
    begun = time.monotonic()
    while Endpoint.objects.filter(pk=endpoint.pk).exists():
        services.reconcile(endpoint.pk)
        sim.clock.advance(TURN)
        assert time.monotonic() - begun < PATIENCE, left(sim)


def left(sim: AwsSimulator) -> list[str]:
    """All that there is in the account, by kind and name."""
    here = sim.here()
    scaled = sim.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    kinds = {"endpoint": here.endpoints, "config": here.configs, "model": here.models, "component": here.components}
    return [f"{kind} {name}" for kind, things in kinds.items() for name in things] + [
        f"scaled {each['ResourceId']}" for each in scaled]


def forget_everything() -> None:
    """As in a new process."""
    for each in memory._memories.values():
        each.clear()


class DoorClock:
    """The door's pauses take no time: its clock moves by what it would have slept, and by what a test adds."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def quick_aws(monkeypatch: Any) -> Iterator[DoorClock]:
    clock, made = DoorClock(), Aws.__init__

    def init(self: Aws, identity: Any, secret: str) -> None:
        made(self, identity, secret, sleep=clock.advance, clock=clock)

    monkeypatch.setattr(Aws, "__init__", init)
    aws._kept.clear()
    yield clock
    aws._kept.clear()
