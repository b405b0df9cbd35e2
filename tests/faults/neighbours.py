"""What workspace Beta has of every kind, which nobody of Alpha may learn of; and more of it, to see whether that shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import ForeignKey, Model
from django.utils import timezone

from clusters.models import ApiCall, AwsAccount, AwsPlace, ClusterAgent, Engine, EnrolmentToken, KubernetesAccess
from clusters.states import ClusterKind
from endpoints.models import Backend, Canary, Event, GpuHour, RouteChange, TrafficMinute, UsageDay
from endpoints.services import set_governance
from models_catalog.models import EulaAcceptance, ModelCopy
from models_catalog.states import CopyMethod, CopyState
from portal.tenancy.models import AuditEntry, Invitation, Membership, User, Workspace
from portal.tenancy.models.invitations import VALID_FOR
from tests.cast import GIB, make_cluster, make_host, make_model, make_profile, make_user
from tests.endpoints.loadtest_cast import make_run
from tests.portal.world import World, make_channel, make_endpoint, make_engine, make_usage

from .planting import models

# Rows of nobody's: the shelf that all share, and what the portal keeps for itself and shows to nobody.
OF_NOBODY = {
    "tenancy.heartbeat", "tenancy.idempotentcall", "tenancy.instance", "tenancy.limitcounter", "tenancy.try",
    "tenancy.auditseal", "clusters.agentnonce", "models_catalog.vendor", "models_catalog.enginerelease",
    "endpoints.spoolposition", "endpoints.summedday",
}
REQUESTS, TOKENS = 76_543_219, 98_712_345_678  # no other figure of a page looks like these


def make_neighbours(world: World, tag: str = "beta-two") -> None:
    """More of every kind for Beta; `tag` keeps names apart."""
    beta, charlie = world.cast.beta, world.cast.charlie
    model = make_model(f"{tag}-model", workspace=beta)
    profile = make_profile(f"{tag}-profile-cpu", model)
    place = make_cluster(f"{tag}-place", workspace=beta)
    host = make_host(place, f"{tag}-host", gpus=1)
    EnrolmentToken.objects.create(cluster=place, digest=f"{tag}-digest", address="", created_by=charlie,
                                  expires_at=timezone.now() + VALID_FOR)
    endpoint = make_endpoint(world.cast, beta, place, profile, f"{tag}-chat")
    make_engine(endpoint, host, message="starts", log="lines", previous_log="lines")
    Event.objects.create(endpoint=endpoint, kind="error", message="failed", actor_label="charlie", generation=1)
    Backend.objects.create(endpoint=endpoint, key=f"{tag}-key", url="http://127.0.0.1:1", revision=1)
    route = beta.routes.first()
    assert route is not None
    Canary.objects.get_or_create(route=route, defaults={"endpoint": endpoint, "since": timezone.now()})
    generation = RouteChange.objects.filter(route=route).count() + 10
    RouteChange.objects.create(route=route, generation=generation, verb="change", message="m", actor_label="charlie")
    make_run(beta, charlie, endpoint.public_name, endpoint=endpoint, notes="notes")
    usage = make_usage(endpoint, world.their_key)
    type(usage).objects.filter(pk=usage.pk).update(requests=REQUESTS, prompt_tokens=TOKENS, member_id=charlie.pk)
    GpuHour.objects.create(
        hour=usage.hour, workspace_id=beta.pk, endpoint_id=endpoint.pk, workspace_name="beta", endpoint_name=endpoint.name,
        model_name=endpoint.public_name, place_name=place.name, gpu_seconds=REQUESTS)
    UsageDay.objects.create(
        day=usage.hour.date() - timedelta(days=1), kind="model", workspace_id=beta.pk, workspace_name="beta",
        model_name=endpoint.public_name, requests=REQUESTS, prompt_tokens=TOKENS)
    TrafficMinute.objects.create(minute=timezone.now(), endpoint_id=endpoint.pk, route_id=route.pk, calls=REQUESTS)
    kube = make_cluster(f"{tag}-kube", workspace=beta, kind=ClusterKind.KUBERNETES)
    KubernetesAccess.objects.create(cluster=kube, server="https://127.0.0.1:1", message="m")
    agent = ClusterAgent.objects.create(cluster=kube, public_key="-")
    ApiCall.objects.create(agent=agent, method="GET", path="/api", expires_at=timezone.now())
    account = AwsAccount.objects.create(name=f"{tag}-account", region="us-east-1", workspace=beta)
    AwsPlace.objects.create(cluster=make_cluster(f"{tag}-aws", workspace=beta, kind=ClusterKind.SAGEMAKER), account=account,
                            region="us-east-1")
    set_governance(world.cast.actor("operator"), beta, queue=f"{tag}-queue")
    EulaAcceptance.objects.create(workspace=beta, artifact=profile.artifact, location="l", revision=tag, accepted_by=charlie)
    ModelCopy.objects.create(artifact=profile.artifact, cluster=kube, size_bytes=GIB, method=CopyMethod.JOB, name=f"{tag}-copy",
                             namespace="ip-beta", workspace=beta, state=CopyState.READY)
    make_channel(world.cast, beta, f"{tag}-hook")
    Invitation.objects.create(workspace=beta, mail=f"{tag}@example.org", role="viewer", invited_by=charlie, digest=f"{tag}-d",
                              expires_at=timezone.now() + VALID_FOR)
    member = make_user(f"{tag}-member")
    Membership.objects.create(workspace=beta, user=member, role="developer")
    AuditEntry.objects.create(workspace=beta, actor=charlie, actor_label="charlie", verb="create", kind="endpoints.endpoint",
                              object_label=endpoint.name, object_uid=str(endpoint.uid), before={}, after={"x": "y"})


def path_to_workspace(model: type[Model]) -> str | None:
    """The shortest way to a workspace along foreign keys, as a lookup; None where there is none."""
    ways: list[tuple[str, type[Model]]] = [("", model)]
    for _step in range(5):
        for way, at in ways:
            if at is Workspace:
                return way
        ways = [(f"{way}__{field.name}".removeprefix("__"), field.related_model) for way, at in ways
                for field in at._meta.concrete_fields if isinstance(field, ForeignKey) and field.related_model is not User
                and (field.name == "workspace" or not field.null)]
    return None


def rows_of(workspace: Workspace) -> Iterator[tuple[str, list[Any]]]:
    """Every kind of row, with those that are the workspace's own."""
    for model in models():
        label, rows = model._meta.label_lower, model._base_manager.all()
        if label in OF_NOBODY:
            continue
        if model is User:
            yield label, list(rows.filter(memberships__workspace=workspace))
        elif model is Workspace:
            yield label, [workspace]
        elif model is Engine:
            yield label, list(rows.filter(endpoint_uid__in=workspace.endpoints.values("uid")))
        elif "workspace_id" in {field.name for field in model._meta.concrete_fields}:
            yield label, list(rows.filter(workspace_id=workspace.pk))
        elif (way := path_to_workspace(model)) is not None:
            yield label, list(rows.filter(**{way: workspace}))
        else:
            yield label, []
