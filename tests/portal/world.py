"""Two workspaces with one of everything each, for the pages of the admin."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group
from django.utils import timezone

from clusters.models import AwsAccount, Claim, Cluster, Engine, Host
from clusters.services import make_enrolment_token
from clusters.states import ClusterKind, Phase
from endpoints import services
from endpoints.models import AlertChannel, Delivery, Endpoint, UsageHour
from endpoints.services.alert_channels import create_channel
from endpoints.services.limits import create_limit
from endpoints.services.route_wish import RouteWish, Share
from endpoints.services.routes import create_route
from endpoints.services.token_prices import set_price
from models_catalog.models import Artifact, ModelCopy, Profile
from models_catalog.states import CopyMethod, CopyState
from portal.tenancy import services as tenancy
from portal.tenancy.actor import Actor
from portal.tenancy.models import ApiKey, LimitKind, Workspace
from tests.cast import GIB, Cast, make_cluster, make_host, make_profile


@dataclass(frozen=True)
class World:
    cast: Cast
    shared: Cluster
    host: Host
    profile: Profile
    ours: Endpoint
    theirs: Endpoint
    our_key: ApiKey
    their_key: ApiKey
    their_place: Cluster
    their_copy: ModelCopy


def make_endpoint(cast: Cast, workspace: Workspace, cluster: Cluster, profile: Profile, name: str, **more: Any) -> Endpoint:
    actor = Actor(user=cast.operator)
    return services.create(actor, workspace, name=name, cluster=cluster, profile=profile, **more)


def make_engine(endpoint: Endpoint, host: Host, **values: Any) -> Engine:
    row = Engine.objects.create(**{
        "node": host.node, "endpoint_uid": endpoint.uid, "label": f"{endpoint.workspace.slug}/{endpoint.name}",
        "revision": 1, "index": 0, "phase": Phase.READY, "phase_since": timezone.now(), "reported_at": timezone.now(),
        **values})
    Claim.objects.create(engine=row, node=host.node, cpu_millis=1000, memory_bytes=2 * GIB)
    return row


def make_copies(artifact: Artifact, workspace: Workspace) -> ModelCopy:
    """A shared copy that is loading, and one of the workspace's own, which is given back."""
    cluster = make_cluster("kube-of-copies", kind=ClusterKind.KUBERNETES)
    values = {"artifact": artifact, "cluster": cluster, "size_bytes": 3 * GIB}
    ModelCopy.objects.create(**values, method=CopyMethod.DATASET, name="shared-copy", namespace="public",
                             state=CopyState.LOADING, bytes_done=GIB, bytes_total=2 * GIB)
    return ModelCopy.objects.create(**values, method=CopyMethod.JOB, name="beta-secret-copy", namespace="ip-beta",
                                    workspace=workspace, state=CopyState.READY)


def make_channel(cast: Cast, workspace: Workspace, name: str) -> AlertChannel:
    """A webhook, with an alert on its way."""
    row, _secret = create_channel(cast.actor("operator"), workspace, name=name, kind="webhook", url="https://hooks.example/a")
    Delivery.objects.create(channel=row, limit_id=1, subject=f"{workspace}", quantity="tokens_per_month", window="2026-11",
                            threshold=80, used=8, most=10)
    return row


def make_usage(endpoint: Endpoint, key: ApiKey) -> UsageHour:
    """An hour of calls, just over."""
    return UsageHour.objects.create(
        hour=timezone.now().replace(minute=0, second=0, microsecond=0), workspace_id=endpoint.workspace_id, member_id=1,
        key_id=key.pk, endpoint_id=endpoint.pk, route_id=0, door=1, workspace_name=endpoint.workspace.slug,
        member_name="alice", key_name=key.name, endpoint_name=endpoint.name, model_name=endpoint.public_name, requests=3,
        prompt_tokens=1000, completion_tokens=50, cost_nano=2_500_000_000)


def make_world(cast: Cast) -> World:
    """`ours` is Alpha's, `theirs` Beta's; the place `shared` is everybody's, `beta-place` only Beta's."""
    operator = cast.actor("operator")
    shared = make_cluster("shared")
    host = make_host(shared, "host-shared", gpus=2)
    private = make_cluster("beta-place", workspace=cast.beta)
    make_host(private, "host-beta-only")
    profile = make_profile()
    services.set_governance(operator, cast.alpha, queue="alpha-queue")
    ours = make_endpoint(cast, cast.alpha, shared, profile, "alpha-chat")
    theirs = make_endpoint(cast, cast.beta, shared, profile, "beta-secret-chat")
    make_engine(ours, host)
    make_engine(theirs, host)
    for workspace, endpoint, name in ((cast.alpha, ours, "alpha-route"), (cast.beta, theirs, "beta-secret-route")):
        create_route(operator, workspace, RouteWish(name, (Share(endpoint),)))
    Group.objects.create(name="operators")
    AwsAccount.objects.create(name="shared-aws", region="us-east-1", role_arn="arn:aws:iam::123456789012:role/portal")
    AwsAccount.objects.create(name="beta-secret-aws", region="us-east-1", workspace=cast.beta)
    make_enrolment_token(operator, shared)
    our_key, _text = tenancy.create_key(operator, cast.alpha, name="alpha key")
    their_key, _text = tenancy.create_key(operator, cast.beta, name="beta-secret key")
    make_channel(cast, cast.alpha, "alpha-alerts")
    make_channel(cast, cast.beta, "beta-secret-alerts")
    for endpoint, key in ((ours, our_key), (theirs, their_key)):
        make_usage(endpoint, key)
        set_price(operator, workspace=endpoint.workspace, public_name=endpoint.public_name, prompt=Decimal(1),
                  completion=Decimal(2))
    for key in (our_key, their_key):
        create_limit(operator, key.workspace, kind=LimitKind.KEY, key=key, requests_per_minute=60, tokens_per_month=1000,
                     gpus=2)
    return World(cast=cast, shared=shared, host=host, profile=profile, ours=ours, theirs=theirs, our_key=our_key,
                 their_key=their_key, their_place=private,
                 their_copy=make_copies(profile.artifact, cast.beta))
