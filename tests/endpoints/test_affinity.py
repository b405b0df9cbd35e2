"""Affinity as a wish: event, audit, refusals, and nothing for the place to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from endpoints import services
from endpoints.models import Endpoint, Event
from endpoints.services.specs import spec_of
from models_catalog.models import Profile
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, Stale
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, make_cluster, make_profile

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def endpoint(cast: Cast) -> Endpoint:
    return services.create(cast.actor("alice"), cast.alpha, name="chat", cluster=make_cluster(), profile=make_profile())


def test_it_is_a_wish_that_the_place_does_not_see(cast: Cast, endpoint: Endpoint) -> None:
    before = spec_of(endpoint)
    services.set_affinity(cast.actor("alice"), endpoint, "session", expected_generation=1)
    assert (endpoint.affinity, endpoint.generation) == ("session", 2)
    after = spec_of(endpoint)
    assert replace(after, generation=before.generation) == before
    event = Event.objects.filter(kind="wish").first()
    assert event is not None
    assert "one session, one replica" in event.message
    assert AuditEntry.objects.filter(verb="affinity").latest("pk").after["affinity"] == "session"


def test_what_is_refused(cast: Cast, endpoint: Endpoint) -> None:
    alice = cast.actor("alice")
    profile = Profile.objects.get()
    with pytest.raises(Invalid):
        services.set_affinity(alice, endpoint, "random")
    with pytest.raises(Conflict):
        services.set_affinity(alice, endpoint, "")
    with pytest.raises(NotAllowed):
        services.set_affinity(cast.actor("vera"), endpoint, "prefix")
    with pytest.raises(Stale):
        services.set_affinity(alice, endpoint, "prefix", expected_generation=7)
    with pytest.raises(Invalid):
        services.create(alice, cast.alpha, name="other", cluster=endpoint.cluster, profile=profile,
                        affinity="random")
    endpoint.refresh_from_db()
    assert (endpoint.affinity, endpoint.generation) == ("", 1)
