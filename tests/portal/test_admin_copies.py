"""Copies of models in the admin: made, shown with their bytes, tried again, removed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from clusters.models import Cluster, KubernetesAccess
from clusters.states import ClusterKind
from models_catalog import services
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, EngineRelease, ModelCopy
from models_catalog.states import AccessMode, CopyState
from portal.tenancy.models import AuditEntry
from tests.cast import GIB, Cast, make_cluster, make_model, make_release
from tests.portal.conftest import signed_in

ADD = "/admin/models_catalog/modelcopy/add/"


@pytest.fixture
def place(cast: Cast) -> Cluster:
    """Nobody answers there: these tests are of the pages."""
    cluster = make_cluster("kube", kind=ClusterKind.KUBERNETES)
    KubernetesAccess.objects.create(cluster=cluster, server="https://127.0.0.1:9", capabilities={"dataset": {"found": True}})
    return cluster


@pytest.fixture
def artifact(db: None) -> Artifact:
    EngineRelease.objects.filter(pk=make_release().pk).update(image="registry.example.org/engine:v0.32.0")
    return Artifact.objects.create(model=make_model("small", weights_bytes=GIB), kind=ArtifactKind.HUGGING_FACE,
                                   location="org/small")


def wish(artifact: Artifact, place: Cluster, **values: Any) -> dict[str, Any]:
    return {"artifact": artifact.pk, "cluster": place.pk, "workspace": "", "size_bytes": "", "storage_class": "",
            "access_mode": AccessMode.MANY, **values}


def test_a_copy_is_wished_by_choosing_weights_and_a_cluster(operator: Client, artifact: Artifact, place: Cluster) -> None:
    answer = operator.post(ADD, wish(artifact, place))
    assert answer.status_code == 302, answer.content.decode()[:4000]
    copy = ModelCopy.objects.get()
    assert (copy.name, copy.namespace, copy.method, copy.state) == ("small", "public", "dataset", CopyState.PENDING)
    assert copy.size_bytes > GIB
    assert AuditEntry.objects.filter(verb="preheat", object_uid=str(copy.uid)).exists()


@pytest.mark.parametrize(("values", "word"), [
    ({"size_bytes": "0.5"}, "must hold the weights"), ({"storage_class": "No Class"}, "not the name of a storage class"),
])
def test_a_refusal_stands_beside_its_field(
    operator: Client, artifact: Artifact, place: Cluster, values: dict[str, str], word: str,
) -> None:
    answer = operator.post(ADD, wish(artifact, place, **values))
    assert answer.status_code == 200
    assert word in answer.content.decode()
    assert not ModelCopy.objects.exists()


def test_without_a_dataset_controller_a_copy_belongs_to_a_workspace(
    operator: Client, cast: Cast, artifact: Artifact, place: Cluster,
) -> None:
    KubernetesAccess.objects.update(capabilities={})
    assert "no Dataset controller" in operator.post(ADD, wish(artifact, place)).content.decode()
    assert operator.post(ADD, wish(artifact, place, workspace=cast.alpha.pk)).status_code == 302
    assert ModelCopy.objects.get().method == "job"


def test_the_models_page_has_a_button_for_it(operator: Client, artifact: Artifact, place: Cluster) -> None:
    address = reverse("admin:models_catalog_catalogmodel_preheat", args=[artifact.model.pk])
    assert "Preheat on a cluster" in operator.get(
        reverse("admin:models_catalog_catalogmodel_change", args=[artifact.model.pk])).content.decode()
    page = operator.get(address).content.decode()
    assert "org/small" in page
    token = page.split('name="confirm_token" value="')[1].split('"')[0]
    operator.post(address, {**wish(artifact, place), "confirm_token": token})
    assert ModelCopy.objects.get().artifact == artifact


def test_pages_show_bytes_and_who_uses_the_copy(operator: Client, cast: Cast, artifact: Artifact, place: Cluster) -> None:
    copy = services.preheat(cast.actor("operator"), artifact, place)
    ModelCopy.objects.update(state=CopyState.LOADING, bytes_done=GIB // 2, bytes_total=2 * GIB, message="<b>because</b>")
    for address in ("/admin/models_catalog/modelcopy/", f"/admin/models_catalog/modelcopy/{copy.pk}/change/",
                    f"/admin/clusters/cluster/{place.pk}/change/"):
        page = operator.get(address).content.decode()
        assert "0.5 GiB of 2.0 GiB" in page, address
        assert 'width="25.0%"' in page
        assert "<b>because</b>" not in page
    assert "no endpoint" in operator.get(f"/admin/models_catalog/modelcopy/{copy.pk}/change/").content.decode()


@pytest.mark.parametrize(("action", "state"), [("retry", CopyState.PENDING), ("remove", CopyState.REMOVING)])
def test_a_copy_is_tried_again_or_removed(
    operator: Client, cast: Cast, artifact: Artifact, place: Cluster, action: str, state: str,
) -> None:
    copy = services.preheat(cast.actor("operator"), artifact, place)
    ModelCopy.objects.update(state=CopyState.FAILED, sent_round=1)
    address = reverse(f"admin:models_catalog_modelcopy_{action}", args=[copy.pk])
    token = operator.get(address).content.decode().split('name="confirm_token" value="')[1].split('"')[0]
    operator.post(address, {"confirm_token": token})
    copy.refresh_from_db()
    assert (copy.state, copy.round) == (state, 2 if action == "retry" else 1)


def test_members_of_staff_share_nothing_with_everybody(
    staff: Any, cast: Cast, artifact: Artifact, place: Cluster,
) -> None:
    client = signed_in(staff("dora", cast.alpha, "add_modelcopy", "view_modelcopy", "view_artifact", "view_cluster"))
    assert "Only an operator" in client.post(ADD, wish(artifact, place)).content.decode()
    assert client.post(ADD, wish(artifact, place, workspace=cast.alpha.pk)).status_code == 302
    assert client.post(ADD, wish(artifact, place, workspace=cast.beta.pk)).status_code == 200
    assert ModelCopy.objects.count() == 1


def test_a_place_with_copies_is_not_deleted(operator: Client, cast: Cast, artifact: Artifact, place: Cluster) -> None:
    services.preheat(cast.actor("operator"), artifact, place)
    assert operator.get(f"/admin/clusters/cluster/{place.pk}/delete/").status_code == 403
