"""Autoscaling as a wish on real rows: who owns the number, what limits count, whose object it is."""

from __future__ import annotations

import pytest

from clusters.models import Cluster, KubernetesAccess
from clusters.states import ClusterKind
from endpoints import services
from endpoints.models import Endpoint, Event
from endpoints.services.specs import spec_of
from endpoints.targets.base import Autoscale
from portal.tenancy.actor import PORTAL
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, QuotaExceeded
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, make_cluster, make_profile, set_limit

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

QUEUE = {"type": "prometheus", "metadata": {"signal": "waiting", "threshold": "5"}}
WISH = {"min_replicas": 1, "max_replicas": 4, "triggers": [QUEUE]}


@pytest.fixture
def endpoint(cast: Cast) -> Endpoint:
    """An endpoint of Alice's whose place is a Kubernetes cluster."""
    cluster = make_cluster("k8s")
    made = services.create(cast.actor("alice"), cast.alpha, name="chat", cluster=cluster, profile=make_profile())
    Cluster.objects.update(kind=ClusterKind.KUBERNETES)
    made.refresh_from_db()
    return made


def test_the_wish_reaches_the_target_with_event_and_audit(cast: Cast, endpoint: Endpoint) -> None:
    services.set_autoscale(cast.actor("alice"), endpoint, WISH)
    scaling = spec_of(endpoint).autoscale
    assert isinstance(scaling, Autoscale)
    assert (scaling.max_replicas, scaling.triggers[0].metadata["signal"]) == (4, "waiting")
    assert endpoint.generation == 2
    assert "between 1 and 4" in Event.objects.filter(kind="wish").first().message
    assert AuditEntry.objects.filter(verb="autoscale").latest("pk").after["autoscale"]["max_replicas"] == 4


def test_switching_it_off_gives_the_number_back(cast: Cast, endpoint: Endpoint) -> None:
    alice = cast.actor("alice")
    services.set_autoscale(alice, endpoint, WISH)
    with pytest.raises(Conflict, match="from 1 to 4") as error:
        services.scale(alice, endpoint, 3)
    assert error.value.code == "autoscaled"
    services.set_autoscale(alice, endpoint, {})
    assert services.scale(alice, endpoint, 3).replicas == 3
    assert spec_of(endpoint).autoscale is None


def test_notes_stay_with_the_endpoint_until_the_next_wish(cast: Cast, endpoint: Endpoint) -> None:
    old = {"type": "prometheus", "metadata": {"metricName": "vllm_queue_size", "threshold": "5"}}
    services.set_autoscale(cast.actor("alice"), endpoint, {**WISH, "triggers": [old]})
    assert "vllm_queue_size" in endpoint.notes[0]
    assert "vllm_queue_size" in Event.objects.filter(kind="wish").first().message
    with pytest.raises(Conflict, match="so already"):
        services.set_autoscale(cast.actor("alice"), endpoint, WISH)
    services.set_autoscale(cast.actor("alice"), endpoint, {**WISH, "max_replicas": 2})
    assert endpoint.notes == []


def test_limits_count_the_upper_bound(cast: Cast, endpoint: Endpoint) -> None:
    set_limit(cast.alpha, replicas=3)
    with pytest.raises(QuotaExceeded, match="4 of 3"):
        services.set_autoscale(cast.actor("alice"), endpoint, WISH)
    endpoint.refresh_from_db()
    assert endpoint.autoscale == {}
    services.set_autoscale(cast.actor("alice"), endpoint, {**WISH, "max_replicas": 3})


def test_gpus_count_with_the_upper_bound_and_all_nodes(cast: Cast, endpoint: Endpoint) -> None:
    set_limit(cast.alpha, gpus=15)
    spec = {**endpoint.wanted.spec, "resources": {**endpoint.wanted.spec["resources"], "gpus": 2, "nodes": 2}}
    type(endpoint.wanted).objects.update(spec=spec)
    with pytest.raises(QuotaExceeded, match="16 of 15"):
        services.set_autoscale(cast.actor("alice"), endpoint, WISH)


def test_a_place_without_an_autoscaler_refuses(cast: Cast, endpoint: Endpoint) -> None:
    access = KubernetesAccess.objects.create(cluster=endpoint.cluster, capabilities={"lws": {"found": True}})
    with pytest.raises(Invalid, match="has no KEDA") as error:
        services.set_autoscale(cast.actor("alice"), endpoint, WISH)
    assert error.value.field == "autoscale"
    access.capabilities = {"keda": {"found": True}}
    access.save()
    services.set_autoscale(cast.actor("alice"), endpoint, WISH)
    Cluster.objects.update(kind=ClusterKind.HOSTS)
    endpoint.cluster.refresh_from_db()
    with pytest.raises(Invalid, match="no autoscaler"):
        services.set_autoscale(cast.actor("alice"), endpoint, WISH)


def test_viewers_may_not(cast: Cast, endpoint: Endpoint) -> None:
    with pytest.raises(NotAllowed):
        services.set_autoscale(cast.actor("vera"), endpoint, WISH)


def test_a_new_endpoint_can_have_it_from_the_start_but_not_on_hosts(cast: Cast) -> None:
    with pytest.raises(Invalid, match="no autoscaler"):
        services.create(cast.actor("alice"), cast.alpha, name="x", cluster=make_cluster(), profile=make_profile(),
                        autoscale=WISH)
    assert not Endpoint.objects.exists()


@pytest.fixture
def owned(endpoint: Endpoint) -> Endpoint:
    """The same, owned by an object of the cluster that the portal follows."""
    endpoint.origin = {"kind": "VLLMCluster", "api_version": "x/v1", "namespace": "team", "name": "my-llm",
                       "uid": str(endpoint.uid)}
    endpoint.save()
    KubernetesAccess.objects.create(cluster=endpoint.cluster, imports_to=endpoint.workspace)
    return endpoint


def test_people_can_not_change_what_an_object_of_the_cluster_owns(cast: Cast, owned: Endpoint) -> None:
    alice = cast.actor("alice")
    for act in (
        lambda: services.scale(alice, owned, 2), lambda: services.stop(alice, owned), lambda: services.delete(alice, owned),
        lambda: services.set_autoscale(alice, owned, WISH), lambda: services.update(alice, owned, arguments={"seed": 1}),
        lambda: services.deploy(alice, owned),
    ):
        with pytest.raises(Conflict, match="VLLMCluster team/my-llm of k8s") as error:
            act()
        assert error.value.code == "owned_by_cluster"
    owned.refresh_from_db()
    assert owned.generation == 1
    services.retry(alice, owned)
    services.scale(PORTAL, owned, 2)


def test_what_is_no_longer_followed_belongs_to_people_again(cast: Cast, owned: Endpoint) -> None:
    KubernetesAccess.objects.update(imports_to=None)
    assert services.scale(cast.actor("alice"), owned, 2).replicas == 2


def test_following_makes_a_revision_only_where_the_engine_changes(owned: Endpoint) -> None:
    same = {"autoscale": {}, "notes": ["as it is"], "origin_generation": 2}
    services.follow(owned, owned.wanted.profile, arguments={}, replicas=0, **same)
    assert (owned.replicas, owned.wanted.number, owned.notes, owned.origin_generation) == (0, 1, ["as it is"], 2)
    services.follow(owned, owned.wanted.profile, arguments={"seed": 7}, replicas=1, **same)
    assert (owned.replicas, owned.wanted.number, owned.wanted.spec["arguments"]) == (1, 2, {"seed": 7})
