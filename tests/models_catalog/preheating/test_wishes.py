"""Who may wish which copy where, what is refused with words, and wishes that cross each other."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.models import Cluster, KubernetesAccess
from clusters.states import ClusterKind
from models_catalog import services
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, CatalogModel, EngineRelease, ModelCopy
from models_catalog.states import CopyState
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError, Stale
from portal.tenancy.models import AuditEntry
from tests.cast import GIB, Cast, make_cluster
from tests.models_catalog.preheating.making import again, make_artifact

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def place(cast: Cast) -> Cluster:
    """Nobody answers there: these tests are of the rows."""
    cluster = make_cluster("kube", kind=ClusterKind.KUBERNETES)
    KubernetesAccess.objects.create(cluster=cluster, server="https://127.0.0.1:9", capabilities={"dataset": {"found": True}})
    return cluster


@pytest.fixture
def artifact(cast: Cast) -> Artifact:
    return make_artifact("small")


@pytest.mark.parametrize(("name", "shared", "own"), [
    ("operator", None, None), ("alice", NotAllowed, None), ("bob", NotAllowed, None), ("vera", NotAllowed, NotAllowed),
    ("charlie", NotAllowed, NotFound),
])
def test_who_may_preheat(
    cast: Cast, place: Cluster, artifact: Artifact, name: str, shared: type[PortalError] | None, own: type[PortalError] | None,
) -> None:
    for workspace, error in ((None, shared), (cast.alpha, own)):
        if error is None:
            services.preheat(cast.actor(name), artifact, place, workspace)
        else:
            with pytest.raises(error):
                services.preheat(cast.actor(name), artifact, place, workspace)


def test_the_same_rights_hold_for_retry_and_removal(cast: Cast, place: Cluster, artifact: Artifact) -> None:
    copy = services.preheat(cast.actor("bob"), artifact, place, cast.alpha)
    ModelCopy.objects.update(state=CopyState.READY)
    for verb in (services.retry_copy, services.remove_copy):
        for name, error in (("vera", NotAllowed), ("charlie", NotFound)):
            with pytest.raises(error):
                verb(cast.actor(name), again(copy))
    services.remove_copy(cast.actor("bob"), again(copy))
    assert again(copy).state == CopyState.REMOVING


@pytest.mark.parametrize(("values", "field"), [
    ({"size_bytes": GIB // 2}, "size_bytes"), ({"size_bytes": 65 * 1024 * GIB}, "size_bytes"),
    ({"storage_class": "../x"}, "storage_class"), ({"access_mode": "ReadWrite"}, "access_mode"),
])
def test_storage_that_can_not_be_is_refused(
    cast: Cast, place: Cluster, artifact: Artifact, values: dict[str, Any], field: str,
) -> None:
    with pytest.raises(Invalid) as refused:
        services.preheat(cast.actor("operator"), artifact, place, **values)
    assert refused.value.field == field


@pytest.mark.parametrize(("kind", "location", "shared", "own"), [
    (ArtifactKind.S3, "s3://models/small/", True, False), (ArtifactKind.VOLUME, "nfs://files.example/small", True, False),
    (ArtifactKind.HTTP, "https://models.example.org/small/", True, True), (ArtifactKind.LOCAL_PATH, "/models/x", False, False),
])
def test_which_artifacts_can_be_copied_how(
    cast: Cast, place: Cluster, kind: ArtifactKind, location: str, shared: bool, own: bool,
) -> None:
    artifact = make_artifact("other", kind, location)
    for workspace, works in ((None, shared), (cast.alpha, own)):
        if works:
            services.preheat(cast.actor("operator"), artifact, place, workspace)
        else:
            with pytest.raises(Invalid):
                services.preheat(cast.actor("operator"), artifact, place, workspace)


def test_one_copy_of_a_model_in_a_namespace(cast: Cast, place: Cluster, artifact: Artifact) -> None:
    for workspace in (None, cast.alpha):
        services.preheat(cast.actor("operator"), artifact, place, workspace)
        with pytest.raises(Conflict, match="already"):
            services.preheat(cast.actor("operator"), artifact, place, workspace)
    services.preheat(cast.actor("operator"), artifact, place, cast.beta)


def test_what_is_missing_is_named(cast: Cast, place: Cluster, artifact: Artifact) -> None:
    CatalogModel.objects.update(weights_bytes=None)
    with pytest.raises(Invalid, match="size of these weights is not known"):
        services.preheat(cast.actor("operator"), Artifact.objects.get(pk=artifact.pk), place)
    EngineRelease.objects.update(image="")
    with pytest.raises(Invalid, match="No engine release has an image"):
        services.preheat(cast.actor("operator"), artifact, place, cast.alpha)
    with pytest.raises(Invalid, match="Kubernetes clusters only"):
        services.preheat(cast.actor("operator"), artifact, make_cluster("hosts"))


def test_a_workspaces_own_model_or_place_is_not_shared(cast: Cast, place: Cluster, artifact: Artifact) -> None:
    CatalogModel.objects.update(workspace=cast.alpha)
    artifact = Artifact.objects.get(pk=artifact.pk)
    with pytest.raises(Invalid, match="belongs to one workspace"):
        services.preheat(cast.actor("operator"), artifact, place)
    with pytest.raises(Invalid, match="no such model"):
        services.preheat(cast.actor("operator"), artifact, place, cast.beta)
    services.preheat(cast.actor("operator"), artifact, place, cast.alpha)


def test_an_archive_needs_room_beside_its_contents(cast: Cast, place: Cluster) -> None:
    for ending, size in (("", 2.2), (".tar.gz", 3.2), (".zip", 3.2)):
        artifact = make_artifact(f"a{len(ending)}", ArtifactKind.HTTP, f"https://models.example.org/small{ending}")
        copy = services.preheat(cast.actor("operator"), artifact, place, cast.alpha)
        assert copy.size_bytes == pytest.approx(size * GIB)


def test_what_moves_is_not_tried_again(cast: Cast, place: Cluster, artifact: Artifact) -> None:
    copy = services.preheat(cast.actor("operator"), artifact, place)
    with pytest.raises(Conflict, match="on its way"):
        services.retry_copy(cast.actor("operator"), copy)


def test_two_wishes_at_once_are_one(cast: Cast, place: Cluster, artifact: Artifact) -> None:
    copy = services.preheat(cast.actor("operator"), artifact, place)
    ModelCopy.objects.update(state=CopyState.FAILED)
    one, other = again(copy), again(copy)
    services.retry_copy(cast.actor("operator"), one)
    with pytest.raises(Stale):
        services.remove_copy(cast.actor("operator"), other)


def test_a_copy_that_is_chosen_can_not_be_removed_from_an_old_page(cast: Cast, place: Cluster, artifact: Artifact) -> None:
    copy = services.preheat(cast.actor("operator"), artifact, place, cast.alpha)
    ModelCopy.objects.update(state=CopyState.READY)
    read = again(copy)
    assert services.weights_for(artifact, place, cast.alpha, make=False) == copy.weights
    assert services.weights_for(artifact, place, cast.alpha) == copy.weights
    with pytest.raises(Stale):
        services.remove_copy(cast.actor("operator"), read)
    services.remove_copy(cast.actor("operator"), again(copy))
    assert services.weights_for(artifact, place, cast.alpha) is None


def test_every_wish_is_audited(cast: Cast, place: Cluster, artifact: Artifact) -> None:
    copy = services.preheat(cast.actor("operator"), artifact, place)
    ModelCopy.objects.update(state=CopyState.READY, sent_round=1)
    services.retry_copy(cast.actor("operator"), again(copy))
    ModelCopy.objects.update(state=CopyState.READY)
    services.remove_copy(cast.actor("operator"), again(copy))
    assert list(AuditEntry.objects.filter(object_uid=str(copy.uid)).order_by("pk").values_list("verb", flat=True)) == [
        "preheat", "retry", "remove"]
