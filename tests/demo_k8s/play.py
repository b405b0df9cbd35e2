"""Connects the simulated clusters and brings 40 endpoints into their states, through the portal's own services."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from clusters import services as places
from clusters.drivers.kinds import STATEFUL_SET
from clusters.models import Cluster
from clusters.states import ClusterKind
from clusters.units import GIB
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.specs import namespace_of
from endpoints.states import SERVING, DriftPolicy
from models_catalog.choices import ArtifactKind, Device, EngineKind, Task
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from portal.tenancy.actor import Actor
from portal.tenancy.errors import PortalError
from portal.tenancy.models import User, Workspace
from tests.simulators.kubernetes.server import Simulator

from .fates import FATES, Fate

DIGEST = "@sha256:" + "0" * 64
PATIENCE = 90.0
Tell = Callable[[str], None]


class Play:
    """One run. `simulators` by the name of the place."""

    def __init__(self, simulators: dict[str, Simulator], tell: Tell) -> None:
        self.simulators, self.tell = simulators, tell
        self.actor = Actor(user=User.objects.get(is_superuser=True))
        self.workspace = Workspace.objects.get(slug="demo")

    def run(self) -> None:
        """Everything; repeating it on the same database changes nothing that is there."""
        clusters = {name: self._place(name) for name in self.simulators}
        profiles = shelf()
        for fate in FATES:
            if fate.fails:
                self.simulators[fate.place].pods_fail(name=f"{fate.name}-{fate.pods}", as_=fate.fails, log=fate.log,
                                                      previous_log=fate.log)
            self._deploy(fate, clusters[fate.place], profiles[fate.profile])
        self.tell(_("40 endpoints are on their way"))
        for fate in FATES:
            if fate.then and fate.then != "never deploy":
                self._then(fate)

    def _place(self, name: str) -> Cluster:
        cluster = Cluster.objects.filter(name=name).first()
        if cluster is None:
            cluster = places.create_place(self.actor, name=name, kind=ClusterKind.KUBERNETES,
                                          description=_("simulated: nothing really runs here"))
        places.connect_kubeconfig(self.actor, cluster, self.simulators[name].kubeconfig())
        places.check_access(cluster)
        places.refresh_inventory(cluster)
        return cluster

    def _deploy(self, fate: Fate, cluster: Cluster, profile: Profile) -> None:
        if Endpoint.objects.filter(workspace=self.workspace, name=fate.name).exists():
            return
        services.create(self.actor, self.workspace, name=fate.name, cluster=cluster, profile=profile, replicas=fate.replicas,
                        autoscale=fate.autoscale or None, deploy=fate.then != "never deploy")

    def _then(self, fate: Fate) -> None:
        row = Endpoint.objects.get(workspace=self.workspace, name=fate.name)
        end = time.monotonic() + PATIENCE
        while row.status not in SERVING and time.monotonic() < end:
            time.sleep(0.5)
            row.refresh_from_db()
        try:
            getattr(self, "_" + fate.then.replace(" ", "_"))(fate, row)
        except PortalError as error:
            self.tell(f"{fate.name}: {error.message}")

    def _stop(self, fate: Fate, row: Endpoint) -> None:
        services.stop(self.actor, row)

    def _stop_slowly(self, fate: Fate, row: Endpoint) -> None:
        self._hold_pods(fate, row)
        services.stop(self.actor, row)

    def _delete_slowly(self, fate: Fate, row: Endpoint) -> None:
        self._hold_pods(fate, row)
        services.delete(self.actor, row)

    def _hold_pods(self, fate: Fate, row: Endpoint) -> None:
        """Its pods take hours to end: a finalizer keeps them."""
        client = self.simulators[fate.place].client()
        body = {"metadata": {"finalizers": ["demo.example.org/keep"]}}
        for index in range(row.replicas):
            path = client.path("v1", "pods", namespace_of(row), f"{row.external_name}-{index}")
            client.call("PATCH", path, body, content_type="application/merge-patch+json")

    def _update_slowly(self, fate: Fate, row: Endpoint) -> None:
        self.simulators[fate.place].pods_fail(name=f"{fate.name}-*-2", as_="slow:2h")
        services.update(self.actor, row, arguments={"max-model-len": 2048})

    def _update_badly(self, fate: Fate, row: Endpoint) -> None:
        self.simulators[fate.place].pods_fail(name=f"{fate.name}-*-2", as_="crash:2", log="error: argument --max-model-len",
                                              previous_log="error: argument --max-model-len")
        services.update(self.actor, row, arguments={"max-model-len": 2048})

    def _edit(self, fate: Fate, row: Endpoint) -> None:
        Endpoint.objects.filter(pk=row.pk).update(drift_policy=DriftPolicy.REPORT)
        self._edit_by_hand(fate, row)

    def _edit_again_and_again(self, fate: Fate, row: Endpoint) -> None:
        for _turn in range(4):
            self._edit_by_hand(fate, row)
            services.find_drift(row.cluster)

    def _edit_by_hand(self, fate: Fate, row: Endpoint) -> None:
        body = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}
        self.simulators[fate.place].client().call(
            "PATCH", STATEFUL_SET.path(namespace_of(row), row.external_name), body,
            content_type="application/merge-patch+json", fieldManager="kubectl-edit")


def shelf() -> dict[str, Profile]:
    """Three profiles: one GPU, no GPU, and more GPUs than any node has."""
    vendor, _made = Vendor.objects.get_or_create(slug="portal-demo", defaults={"names": {"enUS": "Portal demo"}})
    shape = json.loads('{"heads": 32, "kv_heads": 8, "layers": 32, "head_dim": 128, "kv_bytes_per_token": 131072}')
    model, _made = CatalogModel.objects.get_or_create(slug="demo-8b", defaults={
        "name": "Demo 8B", "vendor": vendor, "task": Task.CHAT, "weights_bytes": 16 * 10**9, "context_tokens": 131_072,
        "shape": shape, "licence": "Apache-2.0"})
    artifact, _made = Artifact.objects.get_or_create(model=model, kind=ArtifactKind.HUGGING_FACE, location="demo/demo-8b")
    values = {
        "gpu": {"cpu_millis": 4000, "memory_bytes": 24 * GIB, "gpus": 1},
        "cpu": {"cpu_millis": 1000, "memory_bytes": 7 * GIB},
        "huge": {"cpu_millis": 8000, "memory_bytes": 64 * GIB, "gpus": 16},
    }
    return {name: _profile(name, model, artifact, more) for name, more in values.items()}


def _profile(name: str, model: CatalogModel, artifact: Artifact, values: dict[str, Any]) -> Profile:
    device = Device.CUDA if values.get("gpus") else Device.CPU
    release, _made = EngineRelease.objects.get_or_create(slug=f"demo-{device}", defaults={
        "kind": EngineKind.VLLM, "version": "0.32.0", "device": device, "image": f"vllm/vllm-openai-{device}{DIGEST}"})
    found, _made = Profile.objects.get_or_create(slug=f"demo-8b-{name}", defaults={
        "name": name.upper(), "model": model, "artifact": artifact, "release": release, "start_seconds": 45,
        "arguments": {"max-model-len": 8192}, **values})
    return found
