"""One row of every kind that the API shows, all of them in workspace `alpha` and its own private place."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from clusters.models import AwsAccount, Cluster, EnrolmentToken, Host
from clusters.services import connect, create_account, make_enrolment_token
from clusters.states import ClusterKind, SignIn
from endpoints import services
from endpoints.models import AlertChannel, Delivery, Endpoint, Route, TokenPrice
from endpoints.services.alert_channels import create_channel
from endpoints.services.limits import create_limit
from endpoints.services.routes import return_canary, start_canary
from endpoints.services.token_prices import set_price
from models_catalog import services as catalogue
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, CatalogModel, EngineRelease, ModelCopy, Profile, Vendor
from models_catalog.states import CopyState
from portal.tenancy.models import ApiKey, Limit, LimitKind, Membership
from tests.cast import GIB, Cast, make_cluster, make_host, make_model, make_profile
from tests.endpoints.routes_cast import make_route


@dataclass
class World:
    cast: Cast
    place: Cluster
    empty: Cluster
    kubernetes: Cluster
    host: Host
    model: CatalogModel
    spare: CatalogModel
    artifact: Artifact
    profile: Profile
    unused: Profile
    running: Endpoint
    stopped: Endpoint
    scaled: Endpoint
    key: ApiKey
    member: Membership
    token: EnrolmentToken
    copy: ModelCopy
    aws_account: AwsAccount
    route: Route
    returned: Route
    token_price: TokenPrice
    alert: AlertChannel
    delivery: Delivery
    limit: Limit
    secrets: list[str] = field(default_factory=list)

    def names(self) -> dict[str, str]:
        """What fills the holes in a route's path; the route's own table picks which."""
        return {
            "workspace": "alpha", "member": str(self.member.uid), "key": str(self.key.uid), "place": str(self.place.uid),
            "host": str(self.host.uid), "model": self.model.slug, "spare": self.spare.slug,
            "artifact": str(self.artifact.uid), "profile": self.profile.slug, "unused": self.unused.slug,
            "running": str(self.running.uid), "stopped": str(self.stopped.uid), "scaled": str(self.scaled.uid),
            "vendor": "acme",
            "release": "vllm-cpu-test", "empty": str(self.empty.uid), "unused_vendor": "unused",
            "unused_release": "vllm-cpu-unused", "cluster": str(self.kubernetes.uid),
            "limit": str(self.limit.uid), "alert": str(self.alert.uid), "delivery": str(self.delivery.uid),
            "token_price": str(self.token_price.uid), "copy": str(self.copy.uid), "aws_account": str(self.aws_account.uid),
            "route": str(self.route.uid), "returned": str(self.returned.uid),
        }


def make_world(cast: Cast) -> World:
    alice = cast.actor("alice")
    place = make_cluster("alpha-hosts", workspace=cast.alpha)
    host = make_host(place)
    model, spare = (make_model(slug, workspace=cast.alpha) for slug in ("alpha-chat", "alpha-spare"))
    profile, unused = make_profile("alpha-chat-cpu", model), make_profile("alpha-unused-cpu", model)
    artifact = Artifact.objects.create(model=spare, kind=ArtifactKind.LOCAL_PATH, location="/models/spare")
    running = services.create(alice, cast.alpha, name="running", cluster=place, profile=profile)
    services.update(alice, running, arguments={"max-model-len": 1024})
    stopped = services.create(alice, cast.alpha, name="stopped", cluster=place, profile=profile, deploy=False)
    key = ApiKey(workspace=cast.alpha, created_by=cast.alice, name="ci")
    text = key.draw_secret()
    key.save()
    token, token_text = make_enrolment_token(cast.actor("operator"), place)
    Vendor.objects.create(slug="unused", names={"enUS": "Unused"})
    EngineRelease.objects.create(slug="vllm-cpu-unused", kind="vllm", version="1.0", device="cpu", image="reg.example/e:1")
    cluster, cluster_token = make_kubernetes(cast)
    scaled = services.create(alice, cast.alpha, name="scaled", profile=make_hub_profile(model), autoscale=AUTOSCALE,
                             cluster=make_cluster("alpha-scaling", workspace=cast.alpha, kind=ClusterKind.KUBERNETES))
    Artifact.objects.create(model=spare, kind=ArtifactKind.HUGGING_FACE, location="acme/alpha-spare")
    route, returned = (make_route(cast, name, (running, 100)) for name in ("alpha-route", "alpha-returned"))
    for row in (route, returned):
        start_canary(alice, row, scaled)
    return_canary(alice, returned)
    alert, signing_secret = create_channel(alice, cast.alpha, name="alpha-hook", kind="webhook", url="https://hooks.example/a")
    delivery = Delivery.objects.create(channel=alert, limit_id=1, subject="Alpha", quantity="money_per_month",
                                       window="2026-11", threshold=50, used=5_000_000, most=10_000_000, state="sent", tries=1)
    return World(
        token_price=set_price(cast.actor("operator"), model=model, prompt=Decimal(1), completion=Decimal(2)),
        limit=create_limit(alice, cast.alpha, kind=LimitKind.MEMBER, member=cast.bob, requests_per_minute=60, gpus=4),
        alert=alert, delivery=delivery, route=route, returned=returned,
        aws_account=make_aws_account(cast), copy=make_copy(cast, scaled.wanted.profile.artifact, cluster),
        cast=cast, place=place, empty=make_cluster("alpha-empty", workspace=cast.alpha), kubernetes=cluster, host=host,
        model=model, spare=spare, artifact=artifact, profile=profile, unused=unused,
        running=running, stopped=stopped, scaled=scaled, key=key, token=token,
        secrets=[text, token_text, cluster_token, AWS_SECRET, signing_secret],
        member=Membership.objects.get(workspace=cast.alpha, user=cast.vera))


def make_aws_account(cast: Cast) -> AwsAccount:
    return create_account(cast.actor("operator"), name="alpha-aws", workspace=cast.alpha, region="us-east-1",
                          sign_in=SignIn.KEYS, access_key_id="AKIACANARY0000000001", secret_access_key=AWS_SECRET)


def make_copy(cast: Cast, artifact: Artifact, cluster: Cluster) -> ModelCopy:
    """One that is loaded, so that it may be loaded once more."""
    copy = catalogue.preheat(cast.actor("alice"), artifact, cluster, cast.alpha, size_bytes=GIB)
    ModelCopy.objects.filter(pk=copy.pk).update(state=CopyState.READY)
    return copy


def make_hub_profile(model: CatalogModel) -> Profile:
    """One that a cluster can run: weights from a hub, an image of the release."""
    EngineRelease.objects.filter(slug="vllm-cpu-test").update(image="registry.example/vllm-cpu:v0.32.0")
    hub = Artifact.objects.create(model=model, kind=ArtifactKind.HUGGING_FACE, location="acme/alpha-chat")
    profile = make_profile("alpha-hub-cpu", model)
    profile.artifact = hub
    profile.save()
    return profile


def make_kubernetes(cast: Cast) -> tuple[Cluster, str]:
    """A cluster that nobody answers for: its port was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    place, token = make_cluster("alpha-kubernetes", workspace=cast.alpha, kind=ClusterKind.KUBERNETES), "a-token-of-a-cluster"
    connect(cast.actor("operator"), place, server=f"https://127.0.0.1:{port}", token=token)
    return place, token


AWS_SECRET = "canary-secret-access-key"
AUTOSCALE: dict[str, Any] = {"max_replicas": 2, "triggers": [{"type": "cpu", "metadata": {"value": "80"}}]}
NEW_ENDPOINT = {"workspace": "alpha", "name": "new", "place": "alpha-hosts", "profile": "alpha-chat-cpu"}
NEW_PROFILE: dict[str, Any] = {
    "slug": "new-profile", "name": "New", "model": "alpha-spare", "artifact": "/models/spare", "release": "vllm-cpu-test",
    "memory_bytes": GIB, "cpu_millis": 1000,
}
