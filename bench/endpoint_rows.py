"""For the benches that need a full table: settled endpoints made in bulk, each with its revision and its entrance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusters.units import GIB

IMAGE = "registry.example.org/engine@sha256:" + "a" * 64


def make_place(name: str, kind: str = "kubernetes") -> Any:
    from clusters.models import Cluster

    return Cluster.objects.create(name=name, kind=kind)


def make_profile() -> Any:
    """A small model on CPUs, with an image, which every cluster can run."""
    from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor

    vendor = Vendor.objects.create(slug="bench", names={"enUS": "Bench"})
    model = CatalogModel.objects.create(slug="bench", name="Bench", vendor=vendor, task="chat")
    artifact = Artifact.objects.create(model=model, kind="huggingface", location="org/bench")
    release = EngineRelease.objects.create(slug="bench", kind="vllm", version="0.32.0", device="cpu", image=IMAGE)
    return Profile.objects.create(slug="bench", name="Bench", model=model, artifact=artifact, release=release,
                                  cpu_millis=100, memory_bytes=GIB)


def make_workspace(slug: str = "bench") -> Any:
    from portal.tenancy.models import Workspace

    return Workspace.objects.create(slug=slug, name=slug.title())


def make_endpoints(workspace: Any, place: Any, profile: Any, number: int, *, prefix: str = "e", **values: Any) -> list[Any]:
    """So many endpoints in service, as the keeper leaves them: revision 1 wanted and serving."""
    from django.utils import timezone

    from endpoints.models import Endpoint, Revision
    from models_catalog.services import revision_spec

    spec, now = revision_spec(profile), timezone.now()
    names = [f"{prefix}-{index:06}" for index in range(number)]
    given = {"status": "INSERVICE", "observed_generation": 1, "ready_replicas": 1, "seen_at": now, "seen_by": "kubernetes",
             **values}
    rows = Endpoint.objects.bulk_create([
        Endpoint(workspace=workspace, cluster=place, name=name, public_name=name, public_key=name, **given) for name in names
    ], batch_size=500)
    ids = dict(Endpoint.objects.filter(cluster=place, name__startswith=f"{prefix}-").values_list("name", "pk"))
    for row in rows:
        row.pk = ids[row.name]
    Revision.objects.bulk_create([Revision(endpoint=row, number=1, profile=profile, spec=spec, served_at=now)
                                  for row in rows], batch_size=500)
    _point_at_revisions(place)
    return rows


def _point_at_revisions(place: Any) -> None:
    from django.db.models import OuterRef, Subquery

    from endpoints.models import Endpoint, Revision

    newest = Revision.objects.filter(endpoint=OuterRef("pk")).order_by("-number").values("pk")[:1]
    bare = Endpoint.objects.filter(cluster=place, wanted=None)
    Endpoint.objects.filter(pk__in=list(bare.values_list("pk", flat=True))).update(
        wanted=Subquery(newest), serving=Subquery(newest))


def make_entrances(rows: Sequence[Any], url: str, token: str) -> None:
    """The gateway's table as a look at a cluster leaves it: one address for each endpoint."""
    from endpoints.models import Backend

    made = [Backend(endpoint=row, key="entrance", url=f"{url}/{row.name}", revision=1) for row in rows]
    for each in made:
        each.put_secret("token", token)
    Backend.objects.bulk_create(made, batch_size=500)
