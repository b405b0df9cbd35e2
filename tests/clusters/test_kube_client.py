"""The door to Kubernetes APIs, against the simulated API over TLS."""

from __future__ import annotations

import msgspec
import pytest

from clusters.drivers import kinds
from clusters.drivers.kube import Kube, KubeError, Problem, kube_for
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator

pytestmark = pytest.mark.django_db


class Meta(msgspec.Struct):
    name: str
    namespace: str = ""


class Named(msgspec.Struct):
    metadata: Meta


@pytest.fixture
def kube(kube_sim: Simulator) -> Kube:
    return kube_for(make_kubernetes_place(kube_sim))


def config_map(name: str, namespace: str = "default", **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def test_an_object_lives_from_create_to_delete(kube: Kube) -> None:
    made = kube.create(config_map("life", x="1"))
    assert kube.get(kinds.CONFIG_MAP, "default", "life") == made
    assert "life" in {item.metadata.name for item in kube.list(kinds.CONFIG_MAP, Named, namespace="default").items}
    assert kube.delete(kinds.CONFIG_MAP, "default", "life", uid=made["metadata"]["uid"]) is True
    assert kube.delete(kinds.CONFIG_MAP, "default", "life") is False
    assert kube.get(kinds.CONFIG_MAP, "default", "life") is None


def test_a_name_that_is_taken_is_told_apart(kube: Kube) -> None:
    kube.create(config_map("taken"))
    with pytest.raises(KubeError) as refused:
        kube.create(config_map("taken"))
    assert refused.value.problem is Problem.EXISTS
    kube.delete(kinds.CONFIG_MAP, "default", "taken")
