"""The people and things that most tests need. Every maker returns a saved row with sensible values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from clusters import units
from clusters.models import Accelerator, Cluster, Host, Node
from clusters.states import LEASE, ClusterKind
from models_catalog.choices import ArtifactKind, Device, EngineKind, Task
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from portal.tenancy.actor import Actor
from portal.tenancy.models import Limit, LimitKind, Membership, User, Workspace
from portal.tenancy.roles import Role

GIB = units.GIB


@dataclass(frozen=True)
class Cast:
    operator: User
    alice: User
    bob: User
    vera: User
    charlie: User
    alpha: Workspace
    beta: Workspace

    def actor(self, name: str) -> Actor:
        return Actor(user=getattr(self, name))


def make_user(name: str, **values: Any) -> User:
    return User.objects.create_user(username=name, email=f"{name}@example.org", password=f"{name}-Secret-1", **values)


def make_cast() -> Cast:
    people = {name: make_user(name) for name in ("alice", "bob", "vera", "charlie")}
    operator = make_user("operator", is_staff=True, is_superuser=True)
    alpha = Workspace.objects.create(name="Alpha", slug="alpha")
    beta = Workspace.objects.create(name="Beta", slug="beta")
    for workspace, name, role in (
        (alpha, "alice", Role.OWNER), (alpha, "bob", Role.DEVELOPER), (alpha, "vera", Role.VIEWER),
        (beta, "charlie", Role.OWNER),
    ):
        Membership.objects.create(workspace=workspace, user=people[name], role=role)
    return Cast(operator=operator, alpha=alpha, beta=beta, **people)


def set_limit(
    workspace: Workspace, kind: str = LimitKind.WORKSPACE, *, of: dict[str, Any] | None = None, **quantities: Any,
) -> Limit:
    """What the workspace, or the member, key or model name in `of`, may use at most; other quantities stay."""
    subject = {"member": None, "key": None, "model_name": "", **(of or {})}
    row, _made = Limit.objects.update_or_create(workspace=workspace, kind=kind, **subject, defaults=quantities)
    return row


def make_cluster(name: str = "hosts", **values: Any) -> Cluster:
    return Cluster.objects.create(name=name, **{"kind": ClusterKind.HOSTS, **values})


def make_host(cluster: Cluster, name: str = "host-1", *, gpus: int = 0, **node: Any) -> Host:
    values = {"cpu_millis": 8000, "memory_bytes": 32 * GIB, "disk_bytes": 100 * GIB, "disk_free_bytes": 80 * GIB}
    row = Node.objects.create(cluster=cluster, name=name, **{**values, **node})
    for index in range(gpus):
        Accelerator.objects.create(node=row, index=index, model="NVIDIA H100", memory_bytes=80 * GIB)
    now = timezone.now()
    return Host.objects.create(node=row, address="127.0.0.1", is_local=True, public_key="-", seen_at=now,
                               lease_until=now + LEASE, releases=["vllm-cpu-test", "vllm-cuda-test"])


def make_model(slug: str = "tiny-chat", **values: Any) -> CatalogModel:
    vendor, _made = Vendor.objects.get_or_create(slug="acme", defaults={"names": {"enUS": "Acme"}})
    return CatalogModel.objects.create(slug=slug, vendor=vendor, **{"name": slug.title(), "task": Task.CHAT, **values})


def make_release(device: str = Device.CPU) -> EngineRelease:
    release, _made = EngineRelease.objects.get_or_create(
        slug=f"vllm-{device}-test", defaults={"kind": EngineKind.VLLM, "version": "0.32.0", "device": device})
    return release


def make_profile(slug: str = "tiny-chat-cpu", model: CatalogModel | None = None, **values: Any) -> Profile:
    model = model or make_model(slug.removesuffix("-cpu"))
    artifact, _made = Artifact.objects.get_or_create(model=model, kind=ArtifactKind.LOCAL_PATH,
                                                     location=f"/models/{model.slug}")
    defaults = {"name": "CPU", "cpu_millis": 1000, "memory_bytes": 2 * GIB}
    device = Device.CUDA if values.get("gpus") else Device.CPU
    return Profile.objects.create(slug=slug, model=model, artifact=artifact, release=make_release(device),
                                  **{**defaults, **values})
