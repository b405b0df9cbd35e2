"""One row of every kind that the API shows, all of them in workspace `alpha` and its own private place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clusters.models import Cluster, EnrolmentToken, Host
from clusters.services import make_enrolment_token
from endpoints import services
from endpoints.models import Endpoint
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from portal.tenancy.models import ApiKey, Membership
from tests.cast import GIB, Cast, make_cluster, make_host, make_model, make_profile


@dataclass
class World:
    cast: Cast
    place: Cluster
    empty: Cluster
    host: Host
    model: CatalogModel
    spare: CatalogModel
    artifact: Artifact
    profile: Profile
    unused: Profile
    running: Endpoint
    stopped: Endpoint
    key: ApiKey
    member: Membership
    token: EnrolmentToken
    secrets: list[str] = field(default_factory=list)

    def names(self) -> dict[str, str]:
        """What fills the holes in a route's path; the route's own table picks which."""
        return {
            "workspace": "alpha", "member": str(self.member.uid), "key": str(self.key.uid), "place": str(self.place.uid),
            "host": str(self.host.uid), "model": self.model.slug, "spare": self.spare.slug,
            "artifact": str(self.artifact.uid), "profile": self.profile.slug, "unused": self.unused.slug,
            "running": str(self.running.uid), "stopped": str(self.stopped.uid), "vendor": "acme",
            "release": "vllm-cpu-test", "empty": str(self.empty.uid), "unused_vendor": "unused",
            "unused_release": "vllm-cpu-unused",
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
    EngineRelease.objects.create(slug="vllm-cpu-unused", kind="vllm", version="1.0", device="cpu")
    return World(
        cast=cast, place=place, empty=make_cluster("alpha-empty", workspace=cast.alpha), host=host, model=model,
        spare=spare, artifact=artifact, profile=profile, unused=unused,
        running=running, stopped=stopped, key=key, token=token, secrets=[text, token_text],
        member=Membership.objects.get(workspace=cast.alpha, user=cast.vera))


NEW_ENDPOINT = {"workspace": "alpha", "name": "new", "place": "alpha-hosts", "profile": "alpha-chat-cpu"}
NEW_PROFILE: dict[str, Any] = {
    "slug": "new-profile", "name": "New", "model": "alpha-spare", "artifact": "/models/spare", "release": "vllm-cpu-test",
    "memory_bytes": GIB, "cpu_millis": 1000,
}
