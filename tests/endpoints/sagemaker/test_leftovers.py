"""What an account has of endpoints that are gone (reliability.md F24 and rule 17)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clusters.models import Cluster
from clusters.services import forget_place
from clusters.states import Reach
from endpoints import services
from endpoints.models import Endpoint
from endpoints.targets.base import TargetError
from endpoints.targets.sagemaker import names
from portal.tenancy.models import AuditEntry
from tests.aws import make_sagemaker_place
from tests.cast import Cast
from tests.endpoints.sagemaker.play import fresh, in_service, left, new_endpoint
from tests.simulators.aws.server import AwsSimulator

pytestmark = pytest.mark.django_db(transaction=True)
NONE = timedelta(0)


def forgotten(sim: AwsSimulator, place: Cluster, cast: Cast, name: str = "lost") -> str:
    """An endpoint in service whose row is gone, as nothing of ours lets it go."""
    endpoint = in_service(sim, new_endpoint(cast, place, name))
    Endpoint.objects.filter(pk=endpoint.pk).update(wanted=None, serving=None)
    Endpoint.objects.filter(pk=endpoint.pk).delete()
    return endpoint.external_name


def test_nothing_untracked_is_left_after_a_pass(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    kept = in_service(sim, new_endpoint(cast, place)).external_name
    lost = forgotten(sim, place, cast)
    assert services.collect_leftovers(place, NONE).deleted == (f"Endpoint/{lost}",)
    sim.clock.advance(60)
    assert set(services.collect_leftovers(place, NONE).deleted) == {f"EndpointConfig/{lost}-r1", f"Model/{lost}-r1"}
    assert left(sim) == [f"endpoint {kept}", f"config {kept}-r1", f"model {kept}-r1"]
    assert sim.world.misuses == []


def test_it_is_told_first_and_deleted_when_it_is_seen_again_later(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    in_service(sim, new_endpoint(cast, place))
    lost = forgotten(sim, place, cast)
    assert f"Endpoint/{lost}" in services.collect_leftovers(place).told
    assert services.collect_leftovers(place).deleted == ()
    for arn, tags in sim.here().tags.items():
        if lost in arn and names.LEFT_OVER in tags:
            tags[names.LEFT_OVER] = "2020-01-01T00:00:00+00:00"
    assert services.collect_leftovers(place).deleted == (f"Endpoint/{lost}",)


def test_a_model_without_its_endpoint_goes(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    """A worker that died between the first two calls of an endpoint whose row went another way."""
    in_service(sim, new_endpoint(cast, place))
    endpoint = new_endpoint(cast, place, "half")
    sim.faults.refuse("sagemaker:CreateEndpointConfig")
    services.reconcile(endpoint.pk)
    Endpoint.objects.filter(pk=endpoint.pk).update(wanted=None, serving=None)
    Endpoint.objects.filter(pk=endpoint.pk).delete()
    assert services.collect_leftovers(place, NONE).deleted == (f"Model/{endpoint.external_name}-r1",)


def test_a_listing_that_fails_or_an_empty_table_deletes_nothing(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    lost = forgotten(sim, place, cast)
    assert not Endpoint.objects.exists()
    assert services.collect_leftovers(place, NONE).deleted == ()
    in_service(sim, new_endpoint(cast, place))
    sim.faults.refuse("sagemaker:ListModels")
    with pytest.raises(TargetError):
        services.collect_leftovers(place, NONE)
    assert f"endpoint {lost}" in left(sim)


@pytest.mark.parametrize("change", [{names.OWNER: "another portal"}, {names.ENDPOINT_UID: "nobody"}])
def test_what_another_portal_made_stays(sim: AwsSimulator, place: Cluster, cast: Cast, change: dict[str, str]) -> None:
    in_service(sim, new_endpoint(cast, place))
    lost = forgotten(sim, place, cast)
    for arn, tags in sim.here().tags.items():
        if lost in arn:
            tags.update(change)
    assert services.collect_leftovers(place, NONE).deleted == ()


def test_what_a_restored_database_never_knew_stays(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    """An endpoint that was made after the backup still serves, and its row is only missing."""
    in_service(sim, new_endpoint(cast, place))
    lost = forgotten(sim, place, cast)
    AuditEntry.objects.filter(object_label__contains="lost").delete()
    found = services.collect_leftovers(place, NONE)
    assert (found.told, found.deleted) == ((), ())
    assert f"endpoint {lost}" in left(sim)


def test_what_was_forgotten_with_its_place_stays(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    """Another place of the same account finds it: forgetting deletes nothing over there, neither now nor later."""
    account = place.aws.account
    kept = in_service(sim, new_endpoint(cast, place)).external_name
    type(place.aws).objects.filter(pk=place.aws.pk).update(reach=Reach.UNREACHABLE)
    forget_place(cast.actor("operator"), place)
    other = make_sagemaker_place(sim, "other", account)
    in_service(sim, new_endpoint(cast, other, "another"))
    found = services.collect_leftovers(other, NONE)
    assert (found.told, found.deleted) == ((), ())
    assert f"endpoint {kept}" in left(sim)


def test_a_stopped_endpoint_and_one_on_its_way_are_no_leftovers(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    services.stop(cast.actor("alice"), fresh(endpoint))
    assert services.collect_leftovers(place, NONE).deleted == ()
