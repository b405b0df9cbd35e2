"""How a model suits a place, by what is known of the place: each reason has its case."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from clusters.models import Accelerator, AwsAccount, AwsPlace, Cluster, Host, Node
from clusters.states import ClusterKind
from endpoints.models import Endpoint, Revision
from endpoints.services.hourly import cost_per_hour
from endpoints.services.suits import Barrier, PlaceSuits, Suit, starts_of, suits, suits_of
from models_catalog.models import Artifact, CatalogModel, EngineRelease, ModelCopy, Profile
from models_catalog.states import CopyMethod, CopyState
from tests.cast import GIB, Cast, make_cluster, make_host, make_model, make_profile
from tests.portal.world import make_endpoint, make_engine

pytestmark = pytest.mark.django_db
SHAPE = {"heads": 32, "kv_heads": 8, "kv_bytes_per_token": 147_456}
IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/vllm@sha256:" + "0" * 64


@pytest.fixture
def large(cast: Cast) -> CatalogModel:
    """16 GiB of weights, for one GPU."""
    model = make_model("large", weights_bytes=16 * GIB, context_tokens=8192, shape=SHAPE)
    make_profile("large-gpu", model, gpus=1, gpu_memory_bytes=22 * GIB)
    Artifact.objects.update(kind="huggingface", location="acme/large")
    return model


def best(cast: Cast, model: CatalogModel, place: Cluster) -> Suit:
    (found,) = suits(cast.alpha, model, [Cluster.objects.select_related("aws", "access").get(pk=place.pk)])
    assert found.best is not None
    return found.best


def cluster_with(gpu_bytes: int, *, asked: int = 0, **values: Any) -> Cluster:
    place = make_cluster("kube", kind=ClusterKind.KUBERNETES, **values)
    node = Node.objects.create(cluster=place, name="n", cpu_millis=64_000, memory_bytes=256 * GIB, gpus=4, gpus_requested=asked)
    Accelerator.objects.create(node=node, index=0, model="L40S", memory_bytes=gpu_bytes)
    EngineRelease.objects.update(image=IMAGE)
    return place


def test_it_fits_on_a_host_with_a_free_gpu(cast: Cast, large: CatalogModel) -> None:
    place = make_cluster("east")
    make_host(place, gpus=2)
    found = best(cast, large, place)
    assert (found.fits, found.replicas) == (True, 6)  # three shares of 22 GiB on each GPU
    assert found.memory is not None
    assert found.memory.fits


def test_a_place_without_a_gpu_never_takes_it(cast: Cast, large: CatalogModel) -> None:
    place = make_cluster("rack")
    make_host(place)
    found = best(cast, large, place)
    assert (found.fits, found.barrier, found.is_full) == (False, Barrier.GPU, False)


def test_hosts_without_the_engine_release_say_so(cast: Cast, large: CatalogModel) -> None:
    place = make_cluster("east")
    make_host(place, gpus=2)
    Host.objects.update(releases=["another"])
    found = best(cast, large, place)
    assert (found.barrier, found.why_not) == (Barrier.ENGINE, "No host there has the engine vllm-cuda-test installed.")


def test_a_full_host_would_take_it_later(cast: Cast, large: CatalogModel) -> None:
    place = make_cluster("east")
    host = make_host(place, gpus=1)
    endpoint = make_endpoint(cast, cast.alpha, place, Profile.objects.get(slug="large-gpu"), "first")
    make_engine(endpoint, host).claims.create(node=host.node, accelerator=host.node.accelerators.get(), memory_bytes=80 * GIB)
    found = best(cast, large, place)
    assert (found.fits, found.is_full, found.replicas, found.barrier) == (False, True, 0, Barrier.NONE)
    assert "0 of 1 fit" in found.why_not


def test_a_gpu_that_is_too_small_says_what_is_missing(cast: Cast, large: CatalogModel) -> None:
    found = best(cast, large, cluster_with(18 * GIB))
    assert (found.fits, found.is_full) == (False, False)
    assert found.memory is not None
    assert found.memory.short > 0
    assert "GiB of the" in found.why_not


@pytest.mark.parametrize(("asked", "fits", "is_full"), [(0, True, False), (3, True, False), (4, False, True)])
def test_in_a_cluster_pods_that_are_there_take_the_room(
    cast: Cast, large: CatalogModel, asked: int, fits: bool, is_full: bool,
) -> None:
    found = best(cast, large, cluster_with(45 * GIB, asked=asked))
    assert (found.fits, found.is_full) == (fits, is_full)


def test_an_engine_without_an_image_stays_out_of_clusters(cast: Cast, large: CatalogModel) -> None:
    place = cluster_with(45 * GIB)
    EngineRelease.objects.update(image="")
    assert best(cast, large, place).barrier == Barrier.IMAGE


@pytest.mark.parametrize("kind", [ClusterKind.KUBERNETES, ClusterKind.SAGEMAKER])
def test_a_folder_of_a_host_is_for_agents_only(cast: Cast, large: CatalogModel, kind: str) -> None:
    Artifact.objects.update(kind="path", location="/models/large")
    found = best(cast, large, make_cluster("elsewhere", kind=kind))
    assert (found.fits, found.barrier) == (False, Barrier.WEIGHTS)


def test_a_gated_model_wants_a_token_or_a_copy(cast: Cast, large: CatalogModel) -> None:
    place = cluster_with(45 * GIB)
    CatalogModel.objects.update(gated=True)
    Artifact.objects.update(kind="huggingface", location="acme/large")
    assert best(cast, large, place).barrier == Barrier.ACCESS
    ModelCopy.objects.create(artifact=Artifact.objects.get(), cluster=place, size_bytes=20 * GIB, method=CopyMethod.JOB,
                             name="copy", namespace="public", state=CopyState.READY)
    assert best(cast, large, place).fits


def test_sagemaker_takes_the_cheapest_type_that_holds_it(cast: Cast, large: CatalogModel) -> None:
    place = make_cluster("aws", kind=ClusterKind.SAGEMAKER)
    AwsPlace.objects.create(cluster=place, account=AwsAccount.objects.create(name="a"), region="us-west-2")
    assert best(cast, large, place).barrier == Barrier.IMAGE
    EngineRelease.objects.update(image=IMAGE)
    found = best(cast, large, place)
    assert found.fits
    assert found.instances[0].startswith("ml.g")
    assert found.per_hour is not None
    assert found.per_hour > 0
    endpoint = Endpoint(cluster=place, replicas=2, wanted=Revision(spec={"options": {"InstanceType": found.instances[0]}}))
    assert cost_per_hour(endpoint, "us-west-2") == 2 * found.per_hour
    endpoint.wish = "stopped"
    assert cost_per_hour(endpoint, "us-west-2") == Decimal(0)


@pytest.mark.parametrize(("options", "gpus", "priced"), [
    ({"instanceType": "ml.g6.12xlarge"}, 1, True), ({}, 1, False), ({"instanceType": "ml.g6.12xlarge"}, 0, False),
    ({"instanceType": "ml.unknown.large"}, 1, False)])
def test_an_endpoint_costs_its_part_of_a_hyperpod_machine(options: dict[str, str], gpus: int, priced: bool) -> None:
    place = Cluster(name="pod", kind=ClusterKind.HYPERPOD)
    endpoint = Endpoint(cluster=place, replicas=4, wanted=Revision(spec={"options": options, "resources": {"gpus": gpus}}))
    four = cost_per_hour(endpoint, "us-west-2")
    endpoint.replicas = 1
    one = cost_per_hour(endpoint, "us-west-2")
    assert (one is not None) == priced
    assert four == (None if one is None else 4 * one)


def test_nobody_pays_by_the_hour_for_machines_of_ones_own() -> None:
    place = Cluster(name="rack", kind=ClusterKind.HOSTS)
    assert cost_per_hour(Endpoint(cluster=place, wanted=Revision(spec={})), "") is None


def test_a_paused_place_is_closed(cast: Cast, large: CatalogModel) -> None:
    (found,) = suits(cast.alpha, large, [make_cluster("east", paused=True)])
    assert (found.fits, bool(found.why_not)) == (False, True)


def test_a_start_that_was_seen_goes_before_an_estimate(cast: Cast, large: CatalogModel) -> None:
    place = make_cluster("east")
    make_host(place, gpus=2)
    assert best(cast, large, place).start.is_measured is False
    endpoint = make_endpoint(cast, cast.alpha, place, Profile.objects.get(slug="large-gpu"), "first")
    made = timezone.now()
    Revision.objects.filter(endpoint=endpoint).update(created_at=made, served_at=made + timedelta(seconds=42))
    start = best(cast, large, place).start
    assert (start.seconds, start.is_measured) == (42, True)


def test_many_models_and_places_cost_as_many_queries_as_one(
    cast: Cast, large: CatalogModel, django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(6):
        make_host(make_cluster(f"east-{number}"), f"host-{number}", gpus=2)
        make_profile(f"more-{number}-cpu")
    cluster_with(45 * GIB)
    places = list(Cluster.objects.select_related("aws", "access"))
    profiles: dict[int, list[Profile]] = {}
    for profile in Profile.objects.select_related("release", "artifact", "model"):
        profiles.setdefault(profile.model_id, []).append(profile)
    with django_assert_max_num_queries(7):
        found: dict[int, list[PlaceSuits]] = dict(suits_of(places, profiles, starts_of(profiles)))
    assert {len(each) for each in found.values()} == {7}
